"""An indicator that answers when asked: the load on a plate in, what its display shows out.

`sma_scale.py` and `mt_sics.py` put it into their words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firmware_sim.emulators.base import Emulator, Output
from firmware_sim.emulators.weighing import LoadSignal

REFRESH_HZ = 20.0
STABLE_S = 0.5


class AskedIndicator(Emulator):
    """`gross_kg`, `tare_kg`, `moving` and `over` are what the display knows; a new reading comes at `REFRESH_HZ`."""

    faults = frozenset({"over_range"})

    def __init__(
        self, signal: LoadSignal, *, baud: int = 9600, division_kg: float = 10.0, max_kg: float = 60_000.0
    ) -> None:
        if division_kg <= 0:
            raise ValueError("division_kg must be positive")
        self.baud: int = baud
        self.division_kg, self.max_kg = division_kg, max_kg
        self._signal = signal
        self._forced_over = False
        self._now_s = 0.0
        self._power_up()

    def _power_up(self) -> None:
        self._refreshed = int(self._now_s * REFRESH_HZ)
        self._zero_kg = self.gross_kg = self.tare_kg = 0.0
        self._history: list[tuple[float, float]] = []
        self._buffer = b""

    def reboot(self, now_s: float) -> Output:
        self._now_s = now_s
        self._power_up()
        return []

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        self._now_s = max(now_s, self._now_s)
        due = int(self._now_s * REFRESH_HZ)
        if due > self._refreshed:
            self._refreshed = due
            self.gross_kg = self._signal.mean_kg(self._now_s - 1 / REFRESH_HZ, self._now_s) - self._zero_kg
            self._history = [(at, kg) for at, kg in self._history if self._now_s - at < STABLE_S]
            self._history.append((self._now_s, self.gross_kg))
        return []

    @property
    def moving(self) -> bool:
        loads = [kg for _, kg in self._history]
        return bool(loads) and max(loads) - min(loads) > 2 * self.division_kg

    @property
    def over(self) -> bool:
        return self._forced_over or self.gross_kg > self.max_kg + 9 * self.division_kg

    def rounded(self, kg: float) -> float:
        return round(kg / self.division_kg) * self.division_kg

    def zero(self) -> bool:
        """Whether the scale could be zeroed: it stands still and carries next to nothing."""
        if self.moving or abs(self.gross_kg) > 0.02 * self.max_kg:
            return False
        self._zero_kg += self.gross_kg
        self.gross_kg = 0.0
        return True

    def lines(self, data: bytes, end: bytes, longest: int = 80) -> list[bytes]:
        """The lines that `data` completes; of what has no end only the last bytes are kept."""
        *found, rest = (self._buffer + data).split(end)
        self._buffer = rest[-longest:]
        return found

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        if kind == "over_range":
            self._forced_over = active
        return []
