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
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_sim.emulators.base import MAIN, Emulator, Hangup, Output, Samples, Send
from firmware_sim.emulators.labjack_stream import (
    AIN_END,
    CAPTURE_16,
    CORE_TIMER,
    CORE_TIMER_HZ,
    EIO_STATE,
    FIO_EIO_STATE,
    FIO_STATE,
    SCAN_OVERLAP,
    ScanStream,
    streamable,
)
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
SCAN_CLOCK_HZ = 10_000_000  # ASSUMED: the scan interval is a whole number of these ticks
MAX_SAMPLES_PER_S = 100_000
MAX_SETTLING_US = 4400.0  # ASSUMED
TEST_PATTERN = 0x00112233
MODBUS_FEEDBACK = 76
FLASH_CALIBRATION = 0x003C4000
RANGES_V = (10.0, 1.0, 0.1, 0.01)

STREAM_ENABLE = 4990
STREAM_DATA_CR = 4500

# codes of LAST_ERR_DETAIL
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


def volts(raw: int) -> float:
    """Volts of a raw value at +/-10 V with the nominal calibration."""
    positive, negative, centre, _ = _NOMINAL[0]
    return (raw - centre) * positive if raw >= centre else (centre - raw) * negative


class T7Error(ModbusError):
    """An exception reply with the code that LAST_ERR_DETAIL shows afterwards."""

    def __init__(self, detail: int, code: int = DEVICE_FAILURE) -> None:
        super().__init__(code)
        self.detail = detail


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
        self._low_first = False
        self._stalled = False
        self._peers: dict[int, MbapStream] = {}
        self._listeners: set[int] = set()
        self._now_s = 0.0
        self._transaction = 0
        self._power_up()

    # --- life of the device

    def _power_up(self) -> None:
        self._boot_s = self._now_s
        self._stream: ScanStream | None = None
        self._words: dict[int, int] = {}
        self._wide: set[int] = set()
        self._writable: set[int] = set()
        for n in range(255):
            self._define(2 * n, 0.0, writable=False)
            self._define(40000 + 2 * n, 10.0)
            self._define16(41000 + n, 199)
            self._define16(41500 + n, 0)
            self._define(42000 + 2 * n, 0.0)
        for address in (*range(2000, 2023), FIO_STATE, EIO_STATE, FIO_EIO_STATE, 2600, 2601):
            self._define16(address, 0xFFFF if address in (FIO_STATE, EIO_STATE, FIO_EIO_STATE) else int(address < 2023))
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
        for address in (CAPTURE_16, 55000, 55002, 55003):
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
        if address < AIN_END or 2000 <= address < 2900:
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
        self._words[FIO_STATE], self._words[EIO_STATE] = lines & 0xFF, lines >> 8
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
        if not all(streamable(address) for address in addresses):
            raise T7Error(STREAM_CHN_CAN_NOT_BE_STREAMED)
        self._stream = ScanStream(
            samples=self._samples,
            analog=self._analog,
            digital=self._digital,
            addresses=addresses,
            rate_hz=SCAN_CLOCK_HZ / max(1, round(SCAN_CLOCK_HZ / rate_hz)),
            samples_per_packet=per_packet,
            buffer_bytes=size,
            spontaneous=not target & 16,
            burst_scans=self._u32(4020),
            recover=not self._u32(4028),
            timer=self._core_timer(self._now_s),
        )
        self._set(4494, self._stream.rate_hz)
        self._set(4490, self._f32(4008))
        self._set(4026, self._stream.timer)
        self._set(STREAM_ENABLE, 1)

    def _stop(self) -> None:
        self._stream = None
        self._set(STREAM_ENABLE, 0)

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        self._now_s = max(now_s, self._now_s)
        stream = self._stream
        if stream is None or self._u32(4014) or self._u32(4024):
            return []  # none, or it waits for a clock or a trigger that nobody gives
        blocked = self._stalled or STREAM in congested or not self._listeners
        output: Output = [Send(packet, STREAM) for packet in stream.run(blocked, self._drift)]
        if stream.ended:
            self._stop()
        return output

    def _command_response(self, count: int) -> list[int]:
        if self._stream is None:
            raise T7Error(STREAM_NOT_RUNNING)
        if self._stream.spontaneous:
            raise T7Error(STREAM_IN_SPONTANEOUS_MODE)
        return self._stream.command_response(count)

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
                if self._stream is not None:
                    self._stream.skip_packets = int(options.get("count", 3)) if active else 0
            case "stream_reset":
                return [Hangup(STREAM)] if active else []
            case "clock_drift":
                self._drift = 1.0 + float(options.get("ppm", 200.0)) * 1e-6 if active else 1.0
            case "wrong_word_order":
                self._low_first = active
            case "exception":
                self.exception = int(options.get("code", DEVICE_FAILURE)) if active else None
        return []
