"""EPC LLRP readers (Impinj Speedway and R700, Zebra FX): tags by TCP, port 5084.

    VT VT  LL LL LL LL  II II II II  ...    VT version (3 bits) and type (10 bits), LL length with this header, II id
    parameter  TT TT LL LL ...              or one byte 80 + type with a body of known length

    63 the reader's event on connecting -> 3 SET_READER_CONFIG (a keep-alive each second, events of antennas, nothing
    held back after a reconnect) -> 21 DELETE_ROSPEC (all) -> 20 ADD_ROSPEC (start at once, report each tag) -> 24
    ENABLE_ROSPEC -> 64 ENABLE_EVENTS_AND_REPORTS, 41 DELETE_ACCESSSPEC (all); then 61 RO_ACCESS_REPORT, 63
    READER_EVENT_NOTIFICATION, and 62 KEEPALIVE, which 72 answers

A reader keeps what another client set: it may hold all reports back until 64 comes, and run that client's access specs
on every tag. A reader without access specs refuses 41, which harms nothing. An antenna that is disconnected (event 255)
comes out as the input `antenna_fault`; a reader that cannot tell of it refuses that setting and is set without.

A report holds TagReportData (240) with EPC-96 (13) or EPCData (241), AntennaID (1), PeakRSSI (6) and what else is asked
for. The EPC is passed on as hex text, also where something unknown stands behind it. There is no resynchronisation: a
length that makes no sense ends the connection.

Sources: LLRP 1.0.1 and 1.1, message order of sllurp; sllurp issues 115 (no reads from a Zebra FX9600) and 170 (events
of antennas). A reader serves one client: a second one is refused on connecting.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from drivers.base import DeviceError, Driver, Emit, Options, ProtocolError
from drivers.events import Rejected, TagRead
from drivers.inputs import InputWatch
from drivers.links import Link, connect

_VERSION = 1 << 10
_HEADER = 10
_LONGEST = 1 << 18
_SET_READER_CONFIG, _ADD_ROSPEC, _DELETE_ROSPEC, _ENABLE_ROSPEC, _DELETE_ACCESSSPEC = 3, 20, 21, 24, 41
_ENABLE_EVENTS = 64
_REPORT, _KEEPALIVE, _EVENT, _KEEPALIVE_ACK, _ERROR = 61, 62, 63, 72, 100
_RESPONSE = 10  # a response has its request's type plus this
_STATUS, _CONNECTION_EVENT, _EVENT_DATA, _TAG, _EPC = 287, 256, 246, 240, 241
_TV_BYTES = {
    1: 2, 2: 8, 3: 8, 4: 8, 5: 8, 6: 1, 7: 2, 8: 2, 9: 4, 10: 2, 11: 2, 12: 2, 13: 12, 14: 2, 15: 2, 16: 4, 17: 2,
    18: 4, 19: 2, 20: 2,
}  # fmt: skip
_TV_ANTENNA, _TV_RSSI, _TV_EPC96 = 1, 6, 13
_ANTENNA_EVENT, _EXCEPTION_EVENT, _OVERFLOW_EVENT = 255, 252, 251
_TOLD = {_EXCEPTION_EVENT: "reader_exception", _OVERFLOW_EVENT: "reports_lost"}
_EVENTS_WANTED = (3, 4, 8)  # EventNotificationState: report buffer fill warning, reader exception, antenna
_ROSPEC_ID = 1
_CONTENT = 0x1780  # antenna, RSSI, first and last seen, count
_KEEPALIVE_MS = 1000
_REPLY_S = 3.0
_GREETING_S = 8.0  # readers take connections while they are still starting
_REFUSED = {1: "another connection exists", 2: "it is connecting itself", 3: "failed", 4: "another client asked"}


class LlrpOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    antennas: Annotated[tuple[int, ...], Meta(max_length=32, description="antenna ports; empty: all")] = ()
    every_reads: Annotated[int, Meta(ge=1, le=1000, description="report after so many reads")] = 1


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the reader."""

    type: int
    id: int
    body: bytes
    time_ns: int


class MessageCodec:
    """Bytes to messages. Raises ProtocolError at a header that cannot be one; after that it takes nothing more."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._dead = False

    def feed(self, data: bytes, time_ns: int) -> list[Message]:
        """The messages that are complete with `data`."""
        out: list[Message] = []
        if self._dead:
            return out
        self._buffer += data
        while len(self._buffer) >= _HEADER:
            kind, length, number = struct.unpack_from(">HII", self._buffer)
            if kind >> 13 or not 1 <= kind >> 10 & 7 <= 2 or not _HEADER <= length <= _LONGEST:
                self._dead = True
                self._buffer.clear()
                raise ProtocolError("llrp_header", "no LLRP header; does another protocol live on this port?")
            if len(self._buffer) < length:
                break
            out.append(Message(kind & 0x3FF, number, bytes(self._buffer[_HEADER:length]), time_ns))
            del self._buffer[:length]
        return out


def encode(kind: int, number: int, body: bytes = b"") -> bytes:
    """The bytes of a message."""
    return struct.pack(">HII", _VERSION | kind, _HEADER + len(body), number) + body


def parameter(kind: int, body: bytes) -> bytes:
    """The bytes of a TLV parameter."""
    return struct.pack(">HH", kind, 4 + len(body)) + body


def parameters(body: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, body) of each parameter. Raises ProtocolError where one is cut short or of unknown length."""
    position = 0
    while position < len(body):
        if body[position] & 0x80:
            kind = body[position] & 0x7F
            if kind not in _TV_BYTES:
                raise ProtocolError("llrp_parameter", f"parameter {kind} of unknown length")
            start, end = position + 1, position + 1 + _TV_BYTES[kind]
        else:
            if position + 4 > len(body):
                raise ProtocolError("llrp_parameter", "a parameter is cut short")
            kind, length = struct.unpack_from(">HH", body, position)
            kind &= 0x3FF
            start, end = position + 4, position + length
        if end < start or end > len(body):
            raise ProtocolError("llrp_parameter", f"parameter {kind} is cut short")
        yield kind, body[start:end]
        position = end


def tags(report: Message, device: str) -> list[TagRead | Rejected]:
    """The tags of a RO_ACCESS_REPORT."""
    out: list[TagRead | Rejected] = []
    try:
        for kind, body in parameters(report.body):
            if kind == _TAG:
                out.append(_tag(body, device, report.time_ns))
    except ProtocolError as error:
        out.append(Rejected(device, report.time_ns, error.reason))
    return out


def _tag(body: bytes, device: str, time_ns: int) -> TagRead | Rejected:
    epc, antenna, rssi_dbm = b"", None, None
    with contextlib.suppress(ProtocolError):  # behind something unknown nothing more can be read
        for kind, value in parameters(body):
            if kind == _TV_EPC96:
                epc = value
            elif kind == _EPC and len(value) >= 2:
                epc = value[2 : 2 + (int.from_bytes(value[:2], "big") + 7) // 8]
            elif kind == _TV_ANTENNA:
                antenna = int.from_bytes(value, "big")
            elif kind == _TV_RSSI:
                rssi_dbm = float(int.from_bytes(value, "big", signed=True))
    if not epc:
        return Rejected(device, time_ns, "no_epc")
    return TagRead(device, time_ns, epc.hex().upper(), antenna, rssi_dbm)


class Antennas:
    """Which antennas a reader has lost, as far as it tells; `used` are those that count, none of them: all."""

    def __init__(self, used: tuple[int, ...] = ()) -> None:
        self._used = used
        self._lost: set[int] = set()

    @property
    def faulty(self) -> bool:
        """One that counts is lost."""
        return any(not self._used or antenna in self._used for antenna in self._lost)

    def event(self, body: bytes) -> None:
        """An AntennaEvent: 0 disconnected or 1 connected, and which."""
        if len(body) >= 3:
            change = self._lost.discard if body[0] else self._lost.add
            change(int.from_bytes(body[1:3], "big"))


def events(message: Message) -> list[tuple[int, bytes]]:
    """The (type, body) of what a READER_EVENT_NOTIFICATION tells; what cannot be read is left out."""
    out: list[tuple[int, bytes]] = []
    with contextlib.suppress(ProtocolError):
        for kind, body in parameters(message.body):
            if kind == _EVENT_DATA:
                out.extend(parameters(body))
    return out


def reader_config(*, with_events: bool) -> bytes:
    """Body of SET_READER_CONFIG: what the reader is to tell of itself."""
    states = b"".join(parameter(245, struct.pack(">HB", kind, 0x80)) for kind in _EVENTS_WANTED)
    keepalive = parameter(220, struct.pack(">BI", 1, _KEEPALIVE_MS))
    nothing_held_back = parameter(226, b"\x00")
    return b"\x00" + (parameter(244, states) + keepalive + nothing_held_back if with_events else keepalive)


def rospec(antennas: tuple[int, ...], every_reads: int) -> bytes:
    """An ROSpec that starts at once, never ends, and reports every so many reads."""
    ports = antennas or (0,)
    boundary = parameter(178, parameter(179, b"\x01") + parameter(182, bytes(5)))
    inventory = parameter(186, struct.pack(">HB", 1, 1))  # EPC Gen2
    reading = struct.pack(f">H{len(ports)}H", len(ports), *ports) + parameter(184, bytes(5)) + inventory
    content = parameter(238, struct.pack(">H", _CONTENT) + parameter(348, b"\x40"))
    report = parameter(237, struct.pack(">BH", 1, every_reads) + content)
    return parameter(177, struct.pack(">IBB", _ROSPEC_ID, 0, 0) + boundary + parameter(183, reading) + report)


class Llrp(Driver):
    Options: ClassVar[type[Options]] = LlrpOptions
    summary = "EPC LLRP readers: Impinj Speedway and R700, Zebra FX and others (TCP)"
    schemes = ("tcp",)
    port = 5084
    deaf_s = _GREETING_S
    reports = frozenset({"antenna_fault"})
    reads_identifiers = True
    options: LlrpOptions

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        antennas = Antennas(self.options.antennas)
        inputs = InputWatch(self.name, ("antenna_fault",))

        def take(message: Message) -> None:
            """What the reader says by itself, also while an answer is awaited."""
            if message.type in (_REPORT, _KEEPALIVE, _EVENT):
                alive()
            if message.type == _REPORT:
                for tag in tags(message, self.name):
                    emit(tag)
            elif message.type == _EVENT:
                for kind, body in events(message):
                    if kind == _ANTENNA_EVENT:
                        antennas.event(body)
                    elif kind in _TOLD:
                        emit(Rejected(self.name, message.time_ns, _TOLD[kind]))
                for change in inputs.look([antennas.faulty], None, message.time_ns):
                    emit(change)

        async with connect(self) as link:
            reader = _Reader(self.url, link, take)
            await reader.greeted()
            await self._set_up(reader)
            while True:
                take(await reader.next())

    async def _set_up(self, reader: _Reader) -> None:
        try:
            await reader.ask(_SET_READER_CONFIG, reader_config(with_events=True))
        except Refused:
            await reader.ask(_SET_READER_CONFIG, reader_config(with_events=False))
        with contextlib.suppress(Refused):  # there is none; one that stays would make the next request fail
            await reader.ask(_DELETE_ROSPEC, bytes(4))
        await reader.ask(_ADD_ROSPEC, rospec(self.options.antennas, self.options.every_reads))
        await reader.ask(_ENABLE_ROSPEC, struct.pack(">I", _ROSPEC_ID))
        await reader.say(_ENABLE_EVENTS)  # has no answer
        await reader.say(_DELETE_ACCESSSPEC, bytes(4))  # its answer does not matter


class Refused(DeviceError):
    """The reader answered a request with an error."""


class _Reader:
    """The conversation on one connection."""

    def __init__(self, url: str, link: Link, take: Callable[[Message], None]) -> None:
        self._url = url
        self._take = take  # what comes while something else is awaited
        self._link = link
        self._codec = MessageCodec()
        self._waiting: list[Message] = []
        self._numbers = itertools.count(1)

    async def next(self) -> Message:
        """The next message; keep-alives are answered on the way."""
        while not self._waiting:
            self._waiting = self._codec.feed(*await self._link.read())
        message = self._waiting.pop(0)
        if message.type == _KEEPALIVE:
            await self._link.write(encode(_KEEPALIVE_ACK, message.id))
        return message

    async def greeted(self) -> None:
        """Wait for the reader to say that it takes us."""
        message = await self._until(lambda message: message.type == _EVENT, "our connecting", _GREETING_S)
        for kind, value in events(message):
            if kind == _CONNECTION_EVENT and any(value):
                code = int.from_bytes(value, "big")
                raise DeviceError(f"{self._url}: the reader refuses us: {_REFUSED.get(code, f'code {code}')}")
        self._take(message)

    async def say(self, kind: int, body: bytes = b"") -> int:
        """Send a message; its number."""
        number = next(self._numbers)
        await self._link.write(encode(kind, number, body))
        return number

    async def ask(self, kind: int, body: bytes) -> None:
        """Send a request and check that it was done."""
        number = await self.say(kind, body)

        def answers(message: Message) -> bool:
            return message.id == number and message.type in (kind + _RESPONSE, _ERROR)

        reply = await self._until(answers, f"request {kind}")
        for inner, value in parameters(reply.body):
            if inner == _STATUS and any(value[:2]):
                text = value[4:].decode("utf-8", "replace")[:80]
                raise Refused(f"{self._url}: the reader refuses request {kind}: {value[:2].hex()} {text}".rstrip())

    async def _until(self, wanted: Callable[[Message], bool], what: str, within_s: float = _REPLY_S) -> Message:
        try:
            async with asyncio.timeout(within_s):
                while not wanted(message := await self.next()):
                    self._take(message)
                return message
        except TimeoutError:
            raise DeviceError(f"{self._url}: no answer to {what}; is this an LLRP reader?") from None
