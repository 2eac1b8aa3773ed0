"""The catalogue of vehicle types, as data: `world/vehicles.py` draws single vehicles from it, `world/traffic.py` mixes.

Dimensions and loads are those of common North American vehicles and of the European tractor with three-axle trailer;
none is taken from one product. `fhwa_class` is the class by the definition of the classes, not by any axle rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Suspension = Literal["steer", "drive", "trailer", "car", "cycle"]


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


def _wheel(gap_m: float, sd_m: float, empty_kg: float, full_kg: float, tyre_m: float) -> AxleType:
    return AxleType((gap_m, sd_m), empty_kg, full_kg, "cycle", False, tyre_m)


def _heavy(
    fhwa_class: int,
    *axles: AxleType,
    ends_m: tuple[float, float],
    pace_mps2: tuple[float, float],
    cg_m: float,
    track_m: float = 2.05,
    hitch: tuple[int, ...] = (),
) -> VehicleType:
    """A truck or a bus: overhangs at front and rear, acceleration and braking."""
    return VehicleType(fhwa_class, axles, *ends_m, *pace_mps2, True, track_m, cg_m, hitch)


def _small(
    fhwa_class: int,
    *axles: AxleType,
    ends_m: tuple[float, float],
    pace_mps2: tuple[float, float],
    cg_m: float,
    track_m: float,
    hitch: tuple[int, ...] = (),
    steel_height: float = 1.0,
) -> VehicleType:
    """A car or a motorcycle."""
    return VehicleType(fhwa_class, axles, *ends_m, *pace_mps2, False, track_m, cg_m, hitch, steel_height)


TYPES: dict[str, VehicleType] = {
    "motorcycle": _small(
        1,
        _wheel(0, 0, 105, 140, 0.09),
        _wheel(1.48, 0.06, 130, 230, 0.12),
        ends_m=(0.32, 0.36),
        pace_mps2=(2.0, 2.5),
        cg_m=0.6,
        track_m=0.0,
        steel_height=0.25,
    ),
    "car": _small(
        2,
        _light(0, 0, 780, 900),
        _light(2.68, 0.1, 560, 900),
        ends_m=(0.85, 0.95),
        pace_mps2=(1.5, 2.0),
        cg_m=0.55,
        track_m=1.55,
    ),
    "pickup": _small(
        3,
        _light(0, 0, 1150, 1320),
        _light(3.55, 0.2, 880, 1500),
        ends_m=(0.95, 1.2),
        pace_mps2=(1.4, 2.0),
        cg_m=0.7,
        track_m=1.7,
    ),
    "car_trailer": _small(
        2,
        _light(0, 0, 800, 900),
        _light(2.75, 0.08, 700, 1000),
        _light(3.6, 0.3, 350, 1100),
        ends_m=(0.85, 1.7),
        pace_mps2=(1.1, 1.6),
        cg_m=0.6,
        track_m=1.6,
        hitch=(2,),
    ),
    "bus": _heavy(
        4,
        _steer(4800, 6700),
        _drive(7.45, 0.12, 7600, 11300),
        ends_m=(2.7, 3.2),
        pace_mps2=(0.9, 1.3),
        cg_m=1.1,
    ),
    "coach": _heavy(
        4,
        _steer(5400, 7000),
        _drive(7.35, 0.1, 6900, 10600),
        _trail(1.35, 0.03, 3500, 5900, single=True),
        ends_m=(2.6, 2.3),
        pace_mps2=(0.8, 1.2),
        cg_m=1.2,
    ),
    "truck2": _heavy(
        5,
        _steer(3000, 5200),
        _drive(5.3, 0.5, 3100, 9700),
        ends_m=(1.25, 2.3),
        pace_mps2=(0.9, 1.3),
        cg_m=1.4,
        track_m=2.0,
    ),
    "truck3": _heavy(
        6,
        _steer(4600, 7300),
        _drive(4.7, 0.35, 2800, 8600),
        _drive(1.35, 0.03, 2700, 8500),
        ends_m=(1.35, 2.0),
        pace_mps2=(0.8, 1.2),
        cg_m=1.5,
    ),
    "truck4": _heavy(
        7,
        _steer(5000, 8200),
        _trail(3.9, 0.2, 2200, 6800, single=True),
        _drive(1.35, 0.03, 2900, 8300),
        _drive(1.35, 0.03, 2800, 8200),
        ends_m=(1.3, 1.7),
        pace_mps2=(0.7, 1.2),
        cg_m=1.6,
    ),
    "semi_2s2": _heavy(
        8,
        _steer(4000, 5400),
        _drive(3.9, 0.2, 3600, 9000),
        _trail(9.3, 0.7, 2300, 7400),
        _trail(1.24, 0.03, 2250, 7400),
        ends_m=(1.1, 1.6),
        pace_mps2=(0.7, 1.1),
        cg_m=1.8,
        hitch=(2,),
    ),
    "semi_3s2": _heavy(
        9,
        _steer(4450, 5350),
        _drive(5.2, 0.35, 2750, 7750),
        _drive(1.32, 0.025, 2700, 7700),
        _trail(10.0, 0.8, 2250, 7500),
        _trail(1.24, 0.025, 2200, 7450),
        ends_m=(1.2, 1.5),
        pace_mps2=(0.6, 1.1),
        cg_m=1.9,
        hitch=(3,),
    ),
    "semi_3s2_spread": _heavy(
        9,
        _steer(4450, 5350),
        _drive(5.2, 0.35, 2750, 7600),
        _drive(1.32, 0.025, 2700, 7550),
        _trail(9.0, 0.6, 2250, 8300),
        _trail(3.08, 0.03, 2200, 8200),
        ends_m=(1.2, 1.3),
        pace_mps2=(0.6, 1.1),
        cg_m=1.9,
        hitch=(3,),
    ),
    "semi_2s3": _heavy(
        9,
        _steer(5400, 7100),
        _drive(3.7, 0.1, 4700, 10800),
        _trail(5.6, 0.4, 1800, 7500, single=True),
        *2 * (_trail(1.31, 0.015, 1750, 7450, single=True),),
        ends_m=(1.45, 2.4),
        pace_mps2=(0.6, 1.1),
        cg_m=1.9,
        hitch=(2,),
    ),
    "semi_3s3": _heavy(
        10,
        _steer(4700, 5500),
        _drive(5.1, 0.3, 2900, 8300),
        _drive(1.34, 0.025, 2850, 8250),
        _trail(8.6, 0.6, 2200, 7300),
        *2 * (_trail(1.52, 0.03, 2150, 7250),),
        ends_m=(1.2, 1.5),
        pace_mps2=(0.55, 1.1),
        cg_m=1.9,
        hitch=(3,),
    ),
    "double_2s12": _heavy(
        11,
        _steer(3900, 4900),
        _drive(3.8, 0.2, 3600, 8300),
        _trail(6.6, 0.25, 2700, 8000),
        _trail(2.9, 0.2, 2500, 7900),
        _trail(6.6, 0.25, 2400, 7900),
        ends_m=(1.1, 1.3),
        pace_mps2=(0.6, 1.1),
        cg_m=1.8,
        hitch=(2, 3),
    ),
    "btrain": _heavy(
        13,
        _steer(4800, 5500),
        _drive(5.0, 0.2, 3000, 8400),
        _drive(1.35, 0.025, 2950, 8350),
        _trail(5.6, 0.3, 2000, 7700),
        *2 * (_trail(1.52, 0.03, 1950, 7650),),
        _trail(6.1, 0.4, 2100, 8300),
        _trail(1.52, 0.03, 2050, 8250),
        ends_m=(1.2, 1.4),
        pace_mps2=(0.5, 1.0),
        cg_m=1.9,
        hitch=(3, 6),
    ),
    "t3s2r4": _heavy(
        13,
        _steer(4700, 5600),
        _drive(4.9, 0.2, 3000, 8600),
        _drive(1.34, 0.025, 2950, 8550),
        _trail(8.8, 0.4, 2200, 8100),
        _trail(1.25, 0.025, 2150, 8050),
        _trail(3.1, 0.2, 1900, 7300),
        _trail(1.25, 0.025, 1850, 7250),
        _trail(7.4, 0.4, 1900, 7400),
        _trail(1.25, 0.025, 1850, 7350),
        ends_m=(1.2, 1.5),
        pace_mps2=(0.45, 1.0),
        cg_m=1.9,
        hitch=(3, 5, 7),
    ),
    "heavy12": _heavy(
        13,
        _steer(5600, 7200),
        _drive(4.6, 0.1, 3600, 8600),
        *2 * (_drive(1.4, 0.02, 3550, 8600),),
        _trail(3.8, 0.2, 2500, 8300),
        *2 * (_trail(1.5, 0.02, 2450, 8300),),
        _trail(9.0, 0.5, 2500, 8500),
        *4 * (_trail(1.5, 0.02, 2450, 8500),),
        ends_m=(1.3, 1.6),
        pace_mps2=(0.35, 0.9),
        cg_m=1.7,
        hitch=(4, 7),
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
