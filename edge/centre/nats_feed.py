"""Reads everything from a NATS cluster: a durable JetStream consumer, shared by several collectors. The only file that
uses nats-py.

In: a stream; out: deliveries in the inbox of `collect`. What a computer publishes over MQTT with QoS 1 is in the stream
`$MQTT_msgs` before it is acknowledged to the computer; that stream keeps a message while a consumer wants it, so the
consumer is made first, with as many replicas as the stream, and each message is acknowledged when it is stored. Shared
subscriptions of MQTT give nothing there (findings/nats-shared-subscription.sh), hence this way in.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from edge.centre.arrival import BODY_MAX
from edge.centre.feed import Delivery, Inbox

log = logging.getLogger("feed")

STREAM, SUBJECTS, PREFIX = "$MQTT_msgs", "$MQTT.msgs.borderflow.v1.>", "$MQTT.msgs."
DURABLE = "borderflow-collect"
FETCH_MOST = 500
FETCH_S = 1.0
ACK_WAIT_S = 60.0  # a collector that died: its messages go to another one after this
UNACKNOWLEDGED_MOST = 20_000
RETRY_S = 2.0


class NatsFeed:
    """See the head of this file. `urls` are the nodes of one cluster, `nats://host:4222`; `tls` for `tls://` ones."""

    def __init__(self, urls: Sequence[str], inbox: Inbox, *, tls: ssl.SSLContext | None = None) -> None:
        self.name = ", ".join(url.rpartition("@")[2] for url in urls)
        self.state = "connecting"
        self._urls, self._inbox, self._tls = list(urls), inbox, tls
        self._stopping = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._client: Client | None = None
        self._thread = threading.Thread(target=self._run, name=f"feed {self.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask(self, topic: str, body: bytes) -> None:
        """Publish a request for replay; NATS carries it to subscribers in MQTT."""
        client = self._client
        if client is not None:
            asyncio.run_coroutine_threadsafe(_publish(client, topic.replace("/", "."), body), self._loop)

    def stop(self) -> None:
        """End the connection; the consumer stays in the cluster."""
        self._stopping.set()
        self._thread.join(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._stopping.is_set():
            try:
                self._loop.run_until_complete(self._read())
            except Exception as error:  # the network, the cluster, or the library in their absence: tried again
                self._tell(f"cannot read: {error or type(error).__name__}")
            self._stopping.wait(RETRY_S)

    async def _read(self) -> None:
        options: dict[str, Any] = {} if self._tls is None else {"tls": self._tls}
        self._client = client = await nats.connect(
            self._urls, max_reconnect_attempts=-1, reconnect_time_wait=1, connect_timeout=5,
            disconnected_cb=self._lost, reconnected_cb=self._again, error_cb=self._note, **options,
        )  # fmt: skip
        try:
            context = client.jetstream()
            await make_consumer(context)
            subscription = await context.pull_subscribe_bind(DURABLE, STREAM)
            self._tell("connected")
            while not self._stopping.is_set():
                with suppress(asyncio.TimeoutError, nats.errors.TimeoutError):
                    for message in await subscription.fetch(FETCH_MOST, FETCH_S):
                        await self._hand_over(message)
        finally:
            self._client = None
            with suppress(NatsError, OSError, asyncio.TimeoutError):
                await client.close()

    async def _hand_over(self, message: Msg) -> None:
        def acknowledge() -> None:
            asyncio.run_coroutine_threadsafe(_acknowledge(message), self._loop)

        topic = message.subject.removeprefix(PREFIX).replace(".", "/")
        if topic.endswith("/_/replay"):
            await _acknowledge(message)
            return
        delivery = Delivery(topic, bytes(message.data[: BODY_MAX + 1]), acknowledge)
        while not self._stopping.is_set():
            try:
                self._inbox.put_nowait(delivery)
                return
            except queue.Full:
                await asyncio.sleep(0.05)

    async def _lost(self) -> None:
        if not self._stopping.is_set():
            self._tell("connection lost")

    async def _again(self) -> None:
        self._tell("connected")

    async def _note(self, error: Exception) -> None:
        log.debug("%s: %s", self.name, error)

    def _tell(self, state: str) -> None:
        if state != self.state:
            self.state = state
            log.log(logging.INFO if state == "connected" else logging.WARNING, "%s: %s", self.name, state)


async def make_consumer(context: JetStreamContext) -> None:
    """The durable consumer of all collectors, where it is not there yet; NatsError where the stream is not: nobody has
    connected over MQTT to that cluster yet."""
    try:
        await context.consumer_info(STREAM, DURABLE)
    except NotFoundError:
        await context.add_consumer(
            STREAM,
            ConsumerConfig(
                durable_name=DURABLE,
                filter_subject=SUBJECTS,
                deliver_policy=DeliverPolicy.ALL,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_WAIT_S,
                max_ack_pending=UNACKNOWLEDGED_MOST,
            ),
        )


async def _publish(client: Client, subject: str, body: bytes) -> None:
    with suppress(NatsError):
        await client.publish(subject, body)


async def _acknowledge(message: Msg) -> None:
    with suppress(NatsError):  # it comes again, and is a repeat then
        await message.ack()
