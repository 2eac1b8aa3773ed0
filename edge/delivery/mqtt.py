"""One MQTT connection to a collector's broker, MQTT 5 or 3.1.1, with or without TLS, by paho-mqtt; what it needs of
paho's inside is behind `edge.delivery.paho_door`.

In: entries to publish, from `edge.delivery.publisher`; out: acknowledgements with their reason codes, messages on
the subscribed topic, and one `LinkError` that says why the connection failed or ended, and the remedy. A link is
used once: every attempt to connect makes a new one, with a new paho client, so that nothing old is in its queues.

paho's own reconnect ignores its limit of messages in flight, so it is off, and the window is kept by the caller. The
blocking part (names, TCP, TLS) runs in a thread; after it paho is driven by the event loop, without paho's thread: all
callbacks come in the thread of the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from paho.mqtt.client import (
    MQTT_CLEAN_START_FIRST_ONLY,
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    MQTTv5,
    MQTTv311,
)
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.delivery import troubles
from edge.delivery.endpoint import Endpoint, LinkError, password_of, tls_context
from edge.delivery.link import Acknowledged
from edge.delivery.outgoing import CONTENT_TYPE, Outgoing, Packer, user_properties
from edge.delivery.paho_door import QuickClient, properties_of

WINDOW = 20  # messages in flight at most; less where the server says so
CONNECT_TIMEOUT_S = 10.0
KEEPALIVE_S = 9  # a ping after this silence, and its answer within as much, looked at each second: a dead link is
PUBACK_TIMEOUT_S = 18.0  # found within 20 s, also under load
_ANSWER_S = 5.0
INCOMING_MAX_BYTES = 65_536  # nothing that we subscribe to is near that


class MqttLink:
    """See the head of this file. `acknowledged`, `received` and `granted` are called in the loop; `settled` after a
    batch.

    It listens to `subscribe` and to `hear`; `granted` brings what the server answered to each.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        will: Outgoing | None = None,
        subscribe: str | None = None,
        hear: str | None = None,
        acknowledged: Acknowledged,
        received: Callable[[str, bytes, bool], None],
        granted: Callable[[str, bool], None] = lambda topic, yes: None,
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        self.endpoint = endpoint
        self.window = WINDOW
        self.maximum_packet = 268_435_455
        self._will = will
        self._topics = [topic for topic in (subscribe, hear) if topic is not None]
        self._asked: dict[int | None, str] = {}  # number of a SUBSCRIBE -> its topic
        self._granted = granted
        self._acknowledged = acknowledged
        self._received = received
        self._settled = settled
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[LinkError] = self._loop.create_future()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._client = QuickClient(CallbackAPIVersion.VERSION2)  # until `open` makes the one that is used
        self._sent: dict[int, float] = {}  # mid -> monotonic time of sending, oldest first
        self._socket: socket.socket | None = None
        self._connecting = True  # paho may call back in the thread that connects
        self._ended_early: LinkError | None = None
        self._refused = False  # CONNACK said no
        self._cut = False  # the other side closed before it answered CONNECT
        self._handle = -1  # of the socket; paho closes that before it says so
        self._writing = False
        self._timer: asyncio.TimerHandle | None = None
        self._errors = _LastError()
        self._packer = Packer()

    async def open(self) -> None:
        """Connect and wait for CONNACK; LinkError says why not."""
        try:
            await self._open()
        except LinkError:
            if self.endpoint.protocol == 5 and self._cut and await self._takes_mqtt_3():
                text = "does not speak MQTT 5: it closes the connection at such a CONNECT, and answers one of 3.1.1"
                raise LinkError("refused", f"{self.endpoint} {text}; write protocol = 4") from None
            raise

    async def _takes_mqtt_3(self) -> bool:
        """Whether a connection of MQTT 3.1.1 gets the answer that one of MQTT 5 did not get."""
        older = MqttLink(
            replace(self.endpoint, protocol=4),
            acknowledged=lambda mid, code, reason: None,
            received=lambda topic, payload, retained: None,
        )
        try:
            await older.open()
        except LinkError:
            return False
        await older.close(speak_will=False)
        return True

    async def _open(self) -> None:
        self._client = self._make_client()
        await self._connect_in_thread()
        connection = cast(socket.socket | None, self._client.socket())
        if connection is None:  # it broke while CONNECT was sent
            raise self._ended_early or LinkError("lost", f"{self.endpoint} closed the connection at once")
        self._connecting = False
        self._socket = connection
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(PUBACK_TIMEOUT_S * 1000))
        self._handle = connection.fileno()
        self._loop.add_reader(self._handle, self._readable)
        self._tick()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.wait(
                    cast(set[asyncio.Future[Any]], {self._connected, self.closed}),
                    return_when=asyncio.FIRST_COMPLETED,
                )
        except TimeoutError:
            self._lost(LinkError("silent", f"{self.endpoint} did not answer CONNECT within {CONNECT_TIMEOUT_S:.0f} s"))
        except BaseException:
            self._drop()
            raise
        if self.closed.done():
            self._drop()
            raise self.closed.result()

    def publish(self, message: Outgoing) -> int:
        """Send with QoS 1 at the next `flush`; the answer is the number that `acknowledged` brings back."""
        properties = self._packer.properties(message) if self.endpoint.protocol == 5 else None
        info = self._client.publish(
            message.topic, message.payload, 1, message.retain, cast(Properties | None, properties)
        )
        self._sent[info.mid] = time.monotonic()
        return info.mid

    def flush(self) -> None:
        """Call after a batch of `publish`: lets it go, and what the socket did not take is written when it is ready."""
        self._client.let_go()
        if self._socket is not None and not self._writing and self._client.want_write():
            self._writing = True
            self._loop.add_writer(self._handle, self._writable)

    async def close(self, *, speak_will: bool) -> None:
        """End the connection: with `speak_will` the server publishes the last will, else it forgets it."""
        if self._socket is not None and not self.closed.done() and self._connected.done():
            if not speak_will:
                self._client.disconnect()
            elif self.endpoint.protocol == 5:
                self._client.disconnect(reasoncode=ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))
            self.flush()
            if not speak_will or self.endpoint.protocol == 5:  # in 3.1.1 a socket that just closes speaks the will
                await asyncio.wait({self.closed}, timeout=1.0)
        self._drop()

    # Setting up

    def _make_client(self) -> QuickClient:
        end = self.endpoint
        client = QuickClient(
            CallbackAPIVersion.VERSION2,
            client_id=end.client_id,
            protocol=MQTTv5 if end.protocol == 5 else MQTTv311,
            clean_session=None if end.protocol == 5 else True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(65_535)  # the window is kept by the caller
        client.enable_logger(self._errors.logger)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        if end.tls:
            client.tls_set_context(tls_context(end))
        if end.username is not None:
            client.username_pw_set(end.username, password_of(end))
        if self._will is not None:
            properties = None
            if end.protocol == 5:
                properties = properties_of(PacketTypes.WILLMESSAGE)
                properties.PayloadFormatIndicator = 1
                properties.ContentType = CONTENT_TYPE
                properties.UserProperty = [*user_properties(self._will), ("id", self._will.id)]
            client.will_set(self._will.topic, self._will.payload, 1, self._will.retain, properties)
        return client

    def _connect_properties(self) -> Properties | None:
        if self.endpoint.protocol != 5:
            return None
        properties = properties_of(PacketTypes.CONNECT)
        properties.ReceiveMaximum = WINDOW
        properties.MaximumPacketSize = INCOMING_MAX_BYTES
        return properties

    async def _connect_in_thread(self) -> None:
        done: asyncio.Future[None] = self._loop.create_future()

        def finish(error: BaseException | None) -> None:
            if done.cancelled():
                self._close_socket()
            elif error is not None:
                done.set_exception(error)
            else:
                done.set_result(None)

        def connect() -> None:
            problem: BaseException | None = None
            try:
                self._client.connect(
                    self.endpoint.host,
                    self.endpoint.port,
                    KEEPALIVE_S,
                    clean_start=True if self.endpoint.protocol == 5 else MQTT_CLEAN_START_FIRST_ONLY,
                    properties=self._connect_properties(),
                )
            except Exception as error:
                problem = troubles.of_connecting(self.endpoint, error)
            try:
                self._loop.call_soon_threadsafe(finish, problem)
            except RuntimeError:  # the loop ended meanwhile
                self._close_socket()

        threading.Thread(target=connect, name=f"connect {self.endpoint}", daemon=True).start()
        await done

    # What paho calls, in the event loop

    def _on_connect(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._refused = True
            self._lost(troubles.of_answer(self.endpoint, reason.getName(), reason.value))
            return
        self.window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
        self.maximum_packet = getattr(properties, "MaximumPacketSize", self.maximum_packet)
        for topic in self._topics:
            if self.endpoint.protocol == 5:
                options = SubscribeOptions(qos=1, noLocal=True, retainHandling=2)
                _, mid = client.subscribe(topic, options=options)
            else:
                _, mid = client.subscribe(topic, qos=1)
            self._asked[mid] = topic
        if not self._connected.done():
            self._connected.set_result(None)

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._lost(self._why_ended(flags, reason, properties))

    def _why_ended(self, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None) -> LinkError:
        end, noted = self.endpoint, self._errors.text
        if flags.is_disconnect_packet_from_server:
            said = str(getattr(properties, "ReasonString", ""))
            return troubles.of_goodbye(end, reason.getName(), reason.value, said)
        if "ssl" in noted.lower() and "alert" in noted.lower():
            return troubles.of_tls(end, noted)
        if self._connected.done():
            return troubles.of_break(end, noted)
        self._cut = not self._refused
        return troubles.of_no_answer(end)

    def _on_publish(
        self, client: Client, userdata: Any, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if self._sent.pop(mid, None) is not None:
            code = reason.value
            self._acknowledged(mid, code, reason.getName() if code else "")

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        self._received(topic, bytes(message.payload), message.retain)

    def _on_subscribe(
        self, client: Client, userdata: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        topic = self._asked.pop(mid, None)
        if topic is not None:
            self._granted(topic, not any(reason.is_failure for reason in reasons))

    # Driving paho

    def _readable(self) -> None:
        client = self._client
        try:
            more = True
            while more:
                client.fill()
                while client.unread():
                    client.loop_read()
                connection = client.socket()
                more = isinstance(connection, ssl.SSLSocket) and connection.pending() > 0
            # 3.1.1 has no limit for what a server may send, and paho would take 256 MB
            if client.incoming_bytes() > INCOMING_MAX_BYTES:
                self._lost(
                    LinkError("protocol", f"{self.endpoint} sends a packet of more than {INCOMING_MAX_BYTES} bytes")
                )
                return
            self._settled()
            self.flush()
        except Exception as error:  # paho met bytes that it cannot read
            self._lost(LinkError("protocol", f"{self.endpoint} sent what is no MQTT ({type(error).__name__}: {error})"))

    def _writable(self) -> None:
        try:
            self._client.loop_write()
        except Exception as error:
            self._lost(LinkError("lost", f"writing to {self.endpoint} failed ({error})"))
        if self._writing and self._socket is not None and not self._client.want_write():
            self._writing = False
            self._loop.remove_writer(self._handle)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(1.0, self._tick)
        oldest = next(iter(self._sent.values()), None)
        if oldest is not None and time.monotonic() - oldest > PUBACK_TIMEOUT_S:
            self._lost(LinkError("silent", f"{self.endpoint} did not acknowledge within {PUBACK_TIMEOUT_S:.0f} s"))
            return
        if self._connected.done():  # paho counts the keepalive from before the TCP connection: a slow line fails it
            self._client.loop_misc()

    def _lost(self, error: LinkError) -> None:
        if self._connecting:
            self._ended_early = error
            return
        if not self.closed.done():
            self.closed.set_result(error)
        self._drop()

    def _drop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._loop.remove_reader(self._handle)
            self._loop.remove_writer(self._handle)
            self._socket = None
        self._close_socket()

    def _close_socket(self) -> None:
        connection = self._client.socket()
        if connection is not None:
            with suppress(OSError):
                connection.close()


class _LastError(logging.Handler):
    """paho hides the reason of a broken connection in its log; this keeps the last error of one client."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.text = ""
        self.logger = logging.Logger("paho", logging.ERROR)
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.text = troubles.short(record.getMessage())


async def may_publish(endpoint: Endpoint, message: Outgoing) -> bool | None:
    """Whether the server takes this message, asked in MQTT 5, where a refusal has a code; None: it did not say."""
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def acknowledged(mid: int, code: int, reason: str) -> None:
        if not answer.done():
            answer.set_result(code)

    link = MqttLink(
        replace(endpoint, protocol=5, client_id=f"{endpoint.client_id}-ask"),
        acknowledged=acknowledged,
        received=lambda topic, payload, retained: None,
    )
    try:
        await link.open()
        link.publish(message)
        link.flush()
        async with asyncio.timeout(_ANSWER_S):
            return await answer < 0x80
    except (LinkError, TimeoutError):
        return None
    finally:
        await link.close(speak_will=False)
