"""What a plot and the table behind it show of a row of `wait` messages: intervals, or several of them together.

Where nothing of few vehicles may be shown, neighbours are put together until there are enough. Called by
`edge.reports.waits`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge.messages import Wait, parse_utc


@dataclass(frozen=True, slots=True)
class Bin:
    """One point of the curves: times in seconds since 1970 at its end, waits in minutes; None where not known."""

    at: float
    vehicles: int
    experienced_min: float | None
    expected_min: float | None
    low_min: float | None
    high_min: float | None
    queue: float | None

    @property
    def most_min(self) -> float:
        """The largest wait in it."""
        return max((x for x in (self.experienced_min, self.high_min, self.expected_min) if x is not None), default=0.0)

    @staticmethod
    def of(bins: Sequence[Bin]) -> Bin:
        """Several together: the experienced wait weighted by vehicles, the others as means."""
        seen = [(b.experienced_min, b.vehicles) for b in bins if b.experienced_min is not None]
        vehicles = sum(n for _, n in seen)
        experienced = sum(x * n for x, n in seen) / vehicles if vehicles else None
        return Bin(
            bins[-1].at,
            sum(b.vehicles for b in bins),
            experienced,
            _mean(b.expected_min for b in bins),
            _mean(b.low_min for b in bins),
            _mean(b.high_min for b in bins),
            _mean(b.queue for b in bins),
        )


def binned(waits: Iterable[Wait], *, least_vehicles: int = 1) -> list[Bin]:
    """The points of a row; with `least_vehicles` above 1 none speaks of fewer."""
    points = [_point(wait) for wait in waits]
    if least_vehicles <= 1:
        return points
    out: list[Bin] = []
    open_: list[Bin] = []
    for point in points:
        open_.append(point)
        if sum(b.vehicles for b in open_) >= least_vehicles:
            out.append(Bin.of(open_))
            open_ = []
    if open_:  # too few at the end: what was expected may be shown, what was experienced not
        last = Bin.of(open_)
        out.append(Bin(last.at, 0, None, last.expected_min, last.low_min, last.high_min, last.queue))
    return out


def _point(wait: Wait) -> Bin:
    experienced = wait.experienced
    return Bin(
        parse_utc(wait.time) / 1e9,
        experienced.count,
        _minutes(experienced.median_s),
        _minutes(wait.expected_s),
        _minutes(wait.low_s),
        _minutes(wait.high_s),
        wait.queue_vehicles,
    )


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 60.0


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
