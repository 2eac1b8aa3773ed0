"""The one HTTP listener of all readers that push: devices connect, this computer answers.

In: what devices post; out: each whole request to the `take` of the driver at whose path it came, and 200 or 503 back as
that says. Drivers on one port share it, each with a path or with hosts of its own. Called by
drivers/hikvision_isapi.py.

What a hostile or broken host may take is bounded, and its neighbours go on: connections (at the bound nobody is cut who
waits for an answer, but who has been quiet for longest on the host with most of them), bytes held for all (the
connection that holds most ends), the size of a body, and the time in which a request is to be whole. A connection that
rests between two requests is in order for as long as its device lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from drivers.base import DeviceError, Driver, ProtocolError
from drivers.http_auth import Guard
from drivers.http_posts import Head, HttpPosts, Request
from drivers.urls import parse_url

MOST_CONNECTIONS = 256  # well below the 1024 files that a process may have open
MOST_HELD_BYTES = 64 << 20  # bodies under way, of all connections together
QUIET_S = 30.0  # within a request
WHOLE_REQUEST_S = 120.0
_AT_LEAST_S = (0.4, 0.8)  # no connection is cut for others earlier: that said nothing yet, that began a request
_LINGER_S = 1.0
_READ_BYTES = 65_536
_LITTLE_BYTES = MOST_HELD_BYTES // MOST_CONNECTIONS  # all connections may hold this much
_RETRY = (("Retry-After", "5"),)
_TOO_MANY = "http_too_many_connections"
_KEEP_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}  # s, s, n

Take = Callable[[Request, int], Awaitable[bool]]
"""A request and the `time_ns` at which it began; whether what it says is durable."""


@dataclass(frozen=True, eq=False)
class _Mount:
    """A driver that takes what is posted to its path by its hosts."""

    driver: Driver
    path: str  # "/": every path that is nobody else's
    hosts: frozenset[str]  # empty: any
    take: Take
    rejected: Callable[[str], None]
    guard: Guard | None
    fault: asyncio.Future[None]

    def admits(self, host: str) -> bool:
        return not self.hosts or host in self.hosts

    def overlaps(self, other: _Mount) -> bool:
        return self.path == other.path and (not self.hosts or not other.hosts or bool(self.hosts & other.hosts))


@dataclass(eq=False)
class _Connection:
    """A device that is connected."""

    host: str
    peer: socket.socket
    since_s: float  # when it connected, or was answered last
    posts: HttpPosts = field(default_factory=HttpPosts)
    task: asyncio.Task[None] | None = None
    answering: _Mount | None = None
    answering_bytes: int = 0
    cut: str = ""  # why it was ended for the others' sake

    @property
    def held_bytes(self) -> int:
        return self.posts.held_bytes + self.answering_bytes

    @property
    def may_be_cut_s(self) -> float:
        return self.since_s + _AT_LEAST_S[not self.posts.idle]


@contextlib.asynccontextmanager
async def listening(
    driver: Driver, hosts: tuple[str, ...], take: Take, rejected: Callable[[str], None], guard: Guard | None = None
) -> AsyncIterator[asyncio.Future[None]]:
    """Take what is posted to the driver's URL while the block lasts. `rejected` is told a reason; `guard` asks for a
    password.

    Gives a future that ends only where `take` failed, with its exception. Raises DeviceError.
    """
    loop = asyncio.get_running_loop()
    address = parse_url(driver.url, driver.schemes)
    mount = _Mount(driver, address.path, frozenset(hosts), take, rejected, guard, loop.create_future())
    key = (loop, address.host, address.port)
    listener = _listeners.get(key)
    if listener is None:
        listener = _listeners[key] = _Listener(_bound(driver.url, address.host, address.port))
    other = next((there for there in listener.mounts if there.overlaps(mount)), None)
    if other is not None:
        raise DeviceError(
            f"{driver.url}: cannot listen there: {other.driver.name} does; give each device a path or hosts of its own"
        )
    listener.mounts.append(mount)
    try:
        yield mount.fault
    finally:
        if listener.mounts == [mount]:
            del _listeners[key]
        await listener.leave(mount)


def _bound(url: str, host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise DeviceError(f"{url}: cannot listen there: {error.strerror}; is the port taken?") from None


class _Listener:
    """A port, its connections and the drivers that share it."""

    def __init__(self, server: socket.socket) -> None:
        server.setblocking(False)
        self.mounts: list[_Mount] = []
        self._server = server
        self._connections: set[_Connection] = set()
        self._room = asyncio.Event()
        self._accepting = asyncio.create_task(self._accept())

    async def leave(self, mount: _Mount) -> None:
        """One driver less; the last closes the port."""
        last = self.mounts == [mount]
        tasks = [one.task for one in self._connections if one.task is not None and (last or one.answering is mount)]
        if last:
            tasks.append(self._accepting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.mounts.remove(mount)
        if last:
            self._server.close()

    # Who is connected

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                peer, address = await loop.sock_accept(self._server)
            except OSError:  # the peer is gone already, or this process has no more files
                await asyncio.sleep(0.1)
                continue
            connection = _Connection(str(address[0]).removeprefix("::ffff:"), peer, time.monotonic())
            if any(mount.admits(connection.host) for mount in self.mounts):
                self._connections.add(connection)
                connection.task = asyncio.create_task(self._serve(connection))
            else:
                self._reject(connection, "foreign_host")
                peer.close()
            await asyncio.sleep(0)  # as in _received
            while len(self._live()) >= MOST_CONNECTIONS:
                await self._make_room()

    async def _make_room(self) -> None:
        """Cut a connection, or wait until one ends or may be cut."""
        waiting = [one for one in self._live() if one.answering is None]
        crowd = Counter(one.host for one in waiting)
        quiet = min(waiting, key=lambda one: (-crowd[one.host], one.may_be_cut_s), default=None)
        wait_s = 1.0 if quiet is None else quiet.may_be_cut_s - time.monotonic()
        if quiet is not None and wait_s <= 0.0:
            if quiet.posts.idle and _has_come(quiet.peer):
                quiet.since_s = time.monotonic()  # it is this computer that is late
            else:
                self._cut(quiet, _TOO_MANY)
            return
        self._room.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._room.wait()

    def _live(self) -> list[_Connection]:
        return [one for one in self._connections if not one.cut]

    def _bound_memory(self) -> None:
        while sum(one.held_bytes for one in self._live()) > MOST_HELD_BYTES:
            waiting = [one for one in self._live() if one.answering is None]
            if not waiting:
                return
            self._cut(max(waiting, key=lambda one: one.held_bytes), "http_too_much_at_once")

    def _cut(self, connection: _Connection, reason: str) -> None:
        connection.cut = reason
        if connection.task is not None:
            connection.task.cancel()

    def _reject(self, connection: _Connection, reason: str) -> None:
        """Count at the driver that it concerns, as far as is known."""
        mount = self._mount(connection, connection.posts.head)
        (mount or self.mounts[0]).rejected(reason)

    def _mount(self, connection: _Connection, head: Head | None) -> _Mount | None:
        admitting = [mount for mount in self.mounts if mount.admits(connection.host)]
        if head is None:
            return next(iter(admitting), None)
        for path in (head.path, "/"):
            for mount in admitting:
                if mount.path == path:
                    return mount
        return None

    # What one says

    async def _serve(self, connection: _Connection) -> None:
        peer = connection.peer
        try:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEP_ALIVE.items():
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
            await self._talk(connection)
        except ProtocolError as error:
            self._reject(connection, error.reason)
            await self._refuse(connection, 413 if error.reason == "http_too_large" else 400)
        except TimeoutError:
            self._reject(connection, "http_too_slow")
            await self._refuse(connection, 408)
        except OSError:
            self._cut_short(connection)
        except asyncio.CancelledError:
            if not connection.cut:
                raise
            self._reject(connection, connection.cut)
            if connection.cut != _TOO_MANY:
                await self._refuse(connection, 503)
        finally:
            self._connections.discard(connection)
            self._room.set()
            peer.close()

    async def _talk(self, connection: _Connection) -> None:
        """Until the connection ends."""
        loop, posts = asyncio.get_running_loop(), connection.posts
        began_s, began_ns = 0.0, 0
        while not posts.closes:
            if posts.idle:
                data = await _received(connection.peer)
                began_s, began_ns = loop.time(), self._clock()
            else:
                async with asyncio.timeout_at(min(loop.time() + QUIET_S, began_s + WHOLE_REQUEST_S)):
                    data = await _received(connection.peer)
            if not data:
                self._cut_short(connection)
                return
            posts.feed(data)
            try:
                request = posts.next()
            finally:
                self._show(connection, data)
            if posts.held_bytes > _LITTLE_BYTES:
                self._bound_memory()
            while request is not None:
                await self._answer(connection, request, began_ns)
                began_s, began_ns = loop.time(), self._clock()
                request = None if posts.closes else posts.next()
            if not posts.closes and posts.wants_continue:
                await self._send(connection, posts.go_on())

    async def _answer(self, connection: _Connection, request: Request, time_ns: int) -> None:
        posts, mount = connection.posts, self._mount(connection, request.head)
        if mount is None or request.head.method not in ("POST", "PUT"):
            self._reject(connection, "foreign_request")
            await self._send(connection, posts.answer(200))  # it would not make more sense the second time
            return
        if request.odd:
            mount.rejected("http_odd_head")
        guard, said = mount.guard, request.head.headers.get("authorization", "")
        if guard is not None and not guard.admits(request.head.method, request.head.target, said):
            if said:  # the first try of a camera that knows Digest says nothing
                mount.rejected("http_wrong_password")
            await self._send(connection, posts.answer(401, guard.challenges()))
            return
        connection.answering, connection.answering_bytes = mount, request.held_bytes
        try:
            taken = await mount.take(request, time_ns)
        except Exception as error:
            if not mount.fault.done():
                mount.fault.set_exception(error)
            taken = False
        finally:
            connection.answering, connection.answering_bytes = None, 0
            connection.since_s = time.monotonic()
            self._room.set()
        await self._send(connection, posts.answer(200) if taken else posts.answer(503, _RETRY, close=True))

    async def _send(self, connection: _Connection, data: bytes) -> None:
        async with asyncio.timeout(QUIET_S):
            await asyncio.get_running_loop().sock_sendall(connection.peer, data)

    async def _refuse(self, connection: _Connection, status: int) -> None:
        """Say it, and read on for a moment: closing on unread bytes would take the answer away from the device."""
        loop, peer = asyncio.get_running_loop(), connection.peer
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                answer = connection.posts.error_answer(status)
                connection.posts.forget()
                await loop.sock_sendall(peer, answer)
                peer.shutdown(socket.SHUT_WR)
                while await _received(peer):
                    pass

    def _cut_short(self, connection: _Connection) -> None:
        """It ended: between two requests it may."""
        if not connection.posts.idle:
            self._reject(connection, "http_cut_short")

    def _show(self, connection: _Connection, data: bytes) -> None:
        """To who records."""
        mount = self._mount(connection, connection.posts.head)
        if mount is not None and mount.driver.tap is not None:
            mount.driver.tap("rx", data, self._clock())

    def _clock(self) -> int:
        return self.mounts[0].driver.clock()


def _has_come(peer: socket.socket) -> bool:
    """Whether there is something to read."""
    try:
        return bool(peer.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


async def _received(peer: socket.socket) -> bytes:
    """What has come. It gives way: sock_recv does not, and a peer that never pauses would keep all others waiting."""
    data = await asyncio.get_running_loop().sock_recv(peer, _READ_BYTES)
    await asyncio.sleep(0)
    return data


_listeners: dict[tuple[asyncio.AbstractEventLoop, str, int], _Listener] = {}
