"""Pairs each reference vehicle with the measured one that is the same: two lists in, pairs and leftovers out.

Called by edge/commands/accuracy.py and edge/commands/calibrate.py. Vehicles of one lane keep their order, so the
pairing is the chain of pairs, in order on both sides and each within the time window, with the largest sum of
scores. A missed or an invented vehicle therefore shifts nothing, even in a queue.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.weighing.conformity.records import VehicleRecord

WINDOW_S: Final = 3.0
BY_HAND_WINDOW_S: Final = 10.0  # somebody looked at a watch while the vehicle passed
_ZONE_S: Final = 900.0  # zones differ by whole quarters of an hour
_CLOCK_S: Final = 300.0  # and a watch is not farther off
_LEAST_ALIKE, _SHARE_ALIKE = 3, 0.6
_MOST_COMPARED: Final = 100


@dataclass(frozen=True, slots=True)
class Pair:
    """A reference vehicle and what was measured of it."""

    truth: VehicleRecord
    measured: VehicleRecord

    @property
    def same_axles(self) -> bool:
        return len(self.truth.axles) == len(self.measured.axles)

    @property
    def groups(self) -> tuple[int, ...]:
        """Group index of each axle, by the reference where it tells, else as measured; for `same_axles`."""
        groups = self.truth.groups
        return groups if groups is not None else self.measured.groups or ()


@dataclass(frozen=True, slots=True)
class Pairing:
    """`missed` are reference vehicles without a measurement, `invented` measured ones without a reference."""

    pairs: tuple[Pair, ...]
    missed: tuple[VehicleRecord, ...]
    invented: tuple[VehicleRecord, ...]


def pair(truth: Sequence[VehicleRecord], measured: Sequence[VehicleRecord], *, window_s: float = WINDOW_S) -> Pairing:
    """Pair the vehicles lane by lane; where one side names no lanes, all together."""
    if any(vehicle.lane is None for vehicle in (*truth, *measured)):
        lanes: list[str | None] = [None]
    else:
        lanes = sorted({vehicle.lane for vehicle in (*truth, *measured)}, key=str)
    pairs: list[Pair] = []
    missed: list[VehicleRecord] = []
    invented: list[VehicleRecord] = []
    for lane in lanes:
        first = sorted((v for v in truth if lane is None or v.lane == lane), key=lambda v: v.time_ns)
        second = sorted((v for v in measured if lane is None or v.lane == lane), key=lambda v: v.time_ns)
        chain = _best_chain(_candidates(first, second, window_s), len(second))
        pairs.extend(Pair(first[i], second[j]) for i, j in chain)
        taken_first, taken_second = {i for i, _ in chain}, {j for _, j in chain}
        missed.extend(v for i, v in enumerate(first) if i not in taken_first)
        invented.extend(v for j, v in enumerate(second) if j not in taken_second)
    return Pairing(
        tuple(sorted(pairs, key=lambda pair: pair.truth.time_ns)),
        tuple(sorted(missed, key=lambda v: v.time_ns)),
        tuple(sorted(invented, key=lambda v: v.time_ns)),
    )


def _candidates(
    truth: Sequence[VehicleRecord], measured: Sequence[VehicleRecord], window_s: float
) -> list[tuple[int, int, float]]:
    """All pairs within the window, with the score of each: near in time, alike in axles and weight."""
    times = [vehicle.time_ns for vehicle in measured]
    window_ns = round(window_s * 1e9)
    edges = []
    for i, vehicle in enumerate(truth):
        at = vehicle.time_ns
        j = bisect_left(times, at - window_ns)
        while j < len(times) and times[j] <= at + window_ns:
            other = measured[j]
            score = 2.0 - abs(times[j] - at) / max(window_ns, 1)
            score += 0.5 * (not vehicle.axles or len(vehicle.axles) == len(other.axles))
            if vehicle.weight_kg > 0 and other.weight_kg > 0:
                score += 0.5 * max(0.0, 1.0 - 4.0 * abs(math.log(other.weight_kg / vehicle.weight_kg)))
            edges.append((i, j, score))
            j += 1
    return edges


def clock_shift_s(truth: Sequence[VehicleRecord], measured: Sequence[VehicleRecord]) -> float | None:
    """What has to be added to the times of the references so that most find a vehicle like them, in seconds.

    Looks for a zone taken for UTC, or a watch some minutes off; None where nothing fits three of them and most.
    """
    truth = truth[:_MOST_COMPARED]
    differences: list[tuple[float, int]] = []
    for index, vehicle in enumerate(truth):
        for other in measured:
            alike = not vehicle.axles or len(vehicle.axles) == len(other.axles)
            if alike and 0.7 * vehicle.weight_kg < other.weight_kg < 1.4 * vehicle.weight_kg:
                shift_s = (other.time_ns - vehicle.time_ns) / 1e9
                off_s = abs(shift_s - round(shift_s / _ZONE_S) * _ZONE_S)
                if off_s < _CLOCK_S and abs(shift_s) < 86_400.0:
                    differences.append((shift_s, index))
    differences.sort()
    best: tuple[int, float] = (0, 0.0)
    start = 0
    for end, (shift_s, _) in enumerate(differences):
        while shift_s - differences[start][0] > 2 * WINDOW_S:
            start += 1
        within = differences[start : end + 1]
        best = max(best, (len({index for _, index in within}), within[len(within) // 2][0]))
    return best[1] if best[0] >= max(_LEAST_ALIKE, _SHARE_ALIKE * len(truth)) else None


def clock_hint(shift_s: float) -> str:
    """What a person should know of a shift of `clock_shift_s`."""
    ahead = "late" if shift_s < 0 else "early"
    return f"times look {abs(shift_s):.0f} s too {ahead}; `time` is in UTC, or with its offset (-05:00)"


def _best_chain(edges: Sequence[tuple[int, int, float]], width: int) -> list[tuple[int, int]]:
    """The chain of edges with both indices rising and the largest sum of scores.

    `edges` come by first index. A Fenwick tree over the second index holds the best chain that ends at or before it, so
    the work is edges times log(width).
    """
    tree: list[tuple[float, int]] = [(0.0, -1)] * (width + 1)  # sum of scores, edge that the chain ends with
    before: list[int] = [-1] * len(edges)
    start = 0
    while start < len(edges):
        end = start
        while end < len(edges) and edges[end][0] == edges[start][0]:
            end += 1
        found = []
        for k in range(start, end):  # edges of one reference vehicle do not see each other
            best, at = (0.0, -1), edges[k][1]
            while at > 0:
                best = max(best, tree[at])
                at -= at & -at
            before[k] = best[1]
            found.append((best[0] + edges[k][2], k))
        for entry in found:
            at = edges[entry[1]][1] + 1
            while at <= width:
                tree[at] = max(tree[at], entry)
                at += at & -at
        start = end
    chain: list[tuple[int, int]] = []
    best, at = (0.0, -1), width
    while at > 0:
        best = max(best, tree[at])
        at -= at & -at
    k = best[1]
    while k >= 0:
        chain.append((edges[k][0], edges[k][1]))
        k = before[k]
    return chain[::-1]
