"""A queue known by counts alone: how long a free journey takes, who has left, who is no double count, many booths."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass

import pytest

from edge import core

S = 1_000_000_000
T0 = 1_780_000_000 * S
FLAT = [0.0] * core.MASKS
FREE_S = 150.0


@dataclass(frozen=True, slots=True)
class Day:
    """Entries, and (free journey over, served) of those that did not leave."""

    entered_s: list[float]
    served: list[tuple[float, float, float]]

    def inside_n(self, t_s: float) -> int:
        """Of those who will be served."""
        return sum(entered <= t_s < served for entered, _, served in self.served)


def _day(rng: random.Random, hours: list[float], booths: int, cycle_s: float, leaves: float = 0.0) -> Day:
    """`hours`: load of each hour as a share of what the booths serve."""
    free, day, t = [0.0] * booths, Day([], []), 0.0
    there: list[tuple[float, float]] = []
    while t < 3600.0 * len(hours):
        t += rng.expovariate(hours[int(min(t, 3600.0 * len(hours) - 1.0) // 3600.0)] * booths / cycle_s)
        day.entered_s.append(t)
        if rng.random() >= leaves:
            there.append((t + FREE_S * math.exp(rng.gauss(0.0, 0.07)), t))
    for ready_s, entered_s in sorted(there):
        start_s = max(ready_s, heapq.heappop(free))
        heapq.heappush(free, start_s + cycle_s * rng.gammavariate(4.0, 0.25))
        day.served.append((entered_s, ready_s, start_s))
    return day


def _fed(day: Day, until_s: float, booths: int, usual_s: float = 200.0) -> core.QueueFilter:
    queue = core.QueueFilter(capacity=4096, free_flow_s=usual_s, free_flow_sd_ln=0.5, cycle_s=60.0)
    queue.booths(float(booths))
    events = [(t, True) for t in day.entered_s] + [(served, False) for _, _, served in day.served]
    for t_s, enters in sorted(events):
        if t_s < until_s:
            if enters:
                queue.enter(T0 + round(t_s * S))
            else:
                queue.depart(T0 + round(t_s * S), {}, FLAT, 0.0)
    return queue


@pytest.mark.parametrize(("booths", "hours"), [(1, 6), (8, 2)])
@pytest.mark.parametrize("usual_s", [80.0, 200.0, 280.0])
def test_the_free_journey_is_told_from_counts(booths: int, hours: int, usual_s: float) -> None:
    day = _day(random.Random(booths), [0.4] * hours, booths, 60.0)
    queue = _fed(day, 3600.0 * hours, booths, usual_s)
    assert queue.predict(T0 + 3600 * hours * S).free_flow_s == pytest.approx(FREE_S, rel=0.05)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_where_a_queue_always_stands_counts_do_not_tell_it(seed: int) -> None:
    """Then nothing is learned of it but what the first vehicle of all suggests."""
    day = _day(random.Random(seed), [2.0, 1.0, 1.0, 1.0], 1, 60.0)
    late = Day([t for t in day.entered_s if t > 2400.0], [v for v in day.served if v[0] > 2400.0])
    forecast = _fed(late, 4 * 3600.0, 1).predict(T0 + 4 * 3600 * S)
    assert forecast.queue_n > 20.0
    assert forecast.free_flow_n < 2.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_queue_that_has_gone_is_known_to_have_gone(seed: int) -> None:
    """One in seven turns off, and nothing but the pauses of the booth says so."""
    day = _day(random.Random(seed), [0.4, 0.5, 1.4, 1.3, 0.5, 0.5, 0.4], 1, 60.0, leaves=0.14)
    assert day.inside_n(4 * 3600.0) > 10
    assert _fed(day, 7 * 3600.0, 1).predict(T0 + 7 * 3600 * S).queue_n == pytest.approx(
        day.inside_n(7 * 3600.0), abs=2.0
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("booths", [1, 4])
def test_a_queue_that_stands_is_not_taken_for_gone(booths: int, seed: int) -> None:
    """Nobody turns off, and the booths serve without a pause."""
    day = _day(random.Random(seed), [0.4, 0.5, 1.4, 1.3, 1.1], booths, 60.0)
    inside_n = day.inside_n(5 * 3600.0)
    assert inside_n > 25
    forecast = _fed(day, 5 * 3600.0, booths).predict(T0 + 5 * 3600 * S)
    assert forecast.queue_n == pytest.approx(inside_n, rel=0.4)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_many_booths_that_are_slower_than_thought_do_not_hide_their_queue(seed: int) -> None:
    """Eight booths take a quarter longer than usual: no departure tells that from booths that are idle at times."""
    day = _day(random.Random(seed), [0.4, 0.5, 1.3, 1.2, 1.1], 8, 75.0, leaves=0.05)
    inside_n = day.inside_n(5 * 3600.0)
    assert inside_n > 60
    assert _fed(day, 5 * 3600.0, 8).predict(T0 + 5 * 3600 * S).queue_n == pytest.approx(inside_n, rel=0.6)


def test_in_dense_traffic_those_close_behind_another_are_vehicles() -> None:
    """Every second comes 2.5 s behind another, and is served like all others, though hardly any of them is read."""
    rng = random.Random(4)
    queue = core.QueueFilter(capacity=1024, free_flow_s=FREE_S, free_flow_sd_ln=0.2, cycle_s=60.0)
    queue.booths(8.0)
    positions, served, t = [], 0, 0.0
    for _ in range(150):
        for after_s in (0.0, 2.5):
            positions.append(queue.enter(T0 + round((t + after_s) * S)))
        t += 12.0
        while t > FREE_S and served / 8 * 60.0 < t - FREE_S - 7.5:
            read = rng.random() < 0.1
            if read:
                queue.mark(positions[served], 1)
            at_s = FREE_S + 7.5 * served + 7.5
            queue.depart(T0 + round(at_s * S), {positions[served]: 14.0} if read else {}, FLAT, 0.0)
            served += 1
    forecast = queue.predict(T0 + round(t * S))
    assert forecast.queue_n == pytest.approx(len(positions) - served, rel=0.2)
    assert forecast.p50_s == pytest.approx((len(positions) - served) * 7.5, rel=0.2)


def test_a_second_count_close_behind_is_none() -> None:
    """One in twenty is counted twice; those are few, and the wait is that of the others."""
    rng, queue = random.Random(5), core.QueueFilter(capacity=1024, free_flow_s=60.0, free_flow_sd_ln=0.3, cycle_s=60.0)
    t, waiting, at_s = 0.0, [], 100.0
    for k in range(220):
        pos = queue.enter(T0 + round(t * S))
        queue.mark(pos, 1)
        waiting.append(pos)
        if k % 20 == 10:
            queue.enter(T0 + round((t + 1.5) * S))
        t += rng.uniform(40.0, 50.0)
        while at_s < t:
            queue.depart(T0 + round(at_s * S), {waiting.pop(0): 14.0}, FLAT, 0.0)
            at_s += rng.uniform(55.0, 65.0)
    forecast = queue.predict(T0 + round(t * S))
    assert forecast.p50_s == pytest.approx(len(waiting) * 60.0, rel=0.15)
