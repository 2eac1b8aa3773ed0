"""Ages as people say them: seconds in, `12 s`, `5 min`, `3 h`, `2 d` in a language out; rounded down: at least.

Called by all that show an age: page, board, `watch`, `status`, `doctor`. A unit begins at twice its size, so that no
age is off by more than a third.
"""

from __future__ import annotations

from edge.words.values import word

AHEAD_S = 60.0  # a time so far ahead of this computer's clock is said to be so
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def age(seconds: float, language: str = "en", *, fine: bool = False) -> str:
    """With `fine` hours and days with what is beyond them: `3 h 12 min`, `2 d 5 h`."""
    if seconds < -AHEAD_S:
        return word(language, "age", "ahead")
    whole = max(0, int(seconds))
    for place, (size_s, unit) in enumerate(_UNITS):
        if whole >= 2 * size_s:
            said = f"{whole // size_s} {word(language, 'age', unit)}"
            if fine and unit != "min":
                next_s, next_unit = _UNITS[place + 1]
                said += f" {whole % size_s // next_s} {word(language, 'age', next_unit)}"
            return said
    return f"{whole} s"


def ago(seconds: float, language: str = "en") -> str:
    """In a sentence of its own: `just now`, `5 min ago`."""
    if -AHEAD_S <= seconds < 60:
        return word(language, "age", "now")
    said = age(seconds, language)
    return said if seconds < 0 else word(language, "age", "ago").format(age=said)
