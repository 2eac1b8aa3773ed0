"""The bench: simulator, broker and daemon as processes, wired as at a crossing, in one temporary directory."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from edge.delivery.identity import new_key


class Simulator:
    """`borderflow-sim serve` with its truth; `tell` injects a fault."""

    def __init__(self, directory: Path, scenario: str) -> None:
        self.truth: list[dict[str, Any]] = []
        self.config = directory / "borderflow.toml"
        self._log = (directory / "simulator.log").open("wb")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "firmware_sim.cli", "serve", "--control"),
                *("--scenario", scenario, "--config-out", str(self.config)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        ready: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, args=(ready,), daemon=True).start()
        self.ready = ready.get(timeout=60)

    def _read(self, ready: queue.Queue[dict[str, Any]]) -> None:
        assert self._process.stdout is not None
        for number, line in enumerate(self._process.stdout):
            (ready.put if number == 0 else self.truth.append)(json.loads(line))

    def tell(self, **order: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def vehicles(self) -> list[dict[str, Any]]:
        return [line for line in self.truth if line["kind"] == "vehicle"]

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(20)
        self._log.close()
        return code


class Daemon:
    """`borderflow run`, which can be killed and started again; of another build where its `python` is named."""

    def __init__(self, config: Path, python: Path | None = None) -> None:
        self._config = config
        self._python = str(python or sys.executable)
        self.log_path = config.with_name("daemon.log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [self._python, "-m", "edge", "run", "--config", str(self._config)],
                stdout=log,
                stderr=log,
                cwd=self._config.parent,  # not where this build's sources lie
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")


def complete_configuration(config: Path, *, broker_port: int, ca_file: Path, cert_file: Path, key_file: Path) -> None:
    """Add what an installation adds: the secret, and a collector with mutual TLS."""
    text = config.read_text().replace('source = "sim"\n', "")
    config.write_text(
        text
        + f'\n[[collector]]\nname = "national"\nurl = "mqtts://127.0.0.1:{broker_port}"\n'
        + 'share = ["vehicle", "sighting", "wait", "flow", "status", "alarm"]\n'
        + f'ca_file = "{ca_file}"\ncert_file = "{cert_file}"\nkey_file = "{key_file}"\n'
    )
    key = config.with_name("identity.key")
    if not key.exists():
        new_key(key)


def plain_collector(config: Path, broker_port: int) -> str:
    """Add a collector without TLS that gets everything; the URL of its broker."""
    url = f"mqtt://127.0.0.1:{broker_port}"
    with config.open("a") as file:
        file.write(f'\n[[collector]]\nname = "site"\nurl = "{url}"\n')
        file.write('share = ["vehicle", "sighting", "wait", "flow", "status", "alarm"]\n')
    return url


def wait_for(what: str, condition: Any, within_s: float) -> None:
    """Wait for something that must come about."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {within_s:g} s (machine load {os.getloadavg()[0]:.1f})")
