"""SCAIME eNod4 weight transmitter: the load on a plate in; Modbus RTU replies and SCMBus frames out, on one line.

Modbus RTU is always answered; `protocol` says which of the two SCMBus forms answers and streams. Codes that public
pages do not give are named below and marked RECALLED; a user can set others with `codes`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Literal

from firmware_sim.emulators.base import Emulator, Output, Send
from firmware_sim.emulators.modbus import (
    DEVICE_FAILURE,
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    ModbusError,
    RtuLine,
    Unit,
    crc16,
)
from firmware_sim.emulators.weighing import LoadSignal

STX, ETX, DLE, CR = 0x02, 0x03, 0x10, 0x0D
UNKNOWN_COMMAND, EXECUTION_ERROR = 0xFE, 0xFF
ANY_CRC = 0xFF
FREE, IN_PROGRESS, COMPLETE, FAILED = 0, 1, 2, 3
# RECALLED: not in the pages that are public
CODES = {
    "reset": 0xD0,
    "store": 0xD1,
    "defaults": 0xD2,
    "zero": 0xD3,
    "tare": 0xD4,
    "cancel_tare": 0xD5,
    "stream_net": 0xE0,
    "stream_points": 0xE1,
    "stream_gross": 0xE2,
    "stop": 0xE3,
}
RATE_CODES = (6.25, 12.5, 25.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1600.0)  # RECALLED: the place is the code
STABLE_KG = 20.0  # ASSUMED: the signal is stable while it stays within this for half a second
STABLE_S = 0.5
ZERO_TIMEOUT_S = 5.0
SILENCE_S = 0.02
MOST_FRAMES = 2000  # in one tick

Protocol = Literal["modbus", "scmbus", "fast"]


def crc8(data: bytes) -> int:
    """x^8 + x^7 + x^4 + x^3 + 1, most significant bit first, initial 0 (ASSUMED: both)."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x99 if crc & 0x80 else crc << 1) & 0xFF
    return crc


def crc8_reflected(data: bytes) -> int:
    """The same polynomial, least significant bit first: accepted as well, because the order is not public."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x99 if crc & 1 else crc >> 1
    return crc


def fast_frame(status: int, value: int) -> bytes:
    """STX, status, three bytes of value, checksum, ETX; status and value with DLE before 02, 03 and 10."""
    body = struct.pack(">H", status) + (value & 0xFFFFFF).to_bytes(3, "big")
    check = (STX + sum(body)) & 0xFF | 0x80
    stuffed = b"".join(bytes([DLE, byte]) if byte in (STX, ETX, DLE) else bytes([byte]) for byte in body)
    return bytes([STX]) + stuffed + bytes([check, ETX])


class ScaimeEnod4(Emulator, Unit):
    """The device core. Weights are whole kilograms, factory points 100 for a count of the signal."""

    functions = frozenset({3, 6, 16})
    max_registers = 30
    faults = frozenset({"sensor_defect", "eeprom_failure", "lost_stop"})

    def __init__(
        self,
        signal: LoadSignal,
        *,
        address: int = 1,
        protocol: Protocol = "fast",
        baud: int = 115_200,
        rate_hz: float = 400.0,
        period_ms: float = 0.0,
        max_kg: float = 30_000.0,
        codes: Mapping[str, int] | None = None,
    ) -> None:
        if rate_hz not in RATE_CODES:
            raise ValueError(f"rate_hz {rate_hz!r}: give one of {', '.join(map(str, RATE_CODES))}")
        if protocol not in ("modbus", "scmbus", "fast"):
            raise ValueError(f"protocol {protocol!r}: give modbus, scmbus or fast")
        self.baud: int = baud
        self._signal = signal
        self._line = RtuLine(address)
        self._address = address
        self._protocol = protocol
        self._codes = {code: name for name, code in (CODES | dict(codes or {})).items()}
        self._period_s = period_ms / 1000
        self._default_rate_hz = rate_hz
        self._max_kg = max_kg
        self._zero_kg = 0.0  # kept in EEPROM
        self._defect = self._eeprom = self._deaf_to_stop = False
        self._now_s = 0.0
        self._power_up()

    def _power_up(self) -> None:
        self._rate_hz = self._default_rate_hz
        self._buffer = bytearray()
        self._heard_s = self._now_s
        self._tare_kg = 0.0
        self._gross_kg = 0.0
        self._points = 0.0
        self._converted = int(self._now_s * self._rate_hz)
        self._history: list[tuple[float, float]] = []
        self._stream: str | None = None
        self._sent_s = self._now_s
        self._response = FREE
        self._waiting_zero_s: float | None = None
        self._settings = dict.fromkeys(range(0x0037, 0x0057), 0) | {0x0A47: 0, 0x0097: 0, 0x0098: 0}

    def reboot(self, now_s: float) -> Output:
        self._now_s = now_s
        self._power_up()
        return []

    # --- measuring

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        self._now_s = max(now_s, self._now_s)
        if self._buffer and self._now_s - self._heard_s > SILENCE_S:
            self._buffer.clear()
        output: Output = []
        due = int(self._now_s * self._rate_hz)
        self._converted = max(self._converted, due - MOST_FRAMES)
        while self._converted < due:
            begin_s, end_s = self._converted / self._rate_hz, (self._converted + 1) / self._rate_hz
            self._converted += 1
            self._convert(begin_s, end_s)
            if self._stream is not None and end_s - self._sent_s >= self._period_s - 1e-9:
                self._sent_s = end_s
                output.append(Send(self._measurement(self._stream)))
        self._try_zero()
        return output

    def _convert(self, begin_s: float, end_s: float) -> None:
        self._gross_kg = self._signal.mean_kg(begin_s, end_s) - self._zero_kg
        self._points = 100 * self._signal.mean_counts(begin_s, end_s)
        if not self._history or end_s - self._history[-1][0] >= 0.05:
            self._history.append((end_s, self._gross_kg))
            while self._history and end_s - self._history[0][0] > STABLE_S:
                del self._history[0]

    @property
    def _stable(self) -> bool:
        loads = [kg for _, kg in self._history]
        return bool(loads) and max(loads) - min(loads) <= STABLE_KG

    def _status(self, shown: str | None = None) -> int:
        status = {"net": 1, "points": 2}.get(shown or "", 0)
        if self._defect:
            status |= 0b0100
        elif abs(self._gross_kg) > self._max_kg:
            status |= 0b1000
        status |= (1 << 4) * self._stable | (1 << 5) * (abs(self._gross_kg) < 0.25) | (1 << 6) * self._eeprom
        status |= (1 << 8) * self._signal.contact(0) | (1 << 9) * self._signal.contact(1)
        return status | (1 << 7) * (shown is not None)

    def _value(self, shown: str) -> int:
        if self._eeprom:
            return -1
        others = {"net": self._gross_kg - self._tare_kg, "points": self._points, "tare": self._tare_kg}
        return max(-0x800000, min(0x7FFFFF, round(others.get(shown, self._gross_kg))))

    def _measurement(self, shown: str) -> bytes:
        if self._protocol == "fast":
            return fast_frame(self._status(shown), self._value(shown))
        text = f"{self._value(shown):8d}".encode()
        frame = bytes([self._address]) + struct.pack(">H", self._status(shown)) + text + bytes([CR])
        return frame + bytes([crc8(frame)])

    # --- requests

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        self._now_s = max(now_s, self._now_s)
        self._heard_s = self._now_s
        self._buffer += data
        del self._buffer[:-256]
        output: Output = []
        while len(self._buffer) >= 4:
            if self._is_scmbus():
                command = self._buffer[1]
                request = bytes(self._buffer[:4])
                del self._buffer[:4]
                output += self._scmbus(command, request)
                continue
            size = self._rtu_size()
            if size is None:
                break
            if size == 0:
                del self._buffer[:1]
                continue
            pdu = bytes(self._buffer[1 : size - 2])
            mine = self._buffer[0] == self._address
            del self._buffer[:size]
            if mine:
                output.append(Send(self._line.frame(self.answer(pdu))))
        return output

    def _is_scmbus(self) -> bool:
        head, check = bytes(self._buffer[:3]), self._buffer[3]
        return (
            self._protocol != "modbus"
            and head[0] == self._address
            and head[2] == CR
            and head[1] >= 0xC0  # no Modbus function: all commands known are above
            and check in (ANY_CRC, crc8(head), crc8_reflected(head))
        )

    def _rtu_size(self) -> int | None:
        """Length of the Modbus request at the start of the buffer; 0: none begins here; None: more must come."""
        function = self._buffer[1]
        if function == 16:
            size = 9 + self._buffer[6] if len(self._buffer) > 6 else 0
            if len(self._buffer) <= 6:
                return None
        elif 1 <= function <= 6:
            size = 8
        else:
            return 0
        if len(self._buffer) < size:
            return None
        good = crc16(bytes(self._buffer[: size - 2])) == int.from_bytes(self._buffer[size - 2 : size], "little")
        return size if good else 0

    def _scmbus(self, code: int, request: bytes) -> Output:
        name = self._codes.get(code)
        if name is None:
            return [self._error(UNKNOWN_COMMAND)]
        if name == "stop":
            if not self._deaf_to_stop:
                self._stream = None
        elif name.startswith("stream_"):
            self._stream = name.removeprefix("stream_")
            self._sent_s = self._now_s
        elif not self._execute(name):
            return [self._error(EXECUTION_ERROR)]
        return [Send(request)]

    def _error(self, code: int) -> Send:
        head = bytes([self._address, code, CR])
        return Send(head + bytes([crc8(head)]))

    def _execute(self, name: str) -> bool:
        match name:
            case "reset":
                self._power_up()
            case "tare":
                self._tare_kg = self._gross_kg
            case "cancel_tare":
                self._tare_kg = 0.0
            case "zero":
                if not self._stable or abs(self._gross_kg) > 0.1 * self._max_kg:
                    return False
                self._zero_kg += self._gross_kg
        return True

    # --- Modbus

    def read_holding(self, address: int, count: int) -> list[int]:
        words = [self._register(place) for place in range(address, address + count)]
        return words

    def _register(self, address: int) -> int:
        shown = {0x3F: "gross", 0x40: "tare", 0x41: "net", 0x42: "points"}.get(address >> 1)
        if shown is not None:
            value = self._value(shown)
            return value & 0xFFFF if address & 1 else value >> 16 & 0xFFFF
        match address:
            case 0x0000:
                return 6 << 12 | 0x123
            case 0x0036:
                return RATE_CODES.index(self._rate_hz)
            case 0x007D:
                return self._status()
            case 0x0090:
                return 0
            case 0x0091:
                return self._response
            case 0x0A44 | 0x0A45 | 0x0A46:
                return 0
        if address in self._settings:
            return self._settings[address]
        raise ModbusError(ILLEGAL_ADDRESS)

    def write_holding(self, address: int, values: list[int]) -> None:
        for place, value in enumerate(values, start=address):
            if place == 0x0090:
                self._order(value)
            elif place == 0x0036:
                if value >= len(RATE_CODES):
                    raise ModbusError(ILLEGAL_VALUE)
                self._rate_hz = RATE_CODES[value]
                self._converted = int(self._now_s * self._rate_hz)
            elif place in self._settings:
                self._settings[place] = value
            else:
                raise ModbusError(ILLEGAL_ADDRESS)

    def _order(self, code: int) -> None:
        """The command register: 0 first, then a code; the response register tells how it went."""
        if code == 0:
            self._response = FREE
            return
        if self._response == IN_PROGRESS:
            raise ModbusError(DEVICE_FAILURE)
        name = self._codes.get(code)
        if name is None or name.startswith("stream_"):
            self._response = FAILED
        elif name == "zero":
            self._response = IN_PROGRESS
            self._waiting_zero_s = self._now_s
            self._try_zero()
        else:
            self._execute(name)
            self._response = COMPLETE

    def _try_zero(self) -> None:
        if self._waiting_zero_s is None:
            return
        if self._execute("zero"):
            self._response, self._waiting_zero_s = COMPLETE, None
        elif self._now_s - self._waiting_zero_s >= ZERO_TIMEOUT_S:
            self._response, self._waiting_zero_s = FAILED, None

    def other(self, function: int, body: bytes) -> bytes:
        raise ModbusError(ILLEGAL_FUNCTION)

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        match kind:
            case "sensor_defect":
                self._defect = active
            case "eeprom_failure":
                self._eeprom = active
            case "lost_stop":
                self._deaf_to_stop = active
        return []
