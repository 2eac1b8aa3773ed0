"""One `wait` message: a row (a lane, a program, the crossing) and what is known of its lanes in, the message out.

Called by `edge.waiting.intervals`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import astuple

from edge import config as cfg
from edge.messages import Bottleneck, Experienced, Site, Traffic, Wait, WaitMethod
from edge.waiting.forecast import LATELY_NS, Forecasts
from edge.waiting.lane import LaneState
from edge.waiting.last_hour import quantile
from edge.waiting.match import Segment
from edge.waiting.series import Series

_OPEN, _OPEN_S = 0.05, 30.0  # a median that may be off by more, as likely as not, is none
_NOBODY = Experienced(count=0, median_s=None, p10_s=None, p90_s=None, p95_s=None)
_LEAST_OBSERVED_S = 30.0  # one vehicle in the seconds after a start made a rate of hundreds
_UNTRIED = 30  # forecasts that are kept until the next vehicle comes

Stream = tuple[str, Traffic]
"""A direction and a kind of traffic."""
Gain = Callable[[Series], float | None]
"""What a row saves against the standard program."""


class Facts(Struct, frozen=True, gc=False):
    """What lanes add to a row that they belong to, at one moment."""

    departed: bool  # somebody ever did
    departures_n: int  # within the window of the rate
    readable_n: int  # arrivals of which an identity was read
    matched_n: int  # and of these those that were found upstream
    booths_told: bool  # of all of them
    open: float
    identified: bool  # an identity was matched lately, by readers that work, where something is expected
    counted: bool  # the loop at the first point works, where something is expected
    full: bool  # the queue reaches beyond the first point


def facts_of(lane: LaneState, main: Segment | None, forecasts: Forecasts, end_ns: int) -> Facts:
    """`main` is the way from the first point to the booth in the direction of the lane."""
    counted = identified = False
    if main is not None and forecasts.knows(lane.id):
        counted, identifies = main.works(lane.id)
        identified = identifies and lane.identified_since(end_ns - LATELY_NS)
    return Facts(
        lane.departed_ns is not None,
        len(lane.departures),
        len(lane.identified),
        lane.matched_n,
        lane.booths_told,
        lane.open,
        identified,
        counted,
        lane.id in forecasts.full,
    )


def _together(facts: Sequence[Facts]) -> Facts:
    """Of the lanes of a row."""
    departed, departures_n, readable_n, matched_n, told, booths_open, identified, counted, full = zip(
        *map(astuple, facts), strict=True
    )
    return Facts(
        any(departed), sum(departures_n), sum(readable_n), sum(matched_n), all(told), sum(booths_open), any(identified),
        any(counted), any(full),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moment:
    """The end of an interval, and what is common to its messages."""

    end_ns: int
    text: str
    observed_s: float  # of the window of the rate
    forecasts: Forecasts
    bottlenecks: Mapping[Stream, Bottleneck | None]
    facts: Mapping[str, Facts]  # by lane


class Messages:
    """What is common to all messages of a crossing; `source` names the publishing computer."""

    def __init__(self, config: cfg.Config, *, source: str, ends: tuple[str, str]) -> None:
        self._site = Site(config.site.country, config.site.port)
        self._source = source
        self._interval_s = config.wait.interval_s
        self._from, self._to = ends
        self.renew(config)

    def renew(self, config: cfg.Config) -> None:
        """Another configuration of the same lanes, points and intervals."""
        self._digest = cfg.digest(config)
        self._baseline = config.wait.baseline

    def of(self, series: Series, lanes: Sequence[LaneState], moment: Moment, gain_s: Gain) -> Wait:
        """The message of the row `series`, to which these lanes belong."""
        facts = moment.facts[lanes[0].id] if len(lanes) == 1 else _together([moment.facts[lane.id] for lane in lanes])
        waits = _waits(lanes)
        series.hour.add(moment.end_ns, waits)
        experienced = _experienced(waits)
        expected_s = low_s = high_s = more_s = queue_n = None
        method: WaitMethod | None = None
        outlook = moment.forecasts.of(lanes)
        if outlook is not None:
            raw = outlook.raw
            told = series.honesty.tell(moment.end_ns, raw)
            if len(series.forecasts) < _UNTRIED:
                series.forecasts.append(told)
            expected_s = round(raw.median_s, 1)
            low_s, high_s = round(min(told.low_s, expected_s), 1), round(max(told.high_s, expected_s), 1)
            more_s = expected_s if outlook.more_s is None else round(min(expected_s, outlook.more_s), 1)
            queue_n = round(outlook.queue_n, 1)
            # A reader or a loop that has died is not among what the forecast stands on.
            method = "counted" if not facts.identified else "fused" if facts.counted else "matched"
        else:
            reasons = {moment.forecasts.never.get(lane.id) for lane in lanes}
            method = reasons.pop() if len(reasons) == 1 else None
        reference_s = self._baseline.get(series.program) if series.program is not None else None
        change = None
        if reference_s is not None and experienced.median_s is not None:
            change = round(100.0 * (experienced.median_s - reference_s) / reference_s, 2)
        planning_s = series.hour.quantile_s(0.95)
        buffer = None if planning_s is None else series.hour.buffer_index(planning_s)
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
            throughput_per_h=_throughput_per_h(facts, moment),
            lower_bound=facts.full,
            method=method,
            match_rate=round(facts.matched_n / facts.readable_n, 3) if facts.readable_n else None,
            reference_s=reference_s,
            change=change,
            bottleneck=moment.bottlenecks.get((series.direction, series.traffic)),
            booths_open=round(facts.open) if facts.booths_told else None,  # an open lane is else only a guess
            one_more_booth_s=more_s,
            planning_time_s=None if planning_s is None else round(planning_s, 1),
            planning_time_index=round(planning_s / reference_s, 2) if planning_s is not None and reference_s else None,
            buffer_index=None if buffer is None else round(buffer, 1),
            gain_s=gain_s(series),
        )


def _waits(lanes: Sequence[LaneState]) -> list[float]:
    """Alone, an estimate must be good; among many lanes a rough one is better than a lane left out of the median.

    Where the rough ones leave the median open, nothing is told.
    """
    if len(lanes) == 1:
        return lanes[0].waits_s.copy()
    if not any(lane.waits_s for lane in lanes):
        return []
    rough = [estimate for lane in lanes for estimate in lane.rough]
    low_s, high_s = (quantile(sorted([wait_s + side * sd_s for wait_s, sd_s in rough]), 0.5) for side in (-1.0, 1.0))
    open_s = max(_OPEN_S, _OPEN * 0.5 * (low_s + high_s))
    return [wait_s for wait_s, _ in rough] if high_s - low_s <= 2.0 * open_s else []


def _experienced(waits_s: list[float]) -> Experienced:
    if not waits_s:
        return _NOBODY
    if len(waits_s) == 1:
        wait_s = round(waits_s[0], 1)
        return Experienced(count=1, median_s=wait_s, p10_s=wait_s, p90_s=wait_s, p95_s=wait_s)
    ordered = sorted(waits_s)
    median_s, p10_s, p90_s, p95_s = [round(quantile(ordered, q), 1) for q in (0.5, 0.1, 0.9, 0.95)]
    return Experienced(count=len(ordered), median_s=median_s, p10_s=p10_s, p90_s=p90_s, p95_s=p95_s)


def _throughput_per_h(facts: Facts, moment: Moment) -> float | None:
    if not facts.departed or moment.observed_s < _LEAST_OBSERVED_S:
        return None
    return round(facts.departures_n * 3600.0 / moment.observed_s, 1)
