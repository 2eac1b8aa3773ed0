"""The waits of the last hour: what travellers have to plan for. Waits go in, percentiles and FHWA's buffer index out.

Planning time is the 95th percentile; the buffer index is how far it lies above the mean, in per cent of the mean
(FHWA, Travel Time Reliability, FHWA-HOP-06-070). Called by `edge.waiting.waits` for each of its rows.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

HOUR_NS = 3600 * 1_000_000_000
_LEAST = 10  # fewer waits have no 95th percentile worth telling
_MOST = 20_000


class Hour:
    """Waits by the end of the interval in which they came, kept sorted."""

    def __init__(self) -> None:
        self._waits: deque[tuple[int, float]] = deque()
        self._sorted: list[float] = []
        self._sum_s = 0.0

    def add(self, end_ns: int, waits_s: list[float]) -> None:
        """The waits of the interval that ends at `end_ns`; those of intervals an hour before are forgotten."""
        waits, ordered = self._waits, self._sorted
        for wait_s in waits_s:
            waits.append((end_ns, wait_s))
            insort(ordered, wait_s)
            self._sum_s += wait_s
        since_ns = end_ns - HOUR_NS
        while waits and (waits[0][0] <= since_ns or len(waits) > _MOST):
            wait_s = waits.popleft()[1]
            del ordered[bisect_left(ordered, wait_s)]
            self._sum_s -= wait_s

    def quantile_s(self, q: float) -> float | None:
        """A percentile, interpolated; None with fewer than ten waits."""
        return quantile(self._sorted, q) if len(self._sorted) >= _LEAST else None

    def buffer_index(self, planning_s: float) -> float | None:
        """Per cent of the mean by which the planning time lies above it."""
        mean_s = self._sum_s / len(self._sorted)
        return 100.0 * (planning_s - mean_s) / mean_s if mean_s > 0.0 else None


def quantile(ordered: list[float], q: float) -> float:
    """A quantile of sorted numbers, interpolated."""
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])
