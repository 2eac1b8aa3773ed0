"""What follows from the messages and is kept beside them: the sites, and the coverage of the days that changed.

Called by the collector that leads. A day is worked out anew when messages of it came: also late ones, weeks after.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import date

from edge.centre.coverage import coverage
from edge.centre.local_day import HOUR_NS, day_of, zone_of
from edge.centre.store import Store
from edge.messages import parse_utc, utc_text

log = logging.getLogger("collect")

EVERY_S = 60.0
_BACK_NS = 120_000_000_000  # messages that were being written when the last look began

_DELETE = "DELETE FROM coverage_hourly WHERE country = ? AND port = ? AND local_day = ?"
_INSERT = """
    INSERT INTO coverage_hourly
    (country, port, lane, hour, local_day, local_hour, direction, state, vehicles, minutes, reason)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""


class Upkeep:
    """See the head of this file. `zones`: time zone by (country, port), where the operator says it; else what the
    crossing says of itself in its status, else UTC."""

    def __init__(
        self,
        store: Store,
        zones: Mapping[tuple[str, str], tuple[str, str]] | None = None,
        keep_months: int | None = None,
    ) -> None:
        self._store, self._told, self._keep_months = store, dict(zones or {}), keep_months
        self._looked_ns = 0

    def run(self, now_ns: int) -> None:
        """Sites first: the days of a crossing are those of its zone."""
        if self._keep_months is not None:
            for name in self._store.drop_before(_month(now_ns, -self._keep_months)):
                log.info("%s removed: older than %d months", name, self._keep_months)
        self._sites()
        since = utc_text(max(self._looked_ns - _BACK_NS, 0))
        self._looked_ns = now_ns
        for (country, port), zone in self.zones().items():
            zone_info = zone_of(zone)
            days: set[date] = {day_of(now_ns - HOUR_NS, zone_info)}  # hours end also where nothing comes
            for kind in ("flow", "vehicle"):
                query = (
                    f"SELECT DISTINCT substr(CAST(time AS TEXT), 1, 13) FROM {kind} "
                    "WHERE received > ? AND country = ? AND port = ?"
                )
                for (hour,) in self._store.query(query, (since, country, port)):
                    at_ns = parse_utc(f"{hour.replace(' ', 'T')}:00:00Z")
                    days |= {day_of(at_ns - 1, zone_info), day_of(at_ns + HOUR_NS - 1, zone_info)}
            for day in sorted(days):
                self._day(country, port, day, zone, now_ns)

    def zones(self) -> dict[tuple[str, str], str]:
        """Time zone of each crossing."""
        rows = self._store.query("SELECT country, port, timezone FROM site")
        return {(country, port): zone for country, port, zone in rows}

    def _sites(self) -> None:
        found: dict[tuple[str, str], tuple[str, str]] = {}
        for country, port, body in self._store.query("SELECT country, port, body FROM presence ORDER BY time"):
            said = json.loads(body)
            zone, name = said.get("timezone"), said.get("site_name")
            before = found.get((country, port), ("UTC", ""))
            found[country, port] = (
                zone if isinstance(zone, str) and _known(zone) else before[0],
                name if isinstance(name, str) else before[1],
            )
        for (topic,) in self._store.query("SELECT DISTINCT topic FROM span"):
            country, port = topic.split("/")[2:4]
            found.setdefault((country, port), ("UTC", ""))
        found |= self._told
        rows = [(*place, *about) for place, about in sorted(found.items())]
        self._store.replace("DELETE FROM site WHERE 1 = ?", (1,), "INSERT INTO site VALUES (?, ?, ?, ?)", rows)

    def _day(self, country: str, port: str, day: date, zone: str, now_ns: int) -> None:
        covered = coverage(self._store.query, country, port, day, zone_of(zone), until_ns=now_ns)
        rows = [
            (
                country, port, row.lane, row.hour.start, day.isoformat(), row.hour.label, row.direction, row.state,
                row.vehicles, row.minutes, row.reason,
            )
            for row in covered
        ]  # fmt: skip
        self._store.replace(_DELETE, (country, port, day.isoformat()), _INSERT, rows)


def _month(now_ns: int, ahead: int) -> str:
    """`2026-11`, or a month so many before or after it."""
    year, month = (int(part) for part in utc_text(now_ns)[:7].split("-"))
    count = 12 * year + month - 1 + ahead
    return f"{count // 12:04d}-{count % 12 + 1:02d}"


def _known(zone: str) -> bool:
    try:
        zone_of(zone)
    except ValueError:
        return False
    return True
