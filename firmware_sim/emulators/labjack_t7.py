"""LabJack T7: samples of a lane in, Modbus TCP replies and spontaneous stream packets out; driven by `serve.py`.

Two ports: `main` is TCP 502 (Modbus with function 76, Modbus Feedback), `stream` is TCP 702, to which a running stream
is pushed. Written from the register map and the stream datasheet of the vendor. What those do not say is marked
ASSUMED here.

Channels: each analogue channel of the lane is wired to an AIN, each loop that is a contact to a digital line from FIO0
upwards, both in the order of channels. Digital lines that are wired to nothing read 1, as the pull-ups make them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_sim.emulators.base import MAIN, Emulator, Hangup, Output, Samples, Send
from firmware_sim.emulators.modbus import (
    DEVICE_FAILURE,
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    MbapStream,
    ModbusError,
    Unit,
    mbap,
)

STREAM = "stream"
MAX_PACKET_BYTES = 1040  # Ethernet
CORE_TIMER_HZ = 40_000_000  # half of the core clock
SCAN_CLOCK_HZ = 10_000_000  # ASSUMED: the scan interval is a whole number of these ticks
MAX_SAMPLES_PER_S = 100_000
MAX_SETTLING_US = 4400.0  # ASSUMED
TEST_PATTERN = 0x00112233
MODBUS_FEEDBACK = 76
FLASH_CALIBRATION = 0x003C4000
RANGES_V = (10.0, 1.0, 0.1, 0.01)

STREAM_ENABLE = 4990
STREAM_DATA_CR = 4500
FIO_EIO_STATE = 2580
CORE_TIMER = 61520
STREAM_DATA_CAPTURE_16 = 4899

# codes of LAST_ERR_DETAIL and of the status field of a stream packet
MODBUS_CMD_OVERFLOW = 2301
MODBUS_NUM_REGS_MUST_BE_EVEN = 2315
AIN_RANGE_INVALID = 2370
AIN_RESOLUTION_INVALID = 2375
STREAM_NEED_AT_LEAST_ONE_CHN = 2600
STREAM_IN_SPONTANEOUS_MODE = 2603
STREAM_IS_ACTIVE = 2605
STREAM_CONFIG_INVALID = 2606
STREAM_SCAN_RATE_INVALID = 2608
STREAM_DATA_TYPE_INVALID = 2611
STREAM_TARGET_CONFIG_INVALID = 2612
STREAM_BUFF_SIZE_INVALID = 2615
STREAM_SAMPLES_PER_PKT_INVALID = 2618
STREAM_NOT_RUNNING = 2620
STREAM_SETTLING_INVALID = 2621
STREAM_CHN_CAN_NOT_BE_STREAMED = 2625
AUTO_RECOVER_ACTIVE = 2940
AUTO_RECOVER_END = 2941
SCAN_OVERLAP = 2942
AUTO_RECOVER_END_OVERFLOW = 2943
BURST_COMPLETE = 2944
STREAM_BUFFER_FULL = 2945

DUMMY = 0xFFFF  # a scan of these stands where scans were skipped; no analogue input ever reads it

# nominal calibration of the four ranges, high speed and high resolution converter: slopes, centre, offset
_NOMINAL = [(0.000315805780, -0.000315805800, 33523.0, -10.586956522)]
_NOMINAL += [(p / 10**n, m / 10**n, c, o / 10**n) for n, (p, m, c, o) in enumerate(_NOMINAL * 3, start=1)]
CALIBRATION = struct.pack(
    ">32f4f2f3f",
    *[value for row in _NOMINAL * 2 for value in row],
    *(13200.0, 0.0, 13200.0, 0.0),  # DAC0, DAC1
    *(-92.6, 467.6),  # temperature
    *(10e-6, 200e-6, 0.0),  # current sources, bias current
)

_HEADER = struct.Struct(">HHHBBBBHHH")


def volts(raw: int) -> float:
    """Volts of a raw value at +/-10 V with the nominal calibration."""
    positive, negative, centre, _ = _NOMINAL[0]
    return (raw - centre) * positive if raw >= centre else (centre - raw) * negative


class T7Error(ModbusError):
    """An exception reply with the code that LAST_ERR_DETAIL shows afterwards."""

    def __init__(self, detail: int, code: int = DEVICE_FAILURE) -> None:
        super().__init__(code)
        self.detail = detail


@dataclass(slots=True)
class _Stream:
    """A running stream. `position` is the world's scan that the next scan of the device shows."""

    addresses: tuple[int, ...]
    analog: tuple[tuple[int, int], ...]  # (place in the scan, channel of the lane)
    rate_hz: float  # as the device believes
    samples_per_packet: int
    buffer_bytes: int
    spontaneous: bool
    burst_scans: int
    timer: int  # core timer at the first scan
    step: float  # world scans for one scan of the device
    position: float
    taken: int = 0  # scans since the start, skipped ones included
    skipped: int = 0  # of these since recovery began
    recovering: bool = False
    transaction: int = 0
    queue: npt.NDArray[np.uint16] = field(default_factory=lambda: np.empty(0, np.uint16))
    dummy_at: int | None = None  # place in the queue of the scan that marks the end of recovery
    dummy_info: int = 0
    last_status: int = 0  # carried by the next packet, after which the stream stops

    @property
    def room(self) -> int:
        """Scans that the buffer can still take."""
        return (self.buffer_bytes // 2 - len(self.queue)) // len(self.addresses)


class LabJackT7(Emulator, Unit):
    """The device core. `samples` and `channels` come from the lane; `digital` are the channels that are contacts."""

    ports = (MAIN, STREAM)
    functions = frozenset({3, 4, 6, 16, MODBUS_FEEDBACK})
    faults = frozenset(
        {"overrun", "scan_overlap", "skip_packets", "stream_reset", "clock_drift", "exception", "wrong_word_order"}
    )

    def __init__(
        self, samples: Samples, channels: int, digital: frozenset[int] = frozenset(), *, serial: int = 470012345
    ) -> None:
        self._samples = samples
        self._analog = [channel for channel in range(channels) if channel not in digital]
        self._digital = [channel for channel in range(channels) if channel in digital]
        self._clock = samples.rate_hz / samples.nominal_hz  # of the device, against true time
        self._serial = serial
        self._drift = 1.0  # on top of it, by a fault
        self._exception: int | None = None
        self._low_first = False
        self._stalled = False
        self._skip = 0
        self._peers: dict[int, MbapStream] = {}
        self._listeners: set[int] = set()
        self._now_s = 0.0
        self._transaction = 0
        self._power_up()

    # --- life of the device

    def _power_up(self) -> None:
        self._boot_s = self._now_s
        self._stream: _Stream | None = None
        self._words: dict[int, int] = {}
        self._wide: set[int] = set()
        self._writable: set[int] = set()
        for n in range(255):
            self._define(2 * n, 0.0, writable=False)
            self._define(40000 + 2 * n, 10.0)
            self._define16(41000 + n, 199)
            self._define16(41500 + n, 0)
            self._define(42000 + 2 * n, 0.0)
        for address in (*range(2000, 2023), 2500, 2501, FIO_EIO_STATE, 2600, 2601):
            self._define16(address, 0xFFFF if address in (2500, 2501, FIO_EIO_STATE) else int(address < 2023))
        for address in (2800, 2850, 2900):
            self._define(address, 0)
        for address, initial in (
            *((4002, 0.0), (4004, 0), (4006, 512), (4008, 0.0), (4010, 0), (4012, 0), (4014, 0), (4016, 1)),
            *((4018, 0), (4020, 0), (4022, 1), (4024, 0), (4028, 0), (STREAM_ENABLE, 0)),
        ):
            self._define(address, initial)
        for n in range(128):
            self._define(4100 + 2 * n, 0)
        for address, value in ((4026, 0), (4490, 0.0), (4494, 0.0), (4898, 0), (55100, TEST_PATTERN)):
            self._define(address, value, writable=False)
        for address, value in ((55120, 0), (55122, 0), (55124, 0.0), (61810, 0)):
            self._define(address, value)
        for address in (STREAM_DATA_CAPTURE_16, 55000, 55002, 55003):
            self._define16(address, 0, writable=False)
        for address, value in ((60000, 7.0), (60002, 1.35), (60004, 1.0292), (60028, self._serial), (CORE_TIMER, 0)):
            self._define(address, value, writable=False)
        self._define(61522, 0, writable=False)

    def _define(self, address: int, value: float, *, writable: bool = True) -> None:
        self._wide.add(address)
        if writable:
            self._writable.add(address)
        self._set(address, value)

    def _define16(self, address: int, value: int, *, writable: bool = True) -> None:
        self._words[address] = value
        if writable:
            self._writable.add(address)

    def _set(self, address: int, value: float) -> None:
        """A 32-bit register: a float stays IEEE-754, an int is a U32."""
        data = struct.pack(">f", value) if isinstance(value, float) else struct.pack(">I", int(value) & 0xFFFFFFFF)
        self._words[address], self._words[address + 1] = struct.unpack(">HH", data)

    def _u32(self, address: int) -> int:
        return self._words[address] << 16 | self._words[address + 1]

    def _f32(self, address: int) -> float:
        return float(struct.unpack(">f", struct.pack(">I", self._u32(address)))[0])

    def reboot(self, now_s: float) -> Output:
        self._now_s = now_s
        self._power_up()
        self._peers.clear()
        self._listeners.clear()
        return [Hangup(MAIN), Hangup(STREAM)]

    # --- connections and requests

    def connected(self, port: str, peer: int, now_s: float) -> Output:
        if port == STREAM:
            self._listeners.add(peer)
        else:
            self._peers[peer] = MbapStream(longest=MAX_PACKET_BYTES - 7)
        return []

    def disconnected(self, port: str, peer: int, now_s: float) -> None:
        self._listeners.discard(peer)
        self._peers.pop(peer, None)

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        self._now_s = max(now_s, self._now_s)
        stream = self._peers.get(peer)
        if port != MAIN or stream is None:
            return []  # what is sent to the stream port has no meaning
        output: Output = []
        for transaction, unit, pdu in stream.feed(data):
            self._transaction = transaction
            output.append(Send(mbap(transaction, unit, self.answer(pdu)), MAIN, peer))
        if stream.broken:
            output.append(Hangup(MAIN, peer))
        return output

    def answer(self, pdu: bytes) -> bytes:
        if self._exception is not None:
            return bytes([pdu[0] | 0x80, self._exception])
        return super().answer(pdu)

    def _answer(self, function: int, body: bytes) -> bytes:
        try:
            return super()._answer(function, body)
        except ModbusError as error:
            self._words[55000] = error.detail if isinstance(error, T7Error) else 1200 + error.code
            self._words[55003] = self._transaction
            raise

    def other(self, function: int, body: bytes) -> bytes:
        """Modbus Feedback: frames of reads and writes, done in order; what was done before a bad frame stays."""
        if function != MODBUS_FEEDBACK:
            raise ModbusError(ILLEGAL_FUNCTION)
        reply = bytearray()
        place, number = 0, 0
        while place < len(body):
            self._words[55002] = number
            if len(body) - place < 4:
                raise ModbusError(ILLEGAL_VALUE)
            kind, address, count = struct.unpack_from(">BHB", body, place)
            place += 4
            if count == 0 or kind > 1:
                raise ModbusError(ILLEGAL_VALUE)
            if kind == 0:
                reply += struct.pack(f">{count}H", *self.read_holding(address, count))
            else:
                data = body[place : place + 2 * count]
                if len(data) < 2 * count:
                    raise T7Error(MODBUS_CMD_OVERFLOW, ILLEGAL_VALUE)
                self.write_holding(address, list(struct.unpack(f">{count}H", data)))
                place += 2 * count
            number += 1
        return bytes(reply)

    def read_input_registers(self, address: int, count: int) -> list[int]:
        return self.read_holding(address, count)

    def read_holding(self, address: int, count: int) -> list[int]:
        if address == STREAM_DATA_CR:
            return self._command_response(count)
        if address == 61812:
            return self._flash(count)
        self._refresh(address, count)
        words: list[int] = []
        while len(words) < count:
            here = address + len(words)
            if here in self._wide:
                if len(words) + 2 > count:
                    raise T7Error(MODBUS_NUM_REGS_MUST_BE_EVEN, ILLEGAL_VALUE)
                pair = [self._words[here], self._words[here + 1]]
                words += pair[::-1] if self._low_first else pair
            elif here in self._words and here - 1 not in self._wide:
                words.append(self._words[here])
            else:
                raise ModbusError(ILLEGAL_ADDRESS)
        return words

    def _flash(self, count: int) -> list[int]:
        start = self._u32(61810) - FLASH_CALIBRATION
        data = CALIBRATION + bytes(512)
        if not 0 <= start <= len(data) - 2 * count:
            raise ModbusError(ILLEGAL_ADDRESS)
        return list(struct.unpack(f">{count}H", data[start : start + 2 * count]))

    def _refresh(self, address: int, count: int) -> None:
        """Bring the registers that live up to date before they are read."""
        span = range(address, address + count)
        if CORE_TIMER in span:
            self._set(CORE_TIMER, self._core_timer(self._now_s))
        if 61522 in span:
            self._set(61522, int((self._now_s - self._boot_s) * 20))
        if address < 510 or 2000 <= address < 2900:
            newest = self._samples.ready() - 1
            scan = self._samples.take(newest, 1)[0] if newest >= 0 else None
            for place, channel in enumerate(self._analog):
                if 2 * place in span or 2 * place + 1 in span:
                    self._set(2 * place, volts(int(scan[channel]) + 32768) if scan is not None else 0.0)
            if address >= 2000:
                self._refresh_lines(scan)

    def _refresh_lines(self, scan: npt.NDArray[np.int16] | None) -> None:
        lines = 0xFFFF
        for place, channel in enumerate(self._digital):
            if scan is None or not scan[channel]:
                lines &= ~(1 << place)
        for place in range(16):
            self._words[2000 + place] = lines >> place & 1
        self._words[2500], self._words[2501] = lines & 0xFF, lines >> 8
        self._words[FIO_EIO_STATE] = lines
        self._set(2800, 0x7F0000 | lines)

    def _core_timer(self, at_s: float) -> int:
        return int((at_s - self._boot_s) * CORE_TIMER_HZ * self._clock) & 0xFFFFFFFF

    def write_holding(self, address: int, values: list[int]) -> None:
        place = 0
        while place < len(values):
            here = address + place
            wide = here in self._wide
            if here not in self._writable:
                raise ModbusError(ILLEGAL_ADDRESS)
            if wide and place + 2 > len(values):
                raise T7Error(MODBUS_NUM_REGS_MUST_BE_EVEN, ILLEGAL_VALUE)
            words = values[place : place + (2 if wide else 1)]
            self._check(here, words)
            for offset, word in enumerate(words):
                self._words[here + offset] = word
            place += len(words)

    def _check(self, address: int, words: list[int]) -> None:
        """Refuse a value that the register does not take; act on those that do something."""
        if 4000 <= address < 4360 and self._stream is not None:
            raise T7Error(STREAM_IS_ACTIVE)
        if 40000 <= address < 40510:
            (value,) = struct.unpack(">f", struct.pack(">HH", *words))
            if not any(abs(value - allowed) < 1e-6 for allowed in (0.0, *RANGES_V)):
                raise T7Error(AIN_RANGE_INVALID, ILLEGAL_VALUE)
        if 41500 <= address < 41755 and words[0] > 12:
            raise T7Error(AIN_RESOLUTION_INVALID, ILLEGAL_VALUE)
        if address == STREAM_ENABLE:
            if words == [0, 0]:
                if self._stream is None:
                    raise T7Error(STREAM_NOT_RUNNING)
                self._stop()
            else:
                self._start()

    # --- the stream

    def _start(self) -> None:
        if self._stream is not None:
            raise T7Error(STREAM_IS_ACTIVE)
        count, per_packet, rate_hz = self._u32(4004), self._u32(4006), self._f32(4002)
        size = self._u32(4012) or 4096
        target = self._u32(4016)
        if not 1 <= count <= 128:
            raise T7Error(STREAM_NEED_AT_LEAST_ONE_CHN)
        if not 0 < rate_hz * count <= MAX_SAMPLES_PER_S:
            raise T7Error(STREAM_SCAN_RATE_INVALID)
        if not 1 <= per_packet <= 512:
            raise T7Error(STREAM_SAMPLES_PER_PKT_INVALID)
        if not 0 <= self._f32(4008) <= MAX_SETTLING_US:
            raise T7Error(STREAM_SETTLING_INVALID)
        if self._u32(4010) > 8:
            raise T7Error(STREAM_CONFIG_INVALID)
        if size & (size - 1) or not 2 * count <= size <= 32768:
            raise T7Error(STREAM_BUFF_SIZE_INVALID)
        if target & 0b10011 not in (1, 2, 3, 16):
            raise T7Error(STREAM_TARGET_CONFIG_INVALID)
        if self._u32(4018) != 0:
            raise T7Error(STREAM_DATA_TYPE_INVALID)
        addresses = tuple(self._u32(4100 + 2 * n) for n in range(count))
        if not all(_streamable(address) for address in addresses):
            raise T7Error(STREAM_CHN_CAN_NOT_BE_STREAMED)
        actual_hz = SCAN_CLOCK_HZ / max(1, round(SCAN_CLOCK_HZ / rate_hz))
        self._stream = _Stream(
            addresses=addresses,
            analog=tuple(
                (place, self._analog[address // 2])
                for place, address in enumerate(addresses)
                if address < 2 * len(self._analog)
            ),
            rate_hz=actual_hz,
            samples_per_packet=per_packet,
            buffer_bytes=size,
            spontaneous=not target & 16,
            burst_scans=self._u32(4020),
            timer=self._core_timer(self._now_s),
            step=self._samples.nominal_hz / actual_hz,
            position=float(self._samples.ready()),
        )
        self._set(4494, actual_hz)
        self._set(4490, self._f32(4008))
        self._set(4026, self._stream.timer)
        self._set(STREAM_ENABLE, 1)

    def _stop(self) -> None:
        self._stream = None
        self._set(STREAM_ENABLE, 0)

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        self._now_s = max(now_s, self._now_s)
        stream = self._stream
        if stream is None:
            return []
        blocked = self._stalled or STREAM in congested or not self._listeners or not stream.spontaneous
        step = stream.step / self._drift
        fresh = int((self._samples.ready() - stream.position) / step)
        if stream.burst_scans:
            fresh = min(fresh, stream.burst_scans - stream.taken)
        output: Output = [] if blocked else self._packets(stream)
        while fresh > 0 and not stream.recovering:
            # a host that reads is sent what fills a packet before more is taken, however late this tick comes
            count = min(fresh, stream.room)
            if count:
                self._take(stream, count, step)
                fresh -= count
                if not blocked:
                    output += self._packets(stream)
            else:
                stream.recovering = True
                if self._u32(4028):
                    stream.last_status = STREAM_BUFFER_FULL
        if stream.recovering and fresh > 0:
            stream.skipped += fresh
            stream.taken += fresh
            stream.position += fresh * step
        if not blocked:
            output += self._packets(stream)
            if stream.recovering and len(stream.queue) < stream.samples_per_packet:
                self._recover(stream)
            if stream.last_status or (stream.burst_scans and stream.taken >= stream.burst_scans):
                output += self._end(stream)
        return output

    def _take(self, stream: _Stream, count: int, step: float) -> None:
        """Put `count` scans into the buffer as the wire has them."""
        first = stream.position
        if step == 1.0:
            scans = self._samples.take(int(first), count)
        else:
            picks = np.floor(first + step * np.arange(count)).astype(np.int64)
            scans = self._samples.take(int(picks[0]), int(picks[-1] - picks[0]) + 1)[picks - picks[0]]
        table = np.full((count, len(stream.addresses)), 33523, np.uint16)  # an open input reads about 0 V
        for place, channel in stream.analog:
            table[:, place] = np.minimum(scans[:, channel].view(np.uint16) ^ 0x8000, DUMMY - 1)
        timer = None
        for place, address in enumerate(stream.addresses):
            if address < 510:
                continue
            if address in (CORE_TIMER, STREAM_DATA_CAPTURE_16):
                if timer is None:
                    ticks = np.arange(stream.taken, stream.taken + count) * (CORE_TIMER_HZ / stream.rate_hz)
                    timer = (stream.timer + ticks.astype(np.int64)) & 0xFFFFFFFF
                table[:, place] = timer & 0xFFFF if address == CORE_TIMER else timer >> 16
                continue
            lines = np.full(count, 0xFFFF, np.uint16)
            for line, channel in enumerate(self._digital):
                lines[scans[:, channel] == 0] &= ~(1 << line) & 0xFFFF
            table[:, place] = {2500: lines & 0xFF, 2501: lines >> 8, FIO_EIO_STATE: lines}[address]
        stream.queue = np.concatenate((stream.queue, table.ravel()))
        stream.taken += count
        stream.position = first + count * step

    def _recover(self, stream: _Stream) -> None:
        """Take scans again: a dummy scan separates old ones from new, the packet with it says how many are missing.

        ASSUMED, as documented for an older device of the vendor: the dummy scan stands for one of the missing ones.
        """
        if stream.skipped > 0xFFFF:
            stream.last_status = AUTO_RECOVER_END_OVERFLOW
            return
        stream.dummy_at, stream.dummy_info = len(stream.queue), stream.skipped
        stream.queue = np.concatenate((stream.queue, np.full(len(stream.addresses), DUMMY, np.uint16)))
        stream.recovering = False
        stream.skipped = 0

    def _packets(self, stream: _Stream) -> Output:
        """The full packets in the buffer."""
        output: Output = []
        while len(stream.queue) >= stream.samples_per_packet:
            status, info, data = self._cut(stream, stream.samples_per_packet)
            transaction = stream.transaction
            stream.transaction = transaction + 1 & 0xFFFF
            if self._skip:
                self._skip -= 1
                continue
            output.append(Send(stream_packet(transaction, 2 * len(stream.queue), status, info, data), STREAM))
        return output

    def _cut(self, stream: _Stream, count: int) -> tuple[int, int, bytes]:
        """Status, additional information and bytes of the next `count` samples."""
        status, info = (AUTO_RECOVER_ACTIVE, 0) if stream.recovering else (0, 0)
        if stream.dummy_at is not None:
            if stream.dummy_at < count:
                status, info = AUTO_RECOVER_END, stream.dummy_info
                stream.dummy_at = None
            else:
                stream.dummy_at -= count
        data = stream.queue[:count].astype(">u2").tobytes()
        stream.queue = stream.queue[count:]
        return status, info, data

    def _end(self, stream: _Stream) -> Output:
        """The last packet of a stream that ends by itself: filled up with zeros, its status says why."""
        left = min(len(stream.queue), stream.samples_per_packet)
        _, _, data = self._cut(stream, left)
        data += bytes(2 * (stream.samples_per_packet - left))
        status = stream.last_status or BURST_COMPLETE
        self._stop()
        packet = stream_packet(stream.transaction, 0, status, left if status == BURST_COMPLETE else 0, data)
        return [Send(packet, STREAM)]

    def _command_response(self, count: int) -> list[int]:
        """What register 4500 gives: number of samples, backlog, status, additional information, samples."""
        stream = self._stream
        if stream is None:
            raise T7Error(STREAM_NOT_RUNNING)
        if stream.spontaneous:
            raise T7Error(STREAM_IN_SPONTANEOUS_MODE)
        width = len(stream.addresses)
        wanted = min(max(count - 4, 0), len(stream.queue)) // width * width
        status, info, data = self._cut(stream, wanted)
        words = list(struct.unpack(f">{wanted}H", data))
        reply = [wanted, 2 * len(stream.queue), status, info, *words]
        if stream.recovering and not len(stream.queue):
            self._recover(stream)
        return (reply + [0] * count)[:count]

    # --- faults

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        self._now_s = max(now_s, self._now_s)
        match kind:
            case "overrun":
                self._stalled = active
            case "scan_overlap":
                if active and self._stream is not None:
                    self._stream.last_status = SCAN_OVERLAP
            case "skip_packets":
                self._skip = int(options.get("count", 3)) if active else 0
            case "stream_reset":
                return [Hangup(STREAM)] if active else []
            case "clock_drift":
                self._drift = 1.0 + float(options.get("ppm", 200.0)) * 1e-6 if active else 1.0
            case "wrong_word_order":
                self._low_first = active
            case "exception":
                self._exception = int(options.get("code", DEVICE_FAILURE)) if active else None
        return []


def _streamable(address: int) -> bool:
    even_input = address < 510 and address % 2 == 0
    return even_input or address in (2500, 2501, FIO_EIO_STATE, CORE_TIMER, STREAM_DATA_CAPTURE_16)


def stream_packet(transaction: int, backlog_bytes: int, status: int, info: int, data: bytes) -> bytes:
    """A spontaneous stream packet; `data` are the samples, big-endian."""
    return _HEADER.pack(transaction, 0, 10 + len(data), 1, 76, 16, 0, min(backlog_bytes, 0xFFFF), status, info) + data
