"""The plan of the house in CONTRIBUTING.md names every room, and the files of the rooms that it opens."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAN = (ROOT / "CONTRIBUTING.md").read_text()


def rows_after(header: str) -> str:
    """The table that begins with this header."""
    table = PLAN[PLAN.index(header) :]
    return table[: table.index("\n\n")]


@pytest.mark.parametrize("folder", ["edge", "firmware_sim"])
def test_every_room_has_a_row(folder: str) -> None:
    named = set(re.findall(r"^\| `(\w+)/` \|", rows_after(f"| room of `{folder}/` |"), re.MULTILINE))
    rooms = {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}
    assert named == rooms


@pytest.mark.parametrize("folder", ["edge/delivery", "drivers"])
def test_every_file_of_an_open_room_is_named_once(folder: str) -> None:
    named = re.findall(r"`(\w+)(?:\.py)?`", rows_after(f"| in `{folder}/` |").replace(f"`{folder}/`", ""))
    files = sorted(path.stem for path in (ROOT / folder).glob("*.py") if path.stem != "__init__")
    assert sorted(named) == files


def imports(folder: str) -> Iterator[tuple[Path, str]]:
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield path, node.module


@pytest.mark.parametrize(
    ("folder", "never"),
    [
        ("firmware_sim", {"edge", "drivers"}),
        ("drivers", {"edge", "firmware_sim"}),
        ("edge/page", {"edge.daemon", "edge.crossing", "edge.delivery"}),
        ("edge/delivery", {"edge.daemon", "edge.crossing", "edge.weighing", "edge.waiting", "edge.centre"}),
        ("edge/config", {"edge.delivery", "edge.machine", "edge.contract", "edge.daemon"}),
        ("edge/eyes", {"edge.daemon"}),
        ("edge/centre", {"edge.daemon", "edge.crossing", "edge.weighing", "edge.waiting"}),
        ("firmware_sim/scenario", {"firmware_sim.world", "firmware_sim.wires", "firmware_sim.emulators"}),
        ("firmware_sim/world", {"firmware_sim.wires", "firmware_sim.emulators", "firmware_sim.proof"}),
    ],
)
def test_rooms_do_not_look_where_they_must_not(folder: str, never: set[str]) -> None:
    found = [
        (str(path.relative_to(ROOT)), name)
        for path, name in imports(folder)
        if any(name == room or name.startswith(room + ".") for room in never)
    ]
    assert found == []
