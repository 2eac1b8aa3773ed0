"""The language of a reader: what the address or the browser asks for in, one that we have out. Called by pages."""

from __future__ import annotations

from edge.words.values import LANGUAGES


def language_of(asked: str | None, accepts: str) -> str:
    """`asked` is what the address says, `accepts` the browser's Accept-Language; English where neither fits."""
    if asked in LANGUAGES:
        return asked
    ranked: list[tuple[float, int, str]] = []
    for n, part in enumerate(accepts[:500].split(",")):
        name, _, rest = part.strip().partition(";")
        try:
            weight = float(rest.strip().removeprefix("q=")) if rest.strip() else 1.0
        except ValueError:
            weight = 0.0
        ranked.append((-weight, n, name.lower()[:2]))
    return next((name for weight, _, name in sorted(ranked) if name in LANGUAGES and weight < 0), "en")
