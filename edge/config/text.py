"""Says what is wrong with a text that is no TOML, in words that name the cure: bytes in, text or a fault out.

Called by `edge.config.file`. TOML's own error says where reading ended; the line there shows what somebody meant.
"""

from __future__ import annotations

import codecs
import re

_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PLACE = re.compile(r" ?\(at line (\d+), column \d+\)")
_NUMBER = r"[+-]?\d+(?:_\d+)*"
# What a line holds, and what to do about it; the first that fits is told.
_CURES = (
    (re.compile(r"[\u2018-\u201e\u00ab\u00bb]"), 'has typographic quotes; write straight ones: "text"'),
    (re.compile(r"[\u00a0\u2007\u202f]"), "has a no-break space in it; write an ordinary one"),
    (
        re.compile(rf"^\s*[\w.\"-]+\s*=\s*({_NUMBER}),(\d+)\s*(?:#.*)?$"),
        "has a decimal comma; TOML writes a point: {0}.{1}",
    ),
    (
        re.compile(r"^\s*[\w.\"-]+\s*=\s*(0\d+)\s*(?:#.*)?$"),
        'is a number with a leading zero; write a code in quotes: "{0}", a number without the zero',
    ),
    (re.compile(r"[\[,{=]\s*([+-]?0\d[\d.]*)\b"), "has {0}: a number has no leading zero; write a code in quotes"),
    (re.compile(r"=\s*(True|False|TRUE|FALSE|yes|no|on|off)\b"), "has {0}; write true or false, in small letters"),
    (re.compile(r"^\s*[\w.-]+\s*:"), "has a colon; TOML writes key = value"),
    (re.compile(rf"=\s*({_NUMBER}(?:\.\d+)?)\s*([A-Za-z%°]+)\s*(?:#.*)?$"),
     "has a unit behind the number; the unit stands in the key: write {0} alone"),
    (re.compile(r";\s*$"), "ends in a semicolon; TOML ends a line with nothing"),
    (re.compile(r"=\s*(?:#.*)?$"), "has no value behind the equals sign"),
    (re.compile(r"=\s*([A-Za-z_/][^\s#\"'\[{]*)\s*(?:#.*)?$"), 'has a text without quotes; write "{0}"'),
    (re.compile(r"=\s*[\"'][^\"']*$"), "has a text whose second quote is missing"),
    (re.compile(r"\d,\d"), "has a comma between digits; for a decimal TOML writes a point"),
)  # fmt: skip


def decoded(data: bytes) -> str:
    """The text of the file; ValueError with the cure where it is no plain UTF-8."""
    if data.startswith(_MARKS):
        raise ValueError("begins with a byte-order mark; save it as UTF-8 without one (an editor's `UTF-8`, not "
                         "`UTF-8 with BOM` or `Unicode`)")  # fmt: skip
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"is not UTF-8 text (line {line}, byte {error.start}); save it as UTF-8") from None


def explained(text: str, error: ValueError) -> tuple[int | None, str]:
    """Line and text of an error of tomllib, with a cure where the line shows what was meant."""
    said = str(error)
    place = _PLACE.search(said)
    number = int(place[1]) if place is not None else _last_line(text)
    said = _PLACE.sub("", said.replace(" (at end of document)", ""))
    lines = text.split("\n")
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    for pattern, cure in _CURES:
        if (match := pattern.search(line)) is not None:
            return number, f"is not valid TOML: {said}: this line {cure.format(*match.groups())}"
    if "twice" in said:
        return number, f"is not valid TOML: {said}: a table stands there once; of several, write each as [[name]]"
    if "overwrite" in said:
        return number, f"is not valid TOML: {said}: this key stands in the same table before; remove one of the two"
    return number, f"is not valid TOML: {said}"


def _last_line(text: str) -> int:
    return text.rstrip().count("\n") + 1
