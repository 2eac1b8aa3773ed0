"""Listens to a broker for whoever looks: an address and a filter in, JSON objects by topic out. By paho-mqtt.

Called by `watch` and `demo`, which put what comes into an inbox (edge/watch/inbox.py).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from edge.delivery.endpoint import Endpoint, LinkError, tls_context
from edge.delivery.troubles import of_connecting

_ANSWER_S = 5.0


@contextmanager
def subscribe(
    url: str,
    topic_filter: str,
    take: Callable[[str, dict[str, Any]], None],
    linked: Callable[[bool], None] = lambda _: None,
    **tls: str,
) -> Iterator[None]:
    """Listen to a broker while the context lasts; `take` is called in paho's thread, and so is
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
    except OSError as error:
        raise of_connecting(endpoint, error) from None
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
