"""Which line of a TOML file a key stands in, so that a fault can be found with an editor: text in, keys with lines out.

Called by `edge.config.file` with text that tomllib has taken, and with what it made of it. Keys are written as faults
name them: `lane[C03].wim.sensor[line1].x_m`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

_Path = tuple[str | int, ...]

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^\s,\]}#]+(?: \d\d:[^\s,\]}#]+)?")  # a date and its time may have a blank between them


class Lines:
    """Line numbers of the keys of a file, counted from 1."""

    def __init__(self, text: str = "", table: dict[str, Any] | None = None) -> None:
        self._of: dict[str, int] = {}
        for path, line in _Scan(text).places():
            self._of[_labelled(path, table or {})] = line  # of two with one name the second: it is one too many

    def of(self, key: str) -> int | None:
        """Line of a key; of one that is not there the line of the table that it belongs into."""
        while key and key not in self._of:
            key = key[: max(key.rfind("."), key.rfind("["), 0)]
        return self._of.get(key)


def label(item: Any, index: int) -> str:
    """How a person finds an item of an array of tables: its name, else its place counted from 1."""
    name = item.get("name", item.get("id")) if isinstance(item, dict) else None
    return name if isinstance(name, str) else f"#{index + 1}"


def _labelled(path: _Path, table: Any) -> str:
    key = ""
    for part in path:
        table = table[part]
        key += f"[{label(table, part)}]" if isinstance(part, int) else f".{part}" if key else part
    return key


class _Scan:
    """Walks over valid TOML and notes where each key begins."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._found: dict[_Path, int] = {}
        self._tables: dict[_Path, int] = {}  # of each array of tables, how many have begun

    def places(self) -> Iterator[tuple[_Path, int]]:
        """Paths with their lines, in the order of the file."""
        here: _Path = ()
        while self._next() is not None:
            if self._next() == "[":
                here = self._header()
            else:
                self._pair(here)
        yield from self._found.items()

    def _next(self) -> str | None:
        """The next character that says something."""
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space is not None else self._at
        return self._text[self._at] if self._at < len(self._text) else None

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match is not None else self._at + 1
        return match[0] if match is not None else ""

    def _note(self, path: _Path, at: int) -> None:
        for size in range(1, len(path) + 1):
            self._found.setdefault(path[:size], bisect_right(self._starts, at))

    def _header(self) -> _Path:
        begin = self._at
        array = self._text.startswith("[[", begin)
        self._at += 2 if array else 1
        *ahead, last = self._key()
        self._next()
        self._at += 2 if array else 1
        path: _Path = ()
        for name in ahead:
            path = self._newest((*path, name))
        path = (*path, last)
        if array:
            self._tables[path] = self._tables.get(path, 0) + 1
        path = self._newest(path)
        self._note(path, begin)
        return path

    def _newest(self, path: _Path) -> _Path:
        return (*path, self._tables[path] - 1) if path in self._tables else path

    def _key(self) -> list[str]:
        names = []
        while True:
            quoted = self._next() in ('"', "'")
            text = self._take(_STRING if quoted else _BARE_KEY)
            names.append(_unquoted(text) if quoted else text)
            if self._next() != ".":
                return names
            self._at += 1

    def _pair(self, here: _Path) -> None:
        begin = self._at
        path = (*here, *self._key())
        self._note(path, begin)
        self._next()
        self._at += 1  # the equals sign
        self._value(path)

    def _value(self, path: _Path) -> None:
        match self._next():
            case "[":
                self._items(path, "]")
            case "{":
                self._items(path, "}")
            case '"' | "'":
                self._take(_STRING)
            case _:
                self._take(_BARE_VALUE)

    def _items(self, path: _Path, end: str) -> None:
        self._at += 1
        index = 0
        while (character := self._next()) is not None and character != end:
            if character == ",":
                self._at += 1
            elif end == "}":
                self._pair(path)
            else:
                self._note((*path, index), self._at)
                self._value((*path, index))
                index += 1
        self._at += 1


def _unquoted(text: str) -> str:
    """A quoted key as tomllib reads it."""
    import tomllib

    return next(iter(tomllib.loads(f"{text} = 0")))
