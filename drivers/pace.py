"""When to wake up again: all that sleep do so on one grid of the monotonic clock.

To wake up costs more than what is done then, and one wake-up for ten sleepers little more than for one. Sessions, the
daemon's clock and polls call this.
"""

from __future__ import annotations

_SAME_BEAT_S = 1e-4  # a sleeper that wakes up a rounding error too early has had its beat


def pause_s(now_s: float, period_s: float) -> float:
    """From `now_s` to the next beat of the grid with that period."""
    left_s = period_s - now_s % period_s
    return left_s if left_s > _SAME_BEAT_S else left_s + period_s
