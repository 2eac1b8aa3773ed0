"""The centre after a long outage: many computers' backlog in any order, a tenth of it twice, live messages beside.

    python -m tests.bench.bench_national [--computers N] [--messages N] [--live-per-s N]

The collector runs as it does in `borderflow collect`, with a feed that hands over from memory as fast as it is taken; a
live message is timed from there to its acknowledgement. The baselines are bare COPYs of the same rows by psycopg in the
same run, in transactions of the same size: into the same tables, and into tables without any key or index.
The whole is 1,500 computers after three days: --computers 1500 --messages 4300000 (about 12 GB of database).
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import lane_messages as messages
from postgres import Postgres

from edge.centre.arrival import Row, read
from edge.centre.collector import BATCH_MOST, Collecting
from edge.centre.columns import AXLE_COLUMNS, AXLE_KEY, COMMON, KIND_COLUMNS
from edge.centre.feed import WAITING_MOST, Delivery, Inbox
from edge.centre.postgres_store import PostgresStore
from edge.centre.sqlite_store import SqliteStore
from edge.centre.store import Store, axles_of, by_kind, values_of
from edge.messages import Message, utc_text

NOW_NS = messages.START_NS + 4 * 86_400 * 10**9
AT = utc_text(NOW_NS)
KINDS = ("vehicle", "wait", "flow", "vehicle")  # of four messages
Sent = tuple[str, bytes]


def message(computer: int, n: int) -> Message:
    source = f"edge-{computer}"
    kind = KINDS[n % 4]
    if kind == "flow":
        return messages.flow(messages.START_NS + n * 60 * 10**9, 3, source=source)
    made: Message = (messages.vehicle if kind == "vehicle" else messages.wait)(n, source=source)
    return made


def backlog(computers: int, count: int) -> list[Sent]:
    """`count` messages of all computers in any order."""
    made = []
    for computer in range(computers):
        numbers: dict[str, int] = {}
        for n in range(count // computers):
            kind = KINDS[n % 4]
            numbers[kind] = numbers.get(kind, 0) + 1
            made.append(messages.sent(message(computer, n), numbers[kind]))
    random.Random(4).shuffle(made)
    return made


def rows_of(sent: list[Sent]) -> list[Row]:
    rows = [read(topic, body, NOW_NS) for topic, body in sent]
    return [row for row in rows if isinstance(row, Row)]


class Memory:
    """A feed from memory. Live messages go in between, at their own pace."""

    name, state = "memory", "connected"

    def __init__(self, inbox: Inbox, sent: list[Sent], live_per_s: float) -> None:
        self._inbox, self._sent, self._live_per_s = inbox, sent, live_per_s
        self.late_s: list[float] = []
        self.acknowledged = 0
        self.done_at = self.live_made = 0.0
        self._stop = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._late, daemon=True).start()
        if self._live_per_s:
            threading.Thread(target=self._live, daemon=True).start()

    def ask(self, topic: str, body: bytes) -> None:
        pass

    def stop(self) -> None:
        self._stop.set()

    def _late(self) -> None:
        for n, (topic, body) in enumerate(self._sent):
            self._inbox.put(Delivery(topic, body, self._count))
            if n % 10 == 9:  # a tenth comes twice
                topic, body = self._sent[n // 2]
                self._inbox.put(Delivery(topic, body, self._count))

    def _count(self) -> None:
        self.acknowledged += 1
        self.done_at = time.monotonic()

    def _live(self) -> None:
        seq = 0
        while not self._stop.wait(1 / self._live_per_s):
            seq += 1
            topic, body = messages.sent(messages.vehicle(seq, "LIVE", "edge-live"), seq)
            made_at = time.monotonic()
            self._inbox.put(Delivery(topic, body, lambda at=made_at: self.late_s.append(time.monotonic() - at)))


def collect(store: Store, sent: list[Sent], live_per_s: float) -> dict[str, object]:
    """Rows a second, how late live messages were, and what memory did."""
    inbox: Inbox = queue.Queue(WAITING_MOST)
    feed = Memory(inbox, sent, live_per_s)
    collecting = Collecting(store, [feed], inbox, clock=lambda: NOW_NS)
    stop, wanted, memory_mb = threading.Event(), len(sent) + len(sent) // 10, list[float]()

    def watch() -> None:
        while feed.acknowledged < wanted:
            memory_mb.append(resident_mb())
            time.sleep(0.5)
        stop.set()

    watcher = threading.Thread(target=watch)
    began = time.monotonic()
    watcher.start()
    collecting.run(stop)
    watcher.join()
    took_s = feed.done_at - began
    total = collecting.totals
    late = sorted(feed.late_s)
    some = memory_mb[len(memory_mb) // 5 :]
    return {
        "rows_per_s": round(total.new / took_s),
        "messages_per_s": round(wanted / took_s),
        "new": total.new,
        "repeated": total.repeated,
        "live_late_s": {"median": round(late[len(late) // 2], 3), "most": round(late[-1], 3)} if late else None,
        "memory_mb": {"after_a_fifth": round(some[0]), "most": round(max(some)), "end": round(some[-1])},
    }


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def bare_copy(url: str, rows: list[Row], *, indexed: bool) -> float:
    """Rows a second of COPY, the values ready."""
    PostgresStore(url).close()
    columns = {kind: [*COMMON, *(column.name for column in of)] for kind, of in KIND_COLUMNS.items()}
    columns["axle"] = [*AXLE_KEY, *(column.name for column in AXLE_COLUMNS)]
    batches = [
        {kind: [values_of(row, AT) for row in of] for kind, of in by_kind(rows[at : at + BATCH_MOST]).items()}
        | {"axle": [axle for row in rows[at : at + BATCH_MOST] if row.kind == "vehicle" for axle in axles_of(row)]}
        for at in range(0, len(rows), BATCH_MOST)
    ]
    with psycopg.connect(url, autocommit=True) as db:
        store = PostgresStore(url)
        store._make_room(db, rows)
        store.close()
        if not indexed:
            for table in columns:
                db.execute(f"CREATE TABLE bare_{table} (LIKE {table})")
        began = time.monotonic()
        for batch in batches:
            with db.transaction(), db.cursor() as cursor:
                for table, values in batch.items():
                    name = table if indexed else f"bare_{table}"
                    with cursor.copy(f"COPY {name} ({', '.join(columns[table])}) FROM STDIN") as copy:
                        for row in values:
                            copy.write_row(row)
        return len(rows) / (time.monotonic() - began)


def databases(server: Postgres) -> Iterator[str]:
    while True:
        yield server.new_database()


def said(what: str, **figures: object) -> None:
    print(json.dumps({"what": what, **figures}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--computers", type=int, default=150)
    parser.add_argument("--messages", type=int, default=120_000)
    parser.add_argument("--live-per-s", type=float, default=50.0)
    told = parser.parse_args()
    sent = backlog(told.computers, told.messages)
    said("backlog", computers=told.computers, messages=len(sent))
    server = Postgres()
    server.start()
    new: Callable[[], str] = databases(server).__next__
    try:
        rows = rows_of(sent)
        plain = bare_copy(new(), rows, indexed=False)
        same = bare_copy(new(), rows, indexed=True)
        del rows
        said("bare COPY", rows_per_s=round(plain), rows_per_s_into_the_same_tables=round(same))
        found = collect(PostgresStore(new()), sent, told.live_per_s)
        rate = float(str(found["rows_per_s"]))
        shares = {"share_of_copy": round(rate / plain, 2), "share_of_copy_into_the_same_tables": round(rate / same, 2)}
        said("collect into PostgreSQL", **shares, **found, whole_outage_min=round(4_300_000 / rate / 60, 1))
    finally:
        server.remove()
    with tempfile.TemporaryDirectory() as directory:
        store = SqliteStore(Path(directory) / "centre.db")
        said("collect into SQLite", **collect(store, sent, told.live_per_s))
        store.close()


if __name__ == "__main__":
    main()
