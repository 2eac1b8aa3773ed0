"""An alarm is true, once, and can be found afterwards: in a message, in the log, in the status. In simulated time."""

from __future__ import annotations

import logging
import random
import string
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.events import DeviceState, Heard, LinkState, PlateRead, Rejected
from drivers.remedies import DOWN, GARBAGE, SILENT
from drivers.session import FIRST_PAUSE_S, LONGEST_PAUSE_S
from edge.alarms import HEALTHY_NS, Alarms, Condition
from edge.alarms.codes import ALARM_CODES
from edge.alarms.pace import StatusPace
from edge.alarms.texts import TEXTS, text_of
from edge.config.file import load
from edge.crossing import Crossing
from edge.machine.clock_steps import Leap
from edge.machine.logs import JournalFormatter, formatter
from edge.messages import Alarm, Message, Site, parse_utc

S = 1_000_000_000
START_NS = parse_utc("2026-11-24T10:00:00Z")
TICK_S = 0.25

CONFIG = """
[site]
country = "CA"
port = "0453"
[[lane]]
id = "C03"
traffic = "commercial"
[[device]]
name = "camera"
driver = "lpr_frame"
url = "tcp://192.0.2.1:5000"
lane = "C03"
point = "booth"
[[device]]
name = "tags"
driver = "transcore_encompass"
url = "tcp://192.0.2.2:5000"
lane = "C03"
point = "approach"
[[point]]
name = "approach"
[[point]]
name = "booth"
"""


def at(seconds: float) -> int:
    return START_NS + round(seconds * S)


@pytest.fixture
def crossing(tmp_path: Path) -> Crossing:
    path = tmp_path / "lane.toml"
    path.write_text(CONFIG)
    return Crossing(load(path), source="lane-1", pseudonyms=None)


@pytest.fixture
def alarms() -> Alarms:
    return Alarms(Site("CA", "0453"), "lane-1")


def of_alarms(messages: list[Message]) -> list[Alarm]:
    return [message for message in messages if isinstance(message, Alarm)]


def states(messages: list[Message] | list[Alarm]) -> list[tuple[str, str]]:
    return [(message.code, message.state) for message in messages if isinstance(message, Alarm)]


DOWN_AT = Condition("device_down", "camera", "C03")
REFUSED = {"reason": "tcp://192.0.2.1:5000: refused", "case": "network", "point": "booth"}


# ---- once ------------------------------------------------------------------------------------------------------------


def test_an_alarm_begins_at_once_and_ends_after_half_a_minute_of_health(alarms: Alarms) -> None:
    (begin,) = alarms.set(DOWN_AT, True, at(0), args=REFUSED)
    assert (begin.state, begin.time, begin.lane, begin.device) == (
        "begin",
        "2026-11-24T10:00:00.000000Z",
        "C03",
        "camera",
    )
    assert alarms.set(DOWN_AT, True, at(1), args=REFUSED) == []
    assert alarms.set(DOWN_AT, False, at(95)) == []
    assert alarms.advance(at(95) + HEALTHY_NS - 1) == []
    (end,) = alarms.advance(at(95) + HEALTHY_NS)
    assert end.state == "end"
    assert end.args["held_s"] == 95
    assert end.text == "lane C03, device camera, at booth: in order again after 95 s"
    assert alarms.advance(at(1000)) == []


def test_what_never_was_at_fault_never_ends(alarms: Alarms) -> None:
    for second in range(100):
        assert alarms.set(DOWN_AT, False, at(second)) == []
        assert alarms.advance(at(second)) == []
    assert alarms.holding() == ()
    assert alarms.changes == 0


def test_trouble_that_comes_and_goes_is_one_alarm_with_the_latest_text(alarms: Alarms) -> None:
    told = []
    for second in range(0, 600, 2):
        told += alarms.set(DOWN_AT, second % 20 == 0, at(second), args={**REFUSED, "reason": f"try {second}"})
        told += alarms.advance(at(second))
    assert states(told) == [("device_down", "begin")]
    assert "try 580" in alarms.holding()[0].text


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=60))
def test_whatever_comes_begins_and_ends_alternate_and_no_end_is_early(steps: list[tuple[bool, int]]) -> None:
    alarms, second, last_bad = Alarms(Site("CA", "0453"), "lane-1"), 0, 0
    told: list[Alarm] = []
    for bad, pause_s in steps:
        ended = alarms.advance(at(second))
        assert not ended or second - last_bad >= HEALTHY_NS // S
        told += [*ended, *alarms.set(DOWN_AT, bad, at(second), args=REFUSED)]
        last_bad = second if bad else last_bad
        assert bool(alarms.holding()) == bool(told and told[-1].state == "begin")
        assert not bad or alarms.holding()
        second += pause_s
    assert [alarm.state for alarm in told] == (["begin", "end"] * len(told))[: len(told)]
    assert alarms.changes == len(told)


def test_neighbours_do_not_touch_each_other(alarms: Alarms) -> None:
    other = Condition("device_down", "tags", "C03")
    alarms.set(DOWN_AT, True, at(0), args=REFUSED)
    assert states(alarms.set(other, True, at(1), args=REFUSED)) == [("device_down", "begin")]
    alarms.set(other, False, at(2))
    assert [alarm.device for alarm in alarms.advance(at(40))] == ["tags"]
    assert [alarm.device for alarm in alarms.holding()] == ["camera"]


def test_a_leap_of_the_clock_makes_nothing_healthy_for_longer(alarms: Alarms) -> None:
    for by_s in (3600, -7200):
        alarms.set(DOWN_AT, True, at(0), args=REFUSED)
        alarms.set(DOWN_AT, False, at(10))
        alarms.clock_stepped(by_s * S)
        assert alarms.advance(at(10 + by_s + 29)) == []
        assert states(alarms.advance(at(10 + by_s + 30))) == [("device_down", "end")]


def retries(rng: random.Random) -> Iterator[float]:
    """When a device is tried that accepts and closes at once: the back-off of drivers/session.py."""
    now_s, pause_s = 0.3, FIRST_PAUSE_S
    while True:
        yield now_s
        now_s += rng.uniform(0.5, 1.0) * pause_s
        pause_s = min(LONGEST_PAUSE_S, 2.0 * pause_s)


def test_two_devices_that_accept_and_close_at_once_are_two_alarms(
    crossing: Crossing, caplog: pytest.LogCaptureFixture
) -> None:
    """70 s of it. Two readers that count as online when their link opens: online, down, online, down, ..."""
    caplog.set_level(logging.INFO)
    rng = random.Random(1)
    tries = {name: retries(rng) for name in ("camera", "tags")}
    due = {name: next(times) for name, times in tries.items()}
    pace, told, statuses, changed = StatusPace(), [], 0, False
    for tick in range(round(70 / TICK_S)):
        now_s = tick * TICK_S
        for name, times in tries.items():
            while due[name] <= now_s:
                changed = True
                for state in (LinkState.ONLINE, LinkState.DOWN):
                    told += crossing.event(DeviceState(name, at(due[name]), state, "closed by the device"))
                due[name] = next(times)
        told += crossing.advance(at(now_s))
        if pace.due(now_s, alarm_changes=crossing.alarms.changes, devices_changed=changed):
            statuses, changed = statuses + 1, False
    assert states(told) == [("device_down", "begin")] * 2
    assert statuses <= 10
    assert len(caplog.records) == 2
    assert {alarm.device for alarm in crossing.alarms.holding()} == {"camera", "tags"}


def test_a_device_that_goes_from_down_to_silent_is_in_order_only_when_it_speaks(crossing: Crossing) -> None:
    told = crossing.event(DeviceState("tags", at(0), LinkState.DOWN, "x"))
    told += crossing.event(DeviceState("tags", at(10), LinkState.SILENT, "x"))
    told += crossing.event(DeviceState("tags", at(20), LinkState.DOWN, "x"))
    told += crossing.advance(at(500))
    assert states(told) == [("device_down", "begin"), ("device_silent", "begin")]
    told = crossing.event(DeviceState("tags", at(500), LinkState.ONLINE))
    told += crossing.advance(at(530))
    assert states(told) == [("device_down", "end"), ("device_silent", "end")]


def test_what_held_when_the_process_ended_goes_on_or_ends(alarms: Alarms) -> None:
    gone, device = Condition("sensor_fault", "daq", "C03", "line1-left"), DOWN_AT
    alarms.set(gone, True, at(0), args={"case": "dead", "channel": 3})
    alarms.set(device, True, at(10), severity="critical", args=REFUSED)
    after = Alarms(Site("CA", "0453"), "lane-1")
    after.resume(alarms.holding(), at(100))
    assert after.holding() == alarms.holding()
    assert after.set(device, True, at(105), args=REFUSED) == []  # it did not begin now
    (end,) = after.advance(at(130))
    assert (end.code, end.state, end.sensor, end.args["held_s"]) == ("sensor_fault", "end", "line1-left", 100)
    (held,) = after.holding()
    assert (held.code, held.severity, held.since) == ("device_down", "critical", "2026-11-24T10:00:10.000000Z")


# ---- as long as the fault -----------------------------------------------------------------------------------------


def test_a_line_of_garbage_is_one_alarm_until_something_valid_comes(crossing: Crossing) -> None:
    told: list[Message] = []
    for second in range(300):
        told += crossing.event(Rejected("camera", at(second), "no_start", 15))
        told += crossing.advance(at(second))
    told += crossing.advance(at(4000))  # it is quiet: switched off, or nobody passes
    assert states(told) == [("frames_rejected", "begin")]
    told = crossing.event(Heard("camera", at(4000)))
    for second in range(4000, 4031):
        told += crossing.advance(at(second))
    assert states(told) == [("frames_rejected", "end")]


def test_a_leap_of_the_clock_ends_no_alarm_and_begins_none(crossing: Crossing) -> None:
    crossing.event(Rejected("camera", at(0), "no_start", 15))
    assert states(crossing.advance(at(1))) == [("frames_rejected", "begin")]
    crossing.clock_stepped(at(3601), Leap("forward", 3600 * S))
    told = [message for second in range(3601, 3901) for message in crossing.advance(at(second))]
    assert states(told) == [("clock_stepped", "end")]
    assert [alarm.code for alarm in crossing.alarms.holding()] == ["frames_rejected"]


def test_a_reader_in_order_raises_nothing(crossing: Crossing) -> None:
    told: list[Message] = crossing.event(DeviceState("camera", at(0), LinkState.ONLINE))
    for second in range(0, 3600, 30):
        told += crossing.event(PlateRead("camera", at(second), f"P{second}", confidence=0.9))
        told += crossing.advance(at(second))
    assert of_alarms(told) == []


# ---- to be found ----------------------------------------------------------------------------------------------------


def test_the_status_holds_what_holds(crossing: Crossing) -> None:
    assert crossing.alarms.holding() == ()
    state = DeviceState(
        "camera", at(5), LinkState.DOWN, "tcp://192.0.2.1:5000: closed by the device; check power, cable and address",
        reason="tcp://192.0.2.1:5000: closed by the device", remedy="network",
    )  # fmt: skip
    (begin,) = of_alarms(crossing.event(state))
    (held,) = crossing.alarms.holding()
    assert (held.code, held.severity, held.since) == ("device_down", "critical", "2026-11-24T10:00:05.000000Z")
    assert (held.lane, held.device, held.text, held.args) == ("C03", "camera", begin.text, begin.args)
    assert held.text == (
        "lane C03, device camera, at booth: tcp://192.0.2.1:5000: closed by the device; check power, cable and address"
    )


def test_a_status_comes_at_once_with_an_alarm_and_seldom_with_a_device() -> None:
    pace = StatusPace()
    published = [
        now_s
        for now_s in (tick * TICK_S for tick in range(240))
        if pace.due(now_s, alarm_changes=int(now_s >= 40.25) + int(now_s >= 50.0), devices_changed=True)
    ]
    assert published[0] == 0.0
    assert {40.25, 50.0} <= set(published)
    assert len(published) <= 8
    quiet = StatusPace()
    assert [s for s in range(100) if quiet.due(s, alarm_changes=0, devices_changed=False)] == [0, 30, 60, 90]


def test_devices_that_come_online_one_after_the_other_are_told_of_in_one_status() -> None:
    pace, changed, published = StatusPace(), False, []
    for tick in range(120):
        now_s = tick * TICK_S
        changed = changed or now_s in (0.25, 0.5, 1.0)
        if pace.due(now_s, alarm_changes=0, devices_changed=changed):
            published.append(now_s)
            changed = False
    assert published == [0.0, 1.25]


def test_begin_and_end_are_in_the_log_once_with_their_priority(
    alarms: Alarms, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fault = Condition("sensor_fault", "daq", "C03", "line1-left")
    for second in range(100):
        alarms.set(DOWN_AT, second < 50, at(second), severity="critical", args=REFUSED)
        alarms.set(fault, second < 40, at(second), args={"case": "dead", "channel": 3})
        alarms.advance(at(second))
    lines = [JournalFormatter().format(record) for record in caplog.records]
    assert [line[:3] for line in lines] == ["<2>", "<4>", "<6>", "<6>"]
    assert lines[0].startswith("<2>alarm: device_down begins: lane C03, device camera, at booth: ")
    assert lines[1] == (
        "<4>alarm: sensor_fault begins: lane C03, device daq, sensor line1-left, channel 3: gives no signal under "
        "wheels that other lines see, or none that fits them; check cable, amplifier and gain_n"
    )
    assert lines[2].startswith("<6>alarm: sensor_fault ends: ")


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("name", ["JOURNAL_STREAM", "INVOCATION_ID"])
def test_the_journal_gets_priorities_and_a_terminal_gets_times(name: str) -> None:
    record = logging.LogRecord("daemon", logging.WARNING, "x.py", 1, "first\nsecond", None, None)
    under_systemd = formatter(StringIO(), {name: "8:4711"})
    assert under_systemd.format(record) == "<4>daemon: first\n<4>second"
    for stream, environment in ((Terminal(), {name: "8:4711"}), (StringIO(), {})):
        line = formatter(stream, environment).format(record)
        assert line.startswith("20")
        assert "WARNING daemon: first" in line


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7), (1, 7)],
)
def test_each_level_has_its_priority(level: int, priority: int) -> None:
    record = logging.LogRecord("daemon", level, "x.py", 1, "text", None, None)
    assert JournalFormatter().format(record) == f"<{priority}>daemon: text"


# ---- in words -------------------------------------------------------------------------------------------------------


def test_every_code_has_a_text_and_every_text_a_code() -> None:
    keys = {key for key in TEXTS if key.split(".")[0] not in ("where", "end")}
    assert {key.split(".")[0] for key in keys} == set(ALARM_CODES)


@pytest.mark.parametrize("key", TEXTS)
def test_a_text_is_made_of_its_args_alone(key: str) -> None:
    fields = {name: spec for _, name, spec, _ in string.Formatter().parse(TEXTS[key]) if name}
    args = {name: 1.5 if spec else "x" for name, spec in fields.items() if name != "where"}
    text = text_of(key.split(".")[0], {**args, "case": key.partition(".")[2], "device": "io"})
    if key.split(".")[0] not in ("where", "end"):
        assert "{" not in text
        assert not text.startswith("code ")  # nothing was missing


def test_what_is_missing_takes_no_alarm_with_it() -> None:
    assert text_of("samples_lost", {"device": "daq"}) == "code samples_lost, device daq"


def test_braces_in_what_a_device_says_are_no_fields() -> None:
    text = text_of("device_down", {"device": "d", "reason": "answers '{lane}{0}'", "case": "network"})
    assert text == f"device d: answers '{{lane}}{{0}}'; {DOWN['network']}"


def test_a_camera_has_no_baud_rate() -> None:
    for table in (DOWN, SILENT, GARBAGE):
        assert "baud" not in table["network"] + table["listener"] + table["service"]
    assert "baud" in GARBAGE["serial"]
    assert "baud" in GARBAGE["serial_server"]
