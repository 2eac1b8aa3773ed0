"""RabbitMQ with its MQTT plugin: delivery, a restart under load, replay on request."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
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

DEPLOY = Path(__file__).parents[2] / "deploy" / "national"
SERVER = shutil.which("rabbitmq-server") or shutil.which("rabbitmq-server", path="/usr/sbin:/usr/lib/rabbitmq/bin")
NEW = any(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-4*"))
CONFIG, PROTOCOLS = ("rabbitmq-4.conf", [5, 4]) if NEW else ("rabbitmq-3.10.conf", [4])
pytestmark = [pytest.mark.skipif(SERVER is None, reason="rabbitmq-server is not installed"), pytest.mark.timeout(170)]


class Rabbit:
    """A node as deploy/national has it, with paths and ports of the test."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._directory = directory
        self._authority = Authority(directory / "tls")
        server = self._authority.issue("server")
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")
        lines = (DEPLOY / CONFIG).read_text()
        for there, here in {
            "/etc/rabbitmq/tls/ca.pem": self._authority.ca_file,
            "/etc/rabbitmq/tls/server.pem": server.cert_file,
            "/etc/rabbitmq/tls/server.key": server.key_file,
            "/etc/rabbitmq/rabbitmq-users.json": DEPLOY / "rabbitmq-users.json",
            "listeners.ssl.default = 8883": f"listeners.ssl.1 = 127.0.0.1:{self.port}",
            "absolute = 2GB": "absolute = 50MB",
        }.items():
            assert there in lines
            lines = lines.replace(there, str(here))
        (directory / "rabbitmq.conf").write_text(lines)
        name = f"test{free_port()}"
        script = shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin") or str(SERVER)
        self._command = [script]
        self._environment = os.environ | {
            "HOME": str(directory),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",
            "RABBITMQ_NODENAME": f"{name}@localhost",
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(directory / "pid"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
        }

    def files(self, name: str) -> tuple[str, str, str]:
        """Authority, certificate and key of a client of that name."""
        mine = self._authority.issue(name)
        return str(self._authority.ca_file), str(mine.cert_file), str(mine.key_file)

    def start(self) -> None:
        log = (self._directory / "output").open("ab")
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        end = time.monotonic() + 90
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.2)
        raise AssertionError((self._directory / "output").read_text(errors="replace")[-2000:])

    def kill(self) -> None:
        """The whole group that the script began, and nothing else."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            with suppress(FileNotFoundError, subprocess.TimeoutExpired):  # Erlang's port mapper outlives the node
                subprocess.run(["epmd", "-kill"], env=self._environment, capture_output=True, timeout=10)


@pytest.fixture
def rabbit(tmp_path: Path) -> Iterator[Rabbit]:
    made = Rabbit(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_node_is_killed_and_comes_back_under_load(rabbit: Rabbit, tmp_path: Path, protocol: int) -> None:
    journal = Journal(tmp_path / "journal.db", 100_000_000, time.time_ns)
    national = National(rabbit.port, rabbit.files("national-collector"))
    ca_file, cert_file, key_file = rabbit.files(SOURCE)
    collector = Collector(
        name="national", url=f"mqtts://127.0.0.1:{rabbit.port}", protocol=protocol,  # type: ignore[arg-type]
        ca_file=ca_file, cert_file=cert_file, key_file=key_file,
        share=("vehicle", "sighting", "flow", "status"),
    )  # fmt: skip
    publisher = Publisher(collector, journal, status)
    task = asyncio.create_task(publisher.run())
    try:
        assert await until(lambda: publisher.counts.delivered > 0, 30), publisher.text
        await asyncio.sleep(0.5)
        made: list[bytes] = []
        for second in range(6):
            made += [entry.body for entry in await asyncio.to_thread(journal.append, mixed(40))]
            if second == 3:
                await asyncio.to_thread(rabbit.kill)
                await asyncio.to_thread(rabbit.start)
            await asyncio.sleep(0.5)
        assert await until(lambda: publisher.backlog().messages == 0, 60), publisher.text
        await national.get_all(made)
    finally:
        await publisher.stop()
        await task
        national.close()
    journal.close()


@pytest.mark.skipif(NEW, reason="RabbitMQ 4 speaks MQTT 5")
async def test_mqtt_5_is_told_with_its_remedy(rabbit: Rabbit, journal_of: Journal) -> None:
    """3.10 cuts the connection at such a CONNECT, without a word."""
    ca_file, cert_file, key_file = rabbit.files(SOURCE)
    collector = Collector(
        name="national", url=f"mqtts://127.0.0.1:{rabbit.port}", protocol=5,
        ca_file=ca_file, cert_file=cert_file, key_file=key_file,
    )  # fmt: skip
    told: list[tuple[str, str]] = []
    publisher = Publisher(collector, journal_of, status, lambda *alarm: told.append((alarm[1], alarm[4])))
    task = asyncio.create_task(publisher.run())
    assert await until(lambda: bool(told), 30), publisher.text
    assert told[0][0] == "collector_refused"
    assert "does not speak MQTT 5" in told[0][1]
    assert "write protocol = 4" in told[0][1]
    await publisher.stop()
    await task


@pytest.fixture
def journal_of(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal.db", 100_000_000, time.time_ns)
    yield made
    made.close()
