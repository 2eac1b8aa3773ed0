"""A new journal from what a damaged one still gives: messages with their old epoch and seq, cursors, records of losses;
and as a loss, by topic and number, what must have been there and was not found.

In: a `Wreck` of `edge.delivery.salvage` and an empty journal; out: how many messages were saved and how many are
missing. Called by `edge.delivery.journal`.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from edge.delivery.entry import Loss
from edge.delivery.evidence import chain_next
from edge.delivery.salvage import SavedMessage, Wreck
from edge.delivery.store import Connection
from edge.delivery.tables import (
    INSERT_MESSAGE,
    Topic,
    insert,
    insert_losses,
    loss_between,
    put_meta,
    row_of_saved,
    sealed_rows,
    with_seal,
)

log = logging.getLogger("journal")

_INSERT_OR_IGNORE = INSERT_MESSAGE.replace("INSERT", "INSERT OR IGNORE")


def carry_over(wreck: Wreck, db: Connection) -> int:
    """Put what is sound into the new file; gives how many messages."""
    ids: dict[tuple[str, str], int] = {}
    with db.transaction():
        for topic in wreck.topics:
            key = ids[topic.topic, topic.epoch] = len(ids) + 1
            made = Topic(key, topic.topic, topic.epoch, topic.kind, topic.seq, topic.link, topic.floor)
            insert(db, "topics", [made.row()])
        insert(db, "spans", [with_seal("spans", *row) for row in wreck.spans])
        put_meta(db, "salvaged", "1")
        known = [(number, loss) for number, loss in wreck.losses if (loss.topic, loss.epoch) in ids]
        insert_losses(db, [(ids[loss.topic, loss.epoch], loss) for _, loss in known])
        put_meta(db, "explained", str(sum(number <= wreck.explained for number, _ in known)))
    orphans: dict[int, Topic] = {}  # topics of which only the messages are left
    for batch in wreck.messages():
        with db.transaction():
            for message in batch:
                key = ids.setdefault((message.topic, message.epoch), len(ids) + 1)
                if key > len(wreck.topics):
                    _widen(orphans, key, message)
                db.execute(_INSERT_OR_IGNORE, row_of_saved(message, key))
            insert(db, "topics", [item.row() for item in orphans.values()], "OR REPLACE ")
    (saved,) = db.execute("SELECT count(*) FROM log").fetchone()
    return int(saved)


def _widen(orphans: dict[int, Topic], key: int, message: SavedMessage) -> None:
    """What a message says of its topic, whose own row is gone."""
    known = orphans.get(key)
    after = chain_next(message.link or b"", message.body)
    if known is None:
        orphans[key] = Topic(key, message.topic, message.epoch, message.kind, message.seq, after, message.seq - 1)
        return
    known.floor = min(known.floor, message.seq - 1)
    if message.seq > known.seq:
        known.seq, known.link = message.seq, after


def store_what_is_missing(wreck: Wreck, db: Connection, now_ns: int) -> int:
    """Numbers that a topic must have and that were not found are losses; gives how many messages."""
    told: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for _, loss in wreck.losses:
        told[loss.topic, loss.epoch].append((loss.from_seq, loss.to_seq))
    lost: list[tuple[int, Loss]] = []
    with db.transaction():
        for row in sealed_rows(db, "topics"):
            topic = Topic(*row)
            for first, last in _missing(db, topic, told[topic.topic, topic.epoch]):
                lost.append(loss_between(db, topic, first, last, last - first + 1, "damaged", now_ns))
        insert_losses(db, lost)
    for _, loss in lost:
        log.critical(
            "%d messages cannot be read any more: %s seq %d to %d",
            loss.messages, loss.topic, loss.from_seq, loss.to_seq,
        )  # fmt: skip
    return sum(loss.messages for _, loss in lost)


def _missing(db: Connection, topic: Topic, told: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Runs of numbers above the floor that are not there, without those that were told before."""
    rows = db.execute("SELECT seq FROM log WHERE topic_id = ? ORDER BY seq", (topic.topic_id,)).fetchall()
    there = {*(row[0] for row in rows), *(end for ends in told for end in ends)}
    known = [topic.floor, *sorted(n for n in there if n > topic.floor), topic.seq + 1]
    for before, after in pairwise(known):
        if after - before > 1 and not any(a <= before and after <= b for a, b in told):
            yield before + 1, after - 1
