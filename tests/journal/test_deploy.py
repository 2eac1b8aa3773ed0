"""The files of deploy/ are accepted by those who read them: systemd and mosquitto."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from certificates import Authority
from collecting import CollectingClient, wait_until
from mosquitto import MOSQUITTO, Mosquitto
from samples import ROOT, SOURCE, status, vehicle

from edge import sdnotify
from edge.config import Collector
from edge.delivery.journal import Journal
from edge.delivery.publisher import Publisher

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit_and_finds_it_tight(tmp_path: Path) -> None:
    text = (DEPLOY / "systemd" / "borderflow.service").read_text()
    unit = tmp_path / "borderflow.service"
    unit.write_text(text)
    verify = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert (verify.returncode, verify.stderr) == (0, "")
    security = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
    )
    assert security.returncode == 0, security.stdout.splitlines()[-1]


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
async def test_mosquitto_takes_the_configuration_and_holds_each_to_its_branch(
    tmp_path: Path, authority: Authority, journal: Journal
) -> None:
    directory = tmp_path / "etc"
    directory.mkdir()
    shutil.copy(authority.ca_file, directory / "ca.pem")
    server = authority.issue("site-broker")
    shutil.copy(server.cert_file, directory / "server.pem")
    shutil.copy(server.key_file, directory / "server.key")
    shutil.copy(DEPLOY / "mosquitto" / "acl", directory / "acl")
    store = tmp_path / "store"
    store.mkdir()
    lines = (DEPLOY / "mosquitto" / "borderflow.conf").read_text()
    broker = Mosquitto(tmp_path, "", persistent=False)
    lines = lines.replace("/etc/mosquitto/borderflow", str(directory)).replace("/var/lib/mosquitto", str(store))
    lines = lines.replace("listener 8883", f"listener {broker.port} 127.0.0.1")
    broker.configure(lines)
    broker.start()
    try:
        lane, reader = authority.issue(SOURCE), authority.issue("national-collector")
        national = CollectingClient(
            broker.port, tls=(str(authority.ca_file), str(reader.cert_file), str(reader.key_file))
        )
        collector = Collector(
            name="national", url=f"mqtts://127.0.0.1:{broker.port}", share=("vehicle", "status"),
            ca_file=str(authority.ca_file), cert_file=str(lane.cert_file), key_file=str(lane.key_file),
        )  # fmt: skip
        publisher = Publisher(collector, journal, status)
        task = asyncio.create_task(publisher.run())
        journal.append([vehicle(), vehicle()])
        assert await asyncio.to_thread(wait_until, lambda: len(national.bodies("vehicle")) == 2)
        request = {"topic": f"{ROOT}/C03/vehicle", "epoch": journal.epoch, "from_seq": 2, "to_seq": 2}
        await asyncio.to_thread(national.publish, f"{ROOT}/_/replay", json.dumps(request).encode())
        assert await asyncio.to_thread(wait_until, lambda: len(national.bodies("vehicle")) == 3)
        await publisher.stop()
        await task
        national.close()
    finally:
        broker.kill()


def test_notify_speaks_to_the_socket_of_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in (str(tmp_path / "notify"), f"@borderflow-test-{tmp_path.name}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(address.replace("@", "\0", 1) if address[0] == "@" else address)
            monkeypatch.setenv("NOTIFY_SOCKET", address)
            sdnotify.notify("READY=1", "STATUS=2 lanes")
            assert listener.recv(100) == b"READY=1\nSTATUS=2 lanes"


@pytest.mark.parametrize("address", ["", "relative", "/no/such/socket", "@no-such-socket"])
def test_notify_without_systemd_does_nothing(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert sdnotify.notify("READY=1") is None
