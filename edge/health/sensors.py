"""Watches of the sensors of one array: channels at fault, halves swapped, a line that drifts, a scale that strays.

Channel states come from the core; the others look at what each sensor weighed of each axle.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from edge.core import ChannelHealth
from edge.messages import Args, Severity
from edge.weighing.steering import LineDrift, LineWatch, Proposal, SteeringWatch

_SIDE_SIGMA, _SIDE_SIGMA_LEAST = 0.04, 0.02  # of ln(left / right) of an axle at one line against the others
_AXLES_KEPT, _AXLES_FIRST, _MOST_LEAN = 50, 10, 0.25
_VEHICLES_KEPT = 20
_BETTER = 1.5  # what the better of two assumptions looks too good by
_LEANS = 1.5  # an axle that leans less than so many standard deviations of the noise tells nothing
_ONE_VEHICLE, _FORGOTTEN = 2.5, 0.2  # no vehicle alone decides; what each takes off the odds
_SURE, _MOST = 6.0, 9.0  # ln of the odds that halves are swapped: where it begins; where it stops growing
# Trucks of one road bounce at the same places, so lines differ a little for ever, and a few dozen axles by chance.
_DRIFT, _DRIFT_AXLES = 0.04, 200


class ChannelWatch:
    """The core's word on one channel."""

    code: ClassVar[str] = "sensor_fault"
    severity: ClassVar[Severity] = "warning"

    def __init__(self, where: Args) -> None:
        self._where = where
        self._state = "ok"

    def state(self, health: ChannelHealth) -> None:
        self._state = health.state

    def judge(self, now_ns: int) -> Args | None:
        return None if self._state == "ok" else {**self._where, "case": self._state}


class SideLeans:
    """How axles lean at each line, without what stays the same there (gains of halves): a slow mean is taken out."""

    def __init__(self, lines: int) -> None:
        self._means = [0.0] * lines
        self._axles = [0] * lines

    def take(self, ratios: Sequence[float | None]) -> list[float | None]:
        """ln(left / right) of an axle at each line, in and out; None at lines that know too little yet."""
        return [None if ratio is None else self._one(line, ratio) for line, ratio in enumerate(ratios)]

    def _one(self, line: int, ratio: float) -> float | None:
        self._axles[line] += 1
        self._means[line] += (ratio - self._means[line]) / min(self._axles[line], _AXLES_KEPT)
        lean = ratio - self._means[line]
        return min(_MOST_LEAN, max(-_MOST_LEAN, lean)) if self._axles[line] > _AXLES_FIRST else None


class SwapWatch:
    """Left and right of a line connected the wrong way round: axles lean to one side at all lines but this one.

    How an axle leans differs from axle to axle and is the same at each line, but for noise. The odds are those of two
    normal distributions, one around the lean and one around its opposite; a lean that noise could make tells nothing.
    """

    code: ClassVar[str] = "channels_swapped"
    severity: ClassVar[Severity] = "warning"

    def __init__(self, where: Args) -> None:
        self._where = where
        self._noise = _SIDE_SIGMA**2  # slow variance, under the better of the two assumptions for each vehicle
        self._vehicles = 1
        self._odds = 0.0
        self._holds = False

    def vehicle(self, axles: Sequence[tuple[float, float]]) -> None:
        """Of each axle of a vehicle the lean (see SideLeans) at this line, and the median of the other lines."""
        if not axles:
            return
        apart = statistics.fmean((here - elsewhere) ** 2 for here, elsewhere in axles)
        opposite = statistics.fmean((here + elsewhere) ** 2 for here, elsewhere in axles)
        self._vehicles = min(self._vehicles + 1, _VEHICLES_KEPT)
        self._noise += (_BETTER * min(apart, opposite) - self._noise) / self._vehicles
        noise = max(_SIDE_SIGMA_LEAST**2, self._noise)
        telling = [pair for pair in axles if pair[1] ** 2 > _LEANS**2 * noise]
        odds = sum(-2.0 * here * elsewhere / noise for here, elsewhere in telling) - _FORGOTTEN
        self._odds = min(_MOST, max(0.0, self._odds + min(_ONE_VEHICLE, max(-_ONE_VEHICLE, odds))))
        self._holds = self._odds > (0.0 if self._holds else _SURE)

    def judge(self, now_ns: int) -> Args | None:
        return dict(self._where) if self._holds else None


def side_ratios(
    lines: Sequence[tuple[Sequence[int], Sequence[int]]], sensor_kg: Sequence[float | None]
) -> list[float | None]:
    """ln(left / right) of an axle at each line; `lines` holds the indices of its left and of its right sensors."""
    ratios: list[float | None] = []
    for left, right in lines:
        left_kg, right_kg = (sum(sensor_kg[i] or 0.0 for i in half) for half in (left, right))
        ratios.append(math.log(left_kg / right_kg) if left_kg > 0 and right_kg > 0 else None)
    return ratios


def others_median(values: Sequence[float | None], index: int) -> float | None:
    """Median of the others; None with fewer than two of them, or where it has none itself."""
    others = [value for i, value in enumerate(values) if i != index and value is not None]
    return statistics.median(others) if len(others) >= 2 and values[index] is not None else None


class DriftWatch:
    """One line's part of edge.weighing.steering.LineWatch, as a condition."""

    code: ClassVar[str] = "line_drift"
    severity: ClassVar[Severity] = "warning"

    def __init__(self, where: Args) -> None:
        self._where = where
        self._drift: LineDrift | None = None

    def finding(self, drift: LineDrift) -> None:
        self._drift = drift if drift.begin else None

    def judge(self, now_ns: int) -> Args | None:
        if self._drift is None:
            return None
        return {**self._where, "deviation_percent": round(100 * self._drift.deviation, 1)}


@dataclass(frozen=True, slots=True)
class Fit:
    """Steering axles against what is usual: `seen` measured over expected, `factor` for every gain where one fits
    better; None while not known, or where nothing is to be changed."""

    trucks: int
    seen: float | None
    sigma: float | None
    factor: float | None


class ProposalWatch:
    """What the steering axles say of the scale: a proposal for a person, until a later window takes it back."""

    code: ClassVar[str] = "calibration_proposed"
    severity: ClassVar[Severity] = "info"

    def __init__(self, where: Args, steering: SteeringWatch) -> None:
        self._where, self._steering = where, steering
        self._proposal: Proposal | None = None

    def vehicle(
        self,
        loads_kg: Sequence[float],
        groups: Sequence[int],
        left_kg: float | None,
        right_kg: float | None,
        clean: bool,
    ) -> None:
        before = self._steering.count
        proposal = self._steering.add(loads_kg, groups, left_kg=left_kg, right_kg=right_kg, clean=clean)
        if self._steering.count < before:  # a window was full and has been judged
            self._proposal = proposal

    def fit(self) -> Fit:
        """What is known by now: the standing proposal, else what the trucks of this window say."""
        if self._proposal is not None:
            found = self._proposal
            return Fit(found.vehicles, found.seen, found.sigma, found.factor)
        seen, sigma = self._steering.seen() or (None, None)
        return Fit(self._steering.count, seen, sigma, None)

    def judge(self, now_ns: int) -> Args | None:
        if self._proposal is None:
            return None
        return {
            **self._where,
            "trucks": self._proposal.vehicles,
            "seen_percent": round(100 * (self._proposal.seen - 1), 1),
            "sigma_percent": round(200 * self._proposal.sigma, 1),
            "factor": round(self._proposal.factor, 4),
        }


class LineLoads:
    """What each line weighed of an axle, for LineWatch: None where a half has nothing."""

    def __init__(self, lines: Sequence[Sequence[int]], watches: Sequence[DriftWatch]) -> None:
        self._lines, self._watches = lines, watches
        self._watch = LineWatch(len(lines), limit=_DRIFT, least=_DRIFT_AXLES)

    def deviations(self) -> list[float | None]:
        """Of each line against its neighbours, relative; None while too few axles passed."""
        return self._watch.deviations()

    def axle(self, sensor_kg: Sequence[float | None]) -> None:
        loads: list[float | None] = []
        for line in self._lines:
            parts = [sensor_kg[i] for i in line]
            known = [kg for kg in parts if kg is not None]
            loads.append(sum(known) if len(known) == len(parts) else None)
        for drift in self._watch.add(loads):
            self._watches[drift.line].finding(drift)
