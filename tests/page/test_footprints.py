"""What the scope finds in waveforms by itself, and where the fitted motion puts the axles: a wrong distance shows."""

from __future__ import annotations

import itertools
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge import config as cfg
from edge.core import Wim, WimVehicle
from edge.page.footprints import Print, Way, prints
from edge.page.places import Places, paired

RATE_HZ = 1000.0
PLACES_M = (0.0, 1.2, 2.8, 4.0)


def passage(speed_mps: float, acceleration: float = 0.0, reverse: int | None = None) -> np.ndarray[Any, Any]:
    """Counts of four whole strips under three axles."""
    at = np.arange(round(16 * RATE_HZ)) / RATE_HZ - 1.0
    place_m = speed_mps * at + np.where(at > 0, acceleration / 2 * at**2, 0.0)
    counts = np.random.default_rng(2).normal(0.0, 1.0, (len(at), 4))
    for channel, x_m in enumerate(PLACES_M):
        for position_m, load_kg in ((0.0, 5500.0), (4.5, 8000.0), (5.8, 8000.0)):
            part = np.clip((0.22 + 0.053) / 2 - np.abs(place_m - position_m - x_m), 0.0, 0.053)
            counts[:, channel] += load_kg * 9.80665 * part / 0.22 / 4.0
    if reverse is not None:
        counts[:, reverse] *= -1
    return np.ascontiguousarray(np.rint(counts), np.int16)


def weighed(counts: np.ndarray[Any, Any], places_m: tuple[float, ...] = PLACES_M) -> WimVehicle:
    strips = tuple(
        cfg.Sensor(name=f"line{n}", type="strip", channel=n, x_m=x, y_m=(0.0, 3.5), width_m=0.053, gain_n=4.0)
        for n, x in enumerate(places_m)
    )
    core = Wim(cfg.Wim(sample_rate_hz=RATE_HZ, sensor=strips))
    (vehicle,) = [*core.push(counts), *core.finish()]
    return vehicle


def seen(counts: np.ndarray[Any, Any]) -> list[list[Print]]:
    return [prints(counts[:, channel], 0, 0.0, 1.0, RATE_HZ) for channel in range(4)]


def passes(vehicle: WimVehicle, places_m: tuple[float, ...] = PLACES_M) -> list[list[tuple[float, float]]]:
    way = Way(vehicle.way_from_scan, vehicle.exit_scan, vehicle.way_m)
    return [[at for axle in vehicle.axles for at in way.passes(axle.way_m or 0.0, x_m)] for x_m in places_m]


@pytest.mark.parametrize("acceleration", [0.0, 0.6, -0.15])
def test_the_fitted_motion_puts_each_axle_where_its_excursion_is(acceleration: float) -> None:
    counts = passage(2.5, acceleration)
    vehicle = weighed(counts)
    found = seen(counts)
    assert [len(mine) for mine in found] == [3, 3, 3, 3]
    for mine, excursions in zip(passes(vehicle), found, strict=True):
        for (scan, step_m), excursion in zip(sorted(mine), excursions, strict=True):
            assert abs(scan - excursion.centroid) * step_m < 0.02


def off_m(places_m: tuple[float, ...], motions: list[tuple[float, float]]) -> list[float | None]:
    places = Places(places_m)
    for speed_mps, acceleration in motions:
        counts = passage(speed_mps, acceleration)
        vehicle = weighed(counts, places_m)
        with_axle = [
            [
                (n, *at)
                for n, axle in enumerate(vehicle.axles)
                for at in Way(vehicle.way_from_scan, vehicle.exit_scan, vehicle.way_m).passes(axle.way_m or 0.0, x_m)
            ]
            for x_m in places_m
        ]
        places.vehicle(paired(with_axle, seen(counts)), RATE_HZ)
    return places.off_m()


MOTIONS = [(2.0, 0.0), (3.0, 0.4), (4.0, -0.2), (2.5, 0.1), (3.5, 0.0)]


@pytest.mark.parametrize(("line", "by_m"), [(0, 0.1), (1, -0.06), (2, 0.12), (3, 0.2)])
def test_a_wrong_distance_shows_at_that_line_and_no_other(line: int, by_m: float) -> None:
    """The configuration says `by_m` more than where the wheels pass: the sensor lies that much before."""
    wrong = tuple(x + by_m * (n == line) for n, x in enumerate(PLACES_M))
    off = off_m(wrong, MOTIONS)
    assert off[line] == pytest.approx(-by_m, abs=0.015)
    assert [off[n] for n in range(4) if n != line] == pytest.approx([0.0] * 3, abs=0.015)


def test_right_distances_show_nothing_and_few_vehicles_tell_nothing() -> None:
    assert off_m(PLACES_M, MOTIONS) == pytest.approx([0.0] * 4, abs=0.005)
    assert off_m(PLACES_M, MOTIONS[:2]) == [None] * 4


def test_a_reversed_sensor_swings_down() -> None:
    found = seen(passage(3.0, reverse=1))
    assert [excursion.sign for excursion in found[1]] == [-1, -1, -1]
    assert [excursion.sign for excursion in found[0]] == [1, 1, 1]


@given(arrays.arrays(np.int16, st.integers(0, 300)))
def test_any_counts_give_ordered_excursions_inside(counts: Any) -> None:
    found = prints(counts, 1000, 0.0, 1.0, RATE_HZ)
    assert all(1000 < p.start < p.centroid < p.end < 1000 + len(counts) for p in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


def test_rolling_back_passes_a_place_three_times() -> None:
    way = Way(0.0, 300.0, [0.0, 1.0, 0.0, 2.0])
    scans, steps = zip(*way.passes(0.0, 0.5), strict=True)
    assert scans == pytest.approx((50.0, 150.0, 225.0))
    assert steps == pytest.approx((0.01, -0.01, 0.02))


def test_a_wrong_distance_shows_where_vehicles_do_not_keep_one_acceleration() -> None:
    """An array that shrank to a point would fit any motion: what is said is of the array as it stands."""
    rng = np.random.default_rng(5)
    places = Places([0.0, 1.1, 2.95, 4.1])
    for speed_mps, swing_m in itertools.product((1.0, 1.5, 2.0, 3.0), (0.0, 0.02, 0.1)):
        seconds = np.linspace(0.0, 20.0, 20001)
        way_m = speed_mps * seconds + swing_m * np.sin(1.5 * seconds + rng.uniform(0.0, 6.0))
        passages = [
            (sensor, axle, float(np.interp(x_m + behind_m + rng.normal(0.0, 0.004), way_m, seconds)) * RATE_HZ)
            for axle, behind_m in enumerate((0.0, 4.6, 5.9))
            for sensor, x_m in enumerate((0.0, 1.1, 2.9, 4.1))
        ]
        places.vehicle(passages, RATE_HZ)
    assert places.off_m() == pytest.approx([0.0, 0.0, -0.05, 0.0], abs=0.02)
