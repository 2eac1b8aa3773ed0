"""Sources that fail during the day: the forecast degrades in the open and does not run away."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest

from edge.config import Config, Lane, Point, Site
from edge.messages import Wait, parse_utc
from edge.waiting.sightings import LoopCount, PlateSighting, Sighting, TagSighting
from edge.waiting.waits import CrossingWaits

S = 1_000_000_000
T0 = 1_780_000_000 * S // (3600 * S) * (3600 * S)
FAULT_S = 3600.0
END_S = 3.0 * 3600
FREE_S = 80.0

Truth = list[tuple[float, float]]  # entry and wait


def _day(seed: int = 1, tags: float = 0.0, plates: float = 0.0) -> tuple[list[Sighting], Truth]:
    """One lane: half an hour of free traffic, a queue that grows to some twenty, and a slow end. Cycle 60 s."""
    rng = random.Random(seed)
    out: list[Sighting] = []
    truth: Truth = []
    t, free_at = 10.0, 0.0
    while t < END_S:
        tag = f"TAG{rng.randrange(10**9)}" if rng.random() < tags else None
        plate = f"{rng.choice('ABCDEF')}{rng.choice('GHJKL')}{rng.randrange(10**5):05d}"
        booth = max(t + FREE_S * rng.uniform(0.95, 1.05), free_at)
        free_at = booth + rng.uniform(50, 70)
        truth.append((t, booth - t))
        for when, point in ((t, "approach"), (booth, "booth")):
            at = T0 + round(when * 1e6) * 1000
            out.append(LoopCount(at, "L0", point))
            if tag:
                out.append(TagSighting(at + 200_000_000, "L0", point, tag))
            if rng.random() < plates:
                out.append(PlateSighting(at + 300_000_000, "L0", point, plate))
        t += rng.uniform(90, 200) if t < 1800 else rng.uniform(30, 75) if t < 2.2 * 3600 else rng.uniform(55, 90)
    return sorted(out, key=lambda s: s.time_ns), truth


def _waits(sightings: list[Sighting]) -> tuple[list[Wait], dict[str, int]]:
    config = Config(
        site=Site(country="CA", port="0453"),
        lane=(Lane(id="L0", traffic="commercial", program="standard"),),
        point=(Point(name="approach", x_m=0.0), Point(name="booth", x_m=None)),
    )
    crossing = CrossingWaits(config)
    waits: list[Wait] = []
    for sighting in sightings:
        crossing.feed(sighting)
        waits += crossing.take()
    return [wait for wait in waits + crossing.finish() if wait.lane == "L0"], crossing.stats()


def _errors(waits: list[Wait], truth: Truth, from_s: float = FAULT_S + 300.0) -> list[tuple[float, float]]:
    """Error and true wait of the next vehicle, for each forecast from `from_s` to half an hour before the end."""
    found = []
    for wait in waits:
        at_s = (parse_utc(wait.time) - T0) / S
        true_s = next((w for entry, w in truth if entry > at_s), None)
        if from_s < at_s < END_S - 1800.0 and wait.expected_s is not None and true_s is not None:
            found.append((abs(wait.expected_s - true_s), true_s))
    return found


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _dead(kind: type, *points: str) -> Callable[[Sighting], bool]:
    return lambda s: type(s) is kind and s.point in points and s.time_ns > T0 + round(FAULT_S) * S


@pytest.mark.parametrize("points", [("approach", "booth"), ("approach",), ("booth",)])
@pytest.mark.parametrize("kind", [TagSighting, PlateSighting])
def test_readers_that_die_leave_the_counts(kind: type, points: tuple[str, ...]) -> None:
    day, truth = _day(tags=0.6 if kind is TagSighting else 0.0, plates=0.85 if kind is PlateSighting else 0.0)
    dead = _dead(kind, *points)
    waits, _ = _waits([s for s in day if not dead(s)])
    errors = _errors(waits, truth)
    assert len(errors) > 70
    assert _median([error for error, _ in errors]) < 0.15 * _median([true_s for _, true_s in errors])
    assert waits[-20].method == "counted"


def test_a_dead_loop_upstream_leaves_the_tags_and_is_known_within_minutes() -> None:
    day, truth = _day(tags=0.6)
    dead = _dead(LoopCount, "approach")
    waits, _ = _waits([s for s in day if not dead(s)])
    after = [wait for wait in waits if parse_utc(wait.time) > T0 + round(FAULT_S + 600.0) * S]
    assert {wait.method for wait in after if wait.expected_s is not None} == {"matched"}
    errors = _errors(waits, truth, FAULT_S + 900.0)
    assert len(errors) > 50
    assert _median([error for error, _ in errors]) < 0.2 * _median([true_s for _, true_s in errors])


def test_a_dead_loop_downstream_leaves_the_tags() -> None:
    day, truth = _day(tags=0.6)
    dead = _dead(LoopCount, "booth")
    waits, _ = _waits([s for s in day if not dead(s)])
    errors = _errors(waits, truth, FAULT_S + 900.0)
    assert len(errors) > 50
    assert _median([error for error, _ in errors]) < 0.25 * _median([true_s for _, true_s in errors])


def test_more_come_out_than_can_be_inside_so_the_only_counter_upstream_is_dead() -> None:
    day, truth = _day()
    dead = _dead(LoopCount, "approach")
    waits, _ = _waits([s for s in day if not dead(s)])
    by_time = {(parse_utc(wait.time) - T0) / S: wait for wait in waits}
    told = [wait for at_s, wait in by_time.items() if FAULT_S + 2400.0 < at_s < END_S - 600.0]
    assert len(told) > 60
    assert all(wait.expected_s is None for wait in told)
    before = [
        (wait, next(w for entry, w in truth if entry > at_s))
        for at_s, wait in by_time.items()
        if FAULT_S + 600.0 < at_s < FAULT_S + 2400.0 and wait.expected_s is not None
    ]
    assert all(wait.high_s is not None and true_s < wait.high_s for wait, true_s in before)


def test_no_interval_is_below_the_free_travel_time() -> None:
    waits, _ = _waits(_day()[0])
    lows = [wait.low_s for wait in waits if wait.low_s is not None]
    assert len(lows) > 100
    assert min(lows[45:]) > 0.75 * FREE_S  # the prior of the free travel is wide


YEAR_NS = 365 * 86_400 * S


@pytest.mark.parametrize(
    "future",
    [
        [TagSighting(T0 + YEAR_NS, "L0", "approach", "F")] * 8,
        [TagSighting(T0 + YEAR_NS + i * S, "L0", "approach", f"F{i}") for i in range(4)],
        [LoopCount(T0 + YEAR_NS + i * S, "L0", "booth") for i in range(4)],
    ],
)
def test_one_device_of_the_future_moves_no_clock(future: list[Sighting]) -> None:
    day, _ = _day(tags=0.6)
    middle = len(day) // 2
    waits, stats = _waits(day[:middle] + future + day[middle:])
    assert [msgspec.json.encode(wait) for wait in waits] == [msgspec.json.encode(wait) for wait in _waits(day)[0]]
    assert stats["future"] + stats.get("duplicate", 0) == len(future)
    assert "restarted" not in stats


def test_devices_that_agree_on_a_wrong_time_cost_minutes_and_no_day() -> None:
    day, truth = _day(tags=0.6)
    middle = len(day) // 3
    wrong = [msgspec.structs.replace(s, time_ns=s.time_ns + YEAR_NS) for s in day[middle : middle + 8]]
    waits, stats = _waits(day[:middle] + wrong + day[middle + 8 :])
    assert stats["clock_set_back"] == 1
    again = [wait for wait in waits[-90:] if wait.expected_s is not None]
    assert len(again) > 50
    errors = _errors(again, truth, END_S / 2)
    assert _median([error for error, _ in errors]) < 90.0


def test_after_a_clock_was_set_back_no_wrong_wait_is_told() -> None:
    day, truth = _day(tags=0.6)
    at_ns = T0 + round(1.5 * 3600) * S
    day = [msgspec.structs.replace(s, time_ns=s.time_ns - 3600 * S) if s.time_ns > at_ns else s for s in day]
    waits, stats = _waits(day)
    assert stats["clock_set_back"] == 1
    step = max(i for i in range(1, len(waits)) if waits[i].time < waits[i - 1].time)
    after = waits[step:]
    told = [wait for wait in after if wait.experienced.median_s is not None]
    assert len(told) > 50
    shifted = [(entry + wait_s - 3600.0, wait_s) for entry, wait_s in truth]
    for wait in told:
        end_s = (parse_utc(wait.time) - T0) / S
        inside = [wait_s for booth_s, wait_s in shifted if end_s - 65.0 < booth_s <= end_s + 5.0]
        assert inside
        assert min(inside) - 10.0 <= wait.experienced.median_s <= max(inside) + 10.0
    assert sum(wait.expected_s is not None for wait in after) > 40
