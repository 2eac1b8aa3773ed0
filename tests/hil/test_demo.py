"""The demo as a script runs it: ends by itself with vehicles and waits, also with the broker from PyPI."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.commands import demo_broker

SCENARIOS = Path(__file__).parents[2] / "firmware_sim/scenarios"


@pytest.mark.hil
@pytest.mark.timeout(180)
def test_the_demo_shows_vehicles_and_waits_and_ends_with_0(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge", "demo", "--for", "60", "--keep", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    vehicles = [line for line in lines if line.startswith("vehicle")]
    assert vehicles
    assert all("true" in line for line in vehicles), "each vehicle stands beside its truth"
    assert any(line.startswith("wait") for line in lines)


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize("scenario", [path.stem for path in sorted(SCENARIOS.glob("*.toml"))])
def test_every_shipped_scenario_is_a_demonstration_of_a_minute(scenario: str) -> None:
    command = [sys.executable, "-m", "edge", "demo", "--scenario", scenario, "--for", "60"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.hil
@pytest.mark.timeout(180)
def test_a_demo_that_sees_nothing_fails(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge", "demo", "--for", "1", "--keep", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert ended.returncode == 1
    assert "0 vehicles" in ended.stderr


def test_without_mosquitto_the_broker_is_one_from_pypi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_broker.shutil, "which", lambda *_, **__: None)
    with demo_broker.start_broker(tmp_path) as broker:
        assert (broker.name, broker.protocol) == ("amqtt", 4)
