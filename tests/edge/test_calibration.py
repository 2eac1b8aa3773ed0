"""Calibration: known factors are found again with an honest sigma, changes are reviewed, steps are bounded."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from site_text import array_tables, lane_tables

from edge.cli import main
from edge.commands import calibrate
from edge.config import Config
from edge.config.file import load
from edge.messages import parse_utc, utc_text
from edge.weighing.calibration import CalibrationError, LineFit, fit_line
from edge.weighing.calibration_runs import Change, by_line, by_side, fit_units, from_reference
from edge.weighing.conformity.pairing import Pair
from edge.weighing.conformity.records import AxleRecord, VehicleRecord
from edge.weighing.recording import Writer
from edge.weighing.steering import LineWatch, SteeringWatch
from firmware_sim.cli import main as simulate

START_NS = 1_790_000_000_000_000_000
NOTE = "          # from the maker's certificate"
CONFIG = lane_tables() + array_tables(0.0, 3.0, loop_m=1.5)
CONFIG = "# the array at the booth\n" + CONFIG.replace("4.0\n", f"4.0{NOTE}\n", 1)


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def config(config_path: Path) -> Config:
    return load(config_path)


def synthetic(
    factors: list[float], seed: int, *, runs: int = 20, noise: float = 0.04, run_noise: float = 0.0, drift: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Loads, reference, run, wheel reference and temperature of five-axle runs; a wheel weighs static / factor."""
    rng = np.random.default_rng(seed)
    reference = np.tile([6000.0, 9000.0, 9000.0, 8000.0, 8000.0], runs)
    run = np.repeat(np.arange(runs), 5)
    share = rng.normal(0.5, 0.03, runs * 5)
    wheels = np.column_stack([share, 1 - share]) * reference[:, None]
    temperature = np.repeat(rng.uniform(-10.0, 30.0, runs), 5)
    common = np.repeat(rng.normal(0, run_noise, runs), 5)
    dynamic = rng.normal(0, noise, (runs * 5, 1)) + rng.normal(0, noise / 4, (runs * 5, 2))
    loads = wheels / np.array(factors) * (1 + dynamic + common[:, None]) * (1 + drift * (temperature - 20.0))[:, None]
    return loads, reference, run, wheels, temperature


def test_exact_runs_give_exact_factors() -> None:
    loads, reference, run, wheels, _ = synthetic([1.1, 0.93], 1, noise=0.0)
    by_wheel = fit_line(loads, reference, run, wheel_reference_kg=wheels)
    assert by_wheel.factor == pytest.approx([1.1, 0.93])
    assert (by_wheel.rows, by_wheel.runs, by_wheel.temp_coeff) == (100, 20, None)
    # axle loads alone tell the halves apart too, as the trucks do not all lean the same way
    assert fit_line(loads, reference, run).factor == pytest.approx([1.1, 0.93], rel=1e-3)


def test_halves_that_runs_cannot_tell_apart_get_the_same_factor() -> None:
    reference = np.full(10, 10000.0)
    loads = np.full((10, 2), 4900.0)
    assert fit_line(loads, reference, np.arange(10)).factor == pytest.approx([10 / 9.8, 10 / 9.8], rel=1e-6)


@pytest.mark.parametrize("run_noise", [0.0, 0.03])
def test_sigma_is_honest(run_noise: float) -> None:
    """Of 200 tests, about 95 % of the true factors lie within 2 sigma, also when the axles of a run err together."""
    inside: list[bool] = []
    for seed in range(200):
        loads, reference, run, wheels, _ = synthetic([1.05, 0.97], seed, run_noise=run_noise)
        fit = fit_line(loads, reference, run, wheel_reference_kg=wheels)
        inside.extend(np.abs(fit.factor - [1.05, 0.97]) < 2 * fit.sigma)
    assert 0.90 <= np.mean(inside) <= 0.99


def test_wild_axles_hardly_count() -> None:
    loads, reference, run, wheels, _ = synthetic([1.05, 0.97], 3, noise=0.01)
    loads[::10] *= 0.4  # the wheels half missed the line
    assert fit_line(loads, reference, run, wheel_reference_kg=wheels).factor == pytest.approx([1.05, 0.97], abs=0.01)


def test_temperature_is_separated_from_gain() -> None:
    loads, reference, run, wheels, temperature = synthetic([1.05, 0.97], 4, noise=0.01, drift=0.004)
    fit = fit_line(loads, reference, run, wheel_reference_kg=wheels, temperature_c=temperature)
    assert fit.temp_coeff == pytest.approx(0.004, abs=0.0007)
    assert fit.factor == pytest.approx([1.05, 0.97], abs=0.015)
    assert fit.temp_sigma is not None
    assert 0 < fit.temp_sigma < 0.0005
    narrow = fit_line(loads, reference, run, wheel_reference_kg=wheels, temperature_c=temperature / 10)
    assert narrow.temp_coeff is None


def test_too_few_runs_are_refused() -> None:
    loads, reference, run, _, _ = synthetic([1.0, 1.0], 5, runs=1)
    with pytest.raises(CalibrationError, match="5 usable axles of 1 runs"):
        fit_line(loads, reference, run)
    loads[:] = np.nan
    with pytest.raises(CalibrationError, match="0 usable axles"):
        fit_line(loads, reference, run)


@settings(max_examples=50)
@given(st.floats(0.6, 1.6), st.floats(0.6, 1.6), st.integers(0, 1000))
def test_factors_scale_with_the_loads(left: float, right: float, seed: int) -> None:
    loads, reference, run, wheels, _ = synthetic([left, right], seed, noise=0.02)
    one = fit_line(loads, reference, run, wheel_reference_kg=wheels)
    two = fit_line(loads * 2, reference, run, wheel_reference_kg=wheels)
    assert two.factor * 2 == pytest.approx(one.factor, rel=1e-6)
    assert one.factor == pytest.approx([left, right], rel=0.05)


# ---- runs to changes ----------------------------------------------------------------------------


def run_pair(
    index: int, factors: list[float], rng: random.Random, *, by_sensor: bool = True, gross_only: bool = False
) -> Pair:
    """A run of a three-axle truck over the array of CONFIG; `factors` of the four strips in the order of the table."""
    time = utc_text(START_NS + index * 60_000_000_000)
    truth, seen = [], []
    for k, load_kg in enumerate((6000.0, 9000.0, 8000.0)):
        left = load_kg * rng.gauss(0.5, 0.02)
        sides = (left, load_kg - left) * 2
        weighed = tuple(side / f * rng.gauss(1.0, 0.005) for side, f in zip(sides, factors, strict=True))
        half = [(weighed[0] + weighed[2]) / 2, (weighed[1] + weighed[3]) / 2]
        truth.append(AxleRecord(position_m=4.0 * k, load_kg=load_kg))
        seen.append(
            AxleRecord(
                position_m=4.0 * k,
                load_kg=sum(half),
                left_kg=half[0],
                right_kg=half[1],
                sensors_kg=(*weighed, None) if by_sensor else None,
            )
        )
    reference = VehicleRecord(time=time, axles=() if gross_only else tuple(truth), gross_kg=23000.0)
    return Pair(reference, VehicleRecord(time=time, axles=tuple(seen)))


def gains(changes: list[Change]) -> dict[str, float]:
    return {change.sensor: change.new / change.old for change in changes if change.key == "gain_n"}


def test_factors_by_line_and_side(config: Config) -> None:
    rng = random.Random(1)
    factors = [1.08, 1.05, 0.95, 0.97]
    pairs = [run_pair(i, factors, rng) for i in range(20)]
    notes, changes = from_reference(config, {"C03": pairs})
    names = ["line1-left", "line1-right", "line2-left", "line2-right"]
    assert gains(changes) == pytest.approx(dict(zip(names, factors, strict=True)), abs=0.02)
    assert len(notes) == 4
    assert "lane C03 line1-left: factor 1.0" in notes[0]


def test_gross_weight_alone_gives_the_factor_of_each_line(config: Config) -> None:
    rng = random.Random(1)
    pairs = [run_pair(i, [1.08, 1.05, 0.95, 0.97], rng, gross_only=True) for i in range(20)]
    wim = config.lane[0].wim
    assert wim is not None
    means = [fit_units(units, pairs, wim).factor.mean() for units in by_line(wim)]
    assert means == pytest.approx([1.065, 0.96], abs=0.004)


def test_factors_by_side_where_sensors_are_not_told_apart(config: Config) -> None:
    rng = random.Random(2)
    pairs = [run_pair(i, [1.06, 0.95, 1.06, 0.95], rng, by_sensor=False) for i in range(20)]
    _, changes = from_reference(config, {"C03": pairs})
    found = gains(changes)
    assert found["line1-left"] == found["line2-left"] == pytest.approx(1.06, abs=0.01)
    assert found["line1-right"] == found["line2-right"] == pytest.approx(0.95, abs=0.01)


def test_what_is_right_stays(config: Config) -> None:
    notes, changes = from_reference(config, {"C03": [run_pair(i, [1.0] * 4, random.Random(i)) for i in range(20)]})
    assert len(changes) <= 1  # each of four factors has a chance of one in twenty
    assert sum("within its uncertainty" in note for note in notes) >= 3


def test_flagged_and_miscounted_runs_are_left_out(config: Config) -> None:
    rng = random.Random(4)
    pairs = [run_pair(i, [1.0] * 4, rng) for i in range(4)]
    spoiled = [Pair(p.truth, msgspec.structs.replace(p.measured, flags=("partial",))) for p in pairs]
    with pytest.raises(CalibrationError, match="none of 4 runs is usable"):
        from_reference(config, {"C03": spoiled})
    with pytest.raises(CalibrationError, match="no reference vehicle was found"):
        from_reference(config, {"C03": []})


def test_an_absurd_factor_is_no_calibration(config: Config) -> None:
    pairs = [run_pair(i, [9.81] * 4, random.Random(i)) for i in range(5)]
    with pytest.raises(CalibrationError, match=r"the factor would be 9\.8"):
        from_reference(config, {"C03": pairs})


def test_layout_of_an_array(config: Config) -> None:
    wim = config.lane[0].wim
    assert wim is not None
    assert [[unit.name for unit in line] for line in by_line(wim)] == [
        ["line1-left", "line1-right"],
        ["line2-left", "line2-right"],
    ]
    assert [unit.sensors for unit in by_side(wim)[0]] == [("line1-left", "line2-left"), ("line1-right", "line2-right")]
    across = msgspec.structs.replace(
        wim, sensor=tuple(msgspec.structs.replace(sensor, y_m=None) for sensor in wim.sensor[::2])
    )
    assert [unit.name for unit in by_side(across)[0]] == ["whole width"]


# ---- the command --------------------------------------------------------------------------------


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    calibrate.add_arguments(parser)
    return calibrate.run(parser.parse_args(words))


def steering_file(path: Path, factor: float, *, count: int = 80, groups: str = "122") -> str:
    rng = random.Random(7)
    positions = {"122": [0.0, 5.0, 6.3, 16.0, 17.3], "113": [0.0, 3.8, 9.4, 10.7, 12.0]}[groups]
    lines = []
    for i in range(count):
        loads = [4717.0 * factor * rng.gauss(1.0, 0.06), 8000.0, 8000.0, 7500.0, 7500.0]
        axles = tuple(
            AxleRecord(position_m=p, load_kg=w, left_kg=w / 2, right_kg=w / 2)
            for p, w in zip(positions, loads, strict=True)
        )
        vehicle = VehicleRecord(time=utc_text(START_NS + i * 10**10), lane="C03", axles=axles)
        lines.append(msgspec.json.encode(vehicle) + b"\n")
    path.write_bytes(b"".join(lines))
    return str(path)


def test_steering_axles_propose_a_small_step_as_a_diff(
    config_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", str(config_path), "--steering", steering_file(tmp_path / "v.jsonl", 0.94)]
    assert command(*words) == 0
    out, err = capsys.readouterr()
    assert config_path.read_text() == CONFIG
    assert out.count("\n+gain_n = ") == out.count("\n-gain_n = ") == 4
    assert "+gain_n = 4.0" in out
    assert "# from the maker's certificate" in out
    assert "recalled" in out
    assert "not written" in err
    assert command(*words, "--write", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    factor = found["changes"][0]["new"] / 4.0
    assert 1.01 < factor <= 1.02
    written = load(config_path).lane[0].wim
    assert written is not None
    assert [sensor.gain_n for sensor in written.sensor] == [pytest.approx(4.0 * factor)] * 4 + [None]
    comments = [line for line in config_path.read_text().splitlines() if "#" in line]
    assert len(comments) == 2


def test_steering_axles_as_usual_propose_nothing(
    config_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (
        steering_file(tmp_path / "same.jsonl", 1.0),
        steering_file(tmp_path / "few.jsonl", 0.8, count=20),
        steering_file(tmp_path / "other.jsonl", 0.8, groups="113"),
    ):
        assert command("--config", str(config_path), "--steering", file, "--write") == 0
        assert "nothing to change" in capsys.readouterr().err
    assert config_path.read_text() == CONFIG


def test_bad_input_of_the_command(config_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n")
    assert command("--config", str(config_path), "--steering", str(bad)) == 65
    assert f"{bad}:1: " in capsys.readouterr().err
    good = tmp_path / "reference.jsonl"
    good.write_text('{"time": "2026-11-24T05:22:17Z", "gross_kg": 30000}\n')
    assert command("--config", str(config_path), "--reference", str(good)) == 65
    assert "no recording is given" in capsys.readouterr().err
    assert command("--config", str(config_path), "--reference", str(good), str(tmp_path / "none")) == 65
    assert "none.sigmf-meta" in capsys.readouterr().err


def test_recording_without_the_reference_vehicle(
    config_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = Writer(tmp_path / "run", channels=5, rate_hz=5000.0, lane="C03")
    writer.capture(START_NS)
    writer.write(np.zeros((5000, 5), np.int16))
    writer.close()
    reference = tmp_path / "reference.jsonl"
    reference.write_text(json.dumps({"time": utc_text(START_NS), "gross_kg": 30000.0}) + "\n")
    assert command("--config", str(config_path), "--reference", str(reference), str(tmp_path / "run")) == 65
    assert "no reference vehicle was found" in capsys.readouterr().err


# ---- references as a static scale gives them ----------------------------------------------------


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of the simulated crossing: C01 and C02, with their truth."""
    out = tmp_path_factory.mktemp("runs") / "rec"
    assert simulate(["record", "--scenario", "fast-and-standard", "--out", str(out), "--for", "120"]) == 0
    return out


def weighed_by_hand(runs: Path, file: Path, *, gross_only: bool = False, shift_s: int = 0, lost: int = 0) -> list[str]:
    """What a person writes down of each truck of C01: no positions, and times to the second, off by one or two."""
    lines = []
    truths = [json.loads(line) for line in (runs / "C01.truth.jsonl").read_text().splitlines()]
    for number, truth in enumerate(truths):
        time_ns = parse_utc(truth["time"]) // 10**9 * 10**9 + (number % 3 - 1 + shift_s) * 10**9
        loads = [{"load_kg": axle["load_kg"]} for axle in truth["axles"]]
        row = {"time": utc_text(time_ns), "lane": "C01"}
        lines.append(row | ({"gross_kg": truth["gross_kg"]} if gross_only else {"axles": loads}))
    for number in range(lost):
        lines.append(
            {
                "time": utc_text(parse_utc(truths[0]["time"]) + (900 + 60 * number) * 10**9),
                "gross_kg": 30e3,
                "lane": None,
            }
        )
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return [str(file), str(runs / "C01"), str(runs / "C02")]


@pytest.mark.parametrize("gross_only", [False, True], ids=["axles without positions", "gross alone"])
def test_static_weights_calibrate_an_array(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], gross_only: bool
) -> None:
    config = tmp_path / "lane.toml"
    text = (runs / "borderflow.toml").read_text()
    config.write_text(text.replace("gain_n = 4.0", "gain_n = 2.8", 2))  # the first line of C01: all is unequal_lines
    reference, *recordings = weighed_by_hand(runs, tmp_path / "static.jsonl", gross_only=gross_only)
    assert command("--config", str(config), "--reference", reference, *recordings, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    count = len(Path(reference).read_text().splitlines())
    assert found["notes"][0] == f"{count} of {count} references found their passage"
    assert {(row["sensor"], row["old"]) for row in found["changes"]} >= {("line1-left", 2.8), ("line1-right", 2.8)}
    new = {row["sensor"]: row["new"] for row in found["changes"] if row["lane"] == "C01"}
    assert (new["line1-left"] + new["line1-right"]) / 2 == pytest.approx(4.0, rel=0.04)


def test_a_written_configuration_keeps_its_rights_and_is_to_be_signed_again(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "lane.toml"
    config.write_text((runs / "borderflow.toml").read_text().replace("gain_n = 4.0", "gain_n = 2.8", 2))
    config.chmod(0o640)
    before = config.stat()
    words = ["--config", str(config), "--reference", *weighed_by_hand(runs, tmp_path / "static.jsonl"), "--write"]
    assert command(*words) == 0
    assert "sign it again" not in capsys.readouterr().err
    after = config.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    config.write_text((runs / "borderflow.toml").read_text().replace("gain_n = 4.0", "gain_n = 2.8", 2))
    (tmp_path / "lane.toml.sig").write_text("{}")
    assert command(*words) == 0
    assert "sign it again" in capsys.readouterr().err


def test_references_without_a_passage_are_counted(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, *recordings = weighed_by_hand(runs, tmp_path / "static.jsonl", lost=7)
    config = str(runs / "borderflow.toml")
    assert command("--config", config, "--reference", reference, *recordings) == 0
    note = capsys.readouterr().out.splitlines()[0]
    count = len(Path(reference).read_text().splitlines())
    assert note.startswith(f"# {count - 7} of {count} references found their passage, 7 found none: ")
    assert note.count("(any lane)") == 5
    assert "and 2 more" in note
    assert command("--config", config, "--reference", reference, *recordings, "--json") == 0
    facts = json.loads(capsys.readouterr().out)["references"]
    assert (facts["given"], facts["found"], len(facts["missed"])) == (count, count - 7, 7)


def test_local_time_taken_for_utc_is_named(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference, *recordings = weighed_by_hand(runs, tmp_path / "static.jsonl", shift_s=-5 * 3600)
    assert command("--config", str(runs / "borderflow.toml"), "--reference", reference, *recordings) == 65
    said = capsys.readouterr().err
    assert "no reference vehicle was found in the recordings: 0 of " in said
    shift_s = int(said.split("times look ")[1].split(" s too early")[0])
    assert shift_s == pytest.approx(5 * 3600, abs=3)


@pytest.mark.parametrize("gross_only", [False, True], ids=["axles without positions", "gross alone"])
def test_static_weights_say_how_good_a_lane_is(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], gross_only: bool
) -> None:
    reference, *recordings = weighed_by_hand(runs, tmp_path / "static.jsonl", gross_only=gross_only)
    measured, page = tmp_path / "C01.jsonl", tmp_path / "page.html"
    assert main(["replay", "--config", str(runs / "borderflow.toml"), recordings[0]]) == 0
    measured.write_text(capsys.readouterr().out)
    words = [
        "accuracy",
        "--truth",
        reference,
        "--measured",
        str(measured),
        "--static-scale",
        "here",
        "--page",
        str(page),
    ]
    assert main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    count = len(Path(reference).read_text().splitlines())
    assert report["found"]["paired"] == count
    assert report["found"]["classes_right"] is None
    assert report["found"]["axles_right"] == (None if gross_only else count)
    quantities = {row["quantity"]: row["count"] for row in report["errors"]}
    assert quantities["gross"] == count
    assert "spacing" not in quantities
    assert ("group" in quantities) != gross_only  # as measured, where the reference tells no positions
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "class right         - (no reference has a class of the same scheme)" in said
    assert page.stat().st_size > 1000


# ---- in operation -------------------------------------------------------------------------------


@given(st.floats(0.3, 3.0))
def test_a_step_is_bounded_and_goes_the_right_way(factor: float) -> None:
    watch = SteeringWatch("US", window=50)
    proposal = None
    for i in range(50):
        loads = [4717.0 * factor * (1 + 0.02 * (i % 5 - 2)), 8000.0, 8000.0, 7500.0, 7500.0]
        proposal = watch.add(loads, (0, 1, 1, 2, 2)) or proposal
    if proposal is not None:
        assert 0.98 <= proposal.factor <= 1.02
        assert (proposal.factor - 1) * (factor - 1) < 0
    else:
        assert abs(factor - 1) < 0.06
    assert watch.count == 0


def test_trucks_off_centre_or_flagged_do_not_count() -> None:
    watch = SteeringWatch("US")
    loads = [4000.0, 8000.0, 8000.0, 7500.0, 7500.0]
    watch.add(loads, (0, 1, 1, 2, 2), clean=False)
    watch.add(loads, (0, 1, 1, 2, 2), left_kg=1700.0, right_kg=2300.0)
    watch.add(loads, (0, 1, 2, 2, 2))
    assert watch.count == 0
    found = [watch.add(loads, (0, 1, 1, 2, 2), left_kg=2000.0, right_kg=2000.0) for _ in range(100)]
    assert found[-1] is not None
    assert found[-1].factor == 1.02
    assert "proposed: gains times 1.0200" in found[-1].text
    with pytest.raises(ValueError, match="too small"):
        SteeringWatch("US", window=10)


def test_a_drifting_line_is_found_once_and_its_end_too() -> None:
    rng = random.Random(3)
    watch = LineWatch(4, window=200)
    found = []
    for i in range(2000):
        drift = 0.94 if 400 <= i < 1200 else 1.0
        loads = [8000.0 * rng.gauss(1.0, 0.03) * (drift if line == 2 else 1.0) for line in range(4)]
        found += [(i, item) for item in watch.add([None if rng.random() < 0.02 else load for load in loads])]
    assert [(item.line, item.begin) for _, item in found] == [(2, True), (2, False)]
    assert found[0][1].deviation == pytest.approx(-0.05, abs=0.025)
    assert 400 <= found[0][0] < 800
    assert 1200 <= found[1][0] < 1600
    with pytest.raises(ValueError, match="3 loads for 4 lines"):
        watch.add([1.0, 2.0, 3.0])


def test_fit_is_plain_data() -> None:
    loads, reference, run, _, _ = synthetic([1.0, 1.0], 1)
    assert isinstance(fit_line(loads, reference, run), LineFit)
