"""Traffic flow: vehicles and loop counts in, `flow` messages for 1, 5, 15 and 60 minutes out.

Intervals end on exact multiples of their length on the UTC clock, so that daylight-saving changes do not touch them.
An event belongs to the interval of its own time; one that comes after that interval was published goes into the
oldest interval that is still open, once. Called by `edge.crossing`; time comes in. Whoever has the clock tells of its
leaps (`restart`): time in which nobody looked makes no intervals of nothing.

A lane with a WIM array counts there; another lane counts at the first of its points whose loop was heard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from edge import config as cfg
from edge.messages import Distribution, Flow, Site, Vehicle, parse_utc, utc_text

MINUTES = (1, 5, 15, 60)
LATENESS_NS = 15_000_000_000  # a vehicle is reported when it has left the array, a little after its time
_NS = 1_000_000_000
_AHEAD_NS = 120 * _NS
_OVERHANG_M = 2.0  # body before the first and behind the last axle, where the length is not known
_BOUND = 20_000  # values kept for the distributions of one interval


@dataclass(slots=True)
class _Bucket:
    """What one lane saw in one interval."""

    count: int = 0
    by_class: Counter[str] = field(default_factory=Counter)
    gross_kg: dict[str, float] = field(default_factory=dict)
    speed_mps: list[float] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)
    occupied_s: float = 0.0
    weighed: int = 0
    identified: int = 0


@dataclass(slots=True)
class _Series:
    """The open intervals of one lane and one length."""

    lane: str
    length_ns: int
    open: dict[int, _Bucket] = field(default_factory=dict)  # by end
    closed_ns: int | None = None  # end of the last interval that was published
    last_ns: int | None = None  # time of the last vehicle before the open intervals, for the headway

    def bucket(self, time_ns: int) -> _Bucket:
        end_ns = time_ns // self.length_ns * self.length_ns + self.length_ns
        if self.closed_ns is not None and end_ns <= self.closed_ns:
            end_ns = min(self.open, default=self.closed_ns + self.length_ns)
        return self.open.setdefault(end_ns, _Bucket())


class FlowCounter:
    """Flow of all lanes. `source` names the publishing computer."""

    def __init__(self, config: cfg.Config, *, source: str = "local") -> None:
        self.counters: Counter[str] = Counter()
        self._site = Site(config.site.country, config.site.port)
        self._source = source
        self._series: list[_Series] = []
        self._now_ns: int | None = None
        self._take(config)

    def renew(self, config: cfg.Config) -> list[Flow]:
        """Another configuration from now on. A lane that stays counts on; of one that is no more, what was counted is
        published as it stands."""
        staying = {lane.id for lane in config.lane}
        gone = [series for series in self._series if series.lane not in staying]
        messages = [self._message(of, end_ns, bucket) for of in gone for end_ns, bucket in sorted(of.open.items())]
        self._take(config)
        return messages

    def _take(self, config: cfg.Config) -> None:
        self._digest = cfg.digest(config)
        self._points = [point.name for point in config.point]
        self._point: dict[str, str | None] = {}
        for lane in config.lane:
            device = cfg.named(config.device, lane.wim.device) if lane.wim is not None and lane.wim.device else None
            self._point[lane.id] = (device.point if device is not None else None) or ("wim" if lane.wim else None)
        self._lanes = {lane.id: lane for lane in config.lane}
        self._weighs = {lane.id: lane.wim is not None for lane in config.lane}
        before = {(series.lane, series.length_ns): series for series in self._series}
        self._series = []
        for lane in config.lane:
            for length_ns in (minutes * 60 * _NS for minutes in MINUTES):
                series = before.get((lane.id, length_ns)) or _Series(lane.id, length_ns)
                if series.closed_ns is None and self._now_ns is not None:
                    series.closed_ns = self._now_ns // length_ns * length_ns
                self._series.append(series)

    def vehicle(self, vehicle: Vehicle) -> None:
        """A vehicle was weighed."""
        time_ns = parse_utc(vehicle.time)
        code = vehicle.class_.code
        length_m = vehicle.length_m if vehicle.length_m is not None else vehicle.wheelbase_m + _OVERHANG_M
        for bucket in self._buckets(vehicle.lane, time_ns):
            self._count(bucket, time_ns)
            bucket.by_class[code] += 1
            bucket.gross_kg[code] = bucket.gross_kg.get(code, 0.0) + vehicle.gross_kg
            bucket.weighed += 1
            bucket.identified += bool(vehicle.identities)
            if vehicle.speed_mps is not None and vehicle.speed_mps > 0.1:
                if len(bucket.speed_mps) < _BOUND:
                    bucket.speed_mps.append(vehicle.speed_mps)
                bucket.occupied_s += length_m / vehicle.speed_mps

    def loop(self, lane: str, point: str, time_ns: int) -> None:
        """A loop counted a vehicle; it counts here if this is the point at which the lane counts."""
        if self._weighs.get(lane, True):
            return
        known = self._point[lane]
        if known is None or self._order(point) < self._order(known):
            self._point[lane] = point
        elif point != known:
            return
        for bucket in self._buckets(lane, time_ns):
            self._count(bucket, time_ns)

    def identified(self, lane: str, time_ns: int) -> None:
        """An identity was read in this lane."""
        if self._weighs.get(lane, True):
            return  # a weighed vehicle brings its identities along
        for bucket in self._buckets(lane, time_ns):
            bucket.identified += 1

    def advance(self, now_ns: int) -> list[Flow]:
        """It is `now_ns`; returns the messages of the intervals that are complete. A clock set back a little changes
        nothing; of a leap tells `restart`."""
        if self._now_ns is None:
            for series in self._series:
                begun_ns = now_ns // series.length_ns * series.length_ns
                series.closed_ns = min([begun_ns, *(end - series.length_ns for end in series.open)])
        self._now_ns = now_ns if self._now_ns is None else max(now_ns, self._now_ns)
        return list(self._due(self._now_ns - LATENESS_NS))

    def restart(self) -> list[Flow]:
        """The clock leapt: what was counted is published as it stands, and intervals begin anew."""
        messages: list[Flow] = []
        for series in self._series:
            messages += [self._message(series, end_ns, bucket) for end_ns, bucket in sorted(series.open.items())]
            series.open.clear()
            series.closed_ns = series.last_ns = None
        self._now_ns = None
        return messages

    def _due(self, settled_ns: int) -> Iterator[Flow]:
        for series in self._series:
            assert series.closed_ns is not None
            last_ns = settled_ns // series.length_ns * series.length_ns
            while series.closed_ns < last_ns:
                end_ns = series.closed_ns + series.length_ns
                yield self._message(series, end_ns, series.open.pop(end_ns, _Bucket()))
                series.closed_ns = end_ns

    def _buckets(self, lane: str, time_ns: int) -> Iterator[_Bucket]:
        if self._now_ns is not None and time_ns > self._now_ns + _AHEAD_NS:
            self.counters["future"] += 1
            return
        for series in self._series:
            if series.lane == lane:
                yield series.bucket(time_ns)

    @staticmethod
    def _count(bucket: _Bucket, time_ns: int) -> None:
        bucket.count += 1
        if len(bucket.times_ns) < _BOUND:
            bucket.times_ns.append(time_ns)

    def _order(self, point: str) -> int:
        return self._points.index(point) if point in self._points else len(self._points)

    def _message(self, series: _Series, end_ns: int, bucket: _Bucket) -> Flow:
        length_s = series.length_ns / _NS
        times_ns = sorted(bucket.times_ns)
        headways = np.diff(np.array(([series.last_ns] if series.last_ns is not None else []) + times_ns)) / _NS
        if times_ns:
            series.last_ns = times_ns[-1]
        point = self._point[series.lane] or (self._points[0] if self._points else "")
        identified = None
        if bucket.count:
            of = bucket.weighed or bucket.count
            identified = round(min(1.0, bucket.identified / of), 3)
        return Flow(
            time=utc_text(end_ns),
            site=self._site,
            lane=series.lane,
            source=self._source,
            config=self._digest,
            direction=self._lanes[series.lane].direction,
            traffic=self._lanes[series.lane].traffic,
            interval_s=round(length_s),
            point=point,
            count=bucket.count,
            count_by_class=dict(sorted(bucket.by_class.items())),
            speed_mps=_distribution(np.array(bucket.speed_mps)),
            headway_s=_distribution(headways[headways >= 0]),
            gross_kg_by_class={
                code: round(total / bucket.by_class[code], 1) for code, total in sorted(bucket.gross_kg.items())
            },
            occupancy=round(min(1.0, bucket.occupied_s / length_s), 4) if bucket.weighed else None,
            identified_share=identified,
        )


def _distribution(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Distribution | None:
    if not len(values):
        return None
    p15, p50, p85 = (round(float(value), 2) for value in np.percentile(values, (15, 50, 85)))
    sd = round(float(values.std(ddof=1)), 3) if len(values) > 1 else None
    return Distribution(mean=round(float(values.mean()), 3), sd=sd, p15=p15, p50=p50, p85=p85)
