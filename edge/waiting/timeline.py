"""Puts sightings into the order of time, and keeps lines from a wrong clock out.

Sightings come in roughly in order; they go out in order, a little behind the newest time known. A time far ahead
of the others is held back until several devices agree with it and none goes on at the old time: one bad clock must not
end the day. Where several devices go on at an earlier time, the clock was set back, or what they agreed on before was
wrong: `back` then holds these sightings, and everything begins anew. With a clock of its own (`clock`) the timeline
needs none of this. What is due is taken out by the core. Called by `edge.waiting.waits`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

from edge.core import FAR_NS, Order
from edge.waiting.sightings import Sighting

REORDER_NS = 10_000_000_000  # of files that were put together from several sources
LIVE_REORDER_NS = 2_000_000_000  # of this computer's own devices; what comes later is still used, as far as it can be
_AGREE = 3  # different sightings of two devices or more
_AGREE_ALONE, _ALONE_NS = 10, 60_000_000_000  # of one device, where there is only one: so many, over so long
_BACK = 6  # different sightings of two devices or more that go on at an earlier time
_BACK_NS = 3 * 3600 * 1_000_000_000  # a clock is set back by no more than this; older records are just late
_HELD_MOST = 1024
_CLOCK_NS = 60_000_000_000  # a sighting may be this much ahead of the clock


class Timeline:
    """Lets sightings into an `Order`; `reorder_ns` is how long it waits for what comes out of order.

    `put_in` puts one of them there.
    """

    def __init__(
        self, counters: Counter[str], put_in: Callable[[Order, Sighting], None], reorder_ns: int = REORDER_NS
    ) -> None:
        self._counters = counters
        self._put_in = put_in
        self.reorder_ns = reorder_ns
        self.order = Order()
        self._held: list[Sighting] = []
        self._behind: list[Sighting] = []  # too late, with nothing newer between them
        self._before_leap_ns: int | None = None
        self.back: list[Sighting] = []
        self.newest_ns: int | None = None
        self._clock_ns: int | None = None

    def put(self, sighting: Sighting) -> None:
        """Take a sighting in."""
        time_ns = sighting.time_ns
        if self._clock_ns is not None:
            if time_ns > self._clock_ns + _CLOCK_NS:
                self._counters["future"] += 1
                return
        elif self.newest_ns is None or time_ns > self.newest_ns + FAR_NS:
            self._hold(sighting)
            return
        elif self._held:
            self._settle_held(time_ns)
        self._accept(sighting)

    @property
    def usual(self) -> bool:
        """Whether what comes near the newest time goes into the order, and nothing else has to be thought of."""
        return self.newest_ns is not None and self._clock_ns is None and not self._held and not self._behind

    def went_on(self, newest_ns: int, late: int) -> None:
        """More has been put into the order, up to `newest_ns`; some of it late."""
        self.newest_ns = newest_ns
        if late:
            self._counters["late"] += late

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

    @property
    def settled_ns(self) -> int | None:
        """Nothing before this is expected any more."""
        return None if self.newest_ns is None else self.newest_ns - self.reorder_ns

    def _accept(self, sighting: Sighting) -> None:
        time_ns = sighting.time_ns
        if self.newest_ns is not None and time_ns < self.newest_ns - FAR_NS:
            self._counters["too_late"] += 1
            if self._clock_ns is None:
                self._look_back(sighting)
            return
        if self._behind:
            self._behind = []
        self._put_in(self.order, sighting)
        if self.order.late:
            self._counters["late"] += 1
        if self.newest_ns is None or time_ns > self.newest_ns:
            self.newest_ns = time_ns

    def resume(self, sightings: list[Sighting]) -> None:
        """Go on with these, which agree."""
        for item in sorted(sightings, key=lambda sighting: sighting.time_ns):
            self._accept(item)

    def _look_back(self, sighting: Sighting) -> None:
        assert self.newest_ns is not None
        time_ns, leap_ns = sighting.time_ns, self._before_leap_ns
        near_leap = leap_ns is not None and abs(time_ns - leap_ns) < 4 * FAR_NS
        if not near_leap and time_ns < self.newest_ns - _BACK_NS:
            return
        behind = self._behind
        behind.append(sighting)
        if len(behind) > _HELD_MOST:
            del behind[0]
        forwards = sum(b.time_ns >= a.time_ns for a, b in itertools.pairwise(behind))
        if forwards >= 0.7 * (len(behind) - 1) and _agree(behind, _BACK):
            self._behind = []
            self._counters["too_late"] -= len(behind)
            self.back = behind

    def _hold(self, sighting: Sighting) -> None:
        if sighting in self._held:
            self._counters["duplicate"] += 1
            return
        self._held.append(sighting)
        if len(self._held) > _HELD_MOST:
            del self._held[0]
            self._counters["future"] += 1
        held = sorted(self._held, key=lambda item: item.time_ns)
        first_ns = held[0].time_ns
        near = [item for item in held if item.time_ns <= first_ns + 4 * FAR_NS]
        if not _agree(near, _AGREE):
            return
        self._before_leap_ns = self.newest_ns
        self._held = held[len(near) :]
        for item in near:
            self._accept(item)

    def _settle_held(self, time_ns: int) -> None:
        """A line near the others has come: what is held was from the future, unless it is near by now."""
        for item in self._held:
            if item.time_ns > time_ns + FAR_NS:
                self._counters["future"] += 1
            else:
                self._accept(item)
        self._held = []

    def end(self) -> None:
        """Nothing more will come: what is held goes in, unless it is from a future too far away."""
        for item in sorted(self._held, key=lambda held: held.time_ns):
            if self.newest_ns is None or item.time_ns <= self.newest_ns + 24 * FAR_NS:
                self._accept(item)
            else:
                self._counters["future"] += 1
        self._held = []


def _agree(sightings: list[Sighting], number: int) -> bool:
    """Whether different devices say so; one alone must say so for a while."""
    if len(sightings) < number:
        return False
    if len({(type(item), item.lane, item.point) for item in sightings}) > 1:
        return True
    times = [item.time_ns for item in sightings]
    return len(times) >= number + _AGREE_ALONE - _AGREE and max(times) - min(times) >= _ALONE_NS
