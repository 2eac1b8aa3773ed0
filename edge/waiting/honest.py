"""Keeps the 80 % interval honest: compares what was forecast with what vehicles then waited, and widens or narrows.

Adaptive conformal intervals (Gibbs and Candes 2021): each side has a factor that grows when the truth fell outside what
was published and shrinks when it fell inside, so that a tenth falls outside on each side in the long run, whatever the
model got wrong. Short and long waits have factors of their own. The lanes of one direction and traffic learn a part
of them together: a day at one lane alone is too short. Called by `edge.waiting.messages` and `edge.waiting.trials`.
"""

from __future__ import annotations

import math
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


class Told(Struct, frozen=True, gc=False):
    """What was published at `at_ns`, until a vehicle shows what came of it."""

    at_ns: int
    regime: int
    low_s: float
    high_s: float


class Factors:
    """By how much to stretch each side, for short and long waits, as rows of one kind have learned it together."""

    def __init__(self) -> None:
        self.low = list(_START)
        self.high = list(_START)
        self._seen_n = [0] * len(_START)

    def observe(self, regime: int, below: float, above: float) -> None:
        """Those shares of the truths of one moment fell outside; what many have seen moves little."""
        step = _FIRST_STEP / (1.0 + self._seen_n[regime] / _FIRST_N)
        self._seen_n[regime] += 1
        self.low[regime] = _moved(self.low[regime], step, below)
        self.high[regime] = _moved(self.high[regime], step, above)


class Honesty:
    """The factors of one row: those of all rows like it, times what is its own."""

    def __init__(self, common: Factors | None = None) -> None:
        self._common = common or Factors()
        self._low = [1.0] * len(_START)
        self._high = [1.0] * len(_START)

    def tell(self, at_ns: int, raw: Interval) -> Told:
        """The interval to publish."""
        regime = bisect_right(_REGIMES, raw.cycles_n)
        grain_s = _GRAIN[regime] * raw.cycle_s
        low = (max(0.0, raw.median_s - raw.low_s) + grain_s) * self._common.low[regime] * self._low[regime]
        high = (max(0.0, raw.high_s - raw.median_s) + grain_s) * self._common.high[regime] * self._high[regime]
        return Told(at_ns, regime, max(raw.least_s, raw.median_s - low), raw.median_s + high)

    def observe(self, told: Told, truths_s: Sequence[float], sd_s: float) -> None:
        """The wait of that moment has turned out to be one of these numbers, each of them known to `sd_s`."""
        below = _share_below(told.low_s, truths_s, sd_s)
        above = _share_below(-told.high_s, [-truth_s for truth_s in truths_s], sd_s)
        self._common.observe(told.regime, below, above)
        self._low[told.regime] = _moved(self._low[told.regime], _STEP, below)
        self._high[told.regime] = _moved(self._high[told.regime], _STEP, above)


def _moved(factor: float, step: float, outside: float) -> float:
    """In its logarithm, so that what is outside and what is inside weigh as they should however large the step is."""
    return min(_MOST, max(_LEAST, factor * math.exp(step * (outside - _OUTSIDE))))


def _share_below(limit_s: float, truths_s: Sequence[float], sd_s: float) -> float:
    if sd_s <= 0.0:
        return sum(truth_s < limit_s for truth_s in truths_s) / len(truths_s)
    scale_s = sd_s * math.sqrt(2.0)
    return sum(0.5 * math.erfc((truth_s - limit_s) / scale_s) for truth_s in truths_s) / len(truths_s)
