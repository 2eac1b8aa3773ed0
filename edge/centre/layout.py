"""The layouts of the centre's database: the numbered files of `sql/` in, the SQL of one database out.

`sql/` has what both databases share, in the types of PostgreSQL; `sql/sqlite` and `sql/postgres` what each has beside
it under the same number. Called by the stores. A layout that was released is not changed: a new number adds to it.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Final, Literal

_COMMON: Final = """topic TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL, id TEXT, time TIMESTAMPTZ NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TIMESTAMPTZ NOT NULL, body JSON NOT NULL"""  # COMMON of edge/centre/columns.py
_BY_MONTH: Final = "PARTITION BY RANGE (time)"  # whose key must have the time in it
_MARKS: Final = {
    "postgres": {
        "common": _COMMON, "and_time": ", time", "messages": _BY_MONTH, "axle": _BY_MONTH, "keyed": "", "rows": "",
        "day": "(time AT TIME ZONE 'UTC')::date",
    },
    "sqlite": {
        "common": _COMMON, "and_time": "", "messages": "STRICT", "axle": "STRICT, WITHOUT ROWID",
        "keyed": "STRICT, WITHOUT ROWID", "rows": "STRICT", "day": "substr(time, 1, 10)",
    },
}  # fmt: skip
_OF_SQLITE: Final = {
    "DOUBLE PRECISION": "REAL", "BIGINT": "INTEGER", "BOOLEAN": "INTEGER", "TIMESTAMPTZ": "TEXT", "DATE": "TEXT",
    "JSON": "TEXT",
}  # fmt: skip


def migrations(database: Literal["sqlite", "postgres"]) -> list[str]:
    """The layouts in order: each brings a database one number further."""
    shared = resources.files("edge.centre") / "sql"
    found = []
    for file in sorted((file for file in shared.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name):
        beside = shared / database / file.name
        found.append(_said(file.read_text(), database) + (beside.read_text() if beside.is_file() else ""))
    return found


def _said(text: str, database: Literal["sqlite", "postgres"]) -> str:
    """What both share, as one of them takes it."""
    marks = _MARKS[database]
    text = re.sub(rf"\{{({'|'.join(marks)})\}}", lambda found: marks[found[1]], text)
    if database == "sqlite":
        text = re.sub(rf"\b({'|'.join(_OF_SQLITE)})\b", lambda found: _OF_SQLITE[found[1]], text)
    return text
