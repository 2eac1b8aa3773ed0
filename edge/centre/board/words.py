"""The board's words: texts.toml, and values as people say them. Called by the pages."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from edge.centre.board.waits import Group
from edge.centre.local_day import zone_of
from edge.words.ages import ago


@cache
def texts() -> dict[str, dict[str, Any]]:
    """All texts by language and key."""
    return tomllib.loads((resources.files("edge.centre.board") / "texts.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Words:
    """What a template says, in one language."""

    language: str

    def __getitem__(self, key: str) -> str:
        return str(texts()[self.language][key])

    def say(self, key: str, **values: object) -> str:
        return self[key].format(**values)

    def traffic(self, group: Group) -> str:
        return self._named("traffic", group.traffic)

    def direction(self, group: Group) -> str:
        return self._named("direction", group.direction)

    def program(self, group: Group) -> str:
        return self._named("program", group.program)

    def _named(self, kind: str, value: str | None) -> str:
        """A word of ours, or the value itself where we have none (FAST, NEXUS, a direction of the site's own)."""
        return str(texts()[self.language].get(f"{kind}_{value or ''}", value))

    def minutes(self, seconds: float | None) -> str:
        """Whole minutes, halves up; a word where it is not known."""
        return self["unknown"] if seconds is None else str(int(seconds / 60 + 0.5))

    def age(self, seconds: float) -> str:
        return ago(seconds, self.language)

    def weekday(self, at_s: int, zone: str) -> str:
        days: list[str] = texts()[self.language]["weekdays"]
        return days[datetime.fromtimestamp(at_s, UTC).astimezone(zone_of(zone)).weekday()]


def clock(at_s: float, zone: str) -> str:
    """`14:05` in the time of a crossing."""
    return f"{datetime.fromtimestamp(at_s, UTC).astimezone(zone_of(zone)):%H:%M}"
