"""TCP links of emulated devices: listeners, and devices that connect to the host; made by `endpoints.py`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any

from firmware_sim.wires.links import SERIAL_PORT, Device, EndpointError

CONGESTED_BYTES = 32_768  # unsent in a TCP connection: the host does not keep up
LIMIT_BYTES = 1_000_000  # a connection with more is cut


class _Peer(asyncio.Protocol):
    """One TCP connection."""

    def __init__(self, endpoint: TcpEndpoint, port: str) -> None:
        self.endpoint = endpoint
        self.port = port
        self.number = 0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.number = self.endpoint.join(self)

    def data_received(self, data: bytes) -> None:
        if self.endpoint.device is not None:
            self.endpoint.device.received(self.port, self.number, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.endpoint.leave(self)

    def reset(self) -> None:
        """Close with RST, as a host sees it whose peer lost power."""
        assert self.transport is not None
        raw = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class TcpEndpoint:
    """Listeners of one device: its first port gives the URL, the others become options `NAME_port`."""

    def __init__(
        self,
        ports: tuple[str, ...],
        host: str = "127.0.0.1",
        numbers: dict[str, int] | None = None,
        scheme: str = "tcp",
    ) -> None:
        self._scheme = scheme
        self._ports = ports
        self._host = host
        self._numbers = dict(numbers or {})
        self._servers: list[asyncio.Server] = []
        self._peers: dict[int, _Peer] = {}
        self._count = 0
        self.device: Device | None = None
        self.url = ""
        self.options: dict[str, Any] = {}

    async def open(self, device: Device) -> None:
        self.device = device
        await self.plug()
        shown = "127.0.0.1" if self._host in ("", "0.0.0.0") else self._host
        self.url = f"{self._scheme}://{shown}:{self._numbers[self._ports[0]]}"
        self.options = {f"{port}_port": self._numbers[port] for port in self._ports[1:]}

    async def plug(self) -> None:
        loop = asyncio.get_running_loop()
        for port in self._ports:
            try:
                server = await loop.create_server(
                    lambda port=port: _Peer(self, port),  # type: ignore[misc]
                    self._host,
                    self._numbers.get(port, 0),
                    reuse_address=True,
                )
            except OSError as error:
                raise EndpointError(f"tcp://{self._host}:{self._numbers.get(port, 0)}: {error.strerror}") from error
            self._numbers[port] = server.sockets[0].getsockname()[1]
            self._servers.append(server)

    async def unplug(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        for peer in list(self._peers.values()):
            peer.reset()
        await asyncio.sleep(0)

    async def close(self) -> None:
        await self.unplug()

    def join(self, peer: _Peer) -> int:
        self._count += 1
        self._peers[self._count] = peer
        if self.device is not None:
            self.device.connected(peer.port, self._count)
        return self._count

    def leave(self, peer: _Peer) -> None:
        if self._peers.pop(peer.number, None) is not None and self.device is not None:
            self.device.disconnected(peer.port, peer.number)

    def _chosen(self, port: str, number: int | None) -> list[_Peer]:
        return [peer for key, peer in self._peers.items() if peer.port == port and number in (None, key)]

    def write(self, port: str, peer: int | None, data: bytes) -> None:
        for chosen in self._chosen(port, peer):
            assert chosen.transport is not None
            if chosen.transport.get_write_buffer_size() > LIMIT_BYTES:
                chosen.reset()
            else:
                chosen.transport.write(data)

    def hang_up(self, port: str, peer: int | None) -> None:
        for chosen in self._chosen(port, peer):
            chosen.reset()

    def congested(self) -> frozenset[str]:
        return frozenset(
            peer.port
            for peer in self._peers.values()
            if peer.transport is not None and peer.transport.get_write_buffer_size() > CONGESTED_BYTES
        )


class PushEndpoint:
    """A device that connects to the host: a connection to `url` for each message, and no second try."""

    ANSWER_S = 5.0

    def __init__(self, url: str, host: str, number: int) -> None:
        self.url = url
        self.options: dict[str, Any] = {}
        self._host, self._number = host, number
        self._plugged = True
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, device: Device) -> None:
        device.connected(SERIAL_PORT, 0)

    def write(self, port: str, peer: int | None, data: bytes) -> None:
        if self._plugged and len(self._tasks) < 100:
            task = asyncio.get_running_loop().create_task(self._push(data))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _push(self, data: bytes) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(self.ANSWER_S):
                reader, writer = await asyncio.open_connection(self._host, self._number)
                try:
                    writer.write(data)
                    await writer.drain()
                    await reader.read(4096)  # the answer is nobody's business
                finally:
                    writer.close()

    def hang_up(self, port: str, peer: int | None) -> None:
        """No connection stays."""

    def congested(self) -> frozenset[str]:
        return frozenset()

    async def unplug(self) -> None:
        self._plugged = False
        for task in self._tasks:
            task.cancel()

    async def plug(self) -> None:
        self._plugged = True

    async def close(self) -> None:
        await self.unplug()
