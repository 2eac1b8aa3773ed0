"""Crossings that are laid out otherwise: what is told there is right, or null with the reason in `method`."""

from __future__ import annotations

import dataclasses
import math
import random
import statistics

import pytest

from edge.config import Config, Lane, Point, Site
from edge.messages import Wait
from edge.waiting.sightings import BoothChange, Sighting
from edge.waiting.waits import CrossingWaits
from tests.waits.layouts import S, alternate, arrivals, errors, seen, serve
from tests.waits.traffic import START_NS


def _config(*lanes: str, points: tuple[str, ...] = ("approach", "booth")) -> Config:
    return Config(
        site=Site(country="CA", port="0453"),
        lane=tuple(Lane(id=lane, traffic="commercial") for lane in lanes),
        point=tuple(Point(name=point) for point in points),
    )


def _waits(config: Config, lines: list[Sighting]) -> list[Wait]:
    crossing = CrossingWaits(config)
    out: list[Wait] = []
    for line in lines:
        crossing.feed(line)
        out += crossing.take()
    return out + crossing.finish()


def _peaks(hour: float) -> float:
    return 0.25 + math.exp(-(((hour - 4.0) / 1.3) ** 2)) + 0.9 * math.exp(-(((hour - 10.0) / 1.3) ** 2))


@pytest.mark.parametrize("tags", [0.6, 0.1])
def test_identities_cope_with_a_side_road(tags: float) -> None:
    rng = random.Random(2)
    vehicles = arrivals(rng, "A", 13.0, _peaks, 60.0, side=0.2)
    serve(rng, vehicles, lambda _: 60.0)
    found = errors(vehicles, _waits(_config("A"), seen(rng, vehicles, tags=tags)), "A")
    assert found.known > 0.7
    assert found.ours_s < 0.65 * found.last_s
    assert found.inside > 0.65


@pytest.mark.parametrize("side", [0.1, 0.25])
def test_loops_alone_say_nothing_behind_a_side_road(side: float) -> None:
    rng = random.Random(1)
    vehicles = arrivals(rng, "A", 13.0, _peaks, 60.0, side=side)
    serve(rng, vehicles, lambda _: 60.0)
    waits = [wait for wait in _waits(_config("A"), seen(rng, vehicles, tags=0.0)) if wait.lane == "A"]
    late = waits[3 * 60 :]
    assert statistics.fmean(wait.method == "side_road" for wait in late) > 0.95
    assert all(wait.expected_s is None for wait in late if wait.method == "side_road")
    assert all(wait.throughput_per_h is not None for wait in late)


@pytest.mark.parametrize("tags", [0.6, 0.0])
def test_without_a_side_road_nobody_speaks_of_one(tags: float) -> None:
    found = []
    for seed in (3, 4, 5):
        rng = random.Random(seed)
        vehicles = arrivals(rng, "A", 13.0, _peaks, 60.0)
        serve(rng, vehicles, lambda _: 60.0)
        # Of each point some are missed.
        lines = [line for line in seen(rng, vehicles, tags=tags) if rng.random() > 0.015]
        waits = _waits(_config("A"), lines)
        assert all(wait.method != "side_road" for wait in waits)
        found.append(errors(vehicles, waits, "A"))
    assert min(one.known for one in found) > 0.95
    assert statistics.fmean(one.ours_s / one.last_s for one in found) < 0.6


@pytest.mark.parametrize("tags", [0.6, 0.0])
def test_a_booth_that_calls_from_two_lanes_in_turn(tags: float) -> None:
    """Each lane has the pace that the other one leaves it."""
    rng = random.Random(1)
    lanes = [
        arrivals(rng, "A", 13.0, lambda hour: 0.5 * _peaks(hour), 60.0),
        arrivals(rng, "B", 13.0, lambda hour: 0.5 * _peaks(hour if hour < 7.0 else hour + 0.8), 60.0),
    ]
    alternate(rng, lanes, 60.0)
    vehicles = [vehicle for lane in lanes for vehicle in lane]
    waits = _waits(_config("A", "B"), seen(rng, vehicles, tags=tags))
    for lane in ("A", "B"):
        found = errors(vehicles, waits, lane)
        assert found.known > 0.9
        assert found.ours_s < 0.7 * found.last_s
        assert found.inside > 0.65


def test_a_lane_that_changes_its_program() -> None:
    """Standard takes 70 s, FAST 40 s: from 3 to 5 and from 9 to 11 o'clock the booth serves FAST."""
    rng = random.Random(5)

    def cycle_s(at_s: float) -> float:
        return 40.0 if 3.0 <= at_s / 3600.0 < 5.0 or 9.0 <= at_s / 3600.0 < 11.0 else 70.0

    vehicles = arrivals(rng, "A", 13.0, lambda hour: 1.15 * _peaks(hour), 60.0)
    serve(rng, vehicles, cycle_s)
    changes = [(3.0, "FAST"), (5.0, "standard"), (9.0, "FAST"), (11.0, "standard")]
    booths = [BoothChange(START_NS + round(hour * 3600) * S, "A", "booth", None, program) for hour, program in changes]
    lines = sorted([*seen(rng, vehicles, tags=0.6), *booths], key=lambda line: line.time_ns)
    waits = _waits(_config("A"), lines)
    programs = {(wait.time, wait.program) for wait in waits if wait.lane == "_"}
    for wait in waits:
        if wait.lane == "A":
            assert (wait.time, wait.program) in programs
    found = errors(vehicles, waits, "A")
    assert found.known > 0.9
    assert found.ours_s < 0.7 * found.last_s


@pytest.mark.parametrize(
    ("points", "method"), [((), "no_point"), (("booth",), "one_point"), (("approach",), "one_point")]
)
def test_one_point_or_none_says_why_there_is_no_wait(points: tuple[str, ...], method: str) -> None:
    rng = random.Random(4)
    vehicles = arrivals(rng, "A", 2.0, lambda _: 0.9, 60.0)
    serve(rng, vehicles, lambda _: 60.0)
    lines = [line for line in seen(rng, vehicles, tags=0.6) if line.point in points]
    waits = _waits(_config("A", points=points), lines or seen(rng, vehicles, tags=0.0)[:50])
    for wait in waits:
        assert wait.expected_s is None
        assert wait.queue_vehicles is None
        assert wait.experienced.median_s is None
        assert wait.method == method
    assert waits
    if points == ("booth",):
        assert waits[-1].throughput_per_h == pytest.approx(54.0, abs=15.0)


def test_without_points_the_clock_alone_makes_intervals() -> None:
    """A site that only weighs: nothing is ever seen at a point."""
    crossing = CrossingWaits(_config("A", points=()))
    waits = [wait for second in range(200) for wait in crossing.advance(1_764_000_000_000_000_000 + second * 10**9)]
    assert [wait.method for wait in waits if wait.lane == "A"] == ["no_point"] * 3


@pytest.mark.parametrize("in_turn", [False, True])
@pytest.mark.parametrize("tags", [0.0, 0.6])
def test_two_queues_before_one_reader_as_one_lane(tags: float, in_turn: bool) -> None:
    """One reader and one loop at the booth for both queues: whoever arrives belongs to one lane."""
    rng = random.Random(8)
    queues = [arrivals(rng, lane, 13.0, lambda hour: 0.5 * _peaks(hour), 60.0) for lane in "AB"]
    if in_turn:
        alternate(rng, queues, 60.0)
    else:
        serve(rng, [vehicle for queue in queues for vehicle in queue], lambda _: 60.0)
    vehicles = [dataclasses.replace(vehicle, lane="A") for queue in queues for vehicle in queue]
    found = errors(vehicles, _waits(_config("A"), seen(rng, vehicles, tags=tags)), "A")
    assert found.known > 0.9
    assert found.ours_s < 0.7 * found.last_s
    assert found.inside > 0.65
