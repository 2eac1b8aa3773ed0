"""The end of an interval: what the lanes know in, one `wait` for each lane, program and the crossing out.

Programs and the crossing are told apart by direction and kind of traffic. Called by `edge.waiting.waits`.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge import config as cfg
from edge.messages import Bottleneck, Program, Wait, utc_text
from edge.waiting.forecast import Forecasts
from edge.waiting.lane import RATE_WINDOW_S, LaneState
from edge.waiting.match import Segment
from edge.waiting.messages import Messages, Moment, Stream, facts_of
from edge.waiting.series import Series


class Reporter:
    """Makes the messages of a crossing; `source` names the publishing computer."""

    def __init__(
        self, config: cfg.Config, *, source: str, ends: tuple[str, str], length_m: float | None, lanes: list[LaneState]
    ) -> None:
        self._messages = Messages(config, source=source, ends=ends)
        self._lanes = lanes
        self._forecasts = Forecasts(lanes, length_m, len(config.point))
        self._crossings = {lane.stream: Series("_", *lane.stream, None) for lane in lanes}
        self._programs: dict[tuple[Stream, Program], Series] = {}
        self._served: list[Program] = []  # the programs of the lanes
        self._of_moment: list[tuple[Series, list[LaneState]]] = []

    def renew(self, config: cfg.Config) -> None:
        """Another configuration of the same lanes and points: other baselines."""
        self._messages.renew(config)

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
        for lane in self._lanes:
            lane.forget_departures(end_ns)
        self._forecasts.look(end_ns, mains)
        facts = {lane.id: facts_of(lane, mains.get(lane.direction), self._forecasts, end_ns) for lane in self._lanes}
        observed_s = min(RATE_WINDOW_S, max((end_ns - began_ns) * 1e-9, 1.0))
        moment = Moment(end_ns, utc_text(end_ns), observed_s, self._forecasts, bottlenecks, facts)
        out = [self._messages.of(series, lanes, moment, self._gain_s) for series, lanes in self._rows()]
        for lane in self._lanes:
            lane.end_interval()
        return out

    def _rows(self) -> list[tuple[Series, list[LaneState]]]:
        """Lanes, programs, crossings, each with its lanes; they stay until a lane changes its program."""
        served = [lane.program for lane in self._lanes]
        if served != self._served:
            self._served = served
            programs: dict[tuple[Stream, Program], list[LaneState]] = {}
            streams: dict[Stream, list[LaneState]] = {}
            for lane in self._lanes:
                programs.setdefault((lane.stream, lane.program), []).append(lane)
                streams.setdefault(lane.stream, []).append(lane)
            self._of_moment = [(lane.series, [lane]) for lane in self._lanes]
            self._of_moment += [(self._program(*key), lanes) for key, lanes in programs.items()]
            self._of_moment += [(self._crossings[stream], lanes) for stream, lanes in streams.items()]
        return self._of_moment

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
