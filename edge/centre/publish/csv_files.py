"""Tables of a day as CSV (RFC 4180, UTF-8), with `dictionary.csv` beside them. Null is an empty field."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edge.centre.publish.day import SiteDay
from edge.centre.publish.tables import TABLES, Table, dictionary


def write(days: Sequence[SiteDay], out: Path) -> Iterator[Path]:
    """One file a table, with all crossings of the day; gives the paths."""
    for table in TABLES:
        path = out / f"{table.name}_{days[0].day.isoformat()}.csv"
        write_table(table, days, path, for_people=True)
        yield path
    path = out / "dictionary.csv"
    _write(path, dictionary(TABLES))
    yield path


def write_table(table: Table, days: Sequence[SiteDay], path: Path, *, for_people: bool = False) -> None:
    """One table of all crossings, with a head. `for_people`: a text that a spreadsheet would run is made harmless."""
    head = [tuple(column.name for column in table.columns)]
    rows = (row for rows in (head, *(table.rows(day) for day in days)) for row in rows)
    _write(path, ([_harmless(value) for value in row] for row in rows) if for_people else rows)


def _write(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for row in rows:
            writer.writerow([_text(value) for value in row])


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
