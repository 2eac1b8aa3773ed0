"""Rows, repeats and gaps, in SQLite and in PostgreSQL, also across a restart."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import lane_messages as messages
import psycopg
import pytest
from postgres import BIN, Postgres

from edge.centre.arrival import Rejected, Row, read
from edge.centre.columns import AXLE_COLUMNS, AXLE_KEY, COMMON, KIND_COLUMNS
from edge.centre.postgres_store import PostgresStore
from edge.centre.sqlite_store import SqliteStore
from edge.centre.store import Store, StoreError

NOW_NS = messages.START_NS + 10**18
AT = "2026-11-27T12:00:00.000000Z"


def row(seq: int, epoch: str = "e1") -> Row:
    got = read(*messages.sent(messages.vehicle(seq), seq, epoch), NOW_NS)
    assert isinstance(got, Row)
    return got


class Database:
    """One of the two kinds, empty; `ask` reads it as anybody would, while the store is open."""

    def __init__(self, kind: str, place: str) -> None:
        self.kind, self.place = kind, place

    def open(self) -> Store:
        return SqliteStore(Path(self.place)) if self.kind == "sqlite" else PostgresStore(self.place)

    def ask(self, query: str) -> list[tuple[object, ...]]:
        if self.kind == "sqlite":
            with closing(sqlite3.connect(self.place)) as file, file:
                return file.execute(query).fetchall()
        with psycopg.connect(self.place) as server:
            cursor = server.execute(query)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres | None]:
    if BIN is None:
        yield None
        return
    made = Postgres()
    made.start()
    yield made
    made.remove()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path, server: Postgres | None) -> Database:
    if request.param == "sqlite":
        return Database("sqlite", str(tmp_path / "centre.db"))
    if server is None:
        pytest.skip("PostgreSQL is not installed")
    return Database("postgres", server.new_database())


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    made = database.open()
    yield made
    made.close()


def gaps(store: Store) -> list[tuple[int, int]]:
    store.settle(AT)
    return [(gap.from_seq, gap.to_seq) for gap in store.open_gaps()]


def test_the_tables_have_the_columns_of_the_list(store: Store, database: Database) -> None:
    wanted = {kind: [*COMMON, *(column.name for column in columns)] for kind, columns in KIND_COLUMNS.items()}
    wanted["axle"] = [*AXLE_KEY, *(column.name for column in AXLE_COLUMNS)]
    query = "SELECT name FROM pragma_table_info('{}')"
    if database.kind == "postgres":
        query = "SELECT column_name FROM information_schema.columns WHERE table_name = '{}' ORDER BY ordinal_position"
    for table, columns in wanted.items():
        assert [name for (name,) in database.ask(query.format(table))] == columns


def test_a_reader_sees_what_was_written_while_the_writer_goes_on(store: Store, database: Database) -> None:
    assert store.write([row(1), row(2)], [], AT).new == 2
    query = "SELECT gross_kg, class_code, n, load_kg FROM vehicle JOIN axle USING (topic, epoch, seq) WHERE n = 2"
    assert sorted(database.ask(query)) == [(20901.0, "6", 2, 7800.0), (20902.0, "6", 2, 7800.0)]


def test_a_repeat_is_counted_and_changes_nothing(store: Store, database: Database) -> None:
    store.write([row(1), row(1), row(2)], [], AT)
    again = store.write([row(2), row(1)], [], AT)
    assert (again.new, again.repeated) == (0, 2)
    assert database.ask("SELECT count(*) FROM vehicle") == [(2,)]


def test_gaps_open_split_and_are_filled(store: Store, database: Database) -> None:
    store.write([row(5), row(10)], [], AT)
    assert gaps(store) == [(1, 4), (6, 9)]
    store.close_gaps((row(5).topic, "e1"), (1, 4), "lost", "asked 10 times", AT)
    store.asked(store.open_gaps(), AT)
    store.write([row(7)], [], AT)
    assert gaps(store) == [(6, 6), (8, 9)]
    assert [gap.asked_times for gap in store.open_gaps()] == [1, 1]
    store.write([row(9), row(6), row(8)], [], AT)
    assert gaps(store) == []
    assert {state for (state,) in database.ask("SELECT state FROM gap WHERE from_seq > 5")} == {"filled"}


def test_another_epoch_is_no_gap_and_numbers_count_from_1(store: Store) -> None:
    store.write([row(n) for n in range(1, 6)], [], AT)
    store.write([row(1, "e2")], [], AT)
    assert gaps(store) == []
    store.write([row(4, "e3")], [], AT)
    assert gaps(store) == [(1, 3)]


def test_an_explained_gap_is_closed_where_it_is_open(store: Store, database: Database) -> None:
    store.write([row(1), row(9)], [], AT)
    assert gaps(store) == [(2, 8)]
    assert store.close_gaps((row(1).topic, "e1"), (4, 20), "explained", "journal_dropped", AT) == 5
    assert gaps(store) == [(2, 3)]
    assert database.ask("SELECT from_seq, to_seq, state, reason FROM gap WHERE state != 'open'") == [
        (4, 8, "explained", "journal_dropped")
    ]


def test_any_order_any_batches_and_restarts_end_the_same(database: Database) -> None:
    chance = random.Random(7)
    numbers = [n for n in range(1, 200) if n % 13] * 2
    chance.shuffle(numbers)
    at = 0
    while at < len(numbers):
        store = database.open()
        for _ in range(3):
            size = chance.randrange(1, 40)
            store.write([row(n) for n in numbers[at : at + size]], [], AT)
            at += size
        store.settle(AT)
        store.close()
    assert database.ask("SELECT count(*), count(DISTINCT seq) FROM vehicle") == [(184, 184)]
    missing = database.ask("SELECT from_seq, to_seq FROM gap WHERE state = 'open' ORDER BY from_seq")
    assert missing == [(n, n) for n in range(13, 199, 13)]


def test_a_last_will_is_the_last_word_and_no_row(store: Store, database: Database) -> None:
    for message, seq in ((messages.status(1), 1), (messages.status(5, online=False), 0), (messages.status(3), 2)):
        got = read(*messages.sent(message, seq), NOW_NS)
        assert isinstance(got, Row)
        store.write([got], [], AT)
    assert [not online for (online,) in database.ask("SELECT online FROM presence")] == [True]
    assert database.ask("SELECT count(*) FROM status") == [(2,)]


def test_a_will_that_was_made_long_before_is_the_last_word_until_the_computer_speaks_again(
    store: Store, database: Database
) -> None:
    def say(*said: tuple[messages.Status, int]) -> bool:
        got = [read(*messages.sent(message, seq), NOW_NS) for message, seq in said]
        store.write([row for row in got if isinstance(row, Row)], [], AT)
        ((online,),) = database.ask("SELECT online FROM presence")
        return bool(online)

    will = (messages.status(0, online=False), 0)  # made when the connection began
    assert say((messages.status(60), 3))
    assert not say(will)
    assert not say((messages.status(30), 2))  # a replay of what was before
    assert say((messages.status(90), 4))
    assert not say((messages.status(120), 5), will)  # in one batch, in the order of arrival
    assert say(will, (messages.status(150), 6), (messages.status(30), 2))


def test_what_was_given_up_and_comes_all_the_same_is_filled_or_explained(store: Store, database: Database) -> None:
    store.write([row(10)], [], AT)
    store.settle(AT)
    place = (row(1).topic, "e1")
    store.close_gaps(place, (1, 9), "lost", "asked for 10 times, never came", AT)
    store.write([row(4)], [], AT)
    got = read(*messages.sent(messages.dropped(place[0], "e1", 6, 7), 1), NOW_NS)
    assert isinstance(got, Row)
    store.write([got], [], AT)
    assert gaps(store) == []
    assert database.ask("SELECT from_seq, to_seq, state, reason FROM gap WHERE epoch = 'e1' ORDER BY from_seq") == [
        (1, 3, "lost", "asked for 10 times, never came"),
        (4, 4, "filled", None),
        (5, 5, "lost", "asked for 10 times, never came"),
        (6, 7, "explained", "journal_dropped"),
        (8, 9, "lost", "asked for 10 times, never came"),
    ]


def test_the_same_rows_removed_again_and_again_always_come_back(store: Store, database: Database) -> None:
    store.write([row(n) for n in range(1, 21)], [], AT)
    store.settle(AT)
    for removed, back in (((5, 7), [5, 6, 7]), ((5, 9), [5, 6, 7]), ((4, 7), [5, 6, 7, 4])):
        database.ask(f"DELETE FROM vehicle WHERE seq BETWEEN {removed[0]} AND {removed[1]}")
        store.audit(AT)
        for seq in back:
            store.write([row(seq)], [], AT)
            store.settle(AT)
    assert gaps(store) == [(8, 9)]


def test_what_was_refused_is_kept(store: Store, database: Database) -> None:
    refused = read("borderflow/v1/CA/0453/edge-1/C03/vehicle", b"no", NOW_NS)
    assert isinstance(refused, Rejected)
    store.write([], [refused], AT)
    assert [(reason, bytes(body)) for reason, body in database.ask("SELECT reason, body FROM rejected")] == [
        ("schema", b"no")
    ]


def test_a_second_writer_another_database_and_a_newer_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "centre.db"
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


def test_rows_that_somebody_removed_are_missing(store: Store, database: Database) -> None:
    store.write([row(n) for n in range(1, 51)], [], AT)
    store.audit(AT)
    assert gaps(store) == []
    store.settle(AT)
    database.ask("DELETE FROM vehicle WHERE seq IN (1, 7, 8, 50)")
    store.audit(AT)
    assert gaps(store) == [(1, 1), (7, 8), (50, 50)]
    store.write([row(n) for n in (1, 7, 8, 50)], [], AT)
    assert gaps(store) == []
    assert database.ask("SELECT count(*) FROM vehicle") == [(50,)]


def test_an_alarm_of_the_same_computer_explains_a_gap(store: Store) -> None:
    store.write([row(1), row(9)], [], AT)
    topic = row(1).topic
    for source, still in (("edge-2", [(2, 8)]), ("edge-1", [(2, 4)])):
        told = messages.dropped(topic, "e1", 5, 8, source=source)
        got = read(*messages.sent(told, 1), NOW_NS)
        assert isinstance(got, Row)
        store.write([got], [], AT)
        assert gaps(store) == still


def test_several_collectors_share_postgres_and_one_leads(database: Database) -> None:
    if database.kind == "sqlite":
        pytest.skip("one process writes SQLite")
    one, other = database.open(), database.open()
    assert (one.leads(), other.leads()) == (True, False)
    rows = [row(n) for n in range(1, 101)]
    there = [rows[at : at + 20] for at in range(0, 100, 10)]
    back = [batch[::-1] for batch in reversed(there)]

    def write_all(store: Store, batches: list[list[Row]]) -> int:
        return sum(store.write(batch, [], AT).new for batch in batches)

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(write_all, (one, other), (there, back))) == 100
    assert gaps(one) == []
    one.close()
    assert any(other.leads() or time.sleep(0.05) for _ in range(100))  # when the server has seen the end of the first
    other.close()


def test_a_server_that_dies_is_taken_up_again_and_nothing_is_half_written(database: Database, server: Postgres) -> None:
    if database.kind == "sqlite":
        pytest.skip("a file has no server")
    store = database.open()
    store.write([row(1)], [], AT)
    server.kill()
    with pytest.raises(StoreError):
        store.write([row(2), row(3)], [], AT)
    server.start()
    assert store.write([row(2), row(3)], [], AT).new == 2
    assert gaps(store) == []
    assert database.ask("SELECT seq FROM vehicle ORDER BY seq") == [(1,), (2,), (3,)]
    store.close()


def test_a_late_message_of_a_month_that_went_is_taken_all_the_same(database: Database) -> None:
    if database.kind == "sqlite":
        pytest.skip("SQLite has no partitions")
    store = database.open()
    assert isinstance(store, PostgresStore)
    store.write([row(1), row(100_000)], [], AT)
    assert store.drop_before("2026-10")
    with pytest.raises(StoreError, match="partition"):  # once, and the collector tries the batch again
        store.write([row(2)], [], AT)
    assert store.write([row(2)], [], AT).new == 1
    store.close()


def test_old_months_go_and_their_messages_do_not_come_again(database: Database) -> None:
    if database.kind == "sqlite":
        pytest.skip("SQLite has no partitions")
    store = database.open()
    assert isinstance(store, PostgresStore)
    rows = [row(n) for n in (1, 2, 100_000)]  # the last one in October
    store.write(rows, [], AT)
    assert "vehicle_2026_09" in store.drop_before("2026-10")
    assert store.write(rows, [], AT).new == 0
    assert database.ask("SELECT seq FROM vehicle") == [(100_000,)]
    before = gaps(store)
    store.audit(AT)
    assert gaps(store) == before
    store.close()
