"""A local day and its hours: 23, 24 or 25 of them. Called by coverage and by what is published for a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge.messages import utc_text

_NS = 1_000_000_000
HOUR_NS = 3600 * _NS


@dataclass(frozen=True, slots=True)
class Hour:
    """`start_ns` UTC; `number` is that of the local clock, 0 to 23; a day of 25 hours has one of them twice."""

    start_ns: int
    number: int
    label: str  # "01:00", or "01:00-05:00" where the day has that hour twice

    @property
    def start(self) -> str:
        """The beginning as UTC text."""
        return utc_text(self.start_ns)


def zone_of(name: str) -> ZoneInfo:
    """ValueError where there is no such time zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"time zone {name!r} is not known; write one of the IANA names, like America/Toronto"
        ) from None


def bounds_ns(day: date, zone: ZoneInfo) -> tuple[int, int]:
    """The first moment of a local day and that of the next one, ns UTC."""
    return _midnight_ns(day, zone), _midnight_ns(day + timedelta(days=1), zone)


def hours_of(day: date, zone: ZoneInfo) -> list[Hour]:
    """The hours of a local day in order. A zone whose offset is no whole hour has its hours by the local clock too."""
    start_ns, end_ns = bounds_ns(day, zone)
    locals_ = [_local(at_ns, zone) for at_ns in range(start_ns, end_ns, HOUR_NS)]
    numbers = [local.hour for local in locals_]
    return [
        Hour(start_ns + n * HOUR_NS, local.hour, _label(local, twice=numbers.count(local.hour) > 1))
        for n, local in enumerate(locals_)
    ]


def day_of(at_ns: int, zone: ZoneInfo) -> date:
    """The local day of a moment."""
    return _local(at_ns, zone).date()


def _midnight_ns(day: date, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(), zone).astimezone(UTC).timestamp()) * _NS


def _local(at_ns: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at_ns // _NS, UTC).astimezone(zone)


def _label(local: datetime, *, twice: bool) -> str:
    offset = f"{local:%z}"
    return f"{local:%H:%M}{offset[:3]}:{offset[3:5]}" if twice else f"{local:%H:%M}"
