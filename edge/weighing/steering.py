"""Self-calibration in operation: weighed vehicles in, proposals and drift findings out. Nothing here changes a gain.

Called by `borderflow calibrate --steering` with a file of vehicles; the daemon can feed it vehicle by vehicle. The
steering axle of a loaded five-axle tractor-semitrailer weighs nearly the same on every truck, so its mean over many of
them watches the scale; each line of sensors is watched against its neighbours.

Every proposal is small and bounded, and waits for a person to accept it.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from edge.weighing.axle_groups import group_code
from edge.weighing.table_files import About, TableFile, load_table

LEAST_VEHICLES: Final = 50
SHARE: Final = 0.3  # of what the mean says is taken over at once: the fleet changes too
LARGEST_STEP: Final = 0.02
LEAST_BALANCE: Final = 0.9  # lighter to heavier side of a steering axle; below, the truck ran off centre
_SURE: Final = 3.0  # standard deviations of the mean before anything is proposed
_SMALLEST: Final = 0.003  # relative; smaller corrections are not worth a person's time


class Bin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    mean_kg: float
    gross_below_kg: float = math.inf


class Fleet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    countries: tuple[str, ...]
    groups: str
    spread: float
    bins: tuple[Bin, ...]


class SteeringTable(TableFile, frozen=True, kw_only=True):
    fleet: tuple[Fleet, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """Multiply every gain of the lane by `factor`. `seen` is measured over expected, `sigma` that of its mean."""

    factor: float
    seen: float
    sigma: float
    vehicles: int
    about: About

    @property
    def text(self) -> str:
        """For a person."""
        return (
            f"steering axles of {self.vehicles} trucks weigh {100 * (self.seen - 1):+.1f} % "
            f"(± {200 * self.sigma:.1f}) against what is usual; proposed: gains times {self.factor:.4f}"
        )


class SteeringWatch:
    """Collects the steering axles of one lane. `window` vehicles make one judgement, then collecting begins anew."""

    def __init__(self, country: str, *, window: int = 100) -> None:
        if window < LEAST_VEHICLES:
            raise ValueError(f"a window of {window} vehicles is too small; give at least {LEAST_VEHICLES}")
        table = load_table("steering_axles", SteeringTable)
        self._about: Final = table.about
        self._fleet: Final = next(fleet for fleet in table.fleet if country in fleet.countries or not fleet.countries)
        self._window: Final = window
        self._ratios: list[float] = []

    def add(
        self,
        loads_kg: Sequence[float],
        groups: Sequence[int],
        *,
        left_kg: float | None = None,
        right_kg: float | None = None,
        clean: bool = True,
    ) -> Proposal | None:
        """One weighed vehicle; `left_kg` and `right_kg` are of its first axle, `clean` means that it has no flag.

        Returns a proposal when a window is full and its mean is off by more than chance.
        """
        if not clean or group_code(groups) != self._fleet.groups or loads_kg[0] <= 0:
            return None
        if (
            left_kg is not None
            and right_kg is not None
            and min(left_kg, right_kg) < LEAST_BALANCE * max(left_kg, right_kg)
        ):
            return None
        gross_kg = sum(loads_kg)
        expected_kg = next(bin_.mean_kg for bin_ in self._fleet.bins if gross_kg < bin_.gross_below_kg)
        self._ratios.append(loads_kg[0] / expected_kg)
        if len(self._ratios) < self._window:
            return None
        return self.close()

    @property
    def count(self) -> int:
        """Vehicles collected since the last judgement."""
        return len(self._ratios)

    def seen(self) -> tuple[float, float] | None:
        """What was collected so far, measured over expected, and the sigma of that; None with too few vehicles."""
        ratios = self._ratios
        if len(ratios) < LEAST_VEHICLES:
            return None
        seen = statistics.median(ratios)
        deviation = 1.4826 * statistics.median(abs(ratio - seen) for ratio in ratios)
        return seen, 1.2533 * max(deviation, self._fleet.spread) / math.sqrt(len(ratios))  # of a median

    def close(self) -> Proposal | None:
        """Judge what was collected and begin anew; None with too few vehicles or where nothing is to be proposed."""
        found, vehicles, self._ratios = self.seen(), len(self._ratios), []
        if found is None:
            return None
        seen, sigma = found
        if abs(seen - 1.0) < _SURE * sigma:
            return None
        step = min(max(SHARE * (1.0 / seen - 1.0), -LARGEST_STEP), LARGEST_STEP)
        if abs(step) < _SMALLEST:
            return None
        return Proposal(1.0 + step, seen, sigma, vehicles, self._about)


@dataclass(frozen=True, slots=True)
class LineDrift:
    """A line of sensors weighs `deviation` (relative) against its neighbours; `begin` or end of that condition."""

    line: int
    deviation: float
    begin: bool


class LineWatch:
    """Watches each line of a lane against the others, axle by axle; a finding comes once when it begins and ends."""

    def __init__(self, lines: int, *, window: int = 400, limit: float = 0.03, least: int = 50) -> None:
        self._ratios: Final = [deque[float](maxlen=window) for _ in range(lines)]
        self._limit: Final = limit
        self._least: Final = least
        self._drifting = [False] * lines

    def add(self, lines_kg: Sequence[float | None]) -> list[LineDrift]:
        """The load of one axle as each line weighed it, None where a line did not; ValueError for another number."""
        if len(lines_kg) != len(self._ratios):
            raise ValueError(f"{len(lines_kg)} loads for {len(self._ratios)} lines")
        for line, load_kg in enumerate(lines_kg):
            others = [kg for other, kg in enumerate(lines_kg) if other != line and kg is not None and kg > 0]
            if load_kg is not None and load_kg > 0 and len(others) >= 2:
                self._ratios[line].append(math.log(load_kg / statistics.median(others)))
        if all(len(ratios) % 50 for ratios in self._ratios):
            return []
        return [finding for line in range(len(self._ratios)) for finding in self._judge(line)]

    def deviations(self) -> list[float | None]:
        """Each line against the others, relative, as far as is known by now; None with too few axles."""
        return [
            math.expm1(statistics.median(ratios)) if len(ratios) >= self._least else None for ratios in self._ratios
        ]

    def _judge(self, line: int) -> list[LineDrift]:
        ratios = self._ratios[line]
        if len(ratios) < self._least:
            return []
        middle = statistics.median(ratios)
        sigma = 1.2533 * 1.4826 * statistics.median(abs(r - middle) for r in ratios) / math.sqrt(len(ratios))
        drifting = self._drifting[line]
        bound = self._limit * (0.6 if drifting else 1.0)  # an end well inside the limit, so that it does not flutter
        if (abs(middle) > bound + (0.0 if drifting else 2 * sigma)) == drifting:
            return []
        self._drifting[line] = not drifting
        return [LineDrift(line, math.expm1(middle), not drifting)]
