"""The broker of the demo: an installed mosquitto, else amqtt from PyPI; on a free loopback port, for the demo alone."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_READY_WITHIN_S = 15.0

_AMQTT = """
import asyncio, sys
from amqtt.broker import Broker
async def main(port):
    broker = Broker({
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}", "max_connections": 50}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    })
    await broker.start()
    await asyncio.Event().wait()
asyncio.run(main(int(sys.argv[1])))
"""


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker; `protocol` is the newest MQTT that it speaks, as in a [[collector]]."""

    name: str
    url: str
    protocol: int


@contextlib.contextmanager
def start_broker(directory: Path) -> Iterator[Broker]:
    """Run a broker. SystemExit, with a text, where there is none to be had."""
    port = _free_port()
    mosquitto = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if mosquitto:
        config = directory / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        name, command = "mosquitto", [mosquitto, "-c", str(config)]
    else:
        name, command = "amqtt", [sys.executable, "-c", _AMQTT, str(port)]
    with (directory / "broker.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, cwd=directory
        )
    try:
        _wait_until_listening(port, process, directory / "broker.log", name)
        yield Broker(name, f"mqtt://127.0.0.1:{port}", 5 if mosquitto else 4)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait_until_listening(port: int, process: subprocess.Popen[bytes], log: Path, name: str) -> None:
    end = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    said = log.read_text(errors="replace")[-1000:]
    advice = "install mosquitto, or pip install 'borderflow[demo]'"
    raise SystemExit(f"borderflow demo: the broker {name} did not start; {advice}. It said:\n{said}")
