"""Which database a command means: `FILE.db`, `sqlite://FILE.db` or `postgresql://…`. Called by the commands."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType

from edge.centre import sqlite_store
from edge.centre.gap_table import Execute
from edge.centre.store import Store, StoreError


def store_of(database: str) -> Store:
    """To write; StoreError says why not, and the remedy."""
    if _is_postgres(database):
        store: Store = _postgres().PostgresStore(database)
        return store
    return sqlite_store.SqliteStore(_path(database))


def reading_of(database: str) -> AbstractContextManager[Execute]:
    """To read while others write; it raises StoreError when it is entered or used."""
    if _is_postgres(database):
        reading: AbstractContextManager[Execute] = _postgres().reading(database)
        return reading
    path = _path(database)
    if not path.is_file():
        raise StoreError(f"{path}: does not exist; give the database that `borderflow collect` writes")
    return sqlite_store.reading(path)


def _is_postgres(database: str) -> bool:
    return database.startswith(("postgresql://", "postgres://"))


def _path(database: str) -> Path:
    return Path(database.removeprefix("sqlite://"))


def _postgres() -> ModuleType:
    try:
        from edge.centre import postgres_store
    except ImportError as error:
        raise StoreError(f"PostgreSQL needs psycopg ({error}): pip install 'borderflow[collect]'") from None
    return postgres_store
