"""A computer that nobody named has a name of its own, that can stand in a topic."""

from __future__ import annotations

from pathlib import Path

from edge.config.file import load
from edge.config.rules import TOPIC_LEVEL
from edge.machine.name import machine_name, source_name


def test_each_machine_has_its_own_name_and_keeps_it(tmp_path: Path) -> None:
    ids = [tmp_path / name for name in ("one", "two")]
    for number, path in enumerate(ids):
        path.write_text(f"{number:032x}\n")
    names = [machine_name(path) for path in (*ids, *ids)]
    assert names[:2] == names[2:]
    assert len(set(names)) == 2
    assert all(TOPIC_LEVEL.fullmatch(name) for name in names)
    assert f"{1:032x}"[:8] not in names[1]  # the id itself is not shown


def test_without_an_id_the_name_of_the_host_decides(tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.write_text("\n")
    assert machine_name(missing, "a") == machine_name(empty, "a") != machine_name(missing, "b")


def test_a_source_of_the_configuration_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "lane.toml"
    lane = '[[lane]]\nid = "C03"\ntraffic = "commercial"\n'
    path.write_text(f'[site]\ncountry = "CA"\nport = "0453"\nsource = "here"\n{lane}')
    assert source_name(load(path)) == "here"
    path.write_text(f'[site]\ncountry = "CA"\nport = "0453"\n{lane}')
    assert source_name(load(path)) == machine_name()
