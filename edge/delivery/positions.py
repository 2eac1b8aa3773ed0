"""Where each collector is: a cursor for each kind of its share, and the entries read ahead for it. In memory.

In: what is read from the log, acknowledged and dropped; out: which entries go next, what is pending, what to store.
Called by `edge.delivery.journal`, which holds its lock around every call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter

from edge.delivery.cursor import Cursor, Span
from edge.delivery.entry import Entry, JournalError, Pending
from edge.delivery.heads import Heads
from edge.delivery.log_reader import LogReader
from edge.delivery.tables import Row, with_seal

_PREFETCH = 64  # entries of one kind read at once for one collector
_SHORT_OUTAGE = 500  # up to so many pending messages are caught up in order, before new ones


@dataclass(slots=True)
class _Position:
    """Of one collector."""

    cursors: dict[str, Cursor]
    live: deque[Entry] = field(default_factory=deque)
    late: deque[Entry] = field(default_factory=deque)
    dirty: bool = True  # differs from what is stored


class Positions:
    """Of all collectors, by name."""

    def __init__(self, heads: Heads) -> None:
        self._heads = heads
        self._of: dict[str, _Position] = {}

    def shares(self) -> dict[str, tuple[str, ...]]:
        """The kinds that each collector gets."""
        return {name: tuple(position.cursors) for name, position in self._of.items()}

    def register(self, collector: str, spans: dict[str, list[Span]], start: int, log: LogReader) -> None:
        """A collector with the spans that are stored of each kind; where there are none, everything after `start` is
        new to it.
        """
        cursors = {kind: Cursor(known) if known else Cursor.beginning_at(start) for kind, known in spans.items()}
        for kind, cursor in cursors.items():
            if cursor.live.end is not None:
                cursor.spans.append(Span(cursor.live.end, cursor.live.end))
            self._count(kind, cursor, log)
        self._of[collector] = _Position(cursors)

    def let_go(self, collector: str) -> None:
        self._of.pop(collector, None)

    def clear(self) -> None:
        self._of.clear()

    def cursors(self, collector: str) -> dict[str, Cursor]:
        return self._of[collector].cursors

    def _count(self, kind: str, cursor: Cursor, log: LogReader) -> None:
        cursor.pending = sum(
            log.count(kind, span.done, span.limit(self._heads.head)) - len(span.early) for span in cursor.spans
        )

    # Sending

    def resume(self, collector: str, log: LogReader) -> None:
        """A connection begins: hand out again what is not acknowledged; after a long outage new messages go first."""
        position = self._of[collector]
        for kind in position.cursors:
            self.rewind(collector, kind)
        live = sum(
            cursor.pending if len(cursor.spans) == 1 else log.count(kind, cursor.live.done, most=_SHORT_OUTAGE + 1)
            for kind, cursor in position.cursors.items()
        )
        if live > _SHORT_OUTAGE:
            for kind, cursor in position.cursors.items():
                if cursor.split(self._heads.head):
                    self._count(kind, cursor, log)
            position.dirty = True

    def rewind(self, collector: str, kind: str) -> None:
        """Hand out again what is not acknowledged of one kind."""
        position = self._of[collector]
        position.live = deque(entry for entry in position.live if entry.kind != kind)
        position.late = deque(entry for entry in position.late if entry.kind != kind)
        position.cursors[kind].rewind()

    def next(
        self, collector: str, limit: int, late_limit: int | None, without: Collection[str], log: LogReader
    ) -> list[Entry]:
        """Up to `limit` entries not handed out yet: live ones first, then at most `late_limit` late ones."""
        position = self._of[collector]
        found = self._take(position, limit, without, log, late=False)
        room = limit - len(found)
        if late_limit is not None:
            room = min(room, late_limit)
        return found + self._take(position, room, without, log, late=True) if room > 0 else found

    def _take(
        self, position: _Position, limit: int, without: Collection[str], log: LogReader, *, late: bool
    ) -> list[Entry]:
        ahead = position.late if late else position.live
        if len(ahead) < limit:
            fresh: list[Entry] = []
            for kind, cursor in position.cursors.items():
                if kind not in without:
                    span = _late_span(cursor) if late else cursor.live
                    if span is not None and (late or span.fetched < self._heads.last[kind]):
                        fresh += self._fetch(kind, span, log, late=late)
                        cursor.sweep()
            fresh.sort(key=attrgetter("n"))
            ahead.extend(fresh)
        return [ahead.popleft() for _ in range(min(limit, len(ahead)))]

    def _fetch(self, kind: str, span: Span, log: LogReader, *, late: bool) -> list[Entry]:
        entries, upto = log.after(kind, span.fetched, span.limit(self._heads.head), _PREFETCH, late=late)
        span.fetch((entry.n for entry in entries), upto)
        return [entry for entry in entries if entry.n not in span.early and entry.n > span.done]

    def acknowledge(self, collector: str, entry: Entry) -> bool:
        """False where that was known."""
        position = self._of[collector]
        cursor = position.cursors.get(entry.kind)
        if cursor is None or not cursor.acknowledge(entry.n):
            return False
        position.dirty = True
        return True

    def backlog(self, collector: str, log: LogReader) -> Pending:
        """How much is not acknowledged, and the age of the oldest."""
        cursors = self._of[collector].cursors
        oldest: list[int] = []
        for kind, cursor in cursors.items():
            if cursor.pending > 0:
                with suppress(JournalError):  # the number is known all the same
                    oldest += log.oldest_ns(kind, cursor.done)
        return Pending(sum(cursor.pending for cursor in cursors.values()), min(oldest, default=None))

    # What happens to the log

    def appended(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            for cursor in self._cursors(entry.kind):
                cursor.pending += 1

    def broken(self, kind: str, numbers: Sequence[int]) -> None:
        """Rows that failed their seal are never sent, and count as done."""
        for position in self._of.values():
            position.dirty = True
        for cursor in self._cursors(kind):
            for n in numbers:
                cursor.acknowledge(n)

    def drop(self, kind: str, n: int) -> bool:
        """A message leaves the log; whether that loses it for a collector."""
        return bool([cursor for cursor in self._cursors(kind) if cursor.drop(n)])

    def floor(self, kind: str) -> int:
        """Everything of a kind up to here is acknowledged by all who get it."""
        return min((cursor.done for cursor in self._cursors(kind)), default=self._heads.head)

    def _cursors(self, kind: str) -> list[Cursor]:
        return [position.cursors[kind] for position in self._of.values() if kind in position.cursors]

    # Storing

    def take_changed(self) -> tuple[list[str], list[tuple[str, str]], list[Row]]:
        """Collectors that differ from what is stored, their kinds, and the rows to store for them."""
        changed = [name for name, position in self._of.items() if position.dirty]
        for name in changed:
            self._of[name].dirty = False
        kinds = [(name, kind) for name in changed for kind in self._of[name].cursors]
        rows = [
            with_seal("spans", name, kind, span.start, span.done, span.end)
            for name, kind in kinds
            for span in self._of[name].cursors[kind].spans
        ]
        return changed, kinds, rows

    def not_stored(self, collectors: Iterable[str]) -> None:
        for name in collectors:
            if name in self._of:
                self._of[name].dirty = True


def _late_span(cursor: Cursor) -> Span | None:
    """The oldest closed span that still has something to hand out."""
    return next((span for span in cursor.spans[:-1] if span.fetched < span.limit(0)), None)
