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
from samples import ROOT, SOURCE, sighting, status, vehicle

from edge.config import Collector
from edge.delivery.journal import Journal
from edge.delivery.publisher import Publisher
from edge.machine import sdnotify

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


def deployed(directory: Path, authority: Authority, name: str, more: str = "") -> Mosquitto:
    """A mosquitto as deploy/mosquitto has it, with its paths and its port in a directory of the test; not started."""
    etc, store = directory / "etc", directory / "kept"
    etc.mkdir(parents=True)
    store.mkdir()
    shutil.copy(authority.ca_file, etc / "ca.pem")
    server = authority.issue(name)
    shutil.copy(server.cert_file, etc / "server.pem")
    shutil.copy(server.key_file, etc / "server.key")
    shutil.copy(DEPLOY / "mosquitto" / "acl", etc / "acl")
    broker = Mosquitto(directory, "", persistent=False)
    lines = (DEPLOY / "mosquitto" / "borderflow.conf").read_text() + more
    lines = lines.replace("/etc/mosquitto/borderflow", str(etc)).replace("/var/lib/mosquitto", str(store))
    broker.configure(lines.replace("listener 8883", f"listener {broker.port} 127.0.0.1"))
    return broker


def national_client(broker: Mosquitto, authority: Authority, topic: str = "borderflow/#") -> CollectingClient:
    reader = authority.issue("national-collector")
    files = (str(authority.ca_file), str(reader.cert_file), str(reader.key_file))
    return CollectingClient(broker.port, topic=topic, tls=files)


def lane_publisher(broker: Mosquitto, authority: Authority, journal: Journal) -> Publisher:
    lane = authority.issue(SOURCE)
    collector = Collector(
        name="national", url=f"mqtts://127.0.0.1:{broker.port}", share=("vehicle", "sighting", "status"),
        ca_file=str(authority.ca_file), cert_file=str(lane.cert_file), key_file=str(lane.key_file),
    )  # fmt: skip
    return Publisher(collector, journal, status)


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
async def test_mosquitto_takes_the_configuration_and_holds_each_to_its_branch(
    tmp_path: Path, authority: Authority, journal: Journal
) -> None:
    broker = deployed(tmp_path / "site", authority, "site-broker")
    broker.start()
    try:
        national = national_client(broker, authority)
        publisher = lane_publisher(broker, authority, journal)
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


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
async def test_the_broker_of_a_site_bridges_through_an_outage_of_the_collector(
    tmp_path: Path, authority: Authority, journal: Journal
) -> None:
    """Its share arrives, the rest stays at the site; what came in the outage follows; replay crosses the bridge."""
    collector = deployed(tmp_path / "national", authority, "national-broker")
    bridge = (DEPLOY / "site" / "bridge.conf").read_text()
    bridge = bridge.replace("collector.example:8883", f"127.0.0.1:{collector.port}").replace(
        "national-ca.pem", "ca.pem"
    )
    site = deployed(tmp_path / "site", authority, "site-broker", f"\n{bridge}")
    mine = authority.issue("site-0453")
    shutil.copy(mine.cert_file, tmp_path / "site" / "etc" / "bridge.pem")
    shutil.copy(mine.key_file, tmp_path / "site" / "etc" / "bridge.key")
    collector.start()
    site.start()
    publisher = lane_publisher(site, authority, journal)
    task = asyncio.create_task(publisher.run())
    try:
        national = await asyncio.to_thread(national_client, collector, authority, "#")
        journal.append([vehicle(), sighting()])
        assert await asyncio.to_thread(wait_until, lambda: len(national.bodies("vehicle")) == 1)
        assert national.seqs()[f"{ROOT}/_/status"]
        await asyncio.to_thread(collector.kill)
        for _ in range(20):
            journal.append([vehicle()])
        assert await asyncio.to_thread(wait_until, lambda: publisher.backlog().messages == 0)
        await asyncio.to_thread(collector.start)
        await asyncio.to_thread(wait_until, lambda: len(national.seqs()[f"{ROOT}/C03/vehicle"]) == 21, 30)
        request = {"topic": f"{ROOT}/C03/vehicle", "epoch": journal.epoch, "from_seq": 1, "to_seq": 21}
        before = len(national.bodies("vehicle"))
        await asyncio.to_thread(national.publish, f"{ROOT}/_/replay", json.dumps(request).encode())
        assert await asyncio.to_thread(wait_until, lambda: len(national.bodies("vehicle")) >= before + 21)
        assert set(national.seqs()[f"{ROOT}/C03/vehicle"]) == set(range(1, 22))
        assert national.bodies("sighting") == []
        states = [m.payload for m in national.messages if m.topic == "borderflow-site/v1/CA/0453/bridge"]
        assert states[-1] == b"1"
        national.close()
    finally:
        await publisher.stop()
        await task
        site.kill()
        collector.kill()


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
