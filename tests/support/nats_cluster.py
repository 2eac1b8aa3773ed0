"""A NATS cluster of three nodes on loopback, from the configuration in deploy/national, and what stands before one."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from certificates import Authority
from mosquitto import free_port

NATS = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin")
DEPLOY = Path(__file__).parents[2] / "deploy" / "national"


class Cluster:
    """Three nodes on loopback, from the configuration in deploy/national with other ports and paths."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority = Authority(directory / "tls")
        self._server = self._authority.issue("node")
        self.mqtt_ports = [free_port() for _ in range(3)]
        self._cluster_ports = [free_port() for _ in range(3)]
        self.client_ports = [free_port() for _ in range(3)]
        self._processes: list[subprocess.Popen[bytes] | None] = [None, None, None]

    def start(self, node: int) -> None:
        routes = ", ".join(f"nats://127.0.0.1:{port}" for port in self._cluster_ports)
        config = self._directory / f"node{node}.conf"
        text = (DEPLOY / "nats.conf").read_text()
        for pattern, value in (
            (r'server_name: ".*"', f'server_name: "node{node}"'),
            (r'host: "0.0.0.0"', 'host: "127.0.0.1"'),
            (r"port: 4222", f"port: {self.client_ports[node]}"),
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
