"""Recordings in, messages out: the same bytes each time, and a clear word for each recording that cannot be read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from drivers.events import SampleBlock
from edge.cli import main
from edge.config import named
from edge.config.file import load
from edge.contract.schema import json_schema
from edge.messages import encode, parse_utc, utc_text
from edge.weighing.lane import LanePipeline
from edge.weighing.recording import Writer, blocks, open_recording


def replay(capfdbinary: pytest.CaptureFixture[bytes], *args: object) -> tuple[int, list[bytes], str]:
    code = main(["replay", *map(str, args)])
    out, err = capfdbinary.readouterr()
    return code, out.splitlines(), err.decode()


def copy_of(crossing: Path, tmp_path: Path, name: str = "C01") -> Path:
    for ending in ("sigmf-meta", "sigmf-data"):
        shutil.copy(crossing / f"{name}.{ending}", tmp_path / f"{name}.{ending}")
    return tmp_path / name


def change_meta(base: Path, **entries: Any) -> None:
    path = base.with_name(base.name + ".sigmf-meta")
    meta = json.loads(path.read_text())
    meta["global"] |= {f"core:{key}": value for key, value in entries.items()}
    path.write_text(json.dumps(meta))


def test_vehicles_come_out_in_order_as_their_schema_says(
    crossing: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    code, lines, err = replay(capfdbinary, "--config", crossing / "borderflow.toml", crossing / "C01", crossing / "C02")
    assert (code, err) == (0, "")
    vehicles = [json.loads(line) for line in lines]
    # What is still over the array when the recording ends is told as far as it was weighed, and is no truth yet.
    vehicles = [vehicle for vehicle in vehicles if "partial" not in vehicle.get("flags", ())]
    truths = [json.loads(line) for lane in ("C01", "C02") for line in (crossing / f"{lane}.truth.jsonl").open()]
    assert len(vehicles) == len(truths) > 4
    assert {vehicle["lane"] for vehicle in vehicles} == {"C01", "C02"}
    times = [vehicle["time"] for vehicle in vehicles]
    assert times == sorted(times)
    for vehicle in vehicles:
        Draft202012Validator(json_schema("vehicle")).validate(vehicle)
        assert not {"id", "epoch", "seq"} & vehicle.keys()
        truth = min(truths, key=lambda t: abs(parse_utc(t["time"]) - parse_utc(vehicle["time"])))
        assert len(vehicle["axles"]) == len(truth["axles"])
        assert vehicle["gross_kg"] == pytest.approx(truth["gross_kg"], rel=0.05)


def test_the_same_recording_gives_the_same_bytes(crossing: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    args = ("--config", crossing / "borderflow.toml", crossing / "C01.sigmf-meta")
    assert replay(capfdbinary, *args)[1] == replay(capfdbinary, *args)[1]


def test_the_daemons_small_blocks_give_the_bytes_of_replay(
    crossing: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    expected = replay(capfdbinary, "--config", crossing / "borderflow.toml", crossing / "C01")[1]
    config = load(crossing / "borderflow.toml")
    pipeline = LanePipeline(config, named(config.lane, "C01"), source=config.site.source or "replay")
    recording = open_recording(crossing / "C01")
    samples = np.concatenate([block for _, block in blocks(recording)])
    found = []
    hurried: list[bool] = []  # whether a digitiser hands each block on at once
    awaited: list[bool] = []  # so for the block that finished a vehicle
    for first in range(0, len(samples), 57):
        hurried.append(pipeline.patience_s == 0.0)
        time_ns = recording.captures[0].time_ns + round(first / recording.rate_hz * 1e9)
        block = samples[first : first + 57]
        found += pipeline.samples(
            SampleBlock("daq", time_ns, recording.rate_hz, 0, first, 0, np.ascontiguousarray(block))
        )
        awaited += hurried[-1:] * (len(found) - len(awaited))
    assert all(awaited)
    assert np.mean(hurried) < 0.2
    found += pipeline.finish()
    assert [encode(vehicle) for vehicle in found] == expected


def test_a_recording_cut_short_is_used_and_said_to_be_damaged(
    crossing: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    base = copy_of(crossing, tmp_path)
    data = base.with_name("C01.sigmf-data")
    data.write_bytes(data.read_bytes()[:-7])
    code, lines, err = replay(capfdbinary, "--config", crossing / "borderflow.toml", base)
    assert code == 65
    assert lines
    assert str(data) in err
    assert "cut short" in err


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"datatype": "cf32_le"}, "only ri16_le"),
        ({"num_channels": 4}, "has channels 0 .. 3 only"),
        ({"num_channels": 0}, "must be 1 .. 128"),
        ({"sample_rate": "fast"}, "must be 5 .. 1000000 Hz"),
    ],
)
def test_a_recording_that_does_not_fit_is_named(
    crossing: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], entries: dict[str, Any], words: str
) -> None:
    base = copy_of(crossing, tmp_path)
    change_meta(base, **entries)
    code, lines, err = replay(capfdbinary, "--config", crossing / "borderflow.toml", base, crossing / "C02")
    assert code == 65
    assert lines, "the other recording goes on"
    assert "C01.sigmf-meta" in err
    assert words in err


def change_captures(base: Path, **entries: Any) -> None:
    path = base.with_name(base.name + ".sigmf-meta")
    meta = json.loads(path.read_text())
    meta["captures"][0].update({f"core:{key}": value for key, value in entries.items()})
    path.write_text(json.dumps(meta))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"sample_start": 1 << 40}, "captures[0] begins after"),
        ({"datetime": "9999-12-31T23:59:59Z"}, "write the start as"),
        ({"header_bytes": 18}, "only plain samples"),
    ],
)
def test_a_start_that_cannot_be_is_named(
    crossing: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], entries: dict[str, Any], words: str
) -> None:
    base = copy_of(crossing, tmp_path)
    change_captures(base, **entries)
    code, lines, err = replay(capfdbinary, "--config", crossing / "borderflow.toml", base, crossing / "C02")
    assert code == 65
    assert lines, "the other recording goes on"
    assert words in err


def test_scans_ahead_of_the_first_capture_are_said_to_be_left_out(
    crossing: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    base = copy_of(crossing, tmp_path)
    change_captures(base, sample_start=500)
    code, lines, err = replay(capfdbinary, "--config", crossing / "borderflow.toml", base)
    assert code == 0
    assert lines
    assert "the 500 scans before captures[0] have no time" in err


@pytest.mark.parametrize("text", ["[" * 100_000, "{"])
def test_a_header_that_is_no_json_is_named(
    crossing: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], text: str
) -> None:
    base = copy_of(crossing, tmp_path)
    base.with_name("C01.sigmf-meta").write_text(text)
    code, _, err = replay(capfdbinary, "--config", crossing / "borderflow.toml", base)
    assert code == 65
    assert "is not JSON" in err


def test_a_folder_in_the_place_of_the_data_is_named(
    crossing: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    base = copy_of(crossing, tmp_path)
    base.with_name("C01.sigmf-data").unlink()
    base.with_name("C01.sigmf-data").mkdir()
    code, _, err = replay(capfdbinary, "--config", crossing / "borderflow.toml", base)
    assert code == 65
    assert "cannot be read" in err


def test_a_recording_without_its_data(
    crossing: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    base = copy_of(crossing, tmp_path)
    base.with_name("C01.sigmf-data").unlink()
    code, _, err = replay(capfdbinary, "--config", crossing / "borderflow.toml", base)
    assert code == 65
    assert "No such file" in err


def test_another_rate_than_configured_is_said(
    crossing: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    base = copy_of(crossing, tmp_path)
    change_meta(base, sample_rate=4000.0)
    code, _, err = replay(capfdbinary, "--config", crossing / "borderflow.toml", base)
    assert code == 0
    assert "4000 Hz" in err


def test_recordings_that_follow_each_other_are_one_stream(
    crossing: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    expected = replay(capfdbinary, "--config", crossing / "borderflow.toml", crossing / "C01")[1]
    recording = open_recording(crossing / "C01")
    samples = np.concatenate([block for _, block in blocks(recording)])
    start_ns, rate_hz = recording.captures[0].time_ns, recording.rate_hz
    cut = len(samples) // 2
    for name, first, part in (("C01-a", 0, samples[:cut]), ("C01-b", cut, samples[cut:])):
        writer = Writer(tmp_path / name, channels=recording.channels, rate_hz=rate_hz, lane="C01")
        writer.capture(start_ns + round(first / rate_hz * 1e9))
        writer.write(part)
        writer.close()
    code, lines, err = replay(
        capfdbinary, "--config", crossing / "borderflow.toml", tmp_path / "C01-b", tmp_path / "C01-a"
    )
    assert (code, err) == (0, "")
    drop = ("time",)  # microseconds of the second file's start are rounded in its header
    strip = [{k: v for k, v in json.loads(line).items() if k not in drop} for line in lines]
    assert strip == [{k: v for k, v in json.loads(line).items() if k not in drop} for line in expected]


def test_what_broken_sensors_make_comes_in_order_and_at_a_time_when_a_line_saw_it(
    crossing: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    recording = open_recording(crossing / "C01")
    walk = np.cumsum(np.random.default_rng(1).normal(0, 20, (300_000, recording.channels)), 0)
    start_ns = recording.captures[0].time_ns
    writer = Writer(tmp_path / "C01", channels=recording.channels, rate_hz=recording.rate_hz, lane="C01")
    writer.capture(start_ns)
    writer.write(np.clip(walk, -32768, 32767).astype(np.int16))
    writer.close()
    code, lines, _ = replay(capfdbinary, "--config", crossing / "borderflow.toml", tmp_path / "C01")
    assert code == 0
    times = [json.loads(line)["time"] for line in lines]
    assert len(times) > 5
    assert times == sorted(times)
    assert utc_text(start_ns) not in times


def test_an_overlapping_recording_is_named(
    crossing: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    base = copy_of(crossing, tmp_path)
    code, _, err = replay(capfdbinary, "--config", crossing / "borderflow.toml", crossing / "C01", base)
    assert code == 65
    assert "time goes back" in err


def damaged(crossing: Path, tmp_path: Path, pieces: list[tuple[int, int]], gap_scans: int = 0) -> Path:
    """C01 made of these stretches of itself, with as much missing before the second of them."""
    recording = open_recording(crossing / "C01")
    samples = np.concatenate([block for _, block in blocks(recording)])
    writer = Writer(tmp_path / "C01", channels=recording.channels, rate_hz=recording.rate_hz, lane="C01")
    scans = 0
    for number, (first, end) in enumerate(pieces):
        if number == 0 or gap_scans:
            at_scan = scans + number * gap_scans
            writer.capture(recording.captures[0].time_ns + round(at_scan / recording.rate_hz * 1e9))
        writer.write(samples[first:end])
        scans += end - first
    writer.close()
    return tmp_path / "C01"


def on_the_array(crossing: Path, after_s: float) -> int:
    """A scan so long after a vehicle's first axle; the vehicle is over the array then."""
    recording = open_recording(crossing / "C01")
    truth = [json.loads(line) for line in (crossing / "C01.truth.jsonl").read_text().splitlines()]
    long = max(truth, key=lambda vehicle: vehicle["wheelbase_m"] / vehicle["speed_mps"])
    return round((parse_utc(long["time"]) - recording.captures[0].time_ns) / 1e9 * recording.rate_hz + after_s * 5000)


@pytest.mark.parametrize("gap_s", [0.3, 2.0])
def test_a_gap_is_named_and_marks_what_was_over_the_array(
    crossing: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], gap_s: float
) -> None:
    at = on_the_array(crossing, 0.4)
    scans = open_recording(crossing / "C01").scans
    lost = round(gap_s * 5000)
    base = damaged(crossing, tmp_path, [(0, at), (at + lost, scans)], gap_scans=lost)
    code, lines, err = replay(capfdbinary, "--config", crossing / "borderflow.toml", base)
    assert code == 0
    assert f"captures[1] begins after a gap of {gap_s:.3f} s" in err
    clean = {line for line in lines if b'"partial"' not in line}
    whole = replay(capfdbinary, "--config", crossing / "borderflow.toml", crossing / "C01")[1]
    axles = [len(json.loads(line)["axles"]) for line in whole]
    assert len(clean) < len(whole)
    assert len(lines) >= len(axles) - 1


def test_some_lost_scans_are_bridged_and_told_once(
    crossing: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Two scans in each half second."""
    scans = open_recording(crossing / "C01").scans
    base = damaged(crossing, tmp_path, [(at, min(at + 2500, scans)) for at in range(0, scans, 2502)], gap_scans=2)
    code, lines, err = replay(capfdbinary, "--config", crossing / "borderflow.toml", base)
    assert code == 0
    assert err.count("captures[") == 0
    assert f"{-(-scans // 2502) - 1} gaps of up to 2 ms were bridged" in err
    whole = [
        json.loads(line) for line in replay(capfdbinary, "--config", crossing / "borderflow.toml", crossing / "C01")[1]
    ]
    found = [json.loads(line) for line in lines]
    assert [len(vehicle["axles"]) for vehicle in found] == [len(vehicle["axles"]) for vehicle in whole]
    for vehicle, complete in zip(found, whole, strict=True):
        assert vehicle["gross_kg"] == pytest.approx(complete["gross_kg"], rel=0.01)
        assert "partial" not in vehicle.get("flags", ()) or "partial" in complete["flags"]


def test_a_recording_with_other_channels_goes_on_anew(
    crossing: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    recording = open_recording(crossing / "C01")
    samples = np.concatenate([block for _, block in blocks(recording)])
    half, start_ns = len(samples) // 2, recording.captures[0].time_ns
    for name, first, part in (
        ("C01-a", 0, samples[:half]),
        ("C01-b", half, np.pad(samples[half:], ((0, 0), (0, 7)))),
    ):
        writer = Writer(tmp_path / name, channels=part.shape[1], rate_hz=recording.rate_hz, lane="C77")
        writer.capture(start_ns + round(first / recording.rate_hz * 1e9))
        writer.write(part)
        writer.close()
    code, lines, err = replay(
        capfdbinary, "--config", crossing / "borderflow.toml", tmp_path / "C01-a", tmp_path / "C01-b"
    )
    assert code == 0
    assert err.count("is from lane 'C77', which the configuration has not; the sensors of C01 are used") == 2
    whole = replay(capfdbinary, "--config", crossing / "borderflow.toml", crossing / "C01")[1]
    assert len(lines) >= len(whole) - 1


@pytest.mark.parametrize("copied", [300, 2000])
def test_scans_that_came_twice_are_named_and_left_out(
    crossing: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], copied: int
) -> None:
    at = on_the_array(crossing, 0.4)
    scans = open_recording(crossing / "C01").scans
    base = damaged(crossing, tmp_path, [(0, at), (at - copied, scans)])
    code, lines, err = replay(capfdbinary, "--config", crossing / "borderflow.toml", base)
    assert code == 0
    assert f"scans {at} to {at + copied - 1} are a copy" in err
    assert any(b'"partial"' in line for line in lines)
