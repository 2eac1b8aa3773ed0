"""The words of the terminal view in three languages (texts.toml, edge/words)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from edge.messages import parse_utc
from edge.words.ages import age
from edge.words.values import word

UNKNOWN = "–"


@cache
def texts() -> dict[str, dict[str, str]]:
    """All texts of the screen by language and key."""
    return tomllib.loads((resources.files("edge.watch") / "texts.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Words:
    """What the screen says, in one language."""

    language: str = "en"

    def __getitem__(self, key: str) -> str:
        return texts()[self.language][key]

    def of(self, kind: str, value: str | None) -> str:
        """A word for a value (`state`, `online`), a short one where the screen has it; else the value itself."""
        return texts()[self.language].get(f"{kind}_{value}") or word(self.language, kind, value)

    def age(self, seconds: float | None) -> str:
        return UNKNOWN if seconds is None else age(seconds, self.language)


def seconds_since(utc: object, now_s: float) -> float | None:
    """Seconds from an RFC 3339 time to `now_s` (UNIX time); None where it is none: strangers write what they like."""
    try:
        return now_s - parse_utc(str(utc)) / 1e9
    except (ValueError, OverflowError):
        return None
