"""For each lane and local hour: was its traffic counted, did it work without traffic, or is the hour missing, and why.

In: the tables of one local day of one crossing; out: rows of `coverage_hourly`. A count is worth as much as what is
known of the hours without one: "no trucks" and "nobody looked" are two things. Called by the collector for days that
changed, and by what is published.

A minute counts as looked at where a `flow` message of it is here. A lane that sends no flow is known by its vehicles
and waits alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal
from zoneinfo import ZoneInfo

from edge.centre.gap_table import Execute
from edge.centre.local_day import HOUR_NS, Hour, bounds_ns, hours_of
from edge.messages import parse_utc, utc_text

State = Literal["counted", "no_traffic", "missing"]

_MINUTE_NS = 60_000_000_000
_LEAST_MINUTES = 30  # of an hour without a vehicle, for "there was no traffic"
_LOOK_BACK_NS = 7 * 86_400_000_000_000  # an alarm that began earlier was seen to end or begin again
# Conditions under which a count of nothing says nothing
_BLIND = frozenset(
    {"device_down", "device_silent", "sensor_fault", "channels_missing", "loop_stuck", "wim_rate_wrong", "disk_full"}
)


@dataclass(frozen=True, slots=True)
class Covered:
    """One lane and hour. `vehicles` is null where the hour is missing; `minutes` are those that were looked at."""

    lane: str
    direction: str | None
    hour: Hour
    state: State
    vehicles: int | None
    minutes: int
    reason: str | None


@dataclass(slots=True)
class _LaneDay:
    """What is here of a lane, by number of the hour in the day."""

    direction: str | None = None
    minutes: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    counted: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    weighed: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    heard: set[int] = field(default_factory=set)  # any message
    sources: set[str] = field(default_factory=set)


def coverage(
    read: Execute, country: str, port: str, day: date, zone: ZoneInfo, *, until_ns: int | None = None
) -> list[Covered]:
    """All lanes that were heard on that day or in the week before; hours that end after `until_ns` are not over yet and
    left out."""
    start_ns, end_ns = bounds_ns(day, zone)
    hours = [hour for hour in hours_of(day, zone) if until_ns is None or hour.start_ns + HOUR_NS <= until_ns]
    lanes = _lanes(read, country, port, start_ns, end_ns)
    troubles = _Troubles(read, country, port, start_ns, end_ns)
    return [_covered(name, lanes[name], n, hour, troubles) for name in sorted(lanes) for n, hour in enumerate(hours)]


def _covered(name: str, lane: _LaneDay, n: int, hour: Hour, troubles: _Troubles) -> Covered:
    minutes, vehicles = len(lane.minutes[n]), max(lane.counted[n], lane.weighed[n])
    end_ns = hour.start_ns + HOUR_NS
    if vehicles:
        minutes = minutes if lane.minutes else 60
        reason = None if minutes >= 60 else troubles.reason(name, lane.sources, hour.start_ns, end_ns)
        return Covered(name, lane.direction, hour, "counted", vehicles, minutes, reason)
    looked = minutes if any(lane.minutes.values()) else 60 * (n in lane.heard)
    blind = troubles.blind(name, lane.sources, hour.start_ns, end_ns)
    if looked >= _LEAST_MINUTES and blind is None:
        return Covered(name, lane.direction, hour, "no_traffic", 0, looked, None)
    reason = blind or troubles.reason(name, lane.sources, hour.start_ns, end_ns)
    return Covered(name, lane.direction, hour, "missing", None, looked, reason)


def _lanes(read: Execute, country: str, port: str, start_ns: int, end_ns: int) -> dict[str, _LaneDay]:
    lanes: dict[str, _LaneDay] = defaultdict(_LaneDay)
    between = "country = ? AND port = ? AND time > ? AND time <= ? AND lane <> '_'"
    place = (country, port)
    span = (utc_text(start_ns), utc_text(end_ns))
    week = (utc_text(start_ns - _LOOK_BACK_NS), utc_text(end_ns))
    for kind in ("flow", "vehicle", "wait"):
        for lane, source in read(f"SELECT DISTINCT lane, source FROM {kind} WHERE {between}", (*place, *week)):
            lanes[lane].sources.add(source)
    query = f"SELECT lane, time, interval_s, count, direction FROM flow WHERE {between} AND interval_s <= 3600"
    flows: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)  # a lane may count at several points
    for lane, end, interval_s, count, direction in read(query, (*place, *span)):
        lanes[lane].direction = direction or lanes[lane].direction
        key = (lane, int(interval_s))
        flows[key][end] = max(flows[key].get(end, 0), count)
    for lane in list(lanes):
        shortest = min((interval_s for name, interval_s in flows if name == lane), default=None)
        if shortest is not None:
            _take_flow(lanes[lane], flows[lane, shortest], shortest * 1_000_000_000, start_ns)
    for lane, at, direction in read(f"SELECT lane, time, direction FROM vehicle WHERE {between}", (*place, *span)):
        n = _hour(parse_utc(at), start_ns)
        lanes[lane].weighed[n] += 1
        lanes[lane].heard.add(n)
        lanes[lane].direction = direction or lanes[lane].direction
    for lane, at, direction in read(f"SELECT lane, time, direction FROM wait WHERE {between}", (*place, *span)):
        lanes[lane].heard.add(_hour(parse_utc(at) - 1, start_ns))
        lanes[lane].direction = direction or lanes[lane].direction
    return lanes


def _take_flow(lane: _LaneDay, ends: dict[str, int], length_ns: int, start_ns: int) -> None:
    """Intervals by the moment at which they end; their minutes were looked at."""
    for end, count in ends.items():
        first_ns = parse_utc(end) - length_ns
        n = _hour(first_ns, start_ns)
        lane.counted[n] += count
        lane.heard.add(n)
        for at_ns in range(first_ns, first_ns + length_ns, _MINUTE_NS):
            lane.minutes[_hour(at_ns, start_ns)].add(at_ns // _MINUTE_NS)


def _hour(at_ns: int, start_ns: int) -> int:
    return (at_ns - start_ns) // HOUR_NS


class _Troubles:
    """What is known of why an hour is missing: alarms that held, gaps, computers that were offline."""

    def __init__(self, read: Execute, country: str, port: str, start_ns: int, end_ns: int) -> None:
        self._end_ns = end_ns
        since = (country, port, utc_text(start_ns - _LOOK_BACK_NS), utc_text(end_ns))
        self._alarms = list(_alarm_spans(read, since, end_ns))
        self._gaps = list(_gap_spans(read, f"borderflow/v1/{country}/{port}/", end_ns))
        query = "SELECT source, time FROM status WHERE country = ? AND port = ? AND time > ? AND time <= ?"
        self._alive: dict[str, set[int]] = defaultdict(set)
        for source, at in read(query, since):
            self._alive[source].add(parse_utc(at) // HOUR_NS)

    def blind(self, lane: str, sources: set[str], first_ns: int, last_ns: int) -> str | None:
        """A condition that held for most of the hour, under which the lane could not see."""
        for code, where, source, begin_ns, end_ns in self._alarms:
            overlap_ns = min(end_ns, last_ns) - max(begin_ns, first_ns)
            if code in _BLIND and where in (lane, "_") and source in sources and 2 * overlap_ns > last_ns - first_ns:
                return code
        return None

    def reason(self, lane: str, sources: set[str], first_ns: int, last_ns: int) -> str:
        """Why messages of the hour are not here."""
        for where, source, begin_ns, end_ns, why in self._gaps:
            if where == lane and source in sources and begin_ns < last_ns and end_ns > first_ns:
                return why
        for code, where, source, begin_ns, end_ns in self._alarms:
            if where in (lane, "_") and source in sources and begin_ns < last_ns and end_ns > first_ns:
                return code
        if any(first_ns // HOUR_NS in self._alive[source] for source in sources):
            return "the computer was there, the lane said nothing"
        return "nothing was heard of the computer"


def _alarm_spans(read: Execute, since: Sequence[str], end_ns: int) -> Iterator[tuple[str, str, str, int, int]]:
    """(code, lane, source, begin, end) of conditions; one that has not ended holds until the end of the day."""
    query = (
        "SELECT source, lane, code, device, sensor, state, time FROM alarm "
        "WHERE country = ? AND port = ? AND time > ? AND time <= ? ORDER BY time"
    )
    open_: dict[tuple[str, ...], int] = {}
    for source, lane, code, device, sensor, state, at in read(query, since):
        key = (source, lane, code, device or "", sensor or "")
        if state == "begin":
            open_.setdefault(key, parse_utc(at))
        elif key in open_:
            yield code, lane, source, open_.pop(key), parse_utc(at)
    for (source, lane, code, _, _), begin_ns in open_.items():
        yield code, lane, source, begin_ns, end_ns


def _gap_spans(read: Execute, branch: str, end_ns: int) -> Iterator[tuple[str, str, int, int, str]]:
    """(lane, source, from, until, why) of numbers that are missing, by the times of their neighbours."""
    query = "SELECT topic, epoch, from_seq, to_seq, state, reason FROM gap WHERE state <> 'filled' AND topic LIKE ?"
    for topic, epoch, first, last, state, reason in read(query, (f"{branch}%",)):
        source, lane, kind = topic.split("/")[4:7]
        if not topic.startswith(branch) or kind not in ("flow", "vehicle"):
            continue
        at = f"SELECT time FROM {kind} WHERE topic = ? AND epoch = ? AND seq = ?"
        before, after = read(at, (topic, epoch, first - 1)), read(at, (topic, epoch, last + 1))
        begin_ns = parse_utc(before[0][0]) if before else 0
        until_ns = parse_utc(after[0][0]) if after else end_ns
        texts = {"open": "messages are missing and asked for", "lost": f"messages are lost ({reason})"}
        yield lane, source, begin_ns, until_ns, texts.get(state, str(reason))
