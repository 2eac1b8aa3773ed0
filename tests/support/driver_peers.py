"""Scripted devices for the driver tests: small enough to be read, and they know only what the test tells them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tty
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeVar

from drivers.base import Driver
from drivers.events import DeviceState, Event, LinkState, Rejected
from drivers.session import keep_alive

Kind = TypeVar("Kind")


class Events(list[Event]):
    """Collects what a driver emits, and waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.append(event)
        self._changed.set()

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self if isinstance(event, kind)]

    @property
    def states(self) -> list[LinkState]:
        return [event.state for event in self.of(DeviceState)]

    async def until(self, condition: Callable[[], Any], timeout_s: float = 15.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_count(self, kind: type[Any], count: int) -> None:
        await self.until(lambda: len(self.of(kind)) >= count)

    async def until_state(self, state: LinkState) -> None:
        await self.until(lambda: self.states and self.states[-1] is state)


@contextlib.asynccontextmanager
async def running(driver: Driver) -> AsyncIterator[Events]:
    """The driver under `keep_alive`, as the daemon runs it."""
    events = Events()
    task = asyncio.create_task(keep_alive(driver, events))
    try:
        yield events
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()


async def eventually(condition: Callable[[], Any], timeout_s: float = 10.0) -> None:
    """Wait for what another task or thread is about to do."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


class Pty:
    """A serial line whose other end the test holds."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self.slave)
        self.received = bytearray()
        self._answers: list[Callable[[bytes], bytes]] = []
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.master, self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return
        self.received += data
        self._changed.set()
        for answer in self._answers:
            if reply := answer(data):
                self.send(reply)

    def on_data(self, answer: Callable[[bytes], bytes]) -> None:
        self._answers.append(answer)

    def send(self, data: bytes) -> None:
        os.write(self.master, data)

    async def until_received(self, data: bytes, timeout_s: float = 10.0) -> None:
        async with asyncio.timeout(timeout_s):
            while data not in self.received:
                self._changed.clear()
                await self._changed.wait()

    def unplug(self) -> None:
        if self.master >= 0:
            asyncio.get_running_loop().remove_reader(self.master)
            os.close(self.master)
            os.close(self.slave)
            self.master = -1


@contextlib.contextmanager
def pty() -> Iterator[Pty]:
    line = Pty()
    try:
        yield line
    finally:
        line.unplug()


@contextlib.asynccontextmanager
async def tcp_peer(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A device on loopback TCP; `talk` serves each connection. Yields the port."""
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.sleep(0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def in_chunks(codec: Any, data: bytes, sizes: Iterable[int], time_ns: int = 0) -> list[Any]:
    """Feed `data` cut into chunks of the given sizes, the rest in one."""
    out: list[Any] = []
    start = 0
    for size in sizes:
        if start >= len(data):
            break
        out += codec.feed(data[start : start + size], time_ns)
        start += size
    return out + codec.feed(data[start:], time_ns)


def without_rejects(records: Iterable[Any]) -> list[Any]:
    return [record for record in records if not isinstance(record, Rejected)]
