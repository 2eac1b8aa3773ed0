"""The body of a post: bytes in as they come, its documents out at the end. No I/O.

A document is the whole body, or a part of a multipart body that is no picture, or a value of a form. Pictures are
thrown away as they come, so that twenty cameras that post at once cost little. Called by drivers/http_posts.py.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from drivers.base import ProtocolError
from drivers.multipart import MultipartReader, boundary_of

MOST_HELD_BYTES = 8 << 20  # of a body; JSON with pictures has 1 to 3 MB
MOST_BYTES = 64 << 20  # of a multipart body
_MOST_FIRST_LINE = 256
_MOST_FIELDS = 100  # of a form


class BodyReader:
    """One body. `feed` raises ProtocolError where it is larger than plates with pictures are."""

    def __init__(self, kind: str) -> None:
        self._kind = kind.lower()
        self._declared = boundary_of(kind)
        self._held = bytearray()  # the whole body, or what came before its kind is known
        self._parts: MultipartReader | None = None
        self._documents: list[bytes] = []
        self._begun = False
        self._size = 0

    @property
    def held_bytes(self) -> int:
        parts = 0 if self._parts is None else self._parts.held_bytes
        return len(self._held) + parts + sum(map(len, self._documents))

    def feed(self, data: bytes) -> None:
        """Take bytes, cut anywhere."""
        self._size += len(data)
        if self._parts is None:
            self._held += data
            self._begin()
        else:
            self._take(data)
        if self.held_bytes > MOST_HELD_BYTES or self._size > MOST_BYTES:
            raise ProtocolError("http_too_large", "a body is larger than plates with pictures are")

    def end(self) -> tuple[bytes, ...]:
        """The documents. A last part without an end counts."""
        self._begin(at_end=True)
        if self._parts is not None:
            self._take(b"\r\n")
            last = self._parts.pending(quiet=True)
            return (*self._documents, *([last.body] if last is not None else []))
        body = bytes(self._held)
        if "urlencoded" in self._kind and body.lstrip()[:1].isalnum():  # many call so what is none
            fields = body.split(b"&", _MOST_FIELDS)[:_MOST_FIELDS]
            return tuple(unquote_to_bytes(field.partition(b"=")[2].replace(b"+", b" ")) for field in fields)
        return (body,)

    def _begin(self, *, at_end: bool = False) -> None:
        """Find out whether it is multipart, and go on as that."""
        if self._begun:
            return
        first, line_end, _ = bytes(self._held[:_MOST_FIRST_LINE]).partition(b"\n")
        whole = bool(line_end) or len(self._held) >= _MOST_FIRST_LINE or at_end
        if not whole and (self._declared is not None or b"--".startswith(first[:2])):
            return
        self._begun = True
        # what stands there counts for more than what is declared, also where nothing is
        written = first.strip().lstrip(b"-").removesuffix(b"--").decode("latin-1") if first.startswith(b"--") else ""
        boundary = written if 0 < len(written) <= 70 else self._declared
        if first.lstrip()[:1] in (b"{", b"[", b"<"):  # and neither makes JSON or XML multipart
            boundary = None
        if boundary is not None:
            self._parts = MultipartReader(boundary)
            held, self._held = bytes(self._held), bytearray()
            self._take(held)

    def _take(self, data: bytes) -> None:
        assert self._parts is not None
        self._documents += [part.body for part in self._parts.feed(data) if not part.fault]


def documents_of(kind: str, body: bytes) -> tuple[bytes, ...]:
    """The documents of a whole body of that Content-Type. Raises ProtocolError."""
    reader = BodyReader(kind)
    reader.feed(body)
    return reader.end()
