"""The journal: an append-only SQLite log of all messages, with a cursor for each collector.

In: messages from the lanes (`append`) and acknowledgements from `edge.delivery.publisher`. Out: entries with id,
epoch and seq, as the bytes that go onto the wire. A message counts as made when it is here: `append` returns when
the entries are durable (WAL, synchronous=FULL: one fsync for each call). SQLite is behind `edge.delivery.store`, the
layout is in `layout`, rows and their seals in `tables`; what becomes of a damaged file in `salvage` and `rebuild`.

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
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, Literal

from edge.delivery import layout, store
from edge.delivery.cursor import Cursor, Span
from edge.delivery.entry import AlarmSink, Entry, Loss, Pending, Severity, joined, uuid7, uuid_text
from edge.delivery.evidence import chain_next, chain_start
from edge.delivery.rebuild import carry_over, store_what_is_missing
from edge.delivery.salvage import Wreck
from edge.delivery.store import PAGE, Connection, Damaged, DatabaseError, Error
from edge.delivery.tables import (
    INSERT_MESSAGE,
    LOG,
    Topic,
    explained_until,
    insert,
    insert_losses,
    is_whole,
    loss_between,
    loss_of,
    place_of,
    put_meta,
    row_of_entry,
    sealed_rows,
    store_topics,
    with_seal,
)
from edge.messages import KINDS, Message, encode, kind_of, stamped, topic_of

log = logging.getLogger("journal")

# what goes first when the disk is full
DROP_ORDER = ("status", "flow", "sighting", "identifier", "alarm", "wait", "evidence", "vehicle")
RETENTION_S = 30 * 86_400.0
MIN_BYTES = 1_000_000
_PREFETCH = 64  # entries of one kind read at once for one collector
_SHORT_OUTAGE = 500  # up to so many pending messages are caught up in order, before new ones
_OLDEST = "SELECT time_ns FROM log WHERE kind = ? AND n > ? ORDER BY n LIMIT 1"
_SLICE = 500  # rows deleted at once
_CHECK_SYNC_BYTES = 256_000_000  # a larger file is checked in a thread, work goes on meanwhile
_SALVAGE_S = 60.0  # so long at most a damaged file is read before work goes on
_FLUSH_AFTER = 2000  # acknowledgements that are kept in memory at most; losing them only repeats messages
_SET_ASIDE_MOST = 10_000  # rows that failed their seal and are kept for who wants to look


class JournalError(Exception):
    """The journal cannot do what was asked; the text names the file and what to do. Nothing was appended.

    `cause` is what a status says of it: `disk_full` or `disk`.
    """

    def __init__(self, text: str, cause: str = "disk") -> None:
        super().__init__(text)
        self.cause = cause


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
        self._topics: dict[str, Topic] = {}  # of this epoch
        self._topics_by_id: dict[int, Topic] = {}  # of all epochs
        self._failed: dict[int, str] = {}  # n -> kind of rows that failed their seal and are not set aside yet
        self._mark_path = path.with_name(path.name + ".mark")
        self._mark: int | None = None
        self._last: dict[str, int] = {}  # kind -> n of its newest entry
        self._head = 0
        self._appended = 0  # since the last look at the size
        self._unflushed = 0
        self._newest_topic_id = 0
        self.damaged = 0  # messages since the start that were changed on the disk, and set aside
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
        except layout.TooNew as newer:
            name = self._set_file_aside("newer")
            self._begin_anew()
            self._alarm(
                "journal_set_aside",
                f"{self.path} was written by a newer borderflow ({newer}); it was set aside as {name} and a new epoch "
                f"begins; what was not delivered is in there: install that version again and put {name} back",
            )
        except layout.MigrationError as error:
            raise JournalError(f"{self.path}: {error}; install the version before, and report this") from None
        except DatabaseError as error:
            if store.has_no_room(error, self.path):
                text = f"{self.path}: cannot be opened, the disk is full ({error}); make room on it"
                raise JournalError(text, "disk_full") from None
            if not store.is_damage(error, self.path):
                raise JournalError(f"{self.path}: cannot be opened ({error}); check the disk and its rights") from None
            self._replace(str(error))

    def _connect(self) -> None:
        """Open, check, migrate, load; DatabaseError where the file is damaged or no journal."""
        self._db = store.connect(self.path)
        try:
            if self.path.stat().st_size <= _CHECK_SYNC_BYTES:
                store.check(self._db)
            else:
                threading.Thread(target=self._check_later, name="journal check", daemon=True).start()
            layout.bring_up_to_date(self._db)
            self._db.execute(f"PRAGMA max_page_count = {self.max_bytes // PAGE}")
            self._load()
            self._reader_db = store.connect(self.path)
            self._reader_db.execute("PRAGMA query_only = ON")
        except BaseException:
            self._db.close()
            raise

    def _check_later(self) -> None:
        db: Connection | None = None
        try:
            db = store.connect_to_read(self.path)
            store.check(db)
        except DatabaseError as error:
            if store.is_damage(error):
                self._start_anew(str(error), self.epoch)
        finally:
            if db is not None:
                db.close()

    def _load(self) -> None:
        meta: dict[str, str] = dict(sealed_rows(self._db, "meta"))
        self._failed.clear()
        self.epoch = meta.get("epoch", "")
        (newest,) = self._db.execute("SELECT coalesce(max(n), 0) FROM log").fetchone()
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'log'").fetchone()
        self._head = max(newest, row[0] if row and isinstance(row[0], int) else 0)
        if not 0 <= self._head < 1 << 62:
            raise Damaged("the number of the last message is none")
        marked = self._read_mark()
        if not self.epoch or (marked[0] == self.epoch and marked[1] > self._head):
            if self.epoch:
                self._alarm(
                    "journal_shortened",
                    f"{self.path} has lost its end ({marked[1] - self._head} messages): a new epoch begins, "
                    "what is left is delivered",
                )
            self.epoch = f"{self._clock() // 1_000_000:012x}{self._random(2).hex()}"
            put_meta(self._db, "epoch", self.epoch)
            if marked[1] > self._head:  # an acknowledgement still under way must not hit a new entry
                self._head = marked[1]
                self._db.execute("DELETE FROM sqlite_sequence WHERE name = 'log'")
                self._db.execute("INSERT INTO sqlite_sequence VALUES ('log', ?)", (self._head,))
        topics = [Topic(*row) for row in sealed_rows(self._db, "topics")]
        self._topics_by_id = {item.topic_id: item for item in topics}
        self._topics = {item.topic: item for item in topics if item.epoch == self.epoch}
        self._last = {
            kind: self._db.execute("SELECT max(n) FROM log WHERE kind = ?", (kind,)).fetchone()[0] or 0
            for kind in KINDS
        }
        (last,) = self._db.execute("SELECT coalesce(max(loss_id), 0) FROM losses").fetchone()
        self._unexplained = last > explained_until(self._db)
        self._write_mark()

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

    def _set_file_aside(self, word: str) -> str:
        """Rename the file; gives its new name."""
        name = f"{self.path.name}.{word}-{self._clock() // 1_000_000_000}"
        try:
            for ending in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + ending).rename(self.path.with_name(name + ending))
        except OSError as error:
            raise JournalError(f"{self.path}: cannot be made anew ({error}); check the disk") from None
        return name

    def _begin_anew(self) -> None:
        try:
            self._connect()
        except (OSError, Error) as error:
            raise JournalError(f"{self.path}: cannot be made anew ({error}); check the disk") from None

    def _replace(self, why: str) -> None:
        """Rename the damaged file, begin a new one, carry over what can still be read, and store what cannot."""
        name = self._set_file_aside("bad")
        self._begin_anew()
        wreck = Wreck(self.path.with_name(name), _SALVAGE_S)
        try:
            saved = carry_over(wreck, self._transaction)
            lost = store_what_is_missing(wreck, self._transaction, self._clock())
        except Error as error:
            raise JournalError(f"{self.path}: what {name} gives cannot be stored ({error}); check the disk") from None
        self._load()
        self._alarm(
            "journal_corrupt",
            f"{self.path} is damaged ({why}); it was set aside as {name}, a new epoch begins; "
            f"{saved} messages could be read from it and are delivered, {lost} are missing between them"
            + ("" if wreck.topics else "; what it held beyond these cannot be known")
            + ("" if wreck.in_time else f"; it was read for {_SALVAGE_S:.0f} s, what came after that is in there")
            + (f"; {wreck.unreadable_losses} records of losses cannot be read" if wreck.unreadable_losses else ""),
        )

    def _start_anew(self, why: str, epoch: str) -> None:
        """Damage met while running: go on in a new file, with the same collectors."""
        with self._write, self._state:
            if self.epoch != epoch:
                return  # another thread was first
            self._write_mark()
            shares = {name: tuple(reader.cursors) for name, reader in self._readers.items()}
            with suppress(Error):
                self._store_cursors()
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
    def _transaction(self) -> Iterator[Connection]:
        """One durable transaction; what is in memory must be changed after it only."""
        with self._write:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(Error):
                    self._db.execute("ROLLBACK")
                raise

    def append(self, messages: Sequence[Message]) -> list[Entry]:
        """Give the messages id, epoch and seq and store them: all durable on return, none on JournalError."""
        if not messages:
            return []
        try:
            try:
                entries = self._append(messages)
            except DatabaseError as error:
                if store.is_damage(error):
                    self._start_anew(str(error), self.epoch)
                elif store.is_full(error):
                    self._relieve()
                else:
                    raise
                entries = self._append(messages)
        except Error as error:
            self._report()
            raise self._refusal(error) from None
        for listener in self._listeners:
            listener()
        if self._appended >= 200 or self._unflushed >= _FLUSH_AFTER or self._alarms:
            with suppress(JournalError):  # the messages are stored; the next append meets the trouble again
                self.maintain()
        if self._unexplained and self._explain is not None:
            self._explain_losses(self._explain)
        return entries

    def _refusal(self, error: Error) -> JournalError:
        """Why nothing can be appended: the disk, unless the journal has come to its own bound."""
        bound = store.is_full(error) and self._used_bytes() >= self.max_bytes * 19 // 20
        if not bound and (store.is_full(error) or store.has_no_room(error, self.path)):
            text = f"{self.path}: cannot be written, the disk is full ({error}); make room on it"
            return JournalError(text, "disk_full")
        return JournalError(f"{self.path}: cannot be written ({error}); check the disk")

    def _explain_losses(self, explain: Callable[[Loss], Message]) -> None:
        """Append a message for each run of lost ones; with them, in one transaction, that they are told."""
        with suppress(Error), self._write:  # on a full disk: told with the next message that finds room
            rows = sealed_rows(
                self._db, "losses", "WHERE loss_id > ? ORDER BY topic_id, from_seq", (explained_until(self._db),)
            )
            if rows:
                losses = joined(loss_of(row, self._topics_by_id) for row in rows)
                self._append([explain(loss) for loss in losses], explained=max(row[0] for row in rows))
            self._unexplained = False
        for listener in self._listeners:
            listener()

    def _append(self, messages: Sequence[Message], explained: int | None = None) -> list[Entry]:
        with self._write:
            touched: dict[str, Topic] = {}
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
                store_topics(db, touched.values())
                db.executemany(
                    INSERT_MESSAGE,
                    [
                        row_of_entry(entry, touched[entry.topic].topic_id, link)
                        for entry, link in zip(entries, links, strict=True)
                    ],
                )
                if explained is not None:
                    put_meta(db, "explained", str(explained))
            with self._state:
                self._topics.update(touched)
                self._topics_by_id.update((item.topic_id, item) for item in touched.values())
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

    def _topic(self, topic: str, kind: str) -> Topic:
        """A copy of the state of a topic, to be put back after the commit."""
        known = self._topics.get(topic)
        if known is None:
            self._newest_topic_id = max(self._newest_topic_id, *self._topics_by_id, 0) + 1
            return Topic(self._newest_topic_id, topic, self.epoch, kind, 0, chain_start(topic, self.epoch))
        return replace(known)

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
                rows = self._spans_of(collector, kind)
                cursor = Cursor([Span(*row) for row in rows]) if rows else Cursor.beginning_at(start)
                if cursor.live.end is not None:
                    cursor.spans.append(Span(cursor.live.end, cursor.live.end))
                self._count(kind, cursor, self._db)
                cursors[kind] = cursor
            self._readers[collector] = _Reader(cursors, dirty=True)
        self.flush()

    def let_go(self, collector: str) -> None:
        """Nobody waits for this collector any more; where it was stays known, should it come back."""
        self.flush()
        with self._write, self._state:
            self._readers.pop(collector, None)

    def _spans_of(self, collector: str, kind: str) -> list[tuple[Any, ...]]:
        """Where a collector was. A position that cannot be believed is no position: what is there is sent again."""
        try:
            rows = sealed_rows(self._db, "spans", "WHERE collector = ? AND kind = ? ORDER BY start", (collector, kind))
        except Damaged:
            log.critical("%s: where %s was with %s messages cannot be read; all are sent again",
                         self.path, collector, kind)  # fmt: skip
            return [(0, 0, None)]
        return [row[2:] for row in rows]

    def _count(self, kind: str, cursor: Cursor, db: Connection) -> None:
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
            f"SELECT {LOG} FROM log WHERE kind = ? AND n > ? AND n <= ? ORDER BY n LIMIT ?",
            (kind, span.fetched, limit, _PREFETCH),
        )
        upto = rows[-1][0] if len(rows) == _PREFETCH else limit
        rows = self._whole(kind, rows)
        span.fetch((row[0] for row in rows), upto)
        return [self._entry(kind, row, late) for row in rows if row[0] not in span.early and row[0] > span.done]

    def _entry(self, kind: str, row: tuple[Any, ...], late: bool) -> Entry:
        n, topic_id, seq, id, time_ns, body, *_ = row
        topic = self._topics_by_id[topic_id]
        return Entry(n, kind, topic.topic, topic.epoch, seq, uuid_text(id), time_ns, body, late)

    def _whole(self, kind: str, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The rows that are what was appended; the others are never handed out, and set aside at the next `flush`."""
        whole = [row for row in rows if is_whole(self._reader_db, self._topics_by_id.get(row[1]), kind, row)]
        if len(whole) < len(rows):
            good = {row[0] for row in whole}
            self._failed |= {row[0]: kind for row in rows if row[0] not in good}
            for reader in self._readers.values():
                reader.dirty = True
                if kind in reader.cursors:
                    for row in rows:
                        if row[0] not in good:
                            reader.cursors[kind].acknowledge(row[0])
        return whole

    def _read(self, sql: str, values: tuple[object, ...]) -> list[Any]:
        try:
            return self._reader_db.execute(sql, values).fetchall()
        except DatabaseError as error:
            if store.is_damage(error):  # in a thread, because `_write` is never taken while `_state` is held
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
            known = next((item for item in self._topics_by_id.values() if (item.topic, item.epoch) == wanted), None)
            if known is None:
                return []
            found: list[Entry] = []
            while len(found) < limit:
                want = limit - len(found)
                rows = self._read(
                    f"SELECT {LOG} FROM log WHERE topic_id = ? AND seq >= ? AND seq <= ? ORDER BY seq LIMIT ?",
                    (known.topic_id, max(from_seq, 0), min(to_seq, 1 << 62), want),
                )
                found += [self._entry(known.kind, row, True) for row in self._whole(known.kind, rows)]
                if len(rows) < want:
                    break
                from_seq = rows[-1][2] + 1
            return found

    def serves_from(self) -> dict[str, int]:
        """Topic -> the first seq that `replay` may still have, where older ones were removed. Reads nothing."""
        with self._state:
            return {topic: item.floor + 1 for topic, item in self._topics.items() if item.floor > 0}

    # Keeping house

    def last(self, topic: str) -> Entry | None:
        """The newest message of a topic in this epoch; None where the journal has it no more."""
        head = self.heads().get(topic)
        found = self.replay(topic, head[0], head[1], head[1]) if head is not None else []
        return found[0] if found else None

    def flush(self) -> None:
        """Store the cursors, and set aside what failed its seal; what is not stored is sent again after a crash."""
        try:
            self._store_cursors()
        except DatabaseError as error:
            if not store.is_damage(error):
                raise JournalError(f"{self.path}: cursors cannot be stored ({error}); check the disk") from None
            self._start_anew(str(error), self.epoch)
        if self._unexplained and self._explain is not None:
            self._explain_losses(self._explain)

    def _store_cursors(self) -> None:
        with self._write:
            with self._state:
                changed = {name: reader for name, reader in self._readers.items() if reader.dirty}
                rows = [
                    with_seal("spans", name, kind, span.start, span.done, span.end)
                    for name, reader in changed.items()
                    for kind, cursor in reader.cursors.items()
                    for span in cursor.spans
                ]
                kinds = [(name, kind) for name, reader in changed.items() for kind in reader.cursors]
                failed = dict(self._failed)
                for reader in changed.values():
                    reader.dirty = False
                self._unflushed = 0
            if not rows and not failed:
                return
            try:
                with self._transaction() as db:  # together: a cursor beyond a broken row must not hide that it broke
                    self._set_aside(db, failed)
                    db.executemany("DELETE FROM spans WHERE collector = ? AND kind = ?", kinds)
                    insert(db, "spans", rows)
            except Error:
                for reader in changed.values():
                    reader.dirty = True
                raise
            with self._state:
                for n in failed:
                    self._failed.pop(n, None)
            self._unexplained |= bool(failed)

    def _set_aside(self, db: Connection, failed: dict[int, str]) -> None:
        """Move rows that failed their seal where nothing reads them, and store each as a loss."""
        for n, kind in failed.items():
            row = db.execute(f"SELECT {LOG} FROM log WHERE n = ?", (n,)).fetchone()
            if row is None:
                continue
            topic_id, seq = place_of(db, n, row)
            if topic_id in self._topics_by_id and isinstance(seq, int):
                loss = loss_between(db, self._topics_by_id[topic_id], seq, seq, 1, "damaged", self._clock())
                insert_losses(db, [loss])
                where = f"{loss[1].topic} seq {seq}"
            else:
                where = f"a {kind} message whose number cannot be told"
            db.execute(
                f"INSERT OR REPLACE INTO set_aside ({LOG}, kind) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, kind)
            )
            db.execute("DELETE FROM log WHERE n = ?", (n,))
            log.critical("%s: %s was changed on the disk; it is not sent, and told as a loss", self.path, where)
        if failed:
            db.execute("DELETE FROM set_aside WHERE n <= (SELECT max(n) FROM set_aside) - ?", (_SET_ASIDE_MOST,))
            self.damaged += len(failed)

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
        except DatabaseError as error:
            if not store.is_damage(error):
                raise JournalError(f"{self.path}: old messages cannot be removed ({error}); check the disk") from None
            self._start_anew(str(error), self.epoch)
        self._report()

    def _used_bytes(self) -> int:
        """In whole pages: what is deleted between messages that stay may free none."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free) * PAGE

    def _floor(self, kind: str) -> int:
        """Everything of a kind up to here is acknowledged by all who get it."""
        with self._state:
            cursors = [reader.cursors[kind] for reader in self._readers.values() if kind in reader.cursors]
            return min((cursor.done for cursor in cursors), default=self._head)

    def _forget_old(self) -> None:
        """Acknowledged entries beyond the retention time, a slice of each kind: a leap of the clock costs little."""
        before_ns = self._clock() - self._retention_ns
        for kind in DROP_ORDER:
            rows = self._oldest(kind, self._floor(kind), "time_ns")
            old = [row for row in rows if row[3] < before_ns]
            if old:
                with self._transaction() as db:
                    self._remove(db, old)
        with self._transaction() as db:
            db.execute("DELETE FROM losses WHERE time_ns < ? AND loss_id <= ?", (before_ns, explained_until(self._db)))

    def _forget_acknowledged(self, most_bytes: int) -> None:
        """Delete acknowledged entries until `most_bytes` are used, or all are gone."""
        for kind in DROP_ORDER:
            floor = self._floor(kind)
            while self._used_bytes() > most_bytes:
                rows = self._oldest(kind, floor)
                if not rows:
                    break
                with self._transaction() as db:
                    self._remove(db, rows)

    def _oldest(self, kind: str, upto: int, more: str = "n") -> list[tuple[int, int, int, int]]:
        """The next rows of a kind to go: n, topic_id, seq."""
        return self._db.execute(
            f"SELECT n, topic_id, seq, {more} FROM log WHERE kind = ? AND n <= ? ORDER BY n LIMIT ?",
            (kind, upto, _SLICE),
        ).fetchall()

    def _remove(self, db: Connection, rows: Sequence[tuple[int, int, int, int]]) -> None:
        """Delete rows in good order; their topics remember how far."""
        db.executemany("DELETE FROM log WHERE n = ?", [(row[0],) for row in rows])
        floors: dict[int, int] = {}
        for _, topic_id, seq, _ in rows:
            floors[topic_id] = max(seq, floors.get(topic_id, 0))
        topics = []
        for topic_id, seq in floors.items():
            topic = self._topics_by_id.get(topic_id)
            if topic is not None:
                topic.floor = max(topic.floor, seq)
                topics.append(topic)
        store_topics(db, topics)

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
                    rows = self._oldest(kind, self._head)
                    if not rows:
                        break
                    for topic_id, seqs in self._drop(kind, rows).items():
                        lost[topic_id] += seqs
            for topic_id, seqs in lost.items():
                log.critical(
                    "%s is full (%d bytes): %d messages were dropped before every collector had them: %s seq %d to %d",
                    self.path, self.max_bytes, len(seqs), self._topics_by_id[topic_id].topic, min(seqs), max(seqs),
                )  # fmt: skip

    def _drop(self, kind: str, rows: list[tuple[int, int, int, int]]) -> dict[int, list[int]]:
        lost: dict[int, list[int]] = defaultdict(list)
        with self._state:
            cursors = [reader.cursors[kind] for reader in self._readers.values() if kind in reader.cursors]
            for n, topic_id, seq, _ in rows:
                if [cursor for cursor in cursors if cursor.drop(n)] and topic_id in self._topics_by_id:
                    lost[topic_id].append(seq)
        now_ns = self._clock()
        losses = [
            loss_between(self._db, self._topics_by_id[key], min(seqs), max(seqs), len(seqs), "dropped", now_ns)
            for key, seqs in lost.items()
        ]
        with self._transaction() as db:  # deletes first: that makes room for the rest
            self._remove(db, rows)
            insert_losses(db, losses)
            if kind == "alarm" and lost:  # what explained earlier losses may be among them: all are told again
                db.execute("DELETE FROM meta WHERE key = 'explained'")
        self._unexplained |= bool(lost)
        return lost

    def losses(self, since_ns: int = 0) -> list[Loss]:
        """What was dropped at the bound before every collector had it, or was damaged on the disk, oldest first."""
        with self._write:
            return [
                loss_of(row, self._topics_by_id)
                for row in sealed_rows(self._db, "losses", "WHERE time_ns >= ? ORDER BY loss_id", (since_ns,))
            ]

    def heads(self) -> dict[str, tuple[str, int, bytes]]:
        """Topic -> (epoch, last seq, head of its hash chain)."""
        with self._state:
            return {topic: (self.epoch, item.seq, item.link) for topic, item in self._topics.items()}

    def _report(self) -> None:
        alarms, self._alarms = self._alarms, []
        for alarm in alarms:
            self._on_alarm(*alarm)
