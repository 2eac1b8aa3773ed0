"""Single vehicles as they are loaded, drawn from the catalogue with a random generator.

Called by `traffic.py` for each arrival and by `calibration.py`; read by all that move or weigh them.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from firmware_sim.scenario.catalogue import TYPES, AxleType, Suspension, VehicleType

GROUP_GAP_M = 1.85  # axles nearer than this belong to one group


@dataclass(frozen=True, slots=True)
class Patch:
    """Where one tyre touches the road. `y_m` is measured from the vehicle's middle line, left is negative."""

    y_m: float
    width_m: float
    length_m: float
    share: float  # of its wheel's load
    flatness: float  # exponent of the pressure along the patch: large is flat
    skew: float  # -0.5 .. 0.5: pressure shifted forwards or backwards


@dataclass(frozen=True, slots=True)
class Wheel:
    """One end of an axle, or the only wheel of a cycle."""

    load_kg: float
    patches: tuple[Patch, ...]
    left: bool


@dataclass(frozen=True, slots=True)
class Axle:
    position_m: float  # from the first axle, backwards
    load_kg: float
    suspension: Suspension
    dual: bool
    group: int
    wheels: tuple[Wheel, ...]


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A vehicle as it is loaded, and its driver. Positions along the lane are those of its front end."""

    number: int
    lane: str
    kind: str
    type: VehicleType
    axles: tuple[Axle, ...]
    length_m: float
    lateral_m: float  # of its middle line from the middle of the lane, right is positive
    tag: str | None
    plate: str
    country: str
    wish_mps: float
    gap_m: float
    start_delay_s: float
    move_up_m: float  # a standing driver waits until this much more room has opened

    @property
    def front_m(self) -> float:
        """From the front end back to the first axle."""
        return self.type.front_m

    @property
    def gross_kg(self) -> float:
        return sum(axle.load_kg for axle in self.axles)

    @property
    def wheelbase_m(self) -> float:
        return self.axles[-1].position_m

    def transfer(self, braking: bool) -> np.ndarray:
        """Load that each axle gains for an acceleration of 1 m/s2 forwards (in N s2/m); the sum is 0.

        Each unit is a rigid body on its supports: the inertia force at its centre of gravity is balanced by a couple
        between front and rear support. A towed unit stands on its own axles and on the hitch, which rests on the last
        axles of the unit before it. When pulling, the hitch also transmits a force at 1.1 m height; when braking,
        every unit brakes itself.
        """
        hitch_height_m = 1.1
        starts = (0, *self.type.hitch, len(self.axles))
        units = [list(range(a, b)) for a, b in itertools.pairwise(starts)]
        gain = np.zeros(len(self.axles))
        masses = [sum(self.axles[i].load_kg for i in unit) * (1.0 if k == 0 else 1.5) for k, unit in enumerate(units)]
        masses[0] = max(self.gross_kg - sum(masses[1:]), 0.25 * self.gross_kg) if len(units) > 1 else masses[0]
        pulled = 0.0
        for k in reversed(range(len(units))):
            unit = units[k]
            rear = [i for i in unit if self.axles[i].group == self.axles[unit[-1]].group]
            front = [unit[0]] if k == 0 else [units[k - 1][-1]]
            front = [i for i in range(len(self.axles)) if self.axles[i].group == self.axles[front[0]].group]
            base_m = float(np.mean([self.axles[i].position_m for i in rear])) - float(
                np.mean([self.axles[i].position_m for i in front])
            )
            own_height_m = 1.0 if (k == 0 and len(units) > 1) else self.type.cg_m
            moment = masses[k] * own_height_m
            if not braking:
                moment += pulled * hitch_height_m - (0.0 if k == 0 else (pulled + masses[k]) * hitch_height_m)
                pulled += masses[k]
            if base_m < 0.5:
                continue
            for i in rear:
                gain[i] += moment / base_m / len(rear)
            for i in front:
                gain[i] -= moment / base_m / len(front)
        return gain


def draw(
    rng: np.random.Generator,
    *,
    number: int,
    lane: str,
    kind: str,
    imbalance: bool,
    lateral: bool,
    shaped: bool,
    speed_mps: tuple[float, float],
    gap_m: tuple[float, float],
    tag: str | None,
    plate: str,
    country: str,
) -> Vehicle:
    """One vehicle of a type, loaded at random: a third near empty, the rest part or fully loaded."""
    kind_of = TYPES[kind]
    u = rng.random()
    fill = rng.uniform(0.0, 0.1) if u < 0.35 else rng.uniform(0.1, 0.85) if u < 0.6 else rng.uniform(0.85, 1.08)
    positions: list[float] = []
    loads: list[float] = []
    groups: list[int] = []
    group_noise = 1.0
    for i, axle in enumerate(kind_of.axles):
        gap = 0.0
        if i:
            mean, sd = axle.gap_m
            gap = mean + sd * float(np.clip(rng.standard_normal(), -2.2, 2.2))
        new_group = i > 0 and gap > GROUP_GAP_M
        groups.append(0 if i == 0 else groups[-1] + int(new_group))
        if i == 0 or new_group:
            group_noise = 1 + 0.05 * float(np.clip(rng.standard_normal(), -2.5, 2.5)) * (1 if i else 0.6)
        positions.append(positions[-1] + gap if i else 0.0)
        own = 1 + 0.02 * float(np.clip(rng.standard_normal(), -2.5, 2.5))
        loads.append((axle.empty_kg + fill * (axle.full_kg - axle.empty_kg)) * group_noise * own)
    lean = 0.02 * float(np.clip(rng.standard_normal(), -2.5, 2.5)) if imbalance else 0.0
    axles = tuple(
        _axle(rng, kind_of, kind_of.axles[i], positions[i], loads[i], groups[i], lean, imbalance, shaped)
        for i in range(len(positions))
    )
    low, high = speed_mps
    sideways = float(np.clip(rng.standard_normal(), -2.5, 2.5)) * (0.12 if kind_of.truck else 0.18) if lateral else 0.0
    if kind_of.track_m == 0:
        sideways += 0.55 if rng.random() < 0.5 else -0.55  # a cycle keeps to one side of the strip's joint
    return Vehicle(
        number=number,
        lane=lane,
        kind=kind,
        type=kind_of,
        axles=axles,
        length_m=kind_of.front_m + positions[-1] + kind_of.rear_m,
        lateral_m=sideways,
        tag=tag,
        plate=plate,
        country=country,
        wish_mps=float(rng.uniform(low, high)),
        gap_m=float(rng.uniform(*gap_m)),
        start_delay_s=float(np.clip(rng.lognormal(math.log(0.9), 0.4), 0.3, 3.0)),
        move_up_m=float(rng.uniform(0.3, 2.5)),
    )


def _axle(
    rng: np.random.Generator,
    vehicle: VehicleType,
    axle: AxleType,
    position_m: float,
    load_kg: float,
    group: int,
    lean: float,
    imbalance: bool,
    shaped: bool,
) -> Axle:
    if vehicle.track_m == 0:
        wheels = (Wheel(load_kg, (_patch(rng, 0.0, axle, load_kg, 1.0, shaped),), True),)
        return Axle(position_m, load_kg, axle.suspension, False, group, wheels)
    own = lean + (0.012 * float(np.clip(rng.standard_normal(), -2.5, 2.5)) if imbalance else 0.0)
    sides = []
    for left in (True, False):
        wheel_kg = load_kg * (0.5 + own / 2 * (1 if left else -1))
        sign = -1.0 if left else 1.0
        centre = sign * vehicle.track_m / 2
        if axle.dual:
            # the middle of a dual assembly lies further in than the steered wheel; tyres of a pair differ in pressure
            inner = 0.5 + (rng.uniform(-0.06, 0.06) if shaped else 0.0)
            middle = centre - sign * 0.1
            patches = tuple(
                _patch(rng, middle + offset, axle, wheel_kg * share, share, shaped)
                for offset, share in ((-sign * 0.165, inner), (sign * 0.165, 1 - inner))
            )
        else:
            patches = (_patch(rng, centre, axle, wheel_kg, 1.0, shaped),)
        sides.append(Wheel(wheel_kg, patches, left))
    return Axle(position_m, load_kg, axle.suspension, axle.dual, group, tuple(sides))


def _patch(rng: np.random.Generator, y_m: float, axle: AxleType, patch_kg: float, share: float, shaped: bool) -> Patch:
    """Length grows with the load: the area is load over inflation pressure, a little more at low load."""
    pressure_pa = {"cycle": 250e3, "car": 240e3}.get(axle.suspension, 780e3) * float(rng.uniform(0.88, 1.1))
    effective_pa = pressure_pa * 0.72  # mean over the patch: grooves and shoulders carry little
    length = patch_kg * 9.81 / (effective_pa * axle.tyre_m)
    shortest = 0.06 if axle.suspension in ("car", "cycle") else 0.11
    length_m = float(np.clip(0.35 * shortest + 0.9 * length, shortest, 0.34))
    if not shaped:
        return Patch(y_m, axle.tyre_m, length_m, share, 60.0, 0.0)
    return Patch(y_m, axle.tyre_m, length_m, share, float(rng.uniform(2.3, 5.0)), float(rng.uniform(-0.25, 0.35)))
