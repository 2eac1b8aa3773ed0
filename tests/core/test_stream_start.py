"""A stream begins while a vehicle is over the array: what of it is weighed says that it is not all there is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge import config
from edge.core import Wim, WimVehicle
from tests.core import regimes, world
from tests.core.world import Scene

RATE_HZ = 5000.0


def passage(kind: str, seed: int, *, stand_s: float = 0.0) -> tuple[config.Wim, npt.NDArray[np.int16], world.Vehicle]:
    """One vehicle that comes from far, perhaps stands over the array, and leaves."""
    rng = np.random.default_rng(seed)
    wim = world.array(rng, 4)
    vehicle = world.make_vehicle(rng, kind)
    last = max(sensor.x_m for sensor in wim.sensor)
    stops = [2.2] if stand_s else []
    far, end = -30.0, last + float(vehicle.positions_m[-1]) + vehicle.rear_m + 3.0
    vehicle.x = regimes.with_stops(RATE_HZ, far, end, rng, stops, (stand_s, stand_s + 0.1))
    vehicle.start = int(RATE_HZ)
    return wim, Scene(wim, [vehicle], int(vehicle.start + len(vehicle.x) + 2 * RATE_HZ), seed=seed).render(), vehicle


def measure(wim: config.Wim, samples: npt.NDArray[np.int16]) -> list[WimVehicle]:
    core = Wim(wim)
    return core.push(samples) + core.finish()


@pytest.mark.parametrize(
    ("kind", "seed", "stand_s"), [("3s2", 1, 0.0), ("truck2", 2, 0.0), ("t2s3", 3, 3.0), ("b8", 4, 0.0)]
)
def test_cut_at_any_point_of_its_passage_a_vehicle_never_looks_whole(kind: str, seed: int, stand_s: float) -> None:
    wim, samples, vehicle = passage(kind, seed, stand_s=stand_s)
    first_s = int(np.flatnonzero(vehicle.x > -0.2)[0]) / RATE_HZ
    last_s = int(np.flatnonzero(vehicle.x > vehicle.positions_m[-1] + 4.0)[0]) / RATE_HZ
    said = 0
    for cut_s in np.linspace(first_s, last_s, 24):
        found = measure(wim, samples[vehicle.start + round(cut_s * RATE_HZ) :])
        said += len(found)
        assert all("partial" in v.flags for v in found), f"cut at {cut_s:.2f} s: {found}"
    assert said > 0


@pytest.mark.parametrize("kind", ["3s2", "truck2", "car"])
def test_who_comes_from_afar_is_whole(kind: str) -> None:
    wim, samples, _ = passage(kind, 5)
    (found,) = measure(wim, samples)
    assert "partial" not in found.flags


def test_only_the_first_vehicle_of_a_stream_is_doubted() -> None:
    rng = np.random.default_rng(7)
    wim = world.array(rng, 4)
    scene = Scene(wim, *regimes.free_flow(rng, wim, 5, (25, 40)), seed=7)
    samples = scene.render()
    cut = scene.vehicles[0].start + int(np.flatnonzero(scene.vehicles[0].x > 2.0)[0])
    found = measure(wim, samples[cut:])
    assert ["partial" in v.flags for v in found[-4:]] == [False] * 4
    assert all("partial" in v.flags for v in found[:-4])
