"""SIGKILL of collector, broker and database in turn, under load: the database ends as the journals of the lanes.

`make soak-centre` does it for 10 minutes, every 20 s, and prints the table.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from centre_world import Centre, Computer, Database, kill_in_turn, load, until
from mosquitto import MOSQUITTO, Mosquitto
from postgres import BIN, Postgres

SECONDS = float(os.environ.get("BORDERFLOW_SOAK_SECONDS", "40"))
EVERY_S = float(os.environ.get("BORDERFLOW_SOAK_EVERY", "8"))
COMPUTERS, PER_S = 4, 25.0

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(MOSQUITTO is None or BIN is None, reason="needs mosquitto and PostgreSQL"),
    pytest.mark.timeout(SECONDS + 300),
]


@pytest.fixture
def server() -> Iterator[Postgres]:
    made = Postgres()
    made.start()
    yield made
    made.remove()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path)
    made.quiet()
    made.start()
    yield made
    made.kill()


async def test_all_three_killed_in_turn_under_load(server: Postgres, broker: Mosquitto, tmp_path: Path) -> None:
    database = Database(server.new_database())
    url = f"mqtt://127.0.0.1:{broker.port}"
    centre = Centre(tmp_path, "centre", [url, "--into", database.url, "--client-id", "centre-1"])
    computers = [Computer(tmp_path, f"edge-{n}", url) for n in range(COMPUTERS)]
    centre.start()
    assert await until(centre.connected, 30) is not None, centre.log.read_text()
    for computer in computers:
        computer.start()
    try:
        victims = [(centre.kill, centre.start), (broker.kill, broker.start), (server.kill, server.start)]
        kills, _ = await asyncio.gather(kill_in_turn(victims, SECONDS, EVERY_S), load(computers, SECONDS, PER_S))
        if not centre.is_alive():  # a start while the database was down: systemd would start it again
            centre.start()
        settled_s = await until(lambda: is_whole(database, computers), 120)
        report(database, computers, f"{kills} kills; whole {said(settled_s)} after the load ended")
        assert settled_s is not None
        assert database.rows() == len(database.holds())
        assert truth(computers) == database.holds()
        removed = database.remove_at_random(1000)
        assert removed >= min(1000, database.rows() // 2)
        back_s = await until(lambda: is_whole(database, computers), 90)
        print(f"{removed} rows deleted at random: back {said(back_s)}")
        assert back_s is not None
        assert database.rows() == len(database.holds())
        assert centre.end() == 0
    finally:
        centre.kill()
        for computer in computers:
            await computer.end()


def truth(computers: list[Computer]) -> dict[tuple[str, str, int], bytes]:
    return {number: body for computer in computers for number, body in computer.holds().items()}


def is_whole(database: Database, computers: list[Computer]) -> bool:
    """Every message of the journals is a row, and no gap is open."""
    wanted = sum(last for computer in computers for _, last, _ in computer.journal.heads().values())
    return database.rows() >= wanted and database.open_gaps() == 0


def said(seconds: float | None) -> str:
    return "never" if seconds is None else f"after {seconds:.1f} s"


def report(database: Database, computers: list[Computer], about: str) -> None:
    made = truth(computers)
    have, gaps = database.holds(), database.ask("SELECT state, count(*) FROM gap GROUP BY 1 ORDER BY 1")
    print(
        f"\n{about}\n  in the journals {len(made)}, rows {database.rows()}, distinct {len(have)}, "
        f"lost {len(made.keys() - have.keys())}, changed {sum(have.get(n, b) != b for n, b in made.items())}, "
        f"open gaps {database.open_gaps()}, of all gaps {gaps}"
    )
