"""The journal: an append-only SQLite log of all messages, with a cursor for each collector.

In: messages from the lanes (`append`) and acknowledgements from `edge.delivery.publisher`. Out: entries with id,
epoch and seq, as the bytes that go onto the wire. A message counts as made when it is here: `append` returns when
the entries are durable (WAL, synchronous=FULL: one fsync for each call). This is the only file that touches SQLite.

Threads: every method may be called from any thread. `append`, `flush` and `maintain` wait for the disk (call them
in a thread where that matters); `next`, `acknowledge`, `backlog` and `replay` never wait for a writer, they read on
a connection of their own. The callback is called without any lock held, in the thread that met the event.

Bounds: the file keeps below `max_bytes`. Above half of it what every collector has acknowledged goes (by kind as in
`DROP_ORDER`, oldest first); above nine tenths unacknowledged messages go, in the same order. Each loss is stored in
`losses`, in the transaction that makes it, and explained by a message of its own (`explain`), again where that message
was dropped too. Acknowledged messages stay for `retention_s`, so that a collector can ask for them again.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from edge.delivery.cursor import Cursor, Span
from edge.delivery.entry import AlarmSink, Entry, Loss, Pending, Severity, joined, uuid7, uuid_text
from edge.delivery.evidence import chain_next, chain_start
from edge.messages import KINDS, Message, encode, kind_of, stamped, topic_of

log = logging.getLogger("journal")

# what goes first when the disk is full
DROP_ORDER = ("status", "flow", "sighting", "identifier", "alarm", "wait", "evidence", "vehicle")
RETENTION_S = 30 * 86_400.0
MIN_BYTES = 1_000_000
APPLICATION_ID = 0x42464C57
_PAGE = 4096
_PREFETCH = 64  # entries of one kind read at once for one collector
_SHORT_OUTAGE = 500  # up to so many pending messages are caught up in order, before new ones
_OLDEST = "SELECT time_ns FROM log WHERE kind = ? AND n > ? ORDER BY n LIMIT 1"
_SLICE = 500  # rows deleted at once
_CHECK_SYNC_BYTES = 256_000_000  # a larger file is checked in a thread, work goes on meanwhile
_SALVAGE_S = 60.0  # so long at most a damaged file is read before work goes on
_FLUSH_AFTER = 2000  # acknowledgements that are kept in memory at most; losing them only repeats messages

MIGRATIONS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE topics (
        topic_id INTEGER PRIMARY KEY, topic TEXT NOT NULL, epoch TEXT NOT NULL, kind TEXT NOT NULL,
        seq INTEGER NOT NULL, link BLOB NOT NULL, UNIQUE (topic, epoch)
    );
    CREATE TABLE log (
        n INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, topic_id INTEGER NOT NULL, seq INTEGER NOT NULL,
        id BLOB NOT NULL, time_ns INTEGER NOT NULL, body BLOB NOT NULL
    );
    CREATE INDEX log_kind ON log (kind);
    CREATE UNIQUE INDEX log_seq ON log (topic_id, seq);
    CREATE TABLE spans (
        collector TEXT NOT NULL, kind TEXT NOT NULL, start INTEGER NOT NULL, done INTEGER NOT NULL, "end" INTEGER,
        PRIMARY KEY (collector, kind, start)
    ) WITHOUT ROWID;
    CREATE TABLE losses (
        loss_id INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, topic_id INTEGER NOT NULL,
        from_seq INTEGER NOT NULL, to_seq INTEGER NOT NULL, messages INTEGER NOT NULL
    );
    """,
    # The head of the hash chain before each message, so that it can be told around a loss; null in what is older.
    """
    ALTER TABLE log ADD COLUMN link BLOB;
    ALTER TABLE losses ADD COLUMN before BLOB;
    ALTER TABLE losses ADD COLUMN after BLOB;
    """,
)
_ROW = "n, kind, topic_id, seq, id, time_ns, body"


class JournalError(Exception):
    """The journal cannot do what was asked; the text names the file and what to do. Nothing was appended."""


@dataclass(slots=True)
class _Topic:
    topic_id: int
    kind: str
    seq: int  # the last one given
    link: bytes  # head of the hash chain


@dataclass(slots=True)
class _Reader:
    """One collector: a cursor for each kind of its share, and prefetched entries."""

    cursors: dict[str, Cursor]
    live: deque[Entry] = field(default_factory=deque)
    late: deque[Entry] = field(default_factory=deque)
    dirty: bool = False


def _ignore(code: str, state: str, severity: str, text: str) -> None:
    pass


class Journal:
    """See the head of this file. `path` is the database file; `clock` gives ns UTC, `random` that many bytes."""

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        clock: Callable[[], int],
        *,
        random: Callable[[int], bytes] = os.urandom,
        retention_s: float = RETENTION_S,
        on_alarm: AlarmSink = _ignore,
        explain: Callable[[Loss], Message] | None = None,
    ) -> None:
        self.path = path
        self.max_bytes = max(max_bytes, MIN_BYTES)
        self.epoch = ""
        self._clock = clock
        self._random = random
        self._retention_ns = int(retention_s * 1e9)
        self._on_alarm = on_alarm
        self._explain = explain  # the message that tells collectors of a loss; made in the thread that appends
        self._unexplained = False
        self._write = threading.RLock()  # held while the writing connection is in use, over the fsync
        self._state = threading.RLock()  # held shortly: cursors, head, the reading connection
        self._readers: dict[str, _Reader] = {}
        self._topics: dict[str, _Topic] = {}
        self._topic_names: dict[int, tuple[str, str]] = {}  # topic_id -> topic, epoch
        self._mark_path = path.with_name(path.name + ".mark")
        self._mark: int | None = None
        self._last: dict[str, int] = {}  # kind -> n of its newest entry
        self._head = 0
        self._appended = 0  # since the last look at the size
        self._unflushed = 0
        self._listeners: list[Callable[[], None]] = []
        self._alarms: list[tuple[str, Literal["begin", "end"], Severity, str]] = []
        self._lock_file = self._take_lock()
        try:
            self._open()
        except BaseException:
            self._lock_file.close()
            raise
        self._report()

    # Opening

    def _take_lock(self) -> IO[bytes]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = open(self.path.with_name(self.path.name + ".lock"), "wb")  # noqa: SIM115 - held until close()
        except OSError as error:
            raise JournalError(
                f"{self.path.parent}: cannot be written ({error.strerror}); check [store] path"
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise JournalError(f"{self.path}: another borderflow uses this journal; stop it first") from None
        return file

    def _open(self) -> None:
        try:
            self._connect()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise JournalError(f"{self.path}: cannot be opened ({error}); check the disk and its rights") from None
            self._replace(str(error))

    def _connect(self) -> None:
        """Open, check, migrate, load; DatabaseError where the file is damaged or no journal."""
        self._db = self._connection(self.path)
        try:
            (owner,) = self._db.execute("PRAGMA application_id").fetchone()
            (objects,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if owner != APPLICATION_ID and (owner != 0 or objects):
                raise _Damaged("the file is not a journal of borderflow")
            if self.path.stat().st_size <= _CHECK_SYNC_BYTES:
                self._quick_check(self._db)
            else:
                threading.Thread(target=self._check_later, name="journal check", daemon=True).start()
            self._migrate()
            self._db.execute(f"PRAGMA max_page_count = {self.max_bytes // _PAGE}")
            self._load()
            self._reader_db = self._connection(self.path)
            self._reader_db.execute("PRAGMA query_only = ON")
        except BaseException:
            self._db.close()
            raise

    @staticmethod
    def _connection(path: Path) -> sqlite3.Connection:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
        try:
            for pragma in (
                f"page_size = {_PAGE}",
                "journal_mode = WAL",
                "synchronous = FULL",
                "wal_autocheckpoint = 500",
                "journal_size_limit = 4194304",
                "temp_store = MEMORY",
            ):
                db.execute(f"PRAGMA {pragma}").fetchall()
        except BaseException:
            db.close()
            raise
        return db

    @staticmethod
    def _quick_check(db: sqlite3.Connection) -> None:
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise _Damaged(verdict)

    def _check_later(self) -> None:
        db: sqlite3.Connection | None = None
        try:
            db = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=5.0)
            self._quick_check(db)
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                self._start_anew(str(error), self.epoch)
        finally:
            if db is not None:
                db.close()

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise JournalError(
                f"{self.path}: was written by a newer borderflow (layout {version}, this one knows {len(MIGRATIONS)}); "
                "install that version again or move the file away"
            )
        for number in range(version, len(MIGRATIONS)):
            self._db.executescript(
                f"BEGIN IMMEDIATE; {MIGRATIONS[number]}; PRAGMA application_id = {APPLICATION_ID}; "
                f"PRAGMA user_version = {number + 1}; COMMIT;"
            )

    def _load(self) -> None:
        row = self._db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        self.epoch = row[0] if row else ""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'log'").fetchone()
        self._head = row[0] if row else 0
        marked = self._read_mark()
        if not self.epoch or (marked[0] == self.epoch and marked[1] > self._head):
            if self.epoch:
                self._alarm(
                    "journal_shortened",
                    f"{self.path} has lost its end ({marked[1] - self._head} messages): a new epoch begins, "
                    "what is left is delivered",
                )
            self.epoch = f"{self._clock() // 1_000_000:012x}{self._random(2).hex()}"
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('epoch', ?)", (self.epoch,))
            if marked[1] > self._head:  # an acknowledgement still under way must not hit a new entry
                self._head = marked[1]
                self._db.execute("DELETE FROM sqlite_sequence WHERE name = 'log'")
                self._db.execute("INSERT INTO sqlite_sequence VALUES ('log', ?)", (self._head,))
        rows = self._db.execute("SELECT topic_id, topic, epoch, kind, seq, link FROM topics").fetchall()
        self._topic_names = {topic_id: (topic, epoch) for topic_id, topic, epoch, *_ in rows}
        self._topics = {topic: _Topic(topic_id, *rest) for topic_id, topic, epoch, *rest in rows if epoch == self.epoch}
        self._last = {
            kind: self._db.execute("SELECT max(n) FROM log WHERE kind = ?", (kind,)).fetchone()[0] or 0
            for kind in KINDS
        }
        (last,) = self._db.execute("SELECT coalesce(max(loss_id), 0) FROM losses").fetchone()
        self._unexplained = last > self._explained_until()
        self._write_mark()

    def _explained_until(self) -> int:
        """The last loss that a message in the log explains."""
        row = self._db.execute("SELECT value FROM meta WHERE key = 'explained'").fetchone()
        return int(row[0]) if row else 0

    def _read_mark(self) -> tuple[str, int]:
        """Epoch and head as they were after the last append, from a file beside: shows where the log lost its end."""
        try:
            epoch, head = self._mark_path.read_text(encoding="ascii").split()
            return epoch, int(head)
        except (OSError, ValueError):
            return "", 0

    def _write_mark(self) -> None:
        """Not forced to the disk: a mark that is too old tells nothing, and nothing wrong."""
        with suppress(OSError):
            if self._mark is None:
                self._mark = os.open(self._mark_path, os.O_WRONLY | os.O_CREAT, 0o600)
            os.pwrite(self._mark, f"{self.epoch} {self._head:020d}\n".encode(), 0)

    def _replace(self, why: str) -> None:
        """Rename the damaged file, begin a new one, and carry over what can still be read."""
        name = f"{self.path.name}.bad-{self._clock() // 1_000_000_000}"
        try:
            for ending in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + ending).rename(self.path.with_name(name + ending))
            self._connect()
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"{self.path}: cannot be made anew ({error}); check the disk") from None
        saved = self._salvage(self.path.with_name(name))
        self._alarm(
            "journal_corrupt",
            f"{self.path} is damaged ({why}); it was set aside as {name}, a new epoch begins; "
            f"{saved} messages could be read from it and are delivered",
        )

    def _salvage(self, path: Path) -> int:
        """Copy what a damaged file still gives: entries with their old epoch and seq, and the cursors."""
        old = sqlite3.connect(path, isolation_level=None)
        saved = 0
        until = time.monotonic() + _SALVAGE_S
        try:
            for pragma in ("writable_schema = ON", "cell_size_check = ON", "query_only = ON"):  # first: reads cut files
                old.execute(f"PRAGMA {pragma}")
            topics = {row[0]: row for row in _readable(old, "SELECT * FROM topics", 6)}
            spans = _readable(old, "SELECT * FROM spans", 5)
            with self._transaction() as db:
                db.executemany("INSERT OR IGNORE INTO topics VALUES (?, ?, ?, ?, ?, ?)", topics.values())
                db.executemany("INSERT OR IGNORE INTO spans VALUES (?, ?, ?, ?, ?)", spans)
                db.execute("INSERT OR REPLACE INTO meta VALUES ('salvaged', '1')")
            after = min((done for _, _, _, done, _ in spans), default=0)
            while time.monotonic() < until and (rows := _readable_after(old, after)):
                after = rows[-1][0]
                good = [row for row in rows if _is_sound(row, topics)]
                with self._transaction() as db:
                    db.executemany(f"INSERT OR IGNORE INTO log ({_ROW}) VALUES (?, ?, ?, ?, ?, ?, ?)", good)
                saved += len(good)
        except (sqlite3.Error, TypeError):  # a damaged table may hold anything
            log.exception("%s: the rest cannot be read", path)
        finally:
            old.close()
        self._load()
        return saved

    def _start_anew(self, why: str, epoch: str) -> None:
        """Damage met while running: go on in a new file, with the same collectors."""
        with self._write, self._state:
            if self.epoch != epoch:
                return  # another thread was first
            self._write_mark()
            shares = {name: tuple(reader.cursors) for name, reader in self._readers.items()}
            with suppress(JournalError):
                self.flush()
            self._db.close()
            self._reader_db.close()
            self._replace(why)
            self._readers.clear()
            for name, kinds in shares.items():
                self.register(name, kinds)
        self._report()

    def _alarm(self, code: str, text: str) -> None:
        self._alarms.append((code, "begin", "critical", text))

    def close(self) -> None:
        """Store what is in memory and let go of the file."""
        with suppress(JournalError):
            self.flush()
        with self._write, self._state:
            self._reader_db.close()
            self._db.close()
            if self._mark is not None:
                os.close(self._mark)
                self._mark = None
        self._lock_file.close()

    # Writing

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction; what is in memory must be changed after it only."""
        with self._write:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    def append(self, messages: Sequence[Message]) -> list[Entry]:
        """Give the messages id, epoch and seq and store them: all durable on return, none on JournalError."""
        if not messages:
            return []
        try:
            try:
                entries = self._append(messages)
            except sqlite3.DatabaseError as error:
                if _is_damage(error):
                    self._start_anew(str(error), self.epoch)
                elif _code(error) == sqlite3.SQLITE_FULL:
                    self._relieve()
                else:
                    raise
                entries = self._append(messages)
        except sqlite3.Error as error:
            self._report()
            raise JournalError(f"{self.path}: cannot be written ({error}); check the disk") from None
        for listener in self._listeners:
            listener()
        if self._appended >= 200 or self._unflushed >= _FLUSH_AFTER or self._alarms:
            with suppress(JournalError):  # the messages are stored; the next append meets the trouble again
                self.maintain()
        if self._unexplained and self._explain is not None:
            self._explain_losses(self._explain)
        return entries

    def _explain_losses(self, explain: Callable[[Loss], Message]) -> None:
        """Append a message for each run of lost ones; with them, in one transaction, that they are told."""
        with suppress(sqlite3.Error), self._write:  # on a full disk: told with the next message that finds room
            rows = self._db.execute(
                "SELECT loss_id, losses.time_ns, topic, epoch, from_seq, to_seq, messages, before, after "
                "FROM losses JOIN topics USING (topic_id) WHERE loss_id > ? ORDER BY topic_id, from_seq",
                (self._explained_until(),),
            ).fetchall()
            if rows:
                losses = joined(Loss(*row[1:]) for row in rows)
                self._append([explain(loss) for loss in losses], explained=max(row[0] for row in rows))
            self._unexplained = False
        for listener in self._listeners:
            listener()

    def _append(self, messages: Sequence[Message], explained: int | None = None) -> list[Entry]:
        with self._write:
            touched: dict[str, _Topic] = {}
            entries: list[Entry] = []
            links: list[bytes] = []
            n = self._head
            for message in messages:
                topic = topic_of(message)
                state = touched.get(topic)
                if state is None:
                    state = touched[topic] = self._topic(topic, kind_of(message))
                n += 1
                state.seq += 1
                time_ns = self._clock()
                id = uuid7(time_ns, self._random(8))
                body = encode(stamped(message, id=id, epoch=self.epoch, seq=state.seq))
                links.append(state.link)
                state.link = chain_next(state.link, body)
                entries.append(Entry(n, state.kind, topic, self.epoch, state.seq, id, time_ns, body))
            with self._transaction() as db:
                db.executemany(
                    "INSERT INTO topics VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (topic_id) "
                    "DO UPDATE SET seq = excluded.seq, link = excluded.link",
                    [
                        (item.topic_id, topic, self.epoch, item.kind, item.seq, item.link)
                        for topic, item in touched.items()
                    ],
                )
                db.executemany(
                    f"INSERT INTO log ({_ROW}, link) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (e.n, e.kind, touched[e.topic].topic_id, e.seq, bytes.fromhex(e.id.replace("-", "")),
                         e.time_ns, e.body, link)
                        for e, link in zip(entries, links, strict=True)
                    ],
                )  # fmt: skip
                if explained is not None:
                    db.execute("INSERT OR REPLACE INTO meta VALUES ('explained', ?)", (str(explained),))
            with self._state:
                self._topics.update(touched)
                self._head = n
                self._write_mark()
                for entry in entries:
                    self._last[entry.kind] = entry.n
                    for reader in self._readers.values():
                        cursor = reader.cursors.get(entry.kind)
                        if cursor is not None:
                            cursor.pending += 1
            self._appended += len(entries)
            return entries

    def _topic(self, topic: str, kind: str) -> _Topic:
        """A copy of the state of a topic, to be put back after the commit."""
        known = self._topics.get(topic)
        if known is None:
            topic_id = max(self._topic_names, default=0) + 1
            self._topic_names[topic_id] = (topic, self.epoch)
            return _Topic(topic_id, kind, 0, chain_start(topic, self.epoch))
        return _Topic(known.topic_id, known.kind, known.seq, known.link)

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after every append, in the thread that appended; the answer takes it off again."""
        self._listeners = [*self._listeners, listener]

        def stop() -> None:
            self._listeners = [item for item in self._listeners if item is not listener]

        return stop

    # Collectors

    def register(self, collector: str, kinds: Iterable[str]) -> None:
        """A collector and its share; it goes on where it was, a new one begins with what comes from now on."""
        kinds = [kind for kind in KINDS if kind in set(kinds)]
        with self._write, self._state:
            cursors: dict[str, Cursor] = {}
            salvaged = self._db.execute("SELECT value FROM meta WHERE key = 'salvaged'").fetchone()
            start = 0 if salvaged else self._head  # of salvaged entries nobody knows who has them
            for kind in kinds:
                rows = self._db.execute(
                    'SELECT start, done, "end" FROM spans WHERE collector = ? AND kind = ? ORDER BY start',
                    (collector, kind),
                ).fetchall()
                cursor = Cursor([Span(*row) for row in rows]) if rows else Cursor.beginning_at(start)
                if cursor.live.end is not None:
                    cursor.spans.append(Span(cursor.live.end, cursor.live.end))
                self._count(kind, cursor, self._db)
                cursors[kind] = cursor
            self._readers[collector] = _Reader(cursors, dirty=True)
        self.flush()

    def _count(self, kind: str, cursor: Cursor, db: sqlite3.Connection) -> None:
        cursor.pending = -sum(len(span.early) for span in cursor.spans)
        for span in cursor.spans:
            cursor.pending += db.execute(
                "SELECT count(*) FROM log WHERE kind = ? AND n > ? AND n <= ?",
                (kind, span.done, span.limit(self._head)),
            ).fetchone()[0]

    def resume(self, collector: str) -> None:
        """A connection begins: hand out again what is not acknowledged; after a long outage new messages go first."""
        with self._state:
            reader = self._readers[collector]
            for kind in reader.cursors:
                self.rewind(collector, kind)
            live = sum(self._live_pending(kind, cursor) for kind, cursor in reader.cursors.items())
            if live > _SHORT_OUTAGE:
                for kind, cursor in reader.cursors.items():
                    if cursor.split(self._head):
                        self._count(kind, cursor, self._reader_db)
                reader.dirty = True

    def rewind(self, collector: str, kind: str) -> None:
        """Hand out again what is not acknowledged of one kind."""
        with self._state:
            reader = self._readers[collector]
            reader.live = deque(entry for entry in reader.live if entry.kind != kind)
            reader.late = deque(entry for entry in reader.late if entry.kind != kind)
            reader.cursors[kind].rewind()

    def _live_pending(self, kind: str, cursor: Cursor) -> int:
        if len(cursor.spans) == 1:
            return cursor.pending
        rows = self._read(
            "SELECT n FROM log WHERE kind = ? AND n > ? LIMIT ?", (kind, cursor.live.done, _SHORT_OUTAGE + 1)
        )
        return len(rows)

    def next(
        self, collector: str, limit: int, late_limit: int | None = None, without: Collection[str] = ()
    ) -> list[Entry]:
        """Up to `limit` entries not handed out since `resume`: live ones first, then at most `late_limit` late ones.

        Kinds in `without` stay where they are.
        """
        with self._state:
            reader = self._readers[collector]
            found = self._take(reader, limit, without, late=False)
            room = limit - len(found)
            if late_limit is not None:
                room = min(room, late_limit)
            if room > 0:
                found += self._take(reader, room, without, late=True)
            return found

    def _take(self, reader: _Reader, limit: int, without: Collection[str], *, late: bool) -> list[Entry]:
        buffer = reader.late if late else reader.live
        if len(buffer) < limit:
            fresh: list[Entry] = []
            for kind, cursor in reader.cursors.items():
                if kind not in without:
                    span = self._late_span(cursor) if late else cursor.live
                    if span is not None and (late or span.fetched < self._last[kind]):
                        fresh += self._fetch(kind, span, late)
                        cursor.sweep()
            fresh.sort(key=attrgetter("n"))
            buffer.extend(fresh)
        return [buffer.popleft() for _ in range(min(limit, len(buffer)))]

    @staticmethod
    def _late_span(cursor: Cursor) -> Span | None:
        """The oldest closed span that still has something to hand out."""
        return next((span for span in cursor.spans[:-1] if span.fetched < span.limit(0)), None)

    def _fetch(self, kind: str, span: Span, late: bool) -> list[Entry]:
        limit = span.limit(self._head)
        rows = self._read(
            "SELECT n, topic_id, seq, id, time_ns, body FROM log WHERE kind = ? AND n > ? AND n <= ? "
            "ORDER BY n LIMIT ?",
            (kind, span.fetched, limit, _PREFETCH),
        )
        span.fetch((row[0] for row in rows), rows[-1][0] if len(rows) == _PREFETCH else limit)
        return [self._entry(kind, row, late) for row in rows if row[0] not in span.early and row[0] > span.done]

    def _entry(self, kind: str, row: tuple[int, int, int, bytes, int, bytes], late: bool) -> Entry:
        n, topic_id, seq, id, time_ns, body = row
        topic, epoch = self._topic_names[topic_id]
        return Entry(n, kind, topic, epoch, seq, uuid_text(id), time_ns, body, late)

    def _read(self, sql: str, values: tuple[object, ...]) -> list[Any]:
        try:
            return self._reader_db.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            if _is_damage(error):  # in a thread, because `_write` is never taken while `_state` is held
                threading.Thread(target=self._start_anew, args=(str(error), self.epoch), name="journal anew").start()
            raise JournalError(f"{self.path}: cannot be read ({error})") from None

    def acknowledge(self, collector: str, entry: Entry) -> bool:
        """The collector's broker has it (PUBACK with a success code); in any order. False where that was known."""
        with self._state:
            reader = self._readers[collector]
            cursor = reader.cursors.get(entry.kind)
            if cursor is None or not cursor.acknowledge(entry.n):
                return False
            reader.dirty = True
            self._unflushed += 1
            return True

    def backlog(self, collector: str) -> Pending:
        """How much a collector has not acknowledged, and the age of the oldest."""
        with self._state:
            reader = self._readers[collector]
            count = 0
            oldest: list[int] = []
            for kind, cursor in reader.cursors.items():
                count += cursor.pending
                if cursor.pending > 0:
                    with suppress(JournalError):  # the number is known all the same
                        oldest += [row[0] for row in self._read(_OLDEST, (kind, cursor.done))]
            return Pending(count, min(oldest, default=None))

    def is_newest(self, entry: Entry) -> bool:
        """Whether its topic has no later message: only that one may be retained by a broker."""
        with self._state:
            known = self._topics.get(entry.topic)
            return known is not None and known.seq == entry.seq and entry.epoch == self.epoch

    def replay(self, topic: str, epoch: str, from_seq: int, to_seq: int, limit: int = 100) -> list[Entry]:
        """What the journal still holds of a topic between two seq (both included), oldest first, at most `limit`."""
        with self._state:
            wanted = (topic, epoch)
            topic_id = next((key for key, value in self._topic_names.items() if value == wanted), None)
            if topic_id is None:
                return []
            rows = self._read(
                "SELECT n, topic_id, seq, id, time_ns, body FROM log WHERE topic_id = ? AND seq >= ? AND seq <= ? "
                "ORDER BY seq LIMIT ?",
                (topic_id, max(from_seq, 0), min(to_seq, 1 << 62), limit),
            )
            return [self._entry(topic.rsplit("/", 1)[1], row, True) for row in rows]

    # Keeping house

    def flush(self) -> None:
        """Store the cursors; what is not stored is sent again after a crash."""
        with self._write:
            with self._state:
                changed = {name: reader for name, reader in self._readers.items() if reader.dirty}
                rows = [
                    (name, kind, span.start, span.done, span.end)
                    for name, reader in changed.items()
                    for kind, cursor in reader.cursors.items()
                    for span in cursor.spans
                ]
                kinds = [(name, kind) for name, reader in changed.items() for kind in reader.cursors]
                for reader in changed.values():
                    reader.dirty = False
                self._unflushed = 0
            if not rows:
                return
            try:
                with self._transaction() as db:
                    db.executemany("DELETE FROM spans WHERE collector = ? AND kind = ?", kinds)
                    db.executemany("INSERT INTO spans VALUES (?, ?, ?, ?, ?)", rows)
            except sqlite3.Error as error:
                for reader in changed.values():
                    reader.dirty = True
                raise JournalError(f"{self.path}: cursors cannot be stored ({error}); check the disk") from None

    def maintain(self) -> None:
        """Store the cursors and keep the bounds; called by `append` now and then, and by the daemon once a minute."""
        with suppress(JournalError):
            self.flush()
        try:
            with self._write:
                self._appended = 0
                used = self._used_bytes()
                if used > self.max_bytes * 9 // 10:
                    self._make_room(self.max_bytes * 17 // 20)
                elif used > self.max_bytes // 2:
                    self._forget_acknowledged(self.max_bytes * 9 // 20)
                self._forget_old()
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: old messages cannot be removed ({error}); check the disk") from None
        self._report()

    def _used_bytes(self) -> int:
        """In whole pages: what is deleted between messages that stay may free none."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free) * _PAGE

    def _floor(self, kind: str) -> int:
        """Everything of a kind up to here is acknowledged by all who get it."""
        with self._state:
            cursors = [reader.cursors[kind] for reader in self._readers.values() if kind in reader.cursors]
            return min((cursor.done for cursor in cursors), default=self._head)

    def _forget_old(self) -> None:
        """Acknowledged entries beyond the retention time, a slice of each kind: a leap of the clock costs little."""
        before_ns = self._clock() - self._retention_ns
        for kind in DROP_ORDER:
            rows = self._db.execute(
                "SELECT n, time_ns FROM log WHERE kind = ? AND n <= ? ORDER BY n LIMIT ?",
                (kind, self._floor(kind), _SLICE),
            ).fetchall()
            old = [n for n, time_ns in rows if time_ns < before_ns]
            if old:
                with self._transaction() as db:
                    db.executemany("DELETE FROM log WHERE n = ?", [(n,) for n in old])
        with self._transaction() as db:
            db.execute("DELETE FROM losses WHERE time_ns < ? AND loss_id <= ?", (before_ns, self._explained_until()))

    def _forget_acknowledged(self, most_bytes: int) -> None:
        """Delete acknowledged entries until `most_bytes` are used, or all are gone."""
        for kind in DROP_ORDER:
            floor = self._floor(kind)
            while self._used_bytes() > most_bytes:
                rows = self._db.execute(
                    "SELECT n FROM log WHERE kind = ? AND n <= ? ORDER BY n LIMIT ?", (kind, floor, _SLICE)
                ).fetchall()
                if not rows:
                    break
                with self._transaction() as db:
                    db.execute("DELETE FROM log WHERE kind = ? AND n <= ?", (kind, rows[-1][0]))

    def _relieve(self) -> None:
        """A write found no room: at our own bound messages go; on a disk that others filled only what all have."""
        with self._write:
            used = self._used_bytes()
            if used > self.max_bytes * 8 // 10:
                self._make_room(used - self.max_bytes // 10)
            else:
                self._forget_acknowledged(used - MIN_BYTES)

    def _make_room(self, most_bytes: int) -> None:
        """At the bound: acknowledged entries go first, then others by `DROP_ORDER`; losses are stored and reported."""
        with self._write:
            self._forget_acknowledged(most_bytes)
            lost: dict[int, list[int]] = defaultdict(list)
            for kind in DROP_ORDER:
                while self._used_bytes() > most_bytes:
                    rows = self._db.execute(
                        "SELECT n, topic_id, seq FROM log WHERE kind = ? ORDER BY n LIMIT ?", (kind, _SLICE)
                    ).fetchall()
                    if not rows:
                        break
                    for topic_id, seqs in self._drop(kind, rows).items():
                        lost[topic_id] += seqs
            for topic_id, seqs in lost.items():
                log.critical(
                    "%s is full (%d bytes): %d messages were dropped before every collector had them: %s seq %d to %d",
                    self.path, self.max_bytes, len(seqs), self._topic_names[topic_id][0], min(seqs), max(seqs),
                )  # fmt: skip

    def _drop(self, kind: str, rows: list[tuple[int, int, int]]) -> dict[int, list[int]]:
        lost: dict[int, list[int]] = defaultdict(list)
        with self._state:
            cursors = [reader.cursors[kind] for reader in self._readers.values() if kind in reader.cursors]
            for n, topic_id, seq in rows:
                if [cursor for cursor in cursors if cursor.drop(n)]:
                    lost[topic_id].append(seq)
        now_ns = self._clock()
        losses = [
            (now_ns, key, min(seqs), max(seqs), len(seqs), self._link(key, min(seqs)), self._link(key, max(seqs) + 1))
            for key, seqs in lost.items()
        ]
        with self._transaction() as db:  # deletes first: that makes room for the rest
            db.execute("DELETE FROM log WHERE kind = ? AND n <= ?", (kind, rows[-1][0]))
            db.executemany(
                "INSERT INTO losses (time_ns, topic_id, from_seq, to_seq, messages, before, after) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                losses,
            )
            if kind == "alarm" and lost:  # what explained earlier losses may be among them: all are told again
                db.execute("DELETE FROM meta WHERE key = 'explained'")
        self._unexplained |= bool(lost)
        return lost

    def _link(self, topic_id: int, seq: int) -> bytes | None:
        """Head of the hash chain of a topic before that message, which may be the one that comes next."""
        row = self._db.execute("SELECT link FROM log WHERE topic_id = ? AND seq = ?", (topic_id, seq)).fetchone()
        if row is None:
            row = self._db.execute(
                "SELECT link FROM topics WHERE topic_id = ? AND seq = ? - 1", (topic_id, seq)
            ).fetchone()
        return None if row is None else row[0]

    def losses(self, since_ns: int = 0) -> list[Loss]:
        """What was dropped at the bound before every collector had it, oldest first."""
        with self._state:
            rows = self._reader_db.execute(
                "SELECT time_ns, topic, epoch, from_seq, to_seq, messages, before, after "
                "FROM losses JOIN topics USING (topic_id) WHERE time_ns >= ? ORDER BY loss_id",
                (since_ns,),
            ).fetchall()
        return [Loss(*row) for row in rows]

    def heads(self) -> dict[str, tuple[str, int, bytes]]:
        """Topic -> (epoch, last seq, head of its hash chain)."""
        with self._state:
            return {topic: (self.epoch, item.seq, item.link) for topic, item in self._topics.items()}

    def _report(self) -> None:
        alarms, self._alarms = self._alarms, []
        for alarm in alarms:
            self._on_alarm(*alarm)


class _Damaged(sqlite3.DatabaseError):
    """Our own finding that a file is damaged or no journal."""


def _code(error: sqlite3.Error) -> int:
    """Primary result code of SQLite."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _is_damage(error: sqlite3.Error) -> bool:
    """As against a full disk, missing rights or a lock."""
    return (
        isinstance(error, _Damaged)
        or _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        or "no such table" in str(error)
    )


def _readable(db: sqlite3.Connection, sql: str, columns: int) -> list[tuple[Any, ...]]:
    """Rows of a small table of a damaged file, up to the damage."""
    found: list[tuple[Any, ...]] = []
    with suppress(sqlite3.Error):
        for row in db.execute(sql):
            if len(row) == columns:
                found.append(row)
    return found


def _readable_after(db: sqlite3.Connection, n: int) -> list[tuple[Any, ...]]:
    """The next rows of the log of a damaged file; over damage it leaps in steps that grow, up to a bound."""
    step = 1
    while step < 1 << 40:
        for limit in (200, 1):
            with suppress(sqlite3.Error):
                rows = db.execute(f"SELECT {_ROW} FROM log WHERE n > ? ORDER BY n LIMIT ?", (n, limit)).fetchall()
                numbers = [row[0] for row in rows]
                if all(first < second for first, second in pairwise([n, *numbers])):  # damage can lead in circles
                    return rows
        n += step
        step *= 2
    return []


def _is_sound(row: tuple[Any, ...], topics: dict[Any, tuple[Any, ...]]) -> bool:
    """Whether a row of a damaged file is the message that it says it is."""
    try:
        _, kind, topic_id, seq, id, time_ns, body = row
        _, topic, epoch, *_ = topics[topic_id]
        said = msgspec.json.decode(body, type=Message)
        return (
            (said.id, said.epoch, said.seq) == (uuid_text(id), epoch, seq)
            and topic_of(said) == topic
            and kind in KINDS
            and isinstance(time_ns, int)
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, msgspec.MsgspecError):
        return False
