"""Waits of a crossing: sightings in, `wait` messages out at the end of every interval.

The daemon and `borderflow wait` run this same code. Time comes in with the sightings (and, in the daemon, by
`advance`), never from a clock. A message for the interval that ends at T is made once nothing before T is expected any
more: `TOGETHER_NS` and the tolerance of disorder after T. What disorder does not exceed it changes no message.

Wait here is the time from passing the first point to arriving at the point named `booth`; the free travel time
between them is part of it. Flow of data: sightings -> `timeline` (order) -> `passages` (vehicles at a point) ->
`segment` (which one is which; the queue) -> this file (intervals, programs, the crossing).
"""

from __future__ import annotations

import itertools
import math
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from edge import config as cfg
from edge.core import Forecast
from edge.messages import Bottleneck, Experienced, Program, Site, Traffic, Wait, utc_text
from edge.waiting.honest import Honesty, Interval
from edge.waiting.last_hour import Hour
from edge.waiting.passages import TOGETHER_NS, Passage, PointOfLane
from edge.waiting.segment import Match, Segment
from edge.waiting.sightings import BoothChange, LoopCount, PlateSighting, Sighting, TagSighting, read
from edge.waiting.timeline import REORDER_NS, Timeline

_NS = 1_000_000_000
_SAMPLES = 128
_WHAT_IF_SAMPLES = 32
_RATE_WINDOW_S = 900.0
_METHOD_WINDOW_NS = 3600 * _NS
_CYCLE_S: dict[str, float] = {"commercial": 60.0, "passenger": 45.0, "bus": 120.0}
_VEHICLE_M: dict[str, float] = {"commercial": 22.0, "passenger": 7.5, "bus": 16.0}
_RUN_EVERY_NS = 500_000_000
_UNTRIED = 30  # forecasts that are kept until the next vehicle comes
_FILL_NS = 48 * 3600 * _NS

Method = Literal["matched", "counted", "fused"]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is expected in a lane, a program or the crossing; `waits_s` are sorted samples with their weights."""

    waits_s: npt.NDArray[np.float64]
    weight: float
    queue_n: float
    raw: Interval
    more_s: npt.NDArray[np.float64]  # the samples if one more booth opened


@dataclass(slots=True)
class _Series:
    """One row of messages: a lane, a program or the crossing."""

    lane: str
    traffic: Traffic | None
    program: Program | None
    honesty: Honesty = field(default_factory=Honesty)
    hour: Hour = field(default_factory=Hour)
    forecasts: list[tuple[int, Interval]] = field(default_factory=list)  # not yet tried on a vehicle


class _Lane:
    """What is known of one lane apart from its queue."""

    def __init__(self, lane: cfg.Lane) -> None:
        self.id = lane.id
        self.traffic: Traffic = lane.traffic
        self.program: Program = lane.program
        self.booths = lane.booths
        self.open = float(lane.booths)
        self.booths_told = False  # whether it was ever said that a booth opened or closed
        self.named: dict[str, bool] = {}
        self.departed_since_close = 0
        self.series = _Series(lane.id, lane.traffic, lane.program)
        self.matches: list[Match] = []  # of this interval
        self.rough_s: list[float] = []  # of this interval: a wait for every vehicle, if only that of its neighbours
        self.before: tuple[int, float] | None = None  # entry and wait of the last vehicle whose wait is sure
        self.typical: tuple[int, float] | None = None  # time and wait of the last sure vehicle in order
        self.departures: deque[int] = deque(maxlen=8192)  # within the window of the rate
        self.departed_ns: int | None = None  # the last departure
        self.arrival_rate = 0.0  # weight of recent arrivals, at `arrival_ns`
        self.arrival_ns = 0
        self.entries_since_departure = 0
        self.departures_since_entry = 0
        self.through = False  # somebody was seen at both points: those who stood there before have gone
        self.strangers = 0  # departures since the last entry of vehicles that were not seen upstream
        self.last_identity_ns = -(1 << 62)
        self.identified = deque[bool](maxlen=100)
        self.matched_n = 0  # of these
        self.loops_upstream = deque[bool](maxlen=50)
        self.levels = deque[float](maxlen=20)  # queue at the last departures

    def arrived(self, time_ns: int) -> None:
        self.arrival_rate = self.rate_at(time_ns) + 1.0
        self.arrival_ns = max(time_ns, self.arrival_ns)

    def rate_at(self, time_ns: int) -> float:
        return self.arrival_rate * math.exp(-max(0, time_ns - self.arrival_ns) / (_RATE_WINDOW_S * _NS))

    def matched(self, match: Match) -> None:
        if match.phantom:
            return
        self.matches.append(match)
        wait_s = match.wait_s
        if wait_s is None or match.detour:
            fresh = self.typical is not None and match.time_ns - self.typical[0] < 2 * _RATE_WINDOW_S * _NS
            wait_s = self.typical[1] if self.typical is not None and fresh else None
        elif match.sure:
            self.typical = (match.time_ns, wait_s)
        if wait_s is not None:
            self.rough_s.append(wait_s)

    def keep_booths(self, before: _Lane) -> None:
        self.program, self.open, self.named = before.program, before.open, before.named
        self.booths_told = before.booths_told
        self.series.program = self.program

    def change_booth(self, change: BoothChange) -> None:
        if change.program in get_args(Program):
            self.program = change.program  # type: ignore[assignment]
            self.series.program = self.program
        if change.open is None:
            return
        self.booths_told = True
        if change.booth is not None:
            self.named[change.booth] = change.open
            self.open = float(sum(self.named.values()))
        else:
            self.open = min(float(self.booths), max(0.0, self.open + (1.0 if change.open else -1.0)))
        self.departed_since_close = 0


class CrossingWaits:
    """Waits of all lanes, programs and the crossing.

    `source` names the publishing computer; sightings come in the order of time but for `reorder_ns`.
    """

    def __init__(self, config: cfg.Config, *, source: str = "local", reorder_ns: int = REORDER_NS) -> None:
        points = [point.name for point in config.point] or ["booth"]  # without points everything is unknown
        self.from_point = points[0]
        self.to_point = "booth" if "booth" in points else points[-1]
        self.counters: Counter[str] = Counter()
        self._points = points
        self._config = config
        self._site = Site(config.site.country, config.site.port)
        self._source = source
        self._digest = cfg.digest(config)
        self._interval_s = config.wait.interval_s
        self._interval_ns = config.wait.interval_s * _NS
        self._baseline = config.wait.baseline
        self._reorder_ns = reorder_ns
        self._lanes: dict[str, _Lane] = {}
        self._end_text = ""
        self._out: list[Wait] = []
        self.restart()

    def restart(self) -> None:
        """The clock leapt: times from before it say nothing of times after it, so vehicles and intervals begin anew."""
        self._timeline = Timeline(self.counters, self._reorder_ns)
        self._next_ns: int | None = None  # end of the current interval
        self._began_ns = 0  # the first sighting of all
        self._last_ns = 0
        self._run_ns = -(1 << 63)  # nothing is worth a look before the newest sighting comes to this
        self._begin()

    def _begin(self) -> None:
        """Nothing is known of any vehicle."""
        config, points, before = self._config, self._points, self._lanes
        self._lanes = {lane.id: _Lane(lane) for lane in config.lane}
        for lane in self._lanes.values():
            if lane.id in before:
                lane.keep_booths(before[lane.id])
        self._at = {
            (lane, point): PointOfLane(self.counters, f"{lane}/{point}") for lane in self._lanes for point in points
        }
        cycle_s = _CYCLE_S[config.lane[0].traffic]
        x_m = dict.fromkeys(points) | {point.name: point.x_m for point in config.point}
        pairs = list(itertools.pairwise(points))
        if self.from_point != self.to_point and (self.from_point, self.to_point) not in pairs:
            pairs.insert(0, (self.from_point, self.to_point))
        self._segments: dict[tuple[str, str], Segment] = {}
        for pair in pairs:
            a, b = x_m[pair[0]], x_m[pair[1]]
            length_m = b - a if a is not None and b is not None else None
            self._segments[pair] = Segment(
                list(self._lanes), length_m=length_m, cycle_s=cycle_s, counters=self.counters
            )
        self._main = self._segments.get((self.from_point, self.to_point))
        for lane in self._lanes.values():
            self._open_booths(lane)
        self._length_m = None
        if x_m[self.from_point] is not None and x_m[self.to_point] is not None:
            self._length_m = x_m[self.to_point] - x_m[self.from_point]  # type: ignore[operator]
        self._delays = {pair: _Delay() for pair in pairs}
        self._programs: dict[tuple[Traffic, Program], _Series] = {}
        self._crossing = _Series("_", self._one_traffic(), None)
        # Downstream, to be completed by what is read of them; and booths, in the same order of time.
        self._pending = deque[tuple[int, Passage | BoothChange, str]]()
        self._tests: dict[int, list[tuple[_Series, list[tuple[int, Interval]]]]] = {}  # by id() of the passage upstream
        self._tested: dict[int, Passage] = {}
        self._same_ns = 0
        self._same: list[Sighting] = []  # sightings of that very time
        self._from = {p: [seg for pair, seg in self._segments.items() if pair[0] == p] for p in points}
        self._to = {
            p: [(seg, self._delays.get(pair)) for pair, seg in self._segments.items() if pair[1] == p] for p in points
        }

    def _open_booths(self, lane: _Lane) -> None:
        for (_, to_point), segment in self._segments.items():
            if to_point == self.to_point:
                segment.queues[lane.id].booths(lane.open)

    # ---- in --------------------------------------------------------------------------------------------------

    def feed(self, sighting: Sighting) -> None:
        """Take a sighting, in any order that is right but for a few seconds. Bad ones are counted, never raised."""
        if sighting.lane not in self._lanes:
            self.counters["unknown_lane"] += 1
            return
        kind = type(sighting)
        if sighting.point not in self._from and kind is not BoothChange:
            self.counters["unknown_point"] += 1
            return
        if (kind is TagSighting or kind is PlateSighting) and not sighting.id.strip():  # type: ignore[union-attr]
            self.counters["empty_identity"] += 1
            return
        if abs(sighting.time_ns) >= 1 << 62:
            self.counters["future"] += 1
            return
        timeline = self._timeline
        timeline.put(sighting)
        if timeline.newest_ns is not None and timeline.newest_ns >= self._run_ns:
            self._run()

    def advance(self, now_ns: int) -> list[Wait]:
        """It is `now_ns`; returns the messages of the intervals that are complete by now."""
        self._timeline.clock(now_ns)
        self._run()
        return self.take()

    def take(self) -> list[Wait]:
        """Messages that are finished."""
        out, self._out = self._out, []
        return out

    def finish(self) -> list[Wait]:
        """Nothing more will come: everything that is held goes through, and the last interval is closed."""
        for sighting in self._timeline.due(everything=True):
            self._process(sighting)
        if self._next_ns is not None:
            end_ns = -(-self._last_ns // self._interval_ns) * self._interval_ns
            while self._next_ns <= end_ns:
                self._settle(self._next_ns + TOGETHER_NS)
                self._close(self._next_ns)
        return self.take()

    def stats(self) -> dict[str, int]:
        """Counters of bad and unusual input since the start, by a short word."""
        return dict(sorted(self.counters.items()))

    # ---- the way of a sighting -----------------------------------------------------------------------------------

    def _run(self) -> None:
        timeline = self._timeline
        for sighting in timeline.due():
            self._process(sighting)
        settled_ns = timeline.settled_ns
        if settled_ns is not None:
            self._run_ns = settled_ns + timeline.reorder_ns + _RUN_EVERY_NS
            if self._next_ns is not None:
                self._tick(settled_ns)

    def _process(self, sighting: Sighting) -> None:
        time_ns = sighting.time_ns
        if self._next_ns is None:
            self._begin_at(time_ns)
        pending = self._pending
        if time_ns >= self._next_ns + TOGETHER_NS or (pending and pending[0][0] <= time_ns - TOGETHER_NS):  # type: ignore[operator]
            self._tick(time_ns)
        if time_ns > self._last_ns:
            self._last_ns = time_ns
        if time_ns != self._same_ns:
            self._same_ns = time_ns
            self._same = [sighting]
        elif any(_alike(sighting, other) for other in self._same):
            self.counters["duplicate"] += 1
            return
        else:
            self._same.append(sighting)
        lane = self._lanes[sighting.lane]
        if isinstance(sighting, BoothChange):
            self._pending.append((time_ns, sighting, ""))
            return
        passage, new = self._at[(sighting.lane, sighting.point)].take(sighting)
        if passage is None:
            return
        is_loop = isinstance(sighting, LoopCount)
        for segment in self._from[sighting.point]:
            if new:
                segment.enter(passage)
            elif not is_loop:
                segment.mark(passage)
        if new and self._to[sighting.point]:
            self._pending.append((passage.time_ns, passage, sighting.point))
        if sighting.point == self.from_point:
            if new:
                self._entered(lane, passage)
            if is_loop:
                lane.loops_upstream.append(True)

    def _entered(self, lane: _Lane, passage: Passage) -> None:
        lane.arrived(passage.time_ns)
        lane.entries_since_departure += 1
        lane.departures_since_entry = 0
        lane.strangers = 0
        lane.loops_upstream.append(False)
        for series in (lane.series, self._program_series(lane), self._crossing):
            if series.forecasts:
                tests = self._tests.setdefault(id(passage), [])
                tests.append((series, series.forecasts))
                self._tested[id(passage)] = passage
                series.forecasts = []
        while len(self._tested) > 4096:
            oldest = next(iter(self._tested))
            del self._tested[oldest], self._tests[oldest]

    def _tick(self, time_ns: int) -> None:
        """Time has come to `time_ns`: complete passages downstream, close intervals."""
        assert self._next_ns is not None
        pending = self._pending
        if time_ns < self._next_ns + TOGETHER_NS and (not pending or pending[0][0] > time_ns - TOGETHER_NS):
            return
        if time_ns > self._next_ns + _FILL_NS:  # nothing for days: begin anew instead of filling the gap
            self._settle(time_ns)
            self._close(self._next_ns)
            self._begin_at(time_ns)
            self._begin()
            self.counters["restarted"] += 1
        while time_ns >= self._next_ns + TOGETHER_NS:
            self._settle(self._next_ns + TOGETHER_NS)
            self._close(self._next_ns)
        if self._pending:
            self._settle(time_ns)

    def _begin_at(self, time_ns: int) -> None:
        self._began_ns = time_ns
        self._next_ns = time_ns // self._interval_ns * self._interval_ns + self._interval_ns

    def _settle(self, time_ns: int) -> None:
        while self._pending and self._pending[0][0] <= time_ns - TOGETHER_NS:
            _, passage, point = self._pending.popleft()
            if isinstance(passage, BoothChange):
                lane = self._lanes[passage.lane]
                lane.change_booth(passage)
                self._open_booths(lane)
                continue
            for segment, delay in self._to[point]:
                match = segment.depart(passage)
                if segment is self._main:
                    self._arrived(match)
                if delay is not None and match.wait_s is not None and match.sure and not match.detour:
                    delay.add(match.time_ns, match.wait_s)

    def _arrived(self, match: Match) -> None:
        lane = self._lanes[match.lane]
        lane.matched(match)
        lane.departures.append(match.time_ns)
        lane.departed_ns = max(match.time_ns, lane.departed_ns or match.time_ns)
        lane.entries_since_departure = 0
        lane.departures_since_entry += 1
        lane.strangers += match.upstream is None and not match.phantom
        if match.readable:
            if len(lane.identified) == lane.identified.maxlen:
                lane.matched_n -= lane.identified[0]
            lane.identified.append(match.by_identity)
            lane.matched_n += match.by_identity
        if match.by_identity:
            lane.last_identity_ns = match.time_ns
        if lane.open < 0.5:
            lane.departed_since_close += 1
            if lane.departed_since_close > 2 and lane.departures_since_entry < 2:
                lane.open = 1.0  # vehicles still come and go: it is not closed, whatever was said
                self.counters["booth_contradiction"] += 1
                self._open_booths(lane)
        upstream = match.upstream
        if upstream is None:
            return
        lane.through = True
        known = match.sure and not match.detour
        if id(upstream) in self._tested:
            if known and match.wait_s is not None:
                for series, forecasts in self._tests[id(upstream)]:
                    series.honesty.observe([(raw, _truths(lane.before, match, at_ns)) for at_ns, raw in forecasts])
            del self._tests[id(upstream)], self._tested[id(upstream)]
        if known and match.wait_s is not None:
            lane.before = (upstream.time_ns, match.wait_s)

    # ---- intervals -----------------------------------------------------------------------------------------------

    def _close(self, end_ns: int) -> None:
        """Make the messages of the interval that ends at `end_ns`."""
        self._end_text = utc_text(end_ns)
        outlooks: dict[str, Outlook] = {}
        forecasts: dict[str, Forecast] = {}
        bounds: dict[str, bool] = {}
        for lane in self._lanes.values():
            while lane.departures and lane.departures[0] <= end_ns - _RATE_WINDOW_S * _NS:
                lane.departures.popleft()
            if self._main is None:
                continue
            forecast = self._main.queues[lane.id].predict(end_ns, _SAMPLES)
            forecasts[lane.id] = forecast
            if self._known(lane, forecast, end_ns):
                raw = Interval(
                    forecast.p10_s,
                    forecast.p50_s,
                    forecast.p90_s,
                    forecast.cycle_s,
                    (forecast.p50_s - forecast.free_flow_s) / forecast.cycle_s,
                )
                bounds[lane.id] = self._beyond(lane, forecast)
                weight = max(0.05, lane.rate_at(end_ns))
                more_s = forecast.waits_s
                if forecast.queue_n > 0.5:
                    more_s = self._main.queues[lane.id].predict(end_ns, _WHAT_IF_SAMPLES, more_booths=1).waits_s
                outlooks[lane.id] = Outlook(forecast.waits_s, weight, forecast.queue_n, raw, more_s)
        bottleneck = self._bottleneck(end_ns)
        rows: list[tuple[_Series, list[_Lane]]] = [(lane.series, [lane]) for lane in self._lanes.values()]
        groups: dict[tuple[Traffic, Program], list[_Lane]] = {}
        for lane in self._lanes.values():
            groups.setdefault((lane.traffic, lane.program), []).append(lane)
        rows += [(self._programs.setdefault(key, _Series("_", *key)), lanes) for key, lanes in groups.items()]
        rows.append((self._crossing, list(self._lanes.values())))
        for series, lanes in rows:
            self._out.append(self._message(series, lanes, end_ns, outlooks, forecasts, bounds, bottleneck))
        for lane in self._lanes.values():
            lane.matches.clear()
            lane.rough_s.clear()
        self._next_ns = end_ns + self._interval_ns

    def _known(self, lane: _Lane, forecast: Forecast, end_ns: int) -> bool:
        """Whether the filter of this lane has seen enough, and both its ends are alive."""
        if lane.open < 0.5 or not lane.through or not lane.arrival_ns:
            return False
        if forecast.learned_cycles == 0 and forecast.queue_n > 1.0 and forecast.departures < 10:
            return False  # nobody knows yet how fast they are served
        if forecast.unlisted > 0.7 or (lane.strangers > 8 and forecast.queue_n < 1.0):
            return False  # vehicles arrive that never passed the first point: it is dead
        silent_s = (end_ns - (lane.departed_ns or end_ns)) * 1e-9
        dead = lane.entries_since_departure > 10 and silent_s > 12.0 * forecast.cycle_s + forecast.free_flow_s
        return not dead

    def _beyond(self, lane: _Lane, forecast: Forecast) -> bool:
        """Whether the queue reaches beyond the first point: the place between the points is full."""
        if self._length_m is None:
            return False
        return bool(forecast.queue_n * _VEHICLE_M[lane.traffic] > 0.92 * self._length_m)

    def _message(
        self,
        series: _Series,
        lanes: list[_Lane],
        end_ns: int,
        outlooks: dict[str, Outlook],
        forecasts: dict[str, Forecast],
        bounds: dict[str, bool],
        bottleneck: Bottleneck | None,
    ) -> Wait:
        # Alone, an estimate must be good; among many lanes a rough one is better than a lane left out of the median.
        waits = [m.wait_s for lane in lanes for m in lane.matches if m.wait_s is not None and m.sure and not m.detour]
        if len(lanes) > 1 and waits:
            waits = [wait_s for lane in lanes for wait_s in lane.rough_s]
        experienced = _experienced(waits)
        known = [(lane, outlooks[lane.id]) for lane in lanes if lane.id in outlooks]
        series.hour.add(end_ns, waits)
        expected_s = low_s = high_s = more_s = None
        method: Method | None = None
        raw: Interval | None = None
        if known:
            raw = known[0][1].raw if len(known) == 1 else _mixture([outlook for _, outlook in known])
            low_s, high_s = series.honesty.apply(raw)
            expected_s = round(raw.median_s, 1)
            low_s, high_s = round(min(low_s, expected_s), 1), round(max(high_s, expected_s), 1)
            queued = any(outlook.more_s is not outlook.waits_s for _, outlook in known)
            more_s = expected_s
            if queued:
                more_s = round(min(expected_s, _with_one_more([outlook for _, outlook in known])), 1)
            method = self._method([lane for lane, _ in known], end_ns)
        if raw is not None and len(series.forecasts) < _UNTRIED:
            series.forecasts.append((end_ns, raw))
        readable = sum(len(lane.identified) for lane in lanes)
        departures = sum(len(lane.departures) for lane in lanes)
        observed_s = min(_RATE_WINDOW_S, max((end_ns - self._began_ns) * 1e-9, 1.0))
        ever = any(lane.departed_ns is not None for lane in lanes)
        reference_s = self._baseline.get(series.program) if series.program is not None else None
        change = None
        if reference_s is not None and experienced.median_s is not None:
            change = round(100.0 * (experienced.median_s - reference_s) / reference_s, 2)
        planning_s, buffer = series.hour.quantile_s(0.95), series.hour.buffer_index()
        queue = [forecasts[lane.id].queue_n for lane, _ in known]
        return Wait(
            time=self._end_text,
            site=self._site,
            lane=series.lane,
            source=self._source,
            config=self._digest,
            traffic=series.traffic,
            program=series.program,
            from_point=self.from_point,
            to_point=self.to_point,
            interval_s=self._interval_s,
            experienced=experienced,
            expected_s=expected_s,
            low_s=low_s,
            high_s=high_s,
            queue_vehicles=round(sum(queue), 1) if queue else None,
            throughput_per_h=round(departures * 3600.0 / observed_s, 1) if ever else None,
            lower_bound=any(bounds.get(lane.id, False) for lane in lanes),
            method=method,
            match_rate=round(sum(lane.matched_n for lane in lanes) / readable, 3) if readable else None,
            reference_s=reference_s,
            change=change,
            bottleneck=bottleneck,
            booths_open=_booths_open(lanes),
            one_more_booth_s=more_s,
            planning_time_s=None if planning_s is None else round(planning_s, 1),
            planning_time_index=round(planning_s / reference_s, 2) if planning_s is not None and reference_s else None,
            buffer_index=None if buffer is None else round(buffer, 1),
            gain_s=self._gain_s(series),
        )

    def _gain_s(self, series: _Series) -> float | None:
        """What a lane of a program, or the program, saves against the standard program of its traffic."""
        if series.traffic is None or series.program in (None, "standard"):
            return None
        standard = self._programs.get((series.traffic, "standard"))
        theirs_s = standard.hour.quantile_s(0.5) if standard is not None else None
        ours_s = series.hour.quantile_s(0.5)
        return None if theirs_s is None or ours_s is None else round(theirs_s - ours_s, 1)

    def _method(self, lanes: list[_Lane], end_ns: int) -> Method:
        if not any(lane.last_identity_ns > end_ns - _METHOD_WINDOW_NS for lane in lanes):
            return "counted"
        return "fused" if any(any(lane.loops_upstream) for lane in lanes) else "matched"

    def _bottleneck(self, end_ns: int) -> Bottleneck | None:
        known = {pair: s for pair, delay in self._delays.items() if (s := delay.delay_s(end_ns)) is not None}
        # From the first point to the booth as a whole, or by the points between where all of these are read.
        ends = (self._points.index(self.from_point), self._points.index(self.to_point) + 1)
        inner = list(itertools.pairwise(self._points[slice(*ends)]))
        if len(inner) > 1:
            whole = (self.from_point, self.to_point)
            for pair in [whole] if all(pair in known for pair in inner) else inner:
                known.pop(pair, None)
        total = sum(known.values())
        if total < 1.0:
            return None
        pair = max(known, key=lambda item: known[item])
        return Bottleneck(
            from_point=pair[0],
            to_point=pair[1],
            delay_s=round(known[pair], 1),
            share=round(known[pair] / total, 3),
        )

    def _program_series(self, lane: _Lane) -> _Series:
        key = (lane.traffic, lane.program)
        return self._programs.setdefault(key, _Series("_", *key))

    def _one_traffic(self) -> Traffic | None:
        kinds = {lane.traffic for lane in self._lanes.values()}
        return kinds.pop() if len(kinds) == 1 else None


def _alike(a: Sighting, b: Sighting) -> bool:
    same = type(a) is type(b) and a.lane == b.lane and a.point == b.point
    return same and getattr(a, "id", "") == getattr(b, "id", "")


def _truths(before: tuple[int, float] | None, match: Match, at_ns: int) -> tuple[float, float, float]:
    """What the wait was at a moment between two vehicles, which is not one number.

    It is that of the next one; that of one who would have come then and taken the next one's place in the queue; and
    what lies between the two vehicles on a straight line.
    """
    assert match.wait_s is not None
    assert match.upstream is not None
    entered_ns = match.upstream.time_ns
    joined_s = match.wait_s + (max(0, entered_ns - at_ns) * 1e-9 if match.busy else 0.0)
    between_s = match.wait_s
    if before is not None and before[0] < at_ns < entered_ns:
        between_s = before[1] + (match.wait_s - before[1]) * (at_ns - before[0]) / (entered_ns - before[0])
    return match.wait_s, joined_s, between_s


def _booths_open(lanes: list[_Lane]) -> int | None:
    """None where nobody said so of one of the lanes: an open lane is then only a guess."""
    return round(sum(lane.open for lane in lanes)) if all(lane.booths_told for lane in lanes) else None


class _Delay:
    """Delay between two points: what travel took lately above what it takes when nobody waits."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, float]] = deque(maxlen=64)
        self._free_s: float | None = None

    def add(self, time_ns: int, travel_s: float) -> None:
        self._recent.append((time_ns, travel_s))
        # The low edge of travel times: falls at once, rises slowly.
        if self._free_s is None or travel_s < self._free_s:
            self._free_s = max(0.0, travel_s)
        else:
            self._free_s += 0.0005 * (travel_s - self._free_s)

    def delay_s(self, end_ns: int) -> float | None:
        while self._recent and self._recent[0][0] <= end_ns - _RATE_WINDOW_S * _NS:
            self._recent.popleft()
        lately = sorted(s for _, s in self._recent)
        if not lately or self._free_s is None:
            return None
        return max(0.0, lately[len(lately) // 2] - self._free_s)


def _quantile(ordered: list[float], q: float) -> float:
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def _experienced(waits_s: list[float]) -> Experienced:
    if not waits_s:
        return Experienced(count=0, median_s=None, p10_s=None, p90_s=None, p95_s=None)
    ordered = sorted(waits_s)
    median, p10, p90, p95 = (round(_quantile(ordered, q), 1) for q in (0.5, 0.1, 0.9, 0.95))
    return Experienced(count=len(ordered), median_s=median, p10_s=p10, p90_s=p90, p95_s=p95)


def _with_one_more(outlooks: list[Outlook]) -> float:
    """Median if one more booth opened in the lane where that helps most."""
    if len(outlooks) == 1:
        return float(np.median(outlooks[0].more_s))
    helped = max(outlooks, key=lambda o: o.weight * float(o.waits_s.mean() - o.more_s.mean()))
    return _mixture([replace(o, waits_s=o.more_s) if o is helped else o for o in outlooks]).median_s


def _mixture(outlooks: list[Outlook]) -> Interval:
    """What a vehicle may expect that comes into one of these lanes, as vehicles did lately."""
    waits = np.concatenate([outlook.waits_s for outlook in outlooks])
    weights = np.concatenate([np.full(len(o.waits_s), o.weight / len(o.waits_s)) for o in outlooks])
    order = np.argsort(waits, kind="stable")
    total = np.cumsum(weights[order])
    at = np.searchsorted(total, np.array([0.1, 0.5, 0.9]) * total[-1])
    low, median, high = (float(waits[order[min(int(i), len(order) - 1)]]) for i in at)
    weight = sum(o.weight for o in outlooks)
    cycle_s = sum(o.weight * o.raw.cycle_s for o in outlooks) / weight
    cycles_n = sum(o.weight * o.raw.cycles_n for o in outlooks) / weight
    return Interval(low, median, high, cycle_s, cycles_n)


def run_file(
    config: cfg.Config, path: Path, *, complain: Callable[[str], None] | None = None, source: str | None = None
) -> Iterator[Wait]:
    """The `wait` messages of a file of sightings, as the daemon would have made them.

    Bad lines are told to `complain`, by default on standard error; raises SightingError when the file cannot be read.
    """
    complain = complain or _to_stderr
    waits = CrossingWaits(config, source=source or config.site.source or "local")
    for sighting in read(path, complain):
        waits.feed(sighting)
        yield from waits.take()
    yield from waits.finish()
    for what, number in waits.stats().items():
        complain(f"{path}: {what}: {number}")


def _to_stderr(text: str) -> None:
    print(f"borderflow wait: {text}", file=sys.stderr)
