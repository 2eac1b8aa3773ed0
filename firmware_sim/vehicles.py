"""Vehicles: the catalogue of types, and single vehicles drawn from it with a random generator.

Called by `traffic.py` for each arrival. Dimensions and loads are typical of North American and European vehicles;
`fhwa_class` is the class that the vehicle really has.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

Suspension = Literal["steer", "drive", "trailer", "car", "cycle"]
GROUP_GAP_M = 1.85  # axles nearer than this belong to one group


@dataclass(frozen=True, slots=True)
class AxleType:
    """`gap_m` (mean, standard deviation) from the axle before it; loads of the empty and of the full vehicle."""

    gap_m: tuple[float, float]
    empty_kg: float
    full_kg: float
    suspension: Suspension = "trailer"
    dual: bool = False
    tyre_m: float = 0.25  # width of one tyre's patch


@dataclass(frozen=True, slots=True)
class VehicleType:
    """`hitch` is the first axle of each towed unit; `cg_m` the height of the load's centre of gravity."""

    fhwa_class: int
    axles: tuple[AxleType, ...]
    front_m: float
    rear_m: float
    accel_mps2: float
    brake_mps2: float
    truck: bool
    track_m: float = 2.05
    cg_m: float = 1.5
    hitch: tuple[int, ...] = ()
    steel_height: float = 1.0  # how strongly an analogue loop sees its body


def _steer(empty_kg: float, full_kg: float) -> AxleType:
    return AxleType((0.0, 0.0), empty_kg, full_kg, "steer", False, 0.24)


def _drive(gap_m: float, sd_m: float, empty_kg: float, full_kg: float) -> AxleType:
    return AxleType((gap_m, sd_m), empty_kg, full_kg, "drive", True, 0.22)


def _trail(gap_m: float, sd_m: float, empty_kg: float, full_kg: float, *, single: bool = False) -> AxleType:
    return AxleType((gap_m, sd_m), empty_kg, full_kg, "trailer", not single, 0.32 if single else 0.22)


def _light(gap_m: float, sd_m: float, empty_kg: float, full_kg: float) -> AxleType:
    return AxleType((gap_m, sd_m), empty_kg, full_kg, "car", False, 0.17)


TYPES: dict[str, VehicleType] = {
    "motorcycle": VehicleType(
        1,
        (AxleType((0, 0), 105, 140, "cycle", False, 0.09), AxleType((1.48, 0.06), 130, 230, "cycle", False, 0.12)),
        0.32,
        0.36,
        2.0,
        2.5,
        False,
        0.0,
        0.6,
        (),
        0.25,
    ),
    "car": VehicleType(
        2, (_light(0, 0, 780, 900), _light(2.68, 0.1, 560, 900)), 0.85, 0.95, 1.5, 2.0, False, 1.55, 0.55
    ),
    "pickup": VehicleType(
        3, (_light(0, 0, 1150, 1320), _light(3.55, 0.2, 880, 1500)), 0.95, 1.2, 1.4, 2.0, False, 1.7, 0.7
    ),
    "car_trailer": VehicleType(
        2,
        (_light(0, 0, 800, 900), _light(2.75, 0.08, 700, 1000), _light(3.6, 0.3, 350, 1100)),
        0.85,
        1.7,
        1.1,
        1.6,
        False,
        1.6,
        0.6,
        (2,),
    ),
    "bus": VehicleType(4, (_steer(4800, 6700), _drive(7.45, 0.12, 7600, 11300)), 2.7, 3.2, 0.9, 1.3, True, 2.05, 1.1),
    "coach": VehicleType(
        4,
        (_steer(5400, 7000), _drive(7.35, 0.1, 6900, 10600), _trail(1.35, 0.03, 3500, 5900, single=True)),
        2.6,
        2.3,
        0.8,
        1.2,
        True,
        2.05,
        1.2,
    ),
    "truck2": VehicleType(5, (_steer(3000, 5200), _drive(5.3, 0.5, 3100, 9700)), 1.25, 2.3, 0.9, 1.3, True, 2.0, 1.4),
    "truck3": VehicleType(
        6,
        (_steer(4600, 7300), _drive(4.7, 0.35, 2800, 8600), _drive(1.35, 0.03, 2700, 8500)),
        1.35,
        2.0,
        0.8,
        1.2,
        True,
        2.05,
        1.5,
    ),
    "truck4": VehicleType(
        7,
        (
            _steer(5000, 8200),
            _trail(3.9, 0.2, 2200, 6800, single=True),
            _drive(1.35, 0.03, 2900, 8300),
            _drive(1.35, 0.03, 2800, 8200),
        ),
        1.3,
        1.7,
        0.7,
        1.2,
        True,
        2.05,
        1.6,
    ),
    "semi_2s2": VehicleType(
        8,
        (
            _steer(4000, 5400),
            _drive(3.9, 0.2, 3600, 9000),
            _trail(9.3, 0.7, 2300, 7400),
            _trail(1.24, 0.03, 2250, 7400),
        ),
        1.1,
        1.6,
        0.7,
        1.1,
        True,
        2.05,
        1.8,
        (2,),
    ),
    "semi_3s2": VehicleType(
        9,
        (
            _steer(4450, 5350),
            _drive(5.2, 0.35, 2750, 7750),
            _drive(1.32, 0.025, 2700, 7700),
            _trail(10.0, 0.8, 2250, 7500),
            _trail(1.24, 0.025, 2200, 7450),
        ),
        1.2,
        1.5,
        0.6,
        1.1,
        True,
        2.05,
        1.9,
        (3,),
    ),
    "semi_3s2_spread": VehicleType(
        9,
        (
            _steer(4450, 5350),
            _drive(5.2, 0.35, 2750, 7600),
            _drive(1.32, 0.025, 2700, 7550),
            _trail(9.0, 0.6, 2250, 8300),
            _trail(3.08, 0.03, 2200, 8200),
        ),
        1.2,
        1.3,
        0.6,
        1.1,
        True,
        2.05,
        1.9,
        (3,),
    ),
    "semi_2s3": VehicleType(
        9,
        (
            _steer(5400, 7100),
            _drive(3.7, 0.1, 4700, 10800),
            _trail(5.6, 0.4, 1800, 7500, single=True),
            _trail(1.31, 0.015, 1750, 7450, single=True),
            _trail(1.31, 0.015, 1750, 7450, single=True),
        ),
        1.45,
        2.4,
        0.6,
        1.1,
        True,
        2.05,
        1.9,
        (2,),
    ),
    "semi_3s3": VehicleType(
        10,
        (
            _steer(4700, 5500),
            _drive(5.1, 0.3, 2900, 8300),
            _drive(1.34, 0.025, 2850, 8250),
            _trail(8.6, 0.6, 2200, 7300),
            _trail(1.52, 0.03, 2150, 7250),
            _trail(1.52, 0.03, 2150, 7250),
        ),
        1.2,
        1.5,
        0.55,
        1.1,
        True,
        2.05,
        1.9,
        (3,),
    ),
    "double_2s12": VehicleType(
        11,
        (
            _steer(3900, 4900),
            _drive(3.8, 0.2, 3600, 8300),
            _trail(6.6, 0.25, 2700, 8000),
            _trail(2.9, 0.2, 2500, 7900),
            _trail(6.6, 0.25, 2400, 7900),
        ),
        1.1,
        1.3,
        0.6,
        1.1,
        True,
        2.05,
        1.8,
        (2, 3),
    ),
    "btrain": VehicleType(
        13,
        (
            _steer(4800, 5500),
            _drive(5.0, 0.2, 3000, 8400),
            _drive(1.35, 0.025, 2950, 8350),
            _trail(5.6, 0.3, 2000, 7700),
            _trail(1.52, 0.03, 1950, 7650),
            _trail(1.52, 0.03, 1950, 7650),
            _trail(6.1, 0.4, 2100, 8300),
            _trail(1.52, 0.03, 2050, 8250),
        ),
        1.2,
        1.4,
        0.5,
        1.0,
        True,
        2.05,
        1.9,
        (3, 6),
    ),
    "t3s2r4": VehicleType(
        13,
        (
            _steer(4700, 5600),
            _drive(4.9, 0.2, 3000, 8600),
            _drive(1.34, 0.025, 2950, 8550),
            _trail(8.8, 0.4, 2200, 8100),
            _trail(1.25, 0.025, 2150, 8050),
            _trail(3.1, 0.2, 1900, 7300),
            _trail(1.25, 0.025, 1850, 7250),
            _trail(7.4, 0.4, 1900, 7400),
            _trail(1.25, 0.025, 1850, 7350),
        ),
        1.2,
        1.5,
        0.45,
        1.0,
        True,
        2.05,
        1.9,
        (3, 5, 7),
    ),
    "heavy12": VehicleType(
        13,
        (
            _steer(5600, 7200),
            _drive(4.6, 0.1, 3600, 8600),
            _drive(1.4, 0.02, 3550, 8600),
            _drive(1.4, 0.02, 3550, 8600),
            _trail(3.8, 0.2, 2500, 8300),
            _trail(1.5, 0.02, 2450, 8300),
            _trail(1.5, 0.02, 2450, 8300),
            _trail(9.0, 0.5, 2500, 8500),
            _trail(1.5, 0.02, 2450, 8500),
            _trail(1.5, 0.02, 2450, 8500),
            _trail(1.5, 0.02, 2450, 8500),
            _trail(1.5, 0.02, 2450, 8500),
        ),
        1.3,
        1.6,
        0.35,
        0.9,
        True,
        2.05,
        1.7,
        (4, 7),
    ),
}

MIXES: dict[str, dict[str, float]] = {
    "commercial": {
        "semi_3s2": 0.58,
        "semi_3s2_spread": 0.1,
        "truck2": 0.11,
        "truck3": 0.04,
        "truck4": 0.02,
        "semi_2s2": 0.04,
        "semi_3s3": 0.05,
        "double_2s12": 0.01,
        "btrain": 0.03,
        "t3s2r4": 0.02,
    },
    "passenger": {"car": 0.62, "pickup": 0.3, "car_trailer": 0.04, "motorcycle": 0.04},
    "bus": {"bus": 0.4, "coach": 0.6},
}


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
