"""A laser scanner across the lane plays the loop's part: its presence becomes one more channel of the sample stream.

In come sample blocks and what the scanner said (a vehicle is in its plane or not, how high it was), each with its own
time and its own delay; out come the blocks with a column of 0 and 1 behind the sensors' channels, and heights for the
messages. A block waits until what the scanner saw meanwhile has surely come; it waits by the scans that follow, so that
nothing here looks at a clock. The lane pipeline calls this; the core knows of loops alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import msgspec
import numpy as np

from drivers.events import SampleBlock
from edge import config as cfg

LATE_S = 0.3  # that a vehicle has gone is told after the driver's `hold_s` (0.15 s), a scan of 1/25 s and the way here
_PLANE_M = 0.1  # length of the place that the scanner sees, along the lane
_MOST = 256  # presences and heights that are remembered


class ScannerLoop:
    """The scanner of one lane. `table` is the sensor table with the scanner as a loop."""

    def __init__(self, wim: cfg.Wim) -> None:
        assert wim.scanner is not None
        self.channel = max(sensor.channel for sensor in wim.sensor) + 1
        scanner = cfg.Sensor(
            name="scanner",
            type="loop",
            channel=self.channel,
            x_m=wim.scanner.x_m,
            width_m=_PLANE_M,
            threshold_counts=0.5,
        )
        self.table = msgspec.structs.replace(wim, mode="loop", sensor=(*wim.sensor, scanner))
        self.works = False  # until it has said anything, and while its device does not work
        self._changes: deque[tuple[int, bool]] = deque(maxlen=_MOST)
        self._heights: deque[tuple[int, int, float]] = deque(maxlen=_MOST)  # came, went, metres
        self._waiting: deque[SampleBlock] = deque()
        self._scans = 0  # that wait

    def presence(self, on: bool, time_ns: int) -> None:
        """A vehicle came into the plane or left it."""
        self.works = True
        while self._changes and self._changes[-1][0] >= time_ns:  # a clock was set back: what is newer never was
            self._changes.pop()
        self._changes.append((time_ns, on))

    def height(self, height_m: float, time_ns: int) -> None:
        """The vehicle that left the plane at that time was so high."""
        came_ns = next((at for at, on in reversed(self._changes) if on and at <= time_ns), time_ns)
        self._heights.append((came_ns, time_ns, height_m))

    def take(self, block: SampleBlock) -> list[SampleBlock]:
        """The blocks that need wait no longer, with the scanner's column."""
        ripe = self.rest() if self._waiting and block.stream != self._waiting[-1].stream else []
        self._waiting.append(block)
        self._scans += len(block.samples)
        least = LATE_S * block.rate_hz
        while self._scans - len(self._waiting[0].samples) >= least:
            ripe.append(self._next())
        return ripe

    def rest(self) -> list[SampleBlock]:
        """All that waits: the stream has ended."""
        return [self._next() for _ in range(len(self._waiting))]

    def height_m(self, begin_ns: int, end_ns: int) -> float | None:
        """Of the vehicle that was in the plane for most of that time; None where none was."""
        found = [
            (min(went, end_ns) - max(came, begin_ns), height_m)
            for came, went, height_m in self._heights
            if came <= end_ns and went >= begin_ns
        ]
        return max(found)[1] if found else None

    def _next(self) -> SampleBlock:
        block = self._waiting.popleft()
        count = len(block.samples)
        self._scans -= count
        samples = np.empty((count, self.channel + 1), np.int16)
        samples[:, : self.channel] = block.samples[:, : self.channel]
        samples[:, self.channel] = self._states(block)
        return replace(block, samples=samples)

    def _states(self, block: SampleBlock) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        times_ns = block.time_ns + np.arange(len(block.samples)) * (1e9 / block.rate_hz)
        while len(self._changes) > 1 and self._changes[1][0] <= block.time_ns:
            self._changes.popleft()
        states = np.zeros(len(times_ns), np.int16)
        for at_ns, on in self._changes:
            states[np.searchsorted(times_ns, at_ns) :] = on
        return states
