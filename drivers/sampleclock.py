"""Tells when a scan was taken: regression of the device's sample count against the host's clock.

In come pairs (scans so far, host time at arrival), out comes `time_ns` of any scan and the true rate. A packet
arrives late by a delay that is never negative and sometimes large: the network bunches packets, the host is busy. So
the line is not fitted through the points but laid under them: of each piece of time the least delayed point is
kept, and the line is the edge of their lower convex hull above the middle of the window (the least sum of
distances with all points above the line; Moon, Skelly, Towsley, "Estimation and removal of clock skew from network
delay measurements", INFOCOM 1999). Streaming drivers call it; edge sees the result in `SampleBlock`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

_BUCKET_S = 0.5
_WINDOW_BUCKETS = 240  # two minutes: crystals drift with temperature over longer times
_TRUST_SPAN_S = 5.0  # a slope over less than this is worse than what the device says of itself
_MOST_SKEW = 300e-6
_STEP_S = 0.02  # a point this far below the line: the host's clock was set back
_STEP_BUCKETS = 6  # so many pieces in a row this late: no congestion, the clock was set ahead or scans are missing


@dataclass(frozen=True, slots=True)
class _Point:
    scan: int
    time_ns: int


class SampleClock:
    """The clock of one stream.

    `nominal_hz` is the rate that the device says it has; the true one is taken to be within 300 ppm of it.
    """

    def __init__(self, nominal_hz: float) -> None:
        if not nominal_hz > 0.0:
            raise ValueError(f"a stream needs a rate above 0 Hz, not {nominal_hz}")
        self.nominal_hz = nominal_hz
        self.steps = 0  # how often the host's clock (or the count) was found to have stepped
        self._rate_hz = nominal_hz
        self._points: deque[_Point] = deque(maxlen=_WINDOW_BUCKETS)
        self._bucket = 0
        self._anchor = _Point(0, 0)
        self._late_buckets = 0

    @property
    def rate_hz(self) -> float:
        """Estimated true rate."""
        return self._rate_hz

    def time_ns(self, scan: float) -> int:
        """When a scan was taken. Before the first `note` this is meaningless."""
        return self._anchor.time_ns + round((scan - self._anchor.scan) / self._rate_hz * 1e9)

    def note(self, scans: int, time_ns: int) -> None:
        """A packet arrived at `time_ns`; with its last scan the device had taken `scans` (lost ones included)."""
        point = _Point(scans, time_ns)
        if not self._points:
            self._restart(point)
            return
        if self._lateness_s(point) < -_STEP_S or scans < self._points[-1].scan:
            self._step(point)
            return
        bucket = int(scans / self.nominal_hz / _BUCKET_S)
        if bucket == self._bucket:
            if self._lateness_s(point) < self._lateness_s(self._points[-1]):
                self._points[-1] = point
                if self._lateness_s(point) < 0.0:
                    self._anchor = point  # no point lies below the line
            return
        if self._lateness_s(self._points[-1]) > _STEP_S:
            self._late_buckets += 1
            if self._late_buckets >= _STEP_BUCKETS:
                self._step(point)
                return
        else:
            self._late_buckets = 0
        self._bucket = bucket
        self._points.append(point)
        self._fit()

    def _lateness_s(self, point: _Point) -> float:
        return (point.time_ns - self.time_ns(point.scan)) * 1e-9

    def _step(self, point: _Point) -> None:
        self.steps += 1
        self._restart(point)

    def _restart(self, point: _Point) -> None:
        """Begin anew at this point; the rate, which is the crystal's, stays known."""
        self._points.clear()
        self._points.append(point)
        self._bucket = int(point.scan / self.nominal_hz / _BUCKET_S)
        self._anchor = point
        self._late_buckets = 0

    def _fit(self) -> None:
        first = self._points[0]
        span_s = (self._points[-1].scan - first.scan) / self.nominal_hz
        if span_s >= _TRUST_SPAN_S:
            slope = self._hull_slope_ns()
            nominal = 1e9 / self.nominal_hz
            slope = min(max(slope, nominal * (1.0 - _MOST_SKEW)), nominal * (1.0 + _MOST_SKEW))
            self._rate_hz = 1e9 / slope
        slope = 1e9 / self._rate_hz

        def height_ns(point: _Point) -> float:
            return (point.time_ns - first.time_ns) - (point.scan - first.scan) * slope

        self._anchor = min(self._points, key=height_ns)  # the line is lowered until it touches the least delayed point

    def _hull_slope_ns(self) -> float:
        """Slope, ns a scan, of the lower hull's edge above the mean scan number."""
        middle = sum(point.scan for point in self._points) / len(self._points)
        hull: list[_Point] = []
        for point in self._points:
            while len(hull) > 1 and _turns_down(hull[-2], hull[-1], point):
                hull.pop()
            hull.append(point)
        left, right = hull[0], hull[-1]
        for a, b in pairwise(hull):
            if a.scan <= middle <= b.scan:
                left, right = a, b
                break
        return (right.time_ns - left.time_ns) / (right.scan - left.scan)


def _turns_down(a: _Point, b: _Point, c: _Point) -> bool:
    """b lies on or above the line from a to c, so it is no corner of the lower hull."""
    return (b.time_ns - a.time_ns) * (c.scan - a.scan) >= (c.time_ns - a.time_ns) * (b.scan - a.scan)
