"""Keeps the 80 % interval honest: compares what was forecast with what vehicles then waited, and widens or narrows.

Adaptive conformal intervals (Gibbs and Candes 2021): each side has a factor that grows when the truth fell outside and
shrinks when it fell inside, so that a tenth falls outside on each side in the long run, whatever the model got wrong.
Short and long waits have factors of their own. Called by `edge.waits`.
"""

from __future__ import annotations

from dataclasses import dataclass

_OUTSIDE = 0.1  # on each side of an 80 % interval
_STEP = 0.12
_LEAST_S = 2.0


@dataclass(frozen=True, slots=True)
class Interval:
    """A forecast: median and interval as the model gave them; `regime` 0 no queue, 1 a short one, 2 a long one."""

    low_s: float
    median_s: float
    high_s: float
    regime: int


class Honesty:
    """The factors of one series of forecasts."""

    def __init__(self) -> None:
        self._low = [1.0, 1.2, 1.4]
        self._high = [1.0, 1.2, 1.4]

    def apply(self, raw: Interval) -> tuple[float, float]:
        """The interval to publish."""
        low, high = self._sides(raw)
        low_s = raw.median_s - low * self._low[raw.regime]
        high_s = raw.median_s + high * self._high[raw.regime]
        return max(0.0, low_s), high_s

    def observe(self, raw: Interval, truth_s: float) -> None:
        """A vehicle for which `raw` was forecast has waited `truth_s`."""
        low_s, high_s = self.apply(raw)
        for factors, outside in ((self._low, truth_s < low_s), (self._high, truth_s > high_s)):
            factor = factors[raw.regime] * (1.0 + _STEP * ((1.0 if outside else 0.0) - _OUTSIDE))
            factors[raw.regime] = min(6.0, max(0.15, factor))

    @staticmethod
    def _sides(raw: Interval) -> tuple[float, float]:
        return max(_LEAST_S, raw.median_s - raw.low_s), max(_LEAST_S, raw.high_s - raw.median_s)
