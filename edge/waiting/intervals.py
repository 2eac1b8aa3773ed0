"""The messages of one interval: what the lanes know in, one `wait` for each lane, program and the crossing out.

Programs and the crossing are told apart by direction and kind of traffic.

Called by `edge.waiting.waits` at the end of every interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal

from edge import config as cfg
from edge.core import Forecast
from edge.messages import Bottleneck, Experienced, Program, Site, Traffic, Wait, utc_text
from edge.waiting.honest import Interval
from edge.waiting.lane import RATE_WINDOW_S, LaneState
from edge.waiting.outlook import Outlook, together, with_one_more
from edge.waiting.segment import Segment
from edge.waiting.series import Series

_NS = 1_000_000_000
_SAMPLES = 128
_WHAT_IF_SAMPLES = 32
_METHOD_WINDOW_NS = 3600 * _NS
_OPEN, _OPEN_S = 0.05, 30.0  # a median that may be off by more, as likely as not, is none
_UNTRIED = 30  # forecasts that are kept until the next vehicle comes

Method = Literal["matched", "counted", "fused"]
Stream = tuple[str, Traffic]
"""A direction and a kind of traffic."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """The end of an interval, and what is common to its messages."""

    end_ns: int
    text: str
    began_ns: int
    outlooks: dict[str, Outlook]
    full: set[str]  # lanes whose queue reaches beyond the first point
    bottlenecks: Mapping[Stream, Bottleneck | None]
    mains: Mapping[str, Segment]


class Reporter:
    """Makes the messages of a crossing; `source` names the publishing computer."""

    def __init__(
        self, config: cfg.Config, *, source: str, ends: tuple[str, str], length_m: float | None, lanes: list[LaneState]
    ) -> None:
        self._site = Site(config.site.country, config.site.port)
        self._source = source
        self._digest = cfg.digest(config)
        self._interval_s = config.wait.interval_s
        self._baseline = config.wait.baseline
        self._from, self._to = ends
        self._length_m = length_m
        self._lanes = lanes
        self._crossings = {lane.stream: Series("_", *lane.stream, None) for lane in lanes}
        self._programs: dict[tuple[Stream, Program], Series] = {}

    def rows_of(self, lane: LaneState) -> tuple[Series, Series, Series]:
        """The rows that a vehicle of this lane counts in."""
        return lane.series, self._program(lane.stream, lane.program), self._crossings[lane.stream]

    def close(
        self,
        end_ns: int,
        began_ns: int,
        mains: Mapping[str, Segment],
        bottlenecks: Mapping[Stream, Bottleneck | None],
    ) -> list[Wait]:
        """The messages of the interval that ends at `end_ns`; the first sighting of all was at `began_ns`.

        `mains` are the ways from the first point to the booth, by direction.
        """
        outlooks: dict[str, Outlook] = {}
        full: set[str] = set()
        for lane in self._lanes:
            lane.forget_departures(end_ns)
            main = mains.get(lane.direction)
            if main is None:
                continue
            queue = main.queues[lane.id]
            forecast = queue.predict(end_ns, _SAMPLES)
            if lane.unseen(forecast):
                main.empty(lane.id)
            if lane.trusts(forecast, end_ns):
                more_s = None
                if forecast.queue_n > 0.5:
                    more_s = queue.predict(end_ns, _WHAT_IF_SAMPLES, more_booths=1).waits_s
                weight = max(0.05, lane.rate_at(end_ns))
                outlooks[lane.id] = Outlook(
                    forecast.waits_s, weight, forecast.queue_n, _summary(forecast, lane.missing_n(end_ns)), more_s
                )
                if lane.overflows(forecast, self._length_m):
                    full.add(lane.id)
        moment = _Moment(end_ns, utc_text(end_ns), began_ns, outlooks, full, bottlenecks, mains)
        programs: dict[tuple[Stream, Program], list[LaneState]] = {}
        streams: dict[Stream, list[LaneState]] = {}
        for lane in self._lanes:
            programs.setdefault((lane.stream, lane.program), []).append(lane)
            streams.setdefault(lane.stream, []).append(lane)
        out = [self._message(lane.series, [lane], moment) for lane in self._lanes]
        out += [self._message(self._program(*key), lanes, moment) for key, lanes in programs.items()]
        out += [self._message(self._crossings[stream], lanes, moment) for stream, lanes in streams.items()]
        for lane in self._lanes:
            lane.end_interval()
        return out

    def _message(self, series: Series, lanes: list[LaneState], moment: _Moment) -> Wait:
        waits = _waits(lanes)
        series.hour.add(moment.end_ns, waits)
        experienced = _experienced(waits)
        expected_s = low_s = high_s = more_s = queue_n = None
        method: Method | None = None
        known = [lane for lane in lanes if lane.id in moment.outlooks]
        if known:
            outlooks = [moment.outlooks[lane.id] for lane in known]
            raw = together(outlooks)
            if len(series.forecasts) < _UNTRIED:
                series.forecasts.append((moment.end_ns, raw))
            low_s, high_s = series.honesty.apply(raw)
            expected_s = round(raw.median_s, 1)
            low_s, high_s = round(min(low_s, expected_s), 1), round(max(high_s, expected_s), 1)
            more_s = with_one_more(outlooks)
            more_s = expected_s if more_s is None else round(min(expected_s, more_s), 1)
            queue_n = round(sum(outlook.queue_n for outlook in outlooks), 1)
            method = _method(known, moment.mains[series.direction], moment.end_ns)
        readable = sum(len(lane.identified) for lane in lanes)
        reference_s = self._baseline.get(series.program) if series.program is not None else None
        change = None
        if reference_s is not None and experienced.median_s is not None:
            change = round(100.0 * (experienced.median_s - reference_s) / reference_s, 2)
        planning_s, buffer = series.hour.quantile_s(0.95), series.hour.buffer_index()
        return Wait(
            time=moment.text,
            site=self._site,
            lane=series.lane,
            source=self._source,
            config=self._digest,
            direction=series.direction,
            traffic=series.traffic,
            program=series.program,
            from_point=self._from,
            to_point=self._to,
            interval_s=self._interval_s,
            experienced=experienced,
            expected_s=expected_s,
            low_s=low_s,
            high_s=high_s,
            queue_vehicles=queue_n,
            throughput_per_h=_throughput_per_h(lanes, moment),
            lower_bound=any(lane.id in moment.full for lane in lanes),
            method=method,
            match_rate=round(sum(lane.matched_n for lane in lanes) / readable, 3) if readable else None,
            reference_s=reference_s,
            change=change,
            bottleneck=moment.bottlenecks.get((series.direction, series.traffic)),
            booths_open=_booths_open(lanes),
            one_more_booth_s=more_s,
            planning_time_s=None if planning_s is None else round(planning_s, 1),
            planning_time_index=round(planning_s / reference_s, 2) if planning_s is not None and reference_s else None,
            buffer_index=None if buffer is None else round(buffer, 1),
            gain_s=self._gain_s(series),
        )

    def _program(self, stream: Stream, program: Program) -> Series:
        series = self._programs.get((stream, program))
        if series is None:
            series = self._programs[(stream, program)] = Series("_", *stream, program)
        return series

    def _gain_s(self, series: Series) -> float | None:
        """What a lane of a program, or the program, saves against the standard one of its direction and traffic."""
        if series.program in (None, "standard"):
            return None
        standard = self._programs.get(((series.direction, series.traffic), "standard"))
        theirs_s = standard.hour.quantile_s(0.5) if standard is not None else None
        ours_s = series.hour.quantile_s(0.5)
        return None if theirs_s is None or ours_s is None else round(theirs_s - ours_s, 1)


def _summary(forecast: Forecast, missing_n: float) -> Interval:
    """Perhaps as many as `missing_n` more have joined than were seen."""
    cycles_n = (forecast.p50_s - forecast.free_flow_s) / forecast.cycle_s
    high_s = forecast.p90_s + missing_n * forecast.cycle_s
    least_s = min(forecast.free_flow_low_s, forecast.p50_s)
    return Interval(forecast.p10_s, forecast.p50_s, high_s, forecast.cycle_s, cycles_n, least_s)


def _waits(lanes: list[LaneState]) -> list[float]:
    """Alone, an estimate must be good; among many lanes a rough one is better than a lane left out of the median.

    Where the rough ones leave the median open, nothing is told.
    """
    waits = [m.wait_s for lane in lanes for m in lane.matches if m.wait_s is not None and m.sure and not m.detour]
    if len(lanes) == 1 or not waits:
        return waits
    rough = [estimate for lane in lanes for estimate in lane.rough]
    low_s, high_s = (median(wait_s + side * sd_s for wait_s, sd_s in rough) for side in (-1.0, 1.0))
    open_s = max(_OPEN_S, _OPEN * 0.5 * (low_s + high_s))
    return [wait_s for wait_s, _ in rough] if high_s - low_s <= 2.0 * open_s else []


def _experienced(waits_s: list[float]) -> Experienced:
    if not waits_s:
        return Experienced(count=0, median_s=None, p10_s=None, p90_s=None, p95_s=None)
    ordered = sorted(waits_s)
    median, p10, p90, p95 = [_quantile(ordered, q) for q in (0.5, 0.1, 0.9, 0.95)]
    return Experienced(count=len(ordered), median_s=median, p10_s=p10, p90_s=p90, p95_s=p95)


def _quantile(ordered: list[float], q: float) -> float:
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return round(ordered[low] + (at - low) * (ordered[high] - ordered[low]), 1)


def _throughput_per_h(lanes: list[LaneState], moment: _Moment) -> float | None:
    if all(lane.departed_ns is None for lane in lanes):
        return None
    observed_s = min(RATE_WINDOW_S, max((moment.end_ns - moment.began_ns) * 1e-9, 1.0))
    return round(sum(len(lane.departures) for lane in lanes) * 3600.0 / observed_s, 1)


def _method(lanes: list[LaneState], main: Segment, end_ns: int) -> Method:
    """What the forecast stands on now: a reader or a loop that has died is not among it."""
    matched = [lane.last_identity_ns > end_ns - _METHOD_WINDOW_NS and main.identifies(lane.id) for lane in lanes]
    if not any(matched):
        return "counted"
    return "fused" if any(main.counts(lane.id) for lane in lanes) else "matched"


def _booths_open(lanes: list[LaneState]) -> int | None:
    """None where nobody said so of one of the lanes: an open lane is then only a guess."""
    return round(sum(lane.open for lane in lanes)) if all(lane.booths_told for lane in lanes) else None
