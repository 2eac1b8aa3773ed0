"""The database as a collector's copy to be proven: the messages of one computer, byte for byte. Called by `verify`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge.centre.columns import KIND_COLUMNS
from edge.centre.database import reading_of

_SQLITE = b"SQLite format 3\0"


def is_database(copy: str) -> bool:
    """A database of the centre, and no file of lines."""
    if copy.startswith(("postgresql://", "postgres://", "sqlite://")):
        return True
    try:
        with Path(copy).open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def bodies(database: str, key: str) -> Iterator[bytes]:
    """Everything of the computers whose evidence is signed by `key` (`edge.delivery.evidence.key_id`); StoreError where
    the database cannot be read."""
    with reading_of(database) as read:
        sources = read("SELECT DISTINCT country, port, source FROM evidence WHERE key = ? ORDER BY 1, 2, 3", (key,))
        for source in sources:
            for kind in KIND_COLUMNS:
                query = f"SELECT body FROM {kind} WHERE country = ? AND port = ? AND source = ? ORDER BY topic, seq"
                for (body,) in read(query, source):
                    yield body.encode()
