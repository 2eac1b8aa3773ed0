"""Watches of a loop: chattering, and stuck on or off while vehicles pass; for inputs and for loops among samples."""

from __future__ import annotations

from collections import deque
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from edge.health.watch import SECOND_NS
from edge.messages import Args, Severity

_WITHIN_NS = 2 * SECOND_NS
_MOST_CHANGES = 8  # in that time; two motorcycles one behind the other make four
_QUIET_NS = 5 * SECOND_NS
_RELEASE = 0.9  # of the threshold: below it an analogue loop is free again


class ChatterWatch:
    """A loop that comes and goes faster than vehicles can, until it comes or goes as with a vehicle."""

    code: ClassVar[str] = "loop_chatter"
    severity: ClassVar[Severity] = "warning"

    def __init__(self, where: Args) -> None:
        self._where = where
        self._recent: deque[tuple[int, int]] = deque(maxlen=1000)
        self._last_ns: int | None = None
        self._bad = False

    def changes(self, time_ns: int, count: int) -> None:
        if count <= 0:
            return
        self._recent.append((time_ns, count))
        while self._recent and time_ns - self._recent[0][0] > _WITHIN_NS:
            self._recent.popleft()
        if sum(count for _, count in self._recent) > _MOST_CHANGES:
            self._last_ns, self._bad = time_ns, True
        elif not self.holds(time_ns):
            self._bad = False

    def holds(self, now_ns: int) -> bool:
        """Whether it is not to be counted."""
        return self._last_ns is not None and now_ns - self._last_ns <= _QUIET_NS

    def judge(self, now_ns: int) -> Args | None:
        return dict(self._where) if self._bad else None


class StuckLoopWatch:
    """A loop that does not change while things pass it that must change it. `while_on` and `while_off`: how many."""

    code: ClassVar[str] = "loop_stuck"
    severity: ClassVar[Severity] = "warning"

    def __init__(self, where: Args, what: Literal["axles", "identities"], *, while_on: int, while_off: int) -> None:
        self._where, self._what = where, what
        self._least = {True: while_on, False: while_off}
        self._on = False
        self._passed = 0

    def state(self, on: bool, *, changed: bool) -> None:
        self._on = on
        if changed:
            self._passed = 0

    def passed(self, count: int = 1) -> None:
        """So many passed over the loop just now."""
        self._passed += count

    @property
    def holds(self) -> bool:
        return self._passed >= self._least[self._on]

    def judge(self, now_ns: int) -> Args | None:
        if not self.holds:
            return None
        return {**self._where, "case": f"{'on' if self._on else 'off'}_{self._what}", "passed": self._passed}


class LoopSignal:
    """A loop's channel among the samples to its state and the number of its changes."""

    def __init__(self, threshold_counts: float) -> None:
        self._upper = threshold_counts
        self._lower = threshold_counts - (1.0 - _RELEASE) * abs(threshold_counts)
        self.on = False

    def take(self, samples: npt.NDArray[np.int16]) -> int:
        """Changes in the next samples, shape (n,)."""
        above, below = samples > self._upper, samples < self._lower
        if not (below.any() if self.on else above.any()):
            return 0
        states = above[above | below]
        before = np.concatenate(([self.on], states[:-1]))
        self.on = bool(states[-1])
        return int(np.count_nonzero(states != before))
