"""Several collectors share what one broker gives (MQTT 5): each message once, also while one of them dies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import lane_messages as messages
import pytest
from centre_reading import within
from centre_world import Centre, Database
from mosquitto import MOSQUITTO, Mosquitto
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from postgres import BIN, Postgres

pytestmark = pytest.mark.skipif(MOSQUITTO is None or BIN is None, reason="needs mosquitto and PostgreSQL")


@pytest.fixture
def server() -> Iterator[Postgres]:
    made = Postgres()
    made.start()
    yield made
    made.remove()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path)
    made.start()
    yield made
    made.kill()


def test_two_collectors_share_one_broker(broker: Mosquitto, server: Postgres, tmp_path: Path) -> None:
    database = Database(server.new_database())
    words = [f"mqtt://127.0.0.1:{broker.port}", "--into", database.url, "--share", "centre", "--client-id"]
    one, other = (Centre(tmp_path, name, [*words, name]) for name in ("one", "other"))
    for centre in (one, other):
        centre.start()
        assert within(20, centre.connected), centre.log.read_text()
    lane = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    lane.connect("127.0.0.1", broker.port)
    lane.loop_start()
    try:
        for seq in range(1, 401):
            lane.publish(*messages.sent(messages.vehicle(seq), seq), qos=1)
            if seq == 200:
                time.sleep(0.2)
                one.kill()
        one.start()  # takes up what was under way to it
        assert within(30, lambda: database.rows() == 400), (one.log.read_text(), other.log.read_text())
        assert len(database.holds()) == 400
        assert within(20, lambda: database.open_gaps() == 0)
        assert (one.end(), other.end()) == (0, 0)
        stored = [int(centre.log.read_text().split(" messages stored")[0].split()[-1]) for centre in (one, other)]
        assert min(stored) > 0  # both had their share
    finally:
        for centre in (one, other):
            centre.kill()
        lane.disconnect()
        lane.loop_stop()
