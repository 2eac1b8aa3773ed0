"""A short recording of the simulated crossing, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_sim.cli import main as simulate


@pytest.fixture(scope="session")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory with C01 and C02 recordings of 60 s, their truth, sightings.jsonl and borderflow.toml."""
    out = tmp_path_factory.mktemp("crossing") / "rec"
    assert simulate(["record", "--scenario", "fast-and-standard", "--out", str(out), "--for", "60"]) == 0
    return out
