"""What a vehicle may expect that joins now, in one lane or in any of several.

In: the queue of each lane at the end of an interval, and whether it can be trusted; out: median, interval, what one
more booth would change. A lane in which nothing happened and nobody stands is not looked at again: what it costs
follows the sightings. Called by `edge.waiting.intervals`.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from msgspec import Struct

from edge.core import Forecast, Mixture
from edge.messages import WaitMethod
from edge.waiting.honest import Interval
from edge.waiting.lane import LaneState
from edge.waiting.match import Segment

_SAMPLES, _WHAT_IF_SAMPLES = 96, 24
_NOBODY = 0.05  # vehicles between the points
LATELY_NS = 3600 * 1_000_000_000  # within which identities must have been matched
_SIDE_ROAD = 0.3  # share of the vehicles that join between the points, with which identities still cope
_SOMEBODY = 0.5  # vehicles between the points, and
_STANDING = 0.02  # booth cycles that the median waits in the queue: below either, one more booth changes nothing


class _LaneOutlook(Struct, frozen=True, gc=False):
    """What is expected in a lane; its samples stand in `row`, and in `more_row` those with one more booth."""

    row: int
    weight: float  # of the vehicles that choose this lane
    queue_n: float
    mean_s: float
    raw: Interval
    more_row: int | None  # None where one more would not help
    more_mean_s: float
    more_s: float


class Outlook(Struct, frozen=True, gc=False):
    """What is expected by one who comes into one of some lanes."""

    raw: Interval
    queue_n: float
    more_s: float | None  # median with one more booth in the lane where that helps most; None where it helps in none


class Forecasts:
    """Of all lanes of a computer with so many points; `length_m` is from the first of them to the booth."""

    def __init__(self, lanes: Sequence[LaneState], length_m: float | None, points_n: int) -> None:
        self._points_n = points_n
        self._lanes = lanes
        self._length_m = length_m
        samples = memoryview(array("d", bytes(8 * _SAMPLES * 2 * len(lanes))))
        rows = [samples[at : at + _SAMPLES] for at in range(0, len(samples), _SAMPLES)]
        self._views = rows[: len(lanes)]
        self._more_views = [row[:_WHAT_IF_SAMPLES] for row in rows[len(lanes) :]]
        self._mixture = Mixture(samples, _SAMPLES)
        self._last: list[Forecast | None] = [None] * len(lanes)
        self._known: dict[str, _LaneOutlook] = {}
        self._mixed: dict[tuple[int, ...], Outlook] = {}
        self.full: set[str] = set()  # lanes whose queue reaches beyond the first point
        self.never: dict[str, WaitMethod] = {}  # by lane: why nothing can be told at this place

    def look(self, end_ns: int, mains: Mapping[str, Segment]) -> None:
        """It is `end_ns`; `mains` are the ways from the first point to the booth, by direction."""
        self._known.clear()
        self._mixed.clear()
        self.full.clear()
        self.never.clear()
        for row, lane in enumerate(self._lanes):
            main = mains.get(lane.direction)
            if main is None:
                self.never[lane.id] = "one_point" if self._points_n else "no_point"
            else:
                self._look_at(row, lane, main, end_ns)

    def _look_at(self, row: int, lane: LaneState, main: Segment, end_ns: int) -> None:
        queue, forecast = main.queues[lane.id], self._last[row]
        if forecast is None or lane.touched or forecast.queue_n > _NOBODY:
            self._last[row] = forecast = queue.predict(end_ns, self._views[row])
        if lane.unseen(forecast):
            main.empty(lane.id)
            self._last[row] = None
        if not lane.trusts(forecast, end_ns):
            return
        if forecast.side_road > 0.0:
            identified = lane.identified_since(end_ns - LATELY_NS) and main.identifies(lane.id)
            if not identified or forecast.side_road > _SIDE_ROAD:
                self.never[lane.id] = "side_road"
                return
        raw = _summary(forecast, lane.missing_n(end_ns))
        more_row, more_mean_s, more_s = None, forecast.mean_s, forecast.p50_s
        if forecast.queue_n > _SOMEBODY and raw.cycles_n > _STANDING:
            with_more = queue.predict(end_ns, self._more_views[row], more_booths=1)
            more_row, more_mean_s, more_s = len(self._lanes) + row, with_more.mean_s, with_more.p50_s
        self._known[lane.id] = _LaneOutlook(
            row, max(0.05, lane.rate_at(end_ns)), forecast.queue_n, forecast.mean_s, raw, more_row, more_mean_s, more_s
        )
        if lane.overflows(forecast, self._length_m):
            self.full.add(lane.id)

    def knows(self, lane: str) -> bool:
        """Whether something is expected in that lane."""
        return lane in self._known

    def of(self, lanes: Sequence[LaneState]) -> Outlook | None:
        """What one may expect that comes into one of these lanes, as vehicles did lately; None where nobody knows."""
        known = [self._known[lane.id] for lane in lanes if lane.id in self._known]
        if len(known) <= 1:
            return Outlook(known[0].raw, known[0].queue_n, _alone(known[0])) if known else None
        rows = tuple(outlook.row for outlook in known)
        mixed = self._mixed.get(rows)
        if mixed is None:
            mixed = self._mixed[rows] = self._mix(known)
        return mixed

    def _mix(self, known: list[_LaneOutlook]) -> Outlook:
        parts = [(o.row, _SAMPLES, o.weight) for o in known]
        low_s, median_s, high_s = self._mixture.quantiles(parts, (0.1, 0.5, 0.9))
        weight = sum(o.weight for o in known)
        cycle_s = sum(o.weight * o.raw.cycle_s for o in known) / weight
        cycles_n = sum(o.weight * o.raw.cycles_n for o in known) / weight
        least_s = min(median_s, min(o.raw.least_s for o in known))
        raw = Interval(low_s, median_s, high_s, cycle_s, cycles_n, least_s)
        gains = [o.weight * (o.mean_s - o.more_mean_s) if o.more_row is not None else -1.0 for o in known]
        best = max(range(len(known)), key=gains.__getitem__)
        more_row, more_s = known[best].more_row, None
        if more_row is not None:
            parts[best] = (more_row, _WHAT_IF_SAMPLES, known[best].weight)
            (more_s,) = self._mixture.quantiles(parts, (0.5,))
        return Outlook(raw, sum(o.queue_n for o in known), more_s)


def _alone(outlook: _LaneOutlook) -> float | None:
    return None if outlook.more_row is None else outlook.more_s


def _summary(forecast: Forecast, missing_n: float) -> Interval:
    """Perhaps as many as `missing_n` more have joined than were seen."""
    cycles_n = (forecast.p50_s - forecast.free_flow_s) / forecast.cycle_s
    high_s = forecast.p90_s + missing_n * forecast.cycle_s
    least_s = min(forecast.free_flow_low_s, forecast.p50_s)
    return Interval(forecast.p10_s, forecast.p50_s, high_s, forecast.cycle_s, cycles_n, least_s)
