"""Files of sightings: lines of JSON in, one typed record a line out, and back.

`LineReader` serves `borderflow wait`; the daemon makes the same records from what drivers say. A bad line is counted,
named and passed over; a file that cannot be read as a whole raises SightingError. Identities are in clear here, live in
memory only, and `repr` hides them. Lines that look like most do are read by the core (csrc/src/match/lines.c), and mean
what `parse` says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from edge.messages import parse_utc, utc_text

if TYPE_CHECKING:
    from edge.exchange.tokens import PlateTokens

_MOST_AXLES = 64
_MOST_ID = 64
_MOST_LINE = 1 << 16
_CHUNK = 1 << 17  # bytes
_NAMED_MOST = 20  # bad lines that are named one by one; of the rest the number is told


class _Seen(msgspec.Struct, frozen=True, gc=False):
    """Something was seen at a point of a lane."""

    time_ns: int
    lane: str
    point: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.time_ns}, {self.lane!r}, {self.point!r})"


class TagSighting(_Seen, frozen=True, gc=False):
    """A tag was read at a point of a lane."""

    id: str
    confidence: float | None = None


class PlateSighting(_Seen, frozen=True, gc=False):
    """A plate was read, perhaps with errors."""

    id: str
    confidence: float | None = None


class TokenSighting(_Seen, frozen=True, gc=False):
    """A plate as tokens, its own period first: read by another computer, or here and to be compared with another's."""

    tokens: tuple[PlateTokens, ...]
    confidence: float | None = None

    @property
    def id(self) -> str:
        """The same for repeated reads."""
        return self.tokens[0].whole.hex()


class LoopCount(_Seen, frozen=True, gc=False):
    """A loop counted a vehicle."""


class AxleSighting(_Seen, frozen=True, gc=False):
    """A WIM array measured a vehicle: positions from the first axle (m) and loads (kg), in the order of arrival."""

    positions_m: tuple[float, ...]
    loads_kg: tuple[float, ...]


class BoothChange(_Seen, frozen=True, gc=False):
    """A booth of the lane opened, closed or changed its program. `open` None: only the program changed."""

    open: bool | None
    program: str | None = None
    booth: str | None = None  # which one, where the line says it


Sighting = TagSighting | PlateSighting | TokenSighting | LoopCount | AxleSighting | BoothChange


class SightingError(Exception):
    """A line or a file of sightings cannot be used; the text names file, line, what is wrong and what to do."""


Medium = Literal["rfid", "plate", "loop", "axles", "booth"]


class _Axle(msgspec.Struct, frozen=True):
    position_m: float
    load_kg: float


class _Line(msgspec.Struct, frozen=True):
    time: str
    lane: str
    medium: Medium
    point: str | None = None
    id: str | int | None = None
    confidence: float | None = None
    axles: tuple[_Axle, ...] | None = None
    open: bool | int | None = None
    program: str | None = None
    booth: str | int | None = None


_decode = msgspec.json.Decoder(_Line).decode


def parse(line: bytes) -> Sighting:
    """The sighting of one line; SightingError says what is wrong with it, without repeating an identity."""
    if len(line) > _MOST_LINE:
        raise SightingError(f"is {len(line)} bytes long; a sighting has fewer than {_MOST_LINE}")
    try:
        raw = _decode(line)
    except msgspec.ValidationError as error:
        raise SightingError(f"does not fit: {_without_value(str(error))}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SightingError("is no JSON object; write one sighting a line") from None
    try:
        time_ns = parse_utc(raw.time)
    except (ValueError, OverflowError):
        raise SightingError("time is no RFC 3339 time with an offset; write 2026-11-24T05:22:17.123456Z") from None
    medium = raw.medium
    if medium == "booth":
        is_open = None if raw.open is None else bool(raw.open)
        if is_open is None and raw.program is None:
            raise SightingError('says neither "open" nor "program"; a line of medium booth needs one of them')
        which = None if raw.booth is None else str(raw.booth)
        return BoothChange(time_ns, raw.lane, raw.point or "booth", is_open, raw.program, which)
    point = raw.point
    if point is None:
        raise SightingError('has no "point"; name a [[point]] of the configuration')
    if medium == "loop":
        return LoopCount(time_ns, raw.lane, point)
    if medium == "axles":
        return _axles(time_ns, raw.lane, point, raw.axles)
    identity = "" if raw.id is None else str(raw.id).strip()
    if len(identity) > _MOST_ID:
        raise SightingError(f"id has {len(identity)} characters; no tag or plate has more than {_MOST_ID}")
    confidence = raw.confidence if raw.confidence is not None and math.isfinite(raw.confidence) else None
    kind = TagSighting if medium == "rfid" else PlateSighting
    return kind(time_ns, raw.lane, point, identity, confidence)


def _without_value(text: str) -> str:
    """msgspec quotes a wrong word; in a file whose columns have shifted that may be a plate."""
    if text.startswith("Invalid enum value"):
        return f"medium is none of {', '.join(get_args(Medium))}"
    return text


def _axles(time_ns: int, lane: str, point: str, axles: tuple[_Axle, ...] | None) -> AxleSighting:
    if not axles or len(axles) > _MOST_AXLES:
        raise SightingError(f'has no usable "axles"; give 1 to {_MOST_AXLES} of {{"position_m", "load_kg"}}')
    positions = tuple(axle.position_m for axle in axles)
    loads = tuple(axle.load_kg for axle in axles)
    if not all(abs(value) < 1e6 for value in (*positions, *loads)):
        raise SightingError("axles: a position or a load is no sensible number of metres or kilograms")
    return AxleSighting(time_ns, lane, point, positions, loads)


class LineReader:
    """The lines of a file. Each bad one is told to `complain` and passed over.

    Its user asks for `chunks`, and of each line either for its sighting, or says that it has taken it.
    """

    def __init__(self, path: Path, complain: Callable[[str], None]) -> None:
        self._path = path
        self._complain = complain
        self._number = self.bad = 0
        self._good = False

    def chunks(self) -> Iterator[bytes]:
        """Whole lines, many at a time.

        Raises SightingError when the file cannot be read, or when none of its lines was a sighting.
        """
        try:
            with self._path.open("rb", buffering=0) as file:
                parts: list[bytes] = []  # of a line whose end has not come
                while chunk := file.read(_CHUNK):
                    lines, newline, rest = chunk.rpartition(b"\n")
                    if newline:
                        yield b"".join((*parts, lines, newline))
                        parts = []
                    parts.append(rest)
            if rest := b"".join(parts):
                yield rest
        except OSError as error:
            raise SightingError(f"{self._path}: cannot be read: {error.strerror or error}") from error
        if self.bad > _NAMED_MOST:
            self._complain(f"{self._path}: {self.bad - _NAMED_MOST} more lines are bad")
        if self.bad and not self._good:
            raise SightingError(
                f"{self._path}: none of its {self.bad} lines is a sighting; it must hold one JSON object a line"
            )
        if not self._good:
            self._complain(f"{self._path}: holds no line; nothing can be told of it")

    def taken(self, number: int) -> None:
        """So many lines were taken, each a sighting."""
        self._number += number
        self._good = self._good or number > 0

    def sighting(self, line: bytes) -> Sighting | None:
        """The sighting of the next line; None where it is empty or bad."""
        self._number += 1
        if not line.strip():
            return None
        try:
            sighting = parse(line)
        except SightingError as error:
            self.bad += 1
            if self.bad <= _NAMED_MOST:
                self._complain(f"{self._path}: line {self._number}: {error}")
            return None
        self._good = True
        return sighting


def line_of(sighting: Sighting) -> bytes:
    """The line of a sighting, without its newline: the inverse of `parse`. Tokens live in memory and have no line."""
    out: dict[str, Any] = {"time": utc_text(sighting.time_ns), "lane": sighting.lane, "point": sighting.point}
    match sighting:
        case TagSighting() | PlateSighting():
            out["medium"] = "rfid" if isinstance(sighting, TagSighting) else "plate"
            out["id"] = sighting.id
            if sighting.confidence is not None:
                out["confidence"] = sighting.confidence
        case LoopCount():
            out["medium"] = "loop"
        case AxleSighting():
            out["medium"] = "axles"
            out["axles"] = [
                {"position_m": x, "load_kg": load}
                for x, load in zip(sighting.positions_m, sighting.loads_kg, strict=True)
            ]
        case BoothChange():
            out["medium"] = "booth"
            extra = {"open": sighting.open, "program": sighting.program, "booth": sighting.booth}
            out |= {key: value for key, value in extra.items() if value is not None}
    return msgspec.json.encode(out)
