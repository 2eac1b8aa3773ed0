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
