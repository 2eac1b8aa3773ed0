"""Modbus over our own links: RTU on serial lines, TCP elsewhere. The only file that touches pymodbus.

pymodbus encodes and decodes the messages; links, time-outs and reconnecting are ours, because its own client takes
a late RTU reply for the answer to the next request, closes the line under the other units when one is dead, and
reports exception replies as values. Drivers call `open_port`; sharing is by URL: all units of one bus have one master.

RTU frame   UU FF DD.. CC CC          UU unit, FF function (+0x80: exception, DD its code), CRC-16, low byte first
TCP frame   TT TT 00 00 LL LL UU FF DD..      TT transaction, LL bytes from UU on

A late RTU reply carries nothing that ties it to its request. After a time-out the unit is left alone for half a second
(or twice the time-out), in which a late reply is thrown away and other units are served; its next answer counts only
when no second one follows it.

A Modbus TCP unit that does not copy the transaction number (always 0, its own count, the two bytes swapped) is taken
as it is where no reply to an earlier request is outstanding; from then on late replies are handled as in RTU. One that
has copied two numbers is held to it. The right number counts also with another unit before it. (pymodbus issues 2709
and 2762, its pull request 2844, modbus-esp8266 issue 109, goburrow/modbus issue 54, sunsynk issue 680: Waveshare.)

Exceptions 4 (to a reading), 5, 6, 10 and 11 pass: a transmitter that tares, a unit or gateway that is busy (Modbus
Application Protocol 1.1b3, section 7; home-assistant core issues 50073 and 51103). The unit is asked again for as long
as `_PASSING_S` says; to a writing, 5 says that it is being done. 1, 2 and 3 are faults. Some units are deaf for seconds
after a connection was made (home-assistant has `delay` for them): a reading is asked again for `DEAF_S`, until anything
was heard. A writing never is: it may have been done.

A two-wire line that gives our own requests back is found at the first reading; `Link` takes them out from then on.

A serial server in raw mode (`rtu+tcp://`) passes RTU frames through. Who names it `tcp://` is served too: where
nothing was ever heard of an address, a reading is asked once more in RTU over a new connection. Sources: users' reports
of modpoll, pymodbus and modbus-proxy before servers of Waveshare, USR and Moxa NPort.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import WriteMultipleCoilsRequest, WriteSingleCoilRequest
from pymodbus.pdu.register_message import WriteMultipleRegistersRequest, WriteSingleRegisterRequest

from drivers.base import DeviceError, Driver, ProtocolError
from drivers.links import Link, LinkLost, open_link
from drivers.urls import Address, parse_url

log = logging.getLogger(__name__)
_advised: set[Address] = set()  # what a log said once is known
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it logs what we report ourselves

_LATE_S = 0.5  # no unit in order answers later than this after its time-out
DEAF_S = 6.0  # after a connection was made; drivers set `deaf_s` to this
_PASSING_S = {4: 6.0, 5: 10.0, 6: 10.0, 10: 3.0, 11: 3.0}  # exceptions that pass, and how long that may take
_BUSY = (4, 5, 6)  # who says so lives; 10 and 11 are a gateway's, about a unit of which it hears nothing
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.25
_LONGEST_ECHO = 300
_COPIED = 2  # so many transaction numbers that came back tell that the unit copies them

_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure or not ready",
    5: "acknowledged, still busy",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway: target device does not answer",
}


class ModbusRefused(DeviceError):
    """The device answered with a Modbus exception."""

    def __init__(self, text: str, function: int, code: int) -> None:
        super().__init__(text)
        self.function = function
        self.code = code


T = TypeVar("T")


class NoReply(DeviceError):
    """The unit did not answer in time."""


async def insist(ask: Callable[[], Awaitable[T]], times: int) -> T:
    """Ask a unit again where no reply came, `times` in all; raises the last NoReply."""
    for _ in range(times - 1):
        with contextlib.suppress(NoReply):
            return await ask()
    return await ask()


@dataclass(slots=True)
class Reading:
    """A request of function 1 to 4. Polls make it again and again; pymodbus's objects cost more than the answer.

    The framers of pymodbus take this one likewise.
    """

    dev_id: int
    function_code: int
    address: int
    count: int
    transaction_id: int = 0

    def encode(self) -> bytes:
        """What follows the function code."""
        return _READING.pack(self.address, self.count)


_READING = struct.Struct(">HH")
_Request = Reading | ModbusPDU


class ModbusPort:
    """One unit on a bus. Every method raises NoReply, ModbusRefused, ProtocolError or LinkLost.

    `alive` is called when the unit says that it is busy.
    """

    def __init__(self, bus: _Bus, unit: int, timeout_s: float, alive: Callable[[], None] = lambda: None) -> None:
        self._bus = bus
        self._unit = unit
        self._timeout_s = timeout_s
        self._alive = alive

    async def read_coils(self, address: int, count: int) -> list[bool]:
        """FC 1: `count` coils from the 0-based `address`."""
        return await self._bits(Reading(self._unit, 1, address, count))

    async def read_discrete(self, address: int, count: int) -> list[bool]:
        """FC 2: discrete inputs."""
        return await self._bits(Reading(self._unit, 2, address, count))

    async def read_holding(self, address: int, count: int) -> list[int]:
        """FC 3: holding registers, each 0..65535."""
        return await self._registers(Reading(self._unit, 3, address, count))

    async def read_input(self, address: int, count: int) -> list[int]:
        """FC 4: input registers."""
        return await self._registers(Reading(self._unit, 4, address, count))

    async def write_coil(self, address: int, on: bool) -> None:
        """FC 5."""
        await self._patiently(WriteSingleCoilRequest(dev_id=self._unit, address=address, bits=[on]))

    async def write_coils(self, address: int, on: Sequence[bool]) -> None:
        """FC 15."""
        await self._patiently(WriteMultipleCoilsRequest(dev_id=self._unit, address=address, bits=list(on)))

    async def write_register(self, address: int, value: int) -> None:
        """FC 6."""
        await self._patiently(WriteSingleRegisterRequest(dev_id=self._unit, address=address, registers=[value]))

    async def write_registers(self, address: int, values: Sequence[int]) -> None:
        """FC 16."""
        await self._patiently(WriteMultipleRegistersRequest(dev_id=self._unit, address=address, registers=list(values)))

    async def _call(self, request: _Request) -> bytes:
        return await self._bus.request(request, self._timeout_s)

    async def _read(self, request: Reading) -> bytes:
        """A reply lost to noise is asked for again; a write is not: it may have been done."""
        with contextlib.suppress(NoReply):
            return await self._patiently(request)
        return await self._patiently(request)

    async def _patiently(self, request: _Request) -> bytes:
        """Ask again where the unit is busy, and where nothing was heard yet of a link that was just made."""
        began_s, pause_s = self._bus.monotonic(), _FIRST_PAUSE_S
        writes = request.function_code > 4
        while True:
            try:
                return await self._call(request)
            except ModbusRefused as refused:
                if refused.code == 5 and writes:
                    return b""  # it is being done
                if (refused.code == 4 and writes) or self._bus.monotonic() - began_s >= _PASSING_S.get(refused.code, 0):
                    raise
                if refused.code in _BUSY:
                    self._alive()
            except NoReply:
                if writes or not self._bus.may_be_deaf():
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, 2.0 * pause_s)

    async def _bits(self, request: Reading) -> list[bool]:
        packed = int.from_bytes(await self._read(request), "little")
        return [bool(packed >> place & 1) for place in range(request.count)]

    async def _registers(self, request: Reading) -> list[int]:
        return list(struct.unpack(f">{request.count}H", await self._read(request)))


@contextlib.asynccontextmanager
async def open_port(
    driver: Driver, unit: int, *, timeout_s: float = 0.5, alive: Callable[[], None] = lambda: None
) -> AsyncIterator[ModbusPort]:
    """A port to one unit; the link behind it is shared by all that name the same URL, and closed with the last.

    A serial URL means Modbus RTU (also through rfc2217 and rtu+tcp), tcp Modbus TCP. Raises LinkLost.
    """
    bus = await _Bus.join(parse_url(driver.url, driver.schemes, driver.serial, driver.port), driver)
    try:
        yield ModbusPort(bus, unit, timeout_s, alive)
    finally:
        await bus.leave()


def u32(registers: Sequence[int], *, low_word_first: bool = False) -> int:
    """Unsigned value of two registers."""
    high, low = (registers[1], registers[0]) if low_word_first else (registers[0], registers[1])
    return high << 16 | low


def i32(registers: Sequence[int], *, low_word_first: bool = False) -> int:
    """Signed value of two registers."""
    value = u32(registers, low_word_first=low_word_first)
    return value - (1 << 32) if value & 0x80000000 else value


def i16(register: int) -> int:
    """Signed value of a register."""
    return register - 0x10000 if register & 0x8000 else register


def f32(registers: Sequence[int], *, low_word_first: bool = False) -> float:
    """IEEE 754 single of two registers."""
    value = u32(registers, low_word_first=low_word_first)
    return float(struct.unpack(">f", value.to_bytes(4, "big"))[0])


def from_u32(value: int) -> list[int]:
    """Two registers, most significant first."""
    return [value >> 16 & 0xFFFF, value & 0xFFFF]


def from_f32(value: float) -> list[int]:
    """Two registers, most significant first."""
    return from_u32(int.from_bytes(struct.pack(">f", value), "big"))


class _Frames(ABC):
    """Finds the reply to a request in what was received. Kept apart from I/O so that it can be tested alone."""

    late_replies_look_alike: bool

    @abstractmethod
    def encode(self, request: _Request) -> bytes: ...

    @abstractmethod
    def take(self, buffer: bytearray, request: _Request) -> bytes | None:
        """Cut the reply's PDU (function and data) out of the buffer, and whatever is not it; None asks for more."""

    @abstractmethod
    def other_unit(self, buffer: bytearray, request: _Request) -> int | None:
        """The unit that answered in place of the one that was asked."""


class RtuFrames(_Frames):
    """Modbus RTU. The request says how long its reply is: that finds it also behind noise or another unit's reply."""

    late_replies_look_alike = True

    def __init__(self) -> None:
        self._framer = FramerRTU(DecodePDU(False))

    def encode(self, request: _Request) -> bytes:
        return self._framer.buildFrame(cast(ModbusPDU, request))

    def take(self, buffer: bytearray, request: _Request) -> bytes | None:
        normal = bytes((request.dev_id, request.function_code))
        refused = bytes((request.dev_id, request.function_code | 0x80))
        size = _reply_bytes(request)
        for start in range(max(0, len(buffer) - 4)):
            head = buffer[start : start + 2]
            if head != normal and head != refused:
                continue
            end = start + 3 + (size if head == normal else 2)
            if end > len(buffer):
                continue
            frame = bytes(buffer[start:end])
            if FramerRTU.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big")):
                del buffer[:end]
                return frame[1:-2]
        del buffer[: max(0, len(buffer) - 512)]  # a babbling line must not fill the memory
        return None

    def other_unit(self, buffer: bytearray, request: _Request) -> int | None:
        size = _reply_bytes(request) + 3
        for start in range(max(0, len(buffer) - size + 1)):
            frame = bytes(buffer[start : start + size])
            good = frame[1] == request.function_code and frame[0] != request.dev_id
            if good and FramerRTU.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big")):
                return frame[0]
        return None


class TcpFrames(_Frames):
    """Modbus TCP: the transaction number ties a reply to its request, with a unit that copies it."""

    def __init__(self) -> None:
        self._framer = FramerSocket(DecodePDU(False))
        self._transaction = 0
        self._unanswered: set[int] = set()
        self._copied = 0
        self._other_unit: int | None = None
        self.late_replies_look_alike = False

    def encode(self, request: _Request) -> bytes:
        self._transaction = self._transaction % 0xFFFF + 1
        request.transaction_id = self._transaction
        self._unanswered.add(self._transaction)
        self._other_unit = None
        return self._framer.buildFrame(cast(ModbusPDU, request))

    def take(self, buffer: bytearray, request: _Request) -> bytes | None:
        uncopied: bytes | None = None
        while len(buffer) >= 8:
            length = int.from_bytes(buffer[4:6], "big")
            if buffer[2:4] != b"\x00\x00" or not 3 <= length <= 254:
                raise ProtocolError("modbus_header", "no Modbus TCP header; does another protocol live on this port?")
            if len(buffer) < 6 + length:
                break
            transaction, unit = int.from_bytes(buffer[:2], "big"), buffer[6]
            reply = bytes(buffer[: 6 + length])
            pdu = reply[7:]
            del buffer[: 6 + length]
            if transaction == request.transaction_id:
                self._unanswered.discard(transaction)
                self._copied += 1
                while buffer.startswith(reply):
                    del buffer[: len(reply)]  # said twice
                return pdu
            if transaction in self._unanswered:
                self._unanswered.discard(transaction)  # too late
            elif self._may_be_uncopied(unit, pdu, request):
                uncopied = pdu
        if uncopied is not None:
            self._unanswered.discard(request.transaction_id)
        return uncopied

    def _may_be_uncopied(self, unit: int, pdu: bytes, request: _Request) -> bool:
        """Whether a reply with a number that was never sent is this request's all the same."""
        if self._copied >= _COPIED or pdu[0] & 0x7F != request.function_code:
            return False
        if unit not in (request.dev_id, 0, 255):
            self._other_unit = unit
            return False
        known, self.late_replies_look_alike = self.late_replies_look_alike, True
        return known or len(self._unanswered) == 1  # else it may be the late reply to the request before

    def other_unit(self, buffer: bytearray, request: _Request) -> int | None:
        return self._other_unit


def _repeated(request: _Request) -> bool:
    """The unit's good reply is the request again: function 5 and 6."""
    return request.function_code in (5, 6)


def _reply_bytes(request: _Request) -> int:
    """Length of the PDU of a good reply."""
    if request.function_code in (1, 2):
        return (request.count + 7) // 8 + 2
    if request.function_code in (3, 4):
        return 2 * request.count + 2
    return 5


@dataclass(slots=True)
class _Unit:
    """What the master remembers of a unit that was late."""

    doubtful: bool = False
    shun_until_s: float = 0.0


@dataclass(slots=True)
class _Exchange:
    """Replies to one request: the last one, and how many came."""

    pdu: bytes | None = None
    count: int = 0


@dataclass
class _Bus:
    """The one master of a link."""

    address: Address
    frames: _Frames
    open: Callable[[], Awaitable[Link]]
    link: Link | None = None
    users: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    units: dict[int, _Unit] = field(default_factory=dict)
    buffer: bytearray = field(default_factory=bytearray)
    heard: bool = False  # anything at all
    opened_s: float = 0.0
    guessed: bool = False  # that it may be a serial server
    monotonic: Callable[[], float] = time.monotonic

    @classmethod
    async def join(cls, address: Address, driver: Driver) -> _Bus:
        """The bus of that address, opened if it is the first."""
        key = (asyncio.get_running_loop(), address)
        bus = _buses.get(key)
        if bus is None:
            frames = TcpFrames() if address.scheme == "tcp" else RtuFrames()
            bus = _buses[key] = cls(address, frames, partial(open_link, address, clock=driver.clock, tap=driver.tap))
        bus.users += 1
        try:
            async with bus.lock:
                if bus.link is None:
                    bus.link = await bus.open()
                    bus.opened_s = bus.monotonic()
        except BaseException:
            await bus.leave()
            raise
        return bus

    def may_be_deaf(self) -> bool:
        """The link is new, and nothing was heard of it yet."""
        return not self.heard and self.monotonic() - self.opened_s < DEAF_S

    async def leave(self) -> None:
        """One user less; the last closes the link."""
        self.users -= 1
        if self.users == 0:
            await self._end()

    async def _end(self) -> None:
        """Close the link; who comes next begins a new bus."""
        for key in [key for key, bus in _buses.items() if bus is self]:
            del _buses[key]
        if self.link is not None:
            await self.link.close()

    async def request(self, request: _Request, timeout_s: float) -> bytes:
        """Send a request; the data of its reply, to a writing none."""
        unit = self.units.setdefault(request.dev_id, _Unit())
        wait_s = unit.shun_until_s - self.monotonic()
        if wait_s > 0.0:
            await asyncio.sleep(wait_s)  # outside the lock: the others go on
        async with self.lock:
            try:
                pdu = await self._answer(request, timeout_s, doubtful=unit.doubtful)
            except (DeviceError, OSError, ProtocolError) as error:
                if isinstance(error, NoReply):
                    self._shun(unit, timeout_s)
                else:
                    await self._end()  # the link is of no more use to the other units either
                raise
            except asyncio.CancelledError:
                self._shun(unit, timeout_s)  # its reply is still to come
                raise
            unit.doubtful = False
        return self._decoded(pdu, request)

    def _shun(self, unit: _Unit, timeout_s: float) -> None:
        if self.frames.late_replies_look_alike:
            unit.doubtful = True
            unit.shun_until_s = self.monotonic() + max(_LATE_S, 2.0 * timeout_s)

    async def _answer(self, request: _Request, timeout_s: float, *, doubtful: bool) -> bytes:
        try:
            return await self._exchange(request, timeout_s, doubtful=doubtful)
        except NoReply:
            reads = request.function_code <= 4 and 1 <= request.dev_id <= 247
            if self.heard or self.guessed or self.address.scheme != "tcp" or not reads:
                raise
            self.guessed = True
            if (pdu := await self._answer_in_rtu(request, timeout_s)) is None:
                raise
            return pdu

    async def _answer_in_rtu(self, request: _Request, timeout_s: float) -> bytes | None:
        """Nothing answers Modbus TCP here. Over a new connection: half a header may stand in the old one."""
        silent, self.frames = self.frames, RtuFrames()
        await self._reopen()
        with contextlib.suppress(NoReply, LinkLost):
            pdu = await self._exchange(request, timeout_s, doubtful=False)
            if self.address not in _advised:
                _advised.add(self.address)
                log.warning("%s: answers in RTU frames, as serial servers do; write rtu+%s", self.address, self.address)
            return pdu
        self.frames = silent
        await self._reopen()
        return None

    async def _reopen(self) -> None:
        if self.link is not None:
            await self.link.close()
        self.buffer.clear()
        self.link = await self.open()

    async def _exchange(self, request: _Request, timeout_s: float, *, doubtful: bool) -> bytes:
        assert self.link is not None
        if self.frames.late_replies_look_alike:
            self.link.drop_input()
            self.buffer.clear()
        replies = _Exchange()
        sent, came = self.frames.encode(request), bytearray()
        await self.link.write(sent)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while replies.pdu is None or doubtful:
                    data, _ = await self.link.read()
                    self.buffer += data
                    came += data[: _LONGEST_ECHO - len(came)]
                    self.heard = True
                    while (pdu := self.frames.take(self.buffer, request)) is not None:
                        replies.pdu = pdu
                        replies.count += 1
        if isinstance(self.frames, RtuFrames) and not self.link.echo_known and came and not _repeated(request):
            self.link.echo_found(sent in came)
        if replies.pdu is None:
            raise NoReply(self._why_none(request, only_echo=self.link.echoes and not came.replace(sent, b"")))
        if replies.count > 1:
            raise NoReply(f"{self.address}: unit {request.dev_id} answers later than {timeout_s:g} s; allow it more")
        return replies.pdu

    def _why_none(self, request: _Request, *, only_echo: bool) -> str:
        where = f"{self.address}: unit {request.dev_id} does not answer"
        other = self.frames.other_unit(self.buffer, request)
        if other is not None:
            return f"{where}, unit {other} answered; set unit_id = {other}, or give the device its own address"
        if only_echo:
            return f"{where}, the line gives only our own request back; check the wires A and B, power and address"
        return f"{where}; check its power, its address and the line"

    def _decoded(self, pdu: bytes, request: _Request) -> bytes:
        size = _reply_bytes(request)
        if isinstance(request, Reading) and len(pdu) == size and pdu[0] == request.function_code and pdu[1] == size - 2:
            return pdu[2:]
        where = f"{self.address}: unit {request.dev_id}, function {request.function_code}, address {request.address}"
        if pdu[0] == request.function_code | 0x80:
            code = pdu[1] if len(pdu) > 1 else 0
            raise ModbusRefused(f"{where}: {_EXCEPTIONS.get(code, f'exception {code}')}", request.function_code, code)
        if pdu[0] != request.function_code:
            raise ProtocolError("modbus_function", f"{where}: the reply is to function {pdu[0]}")
        if len(pdu) != size or isinstance(request, Reading):
            raise ProtocolError("modbus_length", f"{where}: the reply has {len(pdu)} bytes, not {size}")
        try:
            reply = DecodePDU(False).decode(pdu)
        except ModbusException as error:
            raise ProtocolError("modbus_reply", f"{where}: {error}") from None
        if reply is None or isinstance(reply, ExceptionResponse):
            raise ProtocolError("modbus_reply", f"{where}: the reply cannot be decoded")
        return b""


_BusKey = tuple[asyncio.AbstractEventLoop, Address]
_buses: dict[_BusKey, _Bus] = {}
