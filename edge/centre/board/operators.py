"""What an operator is told of a crossing: lanes, alarms that hold, gaps, coverage, weights. Plain records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

from edge.centre.gap_table import Execute
from edge.messages import parse_utc, utc_text

_NS = 1_000_000_000
_BACK_NS = 24 * 3600 * _NS
_SEVERITIES = ("critical", "warning", "info")
# what to do, by the cause that the last word names
_LINE = "look whether it has power and a line; while it has power, its journal keeps everything"
_OFFLINE = {"shutdown": "somebody stopped its service, and nothing is measured: start it again"}
Record = dict[str, Any]


def computers(read: Execute, now_ns: int, country: str | None = None, port: str | None = None) -> list[Record]:
    """Each computer with the age of its last word."""
    query = "SELECT country, port, source, online, time, body FROM presence ORDER BY country, port, source"
    return [
        {
            "country": c, "port": p, "source": source, "online": bool(online), "age_s": _age_s(time, now_ns),
            "version": json.loads(body).get("version"), "backlog": json.loads(body).get("backlog", {}),
        }
        for c, p, source, online, time, body in read(query, ())
        if country in (None, c) and port in (None, p)
    ]  # fmt: skip


def alarms(read: Execute, now_ns: int, country: str | None = None, port: str | None = None) -> list[Record]:
    """Conditions that hold, the worst first: what the last status of each computer says, and else what its alarms say.
    A computer that went offline is one too."""
    found: list[Record] = []
    query = "SELECT country, port, source, online, time, body FROM presence"
    told: set[str] = set()
    for c, p, source, online, time, body in read(query, ()):
        place = {"country": c, "port": p, "source": source}
        said = json.loads(body)
        if not online:
            cause = said.get("cause")
            text = f"no connection since {time[:19]}Z; cause: {cause or 'not known'}; {_OFFLINE.get(cause, _LINE)}"
            found.append(_alarm(place, "computer_offline", "critical", time, "_", None, text, now_ns))
        if isinstance(said.get("alarms"), list):
            told.add(source)
            for held in said["alarms"]:
                since, lane = held.get("since", time), held.get("lane", "_")
                severity = held.get("severity", "warning")
                found.append(
                    _alarm(place, held.get("code"), severity, since, lane, held.get("device"), held.get("text"), now_ns)
                )
    found += _begun(read, now_ns, told)
    mine = [alarm for alarm in found if country in (None, alarm["country"]) and port in (None, alarm["port"])]
    return sorted(mine, key=lambda alarm: (_rank(alarm["severity"]), alarm["age_s"]))


def _begun(read: Execute, now_ns: int, told: set[str]) -> Iterator[Record]:
    """Alarms without an end, of computers whose status does not list what holds."""
    open_: dict[tuple[str, ...], Record] = {}
    query = (
        "SELECT country, port, source, lane, code, device, severity, text, state, time FROM alarm "
        "WHERE time > ? ORDER BY time"
    )
    for c, p, source, lane, code, device, severity, text, state, time in read(
        query, (utc_text(now_ns - 7 * _BACK_NS),)
    ):
        key = (c, p, source, lane, code, device or "")
        if source in told:
            continue
        if state == "begin":
            place = {"country": c, "port": p, "source": source}
            open_[key] = _alarm(place, code, severity, time, lane, device, text, now_ns)
        else:
            open_.pop(key, None)
    yield from open_.values()


def _alarm(
    place: Record, code: str, severity: str, since: str, lane: str, device: str | None, text: str | None, now_ns: int
) -> Record:
    about = {"code": code, "severity": severity, "lane": lane, "device": device, "text": text or ""}
    return {**place, **about, "age_s": _age_s(since, now_ns)}


def lanes(read: Execute, country: str, port: str, now_ns: int) -> list[Record]:
    """Each lane with its last hour."""
    since = (country, port, utc_text(now_ns - 3600 * _NS), utc_text(now_ns))
    between = "country = ? AND port = ? AND time > ? AND time <= ? AND lane <> '_'"
    found: dict[str, Record] = {}
    query = (
        "SELECT lane, direction, time, expected_s, queue_vehicles, throughput_per_h FROM wait "
        f"WHERE {between} ORDER BY time"
    )
    for lane, direction, time, expected_s, queue, per_hour in read(query, since):
        found[lane] = {
            "lane": lane, "direction": direction, "expected_s": expected_s, "queue_vehicles": queue,
            "throughput_per_h": per_hour, "heard_age_s": _age_s(time, now_ns), "vehicles": None,
        }  # fmt: skip
    query = (
        f"SELECT lane, max(direction), count(*), avg(gross_kg), max(time) FROM vehicle WHERE {between} GROUP BY lane"
    )
    for lane, direction, count, mean_kg, time in read(query, since):
        row = found.setdefault(lane, {"lane": lane, "direction": direction, "heard_age_s": _age_s(time, now_ns)})
        row |= {"vehicles": count, "mean_gross_kg": mean_kg, "last_vehicle_age_s": _age_s(time, now_ns)}
    return [found[lane] for lane in sorted(found)]


def gaps(read: Execute, country: str, port: str, now_ns: int, most: int = 200) -> list[Record]:
    """Missing numbers, open ones first."""
    query = (
        "SELECT topic, epoch, from_seq, to_seq, found, asked, asked_times, state, reason FROM gap "
        "WHERE state <> 'filled' ORDER BY state = 'open' DESC, found DESC"
    )
    branch = f"borderflow/v1/{country}/{port}/"
    made: list[Record] = []
    for topic, epoch, first, last, found, asked, times, state, reason in read(query, ()):
        if topic.startswith(branch) and len(made) < most:
            made.append(
                {
                    "topic": topic, "epoch": epoch, "from_seq": first, "to_seq": last, "messages": last - first + 1,
                    "age_s": _age_s(found, now_ns), "asked_age_s": _age_s(asked, now_ns) if asked else None,
                    "asked_times": times, "state": state, "reason": reason,
                }
            )  # fmt: skip
    return made


def coverage(read: Execute, country: str, port: str, day: date) -> list[Record]:
    """Lanes with their hours of a local day, in order."""
    query = (
        "SELECT lane, local_hour, state, vehicles, minutes, reason FROM coverage_hourly "
        "WHERE country = ? AND port = ? AND local_day = ? ORDER BY lane, hour"
    )
    found: dict[str, list[Record]] = {}
    for lane, hour, state, vehicles, minutes, reason in read(query, (country, port, day.isoformat())):
        row = {"hour": hour, "state": state, "vehicles": vehicles, "minutes": minutes, "reason": reason}
        found.setdefault(lane, []).append(row)
    return [{"lane": lane, "hours": hours} for lane, hours in found.items()]


def classes(read: Execute, country: str, port: str, start_ns: int, end_ns: int) -> list[Record]:
    """Vehicles of a span by class: how many, how heavy, how many over a limit."""
    query = (
        "SELECT class_scheme, class_code, gross_kg, violations FROM vehicle "
        "WHERE country = ? AND port = ? AND time >= ? AND time < ?"
    )
    groups: dict[tuple[str, str], list[tuple[float, bool]]] = {}
    for scheme, code, gross_kg, violations in read(query, (country, port, utc_text(start_ns), utc_text(end_ns))):
        groups.setdefault((scheme or "", code or ""), []).append((gross_kg, violations not in (None, "[]")))
    made: list[Record] = []
    for (scheme, code), vehicles in sorted(groups.items(), key=lambda item: (item[0][0], len(item[0][1]), item[0][1])):
        weights = sorted(kg for kg, _ in vehicles)
        made.append(
            {
                "scheme": scheme, "class": code, "vehicles": len(vehicles),
                "over_limit": sum(over for _, over in vehicles),
                "gross_kg": {f"p{p}": weights[min(len(weights) * p // 100, len(weights) - 1)] for p in (10, 50, 90)},
            }
        )  # fmt: skip
    return made


def _age_s(time: str, now_ns: int) -> float:
    return max(0.0, (now_ns - parse_utc(time)) / _NS)


def _rank(severity: str) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES)
