"""Against braking, hum, spikes, rough roads and a line that is wrong, each on made recordings of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from edge.core import Wim, WimVehicle
from tests.core import regimes, world
from tests.core.world import Scene


def weigh(scene: Scene, samples: npt.NDArray[np.int16]) -> list[WimVehicle]:
    core = Wim(scene.wim)
    return core.push(samples) + core.finish()


def compared(scene: Scene, found: list[WimVehicle]) -> regimes.Result:
    result = regimes.Result("")
    regimes.compare(result, scene, found)
    assert result.axles_right == result.vehicles, result.worst
    return result


def within_95(errors: list[float]) -> float:
    return float(np.percentile(np.abs(errors), 95))


def changing_speed(height_m: float, seed: int = 3) -> Scene:
    rng = np.random.default_rng(seed)
    wim = world.array(rng, 4)
    rigid = ("truck2", "truck3", "bus")
    vehicles, scans = regimes.wandering(rng, wim, 14, (3, 25), rigid)
    return Scene(wim, vehicles, scans, seed=1, height_m=height_m, dynamics=0.004, hop=0.002)


def test_load_that_braking_moves_is_seen_and_put_right() -> None:
    scene = changing_speed(1.2)
    found = weigh(scene, scene.render())
    result = compared(scene, found)
    plain = []
    for vehicle, true in zip(found, sorted(scene.vehicles, key=regimes.truth_scan), strict=True):
        for axle, kg in zip(vehicle.axles, true.loads_kg, strict=True):
            plain.append(sum(of_sensor or 0.0 for of_sensor in axle.sensor_kg) / 4 / kg - 1)
    assert np.std(plain) > 0.03  # what was moved
    assert np.std(result.axle) < 0.5 * np.std(plain)
    assert within_95(result.gross) < 0.02
    assert np.mean(np.abs(result.axle_z) < 2) > 0.85


def motorcycles(pulls_mps2: list[float], height_m: float) -> Scene:
    """One after the other, at 10 m/s over the first line and with one acceleration over all of them."""
    rng = np.random.default_rng(5)
    wim = world.array(rng, 4)
    vehicles, at = [], 1.0
    t = np.arange(-0.8, 1.2, 1 / wim.sample_rate_hz)
    for pull in pulls_mps2:
        v = world.make_vehicle(rng, "motorcycle")
        v.left_share[:] = 1.0
        v.x = 10.0 * t + 0.5 * pull * t * t
        v.start = int(at * wim.sample_rate_hz)
        at += 3.0
        vehicles.append(v)
    return Scene(wim, vehicles, int((at + 1) * wim.sample_rate_hz), seed=1, height_m=height_m)


def test_what_braking_moves_on_a_motorcycle_is_in_the_sigma_of_its_axles_and_not_of_its_gross_weight() -> None:
    scene = motorcycles([-1.0, 0.7, -0.5, 0.4, 0.9, -0.7], 0.6)
    found = weigh(scene, scene.render())
    result = compared(scene, found)
    assert max(map(abs, result.axle)) > 0.02  # both axles at one acceleration: nothing tells it from their loads
    assert max(map(abs, result.axle_z)) < 2.0
    for vehicle in found:
        first, second = vehicle.axles
        assert vehicle.gross_sigma_kg < 0.3 * (first.sigma_kg + second.sigma_kg)
    assert within_95(result.gross) < 0.01


def test_where_nothing_is_moved_motorcycles_that_brake_are_weighed_as_they_are() -> None:
    """What lines cannot tell must not wander off: load never moves against the pull."""
    scene = motorcycles([-1.0, 0.7, -0.5, 0.4, 0.9, -0.7] * 4, 0.0)
    result = compared(scene, weigh(scene, scene.render()))
    assert within_95(result.axle) < 0.02
    assert max(map(abs, result.axle_z)) < 2.0


def test_a_motorcycle_at_a_steady_speed_keeps_its_narrow_sigma() -> None:
    scene = motorcycles([0.0] * 6, 0.6)
    for vehicle in weigh(scene, scene.render()):
        assert all(axle.sigma_kg < 0.015 * axle.load_kg for axle in vehicle.axles)


def test_nothing_is_put_right_where_nothing_was_moved() -> None:
    scene = replace(changing_speed(0.0), dynamics=0.0, hop=0.0)
    result = compared(scene, weigh(scene, scene.render()))
    assert within_95(result.gross) < 0.003
    assert within_95(result.axle) < 0.006


@pytest.mark.parametrize("hum_hz", [49.6, 50.0, 60.0, 60.5])
def test_hum_off_its_frequency_is_taken_out(hum_hz: float) -> None:
    rng = np.random.default_rng(5)
    wim = world.array(rng, 4)
    scene = Scene(wim, *regimes.free_flow(rng, wim, 10, (25, 50), ("car", "van", "truck2")), seed=2, noise=6, hum=30)
    result = compared(scene, weigh(scene, replace(scene, hum_hz=hum_hz).render()))
    assert within_95(result.gross) < 0.004
    assert within_95(result.axle) < 0.008


def test_a_bow_wave_under_strong_hum_is_not_taken_for_the_baseline() -> None:
    rng = np.random.default_rng(6)
    wim = world.array(rng, 4)
    scene = Scene(wim, *regimes.free_flow(rng, wim, 14, (25, 50)), seed=3, noise=12, hum=30, hum_hz=50.3, bow_wave=0.02)
    result = compared(scene, weigh(scene, scene.render()))
    assert within_95(result.gross[4:]) < 0.02
    assert abs(np.mean(result.gross[4:])) < 0.01


def test_hum_under_a_standing_wheel_does_not_matter() -> None:
    rng = np.random.default_rng(8)
    wim = world.array(rng, 4)
    scene = Scene(wim, *regimes.stopping(rng, wim, 4, (2, 6)), seed=4, noise=3, hum=25, hum_hz=50.4)
    quiet = weigh(scene, replace(scene, hum=0.0).render())
    found = weigh(scene, scene.render())
    for with_hum, without in zip(found, quiet, strict=True):
        assert with_hum.gross_kg == pytest.approx(without.gross_kg, rel=0.02)


def test_spikes_of_some_milliseconds_do_not_count_as_load() -> None:
    rng = np.random.default_rng(7)
    wim = world.array(rng, 4)
    scene = Scene(wim, *regimes.free_flow(rng, wim, 8, (30, 50)), seed=5)
    clean = scene.render()
    samples = clean.astype(float)
    tail = 20_000 * np.exp(-np.arange(60) / 4.0)
    for v in scene.vehicles:
        for s in wim.sensor[:3]:  # shortly before the first wheel of each vehicle, and behind it
            at = v.start + int(np.searchsorted(v.x, s.x_m))
            for when in (at - 250, at + 200):
                samples[when : when + 60, s.channel] += tail
    found = weigh(scene, np.clip(samples, -32768, 32767).astype(np.int16))
    expected = weigh(scene, clean)
    assert len(found) == len(expected) == 8
    for mine, right in zip(found, expected, strict=True):
        assert [a.load_kg for a in mine.axles] == pytest.approx([a.load_kg for a in right.axles], rel=0.01)


def test_a_rough_road_is_averaged_over_all_lines() -> None:
    """As good as the plain mean of the lines: no line is believed more because it happens to be near another."""
    blended, plain = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        wim = world.array(rng, 4, halves=False)
        scene = Scene(wim, *regimes.free_flow(rng, wim, 12, (30, 50)), seed=seed, dynamics=0.08, hop=0.04)
        found = weigh(scene, scene.render())
        blended += compared(scene, found).gross
        for vehicle, true in zip(found, sorted(scene.vehicles, key=regimes.truth_scan), strict=True):
            lines = [np.mean([kg for kg in axle.sensor_kg if kg]) for axle in vehicle.axles]
            plain.append(sum(lines) / true.loads_kg.sum() - 1)
            assert "unequal_lines" not in vehicle.flags
    assert np.std(blended) < 1.05 * np.std(plain)


def test_a_line_with_a_wrong_gain_is_named_and_doubted() -> None:
    rng = np.random.default_rng(9)
    wim = world.array(rng, 4)
    scene = Scene(wim, *regimes.free_flow(rng, wim, 20, (30, 50)), seed=6, dynamics=0.015, hop=0.005)
    samples = scene.render().astype(float)
    for s in wim.sensor[4:6]:  # the third line
        base = np.median(samples[:, s.channel])
        samples[:, s.channel] = base + 1.15 * (samples[:, s.channel] - base)
    found = weigh(scene, np.rint(samples).astype(np.int16))
    result = compared(scene, found)
    assert all("unequal_lines" in vehicle.flags for vehicle in found[-8:])
    assert within_95(result.gross[-8:]) < 0.02


def test_swapped_halves_of_a_line_are_read_the_right_way_round() -> None:
    rng = np.random.default_rng(10)
    wim = world.array(rng, 4)
    scene = Scene(wim, *regimes.free_flow(rng, wim, 30, (30, 50)), seed=7, skew_m=0.0)
    samples = scene.render()
    samples[:, [4, 5]] = samples[:, [5, 4]]  # the third line
    found = weigh(scene, samples)
    sides = []
    for vehicle, true in zip(found[-8:], sorted(scene.vehicles, key=regimes.truth_scan)[-8:], strict=True):
        assert "sensor_fault" in vehicle.flags
        for axle, kg, left in zip(vehicle.axles, true.loads_kg, true.left_share, strict=True):
            assert axle.left_kg is not None
            sides.append(axle.left_kg / kg - left)
    assert max(np.abs(sides)) < 0.003
    straight = weigh(scene, scene.render())
    assert not any("sensor_fault" in vehicle.flags for vehicle in straight)
