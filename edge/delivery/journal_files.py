"""The journal's files: its lock, its mark, and what one is called that is set aside. No SQLite.

Called by `edge.delivery.journal`. The mark says how far the log went when something was last appended: it shows where a
file has lost its end.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from edge.delivery.entry import JournalError


class JournalFiles:
    """Of the database at `path`. JournalError where it cannot be had alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = self._take_lock()
        self._mark_path = path.with_name(path.name + ".mark")
        self._mark: int | None = None

    def _take_lock(self) -> IO[bytes]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = open(self._path.with_name(self._path.name + ".lock"), "wb")  # noqa: SIM115 - held until close()
        except OSError as error:
            raise JournalError(
                f"{self._path.parent}: cannot be written ({error.strerror}); check [store] path"
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise JournalError(f"{self._path}: another borderflow uses this journal; stop it first") from None
        return file

    def read_mark(self) -> tuple[str, int]:
        """Epoch and last number as they were after the last append; empty and 0 where nobody knows."""
        try:
            epoch, head = self._mark_path.read_text(encoding="ascii").split()
            return epoch, int(head)
        except (OSError, ValueError):
            return "", 0

    def write_mark(self, epoch: str, head: int) -> None:
        """Not forced to the disk: a mark that is too old tells nothing, and nothing wrong."""
        with suppress(OSError):
            if self._mark is None:
                self._mark = os.open(self._mark_path, os.O_WRONLY | os.O_CREAT, 0o600)
            os.pwrite(self._mark, f"{epoch} {head:020d}\n".encode(), 0)

    def set_aside(self, word: str, now_ns: int) -> Path:
        """Rename the database with its write-ahead log; gives its new path."""
        aside = self._path.with_name(f"{self._path.name}.{word}-{now_ns // 1_000_000_000}")
        try:
            for ending in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    self._path.with_name(self._path.name + ending).rename(aside.with_name(aside.name + ending))
        except OSError as error:
            raise JournalError(f"{self._path}: cannot be made anew ({error}); check the disk") from None
        return aside

    def close(self) -> None:
        if self._mark is not None:
            os.close(self._mark)
            self._mark = None
        self._lock.close()
