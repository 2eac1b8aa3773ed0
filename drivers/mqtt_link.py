"""Subscribes to a broker that readers publish to. The only file of drivers/ that uses paho-mqtt.

In: an address, a topic filter; out: messages, each acknowledged only when the caller says that it is durable. The
session at the broker is kept, so that it holds what comes while this computer is away, and sends again what was not
acknowledged. A broker that may have 20 messages unacknowledged on the way bounds what waits here; of those that want no
acknowledgement a bounded number waits. paho runs in its own thread: a reader's few messages a second need no more.
Called by drivers/json_events.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from drivers.base import DeviceError
from drivers.urls import Address

MOST_MESSAGE_BYTES = 2 << 20
MOST_WAITING = 32  # messages; a broker sends those of QoS 0 as fast as it can
_ON_THE_WAY = 20
_KEPT_S = 7 * 86_400  # that the broker keeps our session
_CONNECT_S = 10.0
_KEEPALIVE_S = 10
_NO_ROOM_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """As whom to subscribe."""

    client_id: str
    protocol: Literal[5, 4] = 5
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A message; `again` where the broker may have sent it before."""

    topic: str
    payload: bytes = field(repr=False)
    again: bool
    mid: int
    qos: int


class Subscription:
    """A subscription that stands. Made by `subscribed`."""

    def __init__(self, where: str, topic: str, account: Account) -> None:
        self._where, self._topic, self._account = where, topic, account
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Message | DeviceError] = asyncio.Queue()
        self._ended: DeviceError | None = None
        self._room = threading.BoundedSemaphore(MOST_WAITING)
        self._granted: asyncio.Future[None] = self._loop.create_future()
        new = account.protocol == 5
        self._client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=account.client_id,
            protocol=MQTTv5 if new else MQTTv311,
            clean_session=None if new else False,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self._client.connect_timeout = _CONNECT_S
        if account.username:
            self._client.username_pw_set(account.username, account.password)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    async def next(self) -> list[Message]:
        """The messages that came, at least one: to be made durable together. Raises DeviceError when it ended."""
        messages: list[Message] = []
        while self._ended is None and (not messages or not self._queue.empty()):
            came = await self._queue.get()
            if isinstance(came, DeviceError):
                self._ended = came
            else:
                self._room.release()
                messages.append(came)
        if not messages and self._ended is not None:
            raise self._ended
        return messages

    def acknowledge(self, message: Message) -> None:
        """It is durable: the broker may forget it."""
        self._client.ack(message.mid, message.qos)

    async def open(self, address: Address) -> None:
        """Connect and subscribe. Raises DeviceError."""
        if address.scheme == "mqtts":
            self._client.tls_set_context(self._tls())
        properties = None
        if self._account.protocol == 5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = _KEPT_S
            properties.ReceiveMaximum = _ON_THE_WAY
            properties.MaximumPacketSize = MOST_MESSAGE_BYTES
        kept: dict[str, Any] = {"clean_start": False, "properties": properties} if properties is not None else {}
        try:
            await asyncio.to_thread(self._client.connect, address.host, address.port, _KEEPALIVE_S, **kept)
        except ssl.SSLError as error:
            raise DeviceError(f"{self._where}: no TLS with this broker ({error.reason}); check ca_file") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error) or "no answer"
            raise DeviceError(
                f"{self._where}: the broker cannot be reached: {reason}; check it and its address"
            ) from None
        self._client.loop_start()
        try:
            async with asyncio.timeout(_CONNECT_S):
                await self._granted
        except TimeoutError:
            raise DeviceError(f"{self._where}: the broker does not answer; is this its MQTT port?") from None

    async def close(self) -> None:
        """End the connection; the session stays at the broker."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        if self._granted.done() and not self._granted.cancelled():
            self._granted.exception()

    def _tls(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._account.ca_file or None)
        except OSError as error:
            raise DeviceError(
                f"{self._where}: ca_file {self._account.ca_file} cannot be used ({error.strerror})"
            ) from None

    # What paho calls, in its thread

    def _on_connect(self, client: Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._end(f"the broker refuses us: {reason.getName()}; check username, password_file and its rights")
        else:
            client.subscribe(self._topic, qos=1)

    def _on_subscribe(self, client: Client, userdata: Any, mid: int, reasons: list[Any], properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self._end(f"the broker does not let us read {self._topic}; check the rights there")
        else:
            self._call(lambda: None if self._granted.done() else self._granted.set_result(None))

    def _on_disconnect(self, client: Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._end(self._client.too_large or f"the connection to the broker ended: {reason.getName()}")

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        if not self._room.acquire(timeout=_NO_ROOM_S):  # meanwhile nothing is read, and TCP holds the broker back
            client.disconnect()
            self._end("messages come faster than they can be stored")
            return
        taken = Message(topic, bytes(message.payload), message.dup, message.mid, message.qos)
        self._call(lambda: self._queue.put_nowait(taken))

    def _end(self, text: str) -> None:
        error = DeviceError(f"{self._where}: {text}")

        def end() -> None:
            if not self._granted.done():
                self._granted.set_exception(error)
            self._queue.put_nowait(error)

        self._call(end)

    def _call(self, function: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is gone
            self._loop.call_soon_threadsafe(function)


class _Client(Client):
    """paho with a bound: MQTT 3.1.1 has none for what a broker may send, and paho would take 256 MB."""

    too_large = ""

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > MOST_MESSAGE_BYTES:
            self.too_large = f"the broker sends a message of more than {MOST_MESSAGE_BYTES} bytes"
            raise ConnectionError(self.too_large)
        return super()._sock_recv(bufsize)


@contextlib.asynccontextmanager
async def subscribed(address: Address, topic: str, account: Account) -> AsyncIterator[Subscription]:
    """Subscribe with QoS 1 while the block lasts. Raises DeviceError."""
    subscription = Subscription(str(address), topic, account)
    try:
        await subscription.open(address)
        yield subscription
    finally:
        await subscription.close()
