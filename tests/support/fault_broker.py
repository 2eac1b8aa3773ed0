"""A small MQTT broker that does wrong what brokers do wrong. Written from the OASIS texts of MQTT 3.1.1 and 5.

It takes QoS 0 and 1 publishes, answers subscriptions and pings, and keeps all it saw. What it does to a connection says
a `Fault`; the n-th connection gets the n-th fault of the list, later ones the last.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Fault:
    """How one connection goes; without arguments it goes well."""

    connack: int | None = 0  # reason code of CONNACK; None: it never comes
    receive_maximum: int | None = None
    maximum_packet: int | None = None
    deny_read: str | None = None  # a subscription to a topic that ends so is refused
    deaf_reader: bool = False  # subscriptions are granted, and nothing comes (MQTT 3.1.1)
    cut_connect: bool = False  # a CONNECT is never answered: the socket closes
    only_mqtt_3: bool = False  # a CONNECT of MQTT 5 is cut without an answer, as RabbitMQ 3.10 does
    puback: Callable[[int, str], int | None] = lambda number, topic: 0  # number from 1; None: never acknowledged
    puback_delay_s: float = 0.0
    shuffle: int = 1  # acknowledgements are kept back and sent in disorder, so many at a time
    close_after: int | None = None  # publishes, then the socket closes
    close_at: str | None = None  # a publish whose topic ends so is not taken: the socket closes without a word
    close_inside: bool = False  # ... in the middle of a PUBACK
    disconnect: int | None = None  # ... with this reason code before (MQTT 5)
    noise_after: int | None = None  # publishes, then random bytes are sent
    deaf_after: int | None = None  # publishes, then nothing is read or answered any more


@dataclass
class Publish:
    """One PUBLISH as it came."""

    topic: str
    payload: bytes
    retain: bool
    duplicate: bool
    properties: bytes


@dataclass
class Connection:
    """What one client did in one connection."""

    protocol: int
    client_id: str
    will: tuple[str, bytes] | None
    publishes: list[Publish] = field(default_factory=list)
    subscriptions: list[str] = field(default_factory=list)
    unacknowledged: int = 0
    most_unacknowledged: int = 0
    disconnect: int | None = None  # reason code of DISCONNECT; None: there was none


class FaultBroker:
    """`async with FaultBroker(faults) as broker`; listens on `broker.port`."""

    def __init__(self, *faults: Fault) -> None:
        self._faults = faults or (Fault(),)
        self.connections: list[Connection] = []
        self.attempts = 0
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> FaultBroker:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *rest: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        for writer in self._writers:
            writer.close()

    def delivered(self) -> list[Publish]:
        """All publishes of all connections, in order."""
        return [publish for connection in self.connections for publish in connection.publishes]

    async def cut(self) -> None:
        """End the newest connection."""
        self._writers[-1].close()

    async def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish to the newest connection with QoS 0, whether it subscribed or not."""
        properties = b"\0" if self.connections[-1].protocol == 5 else b""
        body = _text(topic) + properties + payload
        self._writers[-1].write(bytes((0x30 | retain,)) + _length(len(body)) + body)
        await self._writers[-1].drain()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        fault = self._faults[min(self.attempts, len(self._faults) - 1)]
        self.attempts += 1
        self._writers.append(writer)
        try:
            await self._talk(fault, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _talk(self, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await _packet(reader)
        connection = _connect(body)
        if fault.cut_connect or (fault.only_mqtt_3 and connection.protocol == 5):
            return
        if fault.connack is None:
            await asyncio.sleep(3600)
        code = int(fault.connack or 0)
        properties = b""
        if fault.receive_maximum is not None:
            properties += b"\x21" + struct.pack(">H", fault.receive_maximum)
        if fault.maximum_packet is not None:
            properties += b"\x27" + struct.pack(">I", fault.maximum_packet)
        answer = bytes((0, code)) + (_length(len(properties)) + properties if connection.protocol == 5 else b"")
        writer.write(b"\x20" + _length(len(answer)) + answer)
        if code:
            await writer.drain()
            return
        self.connections.append(connection)
        held: list[bytes] = []
        while True:
            kind, body = await _packet(reader)
            if kind >> 4 == 3:
                await self._publish(fault, connection, kind, body, held, writer)
                if not await self._go_on(fault, connection, writer):
                    return
            elif kind >> 4 == 8:
                topic = _subscribed(body, connection.protocol)
                denied = fault.deny_read is not None and topic.endswith(fault.deny_read)
                if not denied:
                    connection.subscriptions.append(topic)
                extra = b"\0" if connection.protocol == 5 else b""
                answer = body[:2] + extra + ((b"\x87" if connection.protocol == 5 else b"\x80") if denied else b"\x01")
                writer.write(b"\x90" + _length(len(answer)) + answer)
            elif kind >> 4 == 12:
                writer.write(b"\xd0\x00")
            elif kind >> 4 == 14:
                connection.disconnect = body[0] if body else 0
                return

    async def _publish(
        self, fault: Fault, connection: Connection, kind: int, body: bytes, held: list[bytes],
        writer: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        size = struct.unpack(">H", body[:2])[0]
        topic, at = body[2 : 2 + size].decode(), 2 + size
        mid = body[at : at + 2] if kind & 6 else b""
        at += len(mid)
        properties = b""
        if connection.protocol == 5:
            length, at = _read_length(body, at)
            properties, at = body[at : at + length], at + length
        connection.publishes.append(Publish(topic, body[at:], bool(kind & 1), bool(kind & 8), properties))
        if not mid:
            return
        if topic in connection.subscriptions and connection.protocol == 4 and not fault.deaf_reader:
            echo = _text(topic) + body[at:]
            writer.write(b"\x30" + _length(len(echo)) + echo)
        connection.unacknowledged += 1
        connection.most_unacknowledged = max(connection.most_unacknowledged, connection.unacknowledged)
        code = fault.puback(len(connection.publishes), topic)
        if code is None or (fault.close_at is not None and topic.endswith(fault.close_at)):
            return
        answer = mid if code == 0 or connection.protocol == 4 else mid + bytes((code,))
        held.append(b"\x40" + _length(len(answer)) + answer)
        if fault.puback_delay_s:
            await asyncio.sleep(fault.puback_delay_s)
        if len(held) >= fault.shuffle:
            random.Random(len(connection.publishes)).shuffle(held)
            connection.unacknowledged -= len(held)
            writer.write(b"".join(held))
            held.clear()

    async def _go_on(self, fault: Fault, connection: Connection, writer: asyncio.StreamWriter) -> bool:
        if fault.close_at is not None and connection.publishes[-1].topic.endswith(fault.close_at):
            return False
        count = len(connection.publishes)
        if fault.deaf_after is not None and count >= fault.deaf_after:
            await asyncio.sleep(3600)
        if fault.noise_after is not None and count >= fault.noise_after:
            writer.write(random.Random(count).randbytes(64))
            await writer.drain()
        if fault.close_after is not None and count >= fault.close_after:
            if fault.close_inside:
                writer.write(b"\x40\x02\x00")
            if fault.disconnect is not None:
                writer.write(bytes((0xE0, 2, fault.disconnect, 0)))
            await writer.drain()
            return False
        return True


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    kind = (await reader.readexactly(1))[0]
    length, shift = 0, 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return kind, await reader.readexactly(length)


def _read_length(body: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _length(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text.encode())) + text.encode()


def _take(body: bytes, at: int) -> tuple[bytes, int]:
    (size,) = struct.unpack(">H", body[at : at + 2])
    return body[at + 2 : at + 2 + size], at + 2 + size


def _connect(body: bytes) -> Connection:
    _, at = _take(body, 0)
    protocol, flags = body[at], body[at + 1]
    at += 4
    if protocol == 5:
        length, at = _read_length(body, at)
        at += length
    client_id, at = _take(body, at)
    will = None
    if flags & 4:
        if protocol == 5:
            length, at = _read_length(body, at)
            at += length
        topic, at = _take(body, at)
        payload, at = _take(body, at)
        will = (topic.decode(), payload)
    return Connection(protocol, client_id.decode(), will)


def _subscribed(body: bytes, protocol: int) -> str:
    at = 2
    if protocol == 5:
        length, at = _read_length(body, at)
        at += length
    topic, _ = _take(body, at)
    return topic.decode()
