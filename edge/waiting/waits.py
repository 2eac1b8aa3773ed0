"""Waits of a crossing: sightings in, `wait` messages out at the end of every interval.

The daemon and `borderflow wait` run this same code. Time comes in with the sightings (and, in the daemon, by
`advance`), never from a clock. A message for the interval that ends at T is made once nothing before T is expected any
more: `TOGETHER_NS` and the tolerance of disorder after T. What disorder does not exceed it changes no message.

Wait here is the time from passing the first point to arriving at the point named `booth`; the free travel time
between them is part of it. Flow of data: sightings -> `timeline` (order) -> `passages` (vehicles at a point) ->
`segment` (which one is which; the queue) -> `lane` (what is known of a lane) -> `intervals` (messages).
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from edge import config as cfg
from edge.core import PlateErrors
from edge.messages import Program, Wait
from edge.waiting.bottleneck import Delay, Delays, Pair
from edge.waiting.intervals import Reporter
from edge.waiting.lane import CYCLE_S, LaneState
from edge.waiting.passages import TOGETHER_NS, Passage, PointOfLane
from edge.waiting.plate_formats import table
from edge.waiting.segment import Segment
from edge.waiting.sightings import BoothChange, LoopCount, PlateSighting, Sighting, TagSighting
from edge.waiting.timeline import REORDER_NS, Timeline
from edge.waiting.trials import Trials

_NS = 1_000_000_000
_RUN_EVERY_NS = 2_000_000_000
_PROGRAMS: tuple[Program, ...] = get_args(Program)
_NEVER_NS = -(1 << 62)
_GAP_NS = 900 * _NS  # without a sighting at any point
_STRAYS = 3.0  # vehicles that may be left in the count of an empty road
_FILL_NS = 48 * 3600 * _NS


@dataclass(slots=True)
class _Place:
    """A point of a lane, and what follows from a vehicle there."""

    vehicles: PointOfLane
    lane: LaneState
    begins: list[Segment]
    ends: list[tuple[Segment, Delay]]
    first: bool  # the first point, where waits begin
    alone: bool  # the booth, with no point before it: departures are counted, and nothing else is known


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
        self._source = source
        self._interval_ns = config.wait.interval_s * _NS
        self._reorder_ns = reorder_ns
        self._lanes: dict[str, LaneState] = {}
        self._out: list[Wait] = []
        self.restart()

    def fits(self, config: cfg.Config) -> bool:
        """Whether vehicles, queues and intervals are the same under that configuration."""
        return _what_counts(config) == _what_counts(self._config)

    def renew(self, config: cfg.Config) -> None:
        """A configuration that `fits`, from now on."""
        self._config = config
        self._reporter.renew(config)

    def restart(self) -> None:
        """The clock leapt: times from before it say nothing of times after it, so vehicles and intervals begin anew."""
        self._timeline = Timeline(self.counters, self._reorder_ns)
        self._next_ns: int | None = None  # end of the current interval
        self._began_ns = 0  # the first sighting of all
        self._last_ns = _NEVER_NS
        self._run_ns = -(1 << 63)  # nothing is worth a look before the newest sighting comes to this
        self._begin()

    def _begin(self) -> None:
        """Nothing is known of any vehicle."""
        config, points, before = self._config, self._points, self._lanes
        self._lanes = {lane.id: LaneState(lane, self.counters) for lane in config.lane}
        for lane in self._lanes.values():
            if lane.id in before:
                lane.keep_booths(before[lane.id])
        ends = (self.from_point, self.to_point)
        directions = dict.fromkeys(lane.direction for lane in config.lane)
        self._ways = {direction: self._make_segments(direction) for direction in directions}
        self._mains = {direction: way[ends] for direction, way in self._ways.items() if ends in way}
        for lane in self._lanes.values():
            self._open_booths(lane)
        self._delays = {lane.stream: Delays(self._ways[lane.direction], points, ends) for lane in self._lanes.values()}
        self._reporter = Reporter(
            config,
            source=self._source,
            ends=ends,
            length_m=self._length_m(ends),
            lanes=list(self._lanes.values()),
        )
        self._rows = {lane.id: self._reporter.rows_of(lane) for lane in self._lanes.values()}
        self._trials = Trials()
        # Downstream, to be completed by what is read of them; and booths, in the same order of time.
        self._pending = deque[tuple[int, Passage | BoothChange, _Place | None]]()
        self._same_ns = 0
        self._same: list[Sighting] = []  # sightings of that very time
        self._places = {
            (lane.id, point): _Place(
                PointOfLane(self.counters, f"{lane.id}/{point}"),
                lane,
                [segment for pair, segment in self._ways[lane.direction].items() if pair[0] == point],
                [
                    (segment, self._delays[lane.stream].of[pair])
                    for pair, segment in self._ways[lane.direction].items()
                    if pair[1] == point
                ],
                point == self.from_point,
                point == self.from_point == "booth",
            )
            for lane in self._lanes.values()
            for point in points
        }

    def _make_segments(self, direction: str) -> dict[Pair, Segment]:
        """The way of one direction: between each point and the next, and from the first to the booth."""
        pairs = list(itertools.pairwise(self._points))
        if self.from_point != self.to_point and (self.from_point, self.to_point) not in pairs:
            pairs.insert(0, (self.from_point, self.to_point))
        lanes = [lane for lane in self._lanes.values() if lane.direction == direction]
        readers = {point.name: point.plates for point in self._config.point}
        return {
            pair: Segment(
                {lane.id: CYCLE_S[lane.traffic] for lane in lanes},
                length_m=self._length_m(pair),
                counters=self.counters,
                plates=table(*(readers.get(point, cfg.PlateReader()) for point in pair)),
            )
            for pair in pairs
        }

    def _length_m(self, pair: Pair) -> float | None:
        x_m = {point.name: point.x_m for point in self._config.point}
        a, b = x_m.get(pair[0]), x_m.get(pair[1])
        return b - a if a is not None and b is not None else None

    def _open_booths(self, lane: LaneState) -> None:
        for (_, to_point), segment in self._ways[lane.direction].items():
            if to_point == self.to_point:
                segment.queues[lane.id].booths(lane.open)
                segment.queues[lane.id].program(_PROGRAMS.index(lane.program))

    # ---- in --------------------------------------------------------------------------------------------------

    def feed(self, sighting: Sighting) -> None:
        """Take a sighting, in any order that is right but for a few seconds. Bad ones are counted, never raised."""
        kind = type(sighting)
        if (sighting.lane, sighting.point) not in self._places and kind is not BoothChange:
            self.counters["unknown_point" if sighting.lane in self._lanes else "unknown_lane"] += 1
            return
        if kind is BoothChange and sighting.lane not in self._lanes:
            self.counters["unknown_lane"] += 1
            return
        if (kind is TagSighting or kind is PlateSighting) and not sighting.id.strip():  # type: ignore[union-attr]
            self.counters["empty_identity"] += 1
            return
        if abs(sighting.time_ns) >= 1 << 62:
            self.counters["future"] += 1
            return
        timeline = self._timeline
        timeline.put(sighting)
        if timeline.back:
            self._go_back()
            timeline = self._timeline
        if timeline.newest_ns is not None and timeline.newest_ns >= self._run_ns:
            self._run()

    def recall(self, sightings: Iterable[Sighting], last_ns: int, now_ns: int) -> list[Wait]:
        """Take in again what was seen before a restart, as it came, up to `last_ns`; it is `now_ns`.

        Returns the messages of the intervals up to `last_ns`, all of which may have been told then. Nothing is told of
        the intervals in which nobody looked.
        """
        out: list[Wait] = []
        for sighting in sightings:
            self._timeline.clock(sighting.time_ns)
            self.feed(sighting)
            out += self.take()
        out += self.advance(last_ns)
        self._unwatched((now_ns - last_ns) * 1e-9)
        self.advance(now_ns)
        return out

    def _unwatched(self, seconds: float) -> None:
        """Nobody looked so long: some vehicles came and went meanwhile."""
        for lane in self._lanes.values():
            for segment in self._ways[lane.direction].values():
                segment.unwatched(lane.id, seconds, lane.rate_per_s(self._last_ns) * seconds)

    def advance(self, now_ns: int) -> list[Wait]:
        """It is `now_ns`; returns the messages of the intervals that are complete by now."""
        self._timeline.clock(now_ns)
        self._run()
        return self.take()

    @property
    def ready(self) -> bool:
        """Whether there is something to `take`."""
        return bool(self._out)

    def take(self) -> list[Wait]:
        """Messages that are finished."""
        out, self._out = self._out, []
        return out

    def finish(self) -> list[Wait]:
        """Nothing more will come: everything that is held goes through, and the last interval is closed."""
        self._drain()
        return self.take()

    def _drain(self) -> None:
        for sighting in self._timeline.due(everything=True):
            self._process(sighting)
        if self._next_ns is not None:
            end_ns = -(-self._last_ns // self._interval_ns) * self._interval_ns
            while self._next_ns <= end_ns:
                self._settle(self._next_ns + TOGETHER_NS)
                self._close(self._next_ns)

    def _go_back(self) -> None:
        """The clock of the sightings was set back, or had been wrong: they go on at an earlier time."""
        again = self._timeline.back
        self._timeline.back = []
        self._drain()
        self.restart()
        self.counters["clock_set_back"] += 1
        self._timeline.resume(again)

    def stats(self) -> dict[str, int]:
        """Counters of bad and unusual input since the start, by a short word."""
        return dict(sorted(self.counters.items()))

    def plate_errors(self) -> dict[str, PlateErrors]:
        """By direction: what was learned of the plate readers at the first point and the booth."""
        return {direction: main.plates.learned() for direction, main in self._mains.items()}

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
            if time_ns > self._last_ns + _GAP_NS and self._last_ns != _NEVER_NS:
                self._after_gap()
            self._last_ns = time_ns
        if time_ns != self._same_ns:
            self._same_ns = time_ns
            self._same = [sighting]
        elif any(_alike(sighting, other) for other in self._same):
            self.counters["duplicate"] += 1
            return
        else:
            self._same.append(sighting)
        if type(sighting) is BoothChange:
            pending.append((time_ns, sighting, None))
            return
        place = self._places[(sighting.lane, sighting.point)]
        passage, new = place.vehicles.take(sighting)  # type: ignore[arg-type]
        if passage is None:
            return
        is_loop = type(sighting) is LoopCount
        if new:
            for segment in place.begins:
                segment.enter(passage)
            if place.ends or place.alone:
                pending.append((passage.time_ns, passage, place))
            if place.first:
                self._entered(place.lane, passage)
        elif not is_loop:
            for segment in place.begins:
                segment.mark(passage)

    def _after_gap(self) -> None:
        """Nobody looked for a while, or the clock was put on: who was in a queue then is not known now."""
        for lane in self._lanes.values():
            for pair, segment in self._ways[lane.direction].items():
                if segment.queues[lane.id].predict(self._last_ns).queue_n > _STRAYS:
                    segment.empty(lane.id)
                    if pair == (self.from_point, self.to_point):
                        lane.lost()

    def _entered(self, lane: LaneState, passage: Passage) -> None:
        lane.entered(passage.time_ns)
        self._trials.entered(passage, self._rows[lane.id])

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
            _, passage, place = self._pending.popleft()
            if place is None or isinstance(passage, BoothChange):
                assert isinstance(passage, BoothChange)
                lane = self._lanes[passage.lane]
                lane.change_booth(passage)
                self._rows[lane.id] = self._reporter.rows_of(lane)
                self._open_booths(lane)
                continue
            if place.alone:
                place.lane.served(passage.time_ns)
            for segment, delay in place.ends:
                match = segment.depart(passage)
                if segment is self._mains.get(place.lane.direction):
                    if place.lane.arrived(match):
                        self._open_booths(place.lane)
                    self._trials.arrived(place.lane, match)
                if match.wait_s is not None and match.sure and not match.detour:
                    delay.add(match.time_ns, match.wait_s)

    def _close(self, end_ns: int) -> None:
        """Make the messages of the interval that ends at `end_ns`."""
        bottlenecks = {stream: delays.worst(end_ns) for stream, delays in self._delays.items()}
        self._out += self._reporter.close(end_ns, self._began_ns, self._mains, bottlenecks)
        self._next_ns = end_ns + self._interval_ns


def _what_counts(config: cfg.Config) -> tuple[object, ...]:
    lanes = [(lane.id, lane.traffic, lane.direction, lane.program, lane.booths) for lane in config.lane]
    return lanes, config.point, config.wait.interval_s


def _alike(a: Sighting, b: Sighting) -> bool:
    same = type(a) is type(b) and a.lane == b.lane and a.point == b.point
    return same and getattr(a, "id", "") == getattr(b, "id", "")
