"""Tells when a scan was taken: regression of the device's sample count against the host's clock.

In come pairs (scans so far, host time at arrival), out comes `time_ns` of any scan and the true rate. A packet
arrives late by a delay that is never negative and sometimes large: the network bunches packets, the host is busy. So
the line is not fitted through the points but laid under them: of each piece of time the least delayed point is
kept, and the line is the edge of their lower convex hull above the middle of the window (the least sum of
distances with all points above the line; Moon, Skelly, Towsley, "Estimation and removal of clock skew from network
delay measurements", INFOCOM 1999). Streaming drivers call it; edge sees the result in `SampleBlock`.

The rate that a device was told, or says it has, is judged by the rate at which its scans come: a DATAQ DI-1110 ignores
`dec` and sends twice as many as it was asked for. Every speed would be half then.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

from drivers.base import DeviceError

_BUCKET_S = 0.5
_WINDOW_BUCKETS = 240  # two minutes: crystals drift with temperature over longer times
_TRUST_SPAN_S = 5.0  # a slope over less than this is worse than what the device says of itself
_MOST_SKEW = 300e-6
_STEP_S = 0.02  # a point this far below the line: the host's clock was set back
_JUDGED = ((3.0, 0.10), (30.0, 0.01))  # windows in seconds, and how far off the told rate two in a row must be
_DOUBTED = 0.0005  # in place of that, where the clock stepped within each of the two
_LONG_SPAN_S, _MANY_FITS = 60.0, 20  # over such a time so many slopes in a row beyond `_MOST_SKEW` are no noise
_NEAR = 0.012  # of the told rate: it is corrected; what is further off is another rate
_LEAST_JUDGED = 40  # scans in a window
_MOST_SKEW_MEASURED = 0.01  # of a rate that was counted over seconds
_STEP_BUCKETS = 6  # so many pieces in a row this late: no congestion, the clock was set ahead or scans are missing


@dataclass(frozen=True, slots=True)
class _Point:
    scan: int
    time_ns: int


class RateJudge:
    """Counts scans over windows of time. Two windows in a row that agree with each other, and not with what was told,
    are the truth: a busy host or a network that bunches packets makes one late and the next early."""

    def __init__(self, told_hz: float, window_s: float, tolerance: float) -> None:
        self._told_hz = told_hz
        self._window_ns = round(1e9 * max(window_s, _LEAST_JUDGED / told_hz))
        self._tolerance = tolerance
        self._begin: _Point | None = None
        self._last = _Point(0, 0)
        self._before_hz: float | None = None
        self._steps = 0

    def note(self, scans: int, time_ns: int, steps: int = 0) -> float | None:
        """As `SampleClock.note`, with the steps of that clock so far; the rate that contradicts the told one, once."""
        if self._begin is None or time_ns < self._last.time_ns or scans < self._last.scan:
            self._begin, self._before_hz, self._steps = _Point(scans, time_ns), None, steps
        self._last = _Point(scans, time_ns)
        elapsed_ns, counted = time_ns - self._begin.time_ns, scans - self._begin.scan
        if elapsed_ns < self._window_ns or counted < _LEAST_JUDGED / 4:
            return None
        rate_hz, before_hz = 1e9 * counted / elapsed_ns, self._before_hz
        doubted, self._steps = steps > self._steps, steps
        self._begin = self._last
        off = abs(rate_hz / self._told_hz - 1.0) > (_DOUBTED if doubted else self._tolerance)
        self._before_hz = rate_hz if off else None
        if off and before_hz is not None and abs(rate_hz / before_hz - 1.0) < self._tolerance / 2.0:
            return (rate_hz + before_hz) / 2.0
        return None


class SampleClock:
    """The clock of one stream.

    `nominal_hz` is the rate that the device says it has; the true one is taken to be within 300 ppm of it, or of a rate
    that was `measured` by counting within a hundredth. A crystal that is further off is found within two minutes, and
    its rate corrected; `true_hz` is set where scans come at quite another rate.
    """

    def __init__(self, nominal_hz: float, *, measured: bool = False) -> None:
        if not nominal_hz > 0.0:
            raise ValueError(f"a stream needs a rate above 0 Hz, not {nominal_hz}")
        self.nominal_hz = nominal_hz
        self.true_hz: float | None = None
        self._most_skew = _MOST_SKEW_MEASURED if measured else _MOST_SKEW
        self._judges = [RateJudge(nominal_hz, *judged) for judged in _JUDGED]
        self._beyond = 0  # fits in a row whose slope lies beyond the bounds
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
        for judge in self._judges:
            if (found_hz := judge.note(scans, time_ns, self.steps)) is None:
                continue
            if abs(found_hz / self.nominal_hz - 1.0) > _NEAR:
                self.true_hz = found_hz
            else:
                self._correct(found_hz)
                self._restart(point)
                return
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
            beyond = abs(slope / nominal - 1.0) > self._most_skew and span_s >= _LONG_SPAN_S
            self._beyond = self._beyond + 1 if beyond else 0
            if self._beyond >= _MANY_FITS:
                self._correct(1e9 / slope)
                nominal = slope
            slope = min(max(slope, nominal * (1.0 - self._most_skew)), nominal * (1.0 + self._most_skew))
            self._rate_hz = 1e9 / slope
        slope = 1e9 / self._rate_hz

        def height_ns(point: _Point) -> float:
            return (point.time_ns - first.time_ns) - (point.scan - first.scan) * slope

        self._anchor = min(self._points, key=height_ns)  # the line is lowered until it touches the least delayed point

    def _correct(self, rate_hz: float) -> None:
        """The device's own word on its rate was nearly right."""
        self.nominal_hz = self._rate_hz = rate_hz
        self._most_skew = _MOST_SKEW_MEASURED
        self._judges = [RateJudge(rate_hz, *judged) for judged in _JUDGED]
        self._beyond = 0

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


class ToldRate:
    """What a driver remembers of a device that does not keep the rate it is told, from stream to stream."""

    def __init__(self) -> None:
        self._told_hz = 0.0
        self._true_hz: float | None = None
        self.clock = SampleClock(1.0)

    def begin(self, told_hz: float) -> SampleClock:
        """The clock of a new stream at that rate, or at the one that was counted when it was told before."""
        if told_hz != self._told_hz:
            self._told_hz, self._true_hz = told_hz, None
        measured = self._true_hz is not None
        self.clock = SampleClock(self._true_hz or told_hz, measured=measured)
        return self.clock

    def learn(self) -> bool:
        """Whether the stream's clock found the told rate to be wrong; the next `begin` knows better."""
        if self.clock.true_hz is None:
            return False
        self._true_hz = self.clock.true_hz
        return True

    def check(self, where: str) -> None:
        """For a digitiser, whose scans are told apart by counting. Raises DeviceError where its rate was wrong."""
        if self.learn():
            raise DeviceError(
                f"{where}: sends {self._true_hz:.5g} scans a second, not the {self._told_hz:g} that it was told; "
                f"set the rate that it has, or look at its model and its clock; going on with {self._true_hz:.5g}"
            )


def _turns_down(a: _Point, b: _Point, c: _Point) -> bool:
    """b lies on or above the line from a to c, so it is no corner of the lower hull."""
    return (b.time_ns - a.time_ns) * (c.scan - a.scan) >= (c.time_ns - a.time_ns) * (b.scan - a.scan)
