"""What one collector has acknowledged of one kind: intervals of journal numbers, kept in memory, no I/O.

In: numbers of entries as they are fetched, acknowledged, dropped; out: which numbers come next and how far everything
is acknowledged. Called by `edge.delivery.journal`, which stores the intervals.

A cursor is a row of spans, oldest first, that touch each other. The last one is open at its end: the live span. A long
outage turns what is pending in it into a closed span (backlog) and begins a new live one at the head of the journal, so
that new messages need not wait for old ones. Within a span entries go out in the order of the journal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

SPANS_MAX = 32  # above it the two oldest become one; what was acknowledged of the second is then sent again


@dataclass(slots=True)
class Span:
    """Entries with `start` < n <= `end`; all up to `done` are acknowledged, all up to `fetched` were handed out."""

    start: int
    done: int
    end: int | None = None
    fetched: int = 0
    waiting: deque[int] = field(default_factory=deque)  # handed out, oldest first, back to the oldest unacknowledged
    early: set[int] = field(default_factory=set)  # acknowledged although an older one is not yet

    def __post_init__(self) -> None:
        self.fetched = max(self.fetched, self.done)

    def holds(self, n: int) -> bool:
        return self.start < n and (self.end is None or n <= self.end)

    def limit(self, head: int) -> int:
        """The last number that belongs to this span when the journal ends at `head`."""
        return head if self.end is None else self.end

    def fetch(self, numbers: Iterable[int], upto: int) -> None:
        """These were handed out, and there is nothing else up to `upto`."""
        self.waiting.extend(numbers)
        self.fetched = max(self.fetched, upto)
        self._settle()

    def acknowledge(self, n: int) -> bool:
        """False for a repeat."""
        if n <= self.done or n in self.early:
            return False
        self.early.add(n)
        self._settle()
        return True

    def rewind(self) -> None:
        """The connection is gone: hand out again what is not acknowledged; early acknowledgements are remembered."""
        self.waiting.clear()
        self.fetched = self.done

    def _settle(self) -> None:
        while self.waiting and self.waiting[0] in self.early:
            self.done = self.waiting.popleft()
            self.early.discard(self.done)
        if not self.waiting:
            self.done = max(self.done, self.fetched)
            if self.early:
                self.early = {n for n in self.early if n > self.done}


@dataclass(slots=True)
class Cursor:
    """Position of one collector in the entries of one kind; `pending` counts what it has not acknowledged."""

    spans: list[Span]
    pending: int = 0

    @staticmethod
    def beginning_at(n: int) -> Cursor:
        """Everything after `n` is to be sent, all of it live."""
        return Cursor([Span(n, n)])

    @property
    def live(self) -> Span:
        return self.spans[-1]

    @property
    def done(self) -> int:
        """Everything up to here is acknowledged."""
        return self.spans[0].done

    def acknowledge(self, n: int) -> bool:
        """Whether `n` was pending until now."""
        for span in self.spans:
            if span.holds(n):
                fresh = span.acknowledge(n)
                self.pending -= fresh
                if span.end is not None and span.done >= span.end:
                    self.sweep()
                return fresh
        return False

    def is_pending(self, n: int) -> bool:
        return any(n > span.done and n not in span.early for span in self.spans if span.holds(n))

    def drop(self, n: int) -> bool:
        """`n` leaves the journal; whether that loses it (not acknowledged and not on its way already)."""
        lost = self.is_pending(n) and not any(n in span.waiting for span in self.spans if span.holds(n))
        self.pending -= lost
        return lost

    def rewind(self) -> None:
        for span in self.spans:
            span.rewind()

    def split(self, head: int) -> bool:
        """What is pending becomes backlog; live begins after `head`. True: `pending` has to be counted anew."""
        self.live.rewind()
        self.live.end = head
        self.spans.append(Span(head, head))
        self.sweep()
        if len(self.spans) <= SPANS_MAX:
            return False
        first, second = self.spans[:2]
        self.spans[:2] = [Span(first.start, first.done, second.end, early=first.early | second.early)]
        return True

    def sweep(self) -> None:
        """Forget closed spans of which everything is acknowledged."""
        self.spans = [span for span in self.spans if span.end is None or span.done < span.end]
