"""Mettler-Toledo terminal with MT-SICS: the load on a plate in, answers to S, SI, TA, TAC, T, Z, I4 and @ out.

What the manuals leave to the model is marked ASSUMED.
"""

from __future__ import annotations

from firmware_sim.emulators.asked_indicator import AskedIndicator
from firmware_sim.emulators.base import Output, Send
from firmware_sim.emulators.weighing import LoadSignal

SERIAL_NUMBER = b"B021002593"
UNDERLOAD_KG = -200.0  # ASSUMED: 20 divisions below zero


class MtSics(AskedIndicator):
    """The device core. `level` 0 has no tare commands."""

    def __init__(self, signal: LoadSignal, *, level: int = 1, **display: float) -> None:
        if level not in (0, 1):
            raise ValueError("level is 0 or 1")
        super().__init__(signal, **display)  # type: ignore[arg-type]
        self._level = level

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        self.tick(now_s)
        return [Send(self._answer(line.strip(b"\r ")) + b"\r\n") for line in self.lines(data, b"\n")]

    def _answer(self, command: bytes) -> bytes:
        if self._level == 0 and command in (b"TA", b"TAC", b"T"):
            return b"ES"
        match command:
            case b"SI":
                return self._weight()
            case b"S":
                return b"S I" if self.moving else self._weight()  # ASSUMED: does not wait
            case b"TA":
                return b"TA A" + self._field(self.tare_kg)
            case b"TAC":
                self.tare_kg = 0.0
                return b"TAC A"
            case b"T":
                if self.moving or self.gross_kg <= 0:
                    return b"T I"
                self.tare_kg = self.gross_kg
                return b"T S" + self._field(self.tare_kg)
            case b"Z":
                return b"Z A" if self.zero() else b"Z I"
            case b"I4":
                return b'I4 A "%b"' % SERIAL_NUMBER
            case b"@":
                self.tare_kg = 0.0
                return b'I4 A "%b"' % SERIAL_NUMBER
        return b"ES"

    def _weight(self) -> bytes:
        if self.over:
            return b"S +"
        if self.gross_kg < UNDERLOAD_KG:
            return b"S -"
        return (b"S D" if self.moving else b"S S") + self._field(self.gross_kg - self.tare_kg)

    def _field(self, kg: float) -> bytes:
        return b" %10.0f kg" % self.rounded(kg)
