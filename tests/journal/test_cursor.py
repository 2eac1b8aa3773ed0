"""The cursor against a plain set of what was acknowledged."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.delivery.cursor import SPANS_MAX, Cursor, Span


class CursorModel(RuleBasedStateMachine):
    """Entries are 1..head (all of one kind); the model holds what is pending as a set."""

    def __init__(self) -> None:
        super().__init__()
        self.head = 0
        self.cursor = Cursor.beginning_at(0)
        self.pending: set[int] = set()
        self.out: list[int] = []  # handed out, not acknowledged

    @rule(count=st.integers(1, 20))
    def append(self, count: int) -> None:
        self.pending |= set(range(self.head + 1, self.head + count + 1))
        self.head += count
        self.cursor.pending += count

    @rule(limit=st.integers(1, 8), which=st.integers(0, 3))
    def fetch(self, limit: int, which: int) -> None:
        span = self.cursor.spans[which % len(self.cursor.spans)]
        upto = min(span.limit(self.head), span.fetched + limit)
        numbers = [n for n in range(span.fetched + 1, upto + 1) if n in self.pending or n > span.done]
        fresh = [n for n in numbers if n in self.pending and n not in span.early]
        span.fetch(numbers, max(upto, span.fetched))
        self.out += fresh
        self.cursor.sweep()

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def acknowledge(self, data: Any) -> None:
        n = data.draw(st.sampled_from(self.out))
        fresh = n in self.pending
        assert self.cursor.acknowledge(n) is fresh
        self.pending.discard(n)
        self.out = [other for other in self.out if other != n]

    @precondition(lambda self: self.head > 0)
    @rule(data=st.data())
    def acknowledge_unasked(self, data: Any) -> None:
        """The birth is acknowledged before it is fetched; repeats are acknowledged twice."""
        n = data.draw(st.integers(1, self.head))
        assert self.cursor.acknowledge(n) is (n in self.pending)
        self.pending.discard(n)

    @rule()
    def rewind(self) -> None:
        self.cursor.rewind()
        self.out = []

    @rule()
    def split(self) -> None:
        if len(self.cursor.spans) < SPANS_MAX:
            assert not self.cursor.split(self.head)

    @invariant()
    def agrees(self) -> None:
        assert self.cursor.pending == len(self.pending)
        assert self.pending == {n for n in range(1, self.head + 1) if self.cursor.is_pending(n)}
        assert self.cursor.done < min(self.pending, default=self.head + 1)
        edges = [(span.start, span.end) for span in self.cursor.spans]
        assert all(first[1] is not None and first[1] <= second[0] for first, second in itertools.pairwise(edges))

    def teardown(self) -> None:
        """After a rewind everything pending can be had, each once."""
        self.cursor.rewind()
        got: list[int] = []
        for span in self.cursor.spans:
            got += [n for n in range(span.fetched + 1, span.limit(self.head) + 1) if n not in span.early]
        assert sorted(got) == sorted(self.pending)


TestCursor = CursorModel.TestCase
TestCursor.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_too_many_spans_are_merged_and_nothing_pending_is_forgotten() -> None:
    cursor = Cursor.beginning_at(0)
    for outage in range(1, 2 * SPANS_MAX):
        cursor.pending += 10
        cursor.split(10 * outage)
        assert len(cursor.spans) <= SPANS_MAX
    assert all(cursor.is_pending(n) for n in range(1, 10 * (2 * SPANS_MAX - 1) + 1))


def test_a_dropped_entry_on_its_way_is_not_lost() -> None:
    cursor = Cursor([Span(0, 0)], pending=3)
    cursor.live.fetch([1, 2], 2)
    assert not cursor.drop(1)
    assert cursor.drop(3)
    assert cursor.pending == 2
