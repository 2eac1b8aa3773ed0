"""What the journal has given so far: its epoch, its last number, and of each topic the last seq and its chain.

In: what the file says when it is opened, and what was committed since; out: what the next message gets. In memory, no
I/O but `load`. Called by `edge.delivery.journal`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from edge.delivery.entry import Entry
from edge.delivery.evidence import chain_start
from edge.delivery.store import Connection, Damaged
from edge.delivery.tables import Topic, put_meta, sealed_rows
from edge.messages import KINDS


class Heads:
    """Changed after a commit only."""

    def __init__(self) -> None:
        self.epoch = ""
        self.head = 0  # number of the last message
        self.last: dict[str, int] = {}  # kind -> number of its newest message
        self.topics: dict[int, Topic] = {}  # of all epochs
        self._by_name: dict[tuple[str, str], Topic] = {}  # by topic and epoch
        self._newest_id = 0

    def load(self, db: Connection) -> None:
        """Damaged where the file cannot be believed; an empty epoch where it has none yet."""
        self.epoch = next((value for key, value in sealed_rows(db, "meta") if key == "epoch"), "")
        (newest,) = db.execute("SELECT coalesce(max(n), 0) FROM log").fetchone()
        row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'log'").fetchone()
        self.head = max(newest, row[0] if row and isinstance(row[0], int) else 0)
        if not 0 <= self.head < 1 << 62:
            raise Damaged("the number of the last message is none")
        self.topics = {topic.topic_id: topic for topic in (Topic(*row) for row in sealed_rows(db, "topics"))}
        self._by_name = {(topic.topic, topic.epoch): topic for topic in self.topics.values()}
        self.last = {
            kind: db.execute("SELECT max(n) FROM log WHERE kind = ?", (kind,)).fetchone()[0] or 0 for kind in KINDS
        }

    def begin_epoch(self, db: Connection, epoch: str, head: int) -> None:
        """Topics count from 1 again; numbers go on after `head`: an acknowledgement that is still under way must not
        hit a new message.
        """
        self.epoch = epoch
        put_meta(db, "epoch", epoch)
        if head > self.head:
            self.head = head
            db.execute("DELETE FROM sqlite_sequence WHERE name = 'log'")
            db.execute("INSERT INTO sqlite_sequence VALUES ('log', ?)", (head,))

    def find(self, topic: str, epoch: str | None = None) -> Topic | None:
        """A topic, of this epoch unless another is named."""
        return self._by_name.get((topic, self.epoch if epoch is None else epoch))

    def to_append(self, topic: str, kind: str) -> Topic:
        """A copy of the state of a topic, for `took` after the commit."""
        known = self.find(topic)
        if known is not None:
            return replace(known)
        self._newest_id = max(self._newest_id, *self.topics, 0) + 1
        return Topic(self._newest_id, topic, self.epoch, kind, 0, chain_start(topic, self.epoch))

    def took(self, topics: Iterable[Topic], entries: Sequence[Entry]) -> None:
        """These are committed."""
        for topic in topics:
            self.topics[topic.topic_id] = self._by_name[topic.topic, topic.epoch] = topic
        for entry in entries:
            self.head = self.last[entry.kind] = entry.n

    def here(self) -> list[Topic]:
        """The topics of this epoch."""
        return [topic for topic in self.topics.values() if topic.epoch == self.epoch]
