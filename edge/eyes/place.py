"""Where the daemon's socket is: the environment or the configuration in, a path out.

The daemon serves it in the runtime directory that systemd gives it, else beside its journal. Clients look in both. They
read only [store] path of the configuration: to ask how things are must work while somebody edits the file.
"""

from __future__ import annotations

import os
import socket
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

NAME: Final = "eyes.sock"
RUNTIME: Final = Path("/run/borderflow")
STORE: Final = "/var/lib/borderflow"
_PATH_MOST = 100  # sockaddr_un has room for 107 bytes


class PlaceError(Exception):
    """The configuration does not tell where the store is; the text names the file and why."""


def served_at(store: str, environment: Mapping[str, str]) -> Path:
    """Where the daemon of that store serves. systemd names one directory, or several with colons between them."""
    directory = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(directory or store) / NAME


def store_of(config: Path | None) -> str:
    """The store that a configuration names, or the usual one."""
    if config is None:
        return STORE
    try:
        table = tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlaceError(f"{config}: cannot be read ({error.strerror}); name an existing file with --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlaceError(f"{config}: is not TOML ({error}); `borderflow check` says more") from None
    section = table.get("store", {})
    path = section.get("path", STORE) if isinstance(section, dict) else STORE
    return path if isinstance(path, str) else STORE


def candidates(store: str) -> list[Path]:
    """Where a socket may be, the likeliest first."""
    return [Path(store) / NAME, RUNTIME / NAME]


def connect(path: Path, timeout_s: float) -> socket.socket:
    """A connection to a socket; OSError where nobody serves it."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.settimeout(timeout_s)
    try:
        with Short(path) as name:
            channel.connect(name)
    except OSError:
        channel.close()
        raise
    return channel


def listen(path: Path) -> socket.socket:
    """A socket that listens there with rights 0660, in place of one that a dead daemon left; OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fresh = path.with_name(f".{path.name}")  # nobody finds it there before its rights are set
    try:
        if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
            raise FileExistsError(17, "there is a file that is no socket", str(path))
        fresh.unlink(missing_ok=True)
        with Short(fresh) as name:
            channel.bind(name)
        fresh.chmod(0o660)
        fresh.rename(path)
        channel.listen(16)
        channel.setblocking(False)
    except OSError:
        channel.close()
        raise
    return channel


class Short:
    """A name for a path that fits into a socket's address: long ones go through an open directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._directory: int | None = None

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) <= _PATH_MOST:
            return str(self._path)
        self._directory = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._directory}/{self._path.name}"

    def __exit__(self, *_: object) -> None:
        if self._directory is not None:
            os.close(self._directory)
