"""Rows, repeats and gaps in SQLite, also across a restart."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge.centre.arrival import Rejected, Row, read
from edge.centre.columns import AXLE_COLUMNS, AXLE_KEY, COMMON, KIND_COLUMNS
from edge.centre.sqlite_store import SqliteStore
from edge.centre.store import StoreError

from . import messages

NOW_NS = messages.START_NS + 10**18
AT = "2026-11-27T12:00:00.000000Z"


def row(seq: int, epoch: str = "e1") -> Row:
    got = read(*messages.sent(messages.vehicle(seq), seq, epoch), NOW_NS)
    assert isinstance(got, Row)
    return got


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "centre.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(path)
    yield made
    made.close()


def asked(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


def gaps(store: SqliteStore) -> list[tuple[int, int]]:
    return [(gap.from_seq, gap.to_seq) for gap in store.open_gaps()]


def test_the_tables_have_the_columns_of_the_list(store: SqliteStore, path: Path) -> None:
    wanted = {kind: [*COMMON, *(column.name for column in columns)] for kind, columns in KIND_COLUMNS.items()}
    wanted["axle"] = [*AXLE_KEY, *(column.name for column in AXLE_COLUMNS)]
    for table, columns in wanted.items():
        assert [name for _, name, *_ in asked(path, f"PRAGMA table_info({table})")] == columns


def test_a_reader_sees_what_was_written_while_the_writer_goes_on(store: SqliteStore, path: Path) -> None:
    assert store.write([row(1), row(2)], [], AT).new == 2
    query = "SELECT gross_kg, class_code, flags, count(*) FROM vehicle JOIN axle USING (topic, epoch, seq) GROUP BY seq"
    assert asked(path, query) == [(20901.0, "6", '["speed_change"]', 3), (20902.0, "6", '["speed_change"]', 3)]


def test_a_repeat_is_counted_and_changes_nothing(store: SqliteStore, path: Path) -> None:
    store.write([row(1), row(1), row(2)], [], AT)
    again = store.write([row(2), row(1)], [], AT)
    assert (again.new, again.repeated) == (0, 2)
    assert asked(path, "SELECT count(*) FROM vehicle") == [(2,)]


def test_gaps_open_split_and_are_filled(store: SqliteStore, path: Path) -> None:
    store.write([row(5), row(10)], [], AT)
    assert gaps(store) == [(1, 4), (6, 9)]
    store.close_gaps((row(5).topic, "e1"), (1, 4), "lost", "asked 10 times", AT)
    store.asked(store.open_gaps(), AT)
    store.write([row(7)], [], AT)
    assert gaps(store) == [(6, 6), (8, 9)]
    assert [gap.asked_times for gap in store.open_gaps()] == [1, 1]
    store.write([row(9), row(6), row(8)], [], AT)
    assert gaps(store) == []
    assert {state for (state,) in asked(path, "SELECT state FROM gap WHERE from_seq > 5")} == {"filled"}


def test_another_epoch_is_no_gap_and_numbers_count_from_1(store: SqliteStore) -> None:
    store.write([row(n) for n in range(1, 6)], [], AT)
    store.write([row(1, "e2")], [], AT)
    assert gaps(store) == []
    store.write([row(4, "e3")], [], AT)
    assert gaps(store) == [(1, 3)]


def test_an_explained_gap_is_closed_where_it_is_open(store: SqliteStore, path: Path) -> None:
    store.write([row(1), row(9)], [], AT)
    assert store.close_gaps((row(1).topic, "e1"), (4, 20), "explained", "journal_dropped", AT) == 5
    assert gaps(store) == [(2, 3)]
    assert asked(path, "SELECT from_seq, to_seq, state, reason FROM gap WHERE state != 'open'") == [
        (4, 8, "explained", "journal_dropped")
    ]


def test_any_order_any_batches_and_restarts_end_the_same(path: Path) -> None:
    chance = random.Random(7)
    numbers = [n for n in range(1, 200) if n % 13] * 2
    chance.shuffle(numbers)
    at = 0
    while at < len(numbers):
        store = SqliteStore(path)
        for _ in range(3):
            size = chance.randrange(1, 40)
            store.write([row(n) for n in numbers[at : at + size]], [], AT)
            at += size
        store.close()
    assert asked(path, "SELECT count(*), count(DISTINCT seq) FROM vehicle") == [(184, 184)]
    missing = asked(path, "SELECT from_seq, to_seq FROM gap WHERE state = 'open' ORDER BY from_seq")
    assert missing == [(n, n) for n in range(13, 199, 13)]


def test_a_last_will_is_the_last_word_and_no_row(store: SqliteStore, path: Path) -> None:
    for message, seq in ((messages.status(1), 1), (messages.status(5, online=False), 0), (messages.status(3), 2)):
        got = read(*messages.sent(message, seq), NOW_NS)
        assert isinstance(got, Row)
        store.write([got], [], AT)
    assert asked(path, "SELECT online FROM presence") == [(0,)]
    assert asked(path, "SELECT count(*) FROM status") == [(2,)]


def test_what_was_refused_is_kept(store: SqliteStore, path: Path) -> None:
    refused = read("borderflow/v1/CA/0453/edge-1/C03/vehicle", b"no", NOW_NS)
    assert isinstance(refused, Rejected)
    store.write([], [refused], AT)
    assert asked(path, "SELECT reason, body FROM rejected") == [("schema", b"no")]


def test_a_second_writer_another_database_and_a_newer_one_are_refused(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="another process writes"):
        SqliteStore(path)
    store.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer"):
        SqliteStore(path)
    with closing(sqlite3.connect(tmp_path / "other.db")) as db:
        db.execute("CREATE TABLE mine (x)")
    with pytest.raises(StoreError, match="another program"):
        SqliteStore(tmp_path / "other.db")
    (tmp_path / "text.db").write_text("no database at all, but long enough to be looked at as one")
    with pytest.raises(StoreError):
        SqliteStore(tmp_path / "text.db")


def test_rows_that_somebody_removed_are_missing(store: SqliteStore, path: Path) -> None:
    store.write([row(n) for n in range(1, 51)], [], AT)
    store.audit(AT)
    assert gaps(store) == []
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM vehicle WHERE seq IN (1, 7, 8, 50)")
        db.commit()
    store.audit(AT)
    assert gaps(store) == [(1, 1), (7, 8), (50, 50)]
    store.write([row(n) for n in (1, 7, 8, 50)], [], AT)
    assert gaps(store) == []
    assert asked(path, "SELECT count(*) FROM vehicle") == [(50,)]


def test_an_alarm_of_the_same_computer_explains_a_gap(store: SqliteStore) -> None:
    store.write([row(1), row(9)], [], AT)
    topic = row(1).topic
    for source, still in (("edge-2", [(2, 8)]), ("edge-1", [(2, 4)])):
        told = messages.dropped(topic, "e1", 5, 8, source=source)
        got = read(*messages.sent(told, 1), NOW_NS)
        assert isinstance(got, Row)
        store.write([got], [], AT)
        store.explain_gaps(AT)
        assert gaps(store) == still
