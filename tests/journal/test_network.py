"""Lines that are slow, stall and break: a proxy of the test between publisher and broker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

import pytest
from fault_broker import FaultBroker
from samples import mixed, status

from edge.config import Collector
from edge.delivery.journal import Journal
from edge.delivery.publisher import Publisher

SHARE = ("vehicle", "sighting", "flow", "status")


class Line:
    """A TCP proxy: every chunk is late by `latency_s`; a share of the chunks breaks the connection or stalls it."""

    def __init__(self, port: int, *, latency_s: float = 0.0, breaks: float = 0.0, stall_s: float = 0.0) -> None:
        self._target = port
        self._latency_s, self._breaks, self._stall_s = latency_s, breaks, stall_s
        self._noise = random.Random(11)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Line:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *rest: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            with suppress(ConnectionError, asyncio.CancelledError):
                await asyncio.wait(
                    {
                        asyncio.ensure_future(self._carry(reader, far_writer)),
                        asyncio.ensure_future(self._carry(far_reader, writer)),
                    },
                    return_when=asyncio.FIRST_COMPLETED,
                )
            far_writer.close()
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, data = await waiting.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                if not data:
                    return
                if self._noise.random() < 0.1:
                    await asyncio.sleep(self._stall_s)
                if self._noise.random() < self._breaks:
                    writer.write(data[: len(data) // 2])  # in the middle of a packet
                    return
                writer.write(data)

        async def take() -> None:
            data = b"-"
            while data:
                data = await reader.read(4096)
                waiting.put_nowait((loop.time() + self._latency_s, data))

        taking = asyncio.ensure_future(take())
        try:
            await deliver()
        finally:
            taking.cancel()


async def until(condition: Callable[[], bool], timeout_s: float = 40.0) -> bool:
    for _ in range(int(timeout_s / 0.02)):
        if condition():
            return True
        await asyncio.sleep(0.02)
    return condition()


@pytest.mark.parametrize(
    ("count", "line"),
    [(60, {"latency_s": 1.0}), (400, {"latency_s": 0.005, "breaks": 0.03, "stall_s": 0.05})],
    ids=["two seconds there and back", "breaks and stalls"],
)
async def test_a_bad_line_loses_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, count: int, line: dict[str, float]
) -> None:
    monkeypatch.setattr("edge.delivery.attempts.WAIT_FIRST_S", 0.02)
    monkeypatch.setattr("edge.delivery.attempts.WAIT_EARLY_S", 0.1)
    monkeypatch.setattr("edge.delivery.attempts.SHORT_LIVES", 1_000_000)
    async with FaultBroker() as broker, Line(broker.port, **line) as proxy:
        collector = Collector(name="far", url=f"mqtt://127.0.0.1:{proxy.port}", share=SHARE)
        publisher = Publisher(collector, journal, status)
        task = asyncio.create_task(publisher.run())
        made = journal.append(mixed(count))
        assert await until(lambda: publisher.backlog().messages == 0)
        assert {entry.body for entry in made} <= {publish.payload for publish in broker.delivered()}
        if "breaks" in line:
            assert publisher.counts.connections > 2
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
