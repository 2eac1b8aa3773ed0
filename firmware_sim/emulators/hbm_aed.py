"""HBM (HBK) AED: the load on a transducer in, answers to ASCII commands and a stream of values out.

Commands end with `;`, answers with CR LF. `MSV?n;` gives n values, `MSV?0;` values until `STP;`, in the format that COF
chose. Rates are those of the AD104 or AD101B. What the manuals do not say is marked ASSUMED.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from firmware_sim.emulators.base import Emulator, Output, Send
from firmware_sim.emulators.weighing import LoadSignal

RATES_HZ = {
    "AD104": (100.0, 50.0, 25.0, 12.0, 6.0, 3.0, 2.0, 1.0),
    "AD101B": (600.0, 300.0, 150.0, 75.0, 37.5, 18.75, 9.4, 4.7),
}
NOMINAL_2_BYTES, NOMINAL_3_BYTES, NOMINAL_ASCII = 20_000, 20_000 * 256, 1_000_000
BAUDS = (1200, 2400, 4800, 9600, 19200, 38400)
OK, NOT_UNDERSTOOD = b"0\r\n", b"?\r\n"
LONGEST = 64
STABLE_SHARE, STABLE_S = 0.001, 1.0  # ASSUMED: standstill is less change than this share of nominal load in that time
MOST_VALUES = 1000  # in one tick


class HbmAed(Emulator):
    """The device core. `nominal_kg` is the load at which the values reach their nominal size."""

    faults = frozenset({"adc_overflow"})

    def __init__(
        self,
        signal: LoadSignal,
        *,
        model: str = "AD104",
        nominal_kg: float = 20_000.0,
        address: int = 1,
        baud: int = 9600,
    ) -> None:
        model = model.upper()
        if model not in RATES_HZ:
            raise ValueError(f"model {model!r}: give one of {', '.join(RATES_HZ)}")
        if baud not in BAUDS:
            raise ValueError(f"baud {baud!r}: give one of {', '.join(map(str, BAUDS))}")
        self._signal = signal
        self._model = model
        self._nominal_kg = nominal_kg
        self._address = address
        self._stored_baud = baud
        self._overflow = False
        self._now_s = 0.0
        self._power_up()

    def _power_up(self) -> None:
        self.baud: int = self._stored_baud
        self._line = bytearray()
        self._selected, self._answers = True, True
        self._icr, self._cof, self._nov = 0, 9, 0
        self._tare_kg = 0.0
        self._net = False
        self._left: int | None = None  # values still to come; 0: until STP
        self._converted = int(self._now_s * self._rate_hz)
        self._share = 0.0
        self._history: list[tuple[float, float]] = []

    @property
    def _rate_hz(self) -> float:
        return RATES_HZ[self._model][self._icr]

    def reboot(self, now_s: float) -> Output:
        self._now_s = now_s
        self._power_up()
        return []

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        self._now_s = max(now_s, self._now_s)
        output: Output = []
        for byte in data:
            if byte == ord(";"):
                command = self._line.decode("ascii", "replace").strip().upper()
                self._line.clear()
                answer = self._command(command)
                if answer and self._answers and self._selected:
                    output.append(Send(answer))
            elif len(self._line) < LONGEST:
                self._line.append(byte)
        return output

    def _command(self, text: str) -> bytes:
        if text == "STP":
            self._left = None
            return b""
        if self._left is not None:
            return b""  # while values run, nothing else is heard
        name, query, rest = text[:3], text[3:4] == "?", text[3:].lstrip("? ")
        if name == "S98":
            self._selected, self._answers = True, False
            return b""
        if text[:1] == "S" and text[1:].isdecimal():
            self._selected, self._answers = int(text[1:]) == self._address, True
            return b""
        if not self._selected:
            return b""
        if name == "MSV" and query:
            return self._measure(rest.removeprefix("P"))
        if query:
            return self._query(name)
        return self._set(name, rest)

    def _measure(self, count: str) -> bytes:
        if count and not count.isdecimal():
            return NOT_UNDERSTOOD
        self._left = int(count or "1") if len(count) < 7 else 1
        self._converted = int(self._now_s * self._rate_hz)
        return b""

    def _query(self, name: str) -> bytes:
        values = {
            "IDN": f"HBM,{self._model},1234567,P72",
            "COF": f"{self._cof:03d}",
            "ICR": str(self._icr),
            "NOV": str(self._nov),
            "BDR": f"{self.baud},1",
            "ADR": f"{self._address:02d}",
            "ESR": "000",
            "TAS": "0" if self._net else "1",
        }
        return f"{values[name]}\r\n".encode() if name in values else NOT_UNDERSTOOD

    def _set(self, name: str, value: str) -> bytes:
        number = int(value) if value.isdecimal() and len(value) < 8 else None
        match name, number:
            case "COF", int(code) if code < 256:
                self._cof = code
            case "ICR", int(code) if code < len(RATES_HZ[self._model]):
                self._icr = code
            case "NOV", int(code):
                self._nov = code
            case "BDR", _ if value.partition(",")[0] in map(str, BAUDS):
                self.baud = int(value.partition(",")[0])  # the answer comes at the new rate
            case "TAR", None if not value:
                self._tare_kg, self._net = self._load_kg(), True
            case "TAS", int(code) if code < 2:
                self._net = code == 0
            case "TDD", int(code) if code < 3:
                if code == 1:
                    self._stored_baud = self.baud
            case (("FMD" | "ASF" | "LDW" | "LWT" | "DPW" | "CWT"), _):
                pass
            case "RES", _:
                self._power_up()
            case _:
                return NOT_UNDERSTOOD
        return OK

    def _load_kg(self) -> float:
        return self._signal.mean_kg(self._now_s - 1 / self._rate_hz, self._now_s)

    # --- values

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        self._now_s = max(now_s, self._now_s)
        due = int(self._now_s * self._rate_hz)
        self._converted = max(self._converted, due - MOST_VALUES)
        values: list[bytes] = []
        while self._converted < due:
            begin_s, end_s = self._converted / self._rate_hz, (self._converted + 1) / self._rate_hz
            self._converted += 1
            load_kg = self._signal.mean_kg(begin_s, end_s) - (self._tare_kg if self._net else 0.0)
            self._share = load_kg / self._nominal_kg
            self._history = [(at, share) for at, share in self._history if end_s - at < STABLE_S]
            self._history.append((end_s, self._share))
            if self._left is not None:
                last = self._left == 1
                values.append(self._value(last))
                self._left = None if last else max(self._left - 1, 0)
        return [Send(value) for value in values]

    def _value(self, last: bool) -> bytes:
        """One value in the format of COF; binary ones end with CR LF unless bit 5 of COF says no."""
        form = self._cof & 0x0F
        nominal = self._nov or NOMINAL_ASCII
        if form in (1, 3, 9, 11):
            text = f"{max(-9_999_999, min(9_999_999, round(self._share * nominal))):+08d}"
            text += f",{self._address:02d}" if form in (1, 9) else ""
            text += f",{self._status():03d}" if form in (9, 11) else ""
            return text.encode() + b"\r\n"
        end = b"" if self._cof & 32 else b"\r\n"
        if form in (2, 6):
            value = round(self._share * (self._nov or NOMINAL_2_BYTES))
            data = struct.pack(">h", 0x7FFF if value > 0x7FFF else -0x8000 if value < -0x8000 else value)
            return (data if form == 2 else data[::-1]) + end
        value = round(self._share * (self._nov or NOMINAL_3_BYTES))
        value = max(-0x800000, min(0x7FFFFF, value))
        data = (value & 0xFFFFFF).to_bytes(3, "big") + bytes([self._status() if form in (8, 12) else 0])
        return (data[::-1] if form in (4, 12) else data) + end

    def _status(self) -> int:
        shares = [share for _, share in self._history]
        still = max(shares) - min(shares) <= STABLE_SHARE if shares else False
        over = abs(self._share) > 1.25
        return over | over << 1 | self._overflow << 2 | still << 3

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        if kind == "adc_overflow":
            self._overflow = active
        return []
