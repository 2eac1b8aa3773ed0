"""What a central operator sees of alarms: also who comes later, and nothing that is over."""

from __future__ import annotations

from typing import Any

import msgspec
from samples import ROOT, SITE, SOURCE

from edge.alarms import Alarms, Condition
from edge.messages import Status, encode, parse_utc, utc_text
from edge.watch.view import CrossingView, is_message

START_NS = parse_utc("2026-11-24T10:00:00Z")
DOWN = Condition("device_down", "camera", "C03")
STATUS = f"{ROOT}/_/status"


def status(alarms: Alarms, seconds: int, *, will: bool = False) -> dict[str, Any]:
    made = Status(
        time=utc_text(START_NS + seconds * 10**9), site=SITE, lane="_", source=SOURCE, online=not will, since="x",
        version="0", devices={}, backlog={}, alarms=msgspec.UNSET if will else alarms.holding(),
    )  # fmt: skip
    message: dict[str, Any] = msgspec.json.decode(encode(made))
    assert is_message(STATUS, message)
    return message


def begun(alarms: Alarms, condition: Condition, seconds: int) -> dict[str, Any]:
    (alarm,) = alarms.set(condition, True, START_NS + seconds * 10**9, args={"reason": "refused", "case": "network"})
    message: dict[str, Any] = msgspec.json.decode(encode(alarm))
    return message


def test_who_comes_later_sees_what_holds() -> None:
    alarms, view = Alarms(SITE, SOURCE), CrossingView()
    begun(alarms, DOWN, 0)
    view.take(STATUS, status(alarms, 600))
    assert [alarm["text"] for alarm in view.alarms.values()] == [alarms.holding()[0].text]
    alarms.set(DOWN, False, START_NS + 700 * 10**9)
    (end,) = alarms.advance(START_NS + 730 * 10**9)
    view.take(f"{ROOT}/C03/alarm", msgspec.json.decode(encode(end)))
    assert view.alarms == {}


def test_an_end_that_never_came_is_found_in_the_status_and_neighbours_stay() -> None:
    alarms, view = Alarms(SITE, SOURCE), CrossingView()
    view.take(f"{ROOT}/C03/alarm", begun(alarms, DOWN, 0))
    view.take(f"{ROOT}x/C03/alarm", begun(Alarms(SITE, "other"), DOWN, 0))
    view.take(STATUS, status(alarms, 10, will=True))
    assert len(view.alarms) == 2  # the last will does not know
    view.take(STATUS, status(Alarms(SITE, SOURCE), 20))
    assert [key[0] for key in view.alarms] == [f"{ROOT}x/C03/alarm"]


def test_what_began_after_the_status_was_made_stays_and_what_explains_a_gap_too() -> None:
    alarms, view = Alarms(SITE, SOURCE), CrossingView()
    view.take(f"{ROOT}/C03/alarm", begun(alarms, DOWN, 30))
    gap = {**begun(alarms, Condition("journal_dropped"), 0), "gap": {}}
    view.take(f"{ROOT}/_/alarm", gap)
    view.take(STATUS, status(Alarms(SITE, SOURCE), 20))
    assert len(view.alarms) == 2
