"""Arithmetic of driving: safe speeds, and times inside a piece of constant jerk. Called by `driving.py`."""

from __future__ import annotations

import math


def safe_speed_mps(gap_m: float, leader_mps: float, brake_mps2: float, reaction_s: float) -> float:
    """The speed from which a driver can still stop behind a leader who brakes equally hard (Krauss 1998, eq. 4.15)."""
    if gap_m <= 0:
        return 0.0
    reach = brake_mps2 * reaction_s
    return -reach + math.sqrt(reach * reach + leader_mps * leader_mps + 2 * brake_mps2 * gap_m)


def first_zero_s(v: float, a: float, jerk: float, within_s: float) -> float | None:
    """When v + a t + jerk t^2 / 2 first falls to zero for 0 < t <= within_s; None if it does not."""
    end = v + (a + 0.5 * jerk * within_s) * within_s
    lowest = end
    if jerk > 0 and 0 < -a / jerk < within_s:
        lowest = v - 0.5 * a * a / jerk
    if lowest > 1e-6 or (v <= 1e-9 and end > 0):
        return None
    if abs(jerk) < 1e-9:
        return min(within_s, v / -a) if a < 0 else within_s
    root = math.sqrt(max(a * a - 2 * jerk * v, 0.0))
    times = [t for t in ((-a - root) / jerk, (-a + root) / jerk) if 1e-9 < t <= within_s]
    return min(times) if times else within_s


def time_at_s(distance_m: float, v: float, a: float, jerk: float, span_s: float) -> float:
    """When the piece has gone `distance_m` (it moves one way only within `span_s`)."""
    low, high = 0.0, span_s
    forwards = distance_m >= 0
    for _ in range(40):
        t = 0.5 * (low + high)
        gone = (v + (0.5 * a + jerk * t / 6) * t) * t
        if (gone < distance_m) == forwards:
            low = t
        else:
            high = t
    return 0.5 * (low + high)
