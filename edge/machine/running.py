"""Whether the daemon of this computer runs, for commands that want its devices: the configuration in, its process out.

Called by `doctor` and `record`. The daemon holds a lock on its journal (edge/delivery/journal.py). The kernel's list of
locks is read first: to try the lock itself, even for a moment, could keep a daemon from starting that begins just then.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from edge.config import Config

_LOCKS = Path("/proc/locks")


@dataclass(frozen=True, slots=True)
class Running:
    """`process` is None where the daemon may run, and nobody may look; `text` says how it is."""

    process: int | None
    text: str


def running_daemon(config: Config) -> Running | None:
    """The daemon that uses this configuration's store; None where there is none."""
    lock = Path(config.store.path) / "journal.db.lock"
    try:
        inode = lock.stat().st_ino
        process = next((holder for holder, of in _holders() if of == inode), None)
        if process is None or not _is_held(lock):
            return None
    except FileNotFoundError:
        return None
    except OSError as error:
        return Running(
            None,
            f"nobody may look whether the daemon runs ({lock}: {error.strerror}); run this as its user, or as root",
        )
    return Running(process, f"the daemon runs (process {process})")


def _holders() -> list[tuple[int, int]]:
    """Process and inode of every lock of the kernel (proc(5): `1: FLOCK ADVISORY WRITE 1234 08:01:5678 0 EOF`)."""
    rows = (line.split() for line in _LOCKS.read_text().splitlines())
    return [(int(row[4]), int(row[5].rsplit(":", 1)[1])) for row in rows if row[1] == "FLOCK"]


def _is_held(lock: Path) -> bool:
    """Another file system may have a file of that number."""
    file = os.open(lock, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
