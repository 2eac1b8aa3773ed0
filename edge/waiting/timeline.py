"""Puts sightings into the order of time, and keeps lines from a wrong clock out.

Sightings come in roughly in order; they go out in order, a little behind the newest time known. A time far ahead
of the others is held back until others agree with it: one bad clock must not end the day. Called by
`edge.waiting.waits`.
"""

from __future__ import annotations

import heapq
from collections import Counter

from edge.waiting.sightings import Sighting

REORDER_NS = 10_000_000_000  # of files that were put together from several sources
LIVE_REORDER_NS = 2_000_000_000  # of this computer's own devices; what comes later is still used, as far as it can be
_AHEAD_NS = 900_000_000_000  # further ahead than this needs others that agree
_AGREE = 3
_LATE_NS = 900_000_000_000  # what comes later than this cannot be used any more
_CLOCK_NS = 60_000_000_000  # a sighting may be this much ahead of the clock
_BOUND = 1 << 16


class Timeline:
    """The reorder buffer; `reorder_ns` is how long it waits for what comes out of order."""

    def __init__(self, counters: Counter[str], reorder_ns: int = REORDER_NS) -> None:
        self._counters = counters
        self.reorder_ns = reorder_ns
        self._heap: list[tuple[int, int, Sighting]] = []
        self._held: list[Sighting] = []
        self._number = 0
        self.newest_ns: int | None = None
        self._done_ns = -(1 << 62)
        self._clock_ns: int | None = None

    def put(self, sighting: Sighting) -> None:
        """Take a sighting in."""
        time_ns = sighting.time_ns
        if self._clock_ns is not None:
            if time_ns > self._clock_ns + _CLOCK_NS:
                self._counters["future"] += 1
                return
        elif self.newest_ns is None or time_ns > self.newest_ns + _AHEAD_NS:
            self._hold(sighting)
            return
        elif self._held:
            self._settle_held(time_ns)
        self._accept(sighting)

    def clock(self, now_ns: int) -> None:
        """It is `now_ns`: what is later comes from the future, and what is due goes out without waiting for more."""
        self._clock_ns = now_ns if self._clock_ns is None else max(now_ns, self._clock_ns)
        for sighting in self._held:
            if sighting.time_ns > now_ns + _CLOCK_NS:
                self._counters["future"] += 1
            else:
                self._accept(sighting)
        self._held.clear()
        if self.newest_ns is None or now_ns > self.newest_ns:
            self.newest_ns = now_ns

    def due(self, *, everything: bool = False) -> list[Sighting]:
        """What can go out, in the order of time."""
        if everything:
            self._end()
        if self.newest_ns is None:
            return []
        limit = self.newest_ns - self.reorder_ns
        heap, out = self._heap, []
        while heap and (everything or heap[0][0] <= limit or len(heap) > _BOUND):
            time_ns, _, sighting = heapq.heappop(heap)
            if time_ns > self._done_ns:
                self._done_ns = time_ns
            out.append(sighting)
        return out

    @property
    def settled_ns(self) -> int | None:
        """Nothing before this is expected any more."""
        return None if self.newest_ns is None else self.newest_ns - self.reorder_ns

    def _accept(self, sighting: Sighting) -> None:
        time_ns = sighting.time_ns
        if self.newest_ns is not None and time_ns < self.newest_ns - _LATE_NS:
            self._counters["too_late"] += 1
            return
        if time_ns < self._done_ns:
            self._counters["late"] += 1
        self._number += 1  # equal times go out as they came
        heapq.heappush(self._heap, (time_ns, self._number, sighting))
        if self.newest_ns is None or time_ns > self.newest_ns:
            self.newest_ns = time_ns

    def _hold(self, sighting: Sighting) -> None:
        self._held.append(sighting)
        if len(self._held) < _AGREE:
            return
        held = sorted(self._held, key=lambda item: item.time_ns)
        self._held = []
        first_ns = held[0].time_ns
        self._accept(held[0])
        for item in held[1:]:
            if item.time_ns > first_ns + 4 * _AHEAD_NS:
                self._held.append(item)
            else:
                self._accept(item)

    def _settle_held(self, time_ns: int) -> None:
        """A line near the others has come: what is held was from the future, unless it is near by now."""
        for item in self._held:
            if item.time_ns > time_ns + _AHEAD_NS:
                self._counters["future"] += 1
            else:
                self._accept(item)
        self._held = []

    def _end(self) -> None:
        for item in sorted(self._held, key=lambda held: held.time_ns):
            if self.newest_ns is None or item.time_ns <= self.newest_ns + 24 * _AHEAD_NS:
                self._accept(item)
            else:
                self._counters["future"] += 1
        self._held = []
