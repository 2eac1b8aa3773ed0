"""Keeps the 80 % interval honest: compares what was forecast with what vehicles then waited, and widens or narrows.

Adaptive conformal intervals (Gibbs and Candes 2021): each side has a factor that grows when the truth fell outside and
shrinks when it fell inside, so that a tenth falls outside on each side in the long run, whatever the model got wrong.
Short and long waits have factors of their own. Called by `edge.waiting.waits`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from msgspec import Struct

# On each side, in the mean of the three truths of a moment (see `trials`).
_OUTSIDE = 0.10
_STEP, _FIRST_STEP, _FIRST_N = 0.06, 0.4, 20.0
_REGIMES = (0.1, 1.0, 3.0, 10.0)  # booth cycles of queue between them
_START = (0.8, 1.0, 1.0, 1.1, 1.25)  # of a long wait the truth comes late, and the pace changes meanwhile
_GRAIN = (0.05, 0.3, 0.3, 0.3, 0.3)  # of a booth cycle: what the moment of joining between two vehicles makes out
_LEAST, _MOST = 0.05, 8.0


class Interval(Struct, frozen=True, gc=False):
    """A forecast: median and interval as the model gave them, the booth cycle and how many of them the queue takes."""

    low_s: float
    median_s: float
    high_s: float
    cycle_s: float
    cycles_n: float
    least_s: float = 0.0  # nobody travels faster on a free road


class Honesty:
    """The factors of one series of forecasts."""

    def __init__(self) -> None:
        self._low = list(_START)
        self._high = list(_START)
        self._seen_n = [0] * len(_START)

    def apply(self, raw: Interval) -> tuple[float, float]:
        """The interval to publish."""
        regime = bisect_right(_REGIMES, raw.cycles_n)
        grain_s = _GRAIN[regime] * raw.cycle_s
        low = max(0.0, raw.median_s - raw.low_s) + grain_s
        high = max(0.0, raw.high_s - raw.median_s) + grain_s
        return max(raw.least_s, raw.median_s - low * self._low[regime]), raw.median_s + high * self._high[regime]

    def observe(self, tests: Sequence[tuple[Interval, Sequence[float]]]) -> None:
        """For the moments of which these were forecast the wait has turned out to be one of the numbers beside them."""
        found = []
        for raw, truths_s in tests:  # all of them before any factor moves: they are of one vehicle
            low_s, high_s = self.apply(raw)
            below = sum(truth_s < low_s for truth_s in truths_s) / len(truths_s)
            above = sum(truth_s > high_s for truth_s in truths_s) / len(truths_s)
            found.append((bisect_right(_REGIMES, raw.cycles_n), below, above))
        for regime, below, above in found:
            step = max(_STEP, _FIRST_STEP / (1.0 + self._seen_n[regime] / _FIRST_N))
            self._seen_n[regime] += 1
            for factors, outside in ((self._low, below), (self._high, above)):
                factor = factors[regime] * (1.0 + step * (outside - _OUTSIDE))
                factors[regime] = min(_MOST, max(_LEAST, factor))
