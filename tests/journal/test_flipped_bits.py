"""Bits flipped at rest, anywhere in the file of the journal: nothing changed is delivered, nothing hangs, and what is
missing is named, by topic and number.

`make flips` is the long run; here a few, and those that were seen to matter.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import time
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import msgspec
import pytest
from samples import ROOT, SITE, SOURCE, TIME_NS, mixed, status, vehicle

from edge.delivery.entry import Entry
from edge.delivery.evidence import Signer, new_signing_key, read_public_key
from edge.delivery.journal import Journal
from edge.delivery.loss_alarm import loss_alarm
from edge.delivery.proof import verify
from edge.messages import KINDS, Alarm, Gap, utc_text

FLIPS = int(os.environ.get("BORDERFLOW_FLIPS", "24"))
ALL = tuple(KINDS)
PAGE = 4096
HANGS_S = 30.0


@dataclass
class Journalled:
    """A journal at rest, and what it held: also acknowledged messages, a loss, and a reader in the middle."""

    directory: Path
    made: dict[tuple[str, str, int], bytes] = field(default_factory=dict)
    delivered: set[bytes] = field(default_factory=set)  # acknowledged by the collector before


def opened(directory: Path, alarms: list[str]) -> Journal:
    clock = count(TIME_NS + len(list(directory.iterdir())) * 10**12, 1_000_000)
    return Journal(
        directory / "journal.db", 100_000_000, lambda: next(clock), on_alarm=lambda *alarm: alarms.append(alarm[3]),
        explain=partial(loss_alarm, site=SITE, source=SOURCE), random=random.Random(4).randbytes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def journalled(tmp_path_factory: pytest.TempPathFactory) -> Journalled:
    directory = tmp_path_factory.mktemp("whole")
    found = Journalled(directory)
    journal = opened(directory, [])
    journal.register("national", ALL)
    for batch in range(12):
        for entry in journal.append([*mixed(40), status(True)]):
            found.made[entry.topic, entry.epoch, entry.seq] = entry.body
        if batch == 3:
            for entry in journal.next("national", 60):
                journal.acknowledge("national", entry)
                found.delivered.add(entry.body)
    journal.close()
    assert not (directory / "journal.db-wal").exists()
    return found


@dataclass
class Outcome:
    got: list[Entry]
    gaps: list[Gap]
    alarms: list[str]
    took_s: float


def after(journalled: Journalled, directory: Path, flips: list[tuple[int, int]]) -> Outcome:
    """What a daemon delivers that starts with the journal after these bits (byte, bit) were flipped."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(journalled.directory, directory)
    data = bytearray((directory / "journal.db").read_bytes())
    for at, bit in flips:
        data[at] ^= 1 << bit
    (directory / "journal.db").write_bytes(data)
    alarms: list[str] = []
    began_s = time.monotonic()
    journal = opened(directory, alarms)
    journal.register("national", ALL)
    got: list[Entry] = []
    for _ in range(4):  # what is met on the way is told by messages that come after
        journal.append([vehicle("C09")])
        while entries := journal.next("national", 20):
            for entry in entries:
                journal.acknowledge("national", entry)
            got += entries
        journal.flush()
    took_s = time.monotonic() - began_s
    assert journal.backlog("national").messages == 0
    for (
        topic,
        epoch,
        seq,
    ), body in journalled.made.items():  # and a collector that asks again gets the truth or nothing
        assert all(entry.body == body for entry in journal.replay(topic, epoch, seq, seq))
    journal.close()
    gaps = [
        gap
        for entry in got
        if entry.kind == "alarm" and isinstance(gap := msgspec.json.decode(entry.body, type=Alarm).gap, Gap)
    ]
    return Outcome(got, gaps, alarms, took_s)


def judge(journalled: Journalled, outcome: Outcome) -> list[str]:
    """What is wrong with it."""
    wrong: list[str] = []
    topics = {(topic, epoch) for topic, epoch, _ in journalled.made}
    for entry in outcome.got:
        said = journalled.made.get((entry.topic, entry.epoch, entry.seq))
        if said is not None and said != entry.body:
            wrong.append(f"{entry.topic} seq {entry.seq} came changed")
        if said is None and (entry.topic, entry.epoch) in topics:
            last = max(seq for topic, epoch, seq in journalled.made if (topic, epoch) == (entry.topic, entry.epoch))
            if entry.seq <= last:
                wrong.append(f"{entry.topic} seq {entry.seq} was never made")
    have = {entry.body for entry in outcome.got} | journalled.delivered
    for (topic, epoch, seq), body in journalled.made.items():
        if body not in have and not any(
            (gap.topic, gap.epoch) == (topic, epoch) and gap.from_seq <= seq <= gap.to_seq for gap in outcome.gaps
        ):
            wrong.append(f"{topic} seq {seq} is missing without a word")
    if outcome.took_s > HANGS_S:
        wrong.append(f"took {outcome.took_s:.0f} s")
    return wrong


def places(size: int, number: int, seed: int) -> list[tuple[int, int]]:
    """One bit in each page in turn, the first and busiest page more often."""
    noise = random.Random(seed)
    pages = size // PAGE
    return [
        ((0 if i % 8 == 0 else i * 7 % pages) * PAGE + noise.randrange(PAGE if i % 3 else 120), noise.randrange(8))
        for i in range(number)
    ]


@pytest.mark.timeout(60 + FLIPS)
def test_a_flipped_bit_anywhere_changes_nothing_that_is_delivered(journalled: Journalled, tmp_path: Path) -> None:
    size = (journalled.directory / "journal.db").stat().st_size
    found = {"noticed": 0, "missing": 0}
    for at, bit in places(size, FLIPS, 20261127):
        outcome = after(journalled, tmp_path / "flipped", [(at, bit)])
        wrong = judge(journalled, outcome)
        assert not wrong, f"byte {at} (page {at // PAGE + 1}, {at % PAGE}), bit {bit}: {wrong[:3]} {outcome.alarms}"
        found["noticed"] += bool(outcome.alarms or outcome.gaps)
        found["missing"] += sum(gap.count for gap in outcome.gaps)
    print(f"\n{FLIPS} flips: {found['noticed']} noticed, {found['missing']} messages named as lost")


def test_five_flipped_bits_at_once(journalled: Journalled, tmp_path: Path) -> None:
    size = (journalled.directory / "journal.db").stat().st_size
    noise = random.Random(5)
    for _ in range(max(5, FLIPS // 5)):
        flips = [(noise.randrange(size), noise.randrange(8)) for _ in range(5)]
        outcome = after(journalled, tmp_path / "flipped", flips)
        assert not judge(journalled, outcome), (flips, outcome.alarms)


def test_an_untouched_journal_raises_nothing(journalled: Journalled, tmp_path: Path) -> None:
    outcome = after(journalled, tmp_path / "whole", [])
    assert outcome.alarms == []
    assert outcome.gaps == []
    assert judge(journalled, outcome) == []
    fresh = [entry for entry in outcome.got if entry.topic == f"{ROOT}/C09/vehicle"]
    assert len(outcome.got) == len(journalled.made) - len(journalled.delivered) + len(fresh)


def test_a_changed_digit_is_never_sent_and_the_proof_holds_around_it(tmp_path: Path) -> None:
    """25,010 kg become 35,010 kg between two runs: set aside, counted, told with its number, and `verify` agrees."""
    public = read_public_key(new_signing_key(tmp_path / "sign.key"))
    signer = Signer(tmp_path / "sign.key")
    store = tmp_path / "store"
    store.mkdir()
    journal = opened(store, [])
    journal.register("national", ALL)
    made = journal.append([vehicle() for _ in range(20)])
    journal.append([signer.evidence(journal.heads(), site=SITE, source=SOURCE, time=utc_text(TIME_NS))])
    journal.close()
    path = store / "journal.db"
    data = path.read_bytes()
    at = data.index(made[7].body) + made[7].body.index(b"25010")
    path.write_bytes(data[:at] + b"3" + data[at + 1 :])
    alarms: list[str] = []
    journal = opened(store, alarms)
    journal.register("national", ALL)
    lines: list[bytes] = []
    for round in range(3):
        while entries := journal.next("national", 20):
            for entry in entries:
                journal.acknowledge("national", entry)
            lines += [entry.body for entry in entries]
        journal.flush()
        journal.append([signer.evidence(journal.heads(), site=SITE, source=SOURCE, time=utc_text(TIME_NS + 1 + round))])
    assert alarms == []  # no new epoch for one row
    assert journal.damaged == 1
    assert [loss.cause for loss in journal.losses()] == ["damaged"]
    told = [msgspec.json.decode(line, type=Alarm) for line in lines if b"journal_damaged" in line]
    assert [(alarm.gap.from_seq, alarm.gap.to_seq) for alarm in told if isinstance(alarm.gap, Gap)] == [(8, 8)]
    assert not any(b"35010" in line for line in lines)
    assert [entry.body in lines for entry in made] == [entry.seq != 8 for entry in made]
    proof = verify(lines, public)
    assert (proof.faults, proof.removed, proof.unproven) == ([], 1, 0)
    kept = sqlite3.connect(path).execute("SELECT body FROM set_aside").fetchall()
    assert b"35010" in kept[0][0]
    journal.close()
