"""Inputs that are read again and again: what changed, and counters that are none."""

from __future__ import annotations

from drivers.events import InputChange, Rejected
from drivers.inputs import InputWatch

S = 1_000_000_000


def test_the_first_look_and_what_changes() -> None:
    watch = InputWatch("io", ("a", "", "b"), ("b",))
    assert watch.look([True, True, False], None, 0) == [
        InputChange("io", 0, "a", True),
        InputChange("io", 0, "b", True),
    ]
    assert watch.look([True, False, False], None, 1) == []
    assert watch.look([False, False, False], None, 2) == [InputChange("io", 2, "a", False)]


def test_a_counter_with_its_words_the_wrong_way_round_is_rejected_and_the_state_is_not() -> None:
    watch = InputWatch("io", ("loop",))
    assert watch.look([False], [5], 0) == [InputChange("io", 0, "loop", False, 5)]
    assert watch.look([True], [6 << 16], S) == [
        Rejected("io", S, "counter_jump"),
        InputChange("io", S, "loop", True, 5),
    ]
    assert watch.look([True], [6 << 16], 2 * S) == [Rejected("io", 2 * S, "counter_jump")]
    assert watch.look([True], [6], 3 * S) == [InputChange("io", 3 * S, "loop", True, 6)]


def test_a_counter_that_was_set_or_cleared_is_believed() -> None:
    watch = InputWatch("io", ("loop",))
    watch.look([False], [70_000], 0)
    assert watch.look([False], [0], S) == [InputChange("io", S, "loop", False, 0)]
    assert watch.look([False], [1100], 2 * S) == [InputChange("io", 2 * S, "loop", False, 1100)]  # 1 kHz is possible
    for second in range(3, 62):
        assert watch.look([False], [1 << 30], second * S) == [Rejected("io", second * S, "counter_jump")]
    assert watch.look([False], [1 << 30], 62 * S) == [InputChange("io", 62 * S, "loop", False, 1 << 30)]
