"""Strips at an angle to the lane: wheels of one axle cross them at different times, and wide tyres take longer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge import config
from edge.core import Wim, WimVehicle
from tests.core.world import G, Profile

RATE_HZ = 5000.0
# position, load, dual tyres
TRUCK = ((0.0, 6200.0, False), (4.7, 9100.0, True), (6.05, 8700.0, True))
CAR = ((0.0, 880.0, False), (2.75, 760.0, False))
Axles = tuple[tuple[float, float, bool], ...]


def strips(places: list[tuple[float, float]], halves: bool) -> config.Wim:
    """A table of strips (place of the middle, angle); the halves of one line keep their middles side by side."""
    sensors = []
    for x_m, angle_deg in places:
        for name, y_m in (("l", (0.0, 1.75)), ("r", (1.75, 3.5))) if halves else (("f", (0.0, 3.5)),):
            sensors.append(
                config.Sensor(
                    name=f"{x_m}{name}", type="strip", channel=len(sensors), x_m=x_m, y_m=y_m, width_m=0.053,
                    gain_n=4.0, angle_deg=angle_deg,
                )
            )  # fmt: skip
    return config.Wim(sample_rate_hz=RATE_HZ, sensor=tuple(sensors))


def render(wim: config.Wim, axles: Axles, way_m: npt.NDArray[np.float64], lateral_m: float) -> npt.NDArray[np.int16]:
    """Left and right wheels 1 m from the vehicle's middle line, which runs `lateral_m` right of the lane's."""
    counts = np.random.default_rng(1).normal(20, 1.5, (len(way_m), len(wim.sensor)))
    for position_m, load_kg, dual in axles:
        profile = Profile(0.21, 3.0, 0.05)
        for side in (-1, 1):
            for patch_m in (-0.17, 0.17) if dual else (0.0,):
                middle_m = 1.75 + lateral_m + side + patch_m
                for j, s in enumerate(wim.sensor):
                    assert s.y_m
                    assert s.width_m
                    assert s.gain_n
                    for y_m in middle_m + np.linspace(-0.1, 0.1, 9):
                        if not s.y_m[0] <= y_m < s.y_m[1]:
                            continue
                        ahead = np.tan(np.radians(s.angle_deg)) * (y_m - sum(s.y_m) / 2)
                        off = way_m - position_m - s.x_m - ahead
                        near = np.flatnonzero(np.abs(off) < 0.2)
                        if len(near):
                            share = profile.over(off[near], s.width_m) / (9 * (4 if dual else 2))
                            counts[near, j] += load_kg * G * share / s.gain_n
    return np.rint(counts).astype(np.int16)


def weigh(wim: config.Wim, axles: Axles, speed_mps: float, lateral_m: float, pull: float = 0.0) -> WimVehicle:
    t = np.arange(0, 18.0 / speed_mps, 1 / RATE_HZ)
    way_m = -4.0 + speed_mps * t + 0.5 * pull * t**2
    core = Wim(wim)
    found = core.push(render(wim, axles, way_m, lateral_m)) + core.finish()
    assert len(found) == 1
    return found[0]


def close(vehicle: WimVehicle, axles: Axles, rel: float) -> None:
    assert len(vehicle.axles) == len(axles)
    for mine, (position_m, load_kg, _) in zip(vehicle.axles, axles, strict=True):
        assert mine.load_kg == pytest.approx(load_kg, rel=rel)
        assert mine.position_m == pytest.approx(position_m, abs=0.03)


@pytest.mark.parametrize("lateral_m", [-0.3, 0.0, 0.25])
@pytest.mark.parametrize("speed_mps", [3.0, 11.0])
def test_one_line_at_an_angle_does_not_bend_the_motion(speed_mps: float, lateral_m: float) -> None:
    wim = strips([(0.0, 0.0), (1.1, 0.0), (2.4, 25.0), (3.9, 0.0)], halves=True)
    vehicle = weigh(wim, TRUCK, speed_mps, lateral_m, 0.4)
    close(vehicle, TRUCK, 0.005)
    assert vehicle.gross_kg == pytest.approx(24000, rel=0.003)


@pytest.mark.parametrize("axles", [TRUCK, CAR])
def test_a_strip_at_an_angle_tells_dual_tyres(axles: Axles) -> None:
    wim = strips([(0.0, 0.0), (1.1, 0.0), (2.4, 20.0), (3.9, 0.0)], halves=True)
    vehicle = weigh(wim, axles, 9.0, 0.1)
    assert [axle.dual_tyres for axle in vehicle.axles] == [dual for _, _, dual in axles]


def test_straight_strips_tell_nothing_of_tyres() -> None:
    vehicle = weigh(strips([(0.0, 0.0), (1.1, 0.0), (2.4, 0.0)], halves=True), TRUCK, 9.0, 0.0)
    assert [axle.dual_tyres for axle in vehicle.axles] == [None] * 3


@pytest.mark.parametrize(
    ("speed_mps", "angle_deg"), [(1.5, 5.0), (12.0, -6.0), (1.5, -15.0), (4.0, 18.0), (12.0, 15.0)]
)
def test_wheels_that_cross_a_whole_strip_one_after_the_other_are_one_axle(speed_mps: float, angle_deg: float) -> None:
    wim = strips([(x, angle_deg) for x in (0.0, 1.1, 2.4, 3.9)], halves=False)
    vehicle = weigh(wim, TRUCK, speed_mps, 0.1)
    close(vehicle, TRUCK, 0.01)
    assert vehicle.gross_kg == pytest.approx(24000, rel=0.005)


@pytest.mark.parametrize("lateral_m", [-0.25, 0.0, 0.2])
def test_strips_at_two_angles_tell_how_far_to_the_side_it_runs_also_at_changing_speed(lateral_m: float) -> None:
    wim = strips([(0.0, 0.0), (1.2, 15.0), (2.9, -15.0), (4.1, 0.0)], halves=True)
    t = np.arange(0, 12.0, 1 / RATE_HZ)
    way_m = -4.0 + 2.0 * t + 0.4 * np.sin(1.9 * t)  # 1.2 to 2.8 m/s
    core = Wim(wim)
    found = core.push(render(wim, TRUCK, way_m, lateral_m)) + core.finish()
    assert len(found) == 1
    assert found[0].lateral_m == pytest.approx(lateral_m, abs=0.03)
    close(found[0], TRUCK, 0.02)
    assert found[0].gross_kg == pytest.approx(24000, rel=0.01)
