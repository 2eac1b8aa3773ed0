"""The weighing core on made recordings: what is found, that blocks do not matter, that nothing crashes it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import config
from edge.core import CoreError, Wim, WimVehicle
from tests.core import regimes, world
from tests.core.regimes import compare, measure
from tests.core.world import Scene

# regime: vehicles found, axle counts right, 95 % of gross errors, 95 % of axle errors (the figures to reach)
FIGURES = {
    "free": (1.0, 0.995, 0.02, 0.04),
    "slow": (1.0, 0.995, 0.015, 0.03),
    "queue": (1.0, 0.99, 0.03, 0.05),
    "two": (1.0, 0.99, 0.04, 0.07),
    "quartz": (1.0, 0.99, 0.025, 0.05),
    "quartz-slow": (1.0, 0.99, 0.025, 0.05),
    "noisy": (0.99, 0.98, 0.03, 0.06),
    "motorcycle": (1.0, 0.99, 0.03, 0.06),
    "stops-loop": (1.0, 0.99, 0.04, 0.07),
    "stops": (1.0, 0.99, 0.04, 0.07),
}


@pytest.mark.parametrize("regime", FIGURES)
def test_regimes_reach_their_figures(regime: str) -> None:
    found, axles, gross95, axle95 = FIGURES[regime]
    result = regimes.run(regime, range(100, 103))
    assert result.found >= found * result.vehicles, result.worst
    assert result.invented == 0, result.worst
    assert result.axles_right >= axles * result.found, result.worst
    assert np.percentile(np.abs(result.gross), 95) <= gross95, result.row()
    assert np.percentile(np.abs(result.axle), 95) <= axle95, result.row()
    assert np.mean(np.abs(result.gross_z) < 3) > 0.9, result.row()


@pytest.fixture(scope="module")
def short_scene() -> tuple[Scene, np.ndarray]:
    rng = np.random.default_rng(5)
    wim = world.array(rng, 3, tau_s=2.0, loop=(1.0, 1.5), mode="loop")
    scene = Scene(wim, *regimes.free_flow(rng, wim, 3, (20, 40)), seed=1, spikes_per_s=3, hum=5)
    return scene, scene.render()


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(1, 5000), min_size=1, max_size=60))
def test_the_cut_into_blocks_does_not_matter(short_scene: tuple[Scene, np.ndarray], cuts: list[int]) -> None:
    scene, samples = short_scene
    whole = Wim(scene.wim)
    expected = whole.push(samples) + whole.finish()
    wim = Wim(scene.wim)
    found: list[WimVehicle] = []
    at = i = 0
    while at < len(samples):
        step = cuts[i % len(cuts)] if i < 300 else 40_000
        found += wim.push(samples[at : at + step])
        at += step
        i += 1
    found += wim.finish()
    assert len(expected) == 3
    assert found == expected  # bit for bit
    assert wim.channels() == whole.channels()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["white", "walk", "steps", "pulses", "rails"]),
    lines=st.integers(2, 8),
    rate=st.sampled_from([100.0, 997.0, 5000.0, 50_000.0]),
    loop=st.booleans(),
    tau=st.sampled_from([0.0, 0.5, 5.0]),
)
def test_no_samples_crash_it(seed: int, kind: str, lines: int, rate: float, loop: bool, tau: float) -> None:
    rng = np.random.default_rng(seed)
    table = world.array(rng, lines, rate_hz=rate, tau_s=tau, loop=(0.5, 1.5) if loop else None, mode="loop")
    wim = Wim(table)
    channels = max(s.channel for s in table.sensor) + 1
    shape = (20_000, channels)
    if kind == "white":
        x = rng.integers(-32768, 32768, shape)
    elif kind == "walk":
        x = np.cumsum(rng.normal(0, 50, shape), axis=0)
    elif kind == "steps":
        x = np.repeat(rng.integers(-3000, 9000, (shape[0] // 100, channels)), 100, axis=0)
    elif kind == "pulses":
        x = np.where(rng.random((shape[0] // 50, channels)) < 0.2, 4000, 0).repeat(50, axis=0)
    else:
        x = np.where(rng.random(shape) < 0.5, 32767, -32768)
    samples = np.clip(x, -32768, 32767).astype(np.int16)
    found = wim.push(samples[:7000]) + wim.gap(int(rng.integers(0, 1 << 40))) + wim.push(samples[7000:]) + wim.finish()
    for vehicle in found:
        assert all(np.isfinite([a.load_kg, a.sigma_kg, a.position_m]).all() for a in vehicle.axles)
        assert np.isfinite([vehicle.gross_kg, vehicle.gross_sigma_kg, vehicle.first_axle_scan]).all()
        assert vehicle.gross_sigma_kg > 0
    assert len(wim.channels()) == len(table.sensor)


def test_more_channels_than_sensors_are_ignored(short_scene: tuple[Scene, np.ndarray]) -> None:
    scene, samples = short_scene
    wide = np.concatenate([samples, np.full((len(samples), 3), 77, np.int16)], axis=1)
    a, b = Wim(scene.wim), Wim(scene.wim)
    assert a.push(np.ascontiguousarray(wide)) + a.finish() == b.push(samples) + b.finish()


def test_a_gap_lets_time_go_on_and_flags_what_was_open(short_scene: tuple[Scene, np.ndarray]) -> None:
    scene, samples = short_scene
    at = int(regimes.truth_scan(scene.vehicles[1])) + 2000  # the second vehicle is over the array
    wim = Wim(scene.wim)
    before = wim.push(samples[:at])
    assert wim.open_since is not None
    before += wim.gap(1_000_000)
    assert wim.scans == at + 1_000_000
    assert "partial" in before[-1].flags
    after = wim.push(samples[at:]) + wim.finish()
    expected = regimes.truth_scan(scene.vehicles[2]) + 1_000_000
    assert abs(after[-1].first_axle_scan - expected) < 50


@pytest.fixture(scope="module")
def slow_truck() -> tuple[Scene, np.ndarray]:
    """A five-axle truck at 0.5 m/s over four lines and a loop."""
    rng = np.random.default_rng(8)
    wim = world.array(rng, 4, loop=(1.5, 2.0), mode="loop")
    truck = world.make_vehicle(rng, "3s2")
    truck.x = world.drive(5000.0, -6.0, 10.0 + truck.length_m, lambda x, t: 0.5)
    truck.start = 1000
    scene = Scene(wim, [truck], truck.start + len(truck.x) + 10_000, seed=2)
    return scene, scene.render()


def test_who_stands_on_the_loop_at_the_end_of_a_gap_is_partial(slow_truck: tuple[Scene, np.ndarray]) -> None:
    scene, samples = slow_truck
    steered = int(regimes.truth_scan(scene.vehicles[0])) + 30_000  # steered over all lines; the next axle takes 4 s
    wim = Wim(scene.wim)
    wim.push(samples[: steered - 12_000])
    wim.gap(12_000)
    found = wim.push(samples[steered:]) + wim.finish()
    assert len(found[-1].axles) == 4
    assert "partial" in found[-1].flags


def test_a_loop_in_use_again_cuts_nothing_by_what_it_said_at_fault(slow_truck: tuple[Scene, np.ndarray]) -> None:
    scene, samples = slow_truck
    middle = int(regimes.truth_scan(scene.vehicles[0])) + 80_000  # in the middle of the truck
    chatters = samples.copy()
    chatters[:middle, -1] = 2000 * (np.arange(middle) // 700 % 2)
    wim = Wim(scene.wim)
    found = wim.push(chatters[:5000])
    wim.ignore_loops(True)
    found += wim.push(chatters[5000:middle])
    wim.ignore_loops(False)
    found += wim.push(chatters[middle:]) + wim.finish()
    assert [len(vehicle.axles) for vehicle in found] == [5]


def test_a_wheel_that_stands_for_minutes_does_not_lift_the_baseline() -> None:
    rng = np.random.default_rng(3)
    wim = world.array(rng, 4, loop=(0.5, 2.0), mode="loop")
    v = world.make_vehicle(rng, "truck2")
    lines = sorted({s.x_m for s in wim.sensor if s.type == "strip"})
    stop = float(lines[1])  # the steering axle stands on the second line
    v.x = regimes.with_stops(5000.0, -5.0, lines[-1] + v.length_m + 4, rng, [stop], (240, 240))
    v.start = 5000
    scene = Scene(wim, [v], v.start + len(v.x) + 5000, drift=0.5)
    result = regimes.Result("stand")
    compare(result, scene, measure(scene))
    assert result.axles_right == 1
    assert abs(result.gross[0]) < 0.02


@pytest.mark.parametrize("fault", ["dead", "reversed"])
def test_a_channel_at_fault_is_worked_around_and_named(fault: str) -> None:
    rng = np.random.default_rng(11)
    wim = world.array(rng, 4)
    scene = Scene(wim, *regimes.free_flow(rng, wim, 8, (30, 50)), **{fault: (3,)})
    core = Wim(wim)
    found = core.push(scene.render()) + core.finish()
    result = regimes.Result(fault)
    compare(result, scene, found)
    assert result.axles_right == 8
    assert result.invented == 0
    assert np.max(np.abs(result.gross)) < 0.02
    assert all("sensor_fault" in vehicle.flags for vehicle in found)
    assert core.channels()[3].state == fault


def test_a_whole_dead_line_does_not_stop_the_others() -> None:
    rng = np.random.default_rng(12)
    wim = world.array(rng, 4)
    for line in ((0, 1), (2, 3), (6, 7)):
        scene = Scene(wim, *regimes.free_flow(rng, wim, 8, (30, 50)), dead=line)
        result = regimes.Result("dead line")
        compare(result, scene, measure(scene))
        assert result.axles_right == 8, result.worst
        assert np.max(np.abs(result.gross)) < 0.03


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda s: [replace_(s[0], channel=1), *s[1:]], "is used by"),
        (lambda s: [replace_(s[0], x_m=s[1].x_m), *s[1:]], "same place"),
        (lambda s: s[:1], "at least two lines"),
        (lambda s: [replace_(s[0], width_m=0.0), *s[1:]], "width_m"),
        (lambda s: [replace_(s[0], gain_n=0.0), *s[1:]], "gain_n"),
        (lambda s: [replace_(s[0], coupling_tau_s=-1.0), *s[1:]], "coupling_tau_s"),
        (lambda s: [], "nothing can be weighed"),
    ],
)
def test_a_table_that_cannot_work_is_named(change, text: str) -> None:  # type: ignore[no-untyped-def]
    wim = world.array(np.random.default_rng(0), 2, halves=False)
    with pytest.raises(CoreError, match=text):
        Wim(config.Wim(sample_rate_hz=5000.0, sensor=tuple(change(list(wim.sensor)))))


def replace_(sensor: config.Sensor, **changes: object) -> config.Sensor:
    import msgspec

    return msgspec.structs.replace(sensor, **changes)


def test_wrong_samples_are_refused() -> None:
    wim = Wim(world.array(np.random.default_rng(0), 2, halves=False))
    with pytest.raises(CoreError, match="int16"):
        wim.push(np.zeros((10, 2), np.float64))  # type: ignore[arg-type]
    with pytest.raises(CoreError, match="channels"):
        wim.push(np.zeros((10, 1), np.int16))
    wim.push(np.zeros((10, 2), np.int16))
    with pytest.raises(CoreError, match="began with"):
        wim.push(np.zeros((10, 3), np.int16))


def test_temperature_goes_into_the_loads(short_scene: tuple[Scene, np.ndarray]) -> None:
    rng = np.random.default_rng(5)
    table = world.array(rng, 3)
    hot = tuple(replace_(s, temp_coeff_per_c=0.004) for s in table.sensor)
    table = config.Wim(sample_rate_hz=5000.0, temperature_c=45.0, sensor=hot)
    scene = Scene(table, *regimes.free_flow(rng, table, 3, (20, 40)), seed=1)
    result = regimes.Result("hot")
    compare(result, scene, measure(scene))
    assert np.max(np.abs(result.gross)) < 0.01
    assert replace(scene).wim.temperature_c == 45.0
