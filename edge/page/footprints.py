"""What an eye sees in a waveform, by number: samples of a channel in, its excursions out; and where they should be.

Called by the scope. Coarser than the core, and independent of it: where the two disagree there is something to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_NOISES = 8.0  # an excursion is beyond so many times the noise
_LEAST_COUNTS = 6.0
_JOIN_S = 0.004


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


class Way:
    """The motion that the core fitted: x of a vehicle's first axle at scans from `first` to `last`, equally spaced."""

    def __init__(self, first: float, last: float, places_m: Sequence[float]) -> None:
        self._scans = np.linspace(first, last, len(places_m))
        self._places = np.asarray(places_m)

    def passes(self, behind_m: float, x_m: float) -> list[tuple[float, float]]:
        """Scans at which an axle so far behind the first is over `x_m`, each with the way of one scan (m) there; more
        than one where the vehicle rolled back."""
        ahead = self._places - behind_m - x_m
        at = np.flatnonzero((ahead[:-1] < 0) != (ahead[1:] < 0))
        step = (ahead[at + 1] - ahead[at]) / (self._scans[at + 1] - self._scans[at])
        return list(zip((self._scans[at] - ahead[at] / step).tolist(), step.tolist(), strict=True))
