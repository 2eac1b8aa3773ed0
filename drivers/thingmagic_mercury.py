"""ThingMagic / JADAK M6e, M7e, Nano: EPC Gen2 tags (vicinity cards, windshield tags), UART 115200 8N1, continuous read.

    to the reader      FF LL OO DD.. CC CC              LL length of DD, OO command
    from the reader    FF LL OO SS SS DD.. CC CC        SS status, 0000 well
    CC  polynomial 1021, register FFFF, message bits shifted in below, nothing appended; over LL to the last DD

    a tag (OO 22, SS 0000)     10  FF FF  MM MM  01  <metadata>  BB BB  PC PC  EPC..  EC EC
                               MM metadata flags, BB length of PC, EPC and EC in bits
    metadata, by flag          0001 reads 1   0002 RSSI 1 (signed dBm)   0004 antenna 1 (high half)   0008 kHz 3
                               0010 ms 4      0020 phase 2   0040 protocol 1   0080 bits 2 + data   0100 pins 1
    alive (OO 22, LL 00)       0400 no tags    0504 too hot, sends less    0505 antenna reflects, check the cable

Conditions 0504 and 0505 come out as the inputs `too_hot` and `antenna_fault`. The EPC is passed on as hex text.

A module whose boot loader runs refuses all but a few commands. Where one is refused or not answered while the reader is
set up, it is asked for its program (0C; low two bits 1: boot loader) and told to boot its firmware (04), as the maker's
own API does. A module that starts gets some seconds to answer.

Sources: SparkFun UHF RFID library, Mercury API C (both open), with captured frames. Unconfirmed on hardware: what
stands in the answer to start and stop (any is taken); how long booting takes (`_BOOT_S`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from drivers.base import DeviceError, Driver, Emit, Offer, Options, Serial
from drivers.crc import crc_1021
from drivers.events import Rejected, TagRead
from drivers.framing import Frame, FrameCodec, Skip
from drivers.inputs import InputWatch
from drivers.links import Link, connect

_START = 0xFF
_MOST_DATA = 248
_BOOT, _PROGRAM, _BOOT_LOADER = 0x04, 0x0C, 1
_VERSION, _READ, _MULTI, _ANTENNAS, _POWER, _PROTOCOL, _REGION, _FILTER = 0x03, 0x22, 0x2F, 0x91, 0x92, 0x93, 0x97, 0x9A
_GEN2 = 5
_NO_TAGS, _TOO_HOT, _REFLECTS = 0x0400, 0x0504, 0x0505
_METADATA = {0x01: 1, 0x02: 1, 0x04: 1, 0x08: 3, 0x10: 4, 0x20: 2, 0x40: 1, 0x80: 2, 0x100: 1}  # flag: bytes
_RSSI, _ANTENNA, _DATA = 0x02, 0x04, 0x80
_BEGIN = bytes.fromhex("00000122000005072210001B03E801FF")
_STOP = bytes.fromhex("000002")
_REPLY_S = 1.0
_BOOT_S = 3.0
_ASKED_FIRST = 3  # so often a module that starts is asked its first question
_REGIONS = {
    "NA": 1, "IN": 4, "JP": 5, "PRC": 6, "EU3": 8, "KR2": 9, "AU": 0x0B, "NZ": 0x0C, "NA2": 0x0D, "NA3": 0x0E,
}  # fmt: skip


class MercuryOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    region: Annotated[
        Literal["NA", "IN", "JP", "PRC", "EU3", "KR2", "AU", "NZ", "NA2", "NA3"],
        Meta(description="radio rules of the country"),
    ]
    antennas: Annotated[tuple[int, ...], Meta(min_length=1, max_length=15, description="antenna ports to read on")] = (
        1,
    )
    power_dbm: Annotated[float, Meta(ge=0, le=31.5, description="transmit power for reading")] = 27.0

    def __post_init__(self) -> None:
        if any(not 1 <= antenna <= 15 for antenna in self.antennas):
            raise ValueError("antennas: ports are numbered 1 to 15")


def crc(message: bytes | bytearray) -> int:
    """The reader's CRC of LEN to the last data byte."""
    return crc_1021(message, 0xFFFF)


def command(op: int, data: bytes = b"") -> bytes:
    """The bytes of a command."""
    message = bytes((len(data), op)) + data
    return b"\xff" + message + crc(message).to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class Reply:
    """Any message of the reader but a tag."""

    op: int
    status: int
    data: bytes


class MercuryCodec(FrameCodec[TagRead | Reply]):
    """Bytes to tag reads and replies."""

    limit = 1024

    def scan(self, buffer: bytearray, time_ns: int) -> Frame[TagRead | Reply] | Skip | None:
        if buffer[0] != _START:
            return Skip(1, "no_start")
        if len(buffer) > 1 and buffer[1] > _MOST_DATA:
            return Skip(1, "bad_length")
        size = self._sound(buffer, 0)
        if size is None:
            return self._sound_inside(buffer)
        if size == 0:
            return Skip(1, "bad_crc")
        op, status, data = buffer[2], int.from_bytes(buffer[3:5], "big"), bytes(buffer[5 : size - 2])
        if op == _READ and status == 0 and len(data) > 6 and data[5] == 1:
            return Frame(size, (self._tag(data, time_ns),))
        return Frame(size, (Reply(op, status, data),))

    @staticmethod
    def _sound(buffer: bytearray, start: int) -> int | None:
        """Length of the message at `start`; 0 where its CRC is wrong, None where it is not complete."""
        if len(buffer) < start + 2 or len(buffer) < (end := start + buffer[start + 1] + 7):
            return None
        return end - start if crc(buffer[start + 1 : end - 2]) == int.from_bytes(buffer[end - 2 : end], "big") else 0

    def _sound_inside(self, buffer: bytearray) -> Skip | None:
        """A message whole and sound inside one that never ends: the length at the head was noise."""
        start = buffer.find(_START, 1)
        while start > 0:
            if self._sound(buffer, start):
                return Skip(start, "bad_length")
            start = buffer.find(_START, start + 1)
        return None

    def _tag(self, data: bytes, time_ns: int) -> TagRead | Rejected:
        flags = int.from_bytes(data[3:5], "big")
        position = 6
        rssi_dbm = antenna = None
        for flag, size in _METADATA.items():
            if not flags & flag:
                continue
            value = data[position : position + size]
            position += size
            if flag == _RSSI and value:
                rssi_dbm = float(int.from_bytes(value, "big", signed=True))
            elif flag == _ANTENNA and value:
                antenna = value[0] >> 4
            elif flag == _DATA:
                position += (int.from_bytes(value, "big") + 7) // 8
        length = int.from_bytes(data[position : position + 2], "big") // 8
        epc = data[position + 4 : position + length]
        if flags >= 0x200 or length < 5 or len(data) < position + 2 + length:
            return Rejected(self.device, time_ns, "bad_record")
        return TagRead(self.device, time_ns, epc.hex().upper(), antenna, rssi_dbm)


class ThingmagicMercury(Driver):
    Options: ClassVar[type[Options]] = MercuryOptions
    summary = "ThingMagic / JADAK M6e, M7e, Nano readers of EPC Gen2 tags (serial)"
    schemes = ("serial", "tcp", "rfc2217")
    reports = frozenset({"too_hot", "antenna_fault"})
    serial = Serial(baud=115200)
    deaf_s = 4.0
    reads_identifiers = True
    options: MercuryOptions

    def offer(self) -> Offer:
        return Offer(channels=0, inputs=self.reports, temperatures=frozenset())

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        codec = MercuryCodec(self.name)
        inputs = InputWatch(self.name, ("too_hot", "antenna_fault"))
        async with connect(self) as link:
            await self._set_up(link, codec)
            try:
                await link.write(command(_MULTI, _BEGIN))
                while True:
                    data, time_ns = await link.read()
                    for record in codec.feed(data, time_ns):
                        if isinstance(record, Rejected):
                            emit(record)
                            continue
                        alive()
                        if isinstance(record, TagRead):
                            emit(record)
                        elif record.op == _READ:
                            states = [record.status == _TOO_HOT, record.status == _REFLECTS]
                            for change in inputs.look(states, None, time_ns):
                                emit(change)
                        elif record.op == _MULTI and record.status not in (0, _NO_TAGS):
                            raise DeviceError(f"{self.url}: the reader does not read: status {record.status:04X}")
            finally:
                with contextlib.suppress(DeviceError):
                    await link.write(command(_MULTI, _STOP))

    async def _set_up(self, link: Link, codec: MercuryCodec) -> None:
        await link.say(command(_MULTI, _STOP))  # an earlier session may have left it reading
        with contextlib.suppress(DeviceError):
            await self._reply(link, codec, _MULTI)
        try:
            await self._configure(link, codec)
        except DeviceError:
            if not await self._booted(link, codec):
                raise
            await self._configure(link, codec)

    async def _configure(self, link: Link, codec: MercuryCodec) -> None:
        options = self.options
        ports = b"".join(bytes((antenna, antenna)) for antenna in options.antennas)
        for op, data in (
            (_VERSION, b""),
            (_REGION, bytes((_REGIONS[options.region],))),
            (_PROTOCOL, bytes((0, _GEN2))),
            (_ANTENNAS, b"\x02" + ports),
            (_POWER, round(100.0 * options.power_dbm).to_bytes(2, "big")),
            (_FILTER, b"\x01\x0c\x00"),
        ):
            reply = await self._ask(link, codec, op, data, times=_ASKED_FIRST if op == _VERSION else 1)
            if reply.status and op != _FILTER:  # without it a module says a tag less often
                raise DeviceError(f"{self.url}: the reader refuses command {op:02X}: status {reply.status:04X}")

    async def _booted(self, link: Link, codec: MercuryCodec) -> bool:
        """Whether the boot loader ran, and was left."""
        with contextlib.suppress(DeviceError):
            program = await self._ask(link, codec, _PROGRAM)
            if program.status == 0 and program.data[:1] and program.data[0] & 3 == _BOOT_LOADER:
                with contextlib.suppress(DeviceError):  # its answer may be lost in the change
                    await self._ask(link, codec, _BOOT, within_s=_BOOT_S)
                return True
        return False

    async def _ask(
        self, link: Link, codec: MercuryCodec, op: int, data: bytes = b"", *, times: int = 1, within_s: float = _REPLY_S
    ) -> Reply:
        for _ in range(times - 1):
            await link.write(command(op, data))
            with contextlib.suppress(DeviceError):
                return await self._reply(link, codec, op, within_s)
        await link.write(command(op, data))
        return await self._reply(link, codec, op, within_s)

    async def _reply(self, link: Link, codec: MercuryCodec, op: int, within_s: float = _REPLY_S) -> Reply:
        try:
            async with asyncio.timeout(within_s):
                while True:
                    for record in codec.feed(*await link.read()):
                        if isinstance(record, Reply) and record.op == op:
                            return record
        except TimeoutError:
            raise DeviceError(f"{self.url}: no answer to command {op:02X}; check power and baud rate") from None
