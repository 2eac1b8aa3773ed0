"""HBM (HBK) AED transmitters AD101B, AD104 and their like: ASCII commands, values as a stream; 9600 8E1 at first.

Commands are ASCII ended by ';', answers end with CR LF. `S01;` selects the transmitter with address 1, `ICR0;` sets the
fastest rate, `COF..;` the format, `MSV?0;` sends without end, until `STP;`.

binary (COF40)      VV VV VV SS     VV value, signed, most significant byte first; 5 120 000 at nominal load (NOV = 0)
                                    SS bit 0 net, 1 gross, 2 input overflow, 3 standstill; 4, 5 always 0
                    0F A0 00 08     20 % of nominal load, standing still
ascii (COF11)       "value,status" CR LF, decimal; 1 000 000 at nominal load; three times as many bytes

A binary stream has no mark where a value begins. It is out of step where bits 4 or 5 of a status are set, or where the
same bytes, read one or two places later, make a much calmer signal (a byte of low weight then stands in a place of
high weight). The stream is stopped then, run dry and started again. A single lost byte shows only when the next heavy
axle comes: the ASCII stream, which has line ends, is therefore the default; 100 values a second need 19200 baud.

Sources: AD104 manual, AD101B rate table. Unconfirmed on hardware: the status bits of other models than the AD104; that
`COF` and `ICR` answer `0` for done; the comma in the ASCII format.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from drivers.base import DeviceError, Driver, Emit, Offer, Options, Serial
from drivers.events import Rejected
from drivers.framing import Frame, FrameCodec, Skip
from drivers.inputs import InputWatch
from drivers.links import Link, connect
from drivers.weighstream import PushStream

_RATES_HZ = {
    "ad104": (100.0, 50.0, 25.0, 12.0, 6.0, 3.0, 2.0, 1.0),
    "ad101b": (600.0, 300.0, 150.0, 75.0, 37.5, 18.75, 9.4, 4.7),
}
_NEVER = 0x30  # status bits that are always 0
_QUIET_S = 0.1
_REPLY_S = 1.0
_ASKED = 3
_FORMATS = {"binary": b"COF40;", "ascii": b"COF11;"}
_WINDOW_BYTES = 4 * 32
_LINE = re.compile(rb"([+-]? *\d{1,8})(?:,(\d{1,3}))?")
_LONGEST_LINE = 32


class HbmOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: Annotated[Literal["ad104", "ad101b"], Meta(description="which table of rates holds")] = "ad104"
    rate_index: Annotated[int, Meta(ge=0, le=7, description="ICR: 0 is the model's fastest rate, 7 its slowest")] = 0
    format: Annotated[
        Literal["binary", "ascii"], Meta(description="ascii: with line ends; binary: four bytes a value")
    ] = "ascii"
    per_count: Annotated[
        float, Meta(gt=0, description="units of the device in one count of the sample stream; 256: 20000 at nominal")
    ] = 256.0
    unit_id: Annotated[int, Meta(ge=0, le=89, description="address on the bus")] = 1


@dataclass(frozen=True, slots=True)
class Value:
    """A value with its status, as the device sends it."""

    value: int
    status: int


class BinaryCodec:
    """Bytes of the stream to values. `in_step` turns false, and stays so, when the count of bytes is lost."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._rest = b""
        self._recent = bytearray()
        self.in_step = True

    def feed(self, data: bytes, time_ns: int) -> list[Value | Rejected]:
        """The values that are complete with `data`, up to the first that cannot be one."""
        data = self._rest + data
        whole = len(data) - len(data) % 4
        self._rest = data[whole:]
        out: list[Value | Rejected] = []
        for start in range(0, whole, 4):
            if not self.in_step:
                break
            frame = data[start : start + 4]
            self._recent += frame
            if len(self._recent) == _WINDOW_BYTES:
                self.in_step = not _calmer_elsewhere(bytes(self._recent))
                del self._recent[:]
            if frame[3] & _NEVER:
                self.in_step = False
            if self.in_step:
                out.append(Value(int.from_bytes(frame[:3], "big", signed=True), frame[3]))
            else:
                out.append(Rejected(self._device, time_ns, "out_of_step"))
        return out


def _calmer_elsewhere(data: bytes) -> bool:
    """The bytes, read one or two places later, make a much calmer signal (three later they always do)."""
    here, *others = (_unrest(data[shift:]) for shift in range(3))
    return any(other is not None and here is not None and 16 * (other + 1) < here for other in others)


def _unrest(data: bytes) -> int | None:
    """Sum of the steps between values; None where a status is impossible."""
    frames = [data[start : start + 4] for start in range(0, len(data) - 3, 4)]
    if any(frame[3] & _NEVER for frame in frames):
        return None
    values = [int.from_bytes(frame[:3], "big", signed=True) for frame in frames]
    return sum(abs(b - a) for a, b in pairwise(values))


class AsciiCodec(FrameCodec[Value]):
    """Lines of the stream to values."""

    limit = 256
    in_step = True

    def scan(self, buffer: bytearray, time_ns: int) -> Frame[Value] | Skip | None:
        if buffer[0] in b"\r\n":
            return Skip(1)
        end = buffer.find(b"\r", 0, _LONGEST_LINE)
        if end < 0:
            return Skip(1, "too_long") if len(buffer) >= _LONGEST_LINE else None
        match = _LINE.fullmatch(buffer[:end])
        if match is None:
            return Frame(end, (Rejected(self.device, time_ns, "bad_line"),))
        return Frame(end, (Value(int(match[1].replace(b" ", b"")), int(match[2] or b"0")),))


class HbmAed(Driver):
    Options: ClassVar[type[Options]] = HbmOptions
    summary = "HBM/HBK AED weight transmitters AD101B, AD104 (ASCII commands, binary or ASCII stream)"
    schemes = ("serial", "tcp", "rfc2217")
    reports = frozenset({"overload"})
    serial = Serial(baud=9600, parity="even")
    deaf_s = 2.0
    options: HbmOptions

    _push: PushStream | None = None

    def offer(self) -> Offer:
        return Offer(
            channels=1,
            rate_hz=_RATES_HZ[self.options.model][self.options.rate_index],
            inputs=frozenset({"stable", "overload"}),
            temperatures=frozenset(),
        )

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        options = self.options
        stream = self._push = self._push or PushStream(self.name, options.per_count)
        inputs = InputWatch(self.name, ("stable", "overload"))
        async with connect(self) as link:
            try:
                while True:
                    await self._start(link)
                    stream.begin(_RATES_HZ[options.model][options.rate_index])
                    codec = BinaryCodec(self.name) if options.format == "binary" else AsciiCodec(self.name)
                    lost = 0
                    while codec.in_step:
                        data, time_ns = await link.read()
                        values: list[Value] = []
                        for record in codec.feed(data, time_ns):
                            if isinstance(record, Rejected):
                                emit(record)
                                lost += 1  # as far as can be known
                            else:
                                values.append(record)
                        if values:
                            alive()
                            emit(stream.block([value.value for value in values], time_ns, lost))
                            lost = 0
                        for value in values:
                            states = [bool(value.status & 8), bool(value.status & 7)]
                            for change in inputs.look(states, None, time_ns):
                                emit(change)
            finally:
                with contextlib.suppress(DeviceError):
                    await link.write(b"STP;")

    async def _start(self, link: Link) -> None:
        """Stop what runs, select the transmitter, set the format, start."""
        await link.say(b";STP;")
        await self._run_dry(link)
        await link.say(b"S%02d;" % self.options.unit_id)
        await self._run_dry(link)
        for command in (_FORMATS[self.options.format], b"ICR%d;" % self.options.rate_index):
            answer = await self._answer(link, command)
            if not answer.startswith(b"0"):
                raise DeviceError(
                    f"{self.url}: answers {answer[:20].decode('latin-1')!r} to {command.decode()}; is it an AED?"
                )
        await link.say(b"MSV?0;")

    async def _answer(self, link: Link, command: bytes) -> bytes:
        """The line that answers a command; a transmitter that starts is asked again."""
        for _ in range(_ASKED - 1):
            await link.say(command)
            with contextlib.suppress(DeviceError):
                return await self._line(link, command)
        await link.say(command)
        return await self._line(link, command)

    async def _run_dry(self, link: Link) -> None:
        try:
            for _ in range(1000):
                async with asyncio.timeout(_QUIET_S):
                    await link.read()
        except TimeoutError:
            return
        raise DeviceError(f"{self.url}: does not stop sending; check baud rate and parity")

    async def _line(self, link: Link, command: bytes) -> bytes:
        answer = b""
        try:
            async with asyncio.timeout(_REPLY_S):
                while not answer.endswith(b"\r\n"):
                    answer = (answer + (await link.read())[0])[-256:]
        except TimeoutError:
            raise DeviceError(
                f"{self.url}: no answer to {command.decode()}; check address, baud rate and parity (even at first)"
            ) from None
        return answer.strip()
