"""One MQTT connection to a collector's broker, MQTT 5 or 3.1.1, with or without TLS. The only file of edge/ that uses
paho-mqtt; what it needs of paho's inside is behind `edge.delivery.paho_door`.

In: entries to publish, from `edge.delivery.publisher`; out: acknowledgements with their reason codes, messages on
the subscribed topic, and one `LinkError` that says why the connection failed or ended, and the remedy. A link is
used once: every attempt to connect makes a new one, with a new paho client, so that nothing old is in its queues.

paho's own reconnect ignores its limit of messages in flight, so it is off, and the window is kept by the caller. The
blocking part (names, TCP, TLS) runs in a thread; after it paho is driven by the event loop, without paho's thread: all
callbacks come in the thread of the event loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

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

from drivers.secrets import credential_file
from edge.config import Collector, SiteExchange
from edge.delivery.paho_door import PackedProperties, QuickClient, properties_of

WINDOW = 20  # messages in flight at most; less where the server says so
CONNECT_TIMEOUT_S = 10.0
KEEPALIVE_S = 9  # a ping after this silence, and its answer within as much, looked at each second: a dead link is
PUBACK_TIMEOUT_S = 18.0  # found within 20 s, also under load
_ANSWER_S = 5.0
INCOMING_MAX_BYTES = 65_536  # nothing that we subscribe to is near that

Trouble = Literal[
    "configuration",
    "unreachable",
    "certificate",
    "refused",
    "duplicate",
    "quota",
    "protocol",
    "silent",
    "lost",
    "unheard",
]


class LinkError(Exception):
    """The connection failed or ended; `trouble` is the class of the reason, the text names it and the remedy."""

    def __init__(self, trouble: Trouble, text: str) -> None:
        super().__init__(text)
        self.trouble: Trouble = trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to connect and as whom."""

    host: str
    port: int
    tls: bool
    client_id: str
    protocol: Literal[5, 4] = 5
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    username: str | None = None
    password_file: str | None = None

    @staticmethod
    def of(url: str, client_id: str, **options: Any) -> Endpoint:
        """From `mqtt://host:port` or `mqtts://host:port`; ValueError says what does not fit."""
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError(f"{url!r} does not fit; write mqtts://host:8883 or mqtt://host:1883")
        tls = parts.scheme == "mqtts"
        port = parts.port or (8883 if tls else 1883)
        return Endpoint(host=parts.hostname, port=port, tls=tls, client_id=client_id, **options)

    @staticmethod
    def configured(table: Collector | SiteExchange, client_id: str) -> Endpoint:
        """From a table of the configuration, files as systemd hands them over; ValueError says what does not fit."""

        def handed(file: str | None) -> str | None:
            return None if file is None else str(credential_file(file))

        return Endpoint.of(
            table.url,
            client_id,
            protocol=table.protocol,
            ca_file=handed(table.ca_file),
            cert_file=handed(table.cert_file),
            key_file=handed(table.key_file),
            username=table.username,
            password_file=handed(table.password_file),
        )

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to publish with QoS 1; what 3.1.1 cannot carry is left out there."""

    topic: str
    payload: bytes
    retain: bool = False
    id: str = ""
    schema: str = ""
    expiry_s: int | None = None


Acknowledged = Callable[[int, int, str], None]
"""Number of the message, reason code of its PUBACK (below 0x80 the server has it), name of a code that is not 0."""


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
        self._prefixes: dict[tuple[str, str, int | None], bytes] = {}

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
        info = self._client.publish(
            message.topic,
            message.payload,
            1,
            message.retain,
            cast(Properties | None, self._publish_properties(message)),
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
            client.tls_set_context(tls_context(self.endpoint))
        if end.username is not None:
            client.username_pw_set(end.username, self._password())
        if self._will is not None:
            properties = None
            if end.protocol == 5:
                properties = properties_of(PacketTypes.WILLMESSAGE)
                properties.PayloadFormatIndicator = 1
                properties.ContentType = "application/json"
                properties.UserProperty = [*_user_properties(self._will), ("id", self._will.id)]
            client.will_set(self._will.topic, self._will.payload, 1, self._will.retain, properties)
        return client

    def _password(self) -> str | None:
        file = self.endpoint.password_file
        if file is None:
            return None
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise _file_error("password_file", file, error, "a text file with the password alone") from None

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
                problem = self._connect_error(error)
            try:
                self._loop.call_soon_threadsafe(finish, problem)
            except RuntimeError:  # the loop ended meanwhile
                self._close_socket()

        threading.Thread(target=connect, name=f"connect {self.endpoint}", daemon=True).start()
        await done

    def _connect_error(self, error: Exception) -> LinkError:
        end = self.endpoint
        if isinstance(error, ssl.SSLCertVerificationError):
            return LinkError(
                "certificate",
                f"the certificate of {end} is not trusted ({error.verify_message.rstrip('.')}); "
                f"check ca_file {end.ca_file or '(system)'} and the name in url",
            )
        if isinstance(error, ssl.SSLError):
            return self._tls_error(str(error))
        if isinstance(error, socket.gaierror):
            return LinkError("unreachable", f"the name {end.host} is not known ({error.strerror}); check url and DNS")
        if isinstance(error, TimeoutError):
            return LinkError("unreachable", f"{end} does not answer; check the network and the firewall")
        if isinstance(error, OSError):
            return LinkError("unreachable", f"{end} cannot be reached ({error.strerror or error})")
        return LinkError("protocol", f"{end}: {type(error).__name__}: {error}")

    def _tls_error(self, text: str) -> LinkError:
        end = self.endpoint
        if "alert" in text.lower():
            mine = f"cert_file {end.cert_file}" if end.cert_file else "a client certificate (cert_file, key_file)"
            return LinkError(
                "certificate",
                f"{end} refuses our certificate ({_short(text)}); it wants {mine} valid now and signed by an authority "
                "that it trusts",
            )
        return LinkError("protocol", f"{end} does not speak TLS as expected ({_short(text)}); check url and port")

    # What paho calls, in the event loop

    def _on_connect(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._refused = True
            self._lost(self._refusal(reason))
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

    def _refusal(self, reason: ReasonCode) -> LinkError:
        end, name, code = self.endpoint, reason.getName(), reason.value
        if code in (0x86, 0x87, 0x8C):
            who = f"username {end.username} and password_file {end.password_file}" if end.username else "cert_file"
            return LinkError(
                "refused", f"{end} refuses us: {name} (0x{code:02X}); check {who}, and the users and rights there"
            )
        if code in (0x84, 0x01):
            mine, other = ("MQTT 5", 4) if end.protocol == 5 else ("MQTT 3.1.1", 5)
            return LinkError("refused", f"{end} does not speak {mine}; write protocol = {other}")
        if code in (0x97, 0x9F, 0x89, 0x88):
            return LinkError("quota", f"{end} is busy: {name} (0x{code:02X})")
        return LinkError("refused", f"{end} refuses the connection: {name} (0x{code:02X})")

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        end = self.endpoint
        if not flags.is_disconnect_packet_from_server:
            text = self._errors.text
            if "ssl" in text.lower() and "alert" in text.lower():
                self._lost(self._tls_error(text))
            elif not self._connected.done():
                self._cut = not self._refused
                hint = (
                    "; it may want a client certificate (cert_file, key_file)" if end.tls and not end.cert_file else ""
                )
                self._lost(LinkError("lost", f"{end} closed the connection before it answered CONNECT{hint}"))
            else:
                self._lost(LinkError("lost", f"the connection to {end} broke ({text or 'closed by the other side'})"))
            return
        name, code = reason.getName(), reason.value
        detail = f"{name} (0x{code:02X})"
        if said := getattr(properties, "ReasonString", ""):
            detail = f"{detail}: {str(said)[:200]}"
        if code == 0x8E:
            text = (
                f"another client took over our session at {end} as {end.client_id!r} ({detail}); "
                "two computers use one certificate or name: give each its own"
            )
            self._lost(LinkError("duplicate", text))
        elif code in (0x93, 0x96, 0x97, 0x9F):
            self._lost(LinkError("quota", f"{end} ended the connection: {detail}"))
        elif code in (0x87, 0x98, 0xA0):
            self._lost(LinkError("refused", f"{end} ended the connection: {detail}; ask who runs it"))
        else:
            self._lost(LinkError("lost", f"{end} ended the connection: {detail}"))

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

    def _publish_properties(self, message: Outgoing) -> PackedProperties | None:
        if self.endpoint.protocol != 5:
            return None
        key = (message.topic, message.schema, message.expiry_s)
        prefix = self._prefixes.get(key)
        if prefix is None:
            prefix = b"\x01\x01" + b"\x03" + _text("application/json")  # UTF-8 text, content type
            if message.expiry_s is not None:
                prefix += b"\x02" + struct.pack(">I", message.expiry_s)
            for name, value in _user_properties(message):
                prefix += b"\x26" + _text(name) + _text(value)
            self._prefixes[key] = prefix
        return PackedProperties(prefix + (b"\x26" + _text("id") + _text(message.id) if message.id else b""))


def _user_properties(message: Outgoing) -> list[tuple[str, str]]:
    """All but the id: the schema, and what CloudEvents 1.0 wants in binary mode (its MQTT binding, 3.1)."""
    if not message.id:  # no message of ours but a batch of tokens at a site
        return [("schema", message.schema)]
    source = message.topic.rsplit("/", 2)[0]  # the branch of the computer that publishes
    return [("schema", message.schema), ("specversion", "1.0"), ("type", message.schema), ("source", source)]


class _LastError(logging.Handler):
    """paho hides the reason of a broken connection in its log; this keeps the last error of one client."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.text = ""
        self.logger = logging.Logger("paho", logging.ERROR)
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.text = _short(record.getMessage())


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _short(text: str) -> str:
    return " ".join(text.removeprefix("failed to receive on socket:").split())[:160]


def _file_error(key: str, file: str | None, error: Exception, what: str) -> LinkError:
    reason = getattr(error, "strerror", None) or str(error)
    return LinkError("configuration", f"{key} {file} cannot be used ({reason}); give {what}")


def tls_context(end: Endpoint) -> ssl.SSLContext:
    """TLS 1.2 or better with the files of the endpoint; LinkError names the file that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=end.ca_file)
    except OSError as error:
        raise _file_error("ca_file", end.ca_file, error, "a PEM file with the certificate authority") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if end.cert_file is not None:
        for name, file in (("cert_file", end.cert_file), ("key_file", end.key_file)):
            if file is not None and not Path(file).is_file():
                raise LinkError("configuration", f"{name} {file} does not exist; put it there or correct {name}")
        try:
            context.load_cert_chain(end.cert_file, end.key_file, password=lambda: "")
        except ssl.SSLError as error:
            text = (
                f"key_file {end.key_file} does not belong to cert_file {end.cert_file}; give a matching pair"
                if "MISMATCH" in str(error)
                else f"cert_file {end.cert_file} with key_file {end.key_file} cannot be used ({error}); "
                "give a PEM certificate and its PEM key without a password"
            )
            raise LinkError("configuration", text) from None
        except OSError as error:
            raise _file_error("key_file", end.key_file or end.cert_file, error, "the PEM key") from None
    return context


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


@contextmanager
def subscribe(
    url: str,
    topic_filter: str,
    take: Callable[[str, dict[str, Any]], None],
    linked: Callable[[bool], None] = lambda _: None,
    **tls: str,
) -> Iterator[None]:
    """Listen to a broker while the context lasts, for `watch` and `demo`; `take` is called in paho's thread, and so is
    `linked`, with whether the link stands, each time that changes.

    `tls` is `ca_file`, `cert_file`, `key_file`. What is not a JSON object is passed over. A lost connection is taken up
    again by paho; LinkError when the first attempt fails.
    """
    endpoint = Endpoint.of(url, f"watch-{os.getpid()}-{time.monotonic_ns() % 1_000_000}", **tls)
    client = Client(CallbackAPIVersion.VERSION2, client_id=endpoint.client_id, protocol=MQTTv311)
    if endpoint.tls:
        client.tls_set_context(tls_context(endpoint))

    answered, refusals = threading.Event(), list[str]()  # of the first attempt

    def on_connect(_client: Client, _userdata: Any, _flags: Any, reason: ReasonCode, *_: Any) -> None:
        linked(not reason.is_failure)
        if reason.is_failure and not answered.is_set():
            refusals.append(f"the broker refuses ({reason}); check its users and rights")
        answered.set()
        client.subscribe(topic_filter, qos=1)

    def on_disconnect(*_: Any) -> None:
        linked(False)
        if not answered.is_set():
            refusals.append("closed before it answered; does it want TLS (mqtts:), or a certificate of yours?")
        answered.set()

    def on_message(_client: Client, _userdata: Any, message: MQTTMessage) -> None:
        try:
            body = json.loads(message.payload)
        except (ValueError, RecursionError):
            return
        if isinstance(body, dict):
            take(message.topic, body)

    client.on_connect, client.on_disconnect, client.on_message = on_connect, on_disconnect, on_message
    try:
        client.connect(endpoint.host, endpoint.port, keepalive=30)
    except ssl.SSLCertVerificationError as error:
        why = f"{url}: its certificate is not trusted ({error.verify_message.rstrip('.')})"
        raise LinkError("certificate", f"{why}; check the name in the address and --ca-file") from None
    except OSError as error:
        raise LinkError("unreachable", f"{url}: cannot connect ({error}); check the address and the broker") from None
    client.loop_start()
    try:
        if not answered.wait(_ANSWER_S):
            refusals.append(f"no answer within {_ANSWER_S:g} s; check the address and the broker")
        if refusals:
            raise LinkError("refused", f"{url}: {refusals[0]}")
        yield
    finally:
        client.disconnect()
        client.loop_stop()
