"""What an eye sees in a waveform, by number: samples of a channel in, its excursions out; and where they should be.

Called by the scope. Coarser than the core, and independent of it: where the two disagree there is something to see.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_NOISES = 8.0  # an excursion is beyond so many times the noise
_LEAST_COUNTS = 6.0
_JOIN_S = 0.004
_NEAR_M = 0.35  # less than half of the closest axles of a group
_LEAST_SEEN = 6


@dataclass(frozen=True, slots=True)
class Print:
    """Scans [start, end), the centroid of its area, and whether it swings up (+1) or down (-1)."""

    start: int
    end: int
    centroid: float
    sign: int


def prints(
    samples: npt.NDArray[np.int16], first_scan: int, baseline: float, noise: float, rate_hz: float
) -> list[Print]:
    """Excursions of one channel, in order; what touches an end of the stretch is left out, since it is not whole."""
    counts = samples.astype(np.float32) - baseline
    beyond = np.abs(counts) > max(_NOISES * noise, _LEAST_COUNTS)
    edges = np.flatnonzero(np.diff(beyond.astype(np.int8), prepend=0, append=0))
    pairs = edges.reshape(-1, 2)
    joined: list[list[int]] = []
    for start, end in pairs.tolist():
        if joined and start - joined[-1][1] < _JOIN_S * rate_hz:
            joined[-1][1] = end
        else:
            joined.append([start, end])
    found = []
    for start, end in joined:
        if start == 0 or end == len(counts) or end - start < 3:
            continue
        part = counts[start:end]
        weight = np.abs(part)
        centroid = start + float((weight * np.arange(end - start)).sum() / weight.sum())
        found.append(Print(first_scan + start, first_scan + end, first_scan + centroid, 1 if part.sum() > 0 else -1))
    return found


def expected(first_axle_scan: float, speed_mps: float, rate_hz: float, position_m: float, x_m: float) -> float:
    """The scan at which an axle's centre is over `x_m`, at constant speed."""
    return first_axle_scan + (x_m + position_m) / speed_mps * rate_hz


def offsets_m(
    expected_scans: Sequence[Sequence[float]], found: Sequence[Sequence[Print]], speed_mps: float, rate_hz: float
) -> list[list[float]]:
    """For each sensor how far (m, along the lane) the excursions of one vehicle lie behind where they should be.

    What all sensors have in common is taken away: it is of the vehicle's motion, not of one sensor's place.
    """
    near = _NEAR_M * rate_hz / speed_mps
    behind: list[list[float]] = []
    for scans, seen in zip(expected_scans, found, strict=True):
        rows = []
        for scan in scans:
            best = min(seen, key=lambda item: abs(item.centroid - scan), default=None)
            if best is not None and abs(best.centroid - scan) < near:
                rows.append((best.centroid - scan) / rate_hz * speed_mps)
        behind.append(rows)
    everything = [value for rows in behind for value in rows]
    if len(everything) < 2:
        return [[] for _ in behind]
    common = statistics.median(everything)
    return [[value - common for value in rows] for rows in behind]


def settled_m(values: Sequence[float]) -> float | None:
    """The median of what was seen of a sensor; None while that is little."""
    return statistics.median(values) if len(values) >= _LEAST_SEEN else None
