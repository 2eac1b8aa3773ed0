"""The listener of all readers that push: many at once, several devices on a port, and hosts that mean no good."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import ClassVar

import pytest
from driver_peers import free_port

from drivers import http_listener
from drivers.base import DeviceError, Driver, Emit, Options
from drivers.http_listener import listening
from drivers.http_posts import Request

POST = "POST {path} HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: {length}\r\n\r\n"


def post(
    body: bytes = b"x", path: str = "/a", fields: str = "Connection: close\r\n", length: int | None = None
) -> bytes:
    return POST.format(path=path, fields=fields, length=len(body) if length is None else length).encode() + body


class Reader(Driver):
    """A driver that notes what it is handed."""

    Options: ClassVar[type[Options]] = Options
    schemes = ("http",)

    def __init__(self, name: str, url: str, hosts: tuple[str, ...] = ()) -> None:
        super().__init__(name, url, Options())
        self.hosts = hosts
        self.bodies: list[bytes] = []
        self.rejected: Counter[str] = Counter()
        self.pause_s = 0.0

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        raise NotImplementedError

    async def take(self, request: Request, time_ns: int) -> bool:
        await asyncio.sleep(self.pause_s)
        (body,) = request.documents
        if body == b"fault":
            raise ZeroDivisionError
        self.bodies.append(body)
        return body != b"full"

    @contextlib.asynccontextmanager
    async def listens(self) -> AsyncIterator[asyncio.Future[None]]:
        async with listening(self, self.hosts, self.take, lambda reason: self.rejected.update([reason])) as fault:
            yield fault


async def said(port: int, data: bytes) -> bytes:
    """What is answered until the listener closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(), 10)
        return b""
    finally:
        writer.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_none_of_many_posts_at_once_is_lost() -> None:
    port = free_port()
    reader = Reader("lpr", f"http://127.0.0.1:{port}/a")
    reader.pause_s = 0.02
    async with reader.listens():
        answers = await asyncio.gather(*(said(port, post(b"%d" % number)) for number in range(600)))
    assert {answer.split(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}
    assert sorted(map(int, reader.bodies)) == list(range(600))
    assert not reader.rejected


async def test_requests_one_after_the_other_and_what_is_not_taken() -> None:
    port = free_port()
    reader = Reader("lpr", f"http://127.0.0.1:{port}/a")
    kept = post(b"one", fields="")
    async with reader.listens():
        answer = await said(port, kept + kept + post(b"full", fields="") + kept)
    assert [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP")] == [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 503 Service Unavailable",
    ]
    assert b"Retry-After" in answer
    assert reader.bodies == [b"one", b"one", b"full"]


async def test_devices_share_a_port_by_path_and_by_host() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    a, b, rest = Reader("a", url + "/a"), Reader("b", url + "/b", ("127.0.0.1",)), Reader("rest", url)
    far = Reader("far", url + "/b", ("192.0.2.9",))
    async with a.listens(), b.listens(), rest.listens(), far.listens():
        for path in ("/a?x=1", "/b", "/c"):
            await said(port, post(path.encode(), path))
        for name in ("/a", "/b", ""):
            with pytest.raises(DeviceError, match="cannot listen there"):
                async with Reader("again", url + name).listens():
                    pass
    assert (a.bodies, b.bodies, rest.bodies, far.bodies) == ([b"/a?x=1"], [b"/b"], [b"/c"], [])
    async with far.listens():
        assert await said(port, post(path="/b")) == b""
    assert far.rejected == {"foreign_host": 1}
    assert a.rejected + b.rejected + rest.rejected == Counter()


async def test_a_fault_of_the_driver_ends_its_session_and_is_answered_503() -> None:
    port = free_port()
    reader = Reader("lpr", f"http://127.0.0.1:{port}/a")
    async with reader.listens() as fault:
        assert b" 503 " in await said(port, post(b"fault"))
        with pytest.raises(ZeroDivisionError):
            await fault


async def test_a_connection_that_rests_is_no_fault_and_one_that_breaks_off_is() -> None:
    port = free_port()
    reader = Reader("lpr", f"http://127.0.0.1:{port}/a")
    async with reader.listens():
        answers, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(fields=""))
        await answers.readuntil(b"\r\n\r\n")
        writer.close()
        _, silent = await asyncio.open_connection("127.0.0.1", port)
        silent.close()
        await asyncio.sleep(0.05)
        assert not reader.rejected
        _, broken = await asyncio.open_connection("127.0.0.1", port)
        broken.write(post(length=100))
        broken.close()
        await until(lambda: reader.rejected)
    assert reader.rejected == {"http_cut_short": 1}


async def test_a_request_that_takes_for_ever_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_listener, "QUIET_S", 0.1)
    port = free_port()
    reader = Reader("lpr", f"http://127.0.0.1:{port}/a")
    async with reader.listens():
        _, resting = await asyncio.open_connection("127.0.0.1", port)
        assert b" 408 " in await said(port, post(length=100))
        resting.write(post())
        await until(lambda: reader.bodies)
        resting.close()
    assert reader.rejected == {"http_too_slow": 1}


async def test_a_thousand_connections_keep_nobody_out() -> None:
    port = free_port()
    reader = Reader("lpr", f"http://127.0.0.1:{port}/a")
    crowd = []
    try:
        async with reader.listens():
            for number in range(600):
                one = socket.create_connection(("127.0.0.1", port))
                one.sendall(b"POST /a HTTP/1.1\r\n" if number % 2 else b"")
                crowd.append(one)
            began = time.monotonic()
            assert b" 200 " in await said(port, post(b"plate"))
            assert time.monotonic() - began < 5.0
        assert reader.bodies == [b"plate"]
        assert set(reader.rejected) == {"http_too_many_connections"}
    finally:
        for one in crowd:
            one.close()


async def test_who_sends_without_a_pause_keeps_nobody_waiting() -> None:
    loop, turns = asyncio.get_running_loop(), []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(bytes(100_000))
        for _ in range(2):
            loop.call_soon(turns.append, None)
            await http_listener._received(ours)
    assert len(turns) == 2


async def test_what_waits_for_the_disk_counts_and_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_listener, "MOST_HELD_BYTES", 1 << 20)
    port = free_port()
    reader = Reader("lpr", f"http://127.0.0.1:{port}/a")
    reader.pause_s = 0.3
    async with reader.listens():
        two = [asyncio.create_task(said(port, post(bytes(500_000)))) for _ in range(2)]
        await asyncio.sleep(0.1)
        assert b" 503 " in await said(port, post(bytes(500_000)))
        assert all(b" 200 " in answer for answer in await asyncio.gather(*two))
    assert reader.rejected == {"http_too_much_at_once": 1}


async def test_the_connection_that_holds_most_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_listener, "MOST_HELD_BYTES", 4 << 20)
    port = free_port()
    reader = Reader("lpr", f"http://127.0.0.1:{port}/a")
    async with reader.listens():
        hogs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        for _, writer in hogs:
            writer.write(post(bytes(1_500_000), length=8_000_000))
        answers = [asyncio.create_task(hog.read()) for hog, _ in hogs]
        await until(lambda: reader.rejected)
        assert b" 200 " in await said(port, post(bytes(400_000)))
        for _, writer in hogs:
            writer.close()
        assert sum(b" 503 " in answer for answer in await asyncio.gather(*answers)) >= 1
    assert reader.rejected["http_too_much_at_once"] >= 1
    assert [len(body) for body in reader.bodies] == [400_000]
