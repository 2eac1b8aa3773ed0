"""Truck scale with the SMA protocol SCP-0499: the load on a plate in, answers to W, H, M, T, C, Z, U, A, B and ? out.

Level 1 knows W, Z, A and B alone. In its own unit: kilograms, or pounds of a 20 lb division.
"""

from __future__ import annotations

from firmware_sim.emulators.asked_indicator import AskedIndicator
from firmware_sim.emulators.base import Output, Send
from firmware_sim.emulators.weighing import LoadSignal

POUND_KG = 0.45359237
ESC = 0x1B
ABOUT = (b"SMA:2/1.0", b"MFG:emulated", b"MOD:truck scale", b"REV:1.0", b"END:")


class SmaScale(AskedIndicator):
    """The device core."""

    def __init__(self, signal: LoadSignal, *, level: int = 2, unit: str = "kg", **display: float) -> None:
        if level not in (1, 2) or unit not in ("kg", "lb"):
            raise ValueError('level is 1 or 2, unit "kg" or "lb"')
        super().__init__(signal, **display)  # type: ignore[arg-type]
        self._level, self._unit = level, unit
        self._about = 0

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        self.tick(now_s)
        if ESC in data:  # abort: forget the half of a command; it has no answer
            self._buffer = b""
            data = data[data.rindex(ESC) + 1 :]
        return [Send(b"\n" + self._answer(line[line.rfind(b"\n") + 1 :]) + b"\r") for line in self.lines(data, b"\r")]

    def _answer(self, command: bytes) -> bytes:
        if len(command) != 1 or (self._level == 1 and command not in b"WZAB"):
            return b"?"
        match command:
            case b"A":
                self._about = 1
                return ABOUT[0]
            case b"B" if 0 < self._about < len(ABOUT):
                self._about += 1
                return ABOUT[self._about - 1]
            case b"W":
                return self._weight(self.gross_kg - self.tare_kg)
            case b"H":
                return self._weight(self.gross_kg - self.tare_kg, high=True)
            case b"M":
                return self._weight(self.tare_kg, kind=b"T")
            case b"Z":
                return self._weight(0.0) if self.zero() else self._weight(0.0, error=b"E")
            case b"T":
                if self.moving or self.gross_kg <= 0:
                    return self._weight(0.0, error=b"T")
                self.tare_kg = self.gross_kg
                return self._weight(0.0)
            case b"C":
                self.tare_kg = 0.0
                return self._weight(self.gross_kg)
        return b"?"

    def _weight(self, kg: float, *, kind: bytes = b"", high: bool = False, error: bytes = b"") -> bytes:
        """An answer in fixed places; an error has dashes in place of the weight."""
        kind = kind or (b"N" if self.tare_kg else b"G")
        division = self.division_kg / (10 if high else 1)
        shown = round(kg / division) * division
        if self._unit == "lb":
            step = 2 if high else 20
            shown = round(kg / POUND_KG / step) * step
        status = error or (b"O" if self.over else b"U" if shown < 0 else b"Z" if shown == 0 else b" ")
        field = b"-" * 10 if error else b"%10.0f" % shown
        return b"%b1%b%b %b%-3b" % (
            status,
            kind.lower() if high else kind,
            b"M" if self.moving else b" ",
            field,
            self._unit.encode(),
        )
