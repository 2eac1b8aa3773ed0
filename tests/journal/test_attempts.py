"""How connections end, judged; what is under way; what waits. In time that is an argument."""

from __future__ import annotations

from random import Random

import pytest

from edge.delivery.attempts import CAREFUL_FIRST, QUICK_S, SHORT_LIVES, WAIT_EARLY_S, WAIT_MOST_S, Attempts, Judged
from edge.delivery.endpoint import Trouble
from edge.delivery.entry import Entry
from edge.delivery.parked import PARK_S, Parked
from edge.delivery.window import LATE_RESERVE, Window


def entry(n: int = 1, kind: str = "vehicle", *, late: bool = False) -> Entry:
    return Entry(n, kind, f"borderflow/v1/CA/0453/lane-1/C03/{kind}", "e", n, "id", n, b"{}", late)


def lives(attempts: Attempts, begin_s: float, lasts_s: float, alone: Entry | None = None) -> Judged:
    """A connection that ends without a reason."""
    attempts.connected(begin_s)
    attempts.left(alone, unproven=False)
    return attempts.judge("lost", begin_s + lasts_s)


def test_short_lives_in_a_row_are_a_double_and_longer_ones_are_not() -> None:
    attempts = Attempts(Random(1))
    quick = [lives(attempts, 100.0 * n, QUICK_S / 2).verdict for n in range(SHORT_LIVES)]
    assert quick == ["as_said"] * (SHORT_LIVES - 1) + ["duplicate"]
    slow = [lives(attempts, 1000.0 + 100.0 * n, 2 * QUICK_S).verdict for n in range(3 * SHORT_LIVES)]
    assert set(slow) == {"as_said"}


def test_one_that_closes_for_the_same_message_each_time_refuses_its_topic() -> None:
    attempts, wanted = Attempts(Random(1)), entry()
    judged = [lives(attempts, 100.0 * n, 1.0, wanted) for n in range(3)]
    assert judged == [Judged(), Judged(), Judged("refuses", wanted)]
    assert lives(attempts, 1000.0, 1.0, wanted) == Judged(), "and begins to count anew"


def test_a_topic_that_it_took_in_the_same_connection_is_not_suspected() -> None:
    attempts = Attempts(Random(1))
    for n in range(SHORT_LIVES - 1):
        attempts.connected(100.0 * n)
        attempts.acknowledged(entry().topic, counts=True)
        attempts.left(entry(), unproven=False)
        assert attempts.judge("lost", 100.0 * n + 1.0) == Judged()


def test_messages_go_one_by_one_after_two_short_lives_until_so_many_were_taken() -> None:
    attempts = Attempts(Random(1))
    lives(attempts, 0.0, 1.0)
    assert not attempts.is_careful
    lives(attempts, 10.0, 1.0)
    attempts.connected(20.0)
    assert attempts.is_careful
    for _ in range(CAREFUL_FIRST):
        attempts.acknowledged("a topic", counts=True)
    assert not attempts.is_careful


@pytest.mark.parametrize(("trouble", "at_once"), [("lost", False), ("certificate", True)])
def test_waits_grow_to_their_bound_and_a_short_outage_is_no_alarm(trouble: Trouble, *, at_once: bool) -> None:
    attempts, now_s = Attempts(Random(1)), 0.0
    waits_s: list[float] = []
    for _ in range(40):
        wait_s, alarm = attempts.pause(trouble, now_s)
        assert alarm == (at_once or now_s >= 10.0)
        assert at_once or now_s > 60.0 or wait_s <= WAIT_EARLY_S
        waits_s.append(wait_s)
        now_s += wait_s
    assert at_once or WAIT_EARLY_S < max(waits_s) <= WAIT_MOST_S
    assert not at_once or (min(waits_s) >= 24.0 and max(waits_s) <= 36.0)


def test_a_trouble_that_stays_is_said_at_growing_intervals() -> None:
    attempts = Attempts(Random(1))
    said = [n for n in range(100) if attempts.to_be_said("lost", float(n)) is not None]
    assert said == [0, 10, 30, 70]
    assert attempts.to_be_said("certificate", 99.0) == 0


def test_late_messages_leave_places_to_live_ones() -> None:
    window = Window(20)
    for n in range(window.late_room()):
        window.add(n, entry(n, late=True))
    assert (window.late_room(), window.room()) == (0, LATE_RESERVE)
    assert window.room(careful=True) < 0
    window.take_out(0)
    assert (window.late_room(), window.room()) == (1, LATE_RESERVE + 1)


def test_what_is_held_takes_its_place_until_it_counts() -> None:
    window, only = Window(2), entry()
    window.add(7, only)
    window.add_word(8)
    assert (window.room(), window.only) == (0, only)
    assert window.take_out(8) is None
    assert window.take_out(7) is only
    window.hold(only)
    assert (window.room(), window.is_empty, window.holds) == (1, False, True)
    assert window.let_go() == [only]
    assert (window.room(), window.is_empty) == (2, True)


def test_a_kind_that_is_parked_comes_back_by_itself_or_with_larger_packets() -> None:
    parked = Parked()
    parked.park("vehicle", 0.0, size=5000)
    parked.park("wait", 0.0)
    parked.connected(4999)
    assert set(parked) == {"vehicle", "wait"}
    parked.connected(5000)
    assert set(parked) == {"wait"}
    parked.wake(PARK_S + 1.0)
    assert not parked
