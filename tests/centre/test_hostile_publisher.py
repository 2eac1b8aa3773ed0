"""A hostile publisher on the national broker beside a healthy computer: refused with reasons, nobody is disturbed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import lane_messages as messages
import msgspec
import pytest
from centre_reading import rows, within
from mosquitto import MOSQUITTO, Mosquitto
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")

SQL = "'); DROP TABLE vehicle; --"
HTML = "<script>alert(1)</script>"
TOPIC, GOOD = messages.sent(messages.vehicle(1, source="evil"), 1)
STATUS_TOPIC, STATUS = messages.sent(messages.status(1, source="evil"), 1)


def changed(body: bytes = GOOD, /, **keys: object) -> bytes:
    return json.dumps({**json.loads(body), **keys}).encode()


def text(change: str, to: str) -> bytes:
    """The good message with a piece of its text changed: what `json` itself would not write."""
    assert change in GOOD.decode()
    return GOOD.decode().replace(change, to).encode()


REFUSED: list[tuple[str, bytes, str]] = [
    (TOPIC, b"", "schema"),
    (TOPIC, b"\x00\xff" * 500, "schema"),
    (TOPIC, b"[" * 200_000, "schema"),
    (TOPIC, changed(schema="borderflow/wait/1"), "schema"),
    (TOPIC, changed(speed_mps="fast"), "schema"),
    (TOPIC, changed(axles={"a": 1}), "schema"),
    (TOPIC, text('"speed_mps":8.5', '"speed_mps":NaN'), "schema"),
    (TOPIC, text('"speed_mps":8.5', '"speed_mps":1e999'), "schema"),
    (TOPIC, changed(speed_mps=2**70), "number"),
    (TOPIC, changed(seq=2**63 - 1), "number"),
    (TOPIC, changed(seq=2**64), "number"),
    (TOPIC, changed(extra={"deep": [-(2**63) - 1]}), "number"),
    (TOPIC, changed(time="9999-12-31T23:59:59.999999Z"), "time"),
    (TOPIC, changed(time="0001-01-01T00:00:00.000000Z"), "time"),
    (TOPIC, changed(time=SQL), "time"),
    (TOPIC, changed(note="x" * 10_000_000), "size"),
    (TOPIC, changed(source="edge-1"), "topic"),
    (TOPIC, messages.sent(messages.vehicle(1), 1)[1], "topic"),
    (f"borderflow/v1/{SQL}/{HTML}/a/b/vehicle", GOOD, "topic"),
    ("borderflow/v1/CA/0453/evil/C03/no_such_kind", GOOD, "topic"),
    ("borderflow/v1", b"x", "topic"),
    (TOPIC, changed(note="a\0b"), "text"),
    (STATUS_TOPIC, changed(STATUS, online="yes"), "schema"),
    (STATUS_TOPIC, changed(STATUS, replay_from={"C03/vehicle": "1 OR 1=1"}), "schema"),
]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path)
    made.quiet()
    made.start()
    yield made
    made.kill()


def publisher(broker: Mosquitto, name: str) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    return client


def test_every_hostile_message_is_refused_and_the_healthy_computer_is_stored(broker: Mosquitto, tmp_path: Path) -> None:
    database = tmp_path / "centre.db"
    log = tmp_path / "centre.log"
    command = [sys.executable, "-m", "edge", "collect", f"mqtt://127.0.0.1:{broker.port}", "--into", str(database)]
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file)
    assert within(20, lambda: ": connected" in log.read_text()), log.read_text()
    healthy, evil = publisher(broker, "edge-1"), publisher(broker, "evil")
    for seq, (topic, body, _) in enumerate(REFUSED, 1):
        evil.publish(topic, body, qos=1)
        healthy.publish(*messages.sent(messages.vehicle(seq), seq), qos=1)
    # a message of its own branch may say what it likes in its texts: kept as it is, byte for byte
    said = msgspec.structs.replace(messages.alarm(1, source="evil"), code=SQL, text=HTML, device=SQL)
    evil.publish(*messages.sent(said, 1), qos=1)
    # a number far ahead is a gap of its own branch alone
    far = messages.sent(messages.wait(1, source="evil"), 2**40)
    evil.publish(*far, qos=1)
    claims = msgspec.structs.replace(messages.status(1, source="evil"), replay_from={"../edge-1/C03/vehicle": 10**6})
    evil.publish(*messages.sent(claims, 1), qos=1)
    assert within(30, lambda: rows(database, "SELECT count(*) FROM vehicle") == [(len(REFUSED),)]), log.read_text()
    assert within(30, lambda: rows(database, "SELECT count(*) FROM rejected") == [(len(REFUSED),)])
    assert within(20, lambda: rows(database, "SELECT count(*) FROM status") == [(1,)])
    seen = rows(database, "SELECT reason FROM rejected ORDER BY n")
    assert sorted(reason for (reason,) in seen) == sorted(reason for _, _, reason in REFUSED)
    assert rows(database, "SELECT DISTINCT source FROM vehicle") == [("edge-1",)]
    assert rows(database, "SELECT code, text, device FROM alarm") == [(SQL, HTML, SQL)]
    assert rows(database, "SELECT max(length(body)) <= 2048 FROM rejected") == [(1,)]
    assert within(20, lambda: rows(database, "SELECT to_seq FROM gap") == [(2**40 - 1,)])
    last = len(REFUSED) + 3  # what is missing of the healthy one is asked for, whatever another claims about it
    healthy.publish(*messages.sent(messages.vehicle(last), last), qos=1)
    gap = f"SELECT state, asked FROM gap WHERE to_seq = {last - 1} AND asked IS NOT NULL"
    assert within(20, lambda: [state for state, _ in rows(database, gap)] == ["open"]), log.read_text()
    with closing(sqlite3.connect(database)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    for client in (healthy, evil):
        client.disconnect()
        client.loop_stop()
    process.terminate()
    assert process.wait(10) == 0
    assert "Traceback" not in log.read_text()
    assert len(log.read_text().splitlines()) < 30  # a flood fills no log
