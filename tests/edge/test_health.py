"""Faults that no driver reports, by events alone: a watch begins, says where, ends by itself, and is quiet else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from world_events import alarms

from drivers.events import DeviceState, LinkState
from drivers.remedies import Connection
from edge.alarms.texts import text_of
from edge.config.file import load as load_config
from edge.core import ChannelHealth
from edge.health.crossing import Health
from edge.health.links import LostScansWatch, RejectWatch, SampleRateWatch
from edge.health.loops import ChatterWatch, LoopSignal, StuckLoopWatch
from edge.health.readers import (
    ConfidenceWatch,
    ReaderTimeWatch,
    SameIdentity,
    SilentReaderWatch,
    StuckIdentityWatch,
    TwiceWatch,
)
from edge.health.sensors import ChannelWatch, DriftWatch, LineLoads, ProposalWatch, SideLeans, SwapWatch
from edge.health.watch import SECOND_NS, Watch
from edge.messages import Alarm, Args, parse_utc
from edge.weighing.steering import SteeringWatch
from firmware_sim.scenario import Fault
from firmware_sim.scenario.file import load

HERE: Args = {"device": "here"}


def at(seconds: float) -> int:
    return round(seconds * SECOND_NS)


def said(watch: Watch, seconds: float) -> str | None:
    """The text of what holds; every watch gives all that its text needs, and says where."""
    args = watch.judge(at(seconds))
    if args is None:
        return None
    text = text_of(watch.code, args)
    assert text.startswith("device here")
    return text


def holds(watch: Watch, seconds: float) -> bool:
    return said(watch, seconds) is not None


def test_a_talker_may_lose_a_frame_and_a_reader_may_not() -> None:
    talker, reader = RejectWatch(HERE, "serial", least=3), RejectWatch(HERE, "network", least=1)
    for watch in (talker, reader):
        watch.rejected(at(1), "bad_crc", 1)
    assert not holds(talker, 1)
    assert holds(reader, 1)
    talker.rejected(at(4), "bad_crc", 2)
    assert "bad_crc 3" in str(said(talker, 4))
    assert holds(talker, 20)  # that no bad frame comes any more says nothing: none at all may come
    talker.heard()
    assert not holds(talker, 20)
    reader.heard()
    assert not holds(reader, 20)
    reader.rejected(at(30), "bad_crc", 1)
    reader.heard()  # before anybody has looked
    assert "bad_crc 1)" in str(said(reader, 30))
    assert not holds(reader, 31)


def test_garbage_that_streams_on_keeps_its_alarm() -> None:
    watch = RejectWatch(HERE, "serial", least=3)
    for second in range(600):
        watch.rejected(at(second), "no_start", 1 + second % 2)
        watch.heard()  # now and then something looks like a frame
        assert holds(watch, second) == (second >= 1)
    assert not holds(watch, 611)


@pytest.mark.parametrize(
    ("how", "reason", "words"),
    [
        ("serial", "bad_crc", "baud rate"),
        ("network", "bad_crc", "format that its driver expects"),
        ("serial_server", "bad_crc", "in the serial server"),
        ("network", "frame_missing", "lost or doubled on the way"),
        ("network", "counter_jump", "word order"),
    ],
)
def test_what_to_do_about_rejected_frames_suits_the_device(how: Connection, reason: str, words: str) -> None:
    watch = RejectWatch(HERE, how, least=1)
    watch.rejected(at(1), reason, 1)
    assert words in str(said(watch, 1))
    assert how != "network" or "baud" not in str(said(watch, 1))


def test_rare_rejects_never_add_up() -> None:
    watch = RejectWatch(HERE, "serial", least=3)
    for k in range(50):
        watch.rejected(at(11 * k), "bad_crc", 1)
        assert not holds(watch, 11 * k + 1)


def test_lost_scans_are_counted_until_none_is_lost_any_more() -> None:
    watch = LostScansWatch(HERE)
    assert not holds(watch, 1)
    watch.block(at(1), 0)
    assert not holds(watch, 1)
    watch.block(at(2), 100)
    watch.block(at(3), 51)
    assert "151 scans were lost in 2 gaps" in str(said(watch, 3))
    assert holds(watch, 300)  # the stream has ended
    watch.block(at(301), 0)
    assert not holds(watch, 301)
    watch.block(at(302), 7)
    watch.block(at(302.1), 0)  # all is well again before anybody has looked
    assert "7 scans were lost in 1 gaps" in str(said(watch, 302.2))
    assert not holds(watch, 302.3)


def test_a_sample_clock_that_strays_and_one_that_is_configured_wrongly() -> None:
    watch = SampleRateWatch(HERE, 5000.0)
    for second in range(300):
        watch.block(at(second), 1, 5000.0 * (1 + 40e-6), 5000 * second)  # a crystal is off by as much, for ever
        assert not holds(watch, second)
    watch.block(at(301), 1, 5000.0 * (1 + 90e-6), 5000 * 301)
    assert holds(watch, 301)
    watch.block(at(302), 1, 5000.0 * (1 + 45e-6), 5000 * 302)
    assert not holds(watch, 302)
    watch.block(at(303), 2, 5000.0 * (1 - 90e-6), 0)  # a new stream knows its rate roughly at first
    assert not holds(watch, 303)
    watch.block(at(304), 2, 4990.0, 5000)
    assert "4990.00 Hz" in str(said(watch, 304))
    assert "flagged" in str(said(watch, 304))
    watch.block(at(305), 2, 2500.0, 10_000)
    assert "held back" in str(said(watch, 305))


def test_samples_that_come_otherwise_than_the_digitiser_says() -> None:
    """Half as many arrive; a leap of the host's clock by less than a minute looks like that once."""
    watch = SampleRateWatch(HERE, 5000.0)
    for second in range(120):
        late_s = 7 if second > 60 else 0
        watch.block(at(second + late_s), 1, 5000.0, 5000 * second)
        assert not holds(watch, second + late_s)
    told = []
    for second in range(120, 160):
        watch.block(at(second + 7), 1, 5000.0, 600_000 + 2500 * (second - 120))
        told.append(holds(watch, second + 7))
    assert not any(told[:10])
    assert all(told[30:])
    assert watch.error == pytest.approx(-0.5, abs=0.01)


def drive(watch: SilentReaderWatch, reads: Iterable[bool], first_s: float = 0.0) -> float:
    seconds = first_s
    for number, read in enumerate(reads):
        seconds = first_s + 20.0 * number
        if read and number % 2:
            watch.read(at(seconds - 0.2))  # before the loop, or after it
        watch.passed(at(seconds))
        if read and not number % 2:
            watch.read(at(seconds + 0.2))
    return seconds


def test_a_reader_that_falls_silent_while_vehicles_pass() -> None:
    watch = SilentReaderWatch(HERE)
    drive(watch, [True] * 100)
    assert watch.most_missed == 3
    drive(watch, [False, False], 2000)
    assert not holds(watch, 2021)
    drive(watch, [False], 2040)
    assert holds(watch, 2041)
    drive(watch, [True], 2060)
    assert not holds(watch, 2061)


def test_a_reader_that_reads_few_vehicles_is_given_more_of_them() -> None:
    watch = SilentReaderWatch(HERE)
    drive(watch, [number % 7 == 0 for number in range(210)])
    assert watch.most_missed > 40
    drive(watch, [False] * 3, 5000)
    watch.forgive()  # its link broke, which is another alarm
    assert not holds(watch, 5100)
    drive(watch, [False] * 80, 6000)
    watch.forgive()
    assert holds(watch, 8000)  # that its link breaks is no good news
    watch.read(at(8001))
    assert not holds(watch, 8001)


def test_a_tag_that_stays_when_its_vehicle_has_gone() -> None:
    watch = StuckIdentityWatch(HERE)
    watch.loop(at(0), True)
    watch.read(at(0.1), "A")
    watch.loop(at(3), False)
    for second in range(1, 7):
        watch.read(at(second), "A")
    assert not holds(watch, 6)  # it may be near for a few seconds
    for second in range(8, 12):
        watch.read(at(second), "A")
    assert holds(watch, 12)
    assert "A " not in str(said(watch, 12)).replace("A vehicle", "")
    assert holds(watch, 3600)  # it may be the reader that says nothing any more
    watch.read(at(3601), "B")
    assert not holds(watch, 3601)


def test_a_tag_that_stays_while_others_are_read() -> None:
    watch = StuckIdentityWatch(HERE)
    for second in range(12):
        watch.read(at(second), "STUCK")
        if second == 3:
            watch.read(at(3.1), "B")
    assert holds(watch, 12)
    watch.read(at(13), "C")
    assert holds(watch, 13)  # it was read a moment ago


def test_a_vehicle_that_stands_at_a_reader_for_an_hour_is_no_stuck_tag() -> None:
    watch = StuckIdentityWatch(HERE)
    watch.loop(at(0), True)
    for second in range(0, 3600, 2):
        watch.read(at(second), "A")
        assert not holds(watch, second)
    watch.loop(at(3600), False)
    watch.loop(at(3610), True)
    watch.read(at(3610), "B")
    watch.loop(at(3700), False)
    watch.loop(at(3790), True)
    watch.read(at(3790), "A")  # comes round again
    assert not holds(watch, 3791)


def test_one_identity_at_two_places_at_once() -> None:
    same = SameIdentity({"a": ("C1", 0.0), "b": ("C1", 60.0), "c": ("C2", 0.0), "d": ("C1", 0.0)})
    assert same.read("a", at(0), "X") is None
    assert same.read("d", at(0.1), "X") is None  # a second reader at the same place
    assert same.read("b", at(0.5), "X") == "d"
    assert same.read("a", at(100), "Y") is None
    assert same.read("b", at(110), "Y") is None
    assert same.read("a", at(200), "Z") is None
    assert same.read("c", at(200.2), "Z") == "a"
    watch = TwiceWatch(HERE)
    assert not holds(watch, 0)
    watch.read("there")
    assert "by there at the same time" in str(said(watch, 2))
    assert holds(watch, 600)
    watch.read(None)
    assert not holds(watch, 600)


def test_a_camera_that_is_less_sure_than_it_was() -> None:
    rng = np.random.default_rng(4)
    watch = ConfidenceWatch(HERE)
    for number in range(2000):
        watch.read(f"P{number}", float(np.clip(rng.normal(0.92, 0.05), 0.3, 0.99)))
        assert not holds(watch, number)
    for _ in range(10):
        watch.read("SAME", 0.5)
    assert not holds(watch, 0)  # one vehicle, whatever it is read
    for number in range(4):
        watch.read(f"Q{number}", 0.72)
    assert holds(watch, 0)
    for number in range(12):
        watch.read(f"R{number}", 0.93)
    assert not holds(watch, 0)


def test_a_loop_that_chatters() -> None:
    watch = ChatterWatch(HERE)
    for k in range(200):
        watch.changes(at(1.0 * k), 1)  # bumper to bumper and fast
        assert not holds(watch, k)
    for k in range(20):
        watch.changes(at(300 + 0.1 * k), 1)
    assert holds(watch, 302)
    assert watch.holds(at(302))
    assert holds(watch, 310)  # a broken cable is still, too
    assert not watch.holds(at(310))  # but the next vehicle is counted
    watch.changes(at(311), 1)
    assert not holds(watch, 311)


def test_a_loop_that_is_stuck_on_or_off() -> None:
    watch = StuckLoopWatch(HERE, "axles", while_on=14, while_off=6)
    for _ in range(5):
        watch.state(True, changed=True)
        watch.passed(12)  # the longest vehicle
        assert not holds(watch, 0)
        watch.state(False, changed=True)
    watch.passed(6)
    assert "stays off while 6 axles" in str(said(watch, 0))
    watch.state(True, changed=True)
    assert not holds(watch, 0)
    watch.passed(14)
    assert holds(watch, 0)


def test_a_noisy_analogue_loop_does_not_chatter_at_its_threshold() -> None:
    rng = np.random.default_rng(1)
    signal = LoopSignal(1000.0)
    ramp = np.concatenate([np.linspace(0, 3000, 5000), np.linspace(3000, 0, 5000)]) + rng.normal(0, 20, 10_000)
    samples = ramp.astype(np.int16)
    assert sum(signal.take(samples[k : k + 51]) for k in range(0, len(samples), 51)) == 2
    assert not signal.on


def test_a_channel_is_what_the_core_says_of_it() -> None:
    watch = ChannelWatch({**HERE, "channel": 3})
    words = {"dead": "gives no signal", "noisy": "shielding", "saturated": "its range", "stuck": "one value"}
    for state, remedy in {**words, "reversed": "swap its wires"}.items():
        watch.state(ChannelHealth("line1", 0, state, 0.0, 1.0, 0, 0, 0, 0))
        assert remedy in str(said(watch, 1))
    watch.state(ChannelHealth("line1", 0, "ok", 0.0, 1.0, 0, 0, 0, 0))
    assert not holds(watch, 1)


@pytest.mark.parametrize(("spread", "noise"), [(0.05, 0.02), (0.06, 0.04), (0.0, 0.03), (0.03, 0.08)])
def test_halves_in_order_are_never_taken_for_swapped(spread: float, noise: float) -> None:
    rng = np.random.default_rng(2)
    watch = SwapWatch(HERE)
    for number in range(3000):
        watch.vehicle(leaning(rng, spread, noise, 1.0))
        assert not holds(watch, number)


def test_halves_that_are_swapped() -> None:
    rng = np.random.default_rng(2)
    watch = SwapWatch(HERE)

    def needed(sign: float, until: bool) -> int:
        for number in range(1, 40):
            watch.vehicle(leaning(rng, 0.05, 0.03, sign))
            if holds(watch, 0) is until:
                return number
        raise AssertionError("never")

    for _ in range(20):
        watch.vehicle(leaning(rng, 0.05, 0.03, 1.0))
    assert needed(-1.0, True) < 12
    assert needed(1.0, False) < 15


def leaning(rng: np.random.Generator, spread: float, noise: float, sign: float) -> list[tuple[float, float]]:
    """Axles of a vehicle at a line, and the median of the others."""
    leans = rng.normal(0, spread) + rng.normal(0, spread / 2, 5)
    return [(sign * lean + rng.normal(0, noise), lean + rng.normal(0, noise / 2)) for lean in leans]


def test_gains_of_halves_are_no_lean() -> None:
    leans = SideLeans(2)
    assert leans.take([0.2, -0.1]) == [None, None]
    for _ in range(20):
        leans.take([0.2, -0.1])
    assert leans.take([0.2, None]) == [pytest.approx(0.0), None]


def test_a_line_that_drifts_against_its_neighbours() -> None:
    rng = np.random.default_rng(3)
    watches = [DriftWatch(HERE) for _ in range(3)]
    loads = LineLoads([[0, 1], [2, 3], [4, 5]], watches)

    def pass_axles(count: int, factor: float) -> None:
        for _ in range(count):
            kg = rng.uniform(2000, 9000) * rng.normal(1.0, 0.02, 6) / 2
            kg[4:] *= factor
            loads.axle(tuple(float(value) for value in kg))

    pass_axles(400, 1.02)
    assert [holds(watch, 0) for watch in watches] == [False, False, False]
    pass_axles(400, 1.08)
    assert holds(watches[2], 0)
    pass_axles(600, 1.0)
    assert not holds(watches[2], 0)


def test_a_scale_that_weighs_steering_axles_too_heavy_is_a_proposal() -> None:
    watch = ProposalWatch(HERE, SteeringWatch("US", window=50))
    groups = [0, 1, 1, 2, 2]

    def pass_trucks(factor: float) -> None:
        for _ in range(50):
            loads = [factor * kg for kg in (4900, 7000, 7000, 7000, 7000)]
            watch.vehicle(loads, groups, loads[0] / 2, loads[0] / 2, True)

    pass_trucks(1.15)
    assert "proposed" in str(said(watch, 0))
    pass_trucks(1.0)
    assert "proposed" not in str(said(watch, 0))


def test_a_reader_that_reads_far_fewer_than_it_did() -> None:
    rng = np.random.default_rng(4)
    watch = SilentReaderWatch(HERE)

    def pass_vehicles(start: int, count: int, share: float) -> list[bool]:
        held = []
        for number in range(start, start + count):
            if rng.random() < share:
                watch.read(at(20 * number))
            watch.passed(at(20 * number + 1))
            held.append("far fewer" in str(said(watch, 20 * number + 2)))
        return held

    assert not any(pass_vehicles(0, 5000, 0.9))
    assert any(pass_vehicles(5000, 25, 0.3))
    assert not pass_vehicles(5025, 60, 0.9)[-1]


@given(st.lists(st.tuples(st.sampled_from(["passed", "read", "excuse", "forgive"]), st.integers(0, 20)), max_size=200))
def test_nothing_that_a_reader_does_breaks_its_watch(steps: list[tuple[str, int]]) -> None:
    watch = SilentReaderWatch(HERE)
    seconds = 0
    for what, number in steps:
        seconds += number
        match what:
            case "passed":
                watch.passed(at(seconds))
            case "read":
                watch.read(at(seconds))
            case "excuse":
                watch.excuse(number)
            case _:
                watch.forgive()
        assert watch.judge(at(seconds)) is None or watch.most_missed >= 3


def test_what_its_own_count_says_was_lost_on_the_way_was_not_missed() -> None:
    watch = SilentReaderWatch(HERE)
    drive(watch, [True] * 30)
    for start in range(600, 2400, 60):
        drive(watch, [False, False, True], start)
        watch.excuse(2)
        assert not holds(watch, start + 59)
    assert watch.most_missed == 3


def test_messages_that_come_late_and_a_clock_that_was_set() -> None:
    watch = ReaderTimeWatch(HERE)
    stamp = 0.0

    def read(seconds: float, late_s: float = 0.0, set_s: float = 0.0) -> bool:
        nonlocal stamp
        stamp = float(int(seconds - late_s)) + 3600.0 + set_s  # whole seconds, of another time zone
        watch.read(at(seconds), at(stamp))
        return holds(watch, seconds)

    assert not any(read(20.0 * number + 0.9) for number in range(10))
    assert read(200.0, late_s=17.0)
    assert holds(watch, 3600)
    assert not read(3601.0)
    assert read(3700.0, set_s=3600.0)
    told = [read(3720.0 + 20 * number, set_s=3600.0) for number in range(10)]
    assert told[0]
    assert not any(told[6:])


# ---- with the simulator's world -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fast-and-standard", "quiet-lane", "rush"])
def test_a_crossing_in_order_raises_no_alarm(name: str, tmp_path: Path) -> None:
    assert alarms(load(name), 120.0, tmp_path) == []


# Faults of devices that have nothing to do with each other, together in one world: kind, device, options, alarm.
TOGETHER: list[list[tuple[str, str, dict[str, object], str]]] = [
    [
        ("dead_channel", "daq-c01", {"channel": 3}, "sensor_fault"),
        ("saturated_channel", "daq-c02", {"channel": 4}, "sensor_fault"),
        ("loop_stuck_off", "io", {"input": "c02-approach-loop"}, "loop_stuck"),
    ],
    [
        ("reversed_channel", "daq-c01", {"channel": 5}, "sensor_fault"),
        ("noisy_channel", "daq-c02", {"channel": 2, "factor": 30.0}, "sensor_fault"),
        ("loop_chatter", "io", {"input": "c02-booth-loop"}, "loop_chatter"),
    ],
    [
        ("loop_stuck_off", "daq-c01", {"channel": 8}, "loop_stuck"),
        ("loop_chatter", "daq-c02", {"channel": 8}, "loop_chatter"),
    ],
]


@pytest.mark.parametrize("together", TOGETHER, ids=lambda rows: "+".join(row[0] for row in rows))
def test_a_fault_is_an_alarm_that_begins_and_ends(
    together: list[tuple[str, str, dict[str, object], str]], tmp_path: Path
) -> None:
    busy = load("everything-breaks")
    faults = tuple(Fault(at_s=50.0, for_s=80.0, kind=kind, device=d, options=o) for kind, d, o, _ in together)
    raised = alarms(msgspec.structs.replace(busy, fault=faults), 210.0, tmp_path)
    for _, device, _, code in together:
        of_it = [alarm for alarm in raised if alarm.code == code and alarm.device == device]
        states = [alarm.state for alarm in of_it]
        assert states in (["begin", "end"], ["begin", "end"] * 2), raised  # a sensor may seem to recover once
        assert began(of_it[0], busy.start_ns) > 50.0
        assert of_it[0].text
    assert {(alarm.code, alarm.device) for alarm in raised} == {(code, device) for _, device, _, code in together}


def began(alarm: Alarm, start_ns: int) -> float:
    return (parse_utc(alarm.time) - start_ns) / 1e9


def test_loops_of_a_device_that_is_gone_are_not_at_fault(tmp_path: Path) -> None:
    """Vehicles that pass meanwhile say nothing of them, nor what their counters ran ahead by when it is back."""
    path = tmp_path / "lane.toml"
    path.write_text("""
site = { country = "CA", port = "0453" }
lane = [{ id = "C01", traffic = "commercial" }]
point = [{ name = "approach" }, { name = "booth" }]
[[device]]
name = "io"
driver = "moxa_e1200"
url = "tcp://127.0.0.1:502"
lane = "C01"
input = [{ name = "loop", point = "booth" }]
options = { inputs = ["loop"] }
[[device]]
name = "tags"
driver = "transcore_encompass"
url = "tcp://127.0.0.1:10001"
lane = "C01"
point = "booth"
""")
    health = Health(load_config(path))

    def found(seconds: float) -> set[str]:
        return {each.condition.code for each in health.judge(at(seconds)) if each.holds}

    health.input("io", "loop", at(1), on=True, pulses=0, first=True)
    health.state(DeviceState("io", at(2), LinkState.DOWN, "Connection refused"))
    for k in range(9):
        health.read("tags", at(10 + 10 * k), f"TAG {k}", 1.0)
    assert "loop_stuck" not in found(100)
    health.state(DeviceState("io", at(100), LinkState.ONLINE, "in order"))
    health.input("io", "loop", at(100), on=True, pulses=9, first=False)
    assert "loop_chatter" not in found(101)
    for k in range(9):
        health.read("tags", at(110 + 10 * k), f"TAG B{k}", 1.0)
    assert "loop_stuck" in found(200)
