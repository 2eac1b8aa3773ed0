"""The centre's database in PostgreSQL: several collectors write, partitions by month. The only file that uses psycopg.

In: batches of rows from `collect`; out: the tables of `sql/`. A batch takes its numbers first (`number`): what
another process or an earlier batch has is a repeat, the rest is written with COPY, which is the quickest way in.
Numbers are taken in one order by everybody, so that two processes wait for each other at most, and never for ever. One
process leads (an advisory lock that ends with its connection) and folds what came into spans and gaps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.string import TextLoader

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
    presences_of,
    values_of,
)

T = TypeVar("T")

_LEADER, _LAYOUT = 0x62664C, 0x62664D  # advisory locks: who looks after gaps, who changes the layout
# Where the address does not say otherwise: of several servers the one that writes, and one that is silent is left.
_CAREFUL: dict[str, Any] = {
    "connect_timeout": 10, "target_session_attrs": "read-write", "keepalives_idle": 20, "keepalives_interval": 5,
    "keepalives_count": 4, "tcp_user_timeout": 40_000,
}  # fmt: skip
_PARTITIONED = (*KIND_COLUMNS, "axle")
_COLUMNS = {kind: [*COMMON, *(column.name for column in columns)] for kind, columns in KIND_COLUMNS.items()}
_COLUMNS["axle"] = [*AXLE_KEY, *(column.name for column in AXLE_COLUMNS)]
_COPY = {table: f"COPY {table} ({', '.join(columns)}) FROM STDIN" for table, columns in _COLUMNS.items()}

_TAKE_NUMBERS = """
    INSERT INTO number SELECT * FROM unnest(%s::int[], %s::bigint[]) AS came (place_id, seq) ORDER BY place_id, seq
    ON CONFLICT DO NOTHING RETURNING place_id, seq
"""
_DROPPED = """
    UPDATE place SET dropped_until = greatest(dropped_until, last_seq)
    FROM (SELECT topic, epoch, max(seq) AS last_seq FROM {} GROUP BY topic, epoch) AS gone
    WHERE place.topic = gone.topic AND place.epoch = gone.epoch
"""


def _prepare(db: Connection[tuple[Any, ...]]) -> None:
    """Times, days and JSON come as texts, as from SQLite."""
    for name in ("timestamptz", "date", "json"):
        db.adapters.register_loader(name, TextLoader)
    db.execute("SET TIME ZONE 'UTC'")


@contextmanager
def reading(url: str) -> Iterator[Execute]:
    """Read the database while collectors write; StoreError says what the server says."""
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as db:
            _prepare(db)
            db.execute("SET default_transaction_read_only = on")
            yield lambda statement, values: db.execute(statement.replace("?", "%s"), values).fetchall()
    except psycopg.Error as error:
        raise StoreError(f"{_without_password(url)}: {' '.join(str(error).split())}") from None


class PostgresStore:
    """See the head of this file. `url` is `postgresql://…`; StoreError says what the server says."""

    def __init__(self, url: str, *, migrate: bool = True) -> None:
        self._url = url
        self._name = _without_password(url)
        self._db: Connection[tuple[Any, ...]] | None = None
        self._places: dict[Place, int] = {}
        self._months: set[str] = set()
        self._leading = False
        self._gaps = GapTable(self._execute, self._execute_many)
        if migrate:
            self._with(self._migrate)

    def write(self, rows: Sequence[Row], rejected: Sequence[Rejected], received: str) -> Written:
        counted = [row for row in rows if row.seq > 0]
        self._with(lambda db: self._make_room(db, counted))
        return self._with(lambda db: self._write(db, rows, counted, rejected, received))

    def leads(self) -> bool:
        def lead(db: Connection[tuple[Any, ...]]) -> bool:
            if not self._leading:
                self._leading = bool(_one(db, "SELECT pg_try_advisory_lock(%s)", (_LEADER,)))
            return self._leading

        return self._with(lead)

    def settle(self, at: str) -> None:
        def fold(db: Connection[tuple[Any, ...]]) -> None:
            arrived = """
                WITH came AS (DELETE FROM arrived RETURNING *)
                SELECT topic, epoch, first_seq, last_seq FROM came JOIN place USING (place_id)
            """
            came: dict[Place, list[int]] = defaultdict(list)
            with db.transaction():
                for topic, epoch, first, last in db.execute(arrived):
                    came[topic, epoch].extend(range(first, last + 1))
                held = {place: self._gaps.held(place) for place in came}
                self._gaps.arrive(held, {place: spans_of(numbers) for place, numbers in came.items()}, at)
                for query in EXPLAINED:
                    for topic, epoch, first, last, code in self._execute(query, ()):
                        self._gaps.end((topic, epoch), (first, last), "explained", code, at)

        self._with(fold)

    def audit(self, at: str) -> None:
        for kind in KIND_COLUMNS:
            self._with(lambda db, kind=kind: self._audit(db, kind, at))  # type: ignore[misc]

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._with(lambda db: self._execute(statement, values))

    def replace(self, deletes: str, which: Sequence[Any], inserts: str, rows: Iterable[Sequence[Any]]) -> None:
        def anew(db: Connection[tuple[Any, ...]]) -> None:
            with db.transaction(), db.cursor() as cursor:
                cursor.execute(deletes.replace("?", "%s"), which)
                cursor.executemany(inserts.replace("?", "%s"), rows)

        self._with(anew)

    def open_gaps(self) -> list[OpenGap]:
        return self._with(lambda db: self._gaps.open())

    def asked(self, gaps: Iterable[OpenGap], at: str) -> None:
        def note(db: Connection[tuple[Any, ...]]) -> None:
            with db.transaction():
                self._gaps.asked(gaps, at)

        self._with(note)

    def close_gaps(self, place: Place, span: Span, state: str, reason: str, at: str) -> int:
        def end(db: Connection[tuple[Any, ...]]) -> int:
            with db.transaction():
                return self._gaps.end(place, span, state, reason, at)

        return self._with(end)

    def drop_before(self, month: str) -> list[str]:
        """Remove the partitions of the months before `month` (`2026-11`); numbers stay, so that nothing comes again."""

        def drop(db: Connection[tuple[Any, ...]]) -> list[str]:
            gone = []
            for (name,) in db.execute(
                "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = ANY(%s::regclass[])",
                (list(_PARTITIONED),),
            ).fetchall():
                if name[-7:].replace("_", "-") < month:
                    with db.transaction():
                        db.execute(_DROPPED.format(name))
                        db.execute(f"DROP TABLE {name}")
                    gone.append(name)
            return sorted(gone)

        return self._with(drop)

    def beside(self) -> PostgresStore:
        """A connection of its own, which is made when it is used; it ends with the process."""
        return PostgresStore(self._url, migrate=False)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    # One batch

    def _write(
        self, db: Connection[tuple[Any, ...]], rows: Sequence[Row], counted: Sequence[Row],
        rejected: Sequence[Rejected], received: str,
    ) -> Written:  # fmt: skip
        with db.transaction(), db.cursor() as cursor:
            fresh = self._take_numbers(cursor, counted)
            for kind, of_kind in by_kind(fresh).items():
                _copy(cursor, kind, (values_of(row, received) for row in of_kind))
                if kind == "vehicle":
                    _copy(cursor, "axle", (axle for row in of_kind for axle in axles_of(row)))
            for statement, values in presences_of(rows, received):
                cursor.execute(statement.replace("?", "%s"), values)
            if rejected:
                cursor.executemany(
                    "INSERT INTO rejected (received, topic, reason, detail, body) VALUES (%s, %s, %s, %s, %s)",
                    [(received, bad.topic, bad.reason, bad.detail, bad.body) for bad in rejected],
                )
                cursor.execute("DELETE FROM rejected WHERE n <= (SELECT max(n) FROM rejected) - %s", (REJECTED_KEPT,))
        return Written(len(fresh), len(counted) - len(fresh), len(rejected))

    def _take_numbers(self, cursor: psycopg.Cursor[tuple[Any, ...]], rows: Sequence[Row]) -> list[Row]:
        """The rows whose number nobody had, each number once; and what came, for who folds it in."""
        wanted = {(self._places[row.topic, row.epoch], row.seq): row for row in rows}
        if not wanted:
            return []
        places, numbers = zip(*wanted, strict=True)
        taken = cursor.execute(_TAKE_NUMBERS, (list(places), list(numbers))).fetchall()
        by_place: dict[int, list[int]] = defaultdict(list)
        for place_id, seq in taken:
            by_place[place_id].append(seq)
        spans = [(place_id, *span) for place_id, seqs in by_place.items() for span in spans_of(seqs)]
        _copy(cursor, "arrived", spans)
        return [wanted[place_id, seq] for place_id, seq in taken]

    def _make_room(self, db: Connection[tuple[Any, ...]], rows: Sequence[Row]) -> None:
        """Places and partitions that the rows need, in transactions of their own."""
        new = sorted({(row.topic, row.epoch, row.kind) for row in rows if (row.topic, row.epoch) not in self._places})
        if new:
            with db.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO place (topic, epoch, kind) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", new
                )
                query = "SELECT topic, epoch, place_id FROM place WHERE topic = ANY(%s)"
                for topic, epoch, place_id in cursor.execute(query, ([topic for topic, _, _ in new],)):
                    self._places[topic, epoch] = place_id
        for month in sorted({row.time[:7] for row in rows} - self._months):
            self._make_partitions(db, month)
            self._months.add(month)

    @staticmethod
    def _make_partitions(db: Connection[tuple[Any, ...]], month: str) -> None:
        year, number = int(month[:4]), int(month[5:])
        until = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
        with db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_LAYOUT,))
            for table in _PARTITIONED:
                name = f"{table}_{month.replace('-', '_')}"
                statement = (
                    f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ('{month}-01 00:00Z') "
                )
                db.execute(f"{statement}TO ('{until:%Y-%m-%d} 00:00Z')")

    def _audit(self, db: Connection[tuple[Any, ...]], kind: str, at: str) -> None:
        for place_id, topic, epoch in _short(db, kind):
            self._reopen(db, kind, place_id, (topic, epoch), at)

    def _reopen(self, db: Connection[tuple[Any, ...]], kind: str, place_id: int, place: Place, at: str) -> None:
        """Rows are gone from the table of `kind`: their numbers are free again, and missing."""
        with db.transaction():
            gone = db.execute(
                "DELETE FROM number USING place WHERE number.place_id = %s AND place.place_id = number.place_id "
                "AND seq > dropped_until AND NOT EXISTS "
                f"(SELECT FROM {kind} WHERE topic = %s AND epoch = %s AND seq = number.seq) RETURNING seq",
                (place_id, *place),
            ).fetchall()
            if kind == "vehicle":
                query = "DELETE FROM axle WHERE topic = %s AND epoch = %s AND seq = ANY(%s)"
                db.execute(query, (*place, [seq for (seq,) in gone]))
            # in this order: what another process brings meanwhile stays in `arrived`
            db.execute("DELETE FROM arrived WHERE place_id = %s", (place_id,))
            here = spans_of(n for (n,) in db.execute("SELECT seq FROM number WHERE place_id = %s", (place_id,)))
            held = self._gaps.held(place)
            if here:
                held = self._gaps.arrive({place: held}, {place: here}, at)[place]
            self._gaps.reopen(place, held, here, at)

    # The connection

    def _execute(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        assert self._db is not None
        cursor = self._db.execute(statement.replace("?", "%s"), values)
        return cursor.fetchall() if cursor.description else []

    def _execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        assert self._db is not None
        if rows:
            with self._db.cursor() as cursor:
                cursor.executemany(statement.replace("?", "%s"), rows)

    def _with(self, work: Callable[[Connection[tuple[Any, ...]]], T]) -> T:
        """Do something with the connection, which is made anew after it broke; what was not committed was not done."""
        try:
            if self._db is None or self._db.closed:
                self._leading = False
                self._db = psycopg.connect(**_CAREFUL | conninfo_to_dict(self._url), autocommit=True)
                _prepare(self._db)
                self._db.execute("SET synchronous_commit = on")
            return work(self._db)
        except psycopg.Error as error:
            self._months.clear()  # a partition may have gone, with an old month or by somebody's hand
            self._places.clear()
            if self._db is not None and (self._db.broken or self._db.info.transaction_status != 0):
                with suppress(psycopg.Error):
                    self._db.close()
            text = " ".join(str(error).split())
            raise StoreError(f"{self._name}: {text}") from None

    def _migrate(self, db: Connection[tuple[Any, ...]]) -> None:
        known = migrations("postgres")
        with db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_LAYOUT,))
            db.execute(
                "CREATE TABLE IF NOT EXISTS layout (number INTEGER PRIMARY KEY, at TIMESTAMPTZ NOT NULL DEFAULT now())"
            )
            version = _one(db, "SELECT coalesce(max(number), 0) FROM layout")
            if version > len(known):
                raise StoreError(
                    f"{self._name}: was written by a newer version (layout {version}, this one knows {len(known)})"
                )
            for number, script in enumerate(known[version:], version + 1):
                db.execute(script)
                db.execute("INSERT INTO layout (number) VALUES (%s)", (number,))


@contextmanager
def _copying(cursor: psycopg.Cursor[tuple[Any, ...]], statement: str) -> Iterator[psycopg.Copy]:
    with cursor.copy(statement) as copy:
        yield copy


def _copy(cursor: psycopg.Cursor[tuple[Any, ...]], table: str, rows: Iterable[Sequence[Any]]) -> None:
    with _copying(cursor, _COPY.get(table, f"COPY {table} FROM STDIN")) as copy:
        for row in rows:
            copy.write_row(row)


def _short(db: Connection[tuple[Any, ...]], kind: str) -> list[tuple[Any, ...]]:
    """Places with fewer rows than numbers, of those that no old month took away."""
    query = f"""
        SELECT place.place_id, place.topic, place.epoch FROM place
            JOIN number ON number.place_id = place.place_id AND number.seq > dropped_until
            LEFT JOIN {kind} AS row ON row.topic = place.topic AND row.epoch = place.epoch AND row.seq = number.seq
        WHERE kind = '{kind}' GROUP BY place.place_id HAVING count(row.seq) < count(*)
    """
    return db.execute(query).fetchall()


def _one(db: Connection[tuple[Any, ...]], query: str, values: Sequence[Any] = ()) -> Any:
    row = db.execute(query, values).fetchone()
    return row[0] if row else None


def _without_password(url: str) -> str:
    """The address for a text: without the password that it may hold."""
    head, at, tail = url.rpartition("@")
    if not at:
        return url
    scheme, _, user = head.partition("://")
    return f"{scheme}://{user.partition(':')[0]}@{tail}"
