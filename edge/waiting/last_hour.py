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
        self._intervals: deque[tuple[int, list[float]]] = deque()
        self._sorted: list[float] = []
        self._sum_s = 0.0

    def add(self, end_ns: int, waits_s: list[float]) -> None:
        """The waits of the interval that ends at `end_ns`, kept as they are; those of an hour before are forgotten."""
        intervals, ordered = self._intervals, self._sorted
        if waits_s:
            intervals.append((end_ns, waits_s))
            self._sum_s += sum(waits_s)
            for wait_s in waits_s:
                insort(ordered, wait_s)
        while intervals and (intervals[0][0] <= end_ns - HOUR_NS or len(ordered) > _MOST):
            waits_s = intervals.popleft()[1]
            self._sum_s -= sum(waits_s)
            for wait_s in waits_s:
                del ordered[bisect_left(ordered, wait_s)]

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
