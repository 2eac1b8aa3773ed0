"""What a weight transmitter feels: samples of a lane in, its load signal at any past moment out.

Used by the emulators of weight transmitters and indicators. The signal is the sum of the channels wired to the device,
in kilograms as the sensors are configured, or in raw counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from firmware_sim.emulators.base import Samples

STANDARD_GRAVITY = 9.80665


class LoadSignal:
    """`kg_per_count` by channel; the device converts at its own pace, so a reading is the mean since the last one.

    `contacts` are the channels of loops that are contacts, in the order of the device's logical inputs.
    """

    def __init__(self, samples: Samples, kg_per_count: Mapping[int, float], contacts: Sequence[int] = ()) -> None:
        self._samples = samples
        self._contacts = contacts
        self._channels = list(kg_per_count)
        self._factors = np.array(list(kg_per_count.values()))

    def contact(self, number: int) -> bool:
        """The newest state of a loop that is wired to the device's logical input `number`, from 0."""
        newest = self._samples.ready()
        if number >= len(self._contacts) or newest <= 0:
            return False
        return bool(self._samples.take(newest - 1, 1)[0, self._contacts[number]])

    def mean_kg(self, begin_s: float, end_s: float) -> float:
        """Mean load from `begin_s` to `end_s` of world time, at least one sample of it."""
        return float(self._mean(begin_s, end_s) @ self._factors)

    def mean_counts(self, begin_s: float, end_s: float) -> float:
        """Sum of the channels in counts, likewise."""
        return float(self._mean(begin_s, end_s).sum())

    def _mean(self, begin_s: float, end_s: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        newest = self._samples.ready()
        if newest <= 0:
            return np.zeros(len(self._channels))
        last = min(math.floor(end_s * self._samples.rate_hz), newest - 1)
        first = min(max(math.ceil(begin_s * self._samples.rate_hz), last - 1000, 0), last)
        scans = self._samples.take(first, last - first + 1)[:, self._channels]
        mean: np.ndarray[tuple[int], np.dtype[np.float64]] = scans.mean(axis=0)
        return mean
