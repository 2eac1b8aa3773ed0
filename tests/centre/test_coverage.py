"""Hours that were counted, hours without traffic, hours that are missing, on local days of 23, 24 and 25 hours."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

import lane_messages as messages
import msgspec
import pytest

from edge.centre.arrival import Row, read
from edge.centre.coverage import Covered, coverage
from edge.centre.local_day import HOUR_NS, bounds_ns, day_of, hours_of, zone_of
from edge.centre.sqlite_store import SqliteStore
from edge.centre.upkeep import Upkeep
from edge.messages import Message, utc_text

TORONTO = zone_of("America/Toronto")
DAY = date(2026, 9, 22)
START_NS, END_NS = bounds_ns(DAY, TORONTO)
MINUTE_NS = 60_000_000_000
AT = "2026-11-27T12:00:00.000000Z"


class Centre:
    """A store that is given messages in the order of their numbers."""

    def __init__(self, path: Path) -> None:
        self.path, self.store = path, SqliteStore(path)
        self._numbers: dict[str, int] = {}

    def take(self, *made: Message, lose: bool = False) -> None:
        rows = []
        for message in made:
            topic = messages.topic_of(message)
            seq = self._numbers[topic] = self._numbers.get(topic, 0) + 1
            got = read(*messages.sent(message, seq), END_NS + 10**18)
            assert isinstance(got, Row), got
            rows.append(got)
        if not lose:
            self.store.write(rows, [], AT)

    def minutes(self, hour: int, counts: list[int], lane: str = "C03", *, lose: bool = False) -> None:
        """A flow message for each minute of an hour from its beginning on."""
        for n, count in enumerate(counts):
            end_ns = START_NS + hour * HOUR_NS + (n + 1) * MINUTE_NS
            self.take(messages.flow(end_ns, count, lane), lose=lose)

    def hours(self, lane: str = "C03") -> list[Covered]:
        found = coverage(self.store.query, "CA", "0453", DAY, TORONTO)
        return [row for row in found if row.lane == lane]


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    return Centre(tmp_path / "centre.db")


def test_counted_without_traffic_and_missing_are_three_things(centre: Centre) -> None:
    centre.minutes(0, [1, 0, 2] + [0] * 57)
    centre.minutes(1, [0] * 60)
    first, second, third = centre.hours()[:3]
    assert (first.state, first.vehicles, first.minutes, first.reason) == ("counted", 3, 60, None)
    assert (second.state, second.vehicles, second.minutes) == ("no_traffic", 0, 60)
    assert (third.state, third.vehicles) == ("missing", None)
    assert third.reason == "nothing was heard of the computer"


def test_a_lane_that_could_not_see_had_no_empty_hour(centre: Centre) -> None:
    down = messages.alarm(0)
    at = utc_text(START_NS + 10 * MINUTE_NS)
    centre.take(msgspec.structs.replace(down, time=at))
    centre.minutes(0, [0] * 60)
    assert (centre.hours()[0].state, centre.hours()[0].reason) == ("missing", "device_down")


def test_a_fault_of_a_minute_or_of_another_computer_blinds_nobody(centre: Centre) -> None:
    for source, begin, end in (("edge-1", 10, 11), ("edge-2", 0, 60)):
        for state, minute in (("begin", begin), ("end", end)):
            alarm = messages.alarm(0, source=source)
            centre.take(msgspec.structs.replace(alarm, state=state, time=utc_text(START_NS + minute * MINUTE_NS)))
    centre.minutes(0, [0] * 60)
    assert centre.hours()[0].state == "no_traffic"


def test_messages_that_are_missing_are_the_reason(centre: Centre) -> None:
    centre.minutes(0, [1] * 60)
    centre.minutes(1, [1] * 60, lose=True)
    centre.minutes(2, [1] * 60)
    second = centre.hours()[1]
    assert (second.state, second.reason) == ("missing", "messages are missing and asked for")
    centre.store.close_gaps(
        (messages.topic_of(messages.flow(0, 0)), "e1"), (61, 120), "explained", "journal_dropped", AT
    )
    assert centre.hours()[1].reason == "journal_dropped"


def test_a_lane_that_sends_no_flow_is_known_by_its_vehicles_and_waits(centre: Centre) -> None:
    at = [utc_text(START_NS + minute * MINUTE_NS) for minute in (5, 6, 200)]
    centre.take(*(msgspec.structs.replace(messages.vehicle(0), time=time) for time in at))
    centre.take(msgspec.structs.replace(messages.wait(0), time=utc_text(START_NS + 90 * MINUTE_NS)))
    assert [row.state for row in centre.hours()[:5]] == ["counted", "no_traffic", "missing", "counted", "missing"]
    assert centre.hours()[0].vehicles == 2


@pytest.mark.parametrize(("day", "count"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-07-01", 24)])
def test_days_of_23_and_25_hours(day: str, count: int) -> None:
    hours = hours_of(date.fromisoformat(day), TORONTO)
    assert len(hours) == count
    assert len({hour.label for hour in hours}) == count
    assert all(day_of(hour.start_ns, TORONTO) == date.fromisoformat(day) for hour in hours)
    if count == 25:
        assert [hour.label for hour in hours[1:3]] == ["01:00-04:00", "01:00-05:00"]


def test_the_collector_keeps_the_table_of_days_that_changed_also_late(centre: Centre) -> None:
    upkeep = Upkeep(centre.store)
    status = msgspec.structs.replace(messages.status(0), timezone="America/Toronto", site_name="Ambassador Bridge")
    centre.take(status)
    centre.minutes(0, [1] * 60)
    upkeep.run(END_NS)
    with closing(sqlite3.connect(centre.path)) as db:
        query = "SELECT local_hour, state, vehicles FROM coverage_hourly WHERE local_day = '2026-09-22' ORDER BY hour"
        rows = db.execute(query).fetchall()
        assert (len(rows), rows[0], rows[1]) == (24, ("00:00", "counted", 60), ("01:00", "missing", None))
        assert db.execute("SELECT * FROM site").fetchall() == [("CA", "0453", "America/Toronto", "Ambassador Bridge")]
        centre.minutes(1, [0] * 60)  # weeks late
        upkeep.run(END_NS + 20 * 24 * HOUR_NS)
        assert db.execute(query).fetchall()[1] == ("01:00", "no_traffic", 0)
