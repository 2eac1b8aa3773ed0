"""The rows of the journal's tables, written and read with their seals. Plain functions over a connection.

Called by `edge.delivery.journal`, which decides what is stored, and by `edge.delivery.rebuild`. What fails its seal in
a small table is damage of the file; a message that fails is a message less, and its neighbours go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from edge.delivery.entry import Entry, Loss, uuid_text
from edge.delivery.evidence import chain_next, chain_start
from edge.delivery.layout import COLUMNS
from edge.delivery.salvage import SavedMessage
from edge.delivery.seals import seal, seal_of_message
from edge.delivery.store import Connection, Damaged
from edge.messages import Message, topic_of

Row = tuple[Any, ...]
LOG = "n, topic_id, seq, id, time_ns, body, link, seal"  # of a message, without its kind
INSERT_MESSAGE = f"INSERT INTO log ({LOG}, kind) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(slots=True)
class Topic:
    topic_id: int
    topic: str
    epoch: str
    kind: str
    seq: int  # the last one given
    link: bytes  # head of the hash chain
    floor: int = 0  # messages up to here may have been removed in good order

    def row(self) -> Row:
        return with_seal("topics", self.topic_id, self.topic, self.epoch, self.kind, self.seq, self.link, self.floor)


# Small tables


def with_seal(table: str, *row: Any) -> Row:
    return (*row, seal(table, *row))


def insert(db: Connection, table: str, rows: Sequence[Row], or_: str = "", after: str = "") -> None:
    """Rows with their seals; columns are named, because a newer layout may have more."""
    columns = (*COLUMNS[table], "seal")
    marks = ", ".join("?" * len(columns))
    db.executemany(f"INSERT {or_}INTO {table} ({', '.join(columns)}) VALUES ({marks}) {after}", rows)


def sealed_rows(db: Connection, table: str, where: str = "", values: Sequence[object] = ()) -> list[Row]:
    """Rows without their seals; Damaged where one is not what was written."""
    found = []
    for *row, sealed in db.execute(f"SELECT {', '.join(COLUMNS[table])}, seal FROM {table} {where}", values):
        if seal(table, *row) != sealed:
            raise Damaged(f"a row of {table} was changed")
        found.append(tuple(row))
    return found


def put_meta(db: Connection, key: str, value: str) -> None:
    insert(db, "meta", [with_seal("meta", key, value)], "OR REPLACE ")


def explained_until(db: Connection) -> int:
    """The last loss that a message in the log explains."""
    rows = sealed_rows(db, "meta", "WHERE key = 'explained'")
    return int(rows[0][1]) if rows else 0


def store_topics(db: Connection, topics: Iterable[Topic]) -> None:
    columns = [column for column in (*COLUMNS["topics"], "seal") if column != "topic_id"]
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns)
    insert(db, "topics", [item.row() for item in topics], after=f"ON CONFLICT (topic_id) DO UPDATE SET {changes}")


# Messages


def row_of_entry(entry: Entry, topic_id: int, link: bytes) -> Row:
    id = bytes.fromhex(entry.id.replace("-", ""))
    sealed = seal_of_message(
        entry.n, entry.kind, entry.topic, entry.epoch, entry.seq, id, entry.time_ns, entry.body, link
    )
    return entry.n, topic_id, entry.seq, id, entry.time_ns, entry.body, link, sealed, entry.kind


def row_of_saved(message: SavedMessage, topic_id: int) -> Row:
    m = message
    return m.n, topic_id, m.seq, m.id, m.time_ns, m.body, m.link, m.sealed, m.kind


def is_whole(db: Connection, topic: Topic | None, kind: str, row: Row) -> bool:
    """Whether a row of the log is what was appended, as a message of that kind."""
    n, _, seq, id, time_ns, body, link, sealed = row
    if topic is None or topic.kind != kind:
        return False
    if sealed is not None:
        return bool(sealed == seal_of_message(n, kind, topic.topic, topic.epoch, seq, id, time_ns, body, link))
    return _is_whole_without_seal(db, topic, seq, id, body, link)


def _is_whole_without_seal(db: Connection, topic: Topic, seq: Any, id: Any, body: Any, link: Any) -> bool:
    """A message of a version before seals: by its body, and by the link of the one that follows."""
    if not isinstance(body, bytes):
        return False
    try:
        said = msgspec.json.decode(body, type=Message)
        same = (said.id, said.epoch, said.seq, topic_of(said)) == (uuid_text(id), topic.epoch, seq, topic.topic)
    except (ValueError, TypeError, AttributeError, IndexError):
        return False
    if not same or link is None:
        return same
    following = topic.link if seq == topic.seq else None
    if following is None:
        found = db.execute("SELECT link FROM log WHERE topic_id = ? AND seq = ?", (topic.topic_id, seq + 1)).fetchone()
        following = found[0] if found else None
    return isinstance(link, bytes) and following == chain_next(link, body)


def place_of(db: Connection, n: int, row: Row) -> tuple[Any, Any]:
    """Topic and seq of a row that cannot be believed: the index has them too."""
    claimed = row[1:3]
    by_index = "SELECT topic_id, seq FROM log INDEXED BY log_seq WHERE topic_id {} AND {} = ?"
    if db.execute(by_index.format("= ?", "seq") + " AND +n = ?", (*claimed, n)).fetchone():
        return claimed
    found = db.execute(by_index.format(">= 0", "+n"), (n,)).fetchone()
    return found or (None, None)


# Losses


def link_before(db: Connection, topic: Topic, seq: int) -> bytes | None:
    """Head of the hash chain of a topic before that message, which may be the one that comes next."""
    if seq == 1:
        return chain_start(topic.topic, topic.epoch)
    if seq == topic.seq + 1:
        return topic.link
    for at in (seq, seq - 1):  # the message itself has it, and the one before leads to it
        row = db.execute(f"SELECT {LOG} FROM log WHERE topic_id = ? AND seq = ?", (topic.topic_id, at)).fetchone()
        if row is not None and row[6] is not None and is_whole(db, topic, topic.kind, row):
            return bytes(row[6]) if at == seq else chain_next(row[6], row[5])
    return None


def loss_between(
    db: Connection,
    topic: Topic,
    first: int,
    last: int,
    messages: int,
    cause: Literal["dropped", "damaged"],
    now_ns: int,
) -> tuple[int, Loss]:
    """Messages between two seq of a topic (both included), with the chain around them; with the number of the topic."""
    around = link_before(db, topic, first), link_before(db, topic, last + 1)
    return topic.topic_id, Loss(now_ns, topic.topic, topic.epoch, first, last, messages, *around, cause)


def insert_losses(db: Connection, losses: Iterable[tuple[int, Loss]]) -> None:
    (number,) = db.execute("SELECT coalesce(max(loss_id), 0) FROM losses").fetchone()
    number = max(number, explained_until(db))  # also where all that were explained have been forgotten
    rows = [
        with_seal(
            "losses", number + place, loss.time_ns, topic_id, loss.from_seq, loss.to_seq, loss.messages,
            loss.before, loss.after, loss.cause,
        )
        for place, (topic_id, loss) in enumerate(losses, 1)
    ]  # fmt: skip
    insert(db, "losses", rows)


def loss_of(row: Row, topics: Mapping[int, Topic]) -> Loss:
    _, time_ns, topic_id, *rest = row
    topic = topics[topic_id]
    return Loss(time_ns, topic.topic, topic.epoch, *rest)
