"""A NATS cluster of three nodes with JetStream and MQTT: a node is killed under load, and nothing is lost."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from certificates import Authority
from mosquitto import free_port
from national import National, until
from samples import SOURCE, mixed, status

from edge.config import Collector
from edge.delivery.journal import Journal
from edge.delivery.publisher import Publisher

NATS = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin")
pytestmark = [pytest.mark.skipif(NATS is None, reason="nats-server is not installed"), pytest.mark.timeout(170)]
DEPLOY = Path(__file__).parents[2] / "deploy" / "national" / "nats.conf"


class Cluster:
    """Three nodes on loopback, from the configuration in deploy/national with other ports and paths."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority = Authority(directory / "tls")
        self._server = self._authority.issue("node")
        self.mqtt_ports = [free_port() for _ in range(3)]
        self._cluster_ports = [free_port() for _ in range(3)]
        self._client_ports = [free_port() for _ in range(3)]
        self._processes: list[subprocess.Popen[bytes] | None] = [None, None, None]

    def start(self, node: int) -> None:
        routes = ", ".join(f"nats://127.0.0.1:{port}" for port in self._cluster_ports)
        config = self._directory / f"node{node}.conf"
        text = DEPLOY.read_text()
        for pattern, value in (
            (r'server_name: ".*"', f'server_name: "node{node}"'),
            (r"port: 4222", f"port: {self._client_ports[node]}"),
            (r"/var/lib/nats", f"{self._directory}/node{node}"),
            (r"max_file_store: 500G", "max_file_store: 1G"),
            (r"0\.0\.0\.0:6222", f"127.0.0.1:{self._cluster_ports[node]}"),
            (r"0\.0\.0\.0:8883", f"127.0.0.1:{self.mqtt_ports[node]}"),
            (r"routes: \[.*\]", f"routes: [{routes}]"),
            (r"/etc/nats/(cluster|crossings)-ca\.pem", str(self._authority.ca_file)),
            (r"/etc/nats/(node|server)\.pem", str(self._server.cert_file)),
            (r"/etc/nats/(node|server)\.key", str(self._server.key_file)),
        ):
            text, changed = re.subn(pattern, value, text)
            assert changed, pattern
        config.write_text(text)
        log = (self._directory / f"node{node}.log").open("ab")
        self._processes[node] = subprocess.Popen([str(NATS), "-c", str(config)], stdout=log, stderr=log)
        log.close()

    def files(self, name: str) -> tuple[str, str, str]:
        """Authority, certificate and key of a client of that name."""
        mine = self._authority.issue(name)
        return str(self._authority.ca_file), str(mine.cert_file), str(mine.key_file)

    def kill(self, node: int) -> None:
        process = self._processes[node]
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            self._processes[node] = None

    def wait_for_leader(self) -> None:
        end = time.monotonic() + 40
        while time.monotonic() < end:
            if any("JetStream cluster new metadata leader" in self._log(node) for node in range(3)):
                time.sleep(1.0)
                return
            time.sleep(0.1)
        raise AssertionError(self._log(0))

    def _log(self, node: int) -> str:
        with suppress(FileNotFoundError):
            return (self._directory / f"node{node}.log").read_text(errors="replace")
        return ""


class Balancer:
    """What stands before a cluster: carries each connection to the first node that takes it."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Balancer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *rest: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for port in self._ports:
            with suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
                for pair in ((reader, far_writer), (far_reader, writer)):
                    task = asyncio.ensure_future(self._carry(*pair))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                return
        writer.close()

    @staticmethod
    async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    for node in range(3):
        made.start(node)
    try:
        made.wait_for_leader()
        yield made
    finally:
        for node in range(3):
            made.kill(node)


async def test_a_node_is_killed_under_load(cluster: Cluster, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", 100_000_000, time.time_ns)
    national = National(cluster.mqtt_ports[2], cluster.files("national-collector"))
    async with Balancer(cluster.mqtt_ports) as balancer:
        ca_file, cert_file, key_file = cluster.files(SOURCE)
        collector = Collector(
            name="national", url=f"mqtts://127.0.0.1:{balancer.port}", protocol=4,
            ca_file=ca_file, cert_file=cert_file, key_file=key_file,
            share=("vehicle", "sighting", "flow", "status"),
        )  # fmt: skip
        publisher = Publisher(collector, journal, status)
        task = asyncio.create_task(publisher.run())
        try:
            assert await until(lambda: publisher.counts.delivered > 0, 40), publisher.text
            made: list[bytes] = []
            for second in range(8):
                made += [entry.body for entry in await asyncio.to_thread(journal.append, mixed(40))]
                if second == 3:
                    cluster.kill(0)
                await asyncio.sleep(0.5)
            assert await until(lambda: publisher.backlog().messages == 0, 60), publisher.text
            assert publisher.counts.connections >= 2
            await national.get_all(made)
        finally:
            await publisher.stop()
            await task
    national.close()
    journal.close()
