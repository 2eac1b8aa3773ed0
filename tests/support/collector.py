"""A national collector as it should be: a persistent session, repeats removed by id, gaps asked for again."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import defaultdict
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion


class Collector:
    """Subscribes to everything; `messages` holds each message once, in the order of arrival."""

    def __init__(self, port: int, *, ca_file: str, cert_file: str, key_file: str) -> None:
        self.messages: list[dict[str, Any]] = []
        self.arrived: dict[str, float] = {}  # id: UTC seconds
        self.repeats = 0
        self._lock = threading.Lock()
        self._port = port
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="collector", clean_session=False)
        context = ssl.create_default_context(cafile=ca_file)
        context.load_cert_chain(cert_file, key_file)
        self._client.tls_set_context(context)
        self._client.reconnect_delay_set(1, 2)
        self._client.on_connect = lambda client, *_: client.subscribe("borderflow/v1/#", qos=1)
        self._client.on_message = self._take

    def __enter__(self) -> Collector:
        self._client.connect("127.0.0.1", self._port, keepalive=5)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        if message.topic.endswith("/replay"):
            return
        body = json.loads(message.payload)
        with self._lock:
            if body["id"] in self.arrived:
                self.repeats += 1
                return
            self.arrived[body["id"]] = time.time()
            self.messages.append(body | {"topic": message.topic})

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        with self._lock:
            return [message for message in self.messages if message["schema"].split("/")[1] == kind]

    def gaps(self) -> dict[tuple[str, str], list[int]]:
        """Missing seq numbers by topic and epoch. A last will has seq 0, outside the count."""
        seen: dict[tuple[str, str], set[int]] = defaultdict(set)
        with self._lock:
            for message in self.messages:
                if message["seq"] > 0:
                    seen[message["topic"], message["epoch"]].add(message["seq"])
        found = {key: sorted(set(range(1, max(numbers) + 1)) - numbers) for key, numbers in seen.items()}
        return {key: missing for key, missing in found.items() if missing}

    def ask_again(self) -> None:
        """Ask for each gap on the replay topic of its computer."""
        for (topic, epoch), missing in self.gaps().items():
            request = {"topic": topic, "epoch": epoch, "from_seq": missing[0], "to_seq": missing[-1]}
            branch = "/".join(topic.split("/")[:5])
            self._client.publish(f"{branch}/_/replay", json.dumps(request), qos=1)
