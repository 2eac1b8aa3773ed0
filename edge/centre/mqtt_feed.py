"""Reads everything from one MQTT broker and acknowledges what is stored. The centre's only file that uses paho-mqtt.

In: a broker; out: deliveries in the inbox of `collect`. The session is kept by the broker (MQTT 5: session expiry;
3.1.1: clean_session false) under a client id that stays the same, so what is published while nobody reads waits there.
A PUBACK goes out when the store has committed; what was not acknowledged when a connection ended comes again, and an
acknowledgement that is late for its connection is dropped: its number may be another message's by now.
"""

from __future__ import annotations

import logging
import random
import threading
from contextlib import suppress
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.centre.arrival import BODY_MAX
from edge.centre.feed import Delivery, Inbox
from edge.delivery.endpoint import Endpoint, password_of, tls_context

log = logging.getLogger("feed")

SESSION_S = 30 * 86_400  # the broker keeps what is for us so long
UNACKNOWLEDGED_MOST = 5000  # what a broker may have under way to us (Receive Maximum)
PACKET_MAX = 16 * 1024 * 1024  # a message of ours has 1 kB; what is larger than `BODY_MAX` is refused with its reason
KEEPALIVE_S = 20
WAIT_FIRST_S, WAIT_MOST_S = 1.0, 60.0
FILTER = "borderflow/v1/#"


class MqttFeed:
    """See the head of this file. Where `endpoint.protocol` is 5, a broker that does not speak it is asked in 3.1.1."""

    def __init__(self, endpoint: Endpoint, inbox: Inbox, *, share: str | None = None) -> None:
        """`share`: name of a shared subscription (MQTT 5, 4.8.2), in which a message goes to one of its collectors."""
        self.name = str(endpoint)
        self.state = "connecting"
        self._endpoint, self._inbox, self._shared = endpoint, inbox, share is not None
        self._filter = FILTER if share is None else f"$share/{share}/{FILTER}"
        self._protocol = MQTTv5 if endpoint.protocol == 5 else MQTTv311
        self._stopping = threading.Event()
        self._ended = threading.Event()  # of the connection that is
        self._connection = 0
        self._client: Client | None = None
        self._thread = threading.Thread(target=self._run, name=f"feed {self.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask(self, topic: str, body: bytes) -> None:
        """Publish a request for replay; lost where there is no connection, and asked again later."""
        client = self._client
        if client is not None and client.is_connected():
            client.publish(topic, body, qos=1)

    def stop(self) -> None:
        """End the connection; the session stays at the broker."""
        self._stopping.set()
        self._ended.set()
        if self._client is not None:
            self._client.disconnect()
        self._thread.join(5)

    # The thread of the feed: one paho client for each connection

    def _run(self) -> None:
        wait_s = WAIT_FIRST_S
        while not self._stopping.is_set():
            self._ended.clear()
            answered = self._connect()
            if answered:
                wait_s = WAIT_FIRST_S
                self._ended.wait()
            self._leave()
            if not answered and self._endpoint.protocol == 5 and not self._shared and self.state.startswith("closed"):
                self._protocol = MQTTv311 if self._protocol == MQTTv5 else MQTTv5
            if self._stopping.wait(wait_s * random.uniform(0.5, 1.0)):
                return
            wait_s = min(2 * wait_s, WAIT_MOST_S)

    def _connect(self) -> bool:
        """Whether the broker said yes."""
        self._connection += 1
        end = self._endpoint
        client = self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=end.client_id, protocol=self._protocol, manual_ack=True,
            reconnect_on_failure=False, clean_session=None if self._protocol == MQTTv5 else False,
        )  # fmt: skip
        answered: list[bool] = []
        said = threading.Event()

        def on_connect(
            client: Client, _: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
        ) -> None:
            answered.append(not reason.is_failure)
            if reason.is_failure:
                self._tell(f"refused: {reason}")
            else:
                self._subscribe(client)
                self._tell("connected")
            said.set()

        def on_disconnect(
            client: Client, _: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
        ) -> None:
            if not answered:
                self._tell(
                    "closed before it answered CONNECT; does it want TLS, or a certificate of its own authority?"
                )
            elif answered[0] and not self._stopping.is_set():
                self._tell(f"connection lost: {reason}")
            said.set()
            self._ended.set()

        connection = self._connection
        client.on_connect, client.on_disconnect = on_connect, on_disconnect
        client.on_subscribe = lambda _client, _data, _mid, reasons, _properties: self._granted(reasons)
        client.on_message = lambda client, _, message: self._take(client, connection, message)
        try:
            if end.tls:
                client.tls_set_context(tls_context(end))
            if end.username:
                client.username_pw_set(end.username, password_of(end))
            if self._protocol == MQTTv5:
                client.connect(end.host, end.port, KEEPALIVE_S, clean_start=False, properties=_session())
            else:
                client.connect(end.host, end.port, KEEPALIVE_S)
        except Exception as error:  # names, TCP, TLS and their files: the text says which
            self._tell(f"cannot connect: {error}")
            return False
        client.loop_start()
        said.wait(KEEPALIVE_S)
        return answered == [True]

    def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            self._connection += 1
            with suppress(Exception):
                client.disconnect()
            client.loop_stop()

    def _subscribe(self, client: Client) -> None:
        if self._protocol == MQTTv5:
            # own requests for replay need not come back; in a shared subscription that must not be asked for
            client.subscribe(self._filter, options=SubscribeOptions(qos=1, noLocal=not self._shared))
        else:
            client.subscribe(self._filter, qos=1)

    def _granted(self, reasons: list[ReasonCode]) -> None:
        for reason in reasons:
            if reason.is_failure:
                self._tell(f"reading {self._filter} was refused ({reason}); give this client the right to read it")

    def _take(self, client: Client, connection: int, message: MQTTMessage) -> None:
        mid, qos = message.mid, message.qos

        def acknowledge() -> None:
            if self._connection == connection:
                client.ack(mid, qos)

        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        if topic.endswith("/_/replay"):  # a request, ours or another collector's
            acknowledge()
            return
        self._inbox.put(Delivery(topic, bytes(message.payload[: BODY_MAX + 1]), acknowledge))

    def _tell(self, state: str) -> None:
        if state != self.state:
            self.state = state
            log.log(logging.INFO if state == "connected" else logging.WARNING, "%s: %s", self.name, state)


def _session() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION_S
    properties.ReceiveMaximum = UNACKNOWLEDGED_MOST
    properties.MaximumPacketSize = PACKET_MAX
    return properties
