"""Vehicles of a truth or a measured file: JSON lines in, records out, or an error that names file and line.

Called by edge/accuracy_cli.py and edge/calibrate.py. A line holds keys of a `vehicle` message; only `time` and `axles`
are needed, and unknown keys are ignored.
"""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
from msgspec import Struct

from edge.axle_groups import axle_groups, check_positions
from edge.messages import parse_utc


class InputError(Exception):
    """A file cannot be used; the text names file, line and reason."""


class AxleRecord(Struct, frozen=True, kw_only=True):
    position_m: float
    load_kg: float
    sigma_kg: float | None = None
    left_kg: float | None = None
    right_kg: float | None = None
    group: int | None = None
    sensors_kg: tuple[float | None, ...] | None = None  # what each sensor of the table weighed; None: nothing
    lines_kg: tuple[float | None, ...] | None = None  # what each line of sensors weighed


class SiteRecord(Struct, frozen=True, kw_only=True):
    country: str = ""


class VehicleRecord(Struct, frozen=True, kw_only=True):
    """What a comparison needs of a vehicle."""

    time: str
    axles: tuple[AxleRecord, ...] = ()
    lane: str | None = None
    site: SiteRecord = SiteRecord()
    speed_mps: float | None = None
    gross_kg: float | None = None
    gross_sigma_kg: float | None = None
    temperature_c: float | None = None
    flags: tuple[str, ...] = ()

    @property
    def time_ns(self) -> int:
        return parse_utc(self.time)

    @property
    def weight_kg(self) -> float:
        """Gross weight: as given, else the sum of the axles."""
        return self.gross_kg if self.gross_kg is not None else sum(axle.load_kg for axle in self.axles)

    @property
    def groups(self) -> tuple[int, ...]:
        """Group index of each axle: as given, else by the spacing limit of the country."""
        given = [axle.group for axle in self.axles]
        known = tuple(group for group in given if group is not None)
        if len(known) == len(given):
            return known
        return axle_groups([axle.position_m for axle in self.axles], self.site.country)


_decoder = msgspec.json.Decoder(VehicleRecord)


def read_vehicles(path: Path, *, gross_only: bool = False) -> list[VehicleRecord]:
    """The vehicles of a file of JSON lines, in its order, without empty lines. InputError for what cannot be read.

    With `gross_only` a vehicle may have `gross_kg` instead of axles.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return [_vehicle(line, f"{path}:{number}", gross_only) for number, line in enumerate(lines, 1) if line.strip()]


def _vehicle(line: bytes, where: str, gross_only: bool) -> VehicleRecord:
    try:
        vehicle = _decoder.decode(line)
        parse_utc(vehicle.time)
        check_positions([axle.position_m for axle in vehicle.axles])
    except (ValueError, OverflowError) as error:  # msgspec's errors are ValueErrors; the text says which key
        raise InputError(f"{where}: {error}") from None
    if not vehicle.axles and not (gross_only and vehicle.gross_kg is not None):
        raise InputError(f"{where}: there are no axles; a vehicle needs `axles` with position_m and load_kg")
    if not math.isfinite(vehicle.weight_kg):
        raise InputError(f"{where}: the weight is not finite")
    return vehicle
