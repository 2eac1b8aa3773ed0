"""Subscribes to everything in a process of its own and counts numbers by topic: for more messages than memory can hold.

Run as a program it listens until a line comes on standard input, then prints what it counted.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from types import TracebackType

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

_SEQ = re.compile(rb'"seq":(\d+)')


@dataclass(frozen=True)
class Counted:
    """How many different numbers came of a topic, and how many of them came first after a higher one."""

    different: int
    late_first: int


class SeqCounter:
    def __init__(self, port: int) -> None:
        command = [sys.executable, __file__, str(port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> SeqCounter:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"listening\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def finish(self, within_s: float) -> dict[str, Counted]:
        """What came, once nothing has come for five seconds; it may be far behind."""
        said, _ = self._process.communicate(b"\n", timeout=within_s)
        return {topic: Counted(*values) for topic, values in json.loads(said).items()}


def main(port: int) -> None:
    seen: dict[str, set[int]] = {}
    highest: dict[str, int] = {}
    late_first: dict[str, int] = {}
    arrived = 0

    def take(client: Client, userdata: object, message: MQTTMessage) -> None:
        nonlocal arrived
        arrived += 1
        topic = message.topic
        found = _SEQ.search(message.payload)
        seq = int(found[1]) if found else 0
        if seq == 0 or seq in seen.setdefault(topic, set()):
            return
        seen[topic].add(seq)
        late_first[topic] = late_first.get(topic, 0) + (seq < highest.get(topic, 0))
        highest[topic] = max(seq, highest.get(topic, 0))

    client = Client(CallbackAPIVersion.VERSION2, client_id="seq-counter", protocol=MQTTv5)
    client.on_connect = lambda *_: client.subscribe("borderflow/#", qos=1)
    client.on_subscribe = lambda *_: print("listening", flush=True)
    client.on_message = take
    client.connect("127.0.0.1", port)
    client.loop_start()
    sys.stdin.readline()
    before = -1
    while before != arrived:
        before = arrived
        time.sleep(5.0)
    print(json.dumps({topic: (len(numbers), late_first[topic]) for topic, numbers in seen.items()}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
