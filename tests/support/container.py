"""A Debian that was really booted: a root by debootstrap, systemd in it, commands run inside (`make test-systemd`)."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
# Not among the sources: setuptools walks through all that lies there.
ROOTS = Path(os.environ.get("BORDERFLOW_ROOTS", "/var/cache/borderflow-roots"))
INCLUDE = "systemd,systemd-sysv,dbus,udev,python3,ca-certificates,tzdata,mosquitto"


def root_of(suite: str, architecture: str = "amd64") -> Path:
    """A fresh minimal root, made once; with a broker, so that a booted one has whom to send to."""
    root = ROOTS / (suite if architecture == "amd64" else f"{suite}-{architecture}")
    made = root / "etc" / "made-with"
    if architecture == "arm64" and platform.machine() != "aarch64":
        _emulate()
    if not made.exists() or made.read_text() != INCLUDE:
        shutil.rmtree(root, ignore_errors=True)
        ROOTS.mkdir(parents=True, exist_ok=True)
        command = ["debootstrap", f"--arch={architecture}", "--variant=minbase", f"--include={INCLUDE}"]
        subprocess.run([*command, suite, str(root), MIRROR], check=True, stdout=subprocess.DEVNULL)
        made.write_text(INCLUDE)
    return root


def _emulate() -> None:
    """Programs for 64-bit ARM run here: the kernel hands them to qemu-user-static."""
    registered = Path("/proc/sys/fs/binfmt_misc")
    if not (registered / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", registered], check=True)
    if not (registered / "qemu-aarch64").exists():
        (registered / "register").write_text(Path("/usr/lib/binfmt.d/qemu-aarch64.conf").read_text())


class Container:
    """Booted without a network; `run` is a command as root in it."""

    def __init__(self, root: Path, work: Path) -> None:
        self.root = work / root.name
        shutil.rmtree(self.root, ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", "--reflink=auto", str(root), str(self.root)], check=True)
        self._log = (work / f"{root.name}.boot.log").open("wb")

    def __enter__(self) -> Container:
        self._nspawn = subprocess.Popen(
            ["systemd-nspawn", "-q", "-b", "--register=no", "--keep-unit", "--private-network", "-M", "borderflow-test",
             "-D", str(self.root)],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._leader = self._find_leader()
        self.wait(
            "boot", lambda: self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"), 90
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.run("systemctl", "poweroff")
        try:
            self._nspawn.wait(60)
        except subprocess.TimeoutExpired:
            self._nspawn.terminate()
            self._nspawn.wait(30)
        self._log.close()

    def _find_leader(self) -> int:
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        end = time.monotonic() + 30
        while time.monotonic() < end:
            for child in children.read_text().split():
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return int(child)
            time.sleep(0.2)
        raise TimeoutError("nothing was booted")

    def run(self, *words: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        command = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-C", "--", "/usr/bin/env", "-i",
                   "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", *words]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        if check and done.returncode:
            raise AssertionError(f"{words}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done

    def show(self, name: str, unit: str = "borderflow") -> str:
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    @staticmethod
    def wait(what: str, condition: object, within_s: float) -> float:
        """Seconds until it came about."""
        began = time.monotonic()
        while time.monotonic() < began + within_s:
            if condition():  # type: ignore[operator]
                return time.monotonic() - began
            time.sleep(0.3)
        raise AssertionError(f"not within {within_s:g} s: {what}")
