"""Forces of the wheels on the road: motion, road and load in, newtons in time out. Called by `array.py`.

Each wheel is a quarter vehicle (sprung mass on spring and damper, unsprung mass, tyre spring) over the road profile of
its track: body bounce at 1-2 Hz laden and 3-4 Hz empty, axle hop at 8-15 Hz. To that come the share of load that
acceleration and grade move between axles (through a pitching body), cross fall and bends between left and right, and
what friction in the suspension keeps from the last stand. The model is linear in time, so it is advanced exactly, mode
by mode, in chunks on a fixed grid of world time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_sim.scenario import Effects, Lane
from firmware_sim.world.car import Car
from firmware_sim.world.vehicles import Vehicle

G = 9.81
STEP_S = 1 / 400
CHUNK = 80  # steps
AHEAD_S = (CHUNK + 4) * STEP_S  # motion must be known that much longer than forces are asked for
_REST_S = 5.0  # after that time of standing nothing moves any more

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Spring:
    """Of one wheel end: unsprung mass; body frequency of the full vehicle; damping ratios; tyre stiffness."""

    unsprung_kg: float
    spring_n_m: float
    damping_ns_m: float
    tyre_n_m: float


_SPRINGS = {
    "steer": _Spring(350.0, 3.0e5, 1.1e4, 1.0e6),
    "drive": _Spring(550.0, 3.5e5, 2.4e4, 1.9e6),
    "trailer": _Spring(430.0, 5.5e5, 1.7e4, 1.8e6),
    "car": _Spring(42.0, 2.4e4, 1.7e3, 2.1e5),
    "cycle": _Spring(18.0, 1.5e4, 1.2e3, 1.5e5),
}


class _Modes:
    """A bank of linear systems of equal order with one input each, advanced in chunks by their modes."""

    def __init__(self, systems: list[npt.NDArray[np.float64]], inputs: list[Floats], outputs: list[Floats]) -> None:
        values, self._gain, self._out = [], [], []
        for a, b, c in zip(systems, inputs, outputs, strict=True):
            eigen, vectors = np.linalg.eig(a)
            values.append(eigen)
            held = np.linalg.solve(vectors, b.astype(complex)) * (np.exp(eigen * STEP_S) - 1) / eigen
            self._gain.append(held)
            self._out.append(c @ vectors)
        rho = np.exp(np.array(values) * STEP_S)  # (systems, modes)
        self._gain_of = np.array(self._gain)
        self._out_of = np.array(self._out)
        steps = np.arange(CHUNK)
        self._powers = rho[:, :, None] ** steps
        self._inverse = rho[:, :, None] ** -(steps + 1.0)
        self._rho = rho
        self._state = np.zeros(rho.shape, dtype=complex)

    def settle(self, value: Floats) -> None:
        """Put each system at rest under a constant input (systems,)."""
        self._state = self._gain_of * value[:, None] / (1 - self._rho)

    def advance(self, drive: Floats) -> Floats:
        """Outputs before each step for inputs (systems, CHUNK)."""
        added = np.cumsum(self._inverse * (self._gain_of[:, :, None] * drive[:, None, :]), axis=2)
        before = np.concatenate([np.zeros_like(added[:, :, :1]), added[:, :, :-1]], axis=2)
        state = self._powers * (self._state[:, :, None] + before)
        self._state = self._powers[:, :, -1] * self._rho * (self._state + added[:, :, -1])
        return np.asarray((self._out_of[:, :, None] * state).sum(axis=1).real)


def _wheel_system(load_kg: float, suspension: str) -> tuple[npt.NDArray[np.float64], Floats, Floats]:
    """States z2, z2', z1, z1' (body, axle); input: road height; output: z1, from which kt (r - z1) is the force."""
    s = _SPRINGS[suspension]
    sprung = max(load_kg - s.unsprung_kg, 0.35 * load_kg)
    unsprung = load_kg - sprung
    k, c, kt = s.spring_n_m, s.damping_ns_m, s.tyre_n_m
    if suspension in ("steer", "drive", "trailer"):  # progressive springs are softer under a light load
        softer = min(1.0, 0.35 + 0.65 * load_kg / 3500)
        k, c = k * softer, c * softer**0.5
    a = np.array(
        [
            [0, 1, 0, 0],
            [-k / sprung, -c / sprung, k / sprung, c / sprung],
            [0, 0, 0, 1],
            [k / unsprung, c / unsprung, -(k + kt) / unsprung, -c / unsprung],
        ]
    )
    return a, np.array([0, 0, 0, kt / unsprung]), np.array([0.0, 0, 1, 0])


class WheelForces:
    """Forces of all wheels of one vehicle."""

    def __init__(
        self,
        car: Car,
        lane: Lane,
        effects: Effects,
        origin_m: float,
        road: tuple[Floats, Floats],
        rng: np.random.Generator,
    ) -> None:
        """`origin_m`: place of x = 0 of the array along the lane; `road`: places from there, heights (2, points)."""
        vehicle: Vehicle = car.vehicle
        self._car, self._effects, self._road, self._rng = car, effects, road, rng
        wheels = [(i, wheel) for i, axle in enumerate(vehicle.axles) for wheel in axle.wheels]
        self._axle_of = np.array([i for i, _ in wheels])
        self._left = np.array([wheel.left for _, wheel in wheels])
        self._static_n = np.array([wheel.load_kg for _, wheel in wheels]) * G
        self._offset_m = np.array([vehicle.axles[i].position_m for i, _ in wheels]) + vehicle.front_m + origin_m
        self._share = 1.0 / np.bincount(self._axle_of)[self._axle_of]
        self._pull = vehicle.transfer(False) if effects.load_transfer else np.zeros(len(vehicle.axles))
        self._brake = vehicle.transfer(True) if effects.load_transfer else np.zeros(len(vehicle.axles))
        self._grade = lane.grade
        self._lean = vehicle.type.cg_m / vehicle.type.track_m if vehicle.type.track_m and effects.side_slope else 0.0
        self._cross_fall = lane.cross_fall
        self._bend = 0.0 if lane.curve_radius_m == 0 else 1 / (lane.curve_radius_m * G)
        self._tyre_n_m = np.array([_SPRINGS[vehicle.axles[i].suspension].tyre_n_m for i, _ in wheels])
        self._groups = np.array([axle.group for axle in vehicle.axles])
        self._loads_n = np.array([axle.load_kg for axle in vehicle.axles]) * G
        if effects.dynamics:
            systems = [_wheel_system(wheel.load_kg, vehicle.axles[i].suspension) for i, wheel in wheels]
            self._modes = _Modes([s[0] for s in systems], [s[1] for s in systems], [s[2] for s in systems])
        omega, zeta = 2 * np.pi * 1.1, 0.35
        pitch = np.array([[0, 1], [-(omega**2), -2 * zeta * omega]])
        self._pitch = _Modes([pitch] * 2, [np.array([0, omega**2])] * 2, [np.array([1.0, 0])] * 2)
        self._held = np.zeros(len(vehicle.axles))
        self._holds = np.zeros(len(vehicle.axles))
        self._stands_seen = -1
        self._next = int(np.floor(car.tracked_s / STEP_S))
        self._started = False
        self._forces = np.empty((len(wheels), 0))
        self._forces_from = self._next

    def keep_up(self, from_s: float, until_s: float) -> None:
        """Work out forces up to `until_s` and forget those before `from_s`; the motion up to there may be forgotten."""
        while self._next < int(np.floor(until_s / STEP_S)) + 2:
            self._chunk()
        drop = int(np.floor(from_s / STEP_S)) - self._forces_from - CHUNK
        if drop > 3 * CHUNK:
            self._forces = self._forces[:, drop:]
            self._forces_from += drop

    def at(self, wheel: int, times_s: Floats) -> Floats:
        """After `keep_up`: newtons of one wheel; wheels count in the order of axles, left before right."""
        place = np.clip(times_s / STEP_S - self._forces_from, 0.0, self._forces.shape[1] - 1.001)
        whole = place.astype(np.int64)
        part = place - whole
        force = self._forces[wheel]
        return np.asarray(force[whole] * (1 - part) + force[whole + 1] * part)

    def _chunk(self) -> None:
        times = (self._next + np.arange(CHUNK + 1, dtype=np.float64)) * STEP_S
        if self._started and self._car.motion.stands(times[0] - _REST_S, times[-1]):
            at_rest = np.repeat(self._forces[:, -1:], CHUNK, axis=1)
            self._forces = np.concatenate([self._forces, at_rest], axis=1)
            self._next += CHUNK
            return
        x, v, a = self._car.motion.at(times)
        v, a = v[:-1], a[:-1]
        axle_n = np.zeros((self._groups.size, CHUNK))
        if self._effects.load_transfer:
            drives = np.stack([np.maximum(a, 0.0) + G * self._grade, np.minimum(a, 0.0)])
            if not self._started:
                self._pitch.settle(drives[:, 0])
            pitched = self._pitch.advance(drives)
            axle_n += self._pull[:, None] * pitched[0] + self._brake[:, None] * pitched[1]
        if self._effects.friction:
            axle_n += self._friction()
        wheel_n = self._static_n[:, None] + axle_n[self._axle_of] * self._share[:, None]
        if self._lean:
            to_right = self._lean * (self._cross_fall + self._bend * v * v)
            wheel_n += self._static_n[:, None] * 2 * to_right * np.where(self._left, -1.0, 1.0)[:, None]
        if self._effects.dynamics:
            grid, heights = self._road
            places = x[None, :] - self._offset_m[:, None]
            height = np.empty_like(places)
            for side, of_side in ((0, self._left), (1, ~self._left)):
                if of_side.any():
                    height[of_side] = np.interp(places[of_side], grid, heights[side])
            if not self._started:
                self._modes.settle(height[:, 0])
            axle_height = self._modes.advance(0.5 * (height[:, :-1] + height[:, 1:]))
            wheel_n += self._tyre_n_m[:, None] * (height[:, :-1] - axle_height)
        self._started = True
        self._forces = np.concatenate([self._forces, np.maximum(wheel_n, 0.0)], axis=1)
        self._next += CHUNK

    def _friction(self) -> Floats:
        """Load that friction keeps displaced between the axles of a group, drawn anew at each stand."""
        stands = sum(1 for stand_s in self._car.stands_s if stand_s <= self._next * STEP_S)
        if stands != self._stands_seen:
            self._stands_seen = stands
            drawn = 0.012 * np.clip(self._rng.standard_normal(self._groups.size), -2.5, 2.5) * self._loads_n
            for group in range(self._groups[-1] + 1):
                members = self._groups == group
                drawn[members] -= drawn[members].mean()
            self._holds = drawn
            if not self._started:
                self._held = drawn.copy()
        decay = np.exp(-np.arange(1, CHUNK + 1) * STEP_S / 0.4)
        path = self._holds[:, None] + (self._held - self._holds)[:, None] * decay
        self._held = path[:, -1].copy()
        return np.asarray(path)
