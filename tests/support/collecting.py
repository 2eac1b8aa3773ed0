"""A collector for tests: subscribes with a persistent session through paho's own thread and keeps what arrives."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions


class CollectingClient:
    """What a central operator runs, at its smallest."""

    def __init__(
        self, port: int, *, host: str = "127.0.0.1", topic: str = "borderflow/#",
        tls: tuple[str, str, str] | None = None,
    ) -> None:  # fmt: skip
        self.messages: list[MQTTMessage] = []
        self._lock = threading.Lock()
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="collector", protocol=MQTTv5)
        if tls is not None:
            self._client.tls_set(ca_certs=tls[0], certfile=tls[1], keyfile=tls[2])
        self._client.reconnect_delay_set(1, 1)

        def on_connect(client: Client, *rest: Any) -> None:
            client.subscribe(topic, options=SubscribeOptions(qos=1, retainAsPublished=True))

        def on_message(client: Client, userdata: Any, message: MQTTMessage) -> None:
            with self._lock:
                self.messages.append(message)

        self._client.on_connect = on_connect
        self._client.on_message = on_message
        self._client.on_subscribe = lambda *rest: self._subscribed.set()
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        properties.ReceiveMaximum = 65535
        self._client.connect(host, port, clean_start=False, properties=properties)
        self._client.loop_start()
        assert self._subscribed.wait(5)

    def publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(5)

    def bodies(self, kind: str | None = None) -> list[dict[str, Any]]:
        with self._lock:
            messages = list(self.messages)
        return [json.loads(m.payload) for m in messages if kind is None or m.topic.endswith(f"/{kind}")]

    def seqs(self) -> dict[str, list[int]]:
        """Numbers of each topic in the order of arrival, without repeats and without last wills."""
        with self._lock:
            messages = list(self.messages)
        seen: dict[str, dict[int, None]] = defaultdict(dict)
        for message in messages:
            topic = message.topic
            if topic.startswith("borderflow/") and not topic.endswith("/replay"):
                seen[topic].setdefault(json.loads(message.payload)["seq"])
        return {topic: [seq for seq in numbers if seq > 0] for topic, numbers in seen.items()}

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def wait_until(condition: Callable[[], bool], timeout_s: float = 15.0) -> bool:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()
