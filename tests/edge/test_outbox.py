"""The outbox: order is kept, a disk that refuses is waited for, and the bound is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge.delivery import outbox as module
from edge.delivery.entry import JournalError
from edge.delivery.journal import Journal
from edge.delivery.outbox import Outbox
from edge.messages import Alarm, Message, Site


def alarm(number: int) -> Alarm:
    return Alarm(
        time="2026-11-24T10:00:00.000000Z",
        site=Site("CA", "0453"),
        lane="_",
        source="lane-1",
        code=str(number),
        state="begin",
        severity="info",
        text="",
        device=None,
    )


class Disk:
    """A journal whose disk can refuse."""

    def __init__(self) -> None:
        self.refuses = False
        self.stored: list[str] = []

    def append(self, messages: Sequence[Message]) -> list[object]:
        if self.refuses:
            raise JournalError("journal.db: cannot be written (disk full); check the disk")
        self.stored += [message.code for message in messages if isinstance(message, Alarm)]
        return []


async def test_messages_are_stored_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", 100_000_000, time.time_ns)
    outbox = Outbox(journal, lambda *_: None)
    outbox.put(alarm(number) for number in range(600))
    await outbox.flush()
    topic = "borderflow/v1/CA/0453/lane-1/_/alarm"
    entries = journal.replay(topic, journal.epoch, 1, 600, limit=600)
    assert [entry.seq for entry in entries] == list(range(1, 601))
    outbox.close()
    journal.close()


async def test_two_flushes_at_once_store_each_message_once() -> None:
    disk = Disk()
    outbox = Outbox(disk, lambda *_: None)  # type: ignore[arg-type]
    outbox.put(alarm(number) for number in range(1000))
    await asyncio.gather(outbox.flush(), outbox.flush())
    assert disk.stored == [str(number) for number in range(1000)]
    outbox.close()


async def test_a_disk_that_refuses_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY_S", 0.01)
    monkeypatch.setattr(module, "MOST_WAITING", 5)
    disk, told = Disk(), []
    outbox = Outbox(disk, lambda code, holds, text: told.append((code, holds, text)))  # type: ignore[arg-type]
    disk.refuses = True
    task = asyncio.create_task(outbox.run())
    outbox.put(alarm(number) for number in range(8))
    await asyncio.sleep(0.1)
    assert outbox.stuck_since is not None
    assert outbox.refused == 3
    disk.refuses = False
    await outbox.flush()
    assert disk.stored == ["0", "1", "2", "3", "4"]
    assert [(code, holds) for code, holds, _ in told] == [("journal_refused", True), ("journal_refused", False)]
    assert "3 messages were lost" in told[1][2]
    task.cancel()
    outbox.close()


async def test_who_asks_is_told_when_all_that_was_handed_over_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY_S", 0.01)
    monkeypatch.setattr(module, "MOST_WAITING", 5)
    disk = Disk()
    outbox = Outbox(disk, lambda *_: None)  # type: ignore[arg-type]
    writing = asyncio.create_task(outbox.run())
    assert await outbox.stored()  # nothing waits
    disk.refuses = True
    outbox.put([alarm(1)])
    asked = asyncio.create_task(outbox.stored())
    await asyncio.sleep(0.05)
    assert not asked.done()
    outbox.put(alarm(number) for number in range(2, 7))
    assert not await outbox.stored()  # the queue is full
    disk.refuses = False
    assert await asked
    assert "1" in disk.stored
    writing.cancel()
    outbox.close()
