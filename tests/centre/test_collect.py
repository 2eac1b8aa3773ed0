"""`borderflow collect` against a real broker: killed, restarted, asked for what is missing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import lane_messages as messages
import pytest
from centre_reading import rows, within
from mosquitto import MOSQUITTO, Mosquitto
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def computer(broker: Mosquitto) -> Iterator[Client]:
    """A computer at a lane."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


class Collector:
    """`borderflow collect` as a process; `log` is what it has said."""

    def __init__(self, broker: Mosquitto, database: Path) -> None:
        url = f"mqtt://127.0.0.1:{broker.port}"
        self.log_file = database.with_suffix(".log")
        with self.log_file.open("w") as log:
            command = [sys.executable, "-m", "edge", "collect", url, "--into", str(database)]
            self.process = subprocess.Popen(command, stderr=log)
        assert within(20, lambda: "connected" in self.log_file.read_text()), self.log_file.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(10)


def test_nothing_is_lost_or_doubled_when_the_collector_is_killed(
    broker: Mosquitto, computer: Client, tmp_path: Path
) -> None:
    database, seq = tmp_path / "centre.db", 0
    for _ in range(3):
        collector = Collector(broker, database)
        for _ in range(400):
            seq += 1
            computer.publish(*messages.sent(messages.vehicle(seq), seq), qos=1)
        time.sleep(0.05)
        collector.kill()
        for _ in range(100):  # while nobody reads
            seq += 1
            computer.publish(*messages.sent(messages.vehicle(seq), seq), qos=1)
    collector = Collector(broker, database)
    assert within(20, lambda: rows(database, "SELECT count(*) FROM vehicle") == [(seq,)])
    assert rows(database, "SELECT count(*) FROM gap WHERE state = 'open'") == [(0,)]
    assert collector.end() == 0


def test_what_is_missing_is_asked_for_and_what_is_no_message_stops_nothing(
    broker: Mosquitto, computer: Client, tmp_path: Path
) -> None:
    database = tmp_path / "centre.db"
    asked: list[dict[str, object]] = []
    computer.on_message = lambda _client, _data, message: asked.append(json.loads(message.payload))
    computer.subscribe("borderflow/v1/CA/0453/edge-1/_/replay", qos=1)
    collector = Collector(broker, database)
    for seq in (1, 2, 6):
        computer.publish(*messages.sent(messages.vehicle(seq), seq), qos=1)
        computer.publish(f"borderflow/v1/CA/0453/edge-1/C03/wait{'/x' * (seq == 2)}", "<script>", qos=1)
    assert within(20, lambda: bool(asked)), collector.log_file.read_text()
    topic = "borderflow/v1/CA/0453/edge-1/C03/vehicle"
    assert asked[0] == {"topic": topic, "epoch": "e1", "from_seq": 3, "to_seq": 5}
    for seq in (3, 4, 5):
        computer.publish(*messages.sent(messages.vehicle(seq), seq), qos=1)
    assert within(20, lambda: rows(database, "SELECT from_seq, to_seq, state FROM gap") == [(3, 5, "filled")])
    assert rows(database, "SELECT reason FROM rejected ORDER BY reason") == [("schema",), ("schema",), ("topic",)]
    assert collector.end() == 0
