"""The crossing by events alone: what drivers say becomes messages, alarms begin and end, identifiers stay hidden."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
from site_text import device_tables, input_tables, lane_tables, table

from drivers.events import DeviceState, InputChange, LinkState, PlateRead, Rejected, TagRead
from edge.config.file import load
from edge.crossing import Crossing
from edge.delivery.identity import Pseudonyms, new_key
from edge.machine.clock_steps import Leap
from edge.messages import Alarm, Flow, Message, Sighting, Wait, encode, parse_utc

START_NS = parse_utc("2026-11-24T10:00:00Z")
SECOND_NS = 1_000_000_000

CONFIG = (
    lane_tables(("approach", 0.0), ("booth", 150.0), program="FAST")
    + device_tables("tag-approach", point="approach")
    + device_tables("plate-booth", "lpr_frame", point="booth")
    + device_tables("tag-booth", point="booth")
    + device_tables("io", "moxa_e1200", "tcp://127.0.0.1")
    + input_tables(approach_loop="approach", booth_loop="booth")
    + table("[[device.input]]", name="open", signal="booth_open")
)


@pytest.fixture
def crossing(tmp_path: Path) -> Crossing:
    path = tmp_path / "lane.toml"
    path.write_text(CONFIG)
    new_key(tmp_path / "key")
    return Crossing(load(path), source="lane-1", pseudonyms=Pseudonyms(tmp_path / "key"))


def at(seconds: float) -> int:
    return START_NS + round(seconds * SECOND_NS)


def alarms(messages: list[Message]) -> list[tuple[str, str, str | None]]:
    return [(message.code, message.state, message.device) for message in messages if isinstance(message, Alarm)]


def test_a_read_becomes_a_sighting_without_the_tag(crossing: Crossing) -> None:
    tag = "TCX 094956"
    messages = crossing.event(TagRead("tag-approach", at(1), tag))
    assert len(messages) == 1
    sighting = messages[0]
    assert isinstance(sighting, Sighting)
    assert (sighting.lane, sighting.point, sighting.medium) == ("C03", "approach", "rfid")
    assert tag.encode() not in encode(sighting)
    assert crossing.event(TagRead("tag-booth", at(9), "tcx094956"))[0].pseudonym == sighting.pseudonym  # type: ignore[attr-defined]


def test_an_empty_read_is_no_sighting(crossing: Crossing) -> None:
    assert crossing.event(PlateRead("plate-booth", at(1), "")) == []


def test_identifiers_are_hidden_in_the_words_of_an_event() -> None:
    assert "SECRET" not in repr(TagRead("d", 0, "SECRET"))
    assert "SECRET" not in repr(PlateRead("d", 0, "SECRET"))


def test_waits_follow_from_reads_and_counts(crossing: Crossing) -> None:
    messages: list[Message] = []
    crossing.event(InputChange("io", at(0), "open", True))
    for name in ("approach-loop", "booth-loop"):
        crossing.event(InputChange("io", at(0), name, False))
    passes = [(30.0 * k, "tag-approach", "approach-loop", k) for k in range(40)]
    passes += [(30.0 * k + 300.0, "tag-booth", "booth-loop", k) for k in range(40)]
    for seconds, device, loop, k in sorted(passes):
        messages += crossing.event(TagRead(device, at(10 + seconds), f"TAG {k:04d}"))
        messages += crossing.event(InputChange("io", at(10 + seconds), loop, True))
        messages += crossing.event(InputChange("io", at(12 + seconds), loop, False))
        messages += crossing.advance(at(13 + seconds))
    messages += crossing.advance(at(2000))
    waits = [message for message in messages if isinstance(message, Wait) and message.lane == "C03"]
    medians = [wait.experienced.median_s for wait in waits if wait.experienced.count]
    assert medians
    assert medians == pytest.approx([300.0] * len(medians), abs=1.0)
    assert {wait.program for wait in waits} == {"FAST"}
    assert any(wait.expected_s is not None for wait in waits)


@pytest.mark.parametrize("step_s", [3600.0, -3600.0, 1.6e8, -1.6e8])
def test_after_a_leap_of_the_clock_all_goes_on_with_the_new_time(crossing: Crossing, step_s: float) -> None:
    def minutes(begin_s: float, number: int) -> list[Message]:
        made: list[Message] = []
        for k in range(number * 4):
            now_s = begin_s + 15.0 * k
            made += crossing.event(TagRead("tag-approach", at(now_s), f"TAG {number}{k:04d}"))
            made += crossing.event(TagRead("tag-booth", at(now_s + 5.0), f"TAG {number}{k:04d}"))
            made += crossing.advance(at(now_s + 10.0))
        return made

    assert any(isinstance(message, Wait) for message in minutes(0.0, 5))
    kind: Literal["forward", "back"] = "forward" if step_s > 0 else "back"
    leap = crossing.clock_stepped(at(300.0 + step_s), Leap(kind, round(step_s * SECOND_NS)))
    assert alarms(leap) == [("clock_stepped", "begin", None)]
    later = minutes(300.0 + step_s, 5)
    assert alarms(later) == [("clock_stepped", "end", None)]
    assert len(later) < 100  # not what would fill an hour or a year
    told = [parse_utc(m.time) for m in later if isinstance(m, Wait | Flow)]
    assert all(at(300.0 + step_s) <= time_ns <= at(610.0 + step_s) for time_ns in told)
    assert sum(m.experienced.count for m in later if isinstance(m, Wait) and m.lane == "C03") > 10
    assert sum(isinstance(m, Flow) and m.interval_s == 60 for m in later) >= 3


def test_a_dead_device_is_an_alarm_that_begins_and_ends(crossing: Crossing) -> None:
    down = DeviceState("io", at(5), LinkState.DOWN, "tcp://127.0.0.1: connection refused")
    messages = crossing.event(down)
    assert alarms(messages) == [("device_down", "begin", "io")]
    assert crossing.event(down) == []
    assert crossing.event(DeviceState("io", at(6), LinkState.CONNECTING)) == []
    assert crossing.event(DeviceState("io", at(7), LinkState.ONLINE)) == []
    assert alarms(crossing.advance(at(36.9))) == []
    ended = crossing.advance(at(37))
    assert alarms(ended) == [("device_down", "end", "io")]
    assert crossing.alarms.holding() == ()


def test_what_a_device_rejects_is_counted_in_its_status(crossing: Crossing) -> None:
    crossing.event(Rejected("plate-booth", at(1), "bad_length", 3))
    crossing.event(Rejected("plate-booth", at(2), "bad_length"))
    assert crossing.devices()["plate-booth"].rejected == {"bad_length": 4}


def test_an_input_counts_when_it_comes_on_and_not_when_first_seen(crossing: Crossing) -> None:
    for seconds, on in ((0, True), (1, False), (2, True), (3, False), (62, True)):
        crossing.event(InputChange("io", at(seconds), "approach-loop", on))
    flows = [json.loads(encode(m)) for m in crossing.advance(at(300)) if m.schema == "borderflow/flow/1"]
    minutes = [flow["count"] for flow in flows if flow["interval_s"] == 60 and flow["lane"] == "C03"]
    assert sum(minutes) == 2


def test_a_clock_that_follows_nothing_is_an_alarm(crossing: Crossing, tmp_path: Path) -> None:
    text = CONFIG + '\n[[device]]\nname = "time"\ndriver = "chrony"\nurl = "chrony://localhost"\n'
    path = tmp_path / "time.toml"
    path.write_text(text)
    crossing = Crossing(load(path), source="lane-1", pseudonyms=None)
    assert crossing.event(InputChange("time", at(0), "clock_synchronised", True)) == []
    begun = crossing.event(InputChange("time", at(60), "clock_synchronised", False))
    ended = crossing.event(InputChange("time", at(90), "clock_synchronised", True))
    ended += crossing.advance(at(120))
    states = [(code, state) for code, state, _ in alarms([*begun, *ended])]
    assert states == [("clock_unsynchronised", "begin"), ("clock_unsynchronised", "end")]


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([(False, 7), (True, 8), (False, 8), (True, 9)], 2),
        ([(False, 7), (False, 8), (False, 10)], 3),  # pulses between two polls
        ([(True, 7), (False, 8), (True, 8), (False, 9)], 2),  # wired normally closed: the counter moves at the end
        ([(False, 7), (True, 8), (False, 8), (False, 0), (True, 1)], 2),  # the device was switched off and on
    ],
)
def test_the_counter_of_a_device_knows_pulses_between_polls(
    crossing: Crossing, looks: list[tuple[bool, int]], expected: int
) -> None:
    for second, (on, count) in enumerate(looks):
        crossing.event(InputChange("io", at(second), "approach-loop", on, count))
    flows = [json.loads(encode(m)) for m in crossing.advance(at(300)) if m.schema == "borderflow/flow/1"]
    assert sum(flow["count"] for flow in flows if flow["interval_s"] == 60 and flow["lane"] == "C03") == expected


@pytest.mark.parametrize(
    ("driver", "url", "name", "code"),
    [
        ("laumas_tlb", "/dev/ttyS9", "fault", "scale_fault"),
        ("hbm_aed", "/dev/ttyS9", "overload", "scale_overloaded"),
        ("thingmagic_mercury", "/dev/ttyS9", "antenna_fault", "antenna_fault"),
        ("gpsd", "tcp://127.0.0.1:2947", "gps_fix", "gps_lost"),
    ],
)
def test_what_a_device_says_of_itself_is_an_alarm(driver: str, url: str, name: str, code: str, tmp_path: Path) -> None:
    path = tmp_path / "lane.toml"
    path.write_text(f'{CONFIG}\n[[device]]\nname = "it"\ndriver = "{driver}"\nurl = "{url}"\n')
    crossing = Crossing(load(path), source="lane-1", pseudonyms=None)
    bad = name != "gps_fix"
    told = []
    for second, state in enumerate((not bad, bad, bad, not bad)):
        told += crossing.event(InputChange("it", at(second), name, state))
    told += crossing.advance(at(60))
    assert alarms(told) == [(code, "begin", "it"), (code, "end", "it")]
    # The same name at an input module is a signal of whatever is wired there.
    assert crossing.event(InputChange("io", at(9), name, bad)) == []
