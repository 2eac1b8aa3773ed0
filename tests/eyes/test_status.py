"""`borderflow status` and `doctor` as clients of the daemon's socket."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eyes_bench import EyesBench

from drivers.events import LinkState
from edge.cli import main
from edge.eyes.summary import one_line


def test_a_healthy_lane_is_0_and_a_critical_alarm_1(bench: EyesBench, capsys: pytest.CaptureFixture[str]) -> None:
    ask = ["status", "--config", str(bench.config_path)]
    bench.device("daq", LinkState.ONLINE, "in order")
    assert main(ask) == 0
    said = capsys.readouterr().out
    assert "no alarm holds" in said
    assert "device daq                  online for 0 s: in order" in said
    assert "collector national" in said
    bench.device("tag", LinkState.DOWN, "cannot be reached")
    bench.on_loop(lambda: setattr(bench.eyes._state, "_made_at", -9.0))  # the second has passed
    assert main(ask) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("CRITICAL device_down for 0 s: lane C03, device tag, at approach: cannot be reached")
    assert main([*ask, "--json"]) == 1
    state = json.loads(capsys.readouterr().out)
    assert state["schema"] == "borderflow/state/1"
    assert state["lanes"][0]["id"] == "C03"


def test_without_a_daemon_it_is_69_and_without_a_configuration_78(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "lane.toml"
    config.write_text(f'[store]\npath = "{tmp_path}"\n')
    assert main(["status", "--config", str(config)]) == 69
    assert "systemctl start borderflow" in capsys.readouterr().err
    assert main(["status", "--config", str(tmp_path / "no.toml")]) == 78
    config.write_text("[store")
    assert main(["status", "--config", str(config), "--json"]) == 78
    assert capsys.readouterr().out == ""


def test_another_stores_daemon_is_not_taken_for_this_one(
    bench: EyesBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edge.eyes.place.RUNTIME", bench.store)
    config = tmp_path / "other.toml"
    config.write_text('[store]\npath = "/nonexistent"\n')
    assert main(["status", "--config", str(config)]) == 69
    assert main(["status"]) == 0  # no configuration: the one that runs here


def test_one_line_for_systemd_says_the_worst(bench: EyesBench) -> None:
    assert one_line(bench.status()) == "no alarm; 0 of 2 devices online, 7 messages wait for collectors"
    bench.device("tag", LinkState.DOWN, "cannot be\nreached")
    said = one_line(bench.status())
    assert said.startswith("1 alarm; 0 of 2 devices online, 7 messages wait for collectors; critical: lane C03, device")
    assert "\n" not in said


def test_doctor_shows_devices_as_the_daemon_sees_them(bench: EyesBench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.device("daq", LinkState.ONLINE, "in order")
    bench.device("tag", LinkState.DOWN, "cannot be reached")
    assert main(["doctor", "--config", str(bench.config_path)]) == 1
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "device daq (labjack_t7) good online for 0 s: in order" in said
    assert "device tag (transcore_encompass) fails down for 0 s: cannot be reached" in said
    assert "stop" not in said.partition("clock")[0]
