"""Reads messages out of the log, on a connection of its own that never waits for a writer.

In: kinds, topics and numbers; out: entries of which every seal holds. What fails its seal is never handed out; it is
remembered in `failed` until the journal has set it aside. Called by `edge.delivery.journal` and `positions`, under the
journal's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.delivery import store
from edge.delivery.entry import Entry, JournalError, uuid_text
from edge.delivery.heads import Heads
from edge.delivery.store import DatabaseError
from edge.delivery.tables import LOG, Row, is_whole


class LogReader:
    """`on_damage` is told why the file cannot be read, `on_broken` which rows of a kind failed."""

    def __init__(
        self,
        path: Path,
        heads: Heads,
        on_damage: Callable[[str], None],
        on_broken: Callable[[str, list[int]], None],
    ) -> None:
        self._path, self._heads = path, heads
        self._on_damage, self._on_broken = on_damage, on_broken
        self.failed: dict[int, str] = {}  # number -> kind
        self._db = store.connect(path)
        self._db.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        self._db.close()

    def after(self, kind: str, n: int, upto: int, limit: int, *, late: bool) -> tuple[list[Entry], int]:
        """Messages of a kind with `n` < number <= `upto`, at most `limit`; and how far the log was read for them."""
        rows = self._read(
            f"SELECT {LOG} FROM log WHERE kind = ? AND n > ? AND n <= ? ORDER BY n LIMIT ?", kind, n, upto, limit
        )
        read_to = rows[-1][0] if len(rows) == limit else upto
        return [self._entry(kind, row, late) for row in self._whole(kind, rows)], read_to

    def count(self, kind: str, n: int, upto: int = 1 << 62, most: int = -1) -> int:
        """Messages of a kind with `n` < number <= `upto`; not beyond `most`."""
        within = "SELECT 1 FROM log WHERE kind = ? AND n > ? AND n <= ? LIMIT ?"
        return int(self._read(f"SELECT count(*) FROM ({within})", kind, n, upto, most)[0][0])

    def oldest_ns(self, kind: str, n: int) -> list[int]:
        """When the first message of a kind after `n` was appended; empty where there is none."""
        rows = self._read("SELECT time_ns FROM log WHERE kind = ? AND n > ? ORDER BY n LIMIT 1", kind, n)
        return [row[0] for row in rows]

    def replay(self, topic: str, epoch: str, from_seq: int, to_seq: int, limit: int) -> list[Entry]:
        """What is still there of a topic between two seq (both included), oldest first, at most `limit`."""
        known = self._heads.find(topic, epoch)
        found: list[Entry] = []
        while known is not None and len(found) < limit:
            want = limit - len(found)
            rows = self._read(
                f"SELECT {LOG} FROM log WHERE topic_id = ? AND seq >= ? AND seq <= ? ORDER BY seq LIMIT ?",
                known.topic_id, max(from_seq, 0), min(to_seq, 1 << 62), want,
            )  # fmt: skip
            found += [self._entry(known.kind, row, True) for row in self._whole(known.kind, rows)]
            if len(rows) < want:
                break
            from_seq = rows[-1][2] + 1
        return found

    def _entry(self, kind: str, row: Row, late: bool) -> Entry:
        n, topic_id, seq, id, time_ns, body, *_ = row
        topic = self._heads.topics[topic_id]
        return Entry(n, kind, topic.topic, topic.epoch, seq, uuid_text(id), time_ns, body, late)

    def _whole(self, kind: str, rows: list[Row]) -> list[Row]:
        """The rows that are what was appended."""
        whole = [row for row in rows if is_whole(self._db, self._heads.topics.get(row[1]), kind, row)]
        if len(whole) < len(rows):
            good = {row[0] for row in whole}
            broken = [row[0] for row in rows if row[0] not in good]
            self.failed |= dict.fromkeys(broken, kind)
            self._on_broken(kind, broken)
        return whole

    def _read(self, sql: str, *values: object) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except DatabaseError as error:
            if store.is_damage(error):
                self._on_damage(str(error))
            raise JournalError(f"{self._path}: cannot be read ({error})") from None
