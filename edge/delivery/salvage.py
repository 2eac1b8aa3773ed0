"""What a damaged journal still gives: messages that are what they were, positions of collectors, records of losses.

In: the path of a file that was set aside, with its write-ahead log; out: rows of which every seal holds. Called by
`edge.delivery.journal`, which puts them into a new file and tells what is missing.

Messages are not asked of SQLite, whose trees may lead nowhere, but read off every page (`edge.delivery.carve`): one
broken page costs what is on it. What a page holds of old, removed messages is told by the `floor` of their topic. An
older message without a seal is taken where its body says the same as its row.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edge.delivery.carve import Record, records
from edge.delivery.entry import Loss, uuid_text
from edge.delivery.layout import COLUMNS
from edge.delivery.seals import seal, seal_of_message
from edge.delivery.store import PAGE, Connection, Error, connect_to_read
from edge.messages import KINDS, Message, topic_of

Row = tuple[Any, ...]
_BATCH = 500
_WAL_HEADER, _FRAME_HEADER = 32, 24
_STEPS = 10_000  # of SQLite's machine between two looks at the clock


@dataclass(frozen=True, slots=True)
class SavedMessage:
    """A row of the log, with the topic as its body says it."""

    n: int
    kind: str
    topic: str
    epoch: str
    seq: int
    id: bytes
    time_ns: int
    body: bytes
    link: bytes | None
    sealed: bytes | None


@dataclass(frozen=True, slots=True)
class SavedTopic:
    topic: str
    epoch: str
    kind: str
    seq: int
    link: bytes
    floor: int


class Wreck:
    """A damaged file; whatever it holds, this raises nothing and ends after `seconds`."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._path = path
        self._until = time.monotonic() + seconds
        self.topics: list[SavedTopic] = []
        self.spans: list[Row] = []
        self.losses: list[tuple[int, Loss]] = []  # each with its number
        self.explained = 0
        self.unreadable_losses = 0
        self.in_time = True
        with suppress(Error, OSError), closing(connect_to_read(path)) as db:
            db.execute("PRAGMA writable_schema = ON")  # reads files whose schema is cut
            db.set_progress_handler(lambda: time.monotonic() > self._until, _STEPS)
            self._read_tables(db)

    def _read_tables(self, db: Connection) -> None:
        topics = {row[0]: row for row in _sealed(db, "topics")[0]}
        self.topics = [SavedTopic(*row[1:]) for row in topics.values()]
        self.spans = _sealed(db, "spans")[0]
        for key, value in _sealed(db, "meta")[0]:
            if key == "explained":
                self.explained = int(value)
        losses, broken = _sealed(db, "losses")
        for number, time_ns, topic_id, first, last, count, before, after, cause in losses:
            if topic_id in topics:
                _, topic, epoch, *_ = topics[topic_id]
                self.losses.append((number, Loss(time_ns, topic, epoch, first, last, count, before, after, cause)))
        self.unreadable_losses = broken + len(losses) - len(self.losses)

    def messages(self) -> Iterator[list[SavedMessage]]:
        """Batches of sound messages, from the file and its write-ahead log, some of them more than once."""
        batch: list[SavedMessage] = []
        floors = {(topic.topic, topic.epoch): topic.floor for topic in self.topics}
        for record in self._records():
            message = _message(record)
            if message is not None and message.seq > floors.get((message.topic, message.epoch), 0):
                batch.append(message)
            if len(batch) >= _BATCH:
                yield batch
                batch = []
            if time.monotonic() > self._until:
                self.in_time = False
                break
        if batch:
            yield batch

    def _records(self) -> Iterator[Record]:
        wal = self._path.with_name(self._path.name + "-wal")
        with _mapped(self._path) as data:
            yield from _pages(data, 0, PAGE, _reader(data, 0, PAGE))
        with _mapped(wal) as frames:
            # An overflow page may stand in either file; the frame that follows its message is the likely one.
            yield from _pages(frames, _WAL_HEADER + _FRAME_HEADER, PAGE + _FRAME_HEADER, _reader_of_frames(frames))


def _pages(data: bytes | mmap.mmap, first: int, step: int, page_of: Callable[[int], bytes]) -> Iterator[Record]:
    for at in range(first, len(data) - PAGE + 1, step):
        page = data[at : at + PAGE]
        yield from records(page, page_of, 100 if page.startswith(b"SQLite format 3") else 0)


def _reader(data: bytes | mmap.mmap, first: int, step: int) -> Callable[[int], bytes]:
    def page_of(number: int) -> bytes:
        at = first + (number - 1) * step
        return data[at : at + PAGE] if 0 <= at <= len(data) - PAGE else b""

    return page_of


def _reader_of_frames(frames: bytes | mmap.mmap) -> Callable[[int], bytes]:
    """The newest frame of a page."""
    places = {
        int.from_bytes(frames[at : at + 4]): at + _FRAME_HEADER
        for at in range(_WAL_HEADER, len(frames) - PAGE - _FRAME_HEADER + 1, PAGE + _FRAME_HEADER)
    }

    def page_of(number: int) -> bytes:
        at = places.get(number)
        return b"" if at is None else frames[at : at + PAGE]

    return page_of


class _mapped:
    """The bytes of a file; none where it is missing or empty."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> bytes | mmap.mmap:
        self._map: mmap.mmap | None = None
        try:
            with self._path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            return b""
        return self._map

    def __exit__(self, *rest: object) -> None:
        if self._map is not None:
            self._map.close()


def _sealed(db: Connection, table: str) -> tuple[list[Row], int]:
    """Rows of a small table with a seal that holds, up to the damage; and how many did not hold."""
    columns = COLUMNS[table]
    found: list[Row] = []
    broken = 0
    try:
        for *row, sealed in db.execute(f"SELECT {', '.join(columns)}, seal FROM {table}"):
            if seal(table, *row) == sealed:
                found.append(tuple(row))
            else:
                broken += 1
    except Error:
        broken += 1
    return found, broken


def _message(record: Record) -> SavedMessage | None:
    """The message that a record is, where it is one and is what it was."""
    n, (_, *columns) = record[0], record[1] or [None]
    if len(columns) < 6:
        return None
    kind, _, seq, id, time_ns, body, link, sealed = (*columns, None, None)[:8]
    if kind not in KINDS or not (isinstance(seq, int) and isinstance(id, bytes) and isinstance(body, bytes)):
        return None
    if not isinstance(time_ns, int) or not (link is None or isinstance(link, bytes)):
        return None
    try:
        said = msgspec.json.decode(body, type=Message)
        topic = topic_of(said)
    except (ValueError, IndexError, TypeError):
        return None
    if not isinstance(said.epoch, str) or (said.seq, said.id) != (seq, uuid_text(id)):
        return None
    if topic.rsplit("/", 1)[1] != kind:
        return None
    if sealed is not None and sealed != seal_of_message(n, kind, topic, said.epoch, seq, id, time_ns, body, link):
        return None
    return SavedMessage(n, str(kind), topic, said.epoch, seq, id, time_ns, body, link, sealed)
