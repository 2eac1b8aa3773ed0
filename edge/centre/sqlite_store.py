"""The centre's database as one SQLite file: one process writes, any number read meanwhile (WAL). The only file of the
centre that touches SQLite.

In: batches of rows from `collect`; out: the tables of `sql/sqlite`. A batch is one transaction with one fsync
(synchronous=FULL), so that what was acknowledged to a broker survives a power cut. Spans of numbers are kept in memory
beside the table, for one process alone writes: a lock beside the file says so to a second one.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from edge.centre.arrival import Rejected, Row
from edge.centre.columns import AXLE_COLUMNS, AXLE_KEY, COMMON, KIND_COLUMNS
from edge.centre.spans import Span, common, joined, missing, spans_of
from edge.centre.store import (
    OpenGap,
    Place,
    StoreError,
    Written,
    axles_of,
    by_kind,
    gap_change,
    numbers_by_place,
    values_of,
)
from edge.messages import TOPIC_ROOT

APPLICATION_ID = 0x42464331
REJECTED_KEPT = 10_000


def migrations() -> list[str]:
    """The numbered files of sql/sqlite, in order."""
    folder = resources.files("edge.centre") / "sql" / "sqlite"
    return [file.read_text() for file in sorted(folder.iterdir(), key=lambda file: file.name) if file.name[0].isdigit()]


def _insert(table: str, columns: Sequence[str]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"


_INSERTS = {
    kind: _insert(kind, [*COMMON, *(column.name for column in columns)]) for kind, columns in KIND_COLUMNS.items()
}
_INSERT_AXLE = _insert("axle", [*AXLE_KEY, *(column.name for column in AXLE_COLUMNS)])
# an alarm speaks of the topics of its own computer alone
_EXPLAINED = f"""
    SELECT DISTINCT gap_topic, gap_epoch, gap_from_seq, gap_to_seq, code FROM gap JOIN alarm
    ON gap_topic = gap.topic AND gap_epoch = gap.epoch AND gap_from_seq <= to_seq AND gap_to_seq >= from_seq
    WHERE gap.state = 'open' AND code IN ('journal_dropped', 'journal_damaged')
    AND instr(gap.topic, '{TOPIC_ROOT}/' || country || '/' || port || '/' || source || '/') = 1
"""
_NEWER_PRESENCE = """
    INSERT INTO presence VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (topic) DO UPDATE SET
        online = excluded.online, time = excluded.time, received = excluded.received, body = excluded.body
    WHERE excluded.time >= presence.time
"""


class SqliteStore:
    """See the head of this file; StoreError where the file is another program's, a newer one, or in use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = path.with_name(path.name + ".lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise StoreError(f"{path}: another process writes it; several collectors need PostgreSQL") from None
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._migrate()
            self._held = self._read_spans()
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}; give another file, or move this one away") from None

    def write(self, rows: Sequence[Row], rejected: Sequence[Rejected], received: str) -> Written:
        held: dict[Place, list[Span]] = {}
        with self._transaction() as db:
            new = 0
            counted = by_kind(rows, lambda row: row.seq > 0)
            for kind, of_kind in counted.items():
                new += db.executemany(_INSERTS[kind], [values_of(row, received) for row in of_kind]).rowcount
            db.executemany(_INSERT_AXLE, [axle for row in counted.get("vehicle", ()) for axle in axles_of(row)])
            db.executemany(_NEWER_PRESENCE, [_presence(row, received) for row in rows if row.kind == "status"])
            for place, arrived in numbers_by_place(row for row in rows if row.seq > 0).items():
                held[place] = self._count(db, place, arrived, received)
            db.executemany(
                "INSERT INTO rejected (received, topic, reason, detail, body) VALUES (?, ?, ?, ?, ?)",
                [(received, bad.topic, bad.reason, bad.detail, bad.body) for bad in rejected],
            )
            if rejected:
                db.execute("DELETE FROM rejected WHERE n <= (SELECT max(n) FROM rejected) - ?", (REJECTED_KEPT,))
        self._held.update(held)
        return Written(new, sum(map(len, counted.values())) - new, len(rejected))

    def open_gaps(self) -> list[OpenGap]:
        """All that is missing and may still come."""
        return self._gaps(self._db, "state = 'open'")

    def audit(self, at: str) -> None:
        """Look for rows that are gone from the tables though their numbers came: somebody removed them. Their numbers
        are missing from then on."""
        for kind in KIND_COLUMNS:
            query = f"SELECT topic, epoch, count(*) FROM {kind} GROUP BY topic, epoch"
            rows = {(topic, epoch): count for topic, epoch, count in self._read(query)}
            for place, spans in list(self._held.items()):
                if place[0].endswith(f"/{kind}") and rows.get(place, 0) < sum(b - a + 1 for a, b in spans):
                    self._reopen(kind, place, spans, at)

    def explain_gaps(self, at: str) -> None:
        """Gaps that an alarm of their computer explains (`journal_dropped`, `journal_damaged`) end as `explained`."""
        for topic, epoch, first, last, code in self._read(_EXPLAINED):
            self.close_gaps((topic, epoch), (first, last), "explained", code, at)

    def asked(self, gaps: Iterable[OpenGap], at: str) -> None:
        """Their computers were asked for them."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE gap SET asked = ?, asked_times = asked_times + 1 "
                "WHERE topic = ? AND epoch = ? AND from_seq = ? AND to_seq = ?",
                [(at, gap.topic, gap.epoch, gap.from_seq, gap.to_seq) for gap in gaps],
            )

    def close_gaps(self, place: Place, span: Span, state: str, reason: str, at: str) -> int:
        """What is open of `span` ends as `explained` or `lost`; how many numbers that were."""
        ended = 0
        with self._transaction() as db:
            for gap in self._gaps(db, "topic = ? AND epoch = ? AND state = 'open'", place):
                gone = common([(gap.from_seq, gap.to_seq)], [span])
                ended += sum(last - first + 1 for first, last in gone)
                self._replace(db, gap, gone, state, reason, at)
        return ended

    def close(self) -> None:
        self._db.close()
        self._lock.close()

    def _reopen(self, kind: str, place: Place, spans: list[Span], at: str) -> None:
        numbers = self._read(f"SELECT seq FROM {kind} WHERE topic = ? AND epoch = ?", place)
        here = spans_of(n for (n,) in numbers)
        gone = [hole for first, last in spans for hole in missing(here, first, last)]
        with self._transaction() as db:
            for span in gone:
                self._add_gap(db, place, span, at, "open")
            db.execute("DELETE FROM span WHERE topic = ? AND epoch = ?", place)
            db.executemany("INSERT INTO span VALUES (?, ?, ?, ?)", [(*place, *span) for span in here])
        self._held[place] = here

    def _read(self, query: str, values: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from None

    # Inside a transaction

    def _count(self, db: sqlite3.Connection, place: Place, arrived: list[Span], received: str) -> list[Span]:
        """Spans and gaps of a place after `arrived`; gives what is held then."""
        held = self._held.get(place, [])
        now = joined(held, arrived)
        if now == held:
            return held
        gaps = self._gaps(db, "topic = ? AND epoch = ? AND state = 'open'", place)
        change = gap_change(held, arrived, gaps)
        for gap in change.closed:
            self._replace(db, gap, common([(gap.from_seq, gap.to_seq)], change.filled), "filled", None, received)
        for (first, last), rest_of in change.opened:
            if rest_of is None:
                self._add_gap(db, place, (first, last), received, "open")
        stay, gone = set(held) & set(now), set(held) - set(now)
        db.executemany(
            "DELETE FROM span WHERE topic = ? AND epoch = ? AND first_seq = ?", [(*place, first) for first, _ in gone]
        )
        db.executemany("INSERT INTO span VALUES (?, ?, ?, ?)", [(*place, *span) for span in now if span not in stay])
        return now

    def _replace(
        self, db: sqlite3.Connection, gap: OpenGap, gone: list[Span], state: str, reason: str | None, at: str
    ) -> None:
        """The part `gone` of an open gap ends; the rest stays open, with the times of the whole."""
        if not gone:
            return
        place = (gap.topic, gap.epoch)
        db.execute(
            "DELETE FROM gap WHERE topic = ? AND epoch = ? AND from_seq = ? AND to_seq = ?",
            (*place, gap.from_seq, gap.to_seq),
        )
        for span in gone:
            whole = self._with_neighbours(db, place, span, gap.found, state, reason)
            self._add_gap(db, place, whole, gap.found, state, gap.asked, gap.asked_times, at, reason)
        for span in missing(gone, gap.from_seq, gap.to_seq):
            self._add_gap(db, place, span, gap.found, "open", gap.asked, gap.asked_times)

    @staticmethod
    def _with_neighbours(
        db: sqlite3.Connection, place: Place, span: Span, found: str, state: str, reason: str | None
    ) -> Span:
        """`span` and what ended beside it in the same way, which is taken out: a gap that is filled one message after
        the other is one row in the end."""
        taken = db.execute(
            "DELETE FROM gap WHERE topic = ? AND epoch = ? AND found = ? AND state = ? AND reason IS ? "
            "AND (to_seq = ? OR from_seq = ?) RETURNING from_seq, to_seq",
            (*place, found, state, reason, span[0] - 1, span[1] + 1),
        ).fetchall()
        return joined([span], taken)[0]

    @staticmethod
    def _add_gap(
        db: sqlite3.Connection, place: Place, span: Span, found: str, state: str, asked: str | None = None,
        asked_times: int = 0, ended: str | None = None, reason: str | None = None,
    ) -> None:  # fmt: skip
        db.execute(
            "INSERT OR REPLACE INTO gap "
            "(topic, epoch, from_seq, to_seq, found, asked, asked_times, state, ended, reason) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*place, *span, found, asked, asked_times, state, ended, reason),
        )

    @staticmethod
    def _gaps(db: sqlite3.Connection, where: str, values: tuple[str, ...] = ()) -> list[OpenGap]:
        query = "SELECT topic, epoch, from_seq, to_seq, found, asked, asked_times FROM gap WHERE "
        return [OpenGap(*row) for row in db.execute(f"{query}{where} ORDER BY topic, epoch, from_seq", values)]

    # The file

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from None

    def _migrate(self) -> None:
        known = migrations()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        (owner,) = self._db.execute("PRAGMA application_id").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if owner != APPLICATION_ID and (owner or tables):
            raise StoreError(f"{self.path}: is another program's database; give a new file")
        if version > len(known):
            raise StoreError(
                f"{self.path}: was written by a newer version (layout {version}, this one knows {len(known)})"
            )
        for number, script in enumerate(known[version:], version + 1):
            self._db.executescript(
                f"BEGIN; {script}\nPRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}; COMMIT;"
            )

    def _read_spans(self) -> dict[Place, list[Span]]:
        found: dict[Place, list[Span]] = defaultdict(list)
        for topic, epoch, first, last in self._db.execute("SELECT * FROM span ORDER BY topic, epoch, first_seq"):
            found[topic, epoch].append((first, last))
        return found


def _presence(row: Row, received: str) -> tuple[object, ...]:
    said = row.message
    site = said["site"]
    return (row.topic, site["country"], site["port"], said["source"], said["online"], row.time, received, row.body)
