"""What leaves the journal, and when: the size of the file and the age of messages in, rows deleted out.

Above half of `max_bytes` what every collector has acknowledged goes (by kind as in `DROP_ORDER`, oldest first); above
nine tenths unacknowledged messages go, in the same order. Each loss is stored in the transaction that makes it.
Acknowledged messages stay for the retention time, so that a collector can ask for them again. Called by
`edge.delivery.journal` under its writing lock.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.delivery.heads import Heads
from edge.delivery.store import PAGE, Connection
from edge.delivery.tables import explained_until, insert_losses, loss_between, store_topics

log = logging.getLogger("journal")

# what goes first when the disk is full
DROP_ORDER = ("status", "flow", "sighting", "identifier", "alarm", "wait", "evidence", "vehicle")
MIN_BYTES = 1_000_000
_SLICE = 500  # rows deleted at once

_Going = tuple[int, int, int, int]  # n, topic_id, seq, time_ns


class Bounds:
    """Of one file. `floor` says up to where all have a kind; `drop` is told what leaves, and says what that loses."""

    def __init__(
        self,
        path: Path,
        db: Connection,
        heads: Heads,
        *,
        floor: Callable[[str], int],
        drop: Callable[[str, Sequence[int]], list[int]],
        max_bytes: int,
        retention_ns: int,
        clock: Callable[[], int],
    ) -> None:
        self._path, self._db, self._heads = path, db, heads
        self._floor, self._drop = floor, drop
        self._max_bytes, self._retention_ns, self._clock = max_bytes, retention_ns, clock
        db.execute(f"PRAGMA max_page_count = {max_bytes // PAGE}")

    def used_bytes(self) -> int:
        """In whole pages: what is deleted between messages that stay may free none."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free) * PAGE

    def is_at_bound(self) -> bool:
        return self.used_bytes() >= self._max_bytes * 19 // 20

    def keep(self) -> None:
        """Now and then."""
        used = self.used_bytes()
        if used > self._max_bytes * 9 // 10:
            self._make_room(self._max_bytes * 17 // 20)
        elif used > self._max_bytes // 2:
            self._forget_acknowledged(self._max_bytes * 9 // 20)
        self._forget_old()

    def relieve(self) -> None:
        """A write found no room: at our own bound messages go; on a disk that others filled only what all have."""
        used = self.used_bytes()
        if used > self._max_bytes * 8 // 10:
            self._make_room(used - self._max_bytes // 10)
        else:
            self._forget_acknowledged(used - MIN_BYTES)

    def _forget_old(self) -> None:
        """Acknowledged entries beyond the retention time, a slice of each kind: a leap of the clock costs little."""
        before_ns = self._clock() - self._retention_ns
        for kind in DROP_ORDER:
            old = [row for row in self._oldest(kind, self._floor(kind)) if row[3] < before_ns]
            if old:
                with self._db.transaction():
                    self._remove(old)
        with self._db.transaction() as db:
            db.execute("DELETE FROM losses WHERE time_ns < ? AND loss_id <= ?", (before_ns, explained_until(db)))

    def _forget_acknowledged(self, most_bytes: int) -> None:
        """Delete acknowledged entries until `most_bytes` are used, or all are gone."""
        for kind in DROP_ORDER:
            floor = self._floor(kind)
            while self.used_bytes() > most_bytes:
                rows = self._oldest(kind, floor)
                if not rows:
                    break
                with self._db.transaction():
                    self._remove(rows)

    def _make_room(self, most_bytes: int) -> None:
        """At the bound: acknowledged entries go first, then others by `DROP_ORDER`; losses are stored and logged."""
        self._forget_acknowledged(most_bytes)
        lost: dict[int, list[int]] = defaultdict(list)
        for kind in DROP_ORDER:
            while self.used_bytes() > most_bytes:
                rows = self._oldest(kind, self._heads.head)
                if not rows:
                    break
                for topic_id, seqs in self._lose(kind, rows).items():
                    lost[topic_id] += seqs
        for topic_id, seqs in lost.items():
            log.critical(
                "%s is full (%d bytes): %d messages were dropped before every collector had them: %s seq %d to %d",
                self._path, self._max_bytes, len(seqs), self._heads.topics[topic_id].topic, min(seqs), max(seqs),
            )  # fmt: skip

    def _lose(self, kind: str, rows: list[_Going]) -> dict[int, list[int]]:
        """Topic -> the seqs that not every collector had."""
        going = set(self._drop(kind, [row[0] for row in rows]))
        lost: dict[int, list[int]] = defaultdict(list)
        for n, topic_id, seq, _ in rows:
            if n in going and topic_id in self._heads.topics:
                lost[topic_id].append(seq)
        now_ns = self._clock()
        losses = [
            loss_between(self._db, self._heads.topics[key], min(seqs), max(seqs), len(seqs), "dropped", now_ns)
            for key, seqs in lost.items()
        ]
        with self._db.transaction() as db:  # deletes first: that makes room for the rest
            self._remove(rows)
            insert_losses(db, losses)
            if kind == "alarm" and lost:  # what explained earlier losses may be among them: all are told again
                db.execute("DELETE FROM meta WHERE key = 'explained'")
        return lost

    def _oldest(self, kind: str, upto: int) -> list[_Going]:
        """The next rows of a kind to go."""
        return self._db.execute(
            "SELECT n, topic_id, seq, time_ns FROM log WHERE kind = ? AND n <= ? ORDER BY n LIMIT ?",
            (kind, upto, _SLICE),
        ).fetchall()

    def _remove(self, rows: Sequence[_Going]) -> None:
        """Delete rows in good order; their topics remember how far."""
        self._db.executemany("DELETE FROM log WHERE n = ?", [(row[0],) for row in rows])
        touched = {}
        for _, topic_id, seq, _ in rows:
            topic = self._heads.topics.get(topic_id)
            if topic is not None:
                topic.floor = max(topic.floor, seq)
                touched[topic_id] = topic
        store_topics(self._db, touched.values())
