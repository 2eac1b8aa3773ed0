"""Finds leaps of the system clock, and times in which the whole process stood still.

In: the system clock and the monotonic one, at each look; out: what happened since the last look, in words. Called by
the daemon four times a second and before each event, so that nothing is reckoned across a leap.
"""

from __future__ import annotations

LEAST_S = 60.0  # smaller ones are within what the intervals of flow and waits bear
_NS = 1_000_000_000


class ClockSteps:
    """Compares what both clocks say has passed."""

    def __init__(self, now_ns: int, steady_ns: int) -> None:
        self._now_ns, self._steady_ns = now_ns, steady_ns

    def look(self, now_ns: int, steady_ns: int) -> str | None:
        """What happened, where it is `LEAST_S` or more; None otherwise."""
        passed_s = (steady_ns - self._steady_ns) / _NS
        step_s = (now_ns - self._now_ns) / _NS - passed_s
        self._now_ns, self._steady_ns = now_ns, steady_ns
        if abs(step_s) >= LEAST_S:
            return f"the system clock went {'forward' if step_s > 0 else 'back'} by {abs(step_s):.0f} s"
        if passed_s >= LEAST_S:
            return f"this computer stood still for {passed_s:.0f} s"
        return None
