"""The journal in one process: numbers, cursors, bounds, damage, migrations."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import ROOT, SITE, SOURCE, TIME_NS, alarm, flow, mixed, sighting, status, vehicle

from edge.delivery import layout, positions, store
from edge.delivery.bounds import DROP_ORDER
from edge.delivery.entry import Entry, JournalError, uuid7
from edge.delivery.journal import Journal
from edge.delivery.loss_alarm import loss_alarm
from edge.messages import KINDS, Alarm, Gap, Message

ALL = tuple(KINDS)


def ticking(start_ns: int = TIME_NS, step_ns: int = 1_000_000) -> Callable[[], int]:
    numbers = count(start_ns, step_ns)
    return lambda: next(numbers)


CLOCK = ticking()
RANDOM = random.Random(1)


def opened(path: Path, *, max_bytes: int = 100_000_000, alarms: list[str] | None = None, **options: object) -> Journal:
    sink = [] if alarms is None else alarms
    return Journal(
        path / "journal.db", max_bytes, CLOCK, random=RANDOM.randbytes,
        on_alarm=lambda code, state, severity, text: sink.append(f"{code}: {text}"), **options,  # type: ignore[arg-type]
    )  # fmt: skip


def drained(journal: Journal, collector: str, limit: int = 16) -> list[Entry]:
    """Everything that is handed out, acknowledged as it comes."""
    found: list[Entry] = []
    while entries := journal.next(collector, limit):
        for entry in entries:
            journal.acknowledge(collector, entry)
        found += entries
    return found


def in_order(entries: list[Entry]) -> bool:
    """Whether the messages of each topic come by seq."""
    topics = {entry.topic for entry in entries}
    rows = [[entry.seq for entry in entries if entry.topic == topic] for topic in topics]
    return all(row == sorted(row) for row in rows)


def test_messages_get_id_epoch_and_seq_by_topic(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    entries = journal.append([vehicle("C01"), vehicle("C02"), sighting("C01"), vehicle("C01")])
    assert [(entry.topic, entry.seq) for entry in entries] == [
        (f"{ROOT}/C01/vehicle", 1), (f"{ROOT}/C02/vehicle", 1), (f"{ROOT}/C01/sighting", 1), (f"{ROOT}/C01/vehicle", 2),
    ]  # fmt: skip
    for entry in entries:
        body = json.loads(entry.body)
        assert (body["id"], body["epoch"], body["seq"]) == (entry.id, journal.epoch, entry.seq)
        assert UUID(entry.id).version == 7
        assert entry.schema == body["schema"]
    assert len({entry.id for entry in entries}) == 4
    journal.close()


@given(time_ns=st.integers(0, (1 << 48) * 1_000_000 - 1), noise=st.binary(min_size=8, max_size=8))
def test_uuid7_carries_the_time(time_ns: int, noise: bytes) -> None:
    made = UUID(uuid7(time_ns, noise))
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert made.int >> 80 == time_ns // 1_000_000


@settings(max_examples=25, deadline=None)
@given(batches=st.lists(st.lists(st.sampled_from(["C01", "C02", "C03"]), max_size=6), max_size=12), data=st.data())
def test_seq_has_no_gap_through_restarts(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[str]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("restarts")
    seen: dict[str, list[int]] = {}
    journal = opened(path)
    epoch = journal.epoch
    for lanes in batches:
        for entry in journal.append([vehicle(lane) for lane in lanes]):
            seen.setdefault(entry.topic, []).append(entry.seq)
        if data.draw(st.booleans()):
            journal.close()
            journal = opened(path)
    assert journal.epoch == epoch
    journal.close()
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in seen.values())


def test_a_new_collector_begins_with_what_comes_and_an_old_one_goes_on(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.register("first", ALL)
    journal.append(mixed(20))
    journal.register("second", ALL)
    journal.append(mixed(8))
    assert journal.backlog("first").messages == 28
    assert journal.backlog("second").messages == 8
    assert len(drained(journal, "second")) == 8
    for entry in journal.next("first", 5):
        journal.acknowledge("first", entry)
    journal.close()

    journal = opened(tmp_path)
    journal.register("first", ALL)
    journal.register("second", ALL)
    assert journal.backlog("first").messages == 23
    assert journal.backlog("second") == journal.backlog("second").__class__(0, None)
    assert [entry.n for entry in drained(journal, "first")] == list(range(6, 29))
    journal.close()


def test_each_collector_gets_its_share_only(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.register("weights", ["vehicle", "alarm"])
    journal.register("flows", ["flow"])
    journal.append([*mixed(40), alarm()])
    assert journal.backlog("weights").messages == 11
    assert {entry.kind for entry in drained(journal, "weights")} == {"vehicle", "alarm"}
    assert {entry.kind for entry in drained(journal, "flows")} == {"flow"}
    journal.close()


def test_acknowledgements_may_come_in_any_order(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.register("a", ALL)
    journal.append(mixed(48))
    entries = journal.next("a", 16)
    rest = journal.next("a", 100)
    random.Random(2).shuffle(entries)
    for done, entry in enumerate(entries, 1):
        assert journal.acknowledge("a", entry)
        assert not journal.acknowledge("a", entry)
        assert journal.backlog("a").messages == 48 - done
    journal.resume("a")
    assert sorted(entry.n for entry in drained(journal, "a")) == sorted(entry.n for entry in rest)
    journal.close()


def test_unacknowledged_entries_come_again_after_resume(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.register("a", ALL)
    made = journal.append(mixed(40))
    assert journal.next("a", 16) == made[:16]
    assert journal.next("a", 100) == made[16:]
    assert journal.next("a", 100) == []
    journal.resume("a")
    assert journal.next("a", 100) == made
    journal.close()


def test_after_a_short_outage_order_is_kept(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.register("a", ALL)
    journal.append(mixed(400))
    journal.resume("a")
    journal.append(mixed(5))
    got = drained(journal, "a")
    assert sorted(entry.n for entry in got) == list(range(1, 406))
    assert in_order(got)
    journal.close()


def test_after_a_long_outage_live_goes_first_and_backlog_follows_in_order(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.register("a", ALL)
    journal.append(mixed(1000))
    journal.resume("a")
    backlog = journal.next("a", 8)
    assert all(entry.late for entry in backlog)
    live = journal.append(mixed(5))
    assert journal.next("a", 5) == live
    assert journal.next("a", 5, 0) == []
    for entry in [*live, *backlog]:
        journal.acknowledge("a", entry)
    assert journal.backlog("a").messages == 992

    journal.close()  # in the middle of the backlog: both positions are kept
    journal = opened(tmp_path)
    journal.register("a", ALL)
    journal.resume("a")
    got = drained(journal, "a")
    expected = set(range(1, 1001)) - {entry.n for entry in backlog}
    assert {entry.n for entry in got} == expected
    assert in_order(got)
    assert journal.backlog("a").messages == 0
    journal.close()


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_every_message_is_delivered_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Appends, partial acknowledgements, lost connections, parked kinds and restarts in any order."""
    path = tmp_path_factory.mktemp("any")
    short, positions._SHORT_OUTAGE = positions._SHORT_OUTAGE, 6  # outages get long soon
    try:
        journal = opened(path)
        journal.register("a", ("vehicle", "sighting"))
        made: set[int] = set()
        kinds: dict[int, str] = {}
        delivered: set[int] = set()
        for _ in range(data.draw(st.integers(1, 25))):
            action = data.draw(st.sampled_from(["append", "carry", "resume", "restart", "park"]))
            if action == "append":
                kinds |= {e.n: e.kind for e in journal.append(mixed(data.draw(st.integers(1, 12))))}
                made = {n for n, kind in kinds.items() if kind != "flow"}
            elif action == "carry":
                entries = journal.next("a", data.draw(st.integers(1, 16)), data.draw(st.none() | st.integers(0, 8)))
                for entry in data.draw(st.permutations(entries)):
                    if data.draw(st.booleans()):
                        journal.acknowledge("a", entry)
                        delivered.add(entry.n)
            elif action == "resume":
                journal.resume("a")
            elif action == "park":
                journal.rewind("a", "vehicle")
                assert all(entry.kind == "sighting" for entry in journal.next("a", 4, None, {"vehicle"}))
                journal.resume("a")
            else:
                journal.close()
                journal = opened(path)
                journal.register("a", ("vehicle", "sighting"))
                cursors = journal._positions.cursors("a")  # what was acknowledged out of order is sent again
                delivered -= {n for n in delivered if cursors[kinds[n]].is_pending(n)}
            assert journal.backlog("a").messages == len(made - delivered)
        journal.resume("a")
        assert {entry.n for entry in drained(journal, "a")} == made - delivered
        assert journal.backlog("a").messages == 0
        journal.close()
    finally:
        positions._SHORT_OUTAGE = short


def test_replay_gives_the_same_bytes_again(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.register("a", ALL)
    made = [entry for entry in journal.append(mixed(200)) if entry.topic == f"{ROOT}/C01/vehicle"]
    drained(journal, "a")
    again = journal.replay(f"{ROOT}/C01/vehicle", journal.epoch, 3, 7)
    assert [(entry.seq, entry.id, entry.body) for entry in again] == [(e.seq, e.id, e.body) for e in made[2:7]]
    assert len(journal.replay(f"{ROOT}/C01/vehicle", journal.epoch, 1, 1 << 80, limit=4)) == 4
    assert journal.replay(f"{ROOT}/C01/vehicle", "other", 1, 9) == []
    assert journal.replay("no/such/topic", journal.epoch, 1, 9) == []
    journal.close()


def test_only_the_newest_of_a_topic_is_newest(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    first, second = journal.append([status(True), status(False)])
    assert not journal.is_newest(first)
    assert journal.is_newest(second)
    journal.close()


def test_what_nobody_has_goes_in_the_documented_order(tmp_path: Path) -> None:
    """At the bound: status, flow and sightings before vehicles; every loss counted, stored and logged."""
    alarms: list[str] = []
    journal = opened(tmp_path, max_bytes=2_000_000, alarms=alarms)
    journal.register("a", ALL)
    made: dict[str, list[Entry]] = {kind: [] for kind in ALL}
    for _ in range(110):
        for entry in journal.append([*mixed(40), status(True)]):
            made[entry.kind].append(entry)
    size = sum(file.stat().st_size for file in tmp_path.glob("journal.db*"))
    assert size < 2_000_000 + 4_194_304 + 100_000  # the file, its log of at most 4 MiB, the shared memory
    assert journal.path.stat().st_size <= 2_000_000
    left = drained(journal, "a")
    kept = {kind: {entry.n for entry in left if entry.kind == kind} for kind in ALL}
    lost_kinds = [kind for kind in DROP_ORDER if len(kept[kind]) < len(made[kind])]
    assert lost_kinds == [kind for kind in DROP_ORDER if made[kind]][: len(lost_kinds)]
    assert "status" in lost_kinds
    assert "flow" in lost_kinds
    lost = sum(len(made[kind]) - len(kept[kind]) for kind in ALL)
    assert sum(loss.messages for loss in journal.losses()) == lost > 0
    assert alarms == []
    for kind in lost_kinds:  # what is left is the end of each topic, without a hole
        topics = {entry.topic for entry in made[kind]}
        for topic in topics:
            seqs = [entry.seq for entry in left if entry.topic == topic]
            last = max(entry.seq for entry in made[kind] if entry.topic == topic)
            assert seqs == list(range(last - len(seqs) + 1, last + 1))
            ranges = [loss for loss in journal.losses() if loss.topic == topic]
            assert sum(loss.messages for loss in ranges) == last - len(seqs)
    assert journal.backlog("a").messages == 0
    journal.close()


def test_every_gap_is_explained_by_a_message(tmp_path: Path) -> None:
    """A collector that was away: what it misses of each topic is exactly what the alarms say was dropped, also when the
    journal was killed between the loss and its message."""
    options: dict[str, object] = {"explain": partial(loss_alarm, site=SITE, source=SOURCE)}
    journal = opened(tmp_path, max_bytes=2_000_000)  # as if killed: losses, and nobody who tells of them
    journal.register("a", ALL)
    for _ in range(110):
        journal.append(mixed(40))
    assert journal.losses()
    journal.close()
    journal = opened(tmp_path, max_bytes=2_000_000, **options)
    journal.register("a", ALL)
    for _ in range(60):
        journal.append(mixed(40))
    seen: dict[str, set[int]] = defaultdict(set)
    gaps: list[Gap] = []
    for entry in drained(journal, "a"):
        seen[entry.topic].add(entry.seq)
        if entry.kind == "alarm":
            gap = msgspec.json.decode(entry.body, type=Alarm).gap
            assert isinstance(gap, Gap)
            gaps.append(gap)
    dropped: dict[str, set[int]] = defaultdict(set)
    for gap in gaps:
        numbers = set(range(gap.from_seq, gap.to_seq + 1))
        assert gap.epoch == journal.epoch
        assert len(numbers) == gap.count  # nothing was delivered in between here
        dropped[gap.topic] |= numbers
    for topic, (_, last, _) in journal.heads().items():
        assert set(range(1, last + 1)) - seen[topic] == dropped[topic]
    assert f"{ROOT}/_/alarm" in dropped  # explanations were dropped too, and told again
    journal.close()


def test_a_loss_is_told_when_the_disk_has_room_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened(tmp_path, max_bytes=1_000_000, explain=partial(loss_alarm, site=SITE, source=SOURCE))
    journal.register("a", ALL)
    append, refuse = journal._append, True

    def full(messages: list[Message], explained: int | None = None) -> list[Entry]:
        if explained is not None and refuse:
            raise sqlite3.OperationalError("database or disk is full")
        return append(messages, explained)

    monkeypatch.setattr(journal, "_append", full)
    while not journal.losses():
        journal.append(mixed(40))
    assert "_/alarm" not in str(journal.heads())
    refuse = False
    journal.append([vehicle()])
    assert f"{ROOT}/_/alarm" in journal.heads()
    told = journal.heads()[f"{ROOT}/_/alarm"][1]
    journal.append([vehicle()])
    assert journal.heads()[f"{ROOT}/_/alarm"][1] == told
    journal.close()


def test_acknowledged_messages_go_before_any_loss(tmp_path: Path) -> None:
    alarms: list[str] = []
    journal = opened(tmp_path, max_bytes=2_000_000, alarms=alarms)
    journal.register("a", ALL)
    for _ in range(150):
        journal.append(mixed(40))
        drained(journal, "a")
    assert journal.path.stat().st_size <= 2_000_000
    assert journal.losses() == []
    assert alarms == []
    journal.close()


def test_retention_keeps_acknowledged_messages_for_its_time(tmp_path: Path) -> None:
    now = [TIME_NS]
    journal = Journal(tmp_path / "journal.db", 100_000_000, lambda: now[0], retention_s=100.0)
    journal.register("a", ALL)
    journal.register("slow", ["flow"])
    journal.append([*mixed(40)])
    drained(journal, "a")
    now[0] += 99 * 10**9
    journal.maintain()
    assert len(journal.replay(f"{ROOT}/C01/vehicle", journal.epoch, 1, 99)) > 0
    assert journal.serves_from() == {}
    now[0] += 2 * 10**9
    journal.maintain()
    assert journal.replay(f"{ROOT}/C01/vehicle", journal.epoch, 1, 99) == []
    assert journal.serves_from() == {  # flows stay, for who is slow
        f"{ROOT}/{lane}/{kind}": first for lane in ("C01", "C02") for kind, first in (("vehicle", 6), ("sighting", 11))
    }
    assert len(drained(journal, "slow")) == 10  # not acknowledged by all: never deleted for its age
    journal.append([vehicle("C01")])
    assert journal.next("a", 1)[0].seq == 6  # seq goes on although the topic was empty
    journal.close()


def test_a_message_too_large_for_the_bound_is_refused_and_nothing_is_broken(tmp_path: Path) -> None:
    journal = opened(tmp_path, max_bytes=1_000_000)
    journal.register("a", ALL)
    journal.append([vehicle()])
    with pytest.raises(JournalError, match=r"journal\.db: cannot be written"):
        journal.append([alarm("x" * 2_000_000)])
    (after,) = journal.append([alarm()])
    assert after.seq == 1  # the refused message has no number
    journal.close()


@pytest.mark.parametrize("damage", ["garbage", "half", "empty", "text", "flipped"])
def test_a_damaged_file_is_set_aside_and_work_goes_on(tmp_path: Path, damage: str) -> None:
    journal = opened(tmp_path)
    journal.register("a", ALL)
    made = journal.append(mixed(2000))
    first_epoch = journal.epoch
    path = journal.path
    journal.close()
    data = path.read_bytes()
    noise = random.Random(3)
    path.write_bytes(
        {
            "garbage": noise.randbytes(len(data)),
            "half": data[: len(data) // 2],
            "empty": b"",
            "text": b"not a database at all\n" * 1000,
            "flipped": data[:40_960] + noise.randbytes(40_960) + data[81_920:],
        }[damage]
    )
    alarms: list[str] = []
    journal = opened(tmp_path, alarms=alarms)
    journal.register("a", ALL)
    assert journal.epoch != first_epoch
    assert len(alarms) == (0 if damage == "empty" else 1)
    if alarms:
        assert alarms[0].startswith(f"journal_corrupt: {path} is damaged")
        assert len(list(tmp_path.glob("journal.db.bad-*"))) >= 1
    fresh = journal.append(mixed(10))
    assert fresh[0].seq == 1
    assert fresh[0].n > made[-1].n  # an acknowledgement from before cannot hit a new entry
    got = drained(journal, "a")
    known = {entry.id: entry.body for entry in made}
    saved = [entry for entry in got if entry.epoch == first_epoch]
    assert all(known[entry.id] == entry.body for entry in saved)
    assert sorted(entry.n for entry in got if entry.epoch == journal.epoch) == [entry.n for entry in fresh]
    if damage in ("half", "flipped"):
        assert len(saved) > 200  # what can be read is delivered, with its old epoch and seq
        again = journal.replay(saved[0].topic, first_epoch, saved[0].seq, saved[0].seq)
        assert again[0].body == saved[0].body
    journal.close()


def test_damage_while_running_begins_a_new_epoch(tmp_path: Path) -> None:
    alarms: list[str] = []
    journal = opened(tmp_path, alarms=alarms)
    journal.register("a", ALL)
    journal.append(mixed(3000))
    epoch = journal.epoch
    journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with journal.path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    journal._db.execute("PRAGMA cache_size = 0")
    journal._db.execute("PRAGMA shrink_memory")
    fresh = journal.append(mixed(5))
    assert journal.epoch != epoch
    assert fresh[0].seq == 1
    assert alarms[0].startswith("journal_corrupt")
    got = [entry.n for entry in drained(journal, "a") if entry.epoch == journal.epoch]
    assert sorted(got) == [entry.n for entry in fresh]
    journal.close()


def test_a_log_that_lost_its_end_gets_a_new_epoch(tmp_path: Path) -> None:
    """The write-ahead log is cut: the same seq must not be given twice for different messages."""
    journal = opened(tmp_path)
    journal.register("a", ALL)
    made = journal.append(mixed(30))
    wal = journal.path.with_name("journal.db-wal").read_bytes()
    database = journal.path.read_bytes()
    journal.append(mixed(30))
    epoch = journal.epoch
    journal.close()
    journal.path.write_bytes(database)
    journal.path.with_name("journal.db-wal").write_bytes(wal)
    alarms: list[str] = []
    journal = opened(tmp_path, alarms=alarms)
    journal.register("a", ALL)
    assert alarms[0].startswith("journal_shortened: ")
    assert journal.epoch != epoch
    (fresh,) = journal.append([vehicle("C01")])
    assert (fresh.seq, fresh.epoch) == (1, journal.epoch)
    assert [entry.body for entry in drained(journal, "a")] == [entry.body for entry in [*made, fresh]]
    journal.close()


def test_an_older_layout_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages without a seal are told by their chain: a changed one is found there too."""
    journal = opened(tmp_path)
    journal.register("a", ALL)
    made = journal.append(mixed(40))
    journal.close()
    db = sqlite3.connect(tmp_path / "journal.db")
    for table in ("log", "topics", "spans", "losses", "meta"):
        db.execute(f"ALTER TABLE {table} DROP COLUMN seal")
    db.executescript(
        "ALTER TABLE topics DROP COLUMN floor; ALTER TABLE losses DROP COLUMN cause; DROP TABLE set_aside;"
        "UPDATE log SET body = cast(replace(body, '25010', '35010') AS BLOB) WHERE n = 9; PRAGMA user_version = 2"
    )
    db.close()
    alarms: list[str] = []
    journal = opened(tmp_path, alarms=alarms, explain=partial(loss_alarm, site=SITE, source=SOURCE))
    journal.register("a", ALL)
    got = drained(journal, "a")
    assert [entry.body for entry in got] == [entry.body for entry in made if entry.n != 9]
    journal.flush()
    told = [(loss.topic, loss.from_seq, loss.to_seq, loss.cause) for loss in journal.losses()]
    assert told == [(made[8].topic, made[8].seq, made[8].seq, "damaged")]
    assert journal.epoch == made[0].epoch
    assert alarms == []
    journal.close()


@pytest.mark.parametrize("changed_by", ["added", "rebuilt"])
def test_a_newer_layout_is_used_where_it_only_adds_and_set_aside_where_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed_by: str
) -> None:
    """A computer that goes back a version works on; the newer version finds its file again."""
    journal = opened(tmp_path)
    journal.register("a", ALL)
    made = journal.append(mixed(10))
    journal.close()
    added = "ALTER TABLE meta ADD COLUMN note TEXT; CREATE TABLE more (x)"
    rebuilt = "ALTER TABLE log RENAME COLUMN body TO packed"
    with monkeypatch.context() as patch:
        patch.setattr(layout, "MIGRATIONS", (*layout.MIGRATIONS, added if changed_by == "added" else rebuilt))
        layout.bring_up_to_date(db := store.connect(tmp_path / "journal.db"))
        db.close()
    alarms: list[str] = []
    journal = opened(tmp_path, alarms=alarms)
    journal.register("a", ALL)
    fresh = journal.append([vehicle("C09")])
    got = drained(journal, "a")
    if changed_by == "added":
        assert [entry.body for entry in got] == [entry.body for entry in [*made, *fresh]]
        assert alarms == []
    else:
        assert [entry.body for entry in got] == [fresh[0].body]
        assert alarms[0].startswith("journal_set_aside: ")
        (aside,) = tmp_path.glob("journal.db.newer-*[0-9]")
        assert aside.name in alarms[0]
        assert sqlite3.connect(aside).execute("SELECT count(packed) FROM log").fetchone() == (10,)
        assert journal.epoch != made[0].epoch
    journal.close()
    journal = opened(tmp_path, alarms=alarms)  # and again: it stays so
    assert len(alarms) == (changed_by == "rebuilt")
    journal.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened(tmp_path)
    journal.append(mixed(10))
    journal.close()
    with monkeypatch.context() as patch:
        patch.setattr(layout, "MIGRATIONS", (*layout.MIGRATIONS, "CREATE TABLE x (y); SELECT nonsense"))
        with pytest.raises(JournalError, match="cannot be brought from layout 3 to 4"):
            opened(tmp_path)
    journal = opened(tmp_path)
    assert journal.append(mixed(1))[0].seq == 3
    journal.close()


def test_two_daemons_cannot_share_a_journal(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    with pytest.raises(JournalError, match="another borderflow"):
        opened(tmp_path)
    journal.close()
    opened(tmp_path).close()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"file/store.*check \[store\] path"):
        Journal(tmp_path / "file" / "store" / "journal.db", 10_000_000, time.time_ns)


def test_writers_and_readers_in_many_threads(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", 100_000_000, time.time_ns)
    journal.register("a", ALL)
    woken = threading.Event()
    stop = journal.listen(woken.set)
    made: list[Entry] = []
    lock = threading.Lock()

    def write(lane: str) -> None:
        for _ in range(50):
            entries = journal.append([vehicle(lane), flow(lane)])
            with lock:
                made.extend(entries)

    def keep_house() -> None:
        for _ in range(30):
            journal.flush()
            journal.maintain()

    threads = [threading.Thread(target=write, args=(f"C{i}",)) for i in range(4)] + [
        threading.Thread(target=keep_house)
    ]
    for thread in threads:
        thread.start()
    got: list[Entry] = []
    while any(thread.is_alive() for thread in threads):
        got += drained(journal, "a")
    for thread in threads:
        thread.join()
    got += drained(journal, "a")
    assert woken.is_set()
    stop()
    assert sorted(entry.n for entry in got) == sorted(entry.n for entry in made) == list(range(1, 401))
    journal.close()


def test_the_newest_message_of_a_topic_is_found_again_after_a_restart(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    assert journal.last(f"{ROOT}/_/status") is None
    journal.append([*mixed(8), status(True), *mixed(8)])
    (newest,) = journal.append([status(False, "shutdown")])
    journal.append(mixed(8))
    journal.close()
    journal = opened(tmp_path)
    found = journal.last(f"{ROOT}/_/status")
    assert found is not None
    assert found.body == newest.body
    journal.close()
