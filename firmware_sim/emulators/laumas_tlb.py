"""Laumas TLB weight transmitter: the load on a plate in, Modbus RTU replies out.

Functions 3 and 16 only. Weights are unsigned magnitudes without a decimal point, their signs stand in the status word.
What the manuals do not say is marked ASSUMED or RECALLED.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firmware_sim.emulators.base import Emulator, Output, Send
from firmware_sim.emulators.modbus import DEVICE_FAILURE, ILLEGAL_ADDRESS, ModbusError, RtuLine, Unit
from firmware_sim.emulators.weighing import LoadSignal

REFRESH_HZ = 50.0  # ASSUMED
SILENCE_S = 0.02
STABLE_S = 0.5
TARE, ZERO, BACK_TO_GROSS = 7, 8, 9  # RECALLED: commands of register 5
DIVISION_CODES = {10: 3, 5: 4, 2: 5, 1: 6, 20: 2, 50: 1, 100: 0}  # RECALLED: low byte of register 13 by kilograms
SETTABLE = (*range(16, 24), *range(38, 44))


class LaumasTlb(Emulator, Unit):
    """The device core. Weights are kilograms, rounded to `division_kg`."""

    functions = frozenset({3, 16})
    max_registers = 32
    faults = frozenset({"load_cell_error", "exception"})

    def __init__(
        self, signal: LoadSignal, *, address: int = 1, baud: int = 9600, division_kg: int = 10, max_kg: float = 60_000.0
    ) -> None:
        if division_kg not in DIVISION_CODES:
            raise ValueError(f"division_kg {division_kg!r}: give one of {', '.join(map(str, DIVISION_CODES))}")
        self.baud: int = baud
        self._signal = signal
        self._line = RtuLine(address)
        self._division_kg = division_kg
        self._max_kg = max_kg
        self._cell_error = False
        self._now_s = self._heard_s = 0.0
        self._power_up()

    def _power_up(self) -> None:
        self._refreshed = int(self._now_s * REFRESH_HZ)
        self._gross_kg = self._peak_kg = self._zero_kg = self._tare_kg = 0.0
        self._net_shown = False
        self._history: list[tuple[float, float]] = []
        self._settings = dict.fromkeys(SETTABLE, 0)

    def reboot(self, now_s: float) -> Output:
        self._now_s = now_s
        self._power_up()
        return []

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        self._now_s = max(now_s, self._now_s)
        if self._now_s - self._heard_s > SILENCE_S:
            self._line.silence()
        due = int(self._now_s * REFRESH_HZ)
        if due > self._refreshed:
            self._refreshed = due
            self._gross_kg = self._signal.mean_kg(self._now_s - 1 / REFRESH_HZ, self._now_s) - self._zero_kg
            self._peak_kg = max(self._peak_kg, self._gross_kg)
            self._history = [(at, kg) for at, kg in self._history if self._now_s - at < STABLE_S]
            self._history.append((self._now_s, self._gross_kg))
        return []

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        self._now_s = max(now_s, self._now_s)
        self._heard_s = self._now_s
        output: Output = []
        for pdu in self._line.feed(data):
            output.append(Send(self._line.frame(self.answer(pdu))))
        return output

    # --- the map

    def _rounded(self, kg: float) -> int:
        return round(kg / self._division_kg) * self._division_kg

    def _status(self) -> int:
        gross, net = self._rounded(self._gross_kg), self._rounded(self._gross_kg - self._tare_kg)
        loads = [kg for _, kg in self._history]
        bits = {
            0: self._cell_error,
            2: self._gross_kg > self._max_kg + 9 * self._division_kg,
            3: self._gross_kg > 1.1 * self._max_kg,
            4: abs(gross) > 999_999,
            5: abs(net) > 999_999,
            7: gross < 0,
            8: net < 0,
            9: self._peak_kg < 0,
            10: self._net_shown,
            11: bool(loads) and max(loads) - min(loads) <= 2 * self._division_kg,
            12: abs(self._gross_kg) <= self._division_kg / 4,
        }
        return sum(1 << bit for bit, is_set in bits.items() if is_set)

    def read_holding(self, address: int, count: int) -> list[int]:
        weights = {7: self._gross_kg, 9: self._gross_kg - self._tare_kg, 11: self._peak_kg}
        words = {0: 103, 1: 4, 2: 2024, 3: 1234, 4: 0, 5: 0, 6: self._status(), 14: 0, 15: 0}
        words[13] = DIVISION_CODES[self._division_kg]  # unit in the high byte: 0 is kg
        for place, kg in weights.items():
            size = abs(self._rounded(kg))
            words[place], words[place + 1] = size >> 16 & 0xFFFF, size & 0xFFFF
        words |= self._settings
        if any(place not in words for place in range(address, address + count)):
            raise ModbusError(ILLEGAL_ADDRESS)
        return [words[place] for place in range(address, address + count)]

    def write_holding(self, address: int, values: list[int]) -> None:
        places = range(address, address + len(values))
        if any(place != 5 and place not in self._settings for place in places):
            raise ModbusError(ILLEGAL_ADDRESS)
        for place, value in zip(places, values, strict=True):
            if place == 5:
                self._command(value)
            else:
                self._settings[place] = value

    def _command(self, code: int) -> None:
        if code == TARE:
            self._tare_kg, self._net_shown = self._gross_kg, True
        elif code == ZERO:
            self._zero_kg += self._gross_kg
            self._gross_kg = 0.0
        elif code == BACK_TO_GROSS:
            self._tare_kg, self._net_shown = 0.0, False
        # ASSUMED: a command that the device does not know is taken and does nothing

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        match kind:
            case "load_cell_error":
                self._cell_error = active
            case "exception":
                self.exception = int(options.get("code", DEVICE_FAILURE)) if active else None
        return []
