"""SICK LMS1xx, LMS5xx and TiM5xx/7xx laser scanners over CoLa A (TCP 2111): is a vehicle there, and how high is it.

The scan plane lies across the lane: the scanner hangs over it or stands beside it, and each scan is a profile of what
is in that plane. A telegram is ASCII between STX and ETX, its words separated by a blank, numbers hexadecimal:

    02 sRN SCdevicestate 03       02 sRA SCdevicestate 1 03            0 busy, 1 ready, 2 error
    02 sEN LMDscandata 1 03       02 sEA LMDscandata 1 03              scans are sent from now on; 0 ends it
                                  02 sFA 3 03                          an error, with its number
    02 sSN LMDscandata V D N  S S  T C U U  I I O O  L F M  E [P P]*E  B [channel]*B ... 03

    V version  D device  N serial number   S S state: 0 0 good, 0 1 error, 0 2 dirty, 0 3 too dirty
    T telegrams  C scans  U U microseconds since power-up: of the scan, of the telegram   I, O inputs and outputs
    L layer  F scans in 100 s  M measurement frequency  E encoders, each with two words  B channels of 16 bits

    channel   DIST1 3F800000 00000000 FFF92230 1388 21D 55 51 44 ...
              name  scale    offset   start    step count, then so many values
              (IEEE 754 singles; start, signed, and step in 1/10000 degree; distances in mm times scale; 0 is no echo)

A beam at the angle a hits what lies `d sin(a - down_deg)` beside the scanner and `height_m - d cos(a - down_deg)` above
the lane. A vehicle is there where enough neighbouring beams within `lane_m` end above `least_height_m`; it has gone
when that was not so for `hold_s`. The input `presence` tells it, `height` its greatest height when it has gone, `gap`
the time to the vehicle before. `dirty` is on while the scanner says that its window is.

`[lane.wim] mode = "scanner"` cuts vehicles by `presence` where no loop lies.

Sources: SICK telegram listing for ranging sensors (LMS1xx, LMS5xx, TiM5xx, TiM7xx); sick_scan_xd of 2025 (its parser
and its list of commands) for the order of words; heads of scans of a TiM551 and an LMS111 in public code (in our
tests). Unconfirmed on hardware: that 0 and distances below 10 mm are no echo on every model.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from drivers.base import DeviceError, Driver, Emit, Offer, Options
from drivers.events import InputChange, Measurement, Rejected
from drivers.framing import Frame, FrameCodec, Skip
from drivers.inputs import InputWatch
from drivers.links import Link, connect

_STX, _ETX = 0x02, 0x03
_LEAST_M = 0.01
_MOST_POINTS = 8192
_ANSWER_S = 2.0
_BUSY_S = 0.5
_ENCODERS_AT = 18
_DIRTY, _ERROR = (2, 3), 1


class SickOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    height_m: Annotated[float, Meta(gt=0, le=20, description="of the scanner above the lane")]
    side_m: Annotated[float, Meta(ge=-20, le=20, description="of the scanner right of the lane's left edge")] = 1.75
    down_deg: Annotated[float, Meta(ge=-180, le=360, description="the scanner's own angle that points down")] = 90.0
    clockwise: Annotated[
        bool, Meta(description="its angles grow from right to left, seen in the direction of travel")
    ] = False
    lane_m: Annotated[
        tuple[float, float], Meta(description="the part of the cross-section that is watched, from the left edge")
    ] = (0.0, 3.5)
    least_height_m: Annotated[float, Meta(gt=0, le=3, description="what is lower is no vehicle")] = 0.3
    least_points: Annotated[int, Meta(ge=1, le=100, description="neighbouring beams that a vehicle takes")] = 3
    hold_s: Annotated[float, Meta(ge=0, le=5, description="how long nothing must be seen before it has gone")] = 0.15

    def __post_init__(self) -> None:
        if not self.lane_m[0] < self.lane_m[1]:
            raise ValueError(f"lane_m: {list(self.lane_m)} is no span; write the left end first")


@dataclass(frozen=True, slots=True)
class Scan:
    """One profile: `distances_m` at the angles `start_deg` + k `step_deg`; 0 is no echo."""

    time_ns: int
    scans: int
    state: int
    start_deg: float
    step_deg: float
    distances_m: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: `kind` as sRA or sEA, the command's name and what stands behind it."""

    kind: str
    name: str
    words: tuple[str, ...]


class ColaCodec(FrameCodec[Scan | Reply]):
    """Bytes to scans and answers."""

    limit = 131_072

    def scan(self, buffer: bytearray, time_ns: int) -> Frame[Scan | Reply] | Skip | None:
        if buffer[0] != _STX:
            at = buffer.find(_STX)
            return Skip(at if at > 0 else len(buffer), "no_start")
        end = buffer.find(_ETX, 1)
        again = buffer.rfind(_STX, 1, end if end >= 0 else len(buffer))
        if again > 0:
            return Skip(again, "no_end")
        if end < 0:
            return None
        words = bytes(buffer[1:end]).decode("ascii", "replace").split()
        if not words:
            return Skip(end + 1, "empty")
        if words[0] in ("sSN", "sRA") and words[1:2] == ["LMDscandata"]:
            try:
                return Frame(end + 1, (_scan(words, time_ns),))
            except (ValueError, IndexError, OverflowError):
                return Frame(end + 1, (Rejected(self.device, time_ns, "bad_fields"),))
        if words[0] in ("sRA", "sEA", "sAN", "sWA", "sFA", "sSN"):
            name = words[1] if len(words) > 1 else ""
            return Frame(end + 1, (Reply(words[0], name, tuple(words[2:])),))
        return Frame(end + 1, (Rejected(self.device, time_ns, "bad_fields"),))


def _scan(words: list[str], time_ns: int) -> Scan:
    """Raises ValueError or IndexError where the words do not fit together."""
    at = _ENCODERS_AT
    encoders = _hex(words[at], 0xFFFF)
    at += 1 + 2 * encoders
    channels = _hex(words[at], 0xFF)
    at += 1
    for _ in range(channels):
        name, scale, offset, start, step, count = words[at : at + 6]
        number = _hex(count, _MOST_POINTS)
        values = words[at + 6 : at + 6 + number]
        if len(values) != number:
            raise ValueError("fewer values than were told")
        if name == "DIST1":
            distances = np.array([int(value, 16) for value in values], np.float64)
            distances_m = 1e-3 * (distances * _single(scale) + _single(offset))
            distances_m[(distances <= 0) | ~np.isfinite(distances_m) | (distances_m < _LEAST_M)] = 0.0
            start_deg = ((_hex(start, 0xFFFFFFFF) ^ 0x80000000) - 0x80000000) / 10_000
            step_deg = _hex(step, 0xFFFF) / 10_000
            return Scan(time_ns, _hex(words[8], 0xFFFFFFFF), _hex(words[6], 0xFF), start_deg, step_deg, distances_m)
        at += 6 + number
    raise ValueError("no distances")


def _hex(word: str, most: int) -> int:
    value = int(word, 16)
    if not 0 <= value <= most:
        raise ValueError("out of range")
    return value


def _single(word: str) -> float:
    return float(struct.unpack(">f", _hex(word, 0xFFFFFFFF).to_bytes(4, "big"))[0])


class ProfileWatch:
    """Scans to presence, heights and gaps of one lane."""

    def __init__(self, device: str, options: SickOptions) -> None:
        self._device, self._options = device, options
        self._inputs = InputWatch(device, ("presence", "dirty"))
        self._on = False
        self._seen_ns = self._left_ns = 0
        self._came_ns = 0
        self._height_m = 0.0

    def take(self, scan: Scan) -> list[InputChange | Measurement | Rejected]:
        """What follows from the next scan."""
        height_m = self.highest_m(scan)
        told: list[Measurement] = []
        now_ns = scan.time_ns
        if height_m is not None:
            if not self._on:
                self._on, self._came_ns, self._height_m = True, now_ns, 0.0
                if self._left_ns:
                    told.append(Measurement(self._device, now_ns, "gap", (now_ns - self._left_ns) / 1e9, "_s"))
            self._seen_ns, self._height_m = now_ns, max(self._height_m, height_m)
        elif self._on and not 0 <= now_ns - self._seen_ns < self._options.hold_s * 1e9:
            self._on, self._left_ns = False, self._seen_ns
            told.append(Measurement(self._device, self._seen_ns, "height", round(self._height_m, 2), "_m"))
            # it has gone when it was seen last, not when that was sure
            return [*told, *self._inputs.look([False, scan.state in _DIRTY], None, self._seen_ns)]
        return [*told, *self._inputs.look([self._on, scan.state in _DIRTY], None, now_ns)]

    def highest_m(self, scan: Scan) -> float | None:
        """Height of the highest thing in the lane that is wide enough to be a vehicle; None where there is none."""
        options = self._options
        angles = np.radians(scan.start_deg - options.down_deg + scan.step_deg * np.arange(len(scan.distances_m)))
        side = -1.0 if options.clockwise else 1.0
        y_m = options.side_m + side * scan.distances_m * np.sin(angles)
        z_m = options.height_m - scan.distances_m * np.cos(angles)
        left_m, right_m = options.lane_m
        body = (scan.distances_m > 0) & (y_m >= left_m) & (y_m <= right_m) & (z_m >= options.least_height_m)
        width = options.least_points
        if np.count_nonzero(body) < width:
            return None
        whole = np.lib.stride_tricks.sliding_window_view(body, width).all(axis=1)
        if not whole.any():
            return None
        lowest = np.lib.stride_tricks.sliding_window_view(z_m, width).min(axis=1)  # a rain drop is one beam wide
        return float(lowest[whole].max())


class SickLms(Driver):
    Options: ClassVar[type[Options]] = SickOptions
    summary = "SICK LMS1xx / LMS5xx / TiM laser scanners across the lane: presence, height, gaps (CoLa A, TCP)"
    schemes = ("tcp",)
    port = 2111
    options: SickOptions

    def offer(self) -> Offer:
        return Offer(channels=0, inputs=frozenset({"presence", "dirty"}), temperatures=frozenset())

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        codec, watch = ColaCodec(self.name), ProfileWatch(self.name, self.options)
        async with connect(self) as link:
            await self._ready(link, codec, emit, alive)
            started = await self._ask(link, codec, emit, "sEN LMDscandata 1", "LMDscandata")
            if _code(started) != 1:
                raise DeviceError(f"{self.url}: the scanner sends no scans; is it measuring? (LMDscandata refused)")
            try:
                while True:
                    for record in codec.feed(*await link.read()):
                        if isinstance(record, Rejected):
                            emit(record)
                        elif isinstance(record, Scan):
                            alive()
                            if record.state == _ERROR:
                                raise DeviceError(
                                    f"{self.url}: the scanner says that it is faulty; look at its display"
                                )
                            for event in watch.take(record):
                                emit(event)
            finally:
                with contextlib.suppress(DeviceError, OSError):
                    await link.write(_telegram("sEN LMDscandata 0"))

    async def _ready(self, link: Link, codec: ColaCodec, emit: Emit, alive: Callable[[], None]) -> None:
        """Wait while the scanner starts."""
        while True:
            reply = await self._ask(link, codec, emit, "sRN SCdevicestate", "SCdevicestate", needed=False)
            if _code(reply) == 2:
                raise DeviceError(f"{self.url}: the scanner says that it is faulty; look at its display")
            if _code(reply) != 0:
                return
            alive()
            await asyncio.sleep(_BUSY_S)

    async def _ask(
        self, link: Link, codec: ColaCodec, emit: Emit, command: str, name: str, *, needed: bool = True
    ) -> Reply:
        """The answer. Raises DeviceError where none comes, or the scanner refuses what is needed."""
        await link.write(_telegram(command))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_S):
                while True:
                    for record in codec.feed(*await link.read()):
                        if isinstance(record, Rejected):
                            emit(record)
                        elif isinstance(record, Reply) and record.name == name:
                            return record
                        elif isinstance(record, Reply) and record.kind == "sFA":
                            if not needed:
                                return record
                            raise DeviceError(f"{self.url}: the scanner refuses {name} (error {record.name})")
        raise DeviceError(
            f"{self.url}: no answer to {name}; is its port {self.port} set to CoLa A (ASCII), and is it its only host?"
        )


def _code(reply: Reply) -> int | None:
    """The number that an answer says, however many digits it has; None where it says none."""
    if reply.kind == "sFA" or not reply.words:
        return None
    try:
        return int(reply.words[0], 16)
    except ValueError:
        return None


def _telegram(command: str) -> bytes:
    return b"\x02" + command.encode() + b"\x03"
