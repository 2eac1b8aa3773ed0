"""A real mosquitto as a process of the test: on a free port, with its own configuration; to be killed and paused."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """`lines` are added to its configuration; without TLS lines it lets anybody in."""

    def __init__(
        self,
        directory: Path,
        lines: str = "allow_anonymous true",
        *,
        persistent: bool = True,
        within: Sequence[str] = (),
        address: str = "127.0.0.1",
        most_queued: int = 0,
    ) -> None:
        """`within` comes before its command, for a network namespace; `address` is where it is looked for."""
        assert MOSQUITTO is not None
        self.port = free_port()
        self._within, self._address = within, address
        self._process: subprocess.Popen[bytes] | None = None
        self._log = directory / "mosquitto.log"
        self._config = directory / "mosquitto.conf"
        self._store = store = directory / "broker-store"
        store.mkdir(exist_ok=True)
        text = f"listener {self.port} {address}\n{lines}\nlog_dest stderr\nlog_type all\n"
        text += f"max_queued_messages {most_queued}\n"
        if os.geteuid() == 0:
            text += "user root\n"
        if persistent:
            text += f"persistence true\npersistence_location {store}/\nautosave_interval 1\nautosave_on_changes true\n"
        self._config.write_text(text)

    def configure(self, text: str) -> None:
        """A whole configuration in place of the usual one; it must listen on `port`."""
        user = "user root\n" if os.geteuid() == 0 else ""
        self._config.write_text(f"{text}\nlog_dest stderr\n{user}")

    def quiet(self) -> None:
        """No log of each packet; call before `start`."""
        self._config.write_text(self._config.read_text().replace("log_type all", "log_type error"))

    def start(self) -> None:
        log = self._log.open("ab")
        self._process = subprocess.Popen(
            [*self._within, str(MOSQUITTO), "-c", str(self._config)], stderr=log, stdout=log
        )
        log.close()
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex((self._address, self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError(f"mosquitto did not start:\n{self.log()}")

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def reload(self) -> None:
        """SIGHUP: reads its rights again."""
        self._signal(signal.SIGHUP)

    def kill(self) -> None:
        """As a power cut: SIGKILL."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def empty(self) -> None:
        """Forget sessions and messages; call while it is down."""
        for file in self._store.iterdir():
            file.unlink()

    def stop(self) -> None:
        if self._process is not None:
            self._signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
