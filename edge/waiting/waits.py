"""Waits of a crossing: sightings in, `wait` messages out at the end of every interval.

The daemon and `borderflow wait` run this same code. Time comes in with the sightings (and, in the daemon, by
`advance`), never from a clock. A message for the interval that ends at T is made once nothing before T is expected any
more: `TOGETHER_NS` and the tolerance of disorder after T. What disorder does not exceed it changes no message.

Wait here is the time from passing the first point to arriving at the point named `booth`; the free travel time
between them is part of it. Flow of data: sightings -> `timeline` (order) -> `match` (vehicles at a point, and which one
is which; the queue) -> `lane` (what is known of a lane) -> `forecast` -> `intervals` -> `messages`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import get_args

from edge import config as cfg
from edge import core
from edge.messages import Program, Wait
from edge.waiting.bottleneck import Delays, Pair
from edge.waiting.honest import Factors
from edge.waiting.intervals import Reporter
from edge.waiting.lane import CYCLE_S, LaneState
from edge.waiting.match import TOGETHER_NS, Segment, match_of, record_of
from edge.waiting.plate_formats import table
from edge.waiting.sightings import BoothChange, PlateSighting, Sighting, TagSighting, TokenSighting
from edge.waiting.timeline import REORDER_NS, Timeline
from edge.waiting.trials import Trials

_NS = 1_000_000_000
_RUN_EVERY_NS = 2_000_000_000
_PROGRAMS: tuple[Program, ...] = get_args(Program)
_NEVER_NS = -(1 << 62)
_STRAYS = 3.0  # vehicles that may be left in the count of an empty road
_FILL_NS = 48 * 3600 * _NS


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
        self._places = {
            (lane.id, point): number * len(points) + i
            for number, lane in enumerate(config.lane)
            for i, point in enumerate(points)
        }
        self._booths: dict[int, BoothChange] = {}  # that have not had their turn, by number in the order
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
        self.counters.update(self._matcher.counters() if self._lanes else {})
        self._timeline = Timeline(self.counters, self._put_in, self._reorder_ns)
        self._next_ns: int | None = None  # end of the current interval
        self._began_ns = 0  # the first sighting of all
        self._last_ns = _NEVER_NS
        self._run_ns = -(1 << 63)  # nothing is worth a look before the newest sighting comes to this
        self._booths.clear()
        self._begin()

    def _begin(self) -> None:
        """Nothing is known of any vehicle."""
        config, points, before = self._config, self._points, self._lanes
        factors = {(lane.direction, lane.traffic): Factors() for lane in config.lane}
        self._lanes = {
            lane.id: LaneState(lane, self.counters, factors[lane.direction, lane.traffic]) for lane in config.lane
        }
        self._numbered = list(self._lanes.values())
        for lane in self._numbered:
            if lane.id in before:
                lane.keep_booths(before[lane.id])
        ends = (self.from_point, self.to_point)
        directions = dict.fromkeys(lane.direction for lane in config.lane)
        self._matcher = core.Matcher(
            len(self._numbered), len(points), len(points) * len(directions), counts_only=self.from_point == "booth"
        )
        for (lane_id, point), place in self._places.items():
            self._matcher.name(place, lane_id, point)
        self._ways = {direction: self._make_segments(direction) for direction in directions}
        self._mains = {direction: way[ends] for direction, way in self._ways.items() if ends in way}
        for lane in self._numbered:
            self._open_booths(lane)
        self._delays = {lane.stream: Delays(self._ways[lane.direction], points, ends) for lane in self._numbered}
        # By number of the lane and of the way, as events have them.
        self._delay_of = {
            (number, segment.way): self._delays[lane.stream].of[pair]
            for number, lane in enumerate(self._numbered)
            for pair, segment in self._ways[lane.direction].items()
        }
        self._main_ways = {segment.way for segment in self._mains.values()}
        self._reporter = Reporter(
            config, source=self._source, ends=ends, length_m=self._length_m(ends), lanes=self._numbered
        )
        self._rows = [self._reporter.rows_of(lane) for lane in self._numbered]
        self._trials = Trials()

    def _make_segments(self, direction: str) -> dict[Pair, Segment]:
        """The way of one direction: between each point and the next, and from the first to the booth."""
        points = self._points
        pairs = list(itertools.pairwise(points))
        if self.from_point != self.to_point and (self.from_point, self.to_point) not in pairs:
            pairs.insert(0, (self.from_point, self.to_point))
        numbered = enumerate(self._numbered)
        lanes = {lane.id: (i, CYCLE_S[lane.traffic]) for i, lane in numbered if lane.direction == direction}
        readers = {point.name: point.plates for point in self._config.point}
        return {
            pair: Segment(
                self._matcher,
                (points.index(pair[0]), points.index(pair[1])),
                lanes,
                main=pair == (self.from_point, self.to_point),
                length_m=self._length_m(pair),
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
        if kind is BoothChange:
            if sighting.lane not in self._lanes:
                self.counters["unknown_lane"] += 1
                return
            if sighting.program not in (None, *_PROGRAMS):  # type: ignore[union-attr,operator]
                self.counters["unknown_program"] += 1  # what else it says counts
        if (kind is TagSighting or kind is PlateSighting) and not sighting.id.strip():  # type: ignore[union-attr]
            self.counters["empty_identity"] += 1
            return
        if kind is TokenSighting and not sighting.tokens:  # type: ignore[union-attr]
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

    def feed_lines(self, data: bytes, at: int) -> tuple[int, int]:
        """Lines of a file from `at` on, as `edge.waiting.sightings.parse` and `feed` would take them.

        As long as they are plain: where the first is that is not, and how many lines were taken.
        """
        lines = 0
        while self._next_ns is not None and self._timeline.usual:
            timeline = self._timeline
            done = self._matcher.lines(
                timeline.order, data, at, newest_ns=timeline.newest_ns or 0, run_ns=self._run_ns,
                run_every_ns=_RUN_EVERY_NS, reorder_ns=timeline.reorder_ns, limit_ns=self._next_ns + TOGETHER_NS,
            )  # fmt: skip
            at, lines, self._run_ns = done.used, lines + done.lines, done.run_ns
            timeline.went_on(done.newest_ns, done.late)
            self._look(done.why, done.time_ns, done.events)
            if done.why in (core.STOP_DONE, core.STOP_LINE):
                break
        return at, lines

    def _put_in(self, order: core.Order, sighting: Sighting) -> None:
        kind, data = record_of(sighting)
        place = self._places.get((sighting.lane, sighting.point))
        if place is None or kind == core.SEEN_BOOTH:  # a booth is the lane's, wherever it is said to stand
            place = self._places[(sighting.lane, self.from_point)]
        number = order.put(sighting.time_ns, place, kind, data)
        if isinstance(sighting, BoothChange):
            self._booths[number] = sighting

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
        if self._next_ns is None and not self._config.point:  # no sighting is ever going to begin them
            self._begin_at(now_ns)
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
        self._timeline.end()
        self._take_in(_NEVER_NS, everything=True)
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
        counters = self.counters.copy()
        counters.update(self._matcher.counters())
        return dict(sorted(counters.items()))

    def plate_errors(self) -> dict[str, core.PlateErrors]:
        """By direction: what was learned of the plate readers at the first point and the booth."""
        return {direction: main.plates.learned() for direction, main in self._mains.items()}

    # ---- the way of a sighting -----------------------------------------------------------------------------------

    def _run(self) -> None:
        """All that is due by now."""
        settled_ns = self._timeline.settled_ns
        if settled_ns is None:
            return
        self._take_in(settled_ns)
        self._run_ns = settled_ns + self._timeline.reorder_ns + _RUN_EVERY_NS
        if self._next_ns is not None:
            self._tick(settled_ns)

    def _take_in(self, due_ns: int, *, everything: bool = False) -> None:
        """The sightings up to `due_ns` go their way; intervals that end before them are closed."""
        while True:
            limit_ns = _NEVER_NS if self._next_ns is None else self._next_ns + TOGETHER_NS
            why, time_ns, events = self._matcher.run(self._timeline.order, due_ns, limit_ns, everything=everything)
            self._look(why, time_ns, events)
            if why == core.STOP_DONE:
                return

    def _look(self, why: int, time_ns: int, events: Iterable[core.Event]) -> None:
        """The core stopped for that reason, and this happened until then."""
        for event in events:
            self._happened(event)
        self._last_ns = max(self._last_ns, self._matcher.last_ns)
        if why == core.STOP_LIMIT:
            if self._next_ns is None:
                self._begin_at(time_ns)
            else:
                self._tick(time_ns)

    def _settle(self, time_ns: int) -> None:
        """Vehicles that came to their point before `time_ns` are complete."""
        again = True
        while again:
            again, events = self._matcher.settle(time_ns)
            for event in events:
                self._happened(event)

    def _happened(self, event: core.Event) -> None:
        what, number, way, _, time_ns, pos = event[:6]
        if what == core.GAP:
            self._after_gap(time_ns)
            return
        lane = self._numbered[number]
        if what == core.ENTERED:
            lane.entered(time_ns)
            self._trials.entered((number, pos), self._rows[number])
        elif what == core.SERVED:
            lane.served(time_ns)
        elif what == core.BOOTH:
            lane.change_booth(self._booths.pop(pos))
            self._rows[number] = self._reporter.rows_of(lane)
            self._open_booths(lane)
        else:
            match = match_of(event)
            if way in self._main_ways:
                if lane.arrived(match):
                    self._open_booths(lane)
                self._trials.arrived(lane, match)
            if (alone_s := match.alone_s) is not None:
                self._delay_of[number, way].add(time_ns, alone_s)

    def _after_gap(self, last_ns: int) -> None:
        """Nobody looked since, or the clock was put on: who was in a queue then is not known now."""
        for lane in self._numbered:
            for pair, segment in self._ways[lane.direction].items():
                if segment.queues[lane.id].predict(last_ns).queue_n > _STRAYS:
                    segment.empty(lane.id)
                    if pair == (self.from_point, self.to_point):
                        lane.lost()

    def _tick(self, time_ns: int) -> None:
        """Time has come to `time_ns`: complete passages downstream, close intervals."""
        assert self._next_ns is not None
        if time_ns > self._next_ns + _FILL_NS:  # nothing for days: begin anew instead of filling the gap
            self._settle(time_ns)
            self._close(self._next_ns)
            self._begin_at(time_ns)
            self.counters.update(self._matcher.counters())
            self._begin()
            self.counters["restarted"] += 1
        while time_ns >= self._next_ns + TOGETHER_NS:
            self._settle(self._next_ns + TOGETHER_NS)
            self._close(self._next_ns)
        self._settle(time_ns)

    def _begin_at(self, time_ns: int) -> None:
        self._began_ns = time_ns
        self._next_ns = time_ns // self._interval_ns * self._interval_ns + self._interval_ns

    def _close(self, end_ns: int) -> None:
        """Make the messages of the interval that ends at `end_ns`."""
        bottlenecks = {stream: delays.worst(end_ns) for stream, delays in self._delays.items()}
        self._out += self._reporter.close(end_ns, self._began_ns, self._mains, bottlenecks)
        self._next_ns = end_ns + self._interval_ns


def _what_counts(config: cfg.Config) -> tuple[object, ...]:
    lanes = [(lane.id, lane.traffic, lane.direction, lane.program, lane.booths) for lane in config.lane]
    return lanes, config.point, config.wait.interval_s
