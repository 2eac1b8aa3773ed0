"""One local day of one crossing, read once: what every format is made of. Called by `borderflow publish`.

The same rows give the same bytes: everything is read in one order, by time and then by the identity of a message.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from edge.centre.coverage import Covered, coverage
from edge.centre.gap_table import Execute
from edge.centre.local_day import bounds_ns
from edge.messages import parse_utc, utc_text

UNSOUND = (
    "partial",
    "sensor_fault",
)  # flags of a vehicle that was not weighed whole; left out where loads are delivered


@dataclass(frozen=True, slots=True)
class Site:
    """A crossing, and the time zone by which its days are counted."""

    country: str
    port: str
    name: str
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Weighed:
    """One vehicle: its keys as in the message, without any identity."""

    time_ns: int
    lane: str
    direction: str | None
    source: str
    speed_mps: float | None
    gross_kg: float
    gross_sigma_kg: float | None
    class_scheme: str | None
    class_code: str | None
    class_confidence: float | None
    flags: tuple[str, ...]
    violations: int
    axles: tuple[tuple[float, float, float | None], ...]  # position m, load kg, sigma kg


class SiteDay:
    """See the head of this file. `until_ns`: hours that end after it are not over, and say nothing."""

    def __init__(self, read: Execute, site: Site, day: date, *, until_ns: int | None = None) -> None:
        self.site, self.day = site, day
        self._read, self._until_ns = read, until_ns
        self.start_ns, self.end_ns = bounds_ns(day, site.zone)

    @cached_property
    def covered(self) -> list[Covered]:
        """Each lane and hour, by lane and then by hour."""
        return coverage(
            self._read, self.site.country, self.site.port, self.day, self.site.zone, until_ns=self._until_ns
        )

    @cached_property
    def vehicles(self) -> list[Weighed]:
        """In the order of time."""
        axles: dict[tuple[str, str, int], list[tuple[float, float, float | None]]] = {}
        query = (
            "SELECT axle.topic, axle.epoch, axle.seq, position_m, load_kg, sigma_kg FROM axle JOIN vehicle "
            "ON vehicle.topic = axle.topic AND vehicle.epoch = axle.epoch AND vehicle.seq = axle.seq "
            "AND vehicle.time = axle.time WHERE country = ? AND port = ? AND vehicle.time >= ? AND vehicle.time < ? "
            "ORDER BY axle.topic, axle.epoch, axle.seq, n"
        )
        for topic, epoch, seq, *axle in self._of_day(query):
            axles.setdefault((topic, epoch, seq), []).append((axle[0], axle[1], axle[2]))
        query = (
            "SELECT topic, epoch, seq, time, lane, direction, source, speed_mps, gross_kg, gross_sigma_kg, "
            "class_scheme, class_code, class_confidence, flags, violations FROM vehicle "
            "WHERE country = ? AND port = ? AND time >= ? AND time < ? ORDER BY time, topic, epoch, seq"
        )
        return [self._weighed(row[3:], axles.get(row[:3], [])) for row in self._of_day(query)]

    @staticmethod
    def _weighed(row: tuple[Any, ...], axles: list[tuple[float, float, float | None]]) -> Weighed:
        time, lane, direction, source, speed_mps, gross_kg, sigma_kg, scheme, code, confidence, flags, violations = row
        return Weighed(
            parse_utc(time), lane, direction, source, speed_mps, gross_kg, sigma_kg, scheme, code, confidence,
            tuple(json.loads(flags or "[]")), len(json.loads(violations or "[]")), tuple(axles),
        )  # fmt: skip

    def rows(self, kind: str, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        """Messages of a kind, those that end in the day, by the names of their columns."""
        query = (
            f"SELECT time, lane, source, {', '.join(columns)} FROM {kind} "
            "WHERE country = ? AND port = ? AND time > ? AND time <= ? ORDER BY time, topic, epoch, seq"
        )
        for row in self._of_day(query):
            yield dict(zip(("time", "lane", "source", *columns), row, strict=True))

    @cached_property
    def is_empty(self) -> bool:
        """Nothing at all came of this day."""
        kinds = ("vehicle", "wait", "flow")
        query = "SELECT 1 FROM {} WHERE country = ? AND port = ? AND time >= ? AND time < ? LIMIT 1"
        return not any(self._of_day(query.format(kind)) for kind in kinds)

    def _of_day(self, query: str) -> list[tuple[Any, ...]]:
        place = (self.site.country, self.site.port)
        return self._read(query, (*place, utc_text(self.start_ns), utc_text(self.end_ns)))
