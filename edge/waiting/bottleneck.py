"""Where the time is lost: travel times between pairs of points in, the pair with the largest delay out.

Called by `edge.waiting.waits` (in) and `edge.waiting.intervals` (out).
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable

from edge.messages import Bottleneck

_WINDOW_NS = 900 * 1_000_000_000
Pair = tuple[str, str]


class Delay:
    """Delay between two points: what travel took lately above what it takes when nobody waits."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, float]] = deque(maxlen=64)
        self._free_s: float | None = None

    def add(self, time_ns: int, travel_s: float) -> None:
        """A vehicle took `travel_s`."""
        self._recent.append((time_ns, travel_s))
        # The low edge of travel times: falls at once, rises slowly.
        if self._free_s is None or travel_s < self._free_s:
            self._free_s = max(0.0, travel_s)
        else:
            self._free_s += 0.0005 * (travel_s - self._free_s)

    def delay_s(self, end_ns: int) -> float | None:
        """Median of a quarter of an hour; None when nobody came."""
        recent = self._recent
        while recent and recent[0][0] <= end_ns - _WINDOW_NS:
            recent.popleft()
        if not recent or self._free_s is None:
            return None
        lately = sorted(s for _, s in recent)
        return max(0.0, lately[len(lately) // 2] - self._free_s)


class Delays:
    """The delays of all pairs of points; `ends` are the first point and the booth, `points` all in order."""

    def __init__(self, pairs: Iterable[Pair], points: list[str], ends: Pair) -> None:
        self.of = {pair: Delay() for pair in pairs}
        self._ends = ends
        first, last = points.index(ends[0]), points.index(ends[1])
        self._inner = list(itertools.pairwise(points[first : last + 1]))

    def worst(self, end_ns: int) -> Bottleneck | None:
        """The pair with the largest delay; None where there is no delay or nobody was seen."""
        known = {pair: s for pair, delay in self.of.items() if (s := delay.delay_s(end_ns)) is not None}
        # From the first point to the booth as a whole, or by the points between where all of these are read.
        if len(self._inner) > 1:
            for pair in [self._ends] if all(pair in known for pair in self._inner) else self._inner:
                known.pop(pair, None)
        total = sum(known.values())
        if total < 1.0:
            return None
        pair = max(known, key=lambda item: known[item])
        share = round(known[pair] / total, 3)
        return Bottleneck(from_point=pair[0], to_point=pair[1], delay_s=round(known[pair], 1), share=share)
