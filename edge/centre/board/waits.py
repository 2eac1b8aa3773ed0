"""What the public is told of waits: the database at a moment → records of plain values. No HTML, no words.

"No wait", "not known" and "no news" are three things: a group has a figure only where its last message has one and is
younger than `STALE_S`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from statistics import median
from typing import Any, Literal

from edge.centre.gap_table import Execute
from edge.centre.local_day import bounds_ns, day_of, zone_of
from edge.messages import parse_utc, utc_text
from edge.reports.feeds import EXPIRE_S, STALE_S

_NS = 1_000_000_000
SLOT_S = 900  # of a curve
USUAL_WEEKS = 8
_FEWEST_WEEKS = 3  # of days that make something usual
_AHEAD_S = 120.0

State = Literal["known", "unknown", "stale"]


@dataclass(frozen=True, slots=True)
class Group:
    """The wait of one direction, kind of traffic and program at a crossing. Seconds; null where not known."""

    direction: str | None
    traffic: str | None
    program: str | None
    state: State
    time: str
    age_s: float
    experienced_s: float | None
    experienced_count: int | None
    expected_s: float | None
    low_s: float | None
    high_s: float | None
    at_least: bool
    queue_vehicles: float | None

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.direction or "", self.traffic or "", self.program or "")


@dataclass(frozen=True, slots=True)
class Crossing:
    """A crossing with its groups: only those of which something was heard within `EXPIRE_S`."""

    country: str
    port: str
    name: str
    timezone: str
    groups: tuple[Group, ...]

    def record(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Curve:
    """A day in slots of `SLOT_S`: (start as seconds since 1970, median expected wait in s or null)."""

    start_s: int
    end_s: int
    today: tuple[tuple[int, float | None], ...]
    usual: tuple[tuple[int, float | None], ...]

    @property
    def is_empty(self) -> bool:
        return all(value is None for _, value in (*self.today, *self.usual))


_COLUMNS = (
    "country, port, direction, traffic, program, time, experienced_median_s, experienced_count, expected_s, low_s, "
    "high_s, lower_bound, queue_vehicles"
)
_LATEST = f"SELECT {_COLUMNS} FROM wait WHERE lane = '_' AND time > ? AND time <= ? ORDER BY time"


def crossings(read: Execute, now_ns: int) -> list[Crossing]:
    """All crossings of the database, in the order of their names."""
    places = {(country, port): (name, zone) for country, port, zone, name in read(_SITES, ())}
    since = (utc_text(now_ns - int(EXPIRE_S * _NS)), utc_text(now_ns + int(_AHEAD_S * _NS)))
    found: dict[tuple[str, str], dict[tuple[str, str, str], Group]] = defaultdict(dict)
    for country, port, *row in read(_LATEST, since):
        group = _group(row, now_ns)
        found[country, port][group.key] = group
        places.setdefault((country, port), ("", "UTC"))
    made = [
        Crossing(country, port, name or f"{country} {port}", zone, _told(found[country, port]))
        for (country, port), (name, zone) in places.items()
    ]
    return sorted(made, key=lambda crossing: (crossing.name, crossing.country, crossing.port))


_SITES = "SELECT country, port, timezone, name FROM site"


def _group(row: Sequence[Any], now_ns: int) -> Group:
    direction, traffic, program, time, median_s, count, expected_s, low_s, high_s, lower_bound, queue = row
    age_s = max(0.0, (now_ns - parse_utc(time)) / _NS)
    if age_s > STALE_S:
        state: State = "stale"
    else:
        state = "known" if expected_s is not None or median_s is not None else "unknown"
    if state != "known":
        median_s = expected_s = low_s = high_s = queue = None
    at = utc_text(parse_utc(time))
    return Group(
        direction,
        traffic,
        program,
        state,
        at,
        age_s,
        median_s,
        count,
        expected_s,
        low_s,
        high_s,
        bool(lower_bound),
        queue,
    )


def _told(groups: dict[tuple[str, str, str], Group]) -> tuple[Group, ...]:
    """Groups by program; one without is the sum of a direction and traffic, told where it has no programs."""
    with_program = {key[:2] for key in groups if key[2]}
    return tuple(groups[key] for key in sorted(groups) if key[2] or key[:2] not in with_program)


def curve(read: Execute, crossing: Crossing, group: Group, now_ns: int) -> Curve:
    """The expected wait of today, and the median of the same weekday in the weeks before."""
    zone = zone_of(crossing.timezone)
    today = day_of(now_ns, zone)
    start_ns, end_ns = bounds_ns(today, zone)
    slots = range(0, (end_ns - start_ns) // _NS, SLOT_S)
    now_slots = _slots(read, crossing, group, start_ns, end_ns)
    before = []
    for week in range(1, USUAL_WEEKS + 1):
        first_ns, last_ns = bounds_ns(today - timedelta(weeks=week), zone)
        if slots_then := _slots(read, crossing, group, first_ns, last_ns):
            before.append(slots_then)
    start_s = start_ns // _NS
    return Curve(
        start_s,
        end_ns // _NS,
        tuple((start_s + at, now_slots.get(at)) for at in slots if start_ns + at * _NS <= now_ns),
        tuple((start_s + at, _usual([day[at] for day in before if at in day])) for at in slots),
    )


def _usual(values: list[float]) -> float | None:
    return median(values) if len(values) >= _FEWEST_WEEKS else None


def _slots(read: Execute, crossing: Crossing, group: Group, start_ns: int, end_ns: int) -> dict[int, float]:
    """Median of the expected waits by the second of the day at which a slot begins."""
    query = (
        "SELECT time, expected_s FROM wait WHERE country = ? AND port = ? AND lane = '_' AND time > ? AND time <= ? "
        "AND coalesce(direction, '') = ? AND coalesce(traffic, '') = ? AND coalesce(program, '') = ? "
        "AND expected_s IS NOT NULL"
    )
    values: dict[int, list[float]] = defaultdict(list)
    span = (utc_text(start_ns), utc_text(end_ns))
    for time, expected_s in read(query, (crossing.country, crossing.port, *span, *group.key)):
        values[(parse_utc(time) - 1 - start_ns) // _NS // SLOT_S * SLOT_S].append(expected_s)
    return {at: median(found) for at, found in values.items()}
