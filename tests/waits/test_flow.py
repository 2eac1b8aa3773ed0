"""Flow: exact boundaries, each vehicle once, clocks that jump."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import Config, Lane, Point, Site
from edge.messages import Axle, Flow, Identity, Vehicle, VehicleClass, parse_utc, utc_text
from edge.messages import Site as MessageSite
from edge.waiting.flow import LATENESS_NS, MINUTES, FlowCounter

S = 1_000_000_000
HOUR = 3600 * S
T0 = 1_780_000_000 * S // HOUR * HOUR


def _config() -> Config:
    return Config(
        site=Site(country="CA", port="0453", timezone="America/Toronto"),
        lane=(Lane(id="L0", traffic="commercial"),),
        point=(Point(name="approach"), Point(name="booth")),
    )


def _vehicle(time_ns: int, *, code: str = "9", gross_kg: float = 20_000.0, identified: bool = False) -> Vehicle:
    return Vehicle(
        time=utc_text(time_ns),
        site=MessageSite("CA", "0453"),
        lane="L0",
        source="test",
        speed_mps=10.0,
        length_m=20.0,
        wheelbase_m=17.0,
        gross_kg=gross_kg,
        gross_sigma_kg=100.0,
        axles=(Axle(position_m=0.0, load_kg=gross_kg, sigma_kg=100.0, group=0),),
        class_=VehicleClass(scheme="fhwa", code=code, confidence=1.0),
        identities=(Identity(medium="rfid", pseudonym="0" * 32),) if identified else (),
    )


def _of(messages: list[Flow], minutes: int) -> list[Flow]:
    return [m for m in messages if m.interval_s == minutes * 60]


def test_intervals_end_on_exact_boundaries() -> None:
    flow = FlowCounter(_config())
    messages: list[Flow] = []
    for second in range(0, 2 * 3600 + 60, 7):
        messages += flow.advance(T0 + 100 * S + second * S)
    for minutes in MINUTES:
        times = [parse_utc(m.time) for m in _of(messages, minutes)]
        assert times
        assert all(time % (minutes * 60 * S) == 0 for time in times)
        assert times == list(range(times[0], times[-1] + 1, minutes * 60 * S))


def test_a_minute_holds_what_passed_in_it() -> None:
    flow = FlowCounter(_config())
    flow.advance(T0)
    for i, code in enumerate(("9", "9", "5")):
        flow.vehicle(_vehicle(T0 + (10 + 12 * i) * S, code=code, gross_kg=10_000.0 * (i + 1), identified=i == 0))
    (minute,) = flow.advance(T0 + 60 * S + LATENESS_NS)
    assert minute.count == 3
    assert minute.count_by_class == {"5": 1, "9": 2}
    assert minute.gross_kg_by_class == {"5": 30_000.0, "9": 15_000.0}
    assert minute.headway_s is not None
    assert minute.headway_s.mean == 12.0
    assert minute.occupancy == round(3 * 2.0 / 60, 4)
    assert minute.identified_share == round(1 / 3, 3)


@given(
    st.lists(st.tuples(st.integers(0, 4 * 3600), st.integers(-300, 600)), max_size=60),
    st.lists(st.integers(0, 8 * 3600), min_size=1, max_size=40),
)
@settings(max_examples=150, deadline=None)
def test_every_count_is_published_exactly_once(events: list[tuple[int, int]], clock: list[int]) -> None:
    """Whatever the clock does and however late a count comes, as long as it is not from the future."""
    flow = FlowCounter(_config())
    flow.advance(T0)
    steps = sorted([(t + delay, 0, t) for t, delay in events] + [(t, 1, t) for t in clock])
    out: list[Flow] = []
    for _, kind, t in steps:
        if kind:
            out += flow.advance(T0 + t * S)
        else:
            flow.loop("L0", "booth", T0 + t * S)
    out += flow.advance(T0 + 30 * 3600 * S)
    counted = len(events) - flow.counters["future"]
    for minutes in MINUTES:
        assert sum(m.count for m in _of(out, minutes)) == counted
        times = [m.time for m in _of(out, minutes)]
        assert len(times) == len(set(times))


def test_a_clock_set_back_publishes_nothing_twice() -> None:
    flow = FlowCounter(_config())
    first = flow.advance(T0) + flow.advance(T0 + 600 * S)
    again = flow.advance(T0 + 10 * S) + flow.advance(T0 + 600 * S)
    assert again == []
    flow.vehicle(_vehicle(T0 + 20 * S))
    late = flow.advance(T0 + 700 * S)
    assert sum(m.count for m in _of(late, 1)) == 1
    assert len({(m.time, m.interval_s) for m in first + late}) == len(first + late)


@pytest.mark.parametrize("step_ns", [HOUR, -HOUR, 5 * 365 * 24 * HOUR, -5 * 365 * 24 * HOUR])
def test_after_a_leap_of_the_clock_intervals_begin_anew(step_ns: int) -> None:
    """What was counted is told, nothing is told of time that never was, and the new time counts at once."""
    flow = FlowCounter(_config())
    flow.advance(T0)
    flow.vehicle(_vehicle(T0 + 20 * S))
    told = flow.restart()
    assert [(m.interval_s // 60, m.count) for m in told] == [(minutes, 1) for minutes in MINUTES]
    at = T0 + 25 * S + step_ns
    assert flow.advance(at) == []
    flow.vehicle(_vehicle(at + 10 * S))
    (minute,) = flow.advance(T0 + step_ns + 60 * S + LATENESS_NS)
    assert (minute.time, minute.count) == (utc_text(T0 + step_ns + 60 * S), 1)


def test_daylight_saving_moves_no_boundary() -> None:
    """In Toronto clocks go back on 2026-11-01 at 06:00 UTC: two local hours of the same name, two UTC intervals."""
    change = parse_utc("2026-11-01T06:00:00Z")
    flow = FlowCounter(_config())
    flow.advance(change - HOUR)
    messages: list[Flow] = []
    for minute in range(0, 120, 10):
        at = change - HOUR + minute * 60 * S
        messages += flow.advance(at)
        flow.vehicle(_vehicle(at))
    hours = _of(messages + flow.advance(change + HOUR + LATENESS_NS), 60)
    assert [(m.time[11:16], m.count) for m in hours] == [("06:00", 6), ("07:00", 6)]


def test_loops_count_at_one_point_only() -> None:
    flow = FlowCounter(_config())
    flow.advance(T0)
    for t in (1, 2, 3):
        flow.loop("L0", "approach", T0 + t * S)
        flow.loop("L0", "booth", T0 + (t + 20) * S)
    (minute,) = flow.advance(T0 + 60 * S + LATENESS_NS)
    assert (minute.point, minute.count) == ("approach", 3)
