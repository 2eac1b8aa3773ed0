"""Recordings: complete, readable by the daemon's own tools, and the same each time."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from edge.config.file import load as load_configuration
from edge.weighing.recording import open_recording
from firmware_sim import cli
from firmware_sim.record import record
from firmware_sim.scenario.commission import configuration
from firmware_sim.scenario.file import load, shipped


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rec")
    record(load("fast-and-standard"), out, for_s=90.0)
    return out


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_waveforms_are_whole_and_say_what_they_are(recorded: Path) -> None:
    for lane in ("C01", "C02"):
        meta = json.loads((recorded / f"{lane}.sigmf-meta").read_text())
        assert meta["global"]["core:datatype"] == "ri16_le"
        assert meta["captures"][0]["core:datetime"] == "2026-11-24T13:00:00.000000Z"
        channels = meta["global"]["core:num_channels"]
        data = np.fromfile(recorded / f"{lane}.sigmf-data", "<i2").reshape(-1, channels)
        assert len(data) == 90 * 5000
        recording = open_recording(recorded / f"{lane}.sigmf-meta")
        assert (recording.lane, recording.scans, recording.damage) == (lane, 450_000, None)


def test_truth_lies_beside(recorded: Path) -> None:
    vehicles = lines(recorded / "C01.truth.jsonl") + lines(recorded / "C02.truth.jsonl")
    assert len(vehicles) >= 8
    for vehicle in vehicles:
        axles = vehicle["axles"]
        assert isinstance(axles, list)
        assert sum(axle["load_kg"] for axle in axles) == pytest.approx(vehicle["gross_kg"], abs=0.1)
        assert axles[-1]["position_m"] == pytest.approx(vehicle["wheelbase_m"], abs=1e-3)


def test_sightings_and_waits(recorded: Path) -> None:
    sightings = lines(recorded / "sightings.jsonl")
    assert {line["medium"] for line in sightings} == {"rfid", "plate", "loop", "booth"}
    times = [str(line["time"]) for line in sightings]
    assert times == sorted(times)
    waits = lines(recorded / "waits.truth.jsonl")
    assert len(waits) >= 5
    assert all(line["wait_s"] is None or line["wait_s"] > 5 for line in waits)  # type: ignore[operator]


def test_the_daemon_accepts_the_configuration(recorded: Path) -> None:
    config = load_configuration(recorded / "borderflow.toml")
    assert [lane.id for lane in config.lane] == ["C01", "C02"]
    assert config.lane[0].wim is not None
    assert len(config.lane[0].wim.sensor) == 9


@pytest.mark.parametrize("name", shipped())
def test_live_configuration_names_devices_with_their_options(name: str, tmp_path: Path) -> None:
    scenario = load(name)
    ends = {device.name: (f"tcp://127.0.0.1:{5000 + i}", {}) for i, device in enumerate(scenario.device)}
    text = configuration(
        scenario,
        endpoints=ends,
        collectors=({"name": "c", "url": "mqtt://127.0.0.1:1883", "share": ["vehicle"]},),
        identity_key_file=tmp_path / "key",
        store_path=tmp_path,
    )
    told = tomllib.loads(text)
    assert [device["name"] for device in told["device"]] == [device.name for device in scenario.device]
    for device in told["device"]:
        if device["driver"] == "labjack_t7":
            wim = scenario.lane_of(device["lane"]).wim
            assert wim is not None
            assert len(device["options"]["scan_list"]) == len(wim.sensor)
    for lane in told["lane"]:
        assert lane["wim"]["device"] in ends


def test_same_seed_same_files(recorded: Path, tmp_path: Path) -> None:
    record(load("fast-and-standard"), tmp_path, for_s=90.0)
    for path in sorted(recorded.iterdir()):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["record", "--scenario", "fast-and-standard", "--out", str(tmp_path), "--for", "20", "--no-waveforms"]
    assert cli.main(arguments) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "20 s" in said.err
    assert (tmp_path / "sightings.jsonl").stat().st_size > 0
    assert cli.main(["record", "--scenario", "nowhere", "--out", str(tmp_path)]) == 78
    assert "fast-and-standard" in capsys.readouterr().err
