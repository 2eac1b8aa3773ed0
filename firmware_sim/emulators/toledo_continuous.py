"""Weighbridge indicator with Mettler-Toledo continuous output: the load on a plate in, a frame again and again out.

It listens to nothing but the single letters T (tare), Z (zero) and C (clear tare), as many indicators do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firmware_sim.emulators.base import Emulator, Output, Send
from firmware_sim.emulators.weighing import LoadSignal

STABLE_S = 0.5
INCREMENTS = {1: 0b01, 2: 0b10, 5: 0b11}
MOST_FRAMES = 100  # in one tick


def checksum(frame: bytes) -> int:
    """Two's complement of the sum of the seven low bits of all characters, STX and CR with them."""
    return -sum(byte & 0x7F for byte in frame) & 0x7F


def frame(weight: int, tare: int, *, increment: int, net: bool, over: bool, motion: bool, check: bool = True) -> bytes:
    """A frame of whole kilograms; decimal position 2 is XXXXXX."""
    word_a = 0b0100000 | INCREMENTS[increment] << 3 | 0b010
    word_b = 0b0100000 | net | (weight < 0) << 1 | over << 2 | motion << 3 | 1 << 4
    body = bytes([0x02, word_a, word_b, 0b0100000])
    body += b"%06d%06d\r" % (min(abs(weight), 999_999), min(abs(tare), 999_999))
    return body + bytes([checksum(body)]) if check else body


class ToledoContinuous(Emulator):
    """The device core."""

    faults = frozenset({"over_range"})

    def __init__(
        self,
        signal: LoadSignal,
        *,
        baud: int = 9600,
        frames_hz: float = 10.0,
        increment: int = 5,
        division_kg: int = 5,
        max_kg: float = 60_000.0,
        checksum: bool = True,
    ) -> None:
        if increment not in INCREMENTS:
            raise ValueError(f"increment {increment!r}: give 1, 2 or 5")
        if not 0 < frames_hz <= 50 or division_kg <= 0:
            raise ValueError("frames_hz must be within 0 and 50, division_kg positive")
        self.baud: int = baud
        self._signal = signal
        self._frames_hz, self._increment, self._division_kg = frames_hz, increment, division_kg
        self._max_kg, self._check = max_kg, checksum
        self._over = False
        self._now_s = 0.0
        self._power_up()

    def _power_up(self) -> None:
        self._sent = int(self._now_s * self._frames_hz)
        self._zero_kg = self._tare_kg = self._gross_kg = 0.0
        self._history: list[tuple[float, float]] = []

    def reboot(self, now_s: float) -> Output:
        self._now_s = now_s
        self._power_up()
        return []

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        for byte in data:
            match chr(byte):
                case "T":
                    self._tare_kg = self._gross_kg
                case "C":
                    self._tare_kg = 0.0
                case "Z" if abs(self._gross_kg) < 0.02 * self._max_kg:
                    self._zero_kg += self._gross_kg
        return []

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        self._now_s = max(now_s, self._now_s)
        due = int(self._now_s * self._frames_hz)
        self._sent = max(self._sent, due - MOST_FRAMES)
        output: Output = []
        while self._sent < due:
            begin_s, end_s = self._sent / self._frames_hz, (self._sent + 1) / self._frames_hz
            self._sent += 1
            self._gross_kg = self._signal.mean_kg(begin_s, end_s) - self._zero_kg
            self._history = [(at, kg) for at, kg in self._history if end_s - at < STABLE_S]
            self._history.append((end_s, self._gross_kg))
            output.append(Send(self._frame()))
        return output

    def _frame(self) -> bytes:
        loads = [kg for _, kg in self._history]
        step = self._division_kg
        return frame(
            round((self._gross_kg - self._tare_kg) / step) * step,
            round(self._tare_kg / step) * step,
            increment=self._increment,
            net=self._tare_kg != 0,
            over=self._over or self._gross_kg > self._max_kg + 9 * step,
            motion=max(loads) - min(loads) > 2 * step,
            check=self._check,
        )

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        if kind == "over_range":
            self._over = active
        return []
