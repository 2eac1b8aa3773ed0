"""The queue filter: order, idle booths, identities, and no input that breaks it."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import core

S = 1_000_000_000
T0 = 1_780_000_000 * S
FLAT = [0.0] * core.MASKS


def _filter() -> core.QueueFilter:
    return core.QueueFilter(capacity=256, free_flow_s=60.0, free_flow_sd_ln=0.9, cycle_s=60.0)


def _depart(queue: core.QueueFilter, t_s: float, pos: int | None = None, llr: float = 14.0) -> core.Departure:
    return queue.depart(T0 + round(t_s * S), {} if pos is None else {pos: llr}, FLAT, 0.0)


def _saturated(queue: core.QueueFilter, rng: random.Random, n: int = 60) -> tuple[list[float], float]:
    """Vehicles every 40 s, booth every 60 s: a queue grows. Returns entry times of those still in, and the time."""
    entries, t_booth, inside = 0.0, 100.0, []
    for _ in range(n):
        while entries < t_booth:
            queue.enter(T0 + round(entries * S))
            inside.append(entries)
            entries += rng.uniform(30, 50)
        _depart(queue, t_booth)
        inside.pop(0)
        t_booth += rng.uniform(50, 70)
    return inside, t_booth


def test_a_growing_queue_is_counted_and_its_wait_expected() -> None:
    queue = _filter()
    inside, t = _saturated(queue, random.Random(1))
    forecast = queue.predict(T0 + round(t * S))
    known = sum(1 for entry in inside if entry <= t)
    assert forecast.queue_n == pytest.approx(known, abs=3)
    assert forecast.p50_s == pytest.approx(known * 60.0, rel=0.15)
    assert forecast.p10_s < forecast.p50_s < forecast.p90_s
    assert forecast.cycle_s == pytest.approx(60.0, rel=0.1)


def test_an_idle_booth_resets_the_count_without_identities() -> None:
    """Ten counts that were no vehicles; then single vehicles pass freely: the queue is empty again."""
    queue = _filter()
    _, t = _saturated(queue, random.Random(2), 30)
    for i in range(10):
        queue.enter(T0 + round((t + i * 5) * S))
    t += 4000.0
    for _ in range(8):
        queue.enter(T0 + round(t * S))
        _depart(queue, t + 75.0)
        t += 400.0
    assert queue.predict(T0 + round(t * S)).queue_n < 0.5
    assert queue.predict(T0 + round(t * S)).p50_s == pytest.approx(75.0, abs=15.0)


def test_a_match_anchors_the_count() -> None:
    queue = _filter()
    positions = [queue.enter(T0 + i * 20 * S) for i in range(40)]
    t = 900.0
    for k in range(5):  # twenty of the forty have left: the filter cannot know
        found = _depart(queue, t, positions[20 + k])
        t += 60.0
    assert found.pos == positions[24]
    assert found.p > 0.9
    assert queue.predict(T0 + round(t * S)).queue_n == pytest.approx(15, abs=2.5)


def test_an_overtaker_does_not_empty_the_queue() -> None:
    queue = _filter()
    rng = random.Random(4)
    inside, t = _saturated(queue, rng, 40)
    before = queue.predict(T0 + round(t * S)).queue_n
    last = queue.enter(T0 + round(t * S))
    found = _depart(queue, t + 90.0, last)
    assert found.pos == last
    assert queue.predict(T0 + round((t + 91.0) * S)).queue_n == pytest.approx(before, abs=3.0)
    assert len(inside) == pytest.approx(before, abs=4)


def test_a_second_count_of_one_vehicle_is_no_departure() -> None:
    queue = _filter()
    _, t = _saturated(queue, random.Random(5), 40)
    before = queue.predict(T0 + round(t * S)).queue_n
    _depart(queue, t + 2.0)
    again = _depart(queue, t + 3.0)
    assert again.p_phantom > 0.5
    assert queue.predict(T0 + round((t + 4) * S)).queue_n == pytest.approx(before - 1, abs=1.5)


def test_more_booths_serve_faster_at_once() -> None:
    queue = _filter()
    _, t = _saturated(queue, random.Random(6))
    one = queue.predict(T0 + round(t * S)).p50_s
    queue.booths(2)
    two = queue.predict(T0 + round(t * S)).p50_s
    assert two == pytest.approx(one / 2, rel=0.2)


def test_one_more_booth_can_be_tried_without_opening_it() -> None:
    queue = _filter()
    _, t = _saturated(queue, random.Random(6))
    at = T0 + round(t * S)
    one = queue.predict(at).p50_s
    tried = queue.predict(at, more_booths=1).p50_s
    assert tried == pytest.approx(one / 2, rel=0.2)
    assert queue.predict(at).p50_s == one
    with pytest.raises(core.CoreError):
        queue.predict(at, more_booths=-1)


def _samples(queue: core.QueueFilter, at: int) -> npt.NDArray[np.float64]:
    waits_s = np.empty(200)
    queue.predict(at, waits_s)
    return waits_s


def test_what_has_not_happened_yet_does_not_count() -> None:
    queue = _filter()
    _, t = _saturated(queue, random.Random(7))
    at = T0 + round(t * S)
    before = _samples(queue, at)
    queue.enter(at + 5 * S)
    assert (_samples(queue, at) == before).all()


def test_the_same_input_gives_the_same_bits() -> None:
    first, second = _filter(), _filter()
    for queue in (first, second):
        _saturated(queue, random.Random(8))
    assert (_samples(first, T0 + 4000 * S) == _samples(second, T0 + 4000 * S)).all()


_TIMES = st.one_of(st.integers(0, 4_000_000_000_000), st.integers(-(1 << 63), (1 << 63) - 1))
_OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), _TIMES),
        st.tuples(st.just("mark"), st.integers(-10, 300), st.integers(0, 7), st.booleans()),
        st.tuples(st.just("booths"), st.floats(0, 1000)),
        st.tuples(st.just("unwatched"), st.floats(0, 1e9)),
        st.tuples(
            st.just("depart"),
            _TIMES,
            st.lists(st.tuples(st.integers(-5, 300), st.floats(-1e9, 1e9, width=32)), max_size=30),
            st.floats(0, 1e20),
        ),
        st.tuples(st.just("predict"), _TIMES),
    ),
    max_size=80,
)


@given(_OPERATIONS)
@settings(max_examples=300, deadline=None)
def test_nothing_breaks_the_filter(operations: list[tuple]) -> None:
    queue = core.QueueFilter(capacity=16, free_flow_s=60.0, free_flow_sd_ln=0.9, cycle_s=60.0)
    for name, *rest in operations:
        try:
            if name == "enter":
                queue.enter(rest[0])
            elif name == "mark":
                queue.mark(rest[0], rest[1], gone=rest[2])
            elif name == "booths":
                queue.booths(rest[0])
            elif name == "unwatched":
                queue.unwatched(rest[0])
            elif name == "depart":
                found = queue.depart(rest[0], dict(rest[1]), FLAT, rest[2])
                assert 0.0 <= found.p <= 1.0 + 1e-9
                assert np.isfinite([found.mean_s, found.sd_s, found.wait_s]).all()
            else:
                waits_s = np.empty(50)
                forecast = queue.predict(rest[0], waits_s)
                assert np.isfinite(waits_s).all()
                assert (np.diff(waits_s) >= 0).all()
                assert 0 <= forecast.queue_n < 1000
        except core.CoreError:
            pass  # a time further than the filter can hold


def test_a_mixture_has_the_quantiles_of_its_parts() -> None:
    rng = np.random.default_rng(1)
    samples = np.sort(rng.gamma(2.0, 300.0, (3, 64)), axis=1)
    mixture = core.Mixture(samples, samples.shape[1])
    parts = [(0, 64, 1.0), (1, 64, 3.0), (2, 16, 0.5)]
    values = np.concatenate([samples[row, :n] for row, n, _ in parts])
    weights = np.concatenate([np.full(n, weight / n) for _, n, weight in parts])
    order = values.argsort()
    reached = weights[order].cumsum() / weights.sum()
    for q, found in zip((0.1, 0.5, 0.9), mixture.quantiles(parts, (0.1, 0.5, 0.9)), strict=True):
        assert found == pytest.approx(values[order][np.searchsorted(reached, q)], abs=0.01)
    assert mixture.quantiles([(1, 64, 2.0)], (0.5,))[0] == pytest.approx(samples[1, 31], abs=0.01)
    for wrong in ([], [(0, 65, 1.0)], [(0, 64, 0.0)], [(-1, 64, 1.0)]):
        with pytest.raises(core.CoreError):
            mixture.quantiles(wrong, (0.5,))


def test_inspections_that_are_long_are_expected_too() -> None:
    """One in twenty takes five minutes: a queue of twenty waits for it, though it is no usual cycle."""
    rng = random.Random(3)
    queue = _filter()
    t, served = 0.0, 0.0
    entered = 0
    for number in range(400):
        while entered < number + 25:
            queue.enter(T0 + 10 * entered * S)
            entered += 1
        t += 300.0 if number % 20 == 10 else rng.uniform(50.0, 70.0)
        served = max(t, 120.0 + 10.0 * number)
        _depart(queue, served)
    forecast = queue.predict(T0 + round(served * S))
    assert forecast.mean_s == pytest.approx(forecast.queue_n * 72.0, rel=0.12)


def _paces_of_two(gaps_s: Iterable[float]) -> list[float]:
    """What is thought of the pace of two booths after each departure, thirty vehicles standing in the queue."""
    queue = _filter()
    queue.booths(2)
    t, entered, paces = 100.0, 0, []
    for number, gap_s in enumerate(gaps_s):
        while entered < number + 30:
            queue.enter(T0 + 10 * entered * S)
            entered += 1
        t += gap_s
        _depart(queue, t)
        paces.append(queue.predict(T0 + round(t * S)).cycle_s)
    return paces


def test_a_booth_that_closes_without_a_word_is_known_by_its_departures() -> None:
    rng = random.Random(4)
    paces = _paces_of_two(rng.uniform(25.0, 35.0) if number < 120 else rng.uniform(50.0, 70.0) for number in range(160))
    assert paces[119] == pytest.approx(30.0, rel=0.1)
    assert paces[134] == pytest.approx(60.0, rel=0.15), "a quarter of an hour after one of two has closed"


def test_services_that_differ_are_no_change_of_pace() -> None:
    """Two booths whose services are exponential, mean 60 s: no run of short or long ones is taken for another booth."""
    rng = random.Random(6)
    paces = _paces_of_two(max(0.5, rng.expovariate(1.0 / 30.0)) for _ in range(400))
    assert all(pace == pytest.approx(30.0, rel=0.4) for pace in paces[100:])


def test_booths_that_wait_for_vehicles_are_not_thought_slow() -> None:
    """Eight booths with little to do: that a vehicle comes every half minute says nothing of what they can do."""
    queue = _filter()
    queue.booths(8)
    rng = random.Random(8)
    for number in range(200):
        at = 100.0 + 30.0 * number
        queue.enter(T0 + round(at * S))
        _depart(queue, at + rng.uniform(55.0, 65.0), number)
    assert queue.predict(T0 + 6200 * S).cycle_s < 15.0


@pytest.mark.parametrize(
    "wrong",
    [{"capacity": 17}, {"capacity": 0}, {"capacity": 1 << 20}, {"free_flow_s": float("nan")}, {"cycle_s": -1.0}],
)
def test_wrong_arguments_are_refused(wrong: dict[str, float]) -> None:
    arguments = {"capacity": 64, "free_flow_s": 60.0, "free_flow_sd_ln": 0.9, "cycle_s": 60.0} | wrong
    with pytest.raises(core.CoreError):
        core.QueueFilter(**arguments)


def test_vehicles_that_a_dead_counter_misses_are_expected_in_the_queue() -> None:
    """Of ten vehicles four are seen: ten in the list are twenty-five."""
    queue = _filter()
    _, t = _saturated(queue, random.Random(9))
    before = queue.predict(T0 + round(t * S))
    queue.counts(0.4, 1.0)
    for i in range(10):
        queue.enter(T0 + round((t + i) * S))
    after = queue.predict(T0 + round((t + 10) * S))
    assert after.queue_n - before.queue_n == pytest.approx(25, rel=0.2)
    assert after.p50_s - before.p50_s == pytest.approx(25 * 60.0, rel=0.3)
    with pytest.raises(core.CoreError):
        queue.counts(0.0, 1.0)


def test_a_free_road_has_its_fastest_tenth() -> None:
    queue = _filter()
    for i in range(30):
        queue.enter(T0 + i * 400 * S)
        _depart(queue, i * 400.0 + 75.0)
    forecast = queue.predict(T0 + 13_000 * S)
    assert forecast.free_flow_s * 0.8 < forecast.free_flow_low_s < forecast.free_flow_s


def test_another_program_has_another_pace_and_the_first_one_is_not_forgotten() -> None:
    queue = _filter()
    inside, t = _saturated(queue, random.Random(10), 90)
    before = queue.predict(T0 + round(t * S))
    queue.program(1)
    for _ in range(6):
        _depart(queue, t)
        t += 36.0
    after = queue.predict(T0 + round(t * S))
    assert after.queue_n > 5
    assert after.cycle_s < 50.0  # with what was known before it would still be 57
    assert len(inside) > 5
    queue.program(0)
    assert queue.predict(T0 + round(t * S)).cycle_s == pytest.approx(before.cycle_s, rel=0.05)
    with pytest.raises(core.CoreError):
        queue.program(8)
