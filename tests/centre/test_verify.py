"""`borderflow verify DATABASE`: what the collector stored is proven by the signed heads it stored."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from samples import SITE, SOURCE, TIME_NS, mixed

from edge.centre.arrival import Row, read
from edge.centre.sqlite_store import SqliteStore
from edge.cli import main
from edge.delivery.evidence import Signer, new_signing_key
from edge.delivery.journal import Journal
from edge.messages import utc_text


@pytest.fixture
def proven(tmp_path: Path) -> tuple[Path, Path]:
    """A database with 80 messages and two signed heads, and the public key of their computer."""
    public = new_signing_key(tmp_path / "sign.key")
    signer, clock = Signer(tmp_path / "sign.key"), count(TIME_NS, 1_000_000)
    journal = Journal(tmp_path / "journal.db", 10_000_000, lambda: next(clock))
    entries = []
    for round in range(2):
        entries += journal.append(mixed(40))
        time = utc_text(TIME_NS + round)
        entries += journal.append([signer.evidence(journal.heads(), site=SITE, source=SOURCE, time=time)])
    journal.close()
    store = SqliteStore(tmp_path / "centre.db")
    rows = [read(entry.topic, entry.body, TIME_NS + 10**15) for entry in entries]
    store.write([row for row in rows if isinstance(row, Row)], [], utc_text(TIME_NS))
    store.close()
    return tmp_path / "centre.db", public


def test_a_database_is_proven(proven: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    database, key = proven
    assert main(["verify", "--key", str(key), str(database)]) == 0
    assert "81 messages proven" in capsys.readouterr().out


def test_a_changed_row_and_a_removed_row_are_found(
    proven: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    database, key = proven
    with closing(sqlite3.connect(database)) as db, db:
        topic, seq, body = db.execute("SELECT topic, seq, body FROM vehicle WHERE seq > 1 LIMIT 1").fetchone()
        said = json.loads(body)
        said["gross_kg"] += 1000
        changed = json.dumps(said, separators=(",", ":"))
        db.execute("UPDATE vehicle SET body = ? WHERE topic = ? AND seq = ?", (changed, topic, seq))
    assert main(["verify", "--key", str(key), str(database)]) == 1
    assert "was changed" in capsys.readouterr().out
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("DELETE FROM vehicle WHERE topic = ? AND seq = ?", (topic, seq))
    assert main(["verify", "--key", str(key), str(database)]) == 1
    assert f"seq {seq} missing" in capsys.readouterr().out


def test_a_key_that_signed_nothing_there_proves_nothing(
    proven: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = new_signing_key(tmp_path / "other.key")
    assert main(["verify", "--key", str(other), str(proven[0])]) == 1
    assert "[evidence]" in capsys.readouterr().err
