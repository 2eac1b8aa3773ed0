"""A national collector behind a broker of any make, for the tests of brokers: it asks for what is missing."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable

from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from samples import ROOT


class National:
    """A persistent session through paho's own thread; `got` is what came."""

    def __init__(self, port: int, files: tuple[str, str, str]) -> None:
        self.got: list[MQTTMessage] = []
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="national", protocol=MQTTv311, clean_session=False)
        self._client.on_message = lambda c, u, message: self.got.append(message)
        self._client.on_connect = lambda c, *rest: c.subscribe("borderflow/#", 1)
        subscribed = threading.Event()  # RabbitMQ 3.10 gives wildcard subscribers nothing that was retained before
        self._client.on_subscribe = lambda *rest: subscribed.set()
        self._client.reconnect_delay_set(1, 1)
        self._client.tls_set(*files)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(20)

    def lacks(self, made: list[bytes]) -> set[bytes]:
        return set(made) - {message.payload for message in list(self.got)}

    async def get_all(self, made: list[bytes]) -> None:
        """What the broker acknowledged and lost is asked for again, and comes."""
        await until(lambda: not self.lacks(made), 15)
        for body in self.lacks(made):
            lost = json.loads(body)
            topic = f"{ROOT}/{lost['lane']}/{lost['schema'].split('/')[1]}"
            request = {"topic": topic, "epoch": lost["epoch"], "from_seq": lost["seq"], "to_seq": lost["seq"]}
            self._client.publish(f"{ROOT}/_/replay", json.dumps(request).encode(), 1)
        assert await until(lambda: not self.lacks(made), 30)
        seqs: dict[str, set[int]] = {}
        for message in list(self.got):
            if not message.topic.endswith("/replay"):
                seqs.setdefault(message.topic, set()).add(json.loads(message.payload)["seq"])
        for topic, numbers in seqs.items():
            assert numbers - {0} == set(range(1, max(numbers) + 1)), topic

    def close(self) -> None:
        self._client.loop_stop()


async def until(condition: Callable[[], bool], timeout_s: float) -> bool:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        await asyncio.sleep(0.05)
    return condition()
