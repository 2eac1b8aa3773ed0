"""Road and wheels against independent solutions: the spectrum of ISO 8608, and SciPy's integration of the equations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.signal import welch

from firmware_sim import scenario as sc
from firmware_sim.scenario.catalogue import TYPES
from firmware_sim.world import vehicles
from firmware_sim.world.car import Car
from firmware_sim.world.road import STEP_M, profile
from firmware_sim.world.wheels import STEP_S, WheelForces

ONLY_ROAD = sc.Effects(**{name: name == "dynamics" for name in sc.Effects.__struct_fields__})
ONLY_TRANSFER = sc.Effects(**{name: name == "load_transfer" for name in sc.Effects.__struct_fields__})


def vehicle(kind: str, seed: int = 1) -> vehicles.Vehicle:
    return vehicles.draw(
        np.random.default_rng(seed), number=1, lane="L", kind=kind, imbalance=False, lateral=False, shaped=False,
        speed_mps=(8.0, 8.0), gap_m=(1.0, 1.0), tag=None, plate="X", country="CAN",
    )  # fmt: skip


def driven(kind: str, x_m: float, v_mps: float, a_mps2: float = 0.0) -> Car:
    car = Car(vehicle(kind), x_m, v_mps, np.random.default_rng(1))
    car.tracked_s = 0.0
    car.motion.add(0.0, x_m, v_mps, a_mps2, 0.0)
    return car


@pytest.mark.parametrize(("iso_class", "g0"), [("A", 16e-6), ("B", 64e-6), ("C", 256e-6)])
def test_profile_has_the_spectrum_of_its_class(iso_class: str, g0: float) -> None:
    x, heights = profile(sc.Road(iso_class=iso_class), 0.0, 2000.0, np.random.default_rng(3))  # type: ignore[arg-type]
    assert len(x) == heights.shape[1]
    for track in heights:
        n, density = welch(track, fs=1 / STEP_M, nperseg=8192)
        band = (n > 0.05) & (n < 0.8)  # below the waves that a tyre averages away
        expected = g0 * (n[band] / 0.1) ** -2
        assert density[band].sum() / expected.sum() == pytest.approx(1.0, rel=0.25)


def test_tracks_share_long_waves_only() -> None:
    _, heights = profile(sc.Road(), 0.0, 500.0, np.random.default_rng(4))
    smooth = [np.convolve(track, np.ones(500) / 500, mode="valid") for track in heights]
    assert np.corrcoef(*smooth)[0, 1] > 0.95
    assert abs(np.corrcoef(*(np.diff(track) for track in heights))[0, 1]) < 0.5


@pytest.mark.parametrize("kind", ["truck2", "semi_3s2", "car"])
def test_forces_solve_the_quarter_vehicle(kind: str) -> None:
    from firmware_sim.world.wheels import _SPRINGS, _wheel_system

    road = profile(sc.Road(iso_class="B"), -60.0, 60.0, np.random.default_rng(5))
    car = driven(kind, -10.0, 9.0)
    forces = WheelForces(car, sc.Lane(id="L"), ONLY_ROAD, 0.0, road, np.random.default_rng(1))
    forces.keep_up(0.0, 5.0)
    times = np.arange(0.0, 4.5, STEP_S)
    got = np.stack([forces.at(wheel, times) for wheel in range(2 * len(car.vehicle.axles))])
    wheels = [(axle, wheel) for axle in car.vehicle.axles for wheel in axle.wheels]
    for row, (axle, wheel) in enumerate(wheels):
        a, b, _ = _wheel_system(wheel.load_kg, axle.suspension)
        heights = road[1][0 if wheel.left else 1]

        def height(t: float, axle: vehicles.Axle = axle, heights: np.ndarray = heights) -> float:
            place = -10.0 + 9.0 * t - car.vehicle.front_m - axle.position_m
            return float(np.interp(place, road[0], heights))

        start = np.array([height(0), 0, height(0), 0])
        solved = solve_ivp(
            lambda t, z, a=a, b=b, h=height: a @ z + b * h(t), (0, 4.5), start, t_eval=times, max_step=0.002, rtol=1e-6
        )
        tyre = _SPRINGS[axle.suspension].tyre_n_m
        expected = wheel.load_kg * 9.81 + tyre * (np.array([height(t) for t in times]) - solved.y[2])
        assert got[row] == pytest.approx(np.maximum(expected, 0), abs=0.004 * wheel.load_kg * 9.81 + 30)


@pytest.mark.parametrize("kind", sorted(TYPES))
@pytest.mark.parametrize("acceleration", [0.5, -0.8])
def test_load_transfer_keeps_the_gross_weight(kind: str, acceleration: float) -> None:
    car = driven(kind, -10.0, 5.0, acceleration)
    flat = (np.array([-100.0, 100.0]), np.zeros((2, 2)))
    forces = WheelForces(car, sc.Lane(id="L"), ONLY_TRANSFER, 0.0, flat, np.random.default_rng(1))
    forces.keep_up(0.0, 5.0)
    wheels = sum(len(axle.wheels) for axle in car.vehicle.axles)
    settled = np.array([forces.at(wheel, np.array([4.0]))[0] for wheel in range(wheels)])
    assert settled.sum() == pytest.approx(car.vehicle.gross_kg * 9.81, rel=1e-9)
    steering = settled[: len(car.vehicle.axles[0].wheels)].sum() / 9.81 - car.vehicle.axles[0].load_kg
    if car.vehicle.type.track_m:
        assert steering * acceleration < 0  # braking loads the front axle


def test_transfer_of_a_rigid_truck_is_that_of_the_textbook() -> None:
    """Mass times acceleration times height over wheelbase: 0.4 t for 20 t, 0.5 m/s2, 2 m, 5 m."""
    truck = vehicle("truck2")
    expected = truck.gross_kg * truck.type.cg_m / truck.wheelbase_m
    assert truck.transfer(False) == pytest.approx([-expected, expected])


def test_cross_fall_loads_the_lower_side() -> None:
    effects = sc.Effects(**{name: name == "side_slope" for name in sc.Effects.__struct_fields__})
    car = driven("truck2", -10.0, 5.0)
    flat = (np.array([-100.0, 100.0]), np.zeros((2, 2)))
    forces = WheelForces(car, sc.Lane(id="L", cross_fall=0.03), effects, 0.0, flat, np.random.default_rng(1))
    forces.keep_up(0.0, 1.0)
    left, right = (forces.at(wheel, np.array([0.5]))[0] for wheel in (0, 1))
    moved = 0.03 * car.vehicle.type.cg_m / car.vehicle.type.track_m
    assert right / (left + right) == pytest.approx(0.5 + moved)
