"""A camera that sends again what was not answered: the daemon dies between receiving and answering, nothing is lost."""

from __future__ import annotations

import http.client
import random
import threading
import time
import uuid
from pathlib import Path

import pytest
from bench import Daemon, wait_for
from driver_peers import free_port
from site_text import device_tables, lane_tables, store_tables

from edge.delivery.identity import new_key
from edge.delivery.journal import Journal

PLATES, KILLED = 40, (5, 15, 25)
CONFIG = (
    lane_tables(site={"source": "lane-1"})
    + device_tables("camera", "hikvision_isapi", "http://127.0.0.1:{port}/plates", point="approach")
    + store_tables("{directory}/store", "{directory}/identity.key")
)
EVENT = """<EventNotificationAlert><dateTime>2026-11-24T08:15:59Z</dateTime><eventType>ANPR</eventType>
<ANPR><licensePlate>{plate}</licensePlate><confidenceLevel>87</confidenceLevel></ANPR><UUID>{identity}</UUID>
</EventNotificationAlert>"""


class Camera:
    """Posts one plate after the other, each until it is answered 200."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answered = self.again = 0
        self._thread = threading.Thread(target=self._send_all, daemon=True)
        self._thread.start()

    def _send_all(self) -> None:
        for number in range(PLATES):
            event = EVENT.format(plate=f"BF{number:04d}", identity=uuid.UUID(int=number)).encode()
            while not self._post(event):
                self.again += 1
                time.sleep(0.05)
            self.answered += 1
            time.sleep(0.02)

    def _post(self, event: bytes) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("POST", "/plates", event, {"Content-Type": "application/xml"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@pytest.mark.hil
@pytest.mark.timeout(90)
def test_what_was_answered_is_in_the_journal_whenever_the_daemon_dies(tmp_path: Path) -> None:
    port, noise = free_port(), random.Random(5)
    new_key(tmp_path / "identity.key")
    config = tmp_path / "borderflow.toml"
    config.write_text(CONFIG.format(port=port, directory=tmp_path))
    daemon = Daemon(config)
    daemon.start()
    camera = Camera(port)
    try:
        for kill_at in KILLED:
            wait_for("answers", lambda at=kill_at: camera.answered >= at, 30)
            time.sleep(noise.uniform(0.0, 0.02))  # anywhere between receiving one and answering it
            daemon.kill()
            daemon.start()
        wait_for("all plates", lambda: camera.answered == PLATES, 30)
    finally:
        assert daemon.stop() == 0, daemon.log()
    assert camera.again >= len(KILLED)
    assert "BF0" not in daemon.log()
    journal = Journal(tmp_path / "store" / "journal.db", 1_000_000_000, time.time_ns)
    topic = "borderflow/v1/CA/0453/lane-1/C03/sighting"
    bodies = [entry.body for entry in journal.replay(topic, journal.epoch, 1, 1000, limit=1000)]
    journal.close()
    pseudonyms = {body.split(b'"pseudonym":')[1].split(b",")[0] for body in bodies}
    assert len(pseudonyms) == PLATES
    assert len(bodies) <= PLATES + len(KILLED)  # one may have been stored and not yet answered when it died
