"""Multipart bodies and endless multipart streams of cameras: bytes in, parts out. No I/O, no clock, raises nothing.

    --B  line end  Name: value  line end  ..  empty line  body  line end  --B  ..  --B--

What cameras do to it, and is read all the same: bare LF for line ends, a declared boundary that has the dashes in it, a
Content-Length that is 0 or wrong (a line with the boundary ends a part wherever it comes), a delimiter only when the
next part begins. So in an endless stream `pending` shows a part before its delimiter is there, and who could make sense
of it calls `take`. Pictures are thrown away as they come; of other bodies a bounded number
of bytes is kept. Called by drivers/camera_stream.py and for what is pushed.

Sources: RFC 2046, 5.1; Content-Length 0 and bare LF: a Dahua ITC237 as plate loggers in public code have it in their
tests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MOST_PART_BYTES = 1 << 20
_MOST_HEAD_BYTES = 8192
_MOST_DELIMITER_BYTES = 256  # dashes, boundary of at most 70, blanks
_BOUNDARY = re.compile(r'boundary\s*=\s*("[^"]*"|[^;\s]+)', re.IGNORECASE)
_HEAD_END = re.compile(rb"\n\r?\n")
_PICTURE_NAME = re.compile(r"\.(jpe?g|png|bmp|gif|mp4)\b", re.IGNORECASE)
_PICTURE_BYTES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8")


@dataclass(frozen=True, slots=True)
class Part:
    """A part: headers with small names, body. `fault` says why the body is not there: `part_too_long`, `part_head`."""

    headers: dict[str, str]
    body: bytes = field(repr=False)
    fault: str = ""


def boundary_of(content_type: str) -> str | None:
    """The boundary that a Content-Type declares, without dashes before it; None where it declares none."""
    match = _BOUNDARY.search(content_type)
    text = match[1].strip('"').lstrip("-") if match is not None else ""
    return text if 0 < len(text) <= 70 else None


class MultipartReader:
    """Bytes of one body or stream to parts."""

    def __init__(self, boundary: str) -> None:
        core = re.escape(boundary.encode("latin-1", "replace"))
        self._delimiter = re.compile(rb"\n-{2,80}" + core + rb"(--)?[ \t]{0,80}\r?\n")
        self._buffer = bytearray(b"\n")  # always begins with the line end before the line that is looked at
        self._headers: dict[str, str] | None = None  # of the part whose body is under way
        self._in_head = False
        self._kept = False  # whether the body under way is
        self._fault = ""
        self._length = 0  # of the body, as its head says; 0: it does not
        self._shown = False  # that length was reached, and `pending` said so
        self._searched = 0  # so many bytes of the buffer hold no delimiter

    @property
    def held_bytes(self) -> int:
        return len(self._buffer)

    def pending(self, *, quiet: bool = False) -> Part | None:
        """The part under way, once, when it is as long as its head says; with `quiet` as far as it came."""
        if self._headers is None or not self._kept:
            return None
        reached = 0 < self._length < len(self._buffer)  # the buffer has a line end before the body
        if not quiet and (not reached or self._shown):
            return None
        self._shown = True
        return Part(self._headers, bytes(self._buffer[1 : 1 + self._length] if reached else self._buffer[1:]))

    def take(self) -> None:
        """What `pending` gave made sense: what of that part still comes is nothing new."""
        self._kept = False
        self._drop(len(self._buffer) - _MOST_DELIMITER_BYTES)

    def feed(self, data: bytes) -> list[Part]:
        """The parts that end with `data`, pictures left out."""
        out: list[Part] = []
        for start in range(0, len(data), MOST_PART_BYTES):
            self._buffer += data[start : start + MOST_PART_BYTES]
            while self._step(out):
                pass
        return out

    def _step(self, out: list[Part]) -> bool:
        """Go on by a delimiter or a head; false where more bytes are needed."""
        end = _HEAD_END.search(self._buffer) if self._in_head else None
        found = self._delimiter.search(self._buffer, max(0, self._searched - _MOST_DELIMITER_BYTES))
        if end is not None and (found is None or end.end() <= found.end()):
            self._begin_body(end.start(), end.end())
            return True
        if found is not None:
            self._end_part(found.start(), out)
            self._in_head = found[1] is None
            self._drop(found.end() - 1)
            return True
        self._searched = len(self._buffer)
        self._bound()
        return False

    def _begin_body(self, head_end: int, body_begin: int) -> None:
        lines = bytes(self._buffer[:head_end]).decode("utf-8", "replace").splitlines()
        split = (line.partition(":") for line in lines)
        self._headers = {name.strip().lower(): value.strip() for name, colon, value in split if colon}
        self._in_head = False
        self._kept = not _says_picture(self._headers)
        self._fault, self._shown = "", False
        self._length = _length(self._headers)
        self._drop(body_begin - 1)

    def _end_part(self, end: int, out: list[Part]) -> None:
        if self._in_head:
            out.append(Part({}, b"", "part_head"))
        elif self._headers is not None:
            body = bytes(self._buffer[1:end]).removesuffix(b"\r")
            if self._fault:
                out.append(Part(self._headers, b"", self._fault))
            elif self._kept and not body.startswith(_PICTURE_BYTES):
                out.append(Part(self._headers, body))
        self._headers, self._fault = None, ""

    def _bound(self) -> None:
        if self._in_head:
            if len(self._buffer) > _MOST_HEAD_BYTES:
                self._in_head, self._headers, self._kept, self._fault = False, {}, False, "part_head"
        elif self._headers is not None and self._kept:
            picture = self._buffer[1:8].startswith(_PICTURE_BYTES)
            if picture or len(self._buffer) > MOST_PART_BYTES:
                self._kept, self._fault = False, "" if picture else "part_too_long"
        if not self._in_head and not (self._headers is not None and self._kept):
            self._drop(len(self._buffer) - _MOST_DELIMITER_BYTES)

    def _drop(self, count: int) -> None:
        if count > 0:
            del self._buffer[:count]
        self._searched = max(0, self._searched - max(0, count))


def _length(headers: dict[str, str]) -> int:
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _says_picture(headers: dict[str, str]) -> bool:
    kind = headers.get("content-type", "").lower()
    if kind.startswith(("image/", "video/", "audio/")):
        return True
    return not kind and _PICTURE_NAME.search(headers.get("content-disposition", "")) is not None
