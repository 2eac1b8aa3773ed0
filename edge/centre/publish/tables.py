"""The open data of one local day: tables of figures that anyone may have. Written as CSV and as Parquet.

Beside each figure stands how sure it is and how much of the hour was looked at. There is no pseudonym, no single
vehicle and no count below `LEAST_COUNT` in them: such a count is null, and so is what was worked out from so few
vehicles. No table has sums over the classes of an hour, from which a hidden count could be worked out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from edge.centre.local_day import HOUR_NS
from edge.centre.publish.day import UNSOUND, SiteDay, Weighed
from edge.contract.text import MEANINGS, unit_of
from edge.messages import parse_utc, utc_text

LEAST_COUNT = 5

Kind = Literal["text", "number", "whole", "truth", "time"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its unit stands in its name, `meaning` in the dictionary."""

    name: str
    kind: Kind
    meaning: str


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` gives the rows of a day, in the order of `columns`, null where a value is not known or hidden."""

    name: str
    columns: tuple[Column, ...]
    rows: Callable[[SiteDay], Iterator[tuple[Any, ...]]]


def dictionary(tables: tuple[Table, ...]) -> Iterator[tuple[str, ...]]:
    """The data dictionary: table, column, kind, unit, meaning."""
    yield ("table", "column", "kind", "unit", "meaning")
    for table in tables:
        for column in table.columns:
            yield (table.name, column.name, column.kind, unit_of(column.name), column.meaning)


_PLACE = (
    Column("country", "text", "country of the port, ISO 3166-1 alpha-2"),
    Column("port", "text", "the authority's own code of the port of entry"),
    Column("crossing", "text", "name of the crossing"),
    Column("local_day", "text", "day in the time of the crossing"),
)
_HOUR = (
    Column("local_hour", "text", "beginning of the hour in that time, with its offset where the day has it twice"),
    Column("hour_utc", "time", "the same in UTC"),
    Column("lane", "text", "lane"),
    Column("direction", "text", "direction of the lane"),
)


def _place(day: SiteDay) -> tuple[str, ...]:
    site = day.site
    return (site.country, site.port, site.name, day.day.isoformat())


# Vehicles by hour, lane and class


def _vehicles(day: SiteDay) -> Iterator[tuple[Any, ...]]:
    covered = {(row.lane, row.hour.start_ns): row for row in day.covered}
    groups: dict[tuple[str, int, str, str], list[Weighed]] = {}
    for vehicle in day.vehicles:
        start_ns = day.start_ns + (vehicle.time_ns - day.start_ns) // HOUR_NS * HOUR_NS
        if (vehicle.lane, start_ns) in covered:
            key = (vehicle.lane, start_ns, vehicle.class_scheme or "", vehicle.class_code or "")
            groups.setdefault(key, []).append(vehicle)
    for (lane, start_ns, scheme, code), vehicles in sorted(groups.items()):
        row = covered[lane, start_ns]
        head = (*_place(day), row.hour.label, utc_text(start_ns), lane, row.direction, scheme or None, code or None)
        yield (*head, *_figures(vehicles), row.state, row.minutes)


def _figures(vehicles: list[Weighed]) -> tuple[Any, ...]:
    if len(vehicles) < LEAST_COUNT:
        return (None, True, None, None, None, None)
    whole = [vehicle for vehicle in vehicles if not any(flag in UNSOUND for flag in vehicle.flags)]
    if len(whole) < LEAST_COUNT:
        return (len(vehicles), False, None, None, None, None)
    mean_kg = sum(vehicle.gross_kg for vehicle in whole) / len(whole)
    sigmas = [vehicle.gross_sigma_kg for vehicle in whole]
    known = [sigma for sigma in sigmas if sigma is not None]
    sigma_kg = math.sqrt(sum(s * s for s in known)) / len(known) if len(known) == len(whole) else None
    over = sum(vehicle.violations > 0 for vehicle in whole)
    few = 0 < over < LEAST_COUNT or 0 < len(whole) - over < LEAST_COUNT
    share = None if few else round(over / len(whole), 4)
    return (
        len(vehicles),
        False,
        len(whole),
        round(mean_kg, 1),
        None if sigma_kg is None else round(sigma_kg, 1),
        share,
    )


VEHICLES = Table(
    "vehicles_hourly",
    (
        *_PLACE,
        *_HOUR,
        Column("class_scheme", "text", MEANINGS["VehicleClass"]["scheme"]),
        Column("class_code", "text", MEANINGS["VehicleClass"]["code"]),
        Column("vehicles", "whole", f"vehicles of that class; null where fewer than {LEAST_COUNT}"),
        Column("hidden", "truth", f"whether the count is hidden, being below {LEAST_COUNT}"),
        Column("weighed", "whole", "of these, weighed whole: what the mean is of"),
        Column("mean_gross_kg", "number", "mean gross vehicle weight"),
        Column("mean_gross_sigma_kg", "number", "standard deviation of that mean by the uncertainty of each weight"),
        Column("over_limit_share", "number", "share that exceeds a limit; null where it would tell of few vehicles"),
        Column("coverage", "text", "counted, no_traffic or missing: what the count is worth"),
        Column("looked_at_minutes", "whole", "minutes of the hour in which the lane was looked at"),
    ),
    _vehicles,
)

# Waits by interval

_WAIT = (
    "direction", "traffic", "program", "from_point", "to_point", "interval_s", "experienced_count",
    "experienced_median_s", "experienced_p10_s", "experienced_p90_s", "expected_s", "low_s", "high_s",
    "queue_vehicles", "throughput_per_h", "lower_bound", "method", "match_rate",
)  # fmt: skip
_KINDS: dict[str, Kind] = {"interval_s": "whole", "experienced_count": "whole", "lower_bound": "truth"}
_TEXTS = {"direction", "traffic", "program", "from_point", "to_point", "method"}


def _meaning(name: str) -> str:
    text = MEANINGS["Wait"].get(name) or MEANINGS["Experienced"].get(name.removeprefix("experienced_"), "")
    return f"{text}; null where fewer than {LEAST_COUNT} vehicles" if name.startswith("experienced_") else text


def _waits(day: SiteDay) -> Iterator[tuple[Any, ...]]:
    zone = day.site.zone
    for row in day.rows("wait", _WAIT):
        few = (row["experienced_count"] or 0) < LEAST_COUNT
        values = [None if few and name.startswith("experienced_") else row[name] for name in _WAIT]
        values[_WAIT.index("lower_bound")] = None if row["lower_bound"] is None else bool(row["lower_bound"])
        end_ns = parse_utc(row["time"])
        local = datetime.fromtimestamp(end_ns // 1_000_000_000, UTC).astimezone(zone)
        yield (*_place(day), f"{local:%H:%M:%S}", utc_text(end_ns), row["lane"], *values)


WAITS = Table(
    "waits",
    (
        *_PLACE,
        Column(
            "local_time", "text", "end of the interval in the time of the crossing, for which the expected wait holds"
        ),
        Column("time_utc", "time", "the same in UTC"),
        Column("lane", "text", "lane, or _ for the whole crossing"),
        *(Column(name, "text" if name in _TEXTS else _KINDS.get(name, "number"), _meaning(name)) for name in _WAIT),
    ),
    _waits,
)

# Coverage


def _coverage(day: SiteDay) -> Iterator[tuple[Any, ...]]:
    for row in day.covered:
        head = (*_place(day), row.hour.label, row.hour.start, row.lane, row.direction)
        yield (*head, row.state, row.minutes, row.reason)


COVERAGE = Table(
    "coverage_hourly",
    (
        *_PLACE,
        *_HOUR,
        Column("coverage", "text", "counted; no_traffic: looked at, and nobody came; missing: not known"),
        Column("looked_at_minutes", "whole", "minutes of the hour in which the lane was looked at"),
        Column("reason", "text", "why minutes are missing"),
    ),
    _coverage,
)

TABLES = (VEHICLES, WAITS, COVERAGE)
