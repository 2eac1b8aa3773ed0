"""Computers at their lanes and collectors at the centre as processes, for tests that kill what stands between them.

A computer is a real journal with a real publisher; what its journal holds is the truth for the database.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import lane_messages as messages
import psycopg

from edge.config import Collector
from edge.delivery.journal import Journal
from edge.delivery.publisher import Publisher
from edge.messages import KINDS, Message, Status, utc_text

Number = tuple[str, str, int]  # topic, epoch, seq


class Computer:
    """One computer with two lanes; `url` is its broker, `options` what its configuration says of it beyond that."""

    def __init__(self, directory: Path, source: str, url: str, **options: Any) -> None:
        self.source = source
        self.journal = Journal(directory / f"{source}.db", 1_000_000_000, time.time_ns)
        values = {"name": "national", "url": url, "share": tuple(KINDS)} | options
        self.publisher = Publisher(Collector(**values), self.journal, self._status)
        self._n = int(time.time() - messages.START_NS / 1e9) // 30 - 100  # vehicles of these days
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self.publisher.run())

    async def make(self, count: int) -> None:
        made: list[Message] = []
        for i in range(count):
            self._n += i == 0
            lane = ("C01", "C02")[i % 2]
            maker = messages.wait if i % 4 == 3 else messages.vehicle
            made.append(maker(self._n if maker is messages.vehicle else self._n // 2, lane, self.source))
        await asyncio.to_thread(self.journal.append, made)

    def holds(self) -> dict[Number, bytes]:
        """What the journal has: number → body."""
        return {
            (topic, epoch, entry.seq): entry.body
            for topic, (epoch, last, _) in self.journal.heads().items()
            for entry in self.journal.replay(topic, epoch, 1, last, limit=10_000_000)
        }

    async def end(self) -> None:
        await self.publisher.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.journal.close()

    def _status(self, online: bool, cause: str | None = None) -> Status:
        now = utc_text(time.time_ns())
        return Status(
            time=now, site=messages.SITE, lane="_", source=self.source, online=online, since=now, version="0",
            devices={}, backlog={}, cause=cause,
        )  # fmt: skip


class Centre:
    """`borderflow collect` as a process that can be killed; its words stand in `log`."""

    def __init__(self, directory: Path, name: str, words: Sequence[str]) -> None:
        self.log = directory / f"{name}.log"
        self._command = [sys.executable, "-m", "edge", "collect", *words]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stderr=log)

    def connected(self) -> bool:
        with suppress(FileNotFoundError):
            return ": connected" in self.log.read_text()
        return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def end(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(15)


class Database:
    """The centre's PostgreSQL as a reader sees it, through its deaths."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with suppress(psycopg.Error), psycopg.connect(self.url, connect_timeout=5) as db:
            cursor = db.execute(query)
            return cursor.fetchall() if cursor.description else []
        return []

    def rows(self) -> int:
        """Of all kinds, repeats counted."""
        union = " UNION ALL ".join(f"SELECT count(*) FROM {kind}" for kind in KINDS)
        return sum(count for (count,) in self.ask(union))

    def holds(self) -> dict[Number, bytes]:
        union = " UNION ALL ".join(f"SELECT topic, epoch, seq, body::text FROM {kind}" for kind in KINDS)
        return {(topic, epoch, seq): body.encode() for topic, epoch, seq, body in self.ask(union)}

    def open_gaps(self) -> int:
        return sum(count for (count,) in self.ask("SELECT count(*) FROM gap WHERE state = 'open'"))

    def remove_at_random(self, count: int) -> int:
        """Delete so many vehicles, as somebody's mistake would; how many went."""
        some = f"SELECT topic, epoch, seq FROM vehicle ORDER BY random() LIMIT {count}"
        query = f"WITH gone AS (DELETE FROM vehicle WHERE (topic, epoch, seq) IN ({some}) RETURNING 1)"
        return int(self.ask(f"{query} SELECT count(*) FROM gone")[0][0])


async def load(computers: Iterable[Computer], seconds: float, per_s: float) -> None:
    """Every computer makes messages, in bursts as traffic has them."""
    chance, end = random.Random(13), time.monotonic() + seconds
    while time.monotonic() < end:
        for computer in computers:
            await computer.make(chance.randint(1, max(1, round(per_s))))
        await asyncio.sleep(0.5)


async def kill_in_turn(
    victims: Sequence[tuple[Callable[[], None], Callable[[], None]]],
    seconds: float,
    every_s: float,
    down_s: float = 1.0,
) -> int:
    """Each victim (kill, start) in its turn, and up again after `down_s`; how often."""
    kills, end = 0, time.monotonic() + seconds
    while time.monotonic() + every_s < end:
        await asyncio.sleep(every_s - down_s)
        kill, start = victims[kills % len(victims)]
        await asyncio.to_thread(kill)
        await asyncio.sleep(down_s)
        await asyncio.to_thread(start)
        kills += 1
    return kills


async def until(true: Callable[[], bool], seconds: float) -> float | None:
    """After how many seconds it was true; None where it was not."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if await asyncio.to_thread(true):
            return time.monotonic() - began
        await asyncio.sleep(0.25)
    return None
