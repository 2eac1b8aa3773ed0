"""Vehicles of a truth or a measured file: JSON lines in, records out, or an error that names file and line.

Called by edge/commands/accuracy.py and edge/commands/calibrate.py. A line holds keys of a `vehicle` message, unknown
keys are ignored. A measured vehicle needs `time` and `axles`. A reference is what a static scale gives: `time`, and
`axles` with `load_kg` alone, or `gross_kg` alone.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import msgspec
from msgspec import Struct

from edge.messages import parse_utc
from edge.weighing.axle_groups import axle_groups


class InputError(Exception):
    """A file cannot be used; the text names file, line and reason."""


class AxleRecord(Struct, frozen=True, kw_only=True):
    position_m: float | None = None  # a static scale does not tell
    load_kg: float
    sigma_kg: float | None = None
    left_kg: float | None = None
    right_kg: float | None = None
    group: int | None = None
    sensors_kg: tuple[float | None, ...] | None = None  # what each sensor of the table weighed; None: nothing
    lines_kg: tuple[float | None, ...] | None = None  # what each line of sensors weighed


class SiteRecord(Struct, frozen=True, kw_only=True):
    country: str = ""


class ClassRecord(Struct, frozen=True, kw_only=True):
    scheme: str
    code: str


class VehicleRecord(Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """What a comparison needs of a vehicle."""

    time: str
    axles: tuple[AxleRecord, ...] = ()
    lane: str | None = None
    source: str | None = None
    site: SiteRecord = SiteRecord()
    speed_mps: float | None = None
    gross_kg: float | None = None
    gross_sigma_kg: float | None = None
    temperature_c: float | None = None
    class_: ClassRecord | None = None
    flags: tuple[str, ...] = ()

    @property
    def time_ns(self) -> int:
        return parse_utc(self.time)

    @property
    def weight_kg(self) -> float:
        """Gross weight: as given, else the sum of the axles."""
        return self.gross_kg if self.gross_kg is not None else sum(axle.load_kg for axle in self.axles)

    @property
    def groups(self) -> tuple[int, ...] | None:
        """Group index of each axle: as given, else by the spacing limit of the country; None where nothing tells."""
        given = [axle.group for axle in self.axles]
        known = tuple(group for group in given if group is not None)
        if len(known) == len(given):
            return known
        positions_m = [axle.position_m for axle in self.axles if axle.position_m is not None]
        return axle_groups(positions_m, self.site.country) if len(positions_m) == len(given) else None


SIMULATED_SOURCE = "truth"  # the `source` of what `borderflow-sim` knows itself

_decoder = msgspec.json.Decoder(VehicleRecord)


def read_references(path: Path) -> list[VehicleRecord]:
    """Reference vehicles, a JSON line each. InputError for what cannot be read, and where there is none.

    Axles have `position_m` each, one behind the other, or none has; a vehicle may have `gross_kg` instead of axles.
    """
    vehicles = _read(path, reference=True)
    for number, vehicle in vehicles:
        known_m = [axle.position_m for axle in vehicle.axles if axle.position_m is not None]
        if known_m and len(known_m) < len(vehicle.axles):
            raise InputError(f"{path}:{number}: some axles have no position_m; give it to all, or to none")
        for i, (ahead_m, behind_m) in enumerate(pairwise(known_m)):
            if not ahead_m < behind_m:
                raise InputError(
                    f"{path}:{number}: axle {i + 2} is at {behind_m} m, not behind axle {i + 1} at "
                    f"{ahead_m} m; position_m counts backwards from the first axle"
                )
    if not vehicles:
        raise InputError(f"{path}: there is no reference vehicle in it")
    return [vehicle for _, vehicle in vehicles]


def read_vehicles(path: Path) -> list[VehicleRecord]:
    """Measured vehicles: a JSON line each, in the order of the file. InputError for what cannot be read."""
    return [vehicle for _, vehicle in _read(path, reference=False)]


def _read(path: Path, *, reference: bool) -> list[tuple[int, VehicleRecord]]:
    """Vehicles with the numbers of their lines; empty lines are skipped."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return [
        (number, _vehicle(line, f"{path}:{number}", reference)) for number, line in enumerate(lines, 1) if line.strip()
    ]


def _vehicle(line: bytes, where: str, reference: bool) -> VehicleRecord:
    try:
        vehicle = _decoder.decode(line)
        parse_utc(vehicle.time)
    except (ValueError, OverflowError) as error:  # msgspec's errors are ValueErrors; the text says which key
        raise InputError(f"{where}: {error}") from None
    if reference and not vehicle.axles and vehicle.gross_kg is None:
        raise InputError(f"{where}: there are no axles; a reference needs `axles` with load_kg, or gross_kg alone")
    if not reference and (not vehicle.axles or any(axle.position_m is None for axle in vehicle.axles)):
        raise InputError(
            f"{where}: a measured vehicle needs `axles` with position_m and load_kg, as `replay` prints them"
        )
    if not math.isfinite(vehicle.weight_kg):
        raise InputError(f"{where}: the weight is not finite")
    return vehicle
