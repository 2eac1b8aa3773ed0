"""SCAIME eNod4: transmitter of a low-speed WIM plate or axle pad, RS-485 or USB, 8 bits, no parity, 2 stop bits.

Two protocols live on the same line. `fast` is a push stream of up to 1000 values a second, `modbus` a poll (RTU, FC 3).

Fast SCMBus frame, from the device:

    02 SS SS VV VV VV CC 03      SS status, VV value (signed), most significant byte first
                                 CC sum of all bytes before, with bit 7 set
    a byte 02, 03 or 10 in SS or VV has a 10 before it; whether that 10 counts in CC is not said: both are taken

    request   AA KK 0D FF        AA address, KK command, FF stands for any CRC; the answer is the same again,
                                 or AA FE 0D .. (unknown command), AA FF 0D .. (not possible)

Status: bits 2-3  0 ok, 1 sensor defect, 2 over capacity, 3 input out of range; bit 4 standstill; bit 6 memory defect;
bits 8, 9 inputs 1 and 2, where a loop or photocell can be wired: they come out as the inputs `in1`, `in2`, and with
`loop_channels` also as channels of the sample stream, where a `loop` sensor of the lane finds them.

Modbus: 007D status, 007E-7F gross, 0082-83 net, 0084-85 factory points, read with the status in one request.

Source: eNod4 manuals (NU-Soft-eNod4). Unconfirmed on hardware, and options therefore: the commands `start_code`,
`stop_code`; the word order of 32-bit values (`low_word_first`). On a half-duplex line a stop may be lost in the stream,
so it is sent until the line is quiet.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from drivers.base import DeviceError, Driver, Emit, Offer, Options, Serial
from drivers.events import Rejected
from drivers.framing import Frame, FrameCodec, Skip
from drivers.inputs import InputWatch
from drivers.links import Link, connect
from drivers.modbus import DEAF_S, i32, insist, open_port
from drivers.weighstream import PollStream, PushStream

_STX, _ETX, _DLE, _CR, _ANY_CRC = 0x02, 0x03, 0x10, 0x0D, 0xFF
_UNKNOWN, _IMPOSSIBLE = 0xFE, 0xFF
_LONGEST = 13  # every byte of status and value stuffed
_STATUS = 0x007D
_VALUES = {"gross": 0x007E, "net": 0x0082, "factory": 0x0084}
_QUIET_S = 0.05
_STOPS = 40
_MOST_UNANSWERED = 3  # one reply that is lost is no reason to leave a vehicle that stands on the plate
_INPUTS = ("stable", "overload", "fault", "in1", "in2")


class ScaimeOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    protocol: Annotated[Literal["fast", "modbus"], Meta(description="fast: push stream; modbus: polled")] = "fast"
    rate_hz: Annotated[
        float, Meta(gt=0, le=1920, description="values a second: the device's A/D rate, or how often it is polled")
    ] = 400.0
    value: Annotated[Literal["gross", "net", "factory"], Meta(description="which value (modbus)")] = "gross"
    per_count: Annotated[float, Meta(gt=0, description="units of the device in one count of the sample stream")] = 1.0
    unit_id: Annotated[int, Meta(ge=1, le=247, description="address set with the rotary switches")] = 1
    loop_channels: Annotated[
        bool,
        Meta(description="inputs 1 and 2 as channels 1 and 2 of the stream, for loops that cut vehicles apart (fast)"),
    ] = False
    start_code: Annotated[int, Meta(ge=0, le=255, description="E0 net, E1 factory, E2 gross (unconfirmed)")] = 0xE2
    stop_code: Annotated[int, Meta(ge=0, le=255, description="command that ends the stream (unconfirmed)")] = 0xE3
    low_word_first: Annotated[bool, Meta(description="word order of 32-bit values (unconfirmed)")] = False


@dataclass(frozen=True, slots=True)
class Weight:
    """A value in the device's units, with its status word."""

    time_ns: int
    value: int
    status: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What the device says to a command: the command again, or an error code."""

    code: int


def flags(status: int) -> list[bool]:
    """The status word as the inputs stable, overload, fault, in1, in2."""
    condition = status >> 2 & 3
    fault = condition == 1 or bool(status & 0x40)
    return [bool(status & 0x10), condition >= 2, fault, bool(status & 0x100), bool(status & 0x200)]


class FastCodec(FrameCodec[Weight | Answer]):
    """Bytes of the fast SCMBus stream to values."""

    limit = 256

    def __init__(self, device: str, options: ScaimeOptions) -> None:
        super().__init__(device)
        self._address = options.unit_id
        self._codes = (options.start_code, options.stop_code, _UNKNOWN, _IMPOSSIBLE)

    def scan(self, buffer: bytearray, time_ns: int) -> Frame[Weight | Answer] | Skip | None:
        if buffer[0] == self._address:
            head = bytes(buffer[1:3])
            if len(head) < 2 and (not head or head[0] in self._codes):
                return None
            if head[0] in self._codes and head[1] == _CR:
                return Frame(4, (Answer(head[0]),)) if len(buffer) >= 4 else None
        if buffer[0] != _STX:
            return Skip(1, "no_start")
        return self._frame(buffer, time_ns)

    def _frame(self, buffer: bytearray, time_ns: int) -> Frame[Weight | Answer] | Skip | None:
        plain = bytearray()
        position = 1
        while len(plain) < 5:
            if position >= len(buffer):
                return None
            byte = buffer[position]
            if byte == _DLE:
                if position + 1 >= len(buffer):
                    return None
                position += 1
                byte = buffer[position]
                if byte not in (_STX, _ETX, _DLE):
                    return Skip(1, "bad_stuffing")
            elif byte in (_STX, _ETX):
                return Skip(position, "cut_short")
            plain.append(byte)
            position += 1
        if len(buffer) < position + 2:
            return None
        sums = (sum(buffer[:position]) & 0xFF | 0x80, (_STX + sum(plain)) & 0xFF | 0x80)
        if buffer[position] not in sums:
            return Skip(1, "bad_sum")
        if buffer[position + 1] != _ETX:
            return Skip(1, "no_end")
        value = int.from_bytes(plain[2:], "big", signed=True)
        return Frame(position + 2, (Weight(time_ns, value, int.from_bytes(plain[:2], "big")),))


class ScaimeEnod4(Driver):
    Options: ClassVar[type[Options]] = ScaimeOptions
    summary = "SCAIME eNod4 weight transmitter: WIM plates and axle pads (fast SCMBus stream or Modbus RTU)"
    schemes = ("serial", "rtu+tcp", "rfc2217")
    reports = frozenset({"overload", "fault"})
    serial = Serial(baud=115200, stop=2)
    deaf_s = DEAF_S
    options: ScaimeOptions

    _push: PushStream | None = None
    _poll: PollStream | None = None

    def offer(self) -> Offer:
        options = self.options
        pushed = options.protocol == "fast"
        contacts = frozenset({1, 2}) if pushed and options.loop_channels else frozenset()
        return Offer(
            channels=1 + len(contacts),
            digital=contacts,
            rate_hz=options.rate_hz,
            inputs=frozenset(_INPUTS),
            temperatures=frozenset(),
            bus_unit=None if pushed else options.unit_id,
        )

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        if self.options.protocol == "modbus":
            await self._polled(emit, alive)
        else:
            await self._pushed(emit, alive)

    async def _pushed(self, emit: Emit, alive: Callable[[], None]) -> None:
        options = self.options
        stream = self._push = self._push or PushStream(self.name, options.per_count)
        inputs = InputWatch(self.name, _INPUTS)
        codec = FastCodec(self.name, options)
        async with connect(self) as link:
            await self._stop(link)
            stream.begin(options.rate_hz)
            await link.write(self._request(options.start_code))
            lost = 0
            try:
                while True:
                    data, time_ns = await link.read()
                    weights: list[Weight] = []
                    for record in codec.feed(data, time_ns):
                        if isinstance(record, Weight):
                            weights.append(record)
                        elif isinstance(record, Rejected):
                            emit(record)
                            lost += 1  # as far as can be known
                        elif record.code in (_UNKNOWN, _IMPOSSIBLE):
                            raise DeviceError(
                                f"{self.url}: the eNod4 refuses to send its stream (code {record.code:02X}); "
                                "set it to fast SCMBus, and check start_code"
                            )
                    if weights:
                        alive()
                        values = [weight.value for weight in weights]
                        contacts = [flags(weight.status)[3:] for weight in weights] if options.loop_channels else []
                        emit(stream.block(values, time_ns, lost, contacts))
                        lost = 0
                        for weight in weights:
                            self._inputs(inputs, weight, emit)
            finally:
                with contextlib.suppress(DeviceError):
                    await link.write(self._request(options.stop_code))

    @staticmethod
    def _inputs(inputs: InputWatch, weight: Weight, emit: Emit) -> None:
        for change in inputs.look(flags(weight.status), None, weight.time_ns):
            emit(change)

    async def _stop(self, link: Link) -> None:
        """Send stop until the line is quiet."""
        for _ in range(_STOPS):
            await link.write(self._request(self.options.stop_code))
            try:
                async with asyncio.timeout(_QUIET_S):
                    while True:
                        data, _ = await link.read()
                        if len(data) > 8:
                            break  # still streaming
            except TimeoutError:
                return
        raise DeviceError(f"{self.url}: the stream cannot be stopped; check stop_code, or lower the rate")

    def _request(self, code: int) -> bytes:
        return bytes((self.options.unit_id, code, _CR, _ANY_CRC))

    async def _polled(self, emit: Emit, alive: Callable[[], None]) -> None:
        options = self.options
        stream = self._poll = self._poll or PollStream(self.name, options.per_count, options.rate_hz)
        inputs = InputWatch(self.name, _INPUTS)
        count = _VALUES[options.value] + 2 - _STATUS
        loop = asyncio.get_running_loop()
        async with open_port(self, options.unit_id, alive=alive) as port:
            stream.begin(self.clock())
            next_s = loop.time()
            while True:
                registers = await insist(lambda: port.read_holding(_STATUS, count), _MOST_UNANSWERED)
                time_ns = self.clock()
                alive()
                weight = self._weight(registers, time_ns)
                if (block := stream.block(weight.value, time_ns)) is not None:
                    emit(block)
                self._inputs(inputs, weight, emit)
                next_s = max(next_s + 1.0 / options.rate_hz, loop.time())
                await asyncio.sleep(next_s - loop.time())

    def _weight(self, registers: Sequence[int], time_ns: int) -> Weight:
        return Weight(time_ns, i32(registers[-2:], low_word_first=self.options.low_word_first), registers[0])
