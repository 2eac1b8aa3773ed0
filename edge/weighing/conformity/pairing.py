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


@dataclass(frozen=True, slots=True)
class Pair:
    """A reference vehicle and what was measured of it."""

    truth: VehicleRecord
    measured: VehicleRecord

    @property
    def same_axles(self) -> bool:
        return len(self.truth.axles) == len(self.measured.axles)


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
            score += 0.5 * (len(vehicle.axles) == len(other.axles))
            if vehicle.weight_kg > 0 and other.weight_kg > 0:
                score += 0.5 * max(0.0, 1.0 - 4.0 * abs(math.log(other.weight_kg / vehicle.weight_kg)))
            edges.append((i, j, score))
            j += 1
    return edges


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
