"""`borderflow collect nats://…` against a NATS server with MQTT: nothing is lost while no collector runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import lane_messages as messages
import pytest
from centre_reading import rows, within
from mosquitto import free_port
from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

NATS = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin")
pytestmark = pytest.mark.skipif(NATS is None, reason="nats-server is not installed")


class Server:
    """One node with JetStream and MQTT."""

    def __init__(self, directory: Path) -> None:
        self.port, self.mqtt_port = free_port(), free_port()
        self._config = directory / "nats.conf"
        self._config.write_text(
            f'server_name: "one"\nhost: "127.0.0.1"\nport: {self.port}\n'
            f'jetstream {{ store_dir: "{directory}/store" }}\nmqtt {{ host: "127.0.0.1", port: {self.mqtt_port} }}\n'
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen([str(NATS), "-c", str(self._config)], stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.start()
    yield made
    made.kill()


def computer(server: Server) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, client_id="edge-1", protocol=MQTTv311)

    def connected() -> bool:
        try:
            client.connect("127.0.0.1", server.mqtt_port)
        except OSError:
            return False
        client.loop_start()
        return within(2, client.is_connected)

    assert within(20, connected)
    return client


def collect(server: Server, database: Path) -> subprocess.Popen[bytes]:
    url = f"nats://127.0.0.1:{server.port}"
    command = [sys.executable, "-m", "edge", "collect", url, "--into", str(database)]
    log = database.with_suffix(".log")
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file)
    assert within(20, lambda: ": connected" in log.read_text()), log.read_text()
    return process


def test_two_collectors_killed_and_the_server_too_lose_and_double_nothing(server: Server, tmp_path: Path) -> None:
    lane, database, seq = computer(server), tmp_path / "centre.db", 0
    for _ in range(3):
        process = collect(server, database)
        for _ in range(200):
            seq += 1
            lane.publish(*messages.sent(messages.vehicle(seq), seq), qos=1).wait_for_publish(10)
            if seq % 200 == 100:
                process.kill()
                process.wait()
    process = collect(server, database)
    assert within(90, lambda: rows(database, "SELECT count(*) FROM vehicle") == [(seq,)])
    assert rows(database, "SELECT count(*) FROM gap WHERE state = 'open'") == [(0,)]
    asked: list[bytes] = []
    lane.on_message = lambda _client, _data, message: asked.append(message.payload)
    lane.subscribe("borderflow/v1/CA/0453/edge-1/_/replay", qos=1)
    time.sleep(0.5)
    lane.publish(*messages.sent(messages.vehicle(seq + 2), seq + 2), qos=1)
    assert within(20, lambda: bool(asked))
    lane.loop_stop()
    process.terminate()
    assert process.wait(10) == 0
