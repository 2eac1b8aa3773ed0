"""While samples come at another rate than the configured one no vehicle is published as good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET
from samples import vehicle
from world_events import crossing_of, events

from drivers.events import SampleBlock
from edge.messages import Alarm, Message, Vehicle, Violation
from edge.weighing.rate_doubt import doubted
from firmware_sim.scenario.file import load


def test_a_small_error_is_a_flag_and_no_violation_and_a_large_one_nothing() -> None:
    over = Violation(rule="gross", limit_kg=20_000.0, value_kg=25_010.0, probability=0.99)
    heavy = msgspec.structs.replace(vehicle(), flags=("partial",), violations=(over,), esal=3.1)
    for error in (0.0, 0.0009, -0.0009):
        assert doubted(heavy, error) is heavy
    for error in (0.005, -0.019):
        said = doubted(heavy, error)
        assert said is not None
        assert (said.flags, said.violations, said.esal) == (("partial", "sensor_fault"), (), None)
    clean = doubted(vehicle(), 0.01)
    assert clean is not None
    assert clean.flags == ("sensor_fault",)
    assert doubted(heavy, 0.5) is None
    assert doubted(heavy, -0.5) is None


@pytest.mark.parametrize(("rate", "published"), [(1.0, "good"), (1.005, "flagged"), (2.0, "nothing"), (0.5, "nothing")])
def test_what_a_lane_publishes_while_its_rate_is_wrong(rate: float, published: str, tmp_path: Path) -> None:
    scenario = load("fast-and-standard")
    crossing = crossing_of(scenario, tmp_path)
    messages: list[Message] = []
    for now_ns, said in events(scenario, 60.0):
        for event in said:
            if isinstance(event, SampleBlock) and event.device == "daq-c01":
                event = replace(event, rate_hz=event.rate_hz * rate)
            messages += crossing.event(event)
        messages += crossing.advance(now_ns)
    vehicles = [message for message in messages if isinstance(message, Vehicle)]
    lane = [v for v in vehicles if v.lane == "C01"]
    neighbour = [v for v in vehicles if v.lane == "C02"]
    told = [(a.code, a.device) for a in messages if isinstance(a, Alarm)]
    flagged = [v.flags is not UNSET and "sensor_fault" in v.flags for v in lane]
    if published == "nothing":
        assert lane == []
        assert "vehicles are held back (0 so far)" in next(a.text for a in messages if isinstance(a, Alarm))
        assert int(crossing.alarms.holding()[0].args["held_back"]) > 0
    else:
        assert lane
        assert all(flagged) if published == "flagged" else not any(flagged)
    assert told == ([] if published == "good" else [("sample_rate", "daq-c01")])
    assert neighbour
    assert not any(v.flags is not UNSET and "sensor_fault" in v.flags for v in neighbour)
