"""A PostgreSQL server of a test's own, on a socket in its folder; the postgres of Debian, where it is installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


class Postgres:
    """Started with `start`; `url` is a database of its own. Not run as root, which it refuses."""

    def __init__(self) -> None:
        assert BIN is not None
        self.directory = Path(tempfile.mkdtemp(prefix="bf-pg-"))
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as:
            shutil.chown(self.directory, "postgres", "postgres")
        self._data = self.directory / "data"
        self._run(str(BIN / "initdb"), "-D", str(self._data), "-U", "centre", "-A", "trust", "--no-sync", "-E", "UTF8")
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def start(self) -> None:
        command = [str(BIN), "-D", str(self._data), "-k", str(self.directory), "-c", "listen_addresses="]
        command[0] = str(BIN / "postgres")  # type: ignore[operator]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen([*self._as, *command], stdout=log, stderr=log, start_new_session=True)
        ready = [str(BIN / "pg_isready"), "-h", str(self.directory), "-q"]  # type: ignore[operator]
        end = time.monotonic() + 60  # after a kill it reads its log first
        while time.monotonic() < end:
            if subprocess.run(ready, check=False).returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError((self.directory / "log").read_text())

    def new_database(self) -> str:
        """The address of an empty database."""
        self._databases += 1
        name = f"d{self._databases}"
        self._run(str(BIN / "createdb"), "-h", str(self.directory), "-U", "centre", name)  # type: ignore[operator]
        return f"postgresql://centre@/{name}?host={self.directory}"

    def kill(self) -> None:
        """As a power cut: SIGKILL to the server and all its children; when it returns, all have gone."""
        if self._process is not None:
            server = int((self._data / "postmaster.pid").read_text().splitlines()[0])
            children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
            for pid in (server, *map(int, children)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            while any(Path(f"/proc/{pid}").exists() for pid in (server, *children)):
                time.sleep(0.02)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, *command: str) -> None:
        subprocess.run([*self._as, *command], check=True, stdout=subprocess.DEVNULL)
