"""LabJack T7 (also T7-Pro, T4, T8): a streaming digitiser for strips, plates and loops in one sample stream.

Commands go by Modbus TCP (port 502, unit 1, 32-bit values most significant register first), samples come by a second
connection (port 702), which must stand before the stream is enabled. `moxa_e1200` and others poll; this one pushes.

Stream packet, big-endian, 16 + 2 n bytes:

    TT TT 00 00 LL LL UU 4C 10 00 BB BB SS SS AA AA [DD DD] * n

    TT  transaction, from 0 when the stream starts, +1 for each packet, wraps: a gap is a lost packet
    LL  length from UU on: 10 + 2 n           UU  unit          4C 10 00  function 76, type 16, reserved
    BB  bytes still waiting in the device     SS  status        AA  additional information, see below
    DD  samples, unsigned, interleaved in the order of the scan list; handed on as int16 = DD - 32768

    status 2940  the device's buffer overflowed, old data still valid      2941  recovered, AA scans were skipped
           2942  scans overlap, the rate is too high: ends the stream      2943  as 2941, AA overflowed: ends it
           2944  burst complete                                            2945  buffer full, recovery off: ends it

Lines FIO0-7 and EIO0-7 of the scan list are bits 0-7 and 8-15 of one word (FIO_EIO_STATE), which is sampled as the
last address of each scan; each becomes a channel with values 0 and 1.

Packets in order and without a status, as nearly all are, are read many at once: `StreamCodec` looks at them one by one
only where something is amiss. The kernel gathers them for some tenths of a second, but not while a vehicle may end.

The device keeps what another program left in it: a trigger, an external clock, a divisor, recovery switched off, a line
made an output. All of that is set anew before each stream, as LabJack's own samples do. What a model lacks is left out:
a T8 has differential inputs alone and no settling time, its ranges are 11, 9.6, 4.8, 2.4, 1.2, 0.75, 0.6, 0.36, 0.3,
0.18 and 0.15 V (the next larger one is taken); a T4 has 10 V on its first four inputs.

Sources: register list of LabJack (ljm_constants.json), LabJack's C sample for the stream socket, data sheet section
"Low-level streaming"; LabJack's stream samples for LJM; EPICS driver for T4, T7, T8 (epics-modules/LabJack) for the
ranges of a T8. Unconfirmed on hardware: that a scan of nothing but FFFF beside status 2941 is a mark of the
device and no data (`overflow_marks = false` keeps it); that it stands where the skipped scans are missing.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from drivers.base import DeviceError, Driver, Emit, Offer, Options, ProtocolError
from drivers.events import Rejected, SampleBlock
from drivers.framing import Frame, FrameCodec, Skip
from drivers.links import connect
from drivers.modbus import DEAF_S, ModbusPort, ModbusRefused, f32, from_f32, from_u32, open_port, u32
from drivers.sampleclock import SampleClock, ToldRate

_TEST, _TEST_VALUE = 55100, 0x00112233
_PRODUCT_ID = 60000
_PRODUCTS = {4.0: "T4", 7.0: "T7", 8.0: "T8"}
_LAST_ERROR = 55000
_STREAM_ENABLE = 4990
_STREAM_SETTINGS = 4002
_STREAM_TARGETS = 4016
_SCAN_LIST = 4100
_RATE_ACTUAL = 4494
_AIN_RANGE = 40000
_AIN_NEGATIVE, _SINGLE_ENDED = 41000, 199
_FIO_EIO_STATE = 2580
_LINES = 2000  # + n: line n; to read it makes it an input
_KNOWN_STATE = ((4014, 0), (4022, 1), (4024, 0), (4028, 0))  # clock source, divisor, trigger, recovery
_STREAM_RESOLUTION = 4010
_RANGES_V = {
    "T4": (10.0,),
    "T7": (10.0, 1.0, 0.1, 0.01),
    "T8": (11.0, 9.6, 4.8, 2.4, 1.2, 0.75, 0.6, 0.36, 0.3, 0.18, 0.15),
}
_STREAM_NOT_RUNNING = 2620
_ETHERNET = 1  # bit 0 of STREAM_AUTO_TARGET
_MOST_SAMPLES = 512  # in a packet
_BUFFER_BYTES = 32768  # the most a T7 has
_PACKET_S = 0.05  # at low rates packets are made shorter than they could be, so that samples are not old

_SKIPPED, _OVERFLOWING = 2941, 2940
_FATAL = {
    2942: "it cannot keep up with the scan rate (status 2942); lower scan_rate_hz or settling_us",
    2943: "it lost count of the scans it skipped (status 2943); is the network too slow?",
    2945: "its buffer is full (status 2945); is the network too slow?",
}
_ERRORS = {
    2605: "a stream is already running; does another program use it?",
    2608: "it cannot sample at this rate; lower scan_rate_hz",
    2618: "it refuses the packet size",
}
_LINE = re.compile(r"(AIN|FIO|EIO)(\d{1,3})")


class LabJackOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    scan_list: Annotated[
        tuple[str, ...], Meta(min_length=1, description="channels in order: AIN0..AIN253, FIO0..FIO7, EIO0..EIO7")
    ]
    scan_rate_hz: Annotated[float, Meta(gt=0, le=100_000, description="scans a second, each of all channels")]
    range_v: Annotated[
        float, Meta(gt=0, le=11, description="full scale of the analogue inputs: T7 10, 1, 0.1 or 0.01; T8 up to 11")
    ] = 10.0
    settling_us: Annotated[float, Meta(ge=0, le=50_000, description="pause between channels; 0: automatic")] = 0.0
    resolution_index: Annotated[int, Meta(ge=0, le=12, description="0: automatic; larger: less noise, slower")] = 0
    stream_port: Annotated[int, Meta(gt=0, lt=65536, description="TCP port of the sample stream")] = 702
    unit_id: Annotated[int, Meta(ge=0, le=255, description="Modbus unit")] = 1
    overflow_marks: Annotated[
        bool, Meta(description="near an overflow, a scan of nothing but FFFF is a mark and no data (unconfirmed)")
    ] = True

    def __post_init__(self) -> None:
        for name in self.scan_list:
            match = _LINE.fullmatch(name)
            if match is None or int(match[2]) > (253 if match[1] == "AIN" else 7):
                raise ValueError(f"scan_list: {name!r} is none of AIN0..AIN253, FIO0..FIO7, EIO0..EIO7")
        if all(self.range_v not in ranges_v for ranges_v in _RANGES_V.values()):
            known = sorted({value for ranges_v in _RANGES_V.values() for value in ranges_v}, reverse=True)
            raise ValueError(f"range_v: {self.range_v:g} is none of {', '.join(f'{value:g}' for value in known)}")
        if len(set(self.scan_list)) < len(self.scan_list):
            raise ValueError("scan_list: a channel is named twice")
        if len(ScanList(self.scan_list).addresses) > 128:
            raise ValueError("scan_list: the device scans 128 addresses at most")


class ScanList:
    """Channel names against what the device samples: `addresses` in scan order, and how to get channels out of them."""

    def __init__(self, names: Sequence[str]) -> None:
        lines = [(match[1], int(match[2])) for name in names if (match := _LINE.fullmatch(name))]
        self.inputs = [number for kind, number in lines if kind == "AIN"]
        self.lines = [number + (8 if kind == "EIO" else 0) for kind, number in lines if kind != "AIN"]
        self.addresses = [2 * number for number in self.inputs]
        if len(self.inputs) < len(lines):
            self.addresses.append(_FIO_EIO_STATE)
        self._analogue = [channel for channel, (kind, _) in enumerate(lines) if kind == "AIN"]
        self._bits = [  # (channel, bit of the last raw column)
            (channel, number + (8 if kind == "EIO" else 0))
            for channel, (kind, number) in enumerate(lines)
            if kind != "AIN"
        ]

    def channels(self, raw: npt.NDArray[np.uint16]) -> npt.NDArray[np.int16]:
        """Raw scans, shape (scans, addresses), as int16 channels in the order of the names."""
        signed = (raw ^ np.uint16(0x8000)).view(np.int16)
        if not self._bits:
            return signed
        out = np.empty((len(raw), len(self._analogue) + len(self._bits)), np.int16)
        out[:, self._analogue] = signed[:, :-1]
        for channel, bit in self._bits:
            out[:, channel] = raw[:, -1] >> bit & 1
        return out


@dataclass(frozen=True, slots=True)
class Scans:
    """Consecutive scans: `first_scan` counts from the start of the stream, `lost_scans` are missing just before."""

    time_ns: int
    first_scan: int
    lost_scans: int
    samples: npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The device cannot go on with this stream."""

    text: str


StreamRecord = Scans | StreamEnd | Rejected


class StreamCodec(FrameCodec[StreamRecord]):
    """Bytes of the stream socket to scans. `scans_per_packet` is what the device was told."""

    limit = 4096

    def __init__(self, device: str, scan_list: ScanList, scans_per_packet: int, *, overflow_marks: bool = True) -> None:
        super().__init__(device)
        self._marks_wanted = overflow_marks
        self._scan_list = scan_list
        self._scans_per_packet = scans_per_packet
        self._longest = 10 + 2 * min(_MOST_SAMPLES, scans_per_packet * len(scan_list.addresses))
        self._transaction = 0  # of the packet to come
        self._next_scan = 0
        self._lost = 0
        self._mark_near = False  # the last packet had to do with an overflow
        samples = scans_per_packet * len(scan_list.addresses)
        self._heads = struct.Struct(f">HIxHxxxHxx{2 * samples}x")  # transaction; 00 00 LL LL; 4C 10; status

    @property
    def packet_bytes(self) -> int:
        """Length of a full packet."""
        return self._heads.size

    def feed(self, data: bytes, time_ns: int) -> list[StreamRecord]:
        size = self._heads.size
        missing = -len(self._buffer) % size  # of a packet that was cut
        out = super().feed(data[:missing], time_ns)
        whole = (len(data) - missing) // size * size
        if not self._buffer and whole > 0 and self._in_order(memoryview(data)[missing : missing + whole]):
            shape, strides = (whole // size, size // 2 - 8), (size, 2)
            raw = np.ndarray(shape, ">u2", data, missing + 16, strides).astype(np.uint16)
            out.append(self._scans(raw.reshape(-1, len(self._scan_list.addresses)), time_ns))
            missing += whole
        return [*out, *super().feed(data[missing:], time_ns)]

    def _in_order(self, packets: memoryview) -> bool:
        """Whether these are full packets that follow one another and say nothing else; they are counted then."""
        due, length = self._transaction, self._heads.size - 6
        for transaction, told, kind, status in self._heads.iter_unpack(packets):
            if transaction != due or told != length or kind != 0x4C10 or status or self._mark_near:
                return False
            due = due + 1 & 0xFFFF
        self._transaction = due
        self._garbage = ""
        return True

    def scan(self, buffer: bytearray, time_ns: int) -> Frame[StreamRecord] | Skip | None:
        for index, value in ((2, 0), (3, 0), (7, 0x4C), (8, 0x10)):
            if len(buffer) > index and buffer[index] != value:
                return Skip(1, "no_header")
        if len(buffer) < 16:
            return None
        length = int.from_bytes(buffer[4:6], "big")
        if length % 2 or not 10 <= length <= self._longest:
            return Skip(1, "bad_length")
        if len(buffer) < 6 + length:
            return None
        return Frame(6 + length, tuple(self._packet(bytes(buffer[: 6 + length]), time_ns)))

    def _packet(self, packet: bytes, time_ns: int) -> list[StreamRecord]:
        transaction, status, info = (int.from_bytes(packet[i : i + 2], "big") for i in (0, 12, 14))
        missing = (transaction - self._transaction) & 0xFFFF
        self._transaction = (transaction + 1) & 0xFFFF
        if missing >= 0x8000:
            return [Rejected(self.device, time_ns, "old_packet")]
        self._lost += missing * self._scans_per_packet
        if status in _FATAL:
            return [StreamEnd(_FATAL[status])]
        width = len(self._scan_list.addresses)
        raw = np.frombuffer(packet, ">u2", offset=16).astype(np.uint16)
        if len(raw) % width:
            self._lost += self._scans_per_packet
            return [Rejected(self.device, time_ns, "part_of_scan")]
        scans = raw.reshape(-1, width)
        skipped = info if status == _SKIPPED else 0
        marks = self._overflow_marks(scans, status)
        if not marks:
            self._lost += skipped
        out: list[StreamRecord] = []
        start = 0
        for mark in [*marks, len(scans)]:
            if mark > start:
                out.append(self._scans(scans[start:mark], time_ns))
            if mark in marks[:1]:
                self._lost += skipped
            start = mark + 1
        return out

    def _overflow_marks(self, scans: npt.NDArray[np.uint16], status: int) -> list[int]:
        """Rows that are no data but the device's mark of an overflow."""
        here = status in (_SKIPPED, _OVERFLOWING)
        near = self._marks_wanted and (here or self._mark_near)
        self._mark_near = here
        return [int(row) for row in np.flatnonzero((scans == 0xFFFF).all(axis=1))] if near else []

    def _scans(self, raw: npt.NDArray[np.uint16], time_ns: int) -> Scans:
        lost, self._lost = self._lost, 0
        first = self._next_scan + lost
        self._next_scan = first + len(raw)
        return Scans(time_ns, first, lost, self._scan_list.channels(raw))


class LabJackT7(Driver):
    Options: ClassVar[type[Options]] = LabJackOptions
    summary = "LabJack T7/T4/T8 digitiser: strips, plates and loops as one sample stream (Modbus TCP + stream socket)"
    schemes = ("tcp",)
    port = 502
    deaf_s = DEAF_S
    options: LabJackOptions

    _streams = 0
    _rate: ToldRate | None = None

    def offer(self) -> Offer:
        return Offer.of_scans(self.options.scan_list, self.options.scan_rate_hz)

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        scan_list = ScanList(self.options.scan_list)
        rate = self._rate = self._rate or ToldRate()
        async with open_port(self, self.options.unit_id, timeout_s=1.0, alive=alive) as port:
            model = await self._identify(port)
            await self._stop(port)
            scans_per_packet = await self._configure(port, scan_list, model)
            async with connect(self, port=self.options.stream_port) as link:
                rate_hz = await self._start(port)
                try:
                    codec = StreamCodec(
                        self.name, scan_list, scans_per_packet, overflow_marks=self.options.overflow_marks
                    )
                    clock = rate.begin(rate_hz)
                    packet_s = scans_per_packet / rate_hz
                    self._streams += 1
                    while True:
                        link.gather(codec.packet_bytes * max(1, round(self.patience_s() / packet_s)))
                        data, time_ns = await link.read()
                        for record in codec.feed(data, time_ns):
                            if isinstance(record, Scans):
                                alive()
                                emit(self._block(record, clock))
                                rate.check(self.url)
                            elif isinstance(record, StreamEnd):
                                raise DeviceError(f"{self.url}: the LabJack stopped its stream: {record.text}")
                            else:
                                emit(record)
                finally:
                    with contextlib.suppress(DeviceError, OSError, ProtocolError):
                        await self._stop(port)

    def _block(self, scans: Scans, clock: SampleClock) -> SampleBlock:
        clock.note(scans.first_scan + len(scans.samples), scans.time_ns)
        return SampleBlock(
            device=self.name,
            time_ns=clock.time_ns(scans.first_scan),
            rate_hz=clock.rate_hz,
            stream=self._streams,
            first_scan=scans.first_scan,
            lost_scans=scans.lost_scans,
            samples=scans.samples,
        )

    async def _identify(self, port: ModbusPort) -> str:
        """Which model it is."""
        test = u32(await port.read_holding(_TEST, 2))
        if test != _TEST_VALUE:
            raise DeviceError(f"{self.url}: register TEST reads {test:#010x}, not 0x00112233; is it a LabJack?")
        product = f32(await port.read_holding(_PRODUCT_ID, 2))
        if product not in _PRODUCTS:
            raise DeviceError(f"{self.url}: product {product:g} is none of T4, T7, T8")
        return _PRODUCTS[product]

    async def _stop(self, port: ModbusPort) -> None:
        """Stop a stream that an earlier session left running."""
        try:
            await port.write_registers(_STREAM_ENABLE, from_u32(0))
        except ModbusRefused:
            if await self._last_error(port) != _STREAM_NOT_RUNNING:
                raise

    async def _last_error(self, port: ModbusPort) -> int:
        return (await port.read_holding(_LAST_ERROR, 1))[0]

    async def _configure(self, port: ModbusPort, scan_list: ScanList, model: str) -> int:
        """Set up the stream, whatever was set before; returns the scans in a packet."""
        options = self.options
        range_v = self._range_v(model)
        for number in scan_list.inputs:
            await self._write(port, _AIN_RANGE + 2 * number, from_f32(range_v))
            if model == "T7":
                await port.write_register(_AIN_NEGATIVE + number, _SINGLE_ENDED)
        for line in scan_list.lines:
            await port.read_holding(_LINES + line, 1)
        for address, value in _KNOWN_STATE:
            with contextlib.suppress(*(() if model == "T7" else (DeviceError,))):  # others lack some of them
                await self._write(port, address, from_u32(value))
        width = len(scan_list.addresses)
        scans_per_packet = max(1, min(_MOST_SAMPLES // width, int(options.scan_rate_hz * _PACKET_S)))
        packets = [*from_f32(options.scan_rate_hz), *from_u32(width), *from_u32(scans_per_packet * width)]
        rest = [*from_u32(options.resolution_index), *from_u32(_BUFFER_BYTES)]
        if model == "T8":
            await self._write(port, _STREAM_SETTINGS, packets)
            await self._write(port, _STREAM_RESOLUTION, rest)
        else:
            await self._write(port, _STREAM_SETTINGS, [*packets, *from_f32(options.settling_us), *rest])
        datatype_raw, scans_without_end = 0, 0
        targets = [*from_u32(_ETHERNET), *from_u32(datatype_raw), *from_u32(scans_without_end)]
        await self._write(port, _STREAM_TARGETS, targets)
        words = [word for address in scan_list.addresses for word in from_u32(address)]
        for start in range(0, len(words), 120):
            await self._write(port, _SCAN_LIST + start, words[start : start + 120])
        return scans_per_packet

    def _range_v(self, model: str) -> float:
        """The model's range that holds the wanted one. Raises DeviceError where there is none."""
        ranges_v = _RANGES_V[model]
        if model == "T8":
            return min(value for value in ranges_v if value >= self.options.range_v)
        if self.options.range_v not in ranges_v:
            known = ", ".join(f"{value:g}" for value in ranges_v)
            raise DeviceError(
                f"{self.url}: a {model} has no range of {self.options.range_v:g} V; set range_v to {known}"
            )
        return self.options.range_v

    async def _start(self, port: ModbusPort) -> float:
        """Enable the stream; returns the rate that the device really makes of the one it was asked for."""
        await self._write(port, _STREAM_ENABLE, from_u32(1))
        rate_hz = f32(await port.read_holding(_RATE_ACTUAL, 2))
        if not 0.0 < rate_hz < 1e6:
            raise DeviceError(f"{self.url}: the LabJack says that its scan rate is {rate_hz:g} Hz")
        return rate_hz

    async def _write(self, port: ModbusPort, address: int, registers: list[int]) -> None:
        try:
            await port.write_registers(address, registers)
        except ModbusRefused as refused:
            code = await self._last_error(port)
            text = _ERRORS.get(code, f"LabJack error {code}")
            raise DeviceError(f"{self.url}: the LabJack refuses register {address}: {text} ({refused})") from None
