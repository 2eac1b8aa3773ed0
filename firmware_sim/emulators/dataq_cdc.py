"""DATAQ DI-4108 and its like on USB CDC: samples of a lane in, echoed commands and a bare stream of int16 out.

Commands are ASCII, ended by CR, and echoed; `start` is not. The stream has no framing at all. What the vendor's
protocol text and examples do not say is marked ASSUMED.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from firmware_sim.emulators.base import Emulator, Output, Samples, Send

BASE_HZ = 60_000_000
SLOW_COMMAND_S = 1.0  # `stop` and `encode` take that long on a DI-4108
LONGEST = 64
POSITIONS = 11
DIGITAL_PORT = 8
FIRST_LINE_BIT = 8  # the seven lines are in the second byte of a sample, as the maker's samples unpack it
WITHOUT_DECIMATION = (b"1100", b"1110")  # echo `dec` and go on as before
PACKETS = (16, 32, 64, 128, 256, 512, 1024, 2048)
MAX_SAMPLES_PER_S = 160_000
CATCH_UP_SCANS = 20_000


class DataqCdc(Emulator):
    """The device core. Analogue channels of the lane are wired to inputs 0, 1, ..., contacts to the digital port."""

    baud = 0
    faults = frozenset({"clock_drift", "lost_bytes"})

    def __init__(
        self,
        samples: Samples,
        channels: int,
        digital: frozenset[int] = frozenset(),
        *,
        model: str = "4108",
        slow_command_s: float = SLOW_COMMAND_S,
    ) -> None:
        self._samples = samples
        self._analog = [channel for channel in range(channels) if channel not in digital]
        self._digital = [channel for channel in range(channels) if channel in digital]
        self._model = model.encode()
        self._slow_s = slow_command_s
        self._drift = 1.0
        self._lose = 0
        self._power_up()

    def _power_up(self) -> None:
        self._line = bytearray()
        self._list: dict[int, int] = {0: 0}
        self._srate, self._dec, self._ascii, self._packet = 60_000, 1, False, PACKETS[0]
        self._scanning = False
        self._position = 0.0
        self._pending = bytearray()
        self._answers: list[tuple[float, bytes]] = []  # what is still to be echoed, and when
        self._busy_until_s = 0.0

    def reboot(self, now_s: float) -> Output:
        self._power_up()
        return []

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        for byte in data:
            if byte == 0x0D:
                self._command(self._line.decode("ascii", "replace"), now_s)
                self._line.clear()
            elif byte not in (0x00, 0x0A) and len(self._line) < LONGEST:
                self._line.append(byte)
        return self._due(now_s)

    def _command(self, line: str, now_s: float) -> None:
        word, *arguments = line.split(" ")
        numbers = [int(text) if text.isdecimal() and len(text) < 10 else -1 for text in arguments]
        start_s = max(now_s, self._busy_until_s)
        reply: str | None = line
        match word, numbers:
            case "start", _:
                self._scanning = True
                self._position = float(self._samples.ready())
                self._pending.clear()
                reply = None
            case "stop", _:
                self._scanning = False
                start_s += self._slow_s
            case "encode", [0 | 1 as mode]:
                self._ascii = bool(mode)
                start_s += self._slow_s
            case "slist", [place, entry] if 0 <= place < POSITIONS and 0 <= entry < 0x1000:
                if place == 0:
                    self._list.clear()
                self._list[place] = entry
            case "srate", [value] if value > 0:
                self._srate = value
            case "dec", [value] if value > 0:
                self._dec = 1 if self._model in WITHOUT_DECIMATION else value
            case "ps", [value] if 0 <= value < len(PACKETS):
                self._packet = PACKETS[value]
            case "info", [0]:
                reply = "info 0 DATAQ"
            case "info", [1]:
                reply = f"info 1 {self._model.decode()}"
            case "info", [_]:
                reply = line + " 0"
        self._busy_until_s = start_s
        if reply is not None and (not self._scanning or word == "stop"):
            self._answers.append((start_s, reply.encode("ascii", "replace") + b"\r"))

    def _due(self, now_s: float) -> Output:
        output: Output = []
        while self._answers and self._answers[0][0] <= now_s:
            output.append(Send(self._answers.pop(0)[1]))
        return output

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        output = self._due(now_s)
        if not self._scanning:
            return output
        step = self._samples.nominal_hz / self.scan_rate_hz / self._drift
        fresh = min(int((self._samples.ready() - self._position) / step), CATCH_UP_SCANS)
        if fresh <= 0:
            return output
        picks = np.floor(self._position + step * np.arange(fresh)).astype(np.int64)
        self._position += step * fresh
        scans = self._samples.take(int(picks[0]), int(picks[-1] - picks[0]) + 1)[picks - picks[0]]
        entries = [self._list[place] for place in sorted(self._list)]
        table = np.zeros((fresh, len(entries)), np.int16)
        for column, entry in enumerate(entries):
            number = entry & 0xF
            if number < min(len(self._analog), DIGITAL_PORT):
                table[:, column] = scans[:, self._analog[number]]
            elif number == DIGITAL_PORT:
                # ASSUMED: those wired to nothing read 1
                free = 0x7F & ~sum(1 << line for line in range(len(self._digital)))
                table[:, column] = free << FIRST_LINE_BIT
                for line, channel in enumerate(self._digital):
                    table[:, column] |= (scans[:, channel] != 0).astype(np.int16) << FIRST_LINE_BIT + line
        data = self._text(table) if self._ascii else table.astype("<i2").tobytes()
        self._pending += data[self._lose :]
        self._lose = max(0, self._lose - len(data))
        whole = len(self._pending) // self._packet * self._packet
        if whole:
            output.append(Send(bytes(self._pending[:whole])))
            del self._pending[:whole]
        return output

    @property
    def scan_rate_hz(self) -> float:
        """Scans a second, all channels each; ASSUMED: capped at what the converter can do."""
        return min(BASE_HZ / (self._srate * self._dec), MAX_SAMPLES_PER_S / max(1, len(self._list)))

    def _text(self, table: np.ndarray[Any, np.dtype[np.int16]]) -> bytes:
        """ASCII mode: volts of +/-10 V, a line for a scan."""
        rows = (", ".join(f"{int(value) * 10 / 32768:.4f}" for value in row) for row in table)
        return "".join(row + "\r" for row in rows).encode()

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        match kind:
            case "clock_drift":
                ppm = float(options.get("ppm", 200.0)) if active else 0.0
                self._drift = 1.0 + (ppm if math.isfinite(ppm) else 0.0) * 1e-6
            case "lost_bytes" if active:
                self._lose = max(0, int(options.get("count", 1)))
        return []
