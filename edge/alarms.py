"""Conditions that begin and end: each becomes one `alarm` message when it begins and one when it ends.

Called by the crossing and the daemon; whatever is reported again while it lasts is not repeated.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import UNSET

from edge.alarm_codes import ALARM_CODES
from edge.messages import Alarm, Severity, Site, utc_text


@dataclass(frozen=True, slots=True)
class Condition:
    """What makes a condition the same one: its code, the device or collector, the lane (`_`: all), the sensor."""

    code: str
    device: str | None = None
    lane: str = "_"
    sensor: str | None = None

    def __post_init__(self) -> None:
        if self.code not in ALARM_CODES:
            raise ValueError(f"alarm code {self.code!r} has no meaning in edge/alarm_codes.py; give it one")


class Alarms:
    """The conditions that hold now."""

    def __init__(self, site: Site, source: str) -> None:
        self._site, self._source = site, source
        self._active: dict[Condition, tuple[Severity, str]] = {}

    @property
    def active(self) -> dict[Condition, tuple[Severity, str]]:
        return self._active

    def set(
        self, condition: Condition, holds: bool, time_ns: int, *, severity: Severity = "warning", text: str = ""
    ) -> list[Alarm]:
        """The condition holds, or does not; gives the message if that is news. `text`: where, and what to do."""
        known = self._active.get(condition)
        if holds == (known is not None):
            return []
        if holds:
            self._active[condition] = (severity, text)
        else:
            severity, text = self._active.pop(condition)[0], text
        return [
            Alarm(
                time=utc_text(time_ns),
                site=self._site,
                lane=condition.lane,
                source=self._source,
                code=condition.code,
                state="begin" if holds else "end",
                severity=severity,
                text=text,
                device=condition.device,
                sensor=condition.sensor if condition.sensor is not None else UNSET,
            )
        ]
