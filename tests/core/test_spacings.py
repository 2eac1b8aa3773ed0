"""Distances between axles: measured where a strip saw them, admitted where none did."""

from __future__ import annotations

import numpy as np
import pytest

from edge.core import Wim
from tests.accuracy import hard_world as hw
from tests.core import regimes, world
from tests.core.world import Scene


def standing(seed: int, kind: str, at_m: float, stand_s: float) -> Scene:
    """A vehicle that stands once, with its first axle `at_m` beyond x = 0."""
    rng = np.random.default_rng(seed)
    wim = world.array(rng, 4, spacing=(1.1, 1.4))
    vehicle = world.make_vehicle(rng, kind)
    last = max(sensor.x_m for sensor in wim.sensor)
    end = last + vehicle.length_m + 3.0
    vehicle.x = regimes.with_stops(wim.sample_rate_hz, -25.0, end, rng, [at_m], (stand_s, stand_s + 0.1))
    vehicle.start = round(wim.sample_rate_hz)
    return Scene(wim, [vehicle], round(vehicle.start + len(vehicle.x) + 2 * wim.sample_rate_hz), seed=seed)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_stop_between_tractor_and_trailer_is_admitted(seed: int) -> None:
    scene = standing(seed, "3s2", 12.0, 9.0)  # tractor off the array, trailer's tandem not on it yet
    (found,) = regimes.measure(scene)
    truth = scene.vehicles[0].positions_m
    assert "spacing_uncertain" in found.flags
    assert found.length_m is None
    for axle, true in zip(found.axles, truth, strict=True):
        assert abs(axle.position_m - true) <= 3 * axle.position_sigma_m + 0.01
    apart = np.diff([axle.position_m for axle in found.axles])
    assert apart.max() < 13.5
    sigmas = [axle.position_sigma_m for axle in found.axles]
    assert sigmas == sorted(sigmas)
    assert sigmas[2] < 0.1 < 0.5 < sigmas[3]


@pytest.mark.parametrize("kind", ["3s2", "t2s3", "truck2", "b8"])
def test_who_drives_on_has_distances_to_a_centimetre(kind: str) -> None:
    rng = np.random.default_rng(4)
    wim = world.array(rng, 4)
    scene = Scene(wim, *regimes.free_flow(rng, wim, 1, (30, 50), (kind,)), seed=4)
    (found,) = regimes.measure(scene)
    assert "spacing_uncertain" not in found.flags
    for axle, true in zip(found.axles, scene.vehicles[0].positions_m, strict=True):
        assert abs(axle.position_m - true) < 0.02
        assert abs(axle.position_m - true) <= 2 * axle.position_sigma_m + 1e-9
        assert axle.position_sigma_m < 0.05


def test_lateral_position_is_null_without_strips_at_an_angle() -> None:
    rng = np.random.default_rng(4)
    wim = world.array(rng, 4)
    scene = Scene(wim, *regimes.free_flow(rng, wim, 1, (30, 50), ("3s2",)), seed=4)
    (found,) = regimes.measure(scene)
    assert found.lateral_m is None


@pytest.mark.parametrize("aside_m", [-0.25, 0.0, 0.2])
def test_strips_at_an_angle_tell_where_across_the_lane_it_drove(aside_m: float) -> None:
    rng = np.random.default_rng(6)
    body = hw.grow(rng, "3s2")
    body.aside_m = aside_m
    motions = hw.one_by_one(rng, [body], hw.free, hw.FOUR_LINES, apart_s=1.0)
    scene = hw.Scene(hw.table(angles=(0.0, 15.0, -15.0, 0.0)), [body], motions, 6)
    core = Wim(scene.wim)
    (found,) = core.push(np.concatenate(list(scene.samples()))) + core.finish()
    assert found.lateral_m == pytest.approx(aside_m, abs=0.06)
