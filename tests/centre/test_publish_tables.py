"""Open data: CSV and Parquet hold the same, hide small counts and every pseudonym, and say what they are worth."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

import lane_messages as messages
import msgspec
import pytest

from edge.centre.arrival import Row, read
from edge.centre.database import reading_of
from edge.centre.local_day import HOUR_NS, zone_of
from edge.centre.publish.day import Site as Crossing
from edge.centre.publish.day import SiteDay
from edge.centre.publish.tables import TABLES
from edge.centre.sqlite_store import SqliteStore
from edge.cli import main
from edge.messages import Experienced, Identity, Message, Site, topic_of, utc_text

DAY_NS = 1_790_035_200 * 1_000_000_000  # 2026-09-22T00:00Z
PSEUDONYM = "5e0f" * 8


def made() -> list[Message]:
    """Seven vehicles of class 6 and two of class 5 in the first hour, flow of two hours, waits of few and of many."""
    vehicles = [messages.vehicle(n) for n in range(9)]
    vehicles[7:] = [
        msgspec.structs.replace(v, class_=msgspec.structs.replace(v.class_, code="5")) for v in vehicles[7:]
    ]
    seen = (Identity(medium="rfid", pseudonym=PSEUDONYM),)
    found: list[Message] = [
        msgspec.structs.replace(v, time=utc_text(DAY_NS + n * 60_000_000_000), identities=seen)
        for n, v in enumerate(vehicles)
    ]
    for minute in range(1, 121):
        found.append(messages.flow(DAY_NS + minute * 60_000_000_000, 1 if minute <= 9 else 0))
    for n, count in enumerate((3, 8)):
        experienced = Experienced(count=count, median_s=700.0, p10_s=600.0, p90_s=800.0, p95_s=810.0)
        at = utc_text(DAY_NS + (n + 1) * 60_000_000_000)
        found.append(msgspec.structs.replace(messages.wait(n), experienced=experienced, time=at))
    return found


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "centre.db"
    store, numbers, rows = SqliteStore(path), dict[str, int](), []
    for port in ("0453", "=cmd"):
        for message in made():
            here = msgspec.structs.replace(message, site=Site(country="CA", port=port))
            seq = numbers[topic_of(here)] = numbers.get(topic_of(here), 0) + 1
            got = read(*messages.sent(here, seq), DAY_NS + 10**18)
            assert isinstance(got, Row)
            rows.append(got)
    store.write(rows, [], utc_text(DAY_NS))
    store.close()
    return path


def publish(database: Path, shape: str, out: Path) -> int:
    return main(["publish", str(database), "--day", "2026-09-22", "--format", shape, "--out", str(out)])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_small_counts_and_what_is_made_of_them_are_hidden(database: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert publish(database, "csv", out) == 0
    few, many = (r for r in rows_of(out / "vehicles_hourly_2026-09-22.csv") if r["port"] == "0453")
    assert (few["class_code"], few["vehicles"], few["hidden"], few["mean_gross_kg"]) == ("5", "", "true", "")
    assert (many["class_code"], many["vehicles"], many["hidden"]) == ("6", "7", "false")
    assert float(many["mean_gross_kg"]) == pytest.approx(20_903.0)
    assert float(many["mean_gross_sigma_kg"]) == pytest.approx(140 / 7**0.5, abs=0.1)
    assert (many["coverage"], many["looked_at_minutes"]) == ("counted", "60")
    few, many = (r for r in rows_of(out / "waits_2026-09-22.csv") if r["port"] == "0453")
    assert (few["experienced_count"], few["experienced_median_s"], few["expected_s"]) == ("", "", "600.0")
    assert (many["experienced_count"], many["experienced_median_s"]) == ("8", "700.0")
    covered = [r["coverage"] for r in rows_of(out / "coverage_hourly_2026-09-22.csv") if r["port"] == "0453"]
    assert covered == ["counted", "no_traffic"] + ["missing"] * 22


def test_every_column_is_in_the_dictionary_with_a_meaning(database: Path, tmp_path: Path) -> None:
    assert publish(database, "csv", tmp_path) == 0
    told = {(row["table"], row["column"]): row for row in rows_of(tmp_path / "dictionary.csv")}
    for table in TABLES:
        head = (tmp_path / f"{table.name}_2026-09-22.csv").read_text().splitlines()[0].split(",")
        assert head == [column.name for column in table.columns]
        assert all(told[table.name, column]["meaning"] for column in head)
    assert told["waits", "expected_s"]["unit"] == "s"


def test_no_pseudonym_and_nothing_that_a_spreadsheet_would_run(database: Path, tmp_path: Path) -> None:
    assert publish(database, "csv", tmp_path / "csv") == 0
    assert publish(database, "parquet", tmp_path / "parquet") == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != tmp_path]
    assert len(files) == 7
    for path in files:
        assert PSEUDONYM.encode() not in path.read_bytes()
    assert {row["port"] for row in rows_of(tmp_path / "csv/waits_2026-09-22.csv")} == {"0453", "'=cmd"}


def test_parquet_holds_the_same_in_folders_of_country_and_day(database: Path, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    assert publish(database, "csv", tmp_path / "csv") == 0
    assert publish(database, "parquet", tmp_path / "parquet") == 0
    for table in TABLES:
        (path,) = (tmp_path / "parquet" / table.name).rglob("*.parquet")
        assert path.parent == tmp_path / "parquet" / table.name / "country=CA" / "day=2026-09-22"
        there = duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall()[0]
        assert there == (len(rows_of(tmp_path / "csv" / f"{table.name}_2026-09-22.csv")),)
        codecs = duckdb.sql(f"SELECT DISTINCT compression FROM parquet_metadata('{path}')").fetchall()
        assert codecs == [("ZSTD",)]
    (path,) = (tmp_path / "parquet/vehicles_hourly").rglob("*.parquet")
    found = duckdb.sql(f"SELECT vehicles, hidden, mean_gross_kg FROM '{path}' WHERE port = '0453'").fetchall()
    assert found == [(None, True, None), (7, False, 20903.0)]


@pytest.mark.parametrize("shape", ["csv", "parquet"])
def test_the_same_database_gives_the_same_bytes(database: Path, tmp_path: Path, shape: str) -> None:
    for name in ("a", "b"):
        assert publish(database, shape, tmp_path / name) == 0
        with closing(sqlite3.connect(database)) as db:
            db.execute("VACUUM")
    names = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_hours_that_are_not_over_say_nothing(database: Path) -> None:
    with reading_of(str(database)) as reading:
        crossing = Crossing("CA", "0453", "", zone_of("UTC"))
        day = SiteDay(reading, crossing, date(2026, 9, 22), until_ns=DAY_NS + HOUR_NS)
        assert [row.state for row in day.covered] == ["counted"]


@pytest.mark.parametrize(("hours", "said"), [(20, "2026-09-22 is not over there"), (50, "")])
def test_a_day_that_is_not_over_is_said(
    hours: int, said: str, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("time.time_ns", lambda: DAY_NS + hours * 3600 * 10**9)
    assert publish(database, "csv", tmp_path / "out") == 0
    told = capsys.readouterr().err
    assert said in told
    assert bool(told) == bool(said)


def test_a_day_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["publish", "centre.db", "--day", "yesterday", "--format", "csv", "--out", str(tmp_path)])
    assert "'yesterday' is no day" in capsys.readouterr().err
