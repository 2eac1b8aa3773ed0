"""Finds leaps of the system clock, and times in which the whole process stood still.

In: the system clock and the monotonic one, at each look; out: what happened since the last look. Called by
the daemon four times a second and before each event, so that nothing is reckoned across a leap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LEAST_S = 60.0  # smaller ones are within what the intervals of flow and waits bear
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Leap:
    """The clock went `by_ns`; or the process stood `still`, and so much time passed meanwhile."""

    kind: Literal["forward", "back", "still"]
    by_ns: int


class ClockSteps:
    """Compares what both clocks say has passed."""

    def __init__(self, now_ns: int, steady_ns: int) -> None:
        self._now_ns, self._steady_ns = now_ns, steady_ns

    def look(self, now_ns: int, steady_ns: int) -> Leap | None:
        """What happened, where it is `LEAST_S` or more; None otherwise."""
        passed_ns = steady_ns - self._steady_ns
        step_ns = now_ns - self._now_ns - passed_ns
        self._now_ns, self._steady_ns = now_ns, steady_ns
        if abs(step_ns) >= LEAST_S * _NS:
            return Leap("forward" if step_ns > 0 else "back", step_ns)
        return Leap("still", passed_ns) if passed_ns >= LEAST_S * _NS else None
