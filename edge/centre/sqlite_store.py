"""The centre's database as one SQLite file: one process writes, any number read meanwhile (WAL). The only file of the
centre that touches SQLite.

In: batches of rows from `collect`; out: the tables of `sql/`. A batch is one transaction with one fsync
(synchronous=FULL), so that what was acknowledged to a broker survives a power cut. Spans of numbers are kept in memory
beside the table, for one process alone writes: a lock beside the file says so to a second one. Its threads write in
turn and read on another connection.
"""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge.centre.arrival import Rejected, Row
from edge.centre.columns import AXLE_COLUMNS, AXLE_KEY, COMMON, KIND_COLUMNS
from edge.centre.gap_table import Execute, GapTable
from edge.centre.layout import migrations
from edge.centre.spans import Span, spans_of
from edge.centre.store import (
    EXPLAINED,
    REJECTED_KEPT,
    OpenGap,
    Place,
    StoreError,
    Written,
    axles_of,
    by_kind,
    numbers_by_place,
    presences_of,
    values_of,
)

APPLICATION_ID = 0x42464331


def _insert(table: str, columns: Sequence[str]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"


_INSERTS = {
    kind: _insert(kind, [*COMMON, *(column.name for column in columns)]) for kind, columns in KIND_COLUMNS.items()
}
_INSERT_AXLE = _insert("axle", [*AXLE_KEY, *(column.name for column in AXLE_COLUMNS)])


@contextmanager
def reading(path: Path) -> Iterator[Execute]:
    """Read the file while the collector writes; StoreError where it is none of ours."""
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        try:
            if db.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
                raise StoreError(f"{path}: is no database of `borderflow collect`")
            yield lambda statement, values: db.execute(statement, values).fetchall()
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}; give the file that `borderflow collect` writes") from None


class SqliteStore:
    """See the head of this file; StoreError where the file is another program's, a newer one, or in use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn, self._reading_turn = threading.RLock(), threading.Lock()
        try:
            self._lock = path.with_name(path.name + ".lock").open("a")
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written ({error.strerror}); give a file in a folder of yours"
            ) from None
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
            self._reading = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._reading.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}; give another file, or move this one away") from None
        self._gaps = GapTable(
            lambda statement, values: self._db.execute(statement, values).fetchall(),
            lambda statement, rows: self._db.executemany(statement, rows),
        )

    def write(self, rows: Sequence[Row], rejected: Sequence[Rejected], received: str) -> Written:
        counted = [row for row in rows if row.seq > 0]
        with self._turn:
            new = self._write(rows, counted, rejected, received)
        return Written(new, len(counted) - new, len(rejected))

    def _write(self, rows: Sequence[Row], counted: Sequence[Row], rejected: Sequence[Rejected], received: str) -> int:
        """How many rows were new."""
        new = 0
        with self._transaction() as db:
            for kind, of_kind in by_kind(counted).items():
                new += db.executemany(_INSERTS[kind], [values_of(row, received) for row in of_kind]).rowcount
                if kind == "vehicle":
                    db.executemany(_INSERT_AXLE, [axle for row in of_kind for axle in axles_of(row)])
            for statement, values in presences_of(rows, received):
                db.execute(statement, values)
            now = self._gaps.arrive(self._held, numbers_by_place(counted), received)
            self._refuse(db, rejected, received)
        self._held.update(now)
        return new

    def leads(self) -> bool:
        return True  # the lock beside the file lets in no other

    def settle(self, at: str) -> None:
        """What came is counted when it is written; alarms explain what is open."""
        for query in EXPLAINED:
            for topic, epoch, first, last, code in self._read(query):
                self.close_gaps((topic, epoch), (first, last), "explained", code, at)

    def audit(self, at: str) -> None:
        for kind in KIND_COLUMNS:
            with self._turn:  # first: rows that come while they are counted are no rows too few
                wanted = {
                    place: sum(last - first + 1 for first, last in spans)
                    for place, spans in self._held.items()
                    if place[0].endswith(f"/{kind}")
                }
            query = f"SELECT topic, epoch, count(*) FROM {kind} GROUP BY topic, epoch"
            rows = {(topic, epoch): count for topic, epoch, count in self._read(query)}
            for place, count in wanted.items():
                if rows.get(place, 0) < count:
                    self._reopen(kind, place, at)

    def _reopen(self, kind: str, place: Place, at: str) -> None:
        """Rows are gone from the table of `kind`: their numbers are missing."""
        with self._turn:
            with self._transaction() as db:
                query = f"SELECT seq FROM {kind} WHERE topic = ? AND epoch = ?"
                here = spans_of(n for (n,) in db.execute(query, place))
                self._gaps.reopen(place, self._held[place], here, at)
            self._held[place] = here

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._read(statement, tuple(values))

    def replace(self, deletes: str, which: Sequence[Any], inserts: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._transaction() as db:
            db.execute(deletes, tuple(which))
            db.executemany(inserts, rows)

    def open_gaps(self) -> list[OpenGap]:
        try:
            with self._turn:
                return self._gaps.open()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from None

    def asked(self, gaps: Iterable[OpenGap], at: str) -> None:
        with self._transaction():
            self._gaps.asked(gaps, at)

    def close_gaps(self, place: Place, span: Span, state: str, reason: str, at: str) -> int:
        with self._transaction():
            return self._gaps.end(place, span, state, reason, at)

    def drop_before(self, month: str) -> list[str]:
        """SQLite has no partitions; rows of old months stay until somebody removes the file."""
        return []

    def beside(self) -> SqliteStore:
        return self

    def close(self) -> None:
        self._reading.close()
        self._db.close()
        self._lock.close()

    @staticmethod
    def _refuse(db: sqlite3.Connection, rejected: Sequence[Rejected], received: str) -> None:
        if rejected:
            db.executemany(
                "INSERT INTO rejected (received, topic, reason, detail, body) VALUES (?, ?, ?, ?, ?)",
                [(received, bad.topic, bad.reason, bad.detail, bad.body) for bad in rejected],
            )
            db.execute("DELETE FROM rejected WHERE n <= (SELECT max(n) FROM rejected) - ?", (REJECTED_KEPT,))

    # The file

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._reading_turn:
                return self._reading.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._turn:
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
        known = migrations("sqlite")
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
