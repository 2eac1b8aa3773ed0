"""Crossings that are laid out otherwise: a side road between the points, one booth for two lanes, a change of program.

A plain recursion (a vehicle is served when it is there and a booth is free), which shares nothing with the estimator.
`Passed` vehicles become sightings by `seen`; `errors` compares what was expected with what came. Called by
`tests.waits.test_layouts`.
"""

from __future__ import annotations

import bisect
import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.messages import Wait, parse_utc
from edge.waiting.sightings import LoopCount, Sighting, TagSighting
from tests.waits.traffic import START_NS

S = 1_000_000_000
FREE_S = 80.0


@dataclass(slots=True)
class Passed:
    """A vehicle: when it passed the first point (None: it joined behind it) and when it was served."""

    lane: str
    joined_s: float
    at_first: bool
    served_s: float = 0.0
    tag: str | None = None


def arrivals(
    rng: random.Random, lane: str, hours: float, load: Callable[[float], float], cycle_s: float, side: float = 0.0
) -> list[Passed]:
    """Vehicles at random: `load` (by hour) of what a booth with that cycle serves; `side` of them by the side road."""
    out, t = [], 0.0
    while t < hours * 3600.0:
        t += rng.expovariate(2.0 / cycle_s)
        if rng.random() < load(t / 3600.0) / 2.0:
            out.append(Passed(lane, t, rng.random() >= side, tag=f"T{lane}{len(out):06d}"))
    return out


def serve(rng: random.Random, vehicles: Sequence[Passed], cycle_s: Callable[[float], float]) -> None:
    """One booth serves them in the order in which they come to the queue."""
    free = 0.0
    queue = []
    for v in vehicles:
        there = FREE_S * math.exp(rng.gauss(0.0, 0.06))
        queue.append((v.joined_s + (there if v.at_first else 0.3 * there), v))
    for there_s, v in sorted(queue, key=lambda item: item[0]):
        v.served_s = max(there_s, free)
        free = v.served_s + cycle_s(v.served_s) * math.exp(rng.gauss(-0.04, 0.3))


def alternate(rng: random.Random, lanes: Sequence[Sequence[Passed]], cycle_s: float) -> None:
    """One booth calls from the lanes in turn, as long as somebody waits there."""
    queues = [sorted(((v.joined_s + FREE_S * math.exp(rng.gauss(0.0, 0.06)), v) for v in lane), key=lambda x: x[0])
              for lane in lanes]  # fmt: skip
    heads, free, turn = [0] * len(lanes), 0.0, 0
    while any(head < len(queue) for head, queue in zip(heads, queues, strict=True)):
        waiting = [(max(queues[i][heads[i]][0], free), (i - turn) % len(lanes), i)
                   for i in range(len(lanes)) if heads[i] < len(queues[i])]  # fmt: skip
        start, _, i = min(waiting)
        queues[i][heads[i]][1].served_s = start
        heads[i] += 1
        turn = (i + 1) % len(lanes)
        free = start + cycle_s * math.exp(rng.gauss(-0.04, 0.3))


def seen(rng: random.Random, vehicles: Sequence[Passed], *, tags: float) -> list[Sighting]:
    """What loops and a tag reader at both points say."""
    out: list[Sighting] = []
    for v in vehicles:
        tagged = rng.random() < tags
        for at_s, point in ((v.joined_s, "approach"), (v.served_s, "booth")):
            if point == "booth" or v.at_first:
                at_ns = START_NS + round(at_s * 1e6) * 1000
                out.append(LoopCount(at_ns, v.lane, point))
                if tagged and v.tag is not None and rng.random() < 0.98:
                    out.append(TagSighting(at_ns + S // 5, v.lane, point, v.tag))
    return sorted(out, key=lambda sighting: sighting.time_ns)


@dataclass(frozen=True, slots=True)
class Errors:
    """Means over the intervals of a lane, seconds; `known` of them had an expected wait, `inside` are those in it."""

    ours_s: float
    last_s: float
    bias_s: float
    inside: float
    known: float


def errors(vehicles: Sequence[Passed], waits: Sequence[Wait], lane: str, after_s: float = 3600.0) -> Errors:
    """Against the wait of the next vehicle that passes the first point."""
    mine = sorted((v for v in vehicles if v.lane == lane and v.at_first), key=lambda v: v.joined_s)
    starts = [v.joined_s for v in mine]
    served = sorted(mine, key=lambda v: v.served_s)
    served_at = [v.served_s for v in served]
    ours, last, bias, inside, asked = [], [], [], [], 0
    for wait in waits:
        end_s = (parse_utc(wait.time) - START_NS) / 1e9
        at, done = bisect.bisect_left(starts, end_s), bisect.bisect_right(served_at, end_s)
        if wait.lane != lane or end_s < after_s or at >= len(mine) or starts[at] > end_s + 120.0 or not done:
            continue
        asked += 1
        truth = mine[at].served_s - mine[at].joined_s
        if wait.expected_s is None or wait.low_s is None or wait.high_s is None:
            continue
        before = served[done - 1]
        ours.append(abs(wait.expected_s - truth))
        last.append(abs(before.served_s - before.joined_s - truth))
        bias.append(wait.expected_s - truth)
        inside.append(wait.low_s <= truth <= wait.high_s)
    mean = statistics.fmean
    return Errors(mean(ours), mean(last), mean(bias), mean(inside), len(ours) / asked)
