"""Plates at the rates of weight transmitters: one alone tells loads, speed, spacings and vehicles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge import config
from edge.core import Wim, WimVehicle

G = 9.80665
TRUCK = ((0.0, 6100.0), (4.8, 8200.0), (6.15, 7900.0))
CAR = ((0.0, 830.0), (2.7, 760.0))


def table(rate_hz: float, places_m: tuple[float, ...] = (0.0,), width_m: float = 0.8) -> config.Wim:
    sensors = tuple(
        config.Sensor(name=f"plate{i}", type="plate", channel=i, x_m=x, y_m=(0.0, 3.5), width_m=width_m, gain_n=98.0665)
        for i, x in enumerate(places_m)
    )
    return config.Wim(sample_rate_hz=rate_hz, sensor=sensors)


def force_counts(place_m: npt.NDArray[np.float64], load_kg: float, width_m: float) -> npt.NDArray[np.float64]:
    """Counts of a wheel whose middle is `place_m` from the plate's; its footprint is an even 0.22 m."""
    share = np.clip((width_m / 2 + 0.11 - np.abs(place_m)) / 0.22, 0.0, 1.0)
    return share * load_kg * G / 98.0665


def render(
    wim: config.Wim, vehicles: list[tuple[tuple[tuple[float, float], ...], npt.NDArray[np.float64]]], noise: float = 0.7
) -> npt.NDArray[np.int16]:
    """Samples while the vehicles follow each other; each is its axles and the place of its first axle, scan by scan."""
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [np.zeros((0, 2)), *[np.stack([np.full(len(p), k), p], axis=1) for k, (_, p) in enumerate(vehicles)]]
    )
    counts = np.zeros((len(x), len(wim.sensor)))
    for k, (axles, _) in enumerate(vehicles):
        on = x[:, 0] == k
        for j, sensor in enumerate(wim.sensor):
            assert sensor.width_m
            for position, load in axles:
                counts[on, j] += force_counts(x[on, 1] - position - sensor.x_m, load, sensor.width_m)
    return np.round(counts + rng.normal(0, noise, counts.shape) + 40).astype(np.int16)


def steady(rate_hz: float, speed_mps: float, until_m: float) -> npt.NDArray[np.float64]:
    return np.arange(-8.0, until_m, speed_mps / rate_hz)


def weigh(wim: config.Wim, samples: npt.NDArray[np.int16]) -> list[WimVehicle]:
    core = Wim(wim)
    return core.push(samples) + core.finish()


@pytest.mark.parametrize(("rate_hz", "speed_mps"), [(10.0, 0.6), (25.0, 1.0), (400.0, 2.0), (2000.0, 5.0)])
def test_one_plate_tells_loads_speed_and_spacings(rate_hz: float, speed_mps: float) -> None:
    wim = table(rate_hz)
    way = steady(rate_hz, speed_mps, 22.0)
    found = weigh(wim, render(wim, [(TRUCK, way), (CAR, way), (TRUCK, way)]))
    assert [len(v.axles) for v in found] == [3, 2, 3]
    for vehicle, axles in zip(found, (TRUCK, CAR, TRUCK), strict=True):
        assert abs(vehicle.speed_mps / speed_mps - 1) < 0.05
        for mine, (position, load) in zip(vehicle.axles, axles, strict=True):
            assert abs(mine.position_m - position) < 0.3
            assert abs(mine.load_kg - load) < max(0.01 * load, 15.0)
            assert abs(mine.load_kg - load) < 3 * mine.sigma_kg


def test_an_axle_may_stand_on_the_plate_for_minutes() -> None:
    wim = table(50.0)
    way = steady(50.0, 1.0, 22.0)
    stop = int(np.searchsorted(way, 4.8))
    way = np.concatenate([way[:stop], np.full(150 * 50, way[stop]), way[stop:]])
    found = weigh(wim, render(wim, [(TRUCK, way)]))
    assert [len(v.axles) for v in found] == [3]
    assert abs(found[0].gross_kg / 22200 - 1) < 0.01
    assert "stopped_on_sensor" in found[0].flags


def test_five_samples_a_second_are_enough_for_loads() -> None:
    wim = table(5.0)
    way = steady(5.0, 0.4, 22.0)
    found = weigh(wim, render(wim, [(TRUCK, way), (CAR, way), (TRUCK, way)]))
    assert [len(v.axles) for v in found] == [3, 2, 3]
    for vehicle, axles in zip(found, (TRUCK, CAR, TRUCK), strict=True):
        for mine, (_, load) in zip(vehicle.axles, axles, strict=True):
            assert abs(mine.load_kg - load) < max(0.01 * load, 15.0)


def test_plates_and_strips_weigh_together() -> None:
    rate_hz = 2000.0
    plate = table(rate_hz, (0.0,)).sensor[0]
    strip = config.Sensor(name="strip", type="strip", channel=1, x_m=2.0, y_m=(0.0, 3.5), width_m=0.05, gain_n=20.0)
    wim = config.Wim(sample_rate_hz=rate_hz, sensor=(plate, strip))
    way = steady(rate_hz, 4.0, 22.0)
    samples = render(table(rate_hz, (0.0, 2.0)), [(TRUCK, way)]).astype(float)
    samples[:, 1] = 40 + np.random.default_rng(2).normal(0, 2, len(way))
    for position, load in TRUCK:
        place = np.abs(way - position - 2.0)
        samples[:, 1] += np.clip((0.135 - place) / 0.05, 0, 1) * load * G * 0.05 / 0.22 / 20.0
    found = weigh(wim, np.round(samples).astype(np.int16))
    assert [len(v.axles) for v in found] == [3]
    for mine, (position, load) in zip(found[0].axles, TRUCK, strict=True):
        assert abs(mine.position_m - position) < 0.1
        assert abs(mine.load_kg / load - 1) < 0.01


@pytest.mark.parametrize(("rate_hz", "speed_mps"), [(100.0, 1.0), (400.0, 2.0), (2000.0, 4.0)])
@pytest.mark.parametrize("width_m", [2.2, 3.0])
def test_two_axles_at_once_on_a_long_plate_are_weighed_one_by_one(
    rate_hz: float, speed_mps: float, width_m: float
) -> None:
    wim = table(rate_hz, width_m=width_m)
    way = steady(rate_hz, speed_mps, 22.0)
    found = weigh(wim, render(wim, [(TRUCK, way), (CAR, way), (TRUCK, way)]))
    assert [len(v.axles) for v in found] == [3, 2, 3]
    for vehicle, axles in zip(found, (TRUCK, CAR, TRUCK), strict=True):
        for mine, (position, load) in zip(vehicle.axles, axles, strict=True):
            assert abs(mine.position_m - position) < 0.3
            assert abs(mine.load_kg - load) < max(0.012 * load, 15.0)
