"""A publisher that runs while a test looks on, towards any broker that has a `port`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from samples import status

from edge.config import Collector
from edge.delivery.journal import Journal
from edge.delivery.publisher import Publisher
from edge.messages import KINDS


class Port(Protocol):
    @property
    def port(self) -> int: ...


class Running:
    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self.alarms: list[tuple[str, str, str]] = []

    def note(self, name: str, code: str, state: str, severity: str, text: str) -> None:
        self.alarms.append((code, state, text))

    def text_of(self, code: str) -> str:
        return next((text for begun, state, text in self.alarms if (begun, state) == (code, "begin")), "")


@asynccontextmanager
async def publishing(journal: Journal, broker: Port, **options: object) -> AsyncIterator[Running]:
    values = {"name": "national", "url": f"mqtt://127.0.0.1:{broker.port}", "share": tuple(KINDS)} | options
    running: Running | None = None

    def on_alarm(*values: str) -> None:
        assert running is not None
        running.note(*values)

    publisher = Publisher(Collector(**values), journal, status, on_alarm, random=random.Random(7))  # type: ignore[arg-type]
    running = Running(publisher)
    task = asyncio.create_task(publisher.run())
    try:
        yield running
    finally:
        assert not task.done()  # whatever came, the task lives
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], timeout_s: float = 12.0) -> bool:
    for _ in range(int(timeout_s / 0.02)):
        if condition():
            return True
        await asyncio.sleep(0.02)
    return condition()
