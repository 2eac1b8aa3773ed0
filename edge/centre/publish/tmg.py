"""Truck weight records of the FHWA Traffic Monitoring Guide: a `W` line for each vehicle of a day, 147 columns.

Source of the columns: Traffic Monitoring Guide 2013 and 2016, section 7.6, as the reader and writer of FHWA's own TMAS
have them; English units. A line has the local hour, pounds, and tenths of a foot; the gross weight is the sum of the
axle weights that stand in the line. An hour without a vehicle is a line with `d` in place of the class, an hour that
was not counted one with `m`. The formats of single vehicles with seconds (PVF, IVR) are left out: their columns are not
verified.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from edge.centre.coverage import Covered
from edge.centre.local_day import HOUR_NS
from edge.centre.publish.day import UNSOUND, SiteDay, Weighed
from edge.centre.publish.stations import LaneName, Station, Stations

LB_PER_KG = 1 / 0.45359237
TENTHS_OF_FT_PER_M = 10 / 0.3048
MPH_PER_MPS = 1 / 0.44704
AXLES_MOST = 13
WIDTH = 147
MISSING, NO_TRUCKS = "m", "d"


def file_name(station: Station, day: SiteDay) -> str:
    """`53018115_20261127.wgt`"""
    return f"{station.state}{station.id.zfill(6)}_{day.day:%Y%m%d}.wgt"


def lines(day: SiteDay, stations: Stations, station: Station, left_out: Counter[str]) -> Iterator[str]:
    """The records of a day, by lane and then by time; `left_out` counts what could not be a record, by reason."""
    lanes = sorted({row.lane for row in day.covered})
    weighed: dict[str, list[Weighed]] = {lane: [] for lane in lanes}
    for vehicle in day.vehicles:
        reason = _unfit(vehicle)
        if reason is None:
            weighed.setdefault(vehicle.lane, []).append(vehicle)  # of an hour that is not over, and no line yet
        else:
            left_out[reason] += 1
    for lane in lanes:
        hours = [row for row in day.covered if row.lane == lane]
        direction = next((row.direction for row in hours if row.direction), None)
        name = stations.lane_of(station, lane, lanes, direction)
        yield from _lane(day, station, name, hours, weighed[lane])


def _lane(
    day: SiteDay, station: Station, name: LaneName, hours: list[Covered], vehicles: list[Weighed]
) -> Iterator[str]:
    for row in hours:
        end_ns = row.hour.start_ns + HOUR_NS
        here = [vehicle for vehicle in vehicles if row.hour.start_ns <= vehicle.time_ns < end_ns]
        head = _head(day, station, name, row.hour.number)
        for vehicle in here:
            yield record(head, vehicle)
        if not here:
            yield f"{head}{MISSING if row.state == 'missing' else NO_TRUCKS:>2}".ljust(WIDTH)


def record(head: str, vehicle: Weighed) -> str:
    """One vehicle; `head` are the first 21 columns."""
    loads_lb = [round(load_kg * LB_PER_KG) for _, load_kg, _ in vehicle.axles]
    places_m = [position_m for position_m, _, _ in vehicle.axles]
    text = f"{head}{_class(vehicle)}{_speed(vehicle)}{sum(loads_lb):06d}{len(loads_lb):02d}{loads_lb[0]:05d}"
    for before_m, here_m, load_lb in zip(places_m, places_m[1:], loads_lb[1:], strict=False):
        text += f"{round((here_m - before_m) * TENTHS_OF_FT_PER_M):04d}{load_lb:05d}"
    return text.ljust(WIDTH)


def _head(day: SiteDay, station: Station, name: LaneName, hour: int) -> str:
    return f"W{station.state}{station.id.zfill(6)}{name.direction}{name.lane}{day.day:%Y%m%d}{hour:02d}"


def _class(vehicle: Weighed) -> str:
    code = vehicle.class_code or ""
    fits = vehicle.class_scheme == "fhwa" and code.isdigit() and 1 <= int(code) <= 13
    return f"{int(code):02d}" if fits else "  "


def _speed(vehicle: Weighed) -> str:
    return "   " if vehicle.speed_mps is None else f"{min(round(vehicle.speed_mps * MPH_PER_MPS), 999):03d}"


def _unfit(vehicle: Weighed) -> str | None:
    """Why a vehicle cannot be a record."""
    if any(flag in UNSOUND for flag in vehicle.flags):
        return "was not weighed whole (flags partial, sensor_fault)"
    if not 1 <= len(vehicle.axles) <= AXLES_MOST:
        return f"has no axles, or more than {AXLES_MOST}"
    if any(not 0 <= load_kg * LB_PER_KG < 99_999.5 for _, load_kg, _ in vehicle.axles):
        return "has an axle beyond five digits of pounds"
    gaps_m = [b[0] - a[0] for a, b in zip(vehicle.axles, vehicle.axles[1:], strict=False)]
    if any(not 0 <= gap_m * TENTHS_OF_FT_PER_M < 9999.5 for gap_m in gaps_m):
        return "has axles that do not follow each other"
    return None
