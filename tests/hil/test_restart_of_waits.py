"""SIGKILL of the whole daemon with forty vehicles queued: what the next one has to expect is known at once again."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from bench import Daemon, wait_for
from busy_reader import busy_configuration
from certificates import Authority
from collector import Collector
from mosquitto import Mosquitto

from edge.messages import parse_utc

pytestmark = pytest.mark.long

INTERVAL_S = 5
QUEUED = 40


class ToldReader:
    """A plate reader (as `busy_reader`'s) that reads what it is told; unread plates wait for a connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._connection: socket.socket | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                self._connection, _ = self._listener.accept()

    def read(self, number: int) -> None:
        assert self._connection is not None
        self._connection.sendall(b"\x02%016dBF%07d\x03" % (0, number * 12_347 % 10_000_000))

    @property
    def connected(self) -> bool:
        return self._connection is not None

    def close(self) -> None:
        self._listener.close()


@pytest.mark.hil
@pytest.mark.timeout(180)
def test_sigkill_with_a_queue(tmp_path: Path, authority: Authority, broker: Mosquitto) -> None:
    lane, centre = authority.issue("lane-1"), authority.issue("collector")
    readers = {point: ToldReader() for point in ("approach", "booth")}
    config = busy_configuration(
        tmp_path,
        readers,  # type: ignore[arg-type]
        f'url = "mqtts://127.0.0.1:{broker.port}"\nca_file = "{authority.ca_file}"\n'
        f'cert_file = "{lane.cert_file}"\nkey_file = "{lane.key_file}"',
    )
    config.write_text(config.read_text() + f"[wait]\ninterval_s = {INTERVAL_S}\n")
    daemon = Daemon(config)
    files = {"ca_file": str(authority.ca_file), "cert_file": str(centre.cert_file), "key_file": str(centre.key_file)}
    try:
        with Collector(broker.port, **files) as collector:
            daemon.start()
            wait_for("readers", lambda: all(reader.connected for reader in readers.values()), 60)
            for step in range(3 * QUEUED // 2):  # every third is served
                readers["approach"].read(step)
                if step % 3 == 2:
                    readers["booth"].read(step // 3)
                time.sleep(0.6)
            wait_for("a queue", lambda: (_lane_waits(collector)[-1]["queue_vehicles"] or 0.0) > QUEUED - 6, 30)
            before = _lane_waits(collector)[-1]
            assert before["expected_s"] is not None
            daemon.kill()
            for reader in readers.values():
                reader._connection = None
            killed_ns = time.time_ns()
            daemon.start()
            wait_for("readers", lambda: all(reader.connected for reader in readers.values()), 60)
            up_ns = time.time_ns()
            for step in range(QUEUED // 2, QUEUED // 2 + 6):
                readers["booth"].read(step)
                time.sleep(1.8)
            wait_for("waits", lambda: len(_since(collector, killed_ns)) >= 3, 60)
            again = _since(collector, killed_ns)
            known = [w for w in again if w["expected_s"] is not None]
            assert known
            assert parse_utc(known[0]["time"]) - up_ns <= 2 * INTERVAL_S * 1_000_000_000
            assert known[0]["low_s"] <= known[0]["expected_s"] <= known[0]["high_s"]
            assert known[0]["queue_vehicles"] == pytest.approx(before["queue_vehicles"], abs=8)
            assert again[-1]["match_rate"] > 0.9, "plates of before the kill are known after it"
            times = [w["time"] for w in _lane_waits(collector)]
            assert len(times) == len(set(times)), "no interval is told twice"
            assert daemon.stop() == 0, daemon.log()
    finally:
        for reader in readers.values():
            reader.close()
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()


def _lane_waits(collector: Collector) -> list[dict[str, Any]]:
    return [wait for wait in collector.of_kind("wait") if wait["lane"] == "C03"]


def _since(collector: Collector, time_ns: int) -> list[dict[str, Any]]:
    return [wait for wait in _lane_waits(collector) if parse_utc(wait["time"]) > time_ns]
