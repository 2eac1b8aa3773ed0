"""The page's words: texts.toml, and values as people say them. Called by the templates."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from edge.words.ages import age
from edge.words.alarms import first, said
from edge.words.values import word


@cache
def texts() -> dict[str, dict[str, str]]:
    """All texts by language and key."""
    return tomllib.loads((resources.files("edge.page") / "texts.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Words:
    """What a template says, in one language."""

    language: str

    def __getitem__(self, key: str) -> str:
        return texts()[self.language][key]

    def say(self, key: str, **values: object) -> str:
        return self[key].format(**values)

    def of(self, kind: str, value: str | None) -> str:
        """A word of ours for a value (`state_online`), or the value itself where we have none."""
        return word(self.language, kind, value)

    def age(self, seconds: float | None) -> str:
        return self["unknown"] if seconds is None else age(seconds, self.language)

    def minutes(self, seconds: float | None) -> str:
        return self["unknown"] if seconds is None else f"{int(seconds / 60 + 0.5)} min"

    def tonnes(self, kg: float | None, digits: int = 2) -> str:
        return "–" if kg is None else self.number(kg / 1000, digits)

    def number(self, value: float | None, digits: int = 0) -> str:
        """With the decimal sign of the language."""
        if value is None:
            return "–"
        text = f"{value:.{digits}f}"
        return text.replace(".", ",") if self.language in ("fr", "es") else text

    def alarm(self, alarm: Mapping[str, Any]) -> str:
        """What an alarm says."""
        return said(alarm, self.language)

    def first(self, code: str) -> str:
        """Where to begin."""
        return first(code, self.language)
