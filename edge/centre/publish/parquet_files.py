"""Tables of a day as Parquet: zstd, a folder for each country and day. The only file that uses DuckDB.

    TABLE/country=CA/day=2026-11-27/data.parquet

DuckDB reads the CSV of the same table with its columns given, not guessed: it infers a type from the first 20,480 rows,
and a column that is null in them is read as such to the end. One thread, so that the same rows give the same bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import duckdb

from edge.centre.publish.csv_files import write_table
from edge.centre.publish.day import SiteDay
from edge.centre.publish.tables import TABLES, Kind, Table

_TYPES: dict[Kind, str] = {
    "text": "VARCHAR", "number": "DOUBLE", "whole": "BIGINT", "truth": "BOOLEAN", "time": "TIMESTAMPTZ"
}  # fmt: skip


def write(days: Sequence[SiteDay], out: Path) -> Iterator[Path]:
    """One file a table and country; gives the paths."""
    with duckdb.connect() as db, tempfile.TemporaryDirectory() as folder:
        db.execute("SET threads = 1")
        db.execute("SET TimeZone = 'UTC'")
        for table in TABLES:
            for country, group in groupby(days, lambda day: day.site.country):
                here = list(group)
                name = f"country={country}/day={here[0].day.isoformat()}/data.parquet"
                path = out / table.name / name
                path.parent.mkdir(parents=True, exist_ok=True)
                text = Path(folder) / "table.csv"
                write_table(table, here, text)
                db.execute(_statement(table, text, path))
                yield path


def _statement(table: Table, text: Path, path: Path) -> str:
    columns = ", ".join(f"'{column.name}': '{_TYPES[column.kind]}'" for column in table.columns)
    source = f"read_csv('{_quoted(text)}', header = true, auto_detect = false, columns = {{{columns}}}, nullstr = '')"
    kept = ", ".join(f'"{column.name}"' for column in table.columns if column.name not in ("country", "local_day"))
    return f"COPY (SELECT {kept} FROM {source}) TO '{_quoted(path)}' (FORMAT parquet, COMPRESSION zstd)"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
