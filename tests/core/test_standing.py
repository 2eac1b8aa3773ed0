"""Vehicles whose axles stop on the strips: which crossings tell the motion, and what is left of the loads."""

from __future__ import annotations

import numpy as np
import pytest

from edge import config
from edge.core import Wim, WimVehicle
from tests.core import regimes, world
from tests.core.world import Scene, Vehicle


def lines_of(wim: config.Wim) -> list[float]:
    return sorted({s.x_m for s in wim.sensor if s.type == "strip"})


def stop(
    rng: np.random.Generator,
    wim: config.Wim,
    vehicles: list[Vehicle],
    stands: list[tuple[int, int, float]],
    stop_s: float = 6.0,
) -> Scene:
    """Each vehicle stops where an axle stands on a line, so many metres behind its centre."""
    at = 1.0
    lines = lines_of(wim)
    for v in vehicles:
        places = [float(v.positions_m[axle] + lines[line] + off) for axle, line, off in stands]
        x0, x1 = -v.front_m - 4.0, lines[-1] + v.length_m + 4.0
        v.x = regimes.with_stops(wim.sample_rate_hz, x0, x1, rng, places, (stop_s, stop_s + 2.0))
        v.start = int(at * wim.sample_rate_hz)
        at += len(v.x) / wim.sample_rate_hz + 2.0
    return Scene(wim, vehicles, int((at + 1.0) * wim.sample_rate_hz), seed=1)


def weigh(scene: Scene) -> tuple[list[WimVehicle], regimes.Result]:
    core = Wim(scene.wim)
    found = core.push(scene.render()) + core.finish()
    result = regimes.Result("")
    regimes.compare(result, scene, found)
    assert result.axles_right == result.vehicles, result.worst
    return found, result


@pytest.mark.parametrize("off_m", [-0.06, 0.0, 0.06])
@pytest.mark.parametrize("right_exponent", [None, 1.5])
def test_an_axle_that_stops_on_two_strips_keeps_its_load(off_m: float, right_exponent: float | None) -> None:
    """It passes the others alone, and only smoothness tells how fast: not at a standstill, where no flank is wrong."""
    rng = np.random.default_rng(11)
    wim = world.array(rng, 4, spacing=(1.2, 1.4), loop=(1.0, 2.0), mode="loop")
    vehicles = [world.make_vehicle(rng, kind) for kind in ("truck2", "bus", "truck2", "van")]
    for v in vehicles:
        v.right_exponent = right_exponent
    _, result = weigh(stop(rng, wim, vehicles, [(1, 1, off_m), (1, 3, -off_m)]))
    assert np.abs(result.gross).max() < 0.04, result.worst
    assert np.abs(result.axle).max() < 0.08
    assert np.abs(result.axle_z).max() < 3.0


@pytest.mark.parametrize("off_m", [-0.05, 0.05])
def test_a_tandem_that_stands_on_two_lines_at_once(off_m: float) -> None:
    rng = np.random.default_rng(12)
    wim = world.array(rng, 4, spacing=(1.319, 1.3191), loop=(1.0, 2.0), mode="loop")
    vehicles = [world.make_vehicle(rng, "3s2") for _ in range(3)]
    for v in vehicles:
        v.positions_m[2:] += 1.319 - (v.positions_m[2] - v.positions_m[1])
    _, result = weigh(stop(rng, wim, vehicles, [(1, 2, off_m)]))
    assert np.abs(result.gross).max() < 0.02, result.worst
    assert np.abs(result.axle).max() < 0.05


@pytest.mark.parametrize("off_m", [-0.06, -0.04, 0.04, 0.06])
def test_the_time_is_when_the_first_axle_was_over_the_first_line_before_or_after_its_stop(off_m: float) -> None:
    rng = np.random.default_rng(13)
    wim = world.array(rng, 4)
    vehicles = [world.make_vehicle(rng, kind) for kind in ("truck2", "3s2", "car")]
    _, result = weigh(stop(rng, wim, vehicles, [(0, 0, off_m)]))
    assert np.abs(result.time_s).max() < 0.3
    assert np.abs(result.gross).max() < 0.02, result.worst


def test_the_sigma_grows_where_no_line_was_passed_cleanly() -> None:
    rng = np.random.default_rng(14)
    wim = world.array(rng, 4, spacing=(1.2, 1.4), loop=(1.0, 2.0), mode="loop")
    clean = [world.make_vehicle(rng, "truck2") for _ in range(4)]
    scene = stop(rng, wim, clean, [(1, 0, 0.05), (1, 1, -0.05), (1, 2, 0.06), (1, 3, -0.04)], 3.0)
    found, result = weigh(scene)
    assert np.abs(result.axle_z).max() < 3.0
    for vehicle in found:
        steering, stopped = (axle.sigma_kg / axle.load_kg for axle in vehicle.axles)
        assert stopped > 2.0 * steering
        assert "stopped_on_sensor" in vehicle.flags
