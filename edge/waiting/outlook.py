"""What a vehicle may expect that joins now, in one lane or in any of several: samples of waits in, quantiles out.

Called by `edge.waiting.intervals`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.waiting.honest import Interval

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is expected in a lane: sorted samples, the share of vehicles that choose it, and their summary."""

    waits_s: FloatArray
    weight: float
    queue_n: float
    raw: Interval
    more_s: FloatArray | None  # the samples if one more booth opened; None where it would not help


def together(outlooks: list[Outlook]) -> Interval:
    """What one may expect that comes into one of these lanes, as vehicles did lately."""
    if len(outlooks) == 1:
        return outlooks[0].raw
    low, median, high = _quantiles([(o.waits_s, o.weight) for o in outlooks], (0.1, 0.5, 0.9))
    weight = sum(o.weight for o in outlooks)
    cycle_s = sum(o.weight * o.raw.cycle_s for o in outlooks) / weight
    cycles_n = sum(o.weight * o.raw.cycles_n for o in outlooks) / weight
    least_s = min(median, min(o.raw.least_s for o in outlooks))
    return Interval(low, median, high, cycle_s, cycles_n, least_s)


def with_one_more(outlooks: list[Outlook]) -> float | None:
    """Median if one more booth opened in the lane where that helps most; None where it helps in none."""
    best, most = None, -1.0
    for i, o in enumerate(outlooks):
        if o.more_s is not None:
            gain = o.weight * float(_mean(o.waits_s) - _mean(o.more_s))
            if gain > most:
                best, most = i, gain
    if best is None:
        return None
    groups = [(o.more_s if i == best and o.more_s is not None else o.waits_s, o.weight) for i, o in enumerate(outlooks)]
    return _quantiles(groups, (0.5,))[0]


def _mean(values: FloatArray) -> float:
    return float(np.add.reduce(values)) / len(values)


def _quantiles(groups: list[tuple[FloatArray, float]], qs: tuple[float, ...]) -> list[float]:
    """Of sorted samples, each group with a weight."""
    if len(groups) == 1:
        waits = groups[0][0]
        return [float(waits[min(int(q * len(waits)), len(waits) - 1)]) for q in qs]
    waits = np.concatenate([values for values, _ in groups])
    weights = np.repeat([weight / len(values) for values, weight in groups], [len(values) for values, _ in groups])
    order = waits.argsort(kind="stable")
    total = weights[order].cumsum()
    at = total.searchsorted(np.multiply(qs, total[-1]))
    return [float(waits[order[min(int(i), len(order) - 1)]]) for i in at]
