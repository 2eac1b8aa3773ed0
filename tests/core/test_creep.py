"""Cars that creep alone over the array: no line tells how fast they passed it, and sigma has to say so."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge.core import Wim, WimVehicle
from tests.core import world
from tests.core.world import Scene

CARS = 16


def wander(rng: np.random.Generator, rate_hz: float, x0: float, x1: float) -> npt.NDArray[np.float64]:
    """A clutch that slips and grips: speeds of 0.15 to 0.5 m/s that change within a second or two, never a stand."""
    step_s = 0.05
    n = int(3 * (x1 - x0) / 0.2 / step_s)
    smooth = np.exp(-np.arange(0, 6, step_s) / 0.8) * np.arange(0, 6, step_s)
    noise = np.convolve(rng.normal(size=n + len(smooth)), smooth, "valid")
    v = np.clip(0.27 + 0.1 * noise / noise.std(), 0.15, 0.5)
    t = step_s * np.arange(len(v))
    scans = np.arange(int(t[-1] * rate_hz)) / rate_hz
    x = x0 + np.cumsum(np.interp(scans, t, v)) / rate_hz
    return x[: np.searchsorted(x, x1)]


def creep(lines: int, apart_m: tuple[float, float] = (1.2, 1.6)) -> tuple[list[world.Vehicle], list[WimVehicle]]:
    rng = np.random.default_rng(3)
    wim = world.array(rng, lines, spacing=apart_m)
    cars, at = [world.make_vehicle(rng, "car") for _ in range(CARS)], 1.0
    for car in cars:
        car.x = wander(rng, wim.sample_rate_hz, -3.0, 12.0)
        car.start = int(at * wim.sample_rate_hz)
        at += len(car.x) / wim.sample_rate_hz + 1.0
    core = Wim(wim)
    found = core.push(Scene(wim, cars, int((at + 1.0) * wim.sample_rate_hz), seed=2).render()) + core.finish()
    assert [len(v.axles) for v in found] == [2] * CARS
    return cars, found


def test_creeping_cars_are_not_weighed_too_light_and_sigma_knows_the_rest() -> None:
    cars, found = creep(4)
    truth = np.array([car.loads_kg.sum() for car in cars])
    gross, sigma = np.array([v.gross_kg for v in found]), np.array([v.gross_sigma_kg for v in found])
    assert abs(np.mean(gross / truth) - 1) < 0.03
    z = (gross - truth) / sigma
    assert np.mean(np.abs(z) < 2) > 0.85
    assert np.abs(z).max() < 3.5
    assert np.max(sigma / gross) < 0.15  # and it says something


@pytest.mark.parametrize(("lines", "apart_m"), [(2, (3.3, 3.7)), (4, (1.2, 1.6))])
def test_a_wheelbase_measured_while_creeping_says_how_well(lines: int, apart_m: tuple[float, float]) -> None:
    cars, found = creep(lines, apart_m)
    off = np.array([v.axles[1].position_m - car.positions_m[1] for v, car in zip(found, cars, strict=True)])
    sigma = np.array([v.axles[1].position_sigma_m for v in found])
    assert np.mean(np.abs(off) < 2 * sigma) > 0.85
    assert np.median(sigma) < 0.2  # and it says something
