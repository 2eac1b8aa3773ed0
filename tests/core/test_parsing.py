"""One row of axles, several readings: what loads, loops and a lost beginning say of where a vehicle ends."""

from __future__ import annotations

import numpy as np
import pytest

from edge.core import Wim, WimVehicle
from tests.core import regimes, world
from tests.core.world import Scene, Vehicle

FULL_TRAILER_M = (0.0, 4.8, 6.13, 11.0, 16.2)  # or a lorry of three axles and one of two
LOADED_KG = (6400.0, 8300.0, 8100.0)


def row(rng: np.random.Generator, cuts: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]) -> list[Vehicle]:
    """Vehicles of given axles that move as one body at walking pace; places of the axles count through the row."""
    vehicles = []
    for places, loads in cuts:
        v = world.make_vehicle(rng, "truck2" if len(places) == 2 else "3s2")
        v.positions_m, v.loads_kg = np.array(places) - places[0], np.array(loads)
        v.left_share = np.resize(v.left_share, len(places))
        v.contact_m = np.resize(v.contact_m, len(places))
        rate, first = 5000.0, places[0]
        v.x = world.drive(rate, -6.0 - first, 9.0 + v.positions_m[-1], lambda x, t: 1.6)
        v.start = round(rate)
        vehicles.append(v)
    return vehicles


def weigh(vehicles: list[Vehicle], seed: int) -> list[WimVehicle]:
    wim = world.array(np.random.default_rng(seed), 4)
    end = max(v.start + len(v.x) for v in vehicles) + 10_000
    return regimes.measure(Scene(wim, vehicles, end, seed=seed))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_laden_lorry_and_an_empty_one_are_two_where_a_laden_trailer_would_be_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    front, rear = FULL_TRAILER_M[:3], FULL_TRAILER_M[3:]
    two = weigh(row(rng, ((front, LOADED_KG), (rear, (2700.0, 2500.0)))), seed)
    assert [len(v.axles) for v in two] == [3, 2]
    one = weigh(row(rng, ((FULL_TRAILER_M, (*LOADED_KG, 7900.0, 8200.0)),)), seed)
    assert [len(v.axles) for v in one] == [5]


@pytest.mark.parametrize("seed", [5, 7])
def test_a_loop_whose_dips_mean_nothing_cuts_no_vehicle_in_two(seed: int) -> None:
    """A wide field sees many metres at once: its amplitude falls and rises anywhere."""
    rng = np.random.default_rng(seed)
    wim = world.array(rng, 4, loop=(2.0, 0.7), mode="loop")
    scene = Scene(wim, *regimes.queue(rng, wim, 6, (0.6, 0.9), ("3s2",)), seed=seed)
    samples, t = scene.render(), np.arange(scene.scans) / wim.sample_rate_hz
    loop = next(s for s in wim.sensor if s.type == "loop")
    assert loop.threshold_counts
    samples[:, loop.channel] = loop.threshold_counts * (5.0 + 3.0 * np.sin(0.9 * t))
    core = Wim(wim)
    found = core.push(samples) + core.finish()
    assert [len(v.axles) for v in found] == [5] * 6


def test_what_lost_its_beginning_is_half_a_vehicle_at_most() -> None:
    rng = np.random.default_rng(3)
    wim = world.array(rng, 4)
    scene = Scene(wim, *regimes.free_flow(rng, wim, 3, (20, 30), ("3s2",)), seed=3)
    samples, truth = scene.render(), scene.vehicles[1]
    cut = truth.start + int(np.argmax(truth.x > truth.positions_m[1] + 0.5))
    core = Wim(wim)
    found = core.push(samples[cut:]) + core.finish()
    assert "partial" in found[0].flags
    assert found[0].whole <= 0.5
    assert all(axle.load_kg > 50.0 for v in found for axle in v.axles)
    whole = found[-1]
    assert "partial" not in whole.flags
    assert whole.whole > 0.98
