"""What is worse after an upgrade, and what is not; and the note of one that was undone."""

from __future__ import annotations

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

from edge.machine.upgrade import NOTE, why_undone

SCRIPT = Path(__file__).parents[2] / "deploy/debian/upgrade.py"


@pytest.fixture(scope="module")
def upgrade() -> Any:
    loader = SourceFileLoader("upgrade", str(SCRIPT))
    spec = importlib.util.spec_from_loader("upgrade", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def alarm(code: str, device: str | None = None, severity: str = "critical") -> dict[str, Any]:
    return {"code": code, "device": device, "lane": "_", "severity": severity}


BEFORE = {
    "alarms": [alarm("device_down", "io")],
    "devices": {"daq": {"state": "online"}, "io": {"state": "down"}},
    "collectors": {"national": {"state": "connected"}, "operator": {"state": "waiting"}},
    "journal": {"refusal": None},
}


def test_the_same_trouble_as_before_is_not_worse(upgrade: Any) -> None:
    assert upgrade.worse(BEFORE, BEFORE) == []
    better = {**BEFORE, "alarms": [alarm("identifiers_disclosed", "national", "info")]}
    assert upgrade.worse(BEFORE, better) == []


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"alarms": [alarm("device_down", "daq")]}, "alarm device_down (daq)"),
        ({"devices": {"daq": {"state": "down"}, "io": {"state": "down"}}}, "device daq is not online"),
        ({"devices": {}}, "device daq is not online"),
        ({"collectors": {"national": {"state": "waiting"}}}, "collector national is not connected"),
        ({"journal": {"refusal": "the disk is full"}}, "the journal refuses"),
    ],
)
def test_what_was_better_before_is_named(upgrade: Any, now: dict[str, Any], said: str) -> None:
    assert upgrade.worse(BEFORE, {**BEFORE, **now}) == [said]


def test_the_note_of_an_upgrade_that_was_undone(tmp_path: Path) -> None:
    assert why_undone(tmp_path) == ""
    (tmp_path / NOTE).write_text('{"reason": "device daq is not online"}')
    assert why_undone(tmp_path) == "device daq is not online"
    for spoilt in ("", "[]", "\ud800".encode("utf-8", "surrogatepass")):
        (tmp_path / NOTE).write_bytes(spoilt if isinstance(spoilt, bytes) else spoilt.encode())
        assert why_undone(tmp_path), "it says at least that there is something"
