"""The world as a whole: repeatable to the byte, in order, and consistent with its own truth."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from firmware_sim import scenario as sc
from firmware_sim.scenario import Scenario
from firmware_sim.world.crossing import World
from firmware_sim.world.events import (
    InputChanged,
    PlatePassed,
    PointPassed,
    TagPassed,
    VehicleTruth,
    WaitTruth,
    WorldEvent,
)

from .crossings import crossing

READERS = (
    sc.Device(name="lpr", kind="lpr_frame", endpoint="pty", lane="L0", point="approach"),
    sc.Device(name="tag", kind="transcore_encompass", endpoint="pty", lane="L0", point="booth"),
    sc.Device(name="daq", kind="labjack_t7", endpoint="tcp", lane="L0", point="wim"),
    sc.Device(
        name="io",
        kind="moxa_e1200",
        endpoint="tcp",
        inputs=(
            sc.Input(name="in", signal="loop", lane="L0", point="approach"),
            sc.Input(name="booth", signal="loop", lane="L0", point="booth"),
            sc.Input(name="open", signal="booth_open", lane="L0"),
        ),
    ),
)
BUSY = sc.Flow(per_hour=(500.0,), speed_mps=(6.0, 9.0), initial=3, tag_share=0.8, roll_back_probability=0.2)
BOOTH = (sc.Booth(service_s=8.0, long_share=0.0, change=(sc.BoothChange(at_s=60.0, open=False),)),)


def busy(**further: object) -> Scenario:
    electronics = sc.Electronics(hum_counts=5.0, spikes_per_h=3000.0, clock_ppm=150.0)
    return crossing(
        flow=BUSY, booth=BOOTH, effects=sc.Effects(), electronics=electronics, lanes=2, device=READERS, **further
    )


def run(scenario: Scenario, steps: list[float], until_s: float) -> tuple[list[WorldEvent], npt.NDArray[np.int16]]:
    world = World(scenario)
    events: list[WorldEvent] = []
    blocks: list[npt.NDArray[np.int16]] = []
    done = 0
    for step in itertools.cycle(steps):
        events += world.advance(min(world.now_s + step, until_s))
        ready = world.scans_ready("L0")
        blocks.append(world.samples("L0", done, ready - done))
        done = ready
        if world.now_s >= until_s:
            return events, np.concatenate(blocks)
    raise AssertionError


def test_same_bytes_however_the_time_is_cut() -> None:
    once_events, once = run(busy(), [30.0], 90.0)
    for steps in ([0.02], [7.3, 0.0001, 0.21]):
        events, samples = run(busy(), steps, 90.0)
        assert events == once_events
        assert np.array_equal(samples, once)
    assert len(once_events) > 30


def test_another_seed_is_another_world() -> None:
    one, other = World(busy(), seed=1), World(busy(), seed=2)
    assert one.advance(20.0) != other.advance(20.0)
    assert not np.array_equal(one.samples("L0", 0, 1000), other.samples("L0", 0, 1000))


def test_events_come_in_order_and_once() -> None:
    events, _ = run(busy(), [0.3], 120.0)
    times = [event.time_s for event in events]
    assert times == sorted(times)
    for kind, key in (
        (PointPassed, ("lane", "point", "vehicle")),
        (WaitTruth, ("vehicle",)),
        (VehicleTruth, ("vehicle",)),
    ):
        keys = [tuple(getattr(event, name) for name in key) for event in events if isinstance(event, kind)]
        assert len(keys) == len(set(keys))
        assert keys


def test_waits_agree_with_the_passages() -> None:
    events, _ = run(busy(), [1.0], 120.0)
    passed = {(e.vehicle, e.point): e.time_s for e in events if isinstance(e, PointPassed)}
    waits = [event for event in events if isinstance(event, WaitTruth)]
    assert waits
    for wait in waits:
        assert wait.time_s == passed[wait.vehicle, "booth"]
        assert wait.wait_s == pytest.approx(wait.time_s - passed[wait.vehicle, "approach"])
        assert wait.wait_s > 10.0  # 150 m at no more than 9 m/s


def test_nobody_is_served_at_a_closed_booth() -> None:
    events, _ = run(busy(), [1.0], 150.0)
    assert not [event for event in events if isinstance(event, WaitTruth) and event.time_s > 60.2]
    assert InputChanged(60.0, "io", "open", False) in events


def test_readers_read_what_passes_their_point() -> None:
    events, _ = run(busy(), [1.0], 60.0)
    passed = {(e.vehicle, e.point): e.time_s for e in events if isinstance(e, PointPassed)}
    plates = [event for event in events if isinstance(event, PlatePassed)]
    tags = [event for event in events if isinstance(event, TagPassed)]
    assert len(plates) >= 3
    assert len(tags) >= 2
    for plate in plates:
        assert plate.time_s == passed[plate.vehicle, "approach"]
    for tag in tags:
        assert 0 <= passed[tag.vehicle, "booth"] - tag.time_s < 8.0


def test_loops_are_on_while_covered() -> None:
    events, _ = run(busy(), [1.0], 60.0)
    changes = [event for event in events if isinstance(event, InputChanged) and event.input == "in"]
    assert [change.on for change in changes] == [i % 2 == 1 for i in range(len(changes))]
    entered = [e.time_s for e in events if isinstance(e, PointPassed) and (e.lane, e.point) == ("L0", "approach")]
    on = [change.time_s for change in changes if change.on]
    assert set(on) <= set(entered)
    assert len(on) >= 3


def test_truth_and_traffic_keep_their_distance() -> None:
    world = World(busy(), seed=5)
    for k in range(1200):
        world.advance(0.1 * (k + 1))
        for lane in world._lanes:
            for ahead, behind in itertools.pairwise(lane.cars):
                assert ahead.rear_m - behind.x > 0.15
                assert behind.v > -1.5


def test_samples_ask_for_what_there_is() -> None:
    world = World(crossing())
    world.advance(1.0)
    assert world.channels("L0") == 9
    assert world.scans_ready("L0") == 5000
    assert world.samples("L0", 100, 7).shape == (7, 9)
    assert world.samples("L0", 100, 7).flags.c_contiguous
    with pytest.raises(ValueError, match="are taken"):
        world.samples("L0", 4990, 20)
    world.advance(100.0)
    with pytest.raises(ValueError, match="are kept"):
        world.samples("L0", 0, 10)
    with pytest.raises(ValueError, match="cannot go back"):
        world.advance(50.0)
    with pytest.raises(KeyError):
        world.channels("nowhere")


def test_clock_error_shows_in_the_number_of_scans() -> None:
    world = World(crossing(electronics=sc.Electronics(clock_ppm=200.0)))
    world.advance(50.0)
    assert world.scans_ready("L0") == 250_050


@pytest.mark.parametrize(
    "kind", ["dead_channel", "saturated_channel", "reversed_channel", "swapped_channels", "noisy_channel"]
)
def test_sensor_faults_touch_their_channels_only_while_they_last(kind: str) -> None:
    fault = sc.Fault(at_s=20.0, for_s=10.0, kind=kind, device="daq", options={"channel": 1, "channels": [1, 2]})
    sound, broken = World(busy()), World(busy(fault=(fault,)))
    sound.advance(40.0)
    broken.advance(40.0)
    a = sound.samples("L0", 0, sound.scans_ready("L0")).astype(int)
    b = broken.samples("L0", 0, broken.scans_ready("L0")).astype(int)
    rate = sound.scan_rate_hz("L0")
    inside = slice(int(20.3 * rate), int(29.7 * rate))
    outside = np.r_[0 : int(19.7 * rate), int(30.3 * rate) : len(a)]
    assert np.array_equal(a[outside], b[outside])
    touched = {1, 2} if kind == "swapped_channels" else {1}
    for channel in range(a.shape[1]):
        assert np.array_equal(a[inside, channel], b[inside, channel]) == (channel not in touched)


@pytest.mark.parametrize("kind", ["loop_stuck_on", "loop_stuck_off", "loop_chatter"])
def test_input_faults_begin_and_end(kind: str) -> None:
    fault = sc.Fault(at_s=10.0, for_s=15.0, kind=kind, device="io", options={"input": "in"})
    true_events, _ = run(busy(), [0.5], 60.0)
    events, _ = run(busy(fault=(fault,)), [0.5], 60.0)

    def changes(of: list[WorldEvent], low: float, high: float) -> list[tuple[float, bool]]:
        return [
            (e.time_s, e.on) for e in of if isinstance(e, InputChanged) and e.input == "in" and low <= e.time_s < high
        ]

    assert changes(events, 0.0, 10.0) == changes(true_events, 0.0, 10.0)
    assert changes(events, 25.001, 60.0) == changes(true_events, 25.001, 60.0)
    during = changes(events, 10.0, 25.0)
    assert len(during) > 100 if kind == "loop_chatter" else len(during) <= 1


def test_the_world_shows_the_state_of_inputs() -> None:
    world = World(busy())
    seen: dict[str, bool] = {}
    for k in range(100):
        for event in world.advance(0.6 * (k + 1)):
            if isinstance(event, InputChanged):
                seen[event.input] = event.on
        assert world.input_state("io") == seen


def test_arrivals_follow_the_hours() -> None:
    per_hour = tuple(600.0 if hour == 8 else 60.0 for hour in range(24))
    scenario = crossing(flow=sc.Flow(per_hour=per_hour, speed_mps=(20.0, 20.0), mix={"car": 1.0}))
    world = World(scenario, waveforms=False)  # starts at 13:00 UTC, 8:00 in Toronto
    passed = [e.time_s for e in world.advance(7200.0) if isinstance(e, PointPassed) and e.point == "approach"]
    first = sum(time_s < 3600 for time_s in passed)
    assert 500 < first < 700
    assert 35 < len(passed) - first < 90


def test_faults_of_reading_are_applied() -> None:
    fault = sc.Fault(at_s=0.0, for_s=1e6, kind="misread", device="lpr", options={"char_error": 1.0})
    clean = tuple(msgspec.structs.replace(d, char_error=0.0, read_share=1.0) for d in READERS)
    world = World(msgspec.structs.replace(busy(), device=clean, fault=(fault,)), waveforms=False)
    truth: dict[int, str] = {}
    read: dict[int, str] = {}
    for event in world.advance(120.0):
        if isinstance(event, VehicleTruth):
            truth[event.vehicle] = event.plate
        elif isinstance(event, PlatePassed):
            read[event.vehicle] = event.plate
    both = truth.keys() & read.keys()
    assert both
    assert all(truth[number] != read[number] for number in both)
