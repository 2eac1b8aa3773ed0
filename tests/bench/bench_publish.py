"""`borderflow publish` for a day of many crossings: seconds of one core a format, beside a bare read of the rows.

    python -m tests.bench.bench_publish [CROSSINGS] [VEHICLES_A_LANE]

Each crossing has two lanes with flow every minute, and waits of four groups every minute. The baseline is a bare read
of the same rows by the database's own driver in the same run.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from contextlib import closing, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import lane_messages as messages

from edge.centre.arrival import Row, read
from edge.centre.sqlite_store import SqliteStore
from edge.cli import main
from edge.messages import Message, Site, topic_of, utc_text

DAY_NS = 1_790_035_200 * 1_000_000_000  # 2026-09-22T00:00Z
MINUTE_NS = 60_000_000_000
LANES = ("C01", "C02")


def crossing(port: str, vehicles: int) -> list[Message]:
    """One day of one crossing."""
    site = Site(country="CA", port=port)
    made: list[Message] = []
    for minute in range(1, 1441):
        at = DAY_NS + minute * MINUTE_NS
        for lane in LANES:
            made.append(msgspec.structs.replace(messages.flow(at, minute % 2, lane), site=site))
        for program in ("standard", "FAST"):
            for direction in ("inbound", "outbound"):
                wait = msgspec.structs.replace(
                    messages.wait(0), site=site, lane="_", time=utc_text(at), program=program, direction=direction
                )
                made.append(wait)
    for lane in LANES:
        for n in range(vehicles):
            at = DAY_NS + n * 1440 * MINUTE_NS // vehicles
            made.append(msgspec.structs.replace(messages.vehicle(0, lane), site=site, time=utc_text(at)))
    return made


def fill(path: Path, crossings: int, vehicles: int) -> int:
    """Gives the number of messages."""
    store, count = SqliteStore(path), 0
    for n in range(crossings):
        numbers: dict[str, int] = {}
        rows = []
        for message in crossing(f"{n:04d}", vehicles):
            seq = numbers[topic_of(message)] = numbers.get(topic_of(message), 0) + 1
            row = read(*messages.sent(message, seq), DAY_NS + 10**18)
            assert isinstance(row, Row)
            rows.append(row)
        store.write(rows, [], utc_text(DAY_NS))
        count += len(rows)
    store.close()
    return count


def bare(path: Path) -> float:
    """CPU seconds of reading the rows and axles and nothing else."""
    began = time.process_time()
    with closing(sqlite3.connect(path)) as db:
        for table in ("vehicle", "axle", "wait", "flow"):
            for _ in db.execute(f"SELECT * FROM {table}"):
                pass
    return time.process_time() - began


def run(crossings: int, vehicles: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "centre.db"
        count = fill(path, crossings, vehicles)
        baseline_s = bare(path)
        print(f"{crossings} crossings, {count} messages: a bare read takes {baseline_s:.1f} s")
        for shape in ("tmg", "csv", "parquet", "datex2"):
            began = time.process_time()
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
                out = str(Path(folder) / shape)
                status = main(["publish", str(path), "--day", "2026-09-22", "--format", shape, "--out", out])
            took_s = time.process_time() - began
            print(
                f"publish {shape}: {took_s:.1f} s of CPU, {took_s / baseline_s:.1f} times the bare read, exit {status}"
            )


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 20, int(sys.argv[2]) if len(sys.argv) > 2 else 300)
