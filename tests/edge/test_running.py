"""`doctor` and `record` see the daemon of this computer, and leave its devices alone; without one they use them."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from site_text import device_tables, lane_tables, store_tables

from edge.cli import main
from edge.config.file import load
from edge.delivery.journal import Journal
from edge.machine.running import running_daemon

CONFIG = lane_tables() + device_tables("scale", "toledo_continuous", "tcp://127.0.0.1:{port}") + store_tables()


class Device:
    """Something that listens, and counts who comes."""

    def __init__(self) -> None:
        self.visits = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.visits += 1
            connection.close()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def device() -> Iterator[Device]:
    found = Device()
    yield found
    found.close()


@pytest.fixture
def config(tmp_path: Path, device: Device) -> Path:
    path = tmp_path / "lane.toml"
    path.write_text(CONFIG.format(port=device.port, store=tmp_path / "store"))
    return path


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Journal]:
    """What a daemon holds as long as it runs."""
    journal = Journal(tmp_path / "store" / "journal.db", 10**8, time.time_ns, on_alarm=lambda *_: None)
    yield journal
    journal.close()


def test_the_daemon_is_seen_and_its_devices_are_left_alone(
    config: Path, device: Device, daemon: Journal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = running_daemon(load(config))
    assert found is not None
    assert found.process == os.getpid()
    main(["doctor", "--config", str(config)])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"the daemon runs (process {os.getpid()})" in said
    assert "left alone: the daemon has it" in said
    assert main(["record", "--config", str(config), "--out", str(tmp_path / "rec"), "--for", "1"]) == 69
    assert f"borderflow record: the daemon runs (process {os.getpid()}) and has the devices" in capsys.readouterr().err
    assert not (tmp_path / "rec").exists()
    assert device.visits == 0


def test_without_a_daemon_the_devices_are_tried(
    config: Path, device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "store" / "journal.db", 10**8, time.time_ns, on_alarm=lambda *_: None)
    journal.close()  # it ran, and does no longer
    assert running_daemon(load(config)) is None
    monkeypatch.setattr("edge.commands.doctor._DEVICE_S", 0.5)
    assert main(["doctor", "--config", str(config)]) == 1
    said = capsys.readouterr().out
    assert "left alone" not in said
    assert "the daemon runs" not in said
    assert main(["record", "--config", str(config), "--out", str(tmp_path / "rec"), "--for", "0.1"]) == 0
    assert device.visits >= 2


def test_another_store_is_another_daemon(config: Path, daemon: Journal, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(config.read_text().replace(str(tmp_path / "store"), str(tmp_path / "other")))
    assert running_daemon(load(other)) is None
