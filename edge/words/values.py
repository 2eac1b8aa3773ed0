"""States, severities, flags and other values as people say them: kind and value in, a word of a language out.

Called by the page and by the view of `watch`.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

LANGUAGES = ("en", "fr", "es")


@cache
def values() -> dict[str, dict[str, str]]:
    """All words by language and `kind_value`."""
    return tomllib.loads((resources.files("edge.words") / "values.toml").read_text(encoding="utf-8"))


def word(language: str, kind: str, value: str | None) -> str:
    """`en ligne` for `state`, `online`; the value itself where we have no word (FAST, directions of the site's own)."""
    return values()[language].get(f"{kind}_{value or ''}", value or "")
