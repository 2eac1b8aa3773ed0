"""The journal: an append-only SQLite log of all messages, with a cursor for each collector.

In: messages from the lanes (`append`) and acknowledgements from `edge.delivery.publisher`. Out: entries with id,
epoch and seq, as the bytes that go onto the wire. A message counts as made when it is here: `append` returns when
the entries are durable (WAL, synchronous=FULL: one fsync for each call).

This file holds the two locks and the order of things. What it works with: `heads`, what was given so far; `positions`,
where each collector is; `log_reader`, which reads messages; `bounds`, what leaves the log and when; `journal_files`,
lock and mark. SQLite is behind `store`, the layout is in `layout`, rows and their seals in `tables`; what becomes of a
damaged file in `salvage` and `rebuild`.

Threads: every method may be called from any thread. `append`, `flush` and `maintain` wait for the disk (call them
in a thread where that matters); `next`, `acknowledge`, `backlog` and `replay` never wait for a writer, they read on
a connection of their own. The callback is called without any lock held, in the thread that met the event.

Each loss is stored in `losses`, in the transaction that makes it, and explained by a message of its own (`explain`),
again where that message was dropped too.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from edge.delivery import layout, store
from edge.delivery.bounds import MIN_BYTES, Bounds
from edge.delivery.cursor import Span
from edge.delivery.entry import AlarmSink, Entry, JournalError, Loss, Pending, Severity, joined, uuid7
from edge.delivery.evidence import chain_next
from edge.delivery.heads import Heads
from edge.delivery.journal_files import JournalFiles
from edge.delivery.log_reader import LogReader
from edge.delivery.positions import Positions
from edge.delivery.rebuild import carry_over, store_what_is_missing
from edge.delivery.salvage import Wreck
from edge.delivery.store import Connection, Damaged, DatabaseError, Error
from edge.delivery.tables import (
    INSERT_MESSAGE,
    LOG,
    Topic,
    explained_until,
    insert,
    insert_losses,
    loss_between,
    loss_of,
    place_of,
    put_meta,
    row_of_entry,
    sealed_rows,
    store_topics,
)
from edge.messages import KINDS, Message, encode, kind_of, stamped, topic_of

log = logging.getLogger("journal")

RETENTION_S = 30 * 86_400.0
_CHECK_SYNC_BYTES = 256_000_000  # a larger file is checked in a thread, work goes on meanwhile
_SALVAGE_S = 60.0  # so long at most a damaged file is read before work goes on
_MAINTAIN_AFTER = 200  # messages appended since the last look at the size
_FLUSH_AFTER = 2000  # acknowledgements that are kept in memory at most; losing them only repeats messages
_SET_ASIDE_MOST = 10_000  # rows that failed their seal and are kept for who wants to look


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
        self._clock = clock
        self._random = random
        self._retention_ns = int(retention_s * 1e9)
        self._on_alarm = on_alarm
        self._explain = explain  # the message that tells collectors of a loss; made in the thread that appends
        self._unexplained = False
        self._write = threading.RLock()  # held while the writing connection is in use, over the fsync
        self._state = threading.RLock()  # held shortly: heads, positions, the reading connection; taken after `_write`
        self._heads = Heads()
        self._positions = Positions(self._heads)
        self._appended = 0  # since the last look at the size
        self._unflushed = 0
        self.damaged = 0  # messages since the start that were changed on the disk, and set aside
        self._listeners: list[Callable[[], None]] = []
        self._alarms: list[tuple[str, Literal["begin", "end"], Severity, str]] = []
        self._files = JournalFiles(path)
        try:
            self._open()
        except BaseException:
            self._files.close()
            raise
        self._report()

    @property
    def epoch(self) -> str:
        return self._heads.epoch

    # Opening

    def _open(self) -> None:
        try:
            self._connect()
        except layout.TooNew as newer:
            name = self._files.set_aside("newer", self._clock()).name
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
            is_large = self.path.stat().st_size > _CHECK_SYNC_BYTES
            if not is_large:
                store.check(self._db)
            layout.bring_up_to_date(self._db)
            self._bounds = Bounds(
                self.path, self._db, self._heads, floor=self._floor, drop=self._drop,
                max_bytes=self.max_bytes, retention_ns=self._retention_ns, clock=self._clock,
            )  # fmt: skip
            self._load()
            self._log = LogReader(self.path, self._heads, self._damage_was_read, self._positions.broken)
        except BaseException:
            self._db.close()
            raise
        if is_large:
            threading.Thread(target=self._check_later, name="journal check", daemon=True).start()

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
        self._heads.load(self._db)
        epoch, marked = self._files.read_mark()
        is_cut = bool(self.epoch) and epoch == self.epoch and marked > self._heads.head
        if is_cut:
            self._alarm(
                "journal_shortened",
                f"{self.path} has lost its end ({marked - self._heads.head} messages): a new epoch begins, "
                "what is left is delivered",
            )
        if is_cut or not self.epoch:
            begun = f"{self._clock() // 1_000_000:012x}{self._random(2).hex()}"
            self._heads.begin_epoch(self._db, begun, marked)
        (last,) = self._db.execute("SELECT coalesce(max(loss_id), 0) FROM losses").fetchone()
        self._unexplained = last > explained_until(self._db)
        self._files.write_mark(self.epoch, self._heads.head)

    def _begin_anew(self) -> None:
        try:
            self._connect()
        except (OSError, Error) as error:
            raise JournalError(f"{self.path}: cannot be made anew ({error}); check the disk") from None

    def _replace(self, why: str) -> None:
        """Rename the damaged file, begin a new one, carry over what can still be read, and store what cannot."""
        aside = self._files.set_aside("bad", self._clock())
        self._begin_anew()
        wreck = Wreck(aside, _SALVAGE_S)
        try:
            saved = carry_over(wreck, self._db)
            lost = store_what_is_missing(wreck, self._db, self._clock())
        except Error as error:
            text = f"{self.path}: what {aside.name} gives cannot be stored ({error}); check the disk"
            raise JournalError(text) from None
        self._load()
        self._alarm(
            "journal_corrupt",
            f"{self.path} is damaged ({why}); it was set aside as {aside.name}, a new epoch begins; "
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
            self._files.write_mark(self.epoch, self._heads.head)
            shares = self._positions.shares()
            with suppress(Error):
                self._store_positions()
            self._db.close()
            self._log.close()
            self._replace(why)
            self._positions.clear()
            for name, kinds in shares.items():
                self.register(name, kinds)
        self._report()

    def _damage_was_read(self, why: str) -> None:
        """In a thread of its own, because `_write` is never taken while `_state` is held."""
        threading.Thread(target=self._start_anew, args=(why, self.epoch), name="journal anew").start()

    def _alarm(self, code: str, text: str) -> None:
        self._alarms.append((code, "begin", "critical", text))

    def _report(self) -> None:
        alarms, self._alarms = self._alarms, []
        for alarm in alarms:
            self._on_alarm(*alarm)

    def close(self) -> None:
        """Store what is in memory and let go of the file."""
        with suppress(JournalError):
            self.flush()
        with self._write, self._state:
            self._log.close()
            self._db.close()
        self._files.close()

    # Writing

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
                    with self._write:
                        self._bounds.relieve()
                else:
                    raise
                entries = self._append(messages)
        except Error as error:
            self._report()
            raise self._refusal(error) from None
        self._tell_listeners()
        if self._appended >= _MAINTAIN_AFTER or self._unflushed >= _FLUSH_AFTER or self._alarms:
            with suppress(JournalError):  # the messages are stored; the next append meets the trouble again
                self.maintain()
        self._explain_losses()
        return entries

    def _refusal(self, error: Error) -> JournalError:
        """Why nothing can be appended: the disk, unless the journal has come to its own bound."""
        bound = store.is_full(error) and self._bounds.is_at_bound()
        if not bound and (store.is_full(error) or store.has_no_room(error, self.path)):
            text = f"{self.path}: cannot be written, the disk is full ({error}); make room on it"
            return JournalError(text, "disk_full")
        return JournalError(f"{self.path}: cannot be written ({error}); check the disk")

    def _append(self, messages: Sequence[Message], explained: int | None = None) -> list[Entry]:
        with self._write:
            touched: dict[str, Topic] = {}
            entries: list[Entry] = []
            links: list[bytes] = []
            for n, message in enumerate(messages, self._heads.head + 1):
                name = topic_of(message)
                topic = touched.get(name)
                if topic is None:
                    topic = touched[name] = self._heads.to_append(name, kind_of(message))
                topic.seq += 1
                time_ns = self._clock()
                id = uuid7(time_ns, self._random(8))
                body = encode(stamped(message, id=id, epoch=self.epoch, seq=topic.seq))
                links.append(topic.link)
                topic.link = chain_next(topic.link, body)
                entries.append(Entry(n, topic.kind, name, self.epoch, topic.seq, id, time_ns, body))
            with self._db.transaction() as db:
                store_topics(db, touched.values())
                rows = zip(entries, links, strict=True)
                db.executemany(
                    INSERT_MESSAGE, [row_of_entry(entry, touched[entry.topic].topic_id, link) for entry, link in rows]
                )
                if explained is not None:
                    put_meta(db, "explained", str(explained))
            with self._state:
                self._heads.took(touched.values(), entries)
                self._files.write_mark(self.epoch, self._heads.head)
                self._positions.appended(entries)
            self._appended += len(entries)
            return entries

    def _explain_losses(self) -> None:
        """Append a message for each run of lost ones; with them, in one transaction, that they are told."""
        if not self._unexplained or self._explain is None:
            return
        with suppress(Error), self._write:  # on a full disk: told with the next message that finds room
            rows = sealed_rows(
                self._db, "losses", "WHERE loss_id > ? ORDER BY topic_id, from_seq", (explained_until(self._db),)
            )
            if rows:
                losses = joined(loss_of(row, self._heads.topics) for row in rows)
                self._append([self._explain(loss) for loss in losses], explained=max(row[0] for row in rows))
            self._unexplained = False
        self._tell_listeners()

    def _tell_listeners(self) -> None:
        for listener in self._listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after every append, in the thread that appended; the answer takes it off again."""
        self._listeners = [*self._listeners, listener]

        def stop() -> None:
            self._listeners = [item for item in self._listeners if item is not listener]

        return stop

    # Collectors

    def register(self, collector: str, kinds: Iterable[str]) -> None:
        """A collector and its share; it goes on where it was, a new one begins with what comes from now on."""
        wanted = set(kinds)
        with self._write, self._state:
            salvaged = self._db.execute("SELECT value FROM meta WHERE key = 'salvaged'").fetchone()
            start = 0 if salvaged else self._heads.head  # of salvaged entries nobody knows who has them
            spans = {kind: self._spans_of(collector, kind) for kind in KINDS if kind in wanted}
            self._positions.register(collector, spans, start, self._log)
        self.flush()

    def let_go(self, collector: str) -> None:
        """Nobody waits for this collector any more; where it was stays known, should it come back."""
        self.flush()
        with self._write, self._state:
            self._positions.let_go(collector)

    def _spans_of(self, collector: str, kind: str) -> list[Span]:
        """Where a collector was. A position that cannot be believed is no position: what is there is sent again."""
        try:
            rows = sealed_rows(self._db, "spans", "WHERE collector = ? AND kind = ? ORDER BY start", (collector, kind))
        except Damaged:
            log.critical("%s: where %s was with %s messages cannot be read; all are sent again",
                         self.path, collector, kind)  # fmt: skip
            return [Span(0, 0)]
        return [Span(*row[2:]) for row in rows]

    def resume(self, collector: str) -> None:
        """A connection begins: hand out again what is not acknowledged; after a long outage new messages go first."""
        with self._state:
            self._positions.resume(collector, self._log)

    def rewind(self, collector: str, kind: str) -> None:
        """Hand out again what is not acknowledged of one kind."""
        with self._state:
            self._positions.rewind(collector, kind)

    def next(
        self, collector: str, limit: int, late_limit: int | None = None, without: Collection[str] = ()
    ) -> list[Entry]:
        """Up to `limit` entries not handed out since `resume`: live ones first, then at most `late_limit` late ones.

        Kinds in `without` stay where they are.
        """
        with self._state:
            return self._positions.next(collector, limit, late_limit, without, self._log)

    def acknowledge(self, collector: str, entry: Entry) -> bool:
        """The collector's broker has it (PUBACK with a success code); in any order. False where that was known."""
        with self._state:
            fresh = self._positions.acknowledge(collector, entry)
            self._unflushed += fresh
            return fresh

    def backlog(self, collector: str) -> Pending:
        """How much a collector has not acknowledged, and the age of the oldest."""
        with self._state:
            return self._positions.backlog(collector, self._log)

    def is_newest(self, entry: Entry) -> bool:
        """Whether its topic has no later message: only that one may be retained by a broker."""
        with self._state:
            known = self._heads.find(entry.topic)
            return known is not None and known.seq == entry.seq and entry.epoch == self.epoch

    def replay(self, topic: str, epoch: str, from_seq: int, to_seq: int, limit: int = 100) -> list[Entry]:
        """What the journal still holds of a topic between two seq (both included), oldest first, at most `limit`."""
        with self._state:
            return self._log.replay(topic, epoch, from_seq, to_seq, limit)

    # What is in it

    def last(self, topic: str) -> Entry | None:
        """The newest message of a topic in this epoch; None where the journal has it no more."""
        with self._state:
            known = self._heads.find(topic)
            found = self._log.replay(topic, self.epoch, known.seq, known.seq, 1) if known is not None else []
            return found[0] if found else None

    def heads(self) -> dict[str, tuple[str, int, bytes]]:
        """Topic -> (epoch, last seq, head of its hash chain)."""
        with self._state:
            return {item.topic: (self.epoch, item.seq, item.link) for item in self._heads.here()}

    def serves_from(self) -> dict[str, int]:
        """Topic -> the first seq that `replay` may still have, where older ones were removed. Reads nothing."""
        with self._state:
            return {item.topic: item.floor + 1 for item in self._heads.here() if item.floor > 0}

    def losses(self, since_ns: int = 0) -> list[Loss]:
        """What was dropped at the bound before every collector had it, or was damaged on the disk, oldest first."""
        with self._write:
            rows = sealed_rows(self._db, "losses", "WHERE time_ns >= ? ORDER BY loss_id", (since_ns,))
            return [loss_of(row, self._heads.topics) for row in rows]

    # Keeping house

    def flush(self) -> None:
        """Store the cursors, and set aside what failed its seal; what is not stored is sent again after a crash."""
        with self._mended("cursors cannot be stored"):
            self._store_positions()
        self._explain_losses()

    def maintain(self) -> None:
        """Store the cursors and keep the bounds; called by `append` now and then, and by the daemon once a minute."""
        with suppress(JournalError):
            self.flush()
        with self._mended("old messages cannot be removed"), self._write:
            self._appended = 0
            self._bounds.keep()
        self._report()

    @contextmanager
    def _mended(self, what: str) -> Iterator[None]:
        """Damage that is met begins a new file; other trouble of the disk is a JournalError."""
        try:
            yield
        except DatabaseError as error:
            if not store.is_damage(error):
                raise JournalError(f"{self.path}: {what} ({error}); check the disk") from None
            self._start_anew(str(error), self.epoch)

    def _store_positions(self) -> None:
        with self._write:
            with self._state:
                changed, kinds, rows = self._positions.take_changed()
                failed = dict(self._log.failed)
                self._unflushed = 0
            if not rows and not failed:
                return
            try:
                with self._db.transaction() as db:  # together: a cursor beyond a broken row must not hide that it broke
                    self._set_aside(db, failed)
                    db.executemany("DELETE FROM spans WHERE collector = ? AND kind = ?", kinds)
                    insert(db, "spans", rows)
            except Error:
                self._positions.not_stored(changed)
                raise
            with self._state:
                for n in failed:
                    self._log.failed.pop(n, None)
            self._unexplained |= bool(failed)

    def _set_aside(self, db: Connection, failed: dict[int, str]) -> None:
        """Move rows that failed their seal where nothing reads them, and store each as a loss."""
        for n, kind in failed.items():
            row = db.execute(f"SELECT {LOG} FROM log WHERE n = ?", (n,)).fetchone()
            if row is None:
                continue
            topic_id, seq = place_of(db, n, row)
            if topic_id in self._heads.topics and isinstance(seq, int):
                loss = loss_between(db, self._heads.topics[topic_id], seq, seq, 1, "damaged", self._clock())
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

    def _floor(self, kind: str) -> int:
        with self._state:
            return self._positions.floor(kind)

    def _drop(self, kind: str, numbers: Sequence[int]) -> list[int]:
        """Messages leave the log; those that not every collector had are lost."""
        with self._state:
            lost = [n for n in numbers if self._positions.drop(kind, n)]
        self._unexplained |= bool(lost)
        return lost
