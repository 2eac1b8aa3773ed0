"""The daemon as a process, its collector out of reach: `status` names a fault within 5 s, and is quick."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from bench import Daemon, wait_for
from eyes_bench import EyesBench
from site_text import device_tables, lane_tables, store_tables, table

CONFIG = (
    lane_tables()
    + device_tables("tag", url="tcp://127.0.0.1:{port}", point="approach")
    + table("[[collector]]", name="national", url="mqtt://127.0.0.1:1")
    + store_tables(key="{key}")
)


class Reader:
    """A tag reader that answers every command, until it is unplugged."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    @staticmethod
    def _answer(connection: socket.socket) -> None:
        try:
            while data := connection.recv(4096):
                connection.sendall(b"".join(b"#Done\r" for _ in range(data.count(b"\r"))))
        except OSError:
            pass

    def unplug(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._connections:
            connection.shutdown(socket.SHUT_RDWR)


def status(config: Path) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "edge", "status", "--config", str(config), "--json"]
    done = subprocess.run(command, capture_output=True, timeout=30)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}


@pytest.mark.hil
def test_a_fault_is_named_within_five_seconds_while_the_uplink_is_down(tmp_path: Path) -> None:
    from edge.delivery.identity import new_key

    reader = Reader()
    new_key(tmp_path / "identity.key")
    config = tmp_path / "lane.toml"
    config.write_text(CONFIG.format(port=reader.port, key=tmp_path / "identity.key", store=tmp_path / "store"))
    assert status(config) == (69, {})
    daemon = Daemon(config)
    daemon.start()
    try:
        wait_for("the device", lambda: _state(config) in ("online", "silent"), 30)
        reader.unplug()
        began = time.monotonic()
        while not (held := [alarm for alarm in status(config)[1]["alarms"] if alarm["device"] == "tag"]):
            assert time.monotonic() - began < 5.0
        assert held[0]["code"] == "device_down"
        code, state = status(config)
        assert code == 1
        assert state["collectors"]["national"]["state"] != "connected"
        assert daemon.stop() == 0, daemon.log()
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
    assert not (tmp_path / "store" / "eyes.sock").exists()
    assert status(config) == (69, {})


def _state(config: Path) -> str:
    code, found = status(config)
    return str(found["devices"]["tag"]["state"]) if code != 69 else ""


def test_a_person_is_answered_without_loading_what_is_slow(bench: EyesBench) -> None:
    """Seconds depend on the machine; what is imported does not. A lane computer loads these in half a second."""
    code = (
        "import sys; from edge.cli import main; code = main(sys.argv[1:]); "
        "print(sorted({'numpy', 'asyncio', 'cffi', 'rich', 'drivers', 'cryptography'} & sys.modules.keys())); "
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "status", "--config", str(bench.config_path)], capture_output=True, timeout=30
    )
    assert done.stdout.splitlines()[-1] == b"[]", done.stderr
