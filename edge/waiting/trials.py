"""Forecasts that wait for the vehicle on which they are tried.

In: a vehicle that passes the first point (it takes the forecasts since the one before), and its match at the booth.
Out: the factors of `edge.waiting.honest`, moved. Called by `edge.waiting.waits`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from edge.waiting.honest import Honesty, Told
from edge.waiting.lane import LaneState
from edge.waiting.match import Match
from edge.waiting.series import Series

_MOST = 4096
_Tests = list[tuple[Honesty, list[Told]]]


class Trials:
    """Bounded: the oldest forecasts are forgotten untried."""

    def __init__(self) -> None:
        self._tests: OrderedDict[tuple[int, int], _Tests] = OrderedDict()  # by lane and number of the vehicle

    def entered(self, vehicle: tuple[int, int], rows: Iterable[Series]) -> None:
        """The next vehicle for these rows."""
        tests: _Tests = []
        for series in rows:
            if series.forecasts:
                tests.append((series.honesty, series.forecasts))
                series.forecasts = []
        if tests:
            self._tests[vehicle] = tests
            if len(self._tests) > _MOST:
                self._tests.popitem(last=False)

    def arrived(self, lane: LaneState, match: Match) -> None:
        """A vehicle came to the booth of `lane`."""
        if match.upstream is None:
            return
        tests = self._tests.pop(match.upstream, ())
        wait_s, sd_s = (match.wait_s, 0.0) if match.by_identity else (match.rough_s, match.sd_s)
        if match.detour or match.phantom or wait_s is None:
            return
        if not lane.matched_n:
            sd_s = 0.0  # by counts alone it allows for more that have left than mostly do: it would only widen
        for honesty, forecasts in tests:
            for told in forecasts:
                honesty.observe(told, _truths(lane.before, match, wait_s, told.at_ns), sd_s)
        if (alone_s := match.alone_s) is not None:
            lane.before = (match.upstream_ns, alone_s)


def _truths(before: tuple[int, float] | None, match: Match, wait_s: float, at_ns: int) -> tuple[float, float, float]:
    """What the wait was at a moment between two vehicles, which is not one number.

    It is that of the next one, `wait_s`; that of one who would have come then and taken the next one's place in the
    queue; and what lies between the two vehicles on a straight line.
    """
    entered_ns = match.upstream_ns
    joined_s = wait_s + (max(0, entered_ns - at_ns) * 1e-9 if match.busy else 0.0)
    between_s = wait_s
    if before is not None and before[0] < at_ns < entered_ns:
        between_s = before[1] + (wait_s - before[1]) * (at_ns - before[0]) / (entered_ns - before[0])
    return wait_s, joined_s, between_s
