"""`borderflow init` as a person uses it: flags, devices that answer, a trial's certificates, faults named."""

from __future__ import annotations

import io
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mosquitto import MOSQUITTO, free_port

from edge.cli import main
from edge.commands import init as init_command
from edge.config.file import load
from edge.init import trial
from edge.init.probe import candidates, serial_ports

SITE = ["--country", "us", "--port", "3604", "--lane", "T1"]


@pytest.fixture
def hardware() -> Iterator[dict[str, dict[str, object]]]:
    """The simulated hardware of the scenario `quiet-lane`: its devices, with their addresses."""
    command = [sys.executable, "-m", "firmware_sim.cli", "serve", "--scenario", "quiet-lane"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())["devices"]
    process.terminate()
    process.wait(10)


def test_devices_that_answer_are_found_and_the_file_is_good(
    hardware: dict[str, dict[str, object]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "borderflow.toml"
    daq, options = hardware["daq"]["url"], hardware["daq"]["options"]
    assert isinstance(options, dict)
    status = main([
        "init", "--out", str(out), *SITE, "--array", "0 1.2 3.3 4.7 halves loop 2.2x2.4", "--store", str(tmp_path),
        "--from", f"{daq};stream_port={options['stream_port']}",
        f"{hardware['io']['url']};inputs=approach-loop,booth-loop,booth-open",
        f"lpr_frame={hardware['lpr-booth']['url']}@T1/booth",
    ])  # fmt: skip
    said = capsys.readouterr()
    assert (status, said.out.strip()) == (0, str(out)), said.err
    config = load(out, live=True)
    assert [device.driver for device in config.device] == ["labjack_t7", "moxa_e1200", "lpr_frame"]
    assert (tmp_path / "identity.key").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "borderflow.toml"
    out.write_text("mine")
    assert main(["init", "--out", str(out), *SITE]) == 73
    assert out.read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--country", "US"], "--port"),
        ([*SITE, "--lane", "T2 lorry"], "lorry"),
        ([*SITE, "--array", "0 120 290"], "metres"),
        ([*SITE, "--array", "T2: 0 1.2"], "no such lane"),
        ([*SITE, "--from", "nonsense"], "does not fit"),
        ([*SITE, "--from", "no_such=tcp://127.0.0.1:1"], "no driver"),
        ([*SITE, "--points", "booth x"], "points"),
    ],
)
def test_what_does_not_fit_is_named(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", *words]) == 78
    assert said in capsys.readouterr().err
    assert not Path("borderflow.toml").exists()


def test_a_device_that_says_nothing_or_nonsense_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.init.probe.TRY_S", 0.05)
    out = tmp_path / "borderflow.toml"
    assert main(["init", "--out", str(out), *SITE, "--store", str(tmp_path), "--from", "tcp://127.0.0.1:9"]) == 0
    said = capsys.readouterr().err
    assert "nothing answers" in said
    assert "array" not in said
    assert load(out).device == ()


def test_an_array_without_a_digitiser_is_not_dropped_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init", "--out", str(tmp_path / "a.toml"), *SITE, "--store", str(tmp_path), "--array", "0 1.2 2.9 whole"])
    assert "the array stands in 0 of 1 lanes" in capsys.readouterr().err


def test_on_a_terminal_it_asks_five_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    answers = iter(["CA 0453", "C01 commercial; C02 commercial FAST", "0 1.2", "", "mqtt://localhost"])

    def ask(question: str, usual: str) -> str:
        asked.append(question)
        return next(answers) or usual

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(init_command, "_ask", ask)
    out = tmp_path / "borderflow.toml"
    assert main(["init", "--out", str(out), "--store", str(tmp_path)]) == 0
    assert len(asked) == 5
    config = load(out, live=True)
    assert [lane.id for lane in config.lane] == ["C01", "C02"]
    assert config.collector[0].url == "mqtt://localhost"


def test_a_wrong_answer_is_said_and_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site, lane, array = ["Canada 0453", "CA 0453 Peace Bridge"], ["C01 lorry", "C01"], ["0 120", "none"]
    answers = iter([*site, *lane, *array, "nonsense", "x_y=tcp://h:1", "", ""])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(init_command, "_ask", lambda question, usual: next(answers) or usual)
    out = tmp_path / "borderflow.toml"
    main(["init", "--out", str(out), "--store", str(tmp_path)])
    said = capsys.readouterr().err
    assert all(words in said for words in ("'Canada 0453'", "'lorry'", "metres", "does not fit", "no driver", "UTC"))
    config = load(out)
    assert (config.site.name, [point.name for point in config.point]) == ("Peace Bridge", ["approach", "booth"])


def test_a_terminal_that_closes_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("CA 0453\n"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert main(["init", "--out", str(tmp_path / "borderflow.toml")]) == 78
    assert not (tmp_path / "borderflow.toml").exists()


def test_the_likeliest_driver_comes_first() -> None:
    assert candidates("tcp://192.0.2.1:502")[:2] == ["labjack_t7", "moxa_e1200"]
    assert candidates("tcp://192.0.2.1:5084")[0] == "llrp"
    assert "labjack_t7" not in candidates("serial:///dev/ttyUSB0")
    assert candidates("nonsense://x") == []


def test_serial_lines_are_named_by_path(tmp_path: Path) -> None:
    (tmp_path / "ttyUSB0").touch()
    assert serial_ports(tmp_path) == [f"serial://{tmp_path}/ttyUSB0"]
    (tmp_path / "serial" / "by-path").mkdir(parents=True)
    (tmp_path / "serial" / "by-path" / "pci-port1").touch()
    assert serial_ports(tmp_path) == [f"serial://{tmp_path}/serial/by-path/pci-port1"]


def test_certificates_of_a_trial_fit_each_other(tmp_path: Path) -> None:
    files = trial.make(tmp_path / "trial", "lane-1")
    context = ssl.create_default_context(cafile=files["ca_file"])
    context.load_cert_chain(files["cert_file"], files["key_file"])
    with pytest.raises(FileExistsError):
        trial.make(tmp_path / "trial", "lane-1")
    for key in (tmp_path / "trial").glob("*.key"):
        assert key.stat().st_mode & 0o777 == 0o600
    if MOSQUITTO:
        text = (tmp_path / "trial" / "mosquitto.conf").read_text()
        text = text.replace("listener 8883", f"listener {free_port()} 127.0.0.1")
        (tmp_path / "trial" / "mosquitto.conf").write_text(text)
        process = subprocess.Popen(
            [MOSQUITTO, "-c", str(tmp_path / "trial" / "mosquitto.conf")], stderr=subprocess.PIPE
        )
        try:
            process.wait(1.0)
            raise AssertionError(process.stderr.read() if process.stderr else "")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
