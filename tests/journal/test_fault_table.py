"""The table of faults names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_row_of_the_table_is_a_test() -> None:
    rows = re.findall(r"^\| (.+) \| `([\w/.]+)::(\w+)` \|$", (TESTS / "README.md").read_text(), re.M)
    assert len(rows) > 40
    for fault, file, name in rows:
        assert re.search(rf"^(async )?def {name}\(", (TESTS / file).read_text(), re.M), f"{fault}: {file}::{name}"
