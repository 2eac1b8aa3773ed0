"""Where a vehicle ends and the next begins: roll-backs, close followers, and how soon a vehicle is told."""

from __future__ import annotations

import numpy as np
import pytest

from edge.core import Wim
from tests.core import regimes, world
from tests.core.world import Scene


@pytest.mark.parametrize("seed", [2, 9, 11])
def test_who_rolled_back_without_a_loop_is_counted_once_and_disturbs_nobody(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wim = world.array(rng, 4, spacing=(1.0, 1.6))
    scene = Scene(wim, *regimes.rolling_back(rng, wim, 4), seed=seed)
    found = regimes.measure(scene)
    assert [len(v.axles) for v in found] == [len(v.loads_kg) for v in scene.vehicles]
    gross = [v.gross_kg / t.loads_kg.sum() - 1 for v, t in zip(found, scene.vehicles, strict=True)]
    assert np.median(np.abs(gross)) < 0.01
    assert any("reversed" in v.flags for v in found)


def test_a_vehicle_is_told_soon_after_it_left_where_nobody_stops() -> None:
    rng = np.random.default_rng(8)
    wim = world.array(rng, 4)
    scene = Scene(wim, *regimes.free_flow(rng, wim, 6, (30, 50)), seed=8)
    core, samples, waited = Wim(wim), scene.render(), []
    for i in range(0, len(samples), 500):
        waited += [(i + 500 - v.exit_scan) / wim.sample_rate_hz for v in core.push(samples[i : i + 500])]
    assert len(waited) == 6
    assert max(waited) < 5.0


def test_only_close_followers_are_flagged_as_such() -> None:
    rng = np.random.default_rng(21)
    wim = world.array(rng, 4, loop=(2.0, 2.0), mode="loop")
    apart = Scene(wim, *regimes.free_flow(rng, wim, 4, (20, 40)), seed=3)
    assert not any("tailgating" in v.flags for v in regimes.measure(apart))
    close = Scene(wim, *regimes.queue(rng, wim, 5, (0.6, 0.7), ("truck2", "car")), seed=3)
    found = regimes.measure(close)
    assert len(found) == 5
    assert "tailgating" not in found[0].flags
    assert any("tailgating" in v.flags for v in found)


@pytest.mark.parametrize("seed", [1, 4])
def test_a_stop_between_lines_does_not_move_an_axle_to_another_presence(seed: int) -> None:
    """The loop lies ahead of the first line, and a vehicle stands with a wheel behind it, close to the one ahead."""
    rng = np.random.default_rng(seed)
    wim = world.array(rng, 4, loop=(-0.2, 0.7), mode="loop")
    rate, last = wim.sample_rate_hz, max(sensor.x_m for sensor in wim.sensor)
    vehicles, start = [], round(rate)
    for kind in ("car", "3s2", "truck2", "3s2"):
        vehicle = world.make_vehicle(rng, kind)
        rear_at = vehicle.positions_m[-1] + vehicle.rear_m
        vehicle.x = regimes.with_stops(rate, -vehicle.front_m - 1.0, last + rear_at + 1.0, rng, [0.5], (8.0, 12.0))
        vehicle.start = start
        start += int(np.argmax(vehicle.x > rear_at + 0.2)) + round(0.2 * rate)  # the next one follows at once
        vehicles.append(vehicle)
    end = max(vehicle.start + len(vehicle.x) for vehicle in vehicles)
    found = regimes.measure(Scene(wim, vehicles, round(end + rate), seed=seed, loop="presence"))
    assert [len(v.axles) for v in found] == [len(v.loads_kg) for v in vehicles]


@pytest.mark.parametrize("period_ms", [20, 100])
def test_a_loop_that_lets_go_for_a_moment_cuts_nobody_in_two(period_ms: int) -> None:
    rng = np.random.default_rng(5)
    wim = world.array(rng, 4, loop=(1.5, 2.0), mode="loop")
    vehicles, scans = regimes.free_flow(rng, wim, 12, (20, 50))
    samples = Scene(wim, vehicles, scans, dynamics=0.004).render()
    period = int(period_ms * 1e-3 * wim.sample_rate_hz)
    loop = next(s.channel for s in wim.sensor if s.type == "loop")
    samples[np.arange(scans) // period % 2 == 0, loop] = 0
    core = Wim(wim)
    found = core.push(samples) + core.finish()
    assert [len(v.axles) for v in found] == [len(v.loads_kg) for v in vehicles]
    assert not any("cut_uncertain" in v.flags for v in found)


@pytest.mark.parametrize("loop", ["coverage", "presence"])
def test_a_length_is_that_of_the_vehicle_from_the_first_one_on(loop: str) -> None:
    rng = np.random.default_rng(5)
    wim = world.array(rng, 4, loop=(1.5, 2.0), mode="loop")
    vehicles, scans = regimes.free_flow(rng, wim, 12, (20, 50))
    found = regimes.measure(Scene(wim, vehicles, scans, dynamics=0.004, loop=loop))
    off_m = [v.length_m - t.length_m for v, t in zip(found, vehicles, strict=True) if v.length_m is not None]
    assert len(off_m) >= 9
    assert max(map(abs, off_m)) < 0.25


def test_two_over_a_loop_that_held_have_no_length() -> None:
    rng = np.random.default_rng(5)
    wim = world.array(rng, 4, loop=(1.5, 2.0), mode="loop")
    vehicles, scans = regimes.free_flow(rng, wim, 4, (20, 50))
    samples = Scene(wim, vehicles, scans, dynamics=0.004).render()
    loop = next(s.channel for s in wim.sensor if s.type == "loop")
    on = np.flatnonzero(samples[:, loop] > 200)
    second, third = (int(regimes.truth_scan(v)) for v in vehicles[1:3])
    samples[second : on[on > third][0] + 500, loop] = samples[:, loop].max()  # holds from the second one to the third
    core = Wim(wim)
    found = core.push(samples) + core.finish()
    wheelbases_m = [v.wheelbase_m for v in found]
    assert all(v.length_m is None or v.wheelbase_m < v.length_m < v.wheelbase_m + 10.0 for v in found), wheelbases_m
    assert sum(v.length_m is None for v in found) >= 2


@pytest.mark.parametrize("speed_mps", [2.0, 3.7, 9.0])
@pytest.mark.parametrize("loop", [None, (1.5, 2.0)])
def test_a_heavy_haul_is_not_cut_inside_a_bogie(loop: tuple[float, float] | None, speed_mps: float) -> None:
    """Tractor, jeep, trailer, booster: up to 10 m between their bogies, and inside them room for no two bumpers."""
    rng = np.random.default_rng(3)
    wim = world.array(rng, 4, loop=loop, mode="loop" if loop else "gap")
    spacings_m = np.array([4.26, 1.32, 1.37, 5.66, 1.35, 9.93, 1.31, 1.46, 4.19, 1.54])
    haul = world.make_vehicle(rng, "truck2")
    haul.positions_m = np.concatenate([[0.0], np.cumsum(spacings_m)])
    haul.loads_kg = np.array([5200.0, 8000, 7200, 9500, 8400, 8800, 9400, 7200, 7900, 8500, 7300])
    haul.left_share, haul.contact_m = np.full(11, 0.5), np.full(11, 0.22)
    haul.x = np.arange(-6.0, 48.0, speed_mps / wim.sample_rate_hz)
    haul.start = 5000
    counts = [len(v.axles) for v in regimes.measure(Scene(wim, [haul], len(haul.x) + 20_000, dynamics=0.003))]
    assert sum(counts) == 11
    assert all(spacings_m[n - 1] > 2.0 for n in np.cumsum(counts)[:-1])
