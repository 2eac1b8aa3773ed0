"""The waits of a crossing: the same bytes whichever way sightings come, and nothing that stops them."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import Config, Lane, Point, Site, Waits
from edge.messages import Wait, encode, parse_utc
from edge.waiting.file import run_file
from edge.waiting.match import TOGETHER_NS
from edge.waiting.sightings import BoothChange, LoopCount, PlateSighting, Sighting, TagSighting, line_of
from edge.waiting.timeline import LIVE_REORDER_NS
from edge.waiting.waits import CrossingWaits
from tests.waits.score import config_of
from tests.waits.traffic import START_NS, Readers, Scenario, World, sightings, simulate

S = 1_000_000_000
T0 = 1_780_000_000 * S // (3600 * S) * (3600 * S)


def _config(lanes: int = 1, *, length_m: float | None = None, **more: object) -> Config:
    return Config(
        site=Site(country="CA", port="0453"),
        lane=tuple(Lane(id=f"L{i}", traffic="commercial", program="FAST" if i else "standard") for i in range(lanes)),
        point=(Point(name="approach", x_m=0.0), Point(name="booth", x_m=length_m)),
        wait=Waits(baseline={"standard": 600.0}),
        **more,  # type: ignore[arg-type]
    )


def _traffic(minutes: int = 90, lanes: int = 1, seed: int = 1, tags: float = 0.6) -> list[Sighting]:
    """Plain queues: a vehicle every 50 s, a booth cycle of 60 s, free travel of 80 s."""
    rng = random.Random(seed)
    out: list[Sighting] = []
    for i in range(lanes):
        t, free_at = 10.0, 0.0
        while t < minutes * 60:
            tag = f"TAG{rng.randrange(10**9)}" if rng.random() < tags else None
            booth = max(t + 80 * rng.uniform(0.95, 1.05), free_at)
            free_at = booth + rng.uniform(50, 70)
            for when, point in ((t, "approach"), (booth, "booth")):
                at = T0 + round(when * 1e6) * 1000
                out.append(LoopCount(at, f"L{i}", point))
                if tag:
                    out.append(TagSighting(at + 200_000_000, f"L{i}", point, tag))
            t += rng.uniform(30, 70)
    return sorted(out, key=lambda s: s.time_ns)


def _waits(sightings: Iterable[Sighting], config: Config | None = None) -> tuple[list[Wait], CrossingWaits]:
    crossing = CrossingWaits(config or _config())
    out: list[Wait] = []
    for sighting in sightings:
        crossing.feed(sighting)
        out += crossing.take()
    return out + crossing.finish(), crossing


def _bytes(waits: list[Wait]) -> bytes:
    return b"\n".join(encode(wait) for wait in waits)


def _lane(waits: list[Wait], lane: str = "L0") -> list[Wait]:
    return [wait for wait in waits if wait.lane == lane]


TRAFFIC = _traffic()
EXPECTED = _bytes(_waits(TRAFFIC)[0])


def test_every_interval_has_a_message_for_lane_program_and_crossing() -> None:
    waits, _ = _waits(_traffic(30, lanes=2), _config(2))
    times = sorted({parse_utc(wait.time) for wait in waits})
    assert times == list(range(times[0], times[-1] + 1, 60 * S))
    assert all(time % (60 * S) == 0 for time in times)
    for time in times:
        rows = {(w.lane, w.program) for w in waits if parse_utc(w.time) == time}
        assert rows == {("L0", "standard"), ("L1", "FAST"), ("_", "standard"), ("_", "FAST"), ("_", None)}


def test_waits_are_right_in_a_plain_queue() -> None:
    waits = _lane(_waits(TRAFFIC)[0])
    last = waits[70]
    assert last.expected_s is not None
    assert last.low_s is not None
    assert last.high_s is not None
    assert last.low_s <= last.expected_s <= last.high_s
    assert last.expected_s == pytest.approx(last.queue_vehicles * 60.0, rel=0.25)
    assert last.method == "fused"
    assert last.throughput_per_h == pytest.approx(60.0, abs=8)
    assert last.match_rate == pytest.approx(1.0, abs=0.05)
    assert last.reference_s == 600.0
    known = [wait for wait in waits if wait.experienced.median_s is not None]
    assert len(known) > 70
    assert known[-1].change == pytest.approx(known[-1].experienced.median_s / 6.0 - 100.0, abs=0.1)


def test_what_the_first_vehicles_show_outweighs_what_is_thought_before() -> None:
    """A booth that takes 20 s, where 60 s are usual."""
    quick = [msgspec.structs.replace(s, time_ns=T0 + (s.time_ns - T0) // 3) for s in TRAFFIC]
    waits = _lane(_waits(quick)[0])
    assert waits[0].throughput_per_h is not None
    for wait in waits[3:8]:
        assert wait.expected_s == pytest.approx(27.0 + 20.0 * wait.queue_vehicles, abs=30.0)
        assert wait.throughput_per_h == pytest.approx(150.0, abs=40.0)


def test_no_bound_is_told_of_a_wait_that_is_not_known() -> None:
    for wait in _waits([s for s in TRAFFIC if s.point == "approach"], _config(length_m=60.0))[0]:
        assert wait.expected_s is None
        assert not wait.lower_bound


def test_unknown_is_null_and_never_zero() -> None:
    only_tags_downstream = [s for s in TRAFFIC if s.point == "booth"]
    only_upstream = [s for s in TRAFFIC if s.point == "approach"]
    for lines in (only_tags_downstream, only_upstream, TRAFFIC[:3]):
        for wait in _waits(lines)[0]:
            assert wait.expected_s is None
            assert wait.low_s is None
            assert wait.method is None
            assert wait.experienced.median_s is None


@given(st.integers(0, 2**32), st.floats(0, 4.5))
@settings(max_examples=12, deadline=None)
def test_small_disorder_changes_nothing(seed: int, spread_s: float) -> None:
    rng = random.Random(seed)
    shuffled = sorted(TRAFFIC, key=lambda s: s.time_ns + rng.uniform(0, spread_s) * S)
    assert _bytes(_waits(shuffled)[0]) == EXPECTED


@given(st.sets(st.integers(0, len(TRAFFIC) - 1), max_size=200))
@settings(max_examples=12, deadline=None)
def test_duplicates_change_nothing(which: set[int]) -> None:
    doubled = [s for i, sighting in enumerate(TRAFFIC) for s in [sighting] * (2 if i in which else 1)]
    waits, crossing = _waits(doubled)
    assert _bytes(waits) == EXPECTED
    assert crossing.stats().get("duplicate", 0) == len(which)


def test_the_daemon_and_the_file_give_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    path.write_bytes(b"".join(line_of(s) + b"\n" for s in TRAFFIC))
    from_file = list(run_file(_config(), path, complain=lambda _: None))
    assert _bytes(from_file) == EXPECTED
    crossing = CrossingWaits(_config(), reorder_ns=LIVE_REORDER_NS)
    live: list[Wait] = []
    rng = random.Random(3)
    pending = sorted(TRAFFIC, key=lambda s: s.time_ns + rng.uniform(0, 1.9) * S)
    for now in range(T0, TRAFFIC[-1].time_ns + 120 * S, S):
        while pending and pending[0].time_ns <= now:
            crossing.feed(pending.pop(0))
        live += crossing.advance(now)
    assert _bytes(live[: len(from_file)]) == EXPECTED


def test_a_lane_point_or_program_that_is_none_is_told_with_those_that_are(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    strange: list[Sighting] = [
        LoopCount(T0, "L77", "approach"),
        LoopCount(T0, "L0", "moon"),
        BoothChange(T0, "L0", "booth", True, "VIP"),
        BoothChange(T0, "L0", "booth", True, "standard"),
    ]
    path.write_bytes(b"".join(line_of(s) + b"\n" for s in strange))
    said: list[str] = []
    list(run_file(_config(), path, complain=said.append))
    assert [text.partition(": ")[2] for text in said] == [
        f"unknown_lane: 1; the configuration has {', '.join(lane.id for lane in _config().lane)}",
        f"unknown_point: 1; the configuration has {', '.join(point.name for point in _config().point)}",
        "unknown_program: 1; a program is one of standard, FAST, NEXUS, SENTRI, READY",
    ]


def test_a_message_comes_soon_after_its_interval() -> None:
    crossing = CrossingWaits(_config(), reorder_ns=LIVE_REORDER_NS)
    end = T0 + 60 * S
    soon = LIVE_REORDER_NS + TOGETHER_NS
    assert soon <= 5 * S
    for sighting in TRAFFIC:
        if sighting.time_ns < end:
            crossing.feed(sighting)
    assert crossing.advance(end + soon - 1) == []
    assert {wait.time for wait in crossing.advance(end + soon)} == {_waits(TRAFFIC)[0][0].time}


def _spoiled() -> list[Sighting]:
    middle = len(TRAFFIC) // 2
    at = TRAFFIC[middle].time_ns
    bad: list[Sighting] = [
        LoopCount(at + 365 * 86_400 * S, "L0", "approach"),
        LoopCount(at, "L0", "moon"),
        LoopCount(at, "L9", "approach"),
        TagSighting(at, "L0", "approach", ""),
        PlateSighting(at, "L0", "booth", "  "),
        LoopCount(at - 3600 * S, "L0", "booth"),
        TagSighting((1 << 63) - 1, "L0", "approach", "X"),
    ]
    return TRAFFIC[:middle] + bad + TRAFFIC[middle:]


def test_bad_sightings_are_counted_and_change_nothing() -> None:
    waits, crossing = _waits(_spoiled())
    assert _bytes(waits) == EXPECTED
    stats = crossing.stats()
    assert stats["future"] == 2
    assert stats["unknown_point"] == 1
    assert stats["unknown_lane"] == 1
    assert stats["empty_identity"] == 2
    assert stats["too_late"] == 1


def test_the_daemon_refuses_the_future_by_its_clock() -> None:
    crossing = CrossingWaits(_config())
    crossing.advance(T0)
    for i in range(5):
        crossing.feed(LoopCount(T0 + (3600 + i) * S, "L0", "approach"))
    assert crossing.stats()["future"] == 5


def test_a_hundred_equal_identities_are_one_vehicle_and_are_named() -> None:
    at = TRAFFIC[len(TRAFFIC) // 2].time_ns
    stuck = [TagSighting(at + i * S // 2, "L0", "approach", "STUCK") for i in range(100)]
    waits, crossing = _waits(sorted([*TRAFFIC, *stuck], key=lambda s: s.time_ns))
    assert crossing.stats()["stuck_reader"] == 1
    assert crossing.stats()["repeated_read"] >= 95
    before, after = _lane(_waits(TRAFFIC)[0])[-5], _lane(waits)[-5]
    assert after.expected_s == pytest.approx(before.expected_s, rel=0.15)


def test_a_copied_sticker_in_two_lanes_does_not_stop_the_estimate() -> None:
    traffic = _traffic(60, lanes=2)
    copies = [TagSighting(s.time_ns + 1, s.lane, s.point, "COPY") for s in traffic if isinstance(s, LoopCount)][::7]
    waits, _ = _waits(sorted([*traffic, *copies], key=lambda s: s.time_ns), _config(2))
    assert _lane(waits, "L1")[-3].expected_s is not None


def test_a_closed_lane_is_unknown_at_once_and_open_again_at_once() -> None:
    at = T0 + 2700 * S + S
    booth = [BoothChange(at, "L0", "booth", False), BoothChange(at + 600 * S, "L0", "booth", True)]
    paused = [s for s in TRAFFIC if not (s.point == "booth" and at < s.time_ns < at + 600 * S)]
    waits, _ = _waits(sorted([*paused, *booth], key=lambda s: s.time_ns))
    by_time = {parse_utc(wait.time): wait for wait in _lane(waits)}
    assert by_time[T0 + 2700 * S].expected_s is not None
    assert by_time[T0 + 2760 * S].expected_s is None
    assert by_time[T0 + 3360 * S].expected_s is not None


def test_booths_of_a_lane_that_open_at_the_same_moment_are_all_open() -> None:
    named = [BoothChange(T0 + S, "L0", "booth", True, None, booth) for booth in ("b1", "b2", "b3")]
    waits, crossing = _waits(sorted([*TRAFFIC, *named], key=lambda s: s.time_ns))
    assert _lane(waits)[-1].booths_open == 3
    assert not crossing.stats().get("duplicate")
    _, crossing = _waits(sorted([*TRAFFIC, *named, named[0]], key=lambda s: s.time_ns))
    assert crossing.stats()["duplicate"] == 1, "the same line twice"


def test_a_booth_may_change_its_program() -> None:
    traffic = _traffic(40, lanes=2)
    change = BoothChange(T0 + 1200 * S + S, "L0", "booth", None, "FAST")
    waits, _ = _waits(sorted([*traffic, change], key=lambda s: s.time_ns), _config(2))
    assert {w.program for w in _lane(waits) if parse_utc(w.time) > T0 + 1260 * S} == {"FAST"}
    last = max(parse_utc(w.time) for w in waits)
    assert {w.program for w in waits if w.lane == "_" and parse_utc(w.time) == last} == {"FAST", None}


def test_a_dead_loop_downstream_makes_the_wait_unknown() -> None:
    dead = [s for s in TRAFFIC if not (s.point == "booth" and s.time_ns > T0 + 1800 * S)]
    waits = _lane(_waits(dead)[0])
    assert waits[29].expected_s is not None
    assert waits[-1].expected_s is None


def test_a_queue_to_the_first_point_is_a_lower_bound() -> None:
    waits = _lane(_waits(_traffic(120), _config(length_m=250.0))[0])
    assert waits[110].lower_bound
    assert not waits[3].lower_bound


def test_the_bottleneck_is_named() -> None:
    waits = _lane(_waits(TRAFFIC)[0])
    bottleneck = waits[-1].bottleneck
    assert bottleneck is not None
    assert (bottleneck.from_point, bottleneck.to_point) == ("approach", "booth")
    assert bottleneck.share == 1.0


def test_a_point_that_nobody_reads_hides_no_bottleneck() -> None:
    config = _config()
    points = (config.point[0], Point(name="wim"), config.point[1])
    bottleneck = _lane(_waits(TRAFFIC, msgspec.structs.replace(config, point=points))[0])[-1].bottleneck
    assert bottleneck is not None
    assert (bottleneck.from_point, bottleneck.to_point) == ("approach", "booth")


def test_one_more_booth_halves_a_long_wait() -> None:
    last = _lane(_waits(TRAFFIC)[0])[70]
    assert last.one_more_booth_s == pytest.approx(last.expected_s / 2, rel=0.25)
    assert last.one_more_booth_s >= 75.0  # free travel stays


def test_planning_time_and_buffer_are_of_the_last_hour() -> None:
    waits = _lane(_waits(TRAFFIC)[0])
    hour = [w.experienced for w in waits[11:71] if w.experienced.count]
    most, least = max(e.p95_s for e in hour), min(e.p10_s for e in hour)
    last = waits[70]
    assert least < last.planning_time_s <= most
    assert last.planning_time_index == pytest.approx(last.planning_time_s / 600.0, abs=0.01)
    mean_s = last.planning_time_s / (1.0 + last.buffer_index / 100.0)
    assert least < mean_s < last.planning_time_s
    assert last.gain_s is None


def test_the_gain_of_a_program_is_a_number() -> None:
    slow, quick = _traffic(60), [s for s in _traffic(60, lanes=2, seed=2) if s.lane == "L1"]
    quick = [msgspec.structs.replace(s, time_ns=T0 + (s.time_ns - T0) // 3) for s in quick]
    waits, _ = _waits(sorted([*slow, *quick], key=lambda s: s.time_ns), _config(2))
    fast = next(w for w in reversed(waits) if w.program == "FAST" and w.gain_s is not None)
    assert fast.gain_s > 60.0
    assert all(w.gain_s is None for w in waits if w.program != "FAST")


def test_a_night_without_vehicles_goes_by() -> None:
    later = [msgspec.structs.replace(s, time_ns=s.time_ns + 8 * 3600 * S) for s in TRAFFIC]
    waits = _lane(_waits([*TRAFFIC, *later])[0])
    assert len(waits) == pytest.approx(8 * 60 + 95, abs=40)
    assert waits[-1].expected_s is not None


def test_a_gap_of_months_begins_anew_instead_of_filling_it() -> None:
    later = [msgspec.structs.replace(s, time_ns=s.time_ns + 90 * 86_400 * S) for s in TRAFFIC]
    waits, crossing = _waits([*TRAFFIC, *later])
    assert crossing.stats()["restarted"] == 1
    assert len(_lane(waits)) < 400


_sighting = st.builds(
    lambda kind, t, lane, point, identity: (
        kind(t, lane, point, identity)
        if kind in (TagSighting, PlateSighting)
        else (LoopCount(t, lane, point) if kind is LoopCount else BoothChange(t, lane, point, identity == "A", None))
    ),
    st.sampled_from([TagSighting, PlateSighting, LoopCount, BoothChange]),
    st.one_of(st.integers(T0, T0 + 900 * S), st.integers(-(1 << 63), (1 << 63) - 1)),
    st.sampled_from(["L0", "L1", "?"]),
    st.sampled_from(["approach", "booth", "?"]),
    st.text(max_size=8),
)


@given(st.lists(_sighting, max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_sightings_give_messages_and_no_error(sightings: list[Sighting]) -> None:
    crossing = CrossingWaits(_config(2))
    for sighting in sightings:
        crossing.feed(sighting)
        assert len(crossing.take()) < 60_000
    for wait in crossing.finish():
        assert wait.expected_s != 0.0


def _from_the_middle(readers: Readers) -> tuple[World, float, list[Wait]]:
    """A daemon that starts in the peak, while a queue stands between the points."""
    world = simulate(Scenario(seed=4, hours=12.0, dwell=0.0, change=0.0))
    begun_s = 9.0 * 3600
    crossing = CrossingWaits(config_of(world.scenario))
    waits: list[Wait] = []
    for sighting in sightings(world, readers):
        if sighting.time_ns > START_NS + begun_s * S:
            crossing.feed(sighting)
            waits += crossing.take()
    return world, begun_s, [wait for wait in waits if wait.lane == "C01"]


def test_started_in_a_queue_it_says_nothing_until_it_knows() -> None:
    world, begun_s, waits = _from_the_middle(Readers(tag_rate=0.6))
    standing = [t for t in world.truth() if t.lane_to == 0 and t.t_from < begun_s < t.t_booth]
    assert len(standing) > 10
    through_ns = START_NS + max(t.t_booth for t in standing) * S
    early = [wait for wait in waits if parse_utc(wait.time) < through_ns]
    assert len(early) > 10
    assert all(wait.expected_s is None and wait.queue_vehicles is None for wait in early[:-2])
    later = [wait.expected_s for wait in waits if through_ns + 600 * S < parse_utc(wait.time) < through_ns + 1800 * S]
    assert all(expected_s is not None and expected_s > 300.0 for expected_s in later)


def test_started_in_a_queue_without_identities_it_waits_for_an_idle_booth() -> None:
    _, _, waits = _from_the_middle(Readers())
    assert all(wait.expected_s is None for wait in waits[:20])
    assert any(wait.expected_s is not None for wait in waits)


def test_one_vehicle_in_the_first_seconds_makes_no_rate() -> None:
    early = [LoopCount(T0 + 55 * S, "L0", "approach"), LoopCount(T0 + 57 * S, "L0", "booth")]
    crossing = CrossingWaits(_config())
    for sighting in early:
        crossing.feed(sighting)
    first, second = (_lane(crossing.advance(T0 + end_s * S))[-1] for end_s in (80, 140))
    assert first.throughput_per_h is None
    assert second.throughput_per_h is not None
