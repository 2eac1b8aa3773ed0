"""The door to SQLite: connections as the journal needs them, and what an error says about the file behind it.

The only file that imports sqlite3. Called by `edge.delivery.journal`, `layout` and `salvage`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PAGE = 4096
Error = sqlite3.Error
DatabaseError = sqlite3.DatabaseError

_ROOM = 256 * 1024  # less than this is no room to begin with

_DAMAGE_CODES = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_CONSTRAINT,  # the journal gives every number once: one that is there already was changed
    sqlite3.SQLITE_MISMATCH,
)
_DAMAGE_WORDS = ("no such table", "no such column", "no such index", "has no column", "malformed", "duplicate column")


class Damaged(sqlite3.DatabaseError):
    """Our own finding that a file is damaged, or no journal."""


class Connection(sqlite3.Connection):
    """Takes an error whose text cannot be read for damage: SQLite puts the bytes of a broken schema into it."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        try:
            return super().execute(sql, parameters)
        except UnicodeDecodeError:
            raise Damaged("its schema cannot be read") from None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Durable at its end, or as if it had not been; what is in memory must be changed after it only."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield self
            self.execute("COMMIT")
        except BaseException:
            with suppress(Error):
                self.execute("ROLLBACK")
            raise


def connect(path: Path) -> Connection:
    """For reading and writing: WAL, every commit forced to the disk; text that is no UTF-8 is read all the same."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0, factory=Connection)
    db.text_factory = lenient
    try:
        for pragma in (
            f"page_size = {PAGE}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "wal_autocheckpoint = 500",
            "journal_size_limit = 4194304",
            "temp_store = MEMORY",
            "cell_size_check = ON",
        ):
            db.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        db.close()
        raise
    return db


def connect_to_read(path: Path) -> Connection:
    """For a file that others write, or that is damaged."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0, isolation_level=None, factory=Connection)
    db.text_factory = lenient
    return db


def empty() -> Connection:
    """A database in memory."""
    return sqlite3.connect(":memory:", isolation_level=None, factory=Connection)


def lenient(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def check(db: Connection) -> None:
    """Damaged where pages, tables and indexes do not belong together; reads the whole file."""
    (verdict,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise Damaged(verdict)


def code(error: Error) -> int:
    """Primary result code of SQLite."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_full(error: Error) -> bool:
    return code(error) == sqlite3.SQLITE_FULL


def has_no_room(error: Error, path: Path) -> bool:
    """A full disk, also where SQLite calls it an I/O error (its shared memory cannot grow)."""
    if code(error) not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return False
    there = os.statvfs(path.parent)
    return there.f_bavail * there.f_frsize < _ROOM


def is_damage(error: Error, path: Path | None = None) -> bool:
    """As against a full disk, missing rights or a lock. With `path`, also a header that makes a file read-only."""
    if isinstance(error, Damaged) or code(error) in _DAMAGE_CODES:
        return True
    if code(error) == sqlite3.SQLITE_READONLY:
        return path is not None and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return any(word in str(error) for word in _DAMAGE_WORDS)
