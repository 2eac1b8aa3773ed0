"""EPC LLRP readers (Impinj Speedway and R700, Zebra FX): tags by TCP, port 5084.

    VT VT  LL LL LL LL  II II II II  ...    VT version (3 bits) and type (10 bits), LL length with this header, II id
    parameter  TT TT LL LL ...              or one byte 80 + type with a body of known length

    63 the reader's event on connecting -> 3 SET_READER_CONFIG (a keep-alive each second) -> 21 DELETE_ROSPEC (all)
    -> 20 ADD_ROSPEC (start at once, report each tag) -> 24 ENABLE_ROSPEC; then 61 RO_ACCESS_REPORT, and 62 KEEPALIVE,
    which 72 answers

A report holds TagReportData (240) with EPC-96 (13) or EPCData (241), AntennaID (1), PeakRSSI (6) and what else is asked
for. The EPC is passed on as hex text. There is no resynchronisation: a length that makes no sense ends the connection.

Sources: LLRP 1.0.1 and 1.1, message order of sllurp. A reader serves one client: a second one is refused on connecting.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from drivers.base import DeviceError, Driver, Emit, Options, ProtocolError
from drivers.events import Rejected, TagRead
from drivers.links import Link, connect

_VERSION = 1 << 10
_HEADER = 10
_LONGEST = 1 << 18
_SET_READER_CONFIG, _CLOSE, _ADD_ROSPEC, _DELETE_ROSPEC, _ENABLE_ROSPEC = 3, 14, 20, 21, 24
_REPORT, _KEEPALIVE, _EVENT, _KEEPALIVE_ACK, _ERROR = 61, 62, 63, 72, 100
_RESPONSE = 10  # a response has its request's type plus this
_STATUS, _CONNECTION_EVENT, _EVENT_DATA, _TAG, _EPC = 287, 256, 246, 240, 241
_TV_BYTES = {
    1: 2, 2: 8, 3: 8, 4: 8, 5: 8, 6: 1, 7: 2, 8: 2, 9: 4, 10: 2, 11: 2, 12: 2, 13: 12, 14: 2, 15: 2, 16: 4, 17: 2,
    18: 4, 19: 2, 20: 2,
}  # fmt: skip
_TV_ANTENNA, _TV_RSSI, _TV_EPC96 = 1, 6, 13
_ROSPEC_ID = 1
_CONTENT = 0x1780  # antenna, RSSI, first and last seen, count
_KEEPALIVE_MS = 1000
_REPLY_S = 3.0
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
    reads_identifiers = True
    options: LlrpOptions

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        async with connect(self) as link:
            reader = _Reader(self.url, link)
            await reader.greeted()
            keepalive = parameter(220, struct.pack(">BI", 1, _KEEPALIVE_MS))
            await reader.ask(_SET_READER_CONFIG, b"\x00" + keepalive)
            await reader.ask(_DELETE_ROSPEC, bytes(4))
            await reader.ask(_ADD_ROSPEC, rospec(self.options.antennas, self.options.every_reads))
            await reader.ask(_ENABLE_ROSPEC, struct.pack(">I", _ROSPEC_ID))
            while True:
                message = await reader.next()
                alive()
                if message.type == _REPORT:
                    for tag in tags(message, self.name):
                        emit(tag)


class _Reader:
    """The conversation on one connection."""

    def __init__(self, url: str, link: Link) -> None:
        self._url = url
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
        message = await self._until(lambda message: message.type == _EVENT, "its greeting")
        for kind, body in parameters(message.body):
            for inner, value in parameters(body) if kind == _EVENT_DATA else ():
                if inner == _CONNECTION_EVENT and any(value):
                    code = int.from_bytes(value, "big")
                    raise DeviceError(f"{self._url}: the reader refuses us: {_REFUSED.get(code, f'code {code}')}")

    async def ask(self, kind: int, body: bytes) -> None:
        """Send a request and check that it was done."""
        number = next(self._numbers)
        await self._link.write(encode(kind, number, body))

        def answers(message: Message) -> bool:
            return message.id == number and message.type in (kind + _RESPONSE, _ERROR)

        reply = await self._until(answers, f"request {kind}")
        for inner, value in parameters(reply.body):
            if inner == _STATUS and any(value[:2]):
                text = value[4:].decode("utf-8", "replace")[:80]
                raise DeviceError(f"{self._url}: the reader refuses request {kind}: {value[:2].hex()} {text}".rstrip())

    async def _until(self, wanted: Callable[[Message], bool], what: str) -> Message:
        try:
            async with asyncio.timeout(_REPLY_S):
                while not wanted(message := await self.next()):
                    pass
                return message
        except TimeoutError:
            raise DeviceError(f"{self._url}: no answer to {what}; is this an LLRP reader?") from None
