"""Scores `wait` messages against the truth of a simulated day, beside the floor and two yardsticks.

    python -m tests.waits.score [ROW ...] [SEED ...] [sumo]

prints for each row of sensors and each lane: how often the experienced median is outside of its bound, the median error
of the expected wait, the share of truths inside the interval, and what "the last completed wait" and "the mean of the
last 15 minutes" would have said; and for each row the mean error over the lanes, as a share of that of the last
completed wait, and beside that of an oracle who knows exactly who stands in the queue, and the law of service of the
three quarters of an hour before and after, but not what each service will take. The truth of a moment is the wait of
the next vehicle that passes the first point (docs/waits.md); the share inside is also given for one who joins at that
very moment, and for the straight line between the vehicles before and after it. After the days come mornings of SUMO
where it is installed; with the word `sumo` these alone.
"""

from __future__ import annotations

import bisect
import math
import statistics
import sys
import time
from dataclasses import dataclass

from edge.config import Config, Lane, Point, Site, Waits
from edge.messages import Wait, parse_utc
from edge.waiting.waits import CrossingWaits
from tests.waits import sumo_world
from tests.waits.traffic import START_NS, Readers, Scenario, Truck, World, sightings, simulate

ROWS: dict[str, tuple[Readers, float, float, float, float]] = {
    # readers, experienced (relative, seconds), expected (relative, seconds)
    "tags60": (Readers(tag_rate=0.6), 0.05, 30.0, 0.10, 60.0),
    "plates": (Readers(plate_rate=0.85), 0.05, 30.0, 0.10, 60.0),
    "axles": (Readers(axles=True, loops=False), 0.10, 60.0, 0.15, 90.0),
    "tags10": (Readers(tag_rate=0.1, miscount=0.03), 0.10, 60.0, 0.15, 90.0),
    "loops": (Readers(), math.inf, math.inf, 0.20, 120.0),
}


def config_of(scenario: Scenario, interval_s: int = 60) -> Config:
    return Config(
        site=Site(country="CA", port="0453"),
        lane=tuple(
            Lane(id=spec.id, traffic="commercial", program=spec.program, booths=spec.booths) for spec in scenario.lanes
        ),
        point=(Point(name="approach"), Point(name="booth")),
        wait=Waits(interval_s=interval_s, baseline={"standard": 900.0}),
    )


@dataclass
class Score:
    experienced_n: int
    experienced_bad: float  # share of intervals outside the bound
    expected_rel: float  # median of error / max(truth share, seconds) in units of the bound
    expected_s: float
    floor_s: float
    covered: tuple[float, float, float]  # by truth: next vehicle, one who joins now, straight line
    last_s: float
    mean15_s: float
    missing: float
    bias_s: float
    within: float
    mean_s: tuple[float, float, float]  # mean errors: ours, of the last completed wait, of the oracle


def score(
    world: World, waits: list[Wait], lane: str, exp_rel: float, exp_s: float, rel: float, bound_s: float
) -> Score:
    """`lane` is a lane's id, or `_` for the crossing (program null)."""
    spec = world.scenario.lanes
    truths = [truck for truck in world.truth() if lane == "_" or spec[truck.lane_to].id == lane]
    truths.sort(key=lambda truck: truck.t_from)
    starts = [truck.t_from for truck in truths]
    done = sorted(truths, key=lambda truck: truck.t_booth or 0.0)
    done_at = [truck.t_booth or 0.0 for truck in done]
    errors, covered, last_e, mean_e, floor, bias, inside, oracle_e = [], [], [], [], [], [], [], []
    oracles = [_Oracle(world, number) for number in range(len(spec))]
    exp_n = exp_bad = missing = 0
    for wait in waits:
        if wait.lane != lane or (lane == "_" and wait.program is not None):
            continue
        end = (parse_utc(wait.time) - START_NS) * 1e-9
        # experienced
        arrived = done[bisect.bisect_right(done_at, end - wait.interval_s) : bisect.bisect_right(done_at, end)]
        if arrived and wait.experienced.median_s is not None:
            truth = statistics.median(t.t_booth - t.t_from for t in arrived)
            exp_n += 1
            exp_bad += abs(wait.experienced.median_s - truth) > max(exp_rel * truth, exp_s)
        # expected: those that reach the first point next
        at = bisect.bisect_left(starts, end)
        joiner = next(
            (t for t in truths[at : at + 5] if not t.dwelt and spec[t.lane_from].id == spec[t.lane_to].id), None
        )
        if joiner is None or joiner.t_from > end + 120.0 or end < 3600:
            continue
        truth = joiner.t_booth - joiner.t_from
        last = bisect.bisect_right(done_at, end)
        recent = [t.t_booth - t.t_from for t in done[:last] if t.t_booth > end - 900.0]
        if wait.expected_s is None or not recent:
            missing += 1
            continue
        errors.append(abs(wait.expected_s - truth))
        inside.append(abs(wait.expected_s - truth) <= max(rel * truth, bound_s))
        bias.append(wait.expected_s - truth)
        covered.append([wait.low_s <= t <= wait.high_s for t in (truth, *_other_truths(truths, at, end, joiner))])
        last_e.append(abs((done[last - 1].t_booth - done[last - 1].t_from) - truth))
        mean_e.append(abs(statistics.fmean(recent) - truth))
        oracle_e.append(abs(oracles[joiner.lane_to].wait_s(end, joiner) - truth))
        n = sum(1 for t in truths if t.t_from < end < t.t_booth and t.lane_to == joiner.lane_to)
        floor.append(0.6745 * math.sqrt(n) * world.cycle_sd_s(joiner.lane_to) / spec[joiner.lane_to].booths)
    median = statistics.median
    return Score(
        exp_n, exp_bad / max(1, exp_n), 0.0, median(errors), median(floor),
        tuple(statistics.fmean(column) for column in zip(*covered, strict=True)), median(last_e), median(mean_e),
        missing / max(1, missing + len(errors)), statistics.fmean(bias), statistics.fmean(inside),
        tuple(statistics.fmean(column) for column in (errors, last_e, oracle_e)),
    )  # fmt: skip


class _Oracle:
    """Who knows the queue of a lane, and the law of its service around a moment."""

    _AROUND_S = 2700.0

    def __init__(self, world: World, lane: int) -> None:
        self._booths = world.scenario.lanes[lane].booths
        self._trucks = sorted((t for t in world.truth() if t.lane_to == lane), key=lambda t: t.t_booth)
        self._at = [t.t_booth for t in self._trucks]
        travels = sorted(t.t_booth - t.t_from for t in self._trucks)
        self._free_s = travels[len(travels) // 20]
        pairs = zip(self._trucks, self._trucks[self._booths :], strict=False)  # of one booth, where somebody waited
        cycles = [(b.t_booth, b.t_booth - a.t_booth) for a, b in pairs if b.t_from + 1.3 * self._free_s < b.t_booth]
        self._cycles = [cycle for cycle in cycles if cycle[1] < 1500.0]

    def wait_s(self, end: float, joiner: Truck) -> float:
        """Of the one that joins next."""
        low, high = end - self._AROUND_S, end + self._AROUND_S
        law = [cycle for at, cycle in self._cycles if low < at < high] or [cycle for _, cycle in self._cycles]
        if not law:
            return self._free_s
        ahead = sum(1 for t in self._trucks if t.t_from < end < t.t_booth < joiner.t_booth)
        served = bisect.bisect_right(self._at, end)
        residual = 0.0
        if self._booths == 1 and served:
            since = end - self._at[served - 1]
            longer = [cycle - since for cycle in law if cycle > since]
            residual = statistics.fmean(longer) if longer else 10.0
        return max(self._free_s, residual + ahead * statistics.fmean(law) / self._booths)


def _other_truths(trucks: list[Truck], at: int, end: float, joiner: Truck) -> tuple[float, float]:
    """Of one who joins at `end` before the joiner and takes the place of it; and on the line between two vehicles."""
    wait = joiner.t_booth - joiner.t_from
    ahead = [t for t in trucks[max(0, at - 8) : at] if not t.dwelt and t.lane_to == joiner.lane_to]
    if not ahead:
        return wait, wait
    before = ahead[-1]
    busy = before.t_booth > joiner.t_from
    before_s = before.t_booth - before.t_from
    share = (end - before.t_from) / (joiner.t_from - before.t_from)
    return joiner.t_booth - end if busy else wait, before_s + share * (wait - before_s)


def run(world: World, readers: Readers, interval_s: int = 60, seed: int = 7) -> tuple[list[Wait], CrossingWaits, float]:
    lines = sightings(world, readers, seed)
    crossing = CrossingWaits(config_of(world.scenario, interval_s))
    out: list[Wait] = []
    began = time.perf_counter()
    for sighting in lines:
        crossing.feed(sighting)
        out += crossing.take()
    out += crossing.finish()
    return out, crossing, time.perf_counter() - began


def print_day(title: str, world: World, rows: list[str]) -> None:
    longest = max(t.t_booth - t.t_from for t in world.truth() if not t.dwelt)
    print(f"{title}: {len(world.trucks)} vehicles, longest wait {longest:.0f} s")
    for row in rows:
        readers, exp_rel, exp_s, rel, bound_s = ROWS[row]
        waits, crossing, took = run(world, readers)
        print(f"  {row}: {took:.2f} s, {crossing.stats()}")
        of_lanes: list[Score] = []
        for lane in [spec.id for spec in world.scenario.lanes] + ["_"]:
            s = score(world, waits, lane, exp_rel, exp_s, rel, bound_s)
            of_lanes += [s] if lane != "_" else []
            covers = " / ".join(f"{share:.1%}" for share in s.covered)
            print(
                f"    {lane:4} experienced n {s.experienced_n:4} outside {s.experienced_bad:6.1%} | expected MedAE "
                f"{s.expected_s:6.1f} s (floor {s.floor_s:5.1f}) bias {s.bias_s:7.1f} in bound {s.within:5.1%} "
                f"missing {s.missing:5.1%} | covers {covers} | last {s.last_s:6.1f} mean15 {s.mean15_s:6.1f}",
                flush=True,
            )
        ours_s, last_s, oracle_s = (statistics.fmean(s.mean_s[i] for s in of_lanes) for i in range(3))
        covered = statistics.fmean(share for s in of_lanes for share in s.covered)
        print(
            f"    lanes: mean error {ours_s:.0f} s, {ours_s / last_s:.2f} of the last completed wait's, "
            f"{ours_s / oracle_s:.2f} of the oracle's {oracle_s:.0f} s; covers {covered:.1%}",
            flush=True,
        )


def main() -> None:
    words = sys.argv[1:]
    rows = [word for word in words if word in ROWS] or list(ROWS)
    seeds = [int(word) for word in words if word.isdigit()] or [1]
    for seed in seeds if "sumo" not in words else []:
        print_day(f"day {seed}", simulate(Scenario(seed=seed)), rows)
    programs = sumo_world.find()
    if programs is None:
        print("SUMO: skipped, it is not installed; `pip install eclipse-sumo` brings it")
        return
    for seed in seeds:
        print_day(f"SUMO morning {seed}", sumo_world.simulate(programs, seed), rows)


if __name__ == "__main__":
    main()
