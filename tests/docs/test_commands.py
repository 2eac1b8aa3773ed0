"""Every command that a page prints runs, in the order of the page, against the simulated lane.

A page is what people type. A new command on it is run without a word here. What cannot be in a test what it is there is
changed by `SMALLER` (ten minutes of recording, names of hosts), and nothing else; other programs are only looked at.
"""

from __future__ import annotations

import argparse
import glob
import importlib
import json
import re
import shlex
import shutil
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stdout
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from drivers import registry
from edge import cli
from edge.commands.demo_broker import start_broker
from edge.weighing.conformity.records import read_references
from firmware_sim import cli as sim_cli

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("deploy/**/*.md"),
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "tests/README.md",
    ]
)
OURS = ("borderflow", "borderflow-sim")
OTHERS = ("make", "pip", "pytest", "grep", "systemctl", "journalctl", "dpkg")
BIN = Path(sysconfig.get_path("scripts"))
ENDLESS = {"borderflow run", "borderflow watch", "borderflow collect", "borderflow page", "borderflow-sim serve"}
# What a command may end with beside 0: 1, tried and not all is good; 69, no daemon runs here
JUDGES = {"borderflow doctor": (1,), "borderflow-sim verify": (1,), "borderflow status": (1, 69)}
SMALLER = (
    (r"--for \d+", "--for 3"),
    (r"(record --scenario \S+ .*)--for 3", r"\1--for 60"),
    (r"mqtts?://(localhost|127\.0\.0\.1:1883|broker\.example)", "{broker}"),
    (r"/dev/ttyUSB0", "pty"),
    (r"tcp://0\.0\.0\.0:\d+", "tcp"),
    (r"(?<=[ =])/(tmp|etc)/", r"\1/"),
)


def printed(page: Path) -> list[str]:
    """The commands of a page: lines of its blocks, indented or fenced, that begin with a program."""
    found: list[str] = []
    fenced, ahead = False, ""
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            text = ahead + line.strip()
            first = re.sub(r"^(\w+=\S+ )+", "", text).split(" ")[0]
            if first not in (*OURS, *OTHERS):
                continue
            ahead = text[:-1] if text.endswith("\\") else ""
            if not ahead:
                found.append(text)
    return found


def spans(page: Path) -> list[str]:
    """Commands of ours inside the sentences of a page."""
    return re.findall(r"`(borderflow(?:-sim)? [a-z][^`]*)`", page.read_text().replace("\n", " "))


# ---- words --------------------------------------------------------------------------------------------------------


def options_of(program: str, command: str) -> set[str]:
    parser = argparse.ArgumentParser()
    if program == "borderflow":
        importlib.import_module(cli.COMMANDS[command][0]).add_arguments(parser)
    else:
        text = subprocess.run([BIN / program, command, "--help"], capture_output=True, text=True, check=True).stdout
        return set(re.findall(r"--[a-z-]+", text))
    return set(parser._option_string_actions)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_inside_sentences_have_such_options(page: Path) -> None:
    for text in spans(page):
        program, command, *words = text.split(" ")
        for word in (word for word in words if word.startswith("--")):
            assert word.split("=")[0] in options_of(program, command), text
        assert program == "borderflow-sim" or command in cli.COMMANDS, text


def test_the_pages_print_commands() -> None:
    counts = {page.name: len(printed(page)) for page in PAGES}
    assert counts["commissioning.md"] >= 10
    assert counts["simulator.md"] >= 5
    assert sum(counts.values()) >= 30


SMALLEST = """
[site]
country = "CA"
port = "0453"
[[lane]]
id = "C03"
traffic = "commercial"
"""


# ---- commands -----------------------------------------------------------------------------------------------------


class Shell:
    """Runs what a page prints, in a directory of its own."""

    def __init__(self, directory: Path, broker: str, processes: ExitStack) -> None:
        self.directory, self._broker, self._processes = directory, broker, processes

    def run(self, text: str) -> None:
        for pattern, smaller in SMALLER:
            text = re.sub(pattern, smaller.replace("{broker}", self._broker), text)
        for part in re.split(r" && |; ", text.split("  #")[0]):
            words = shlex.split(part)
            target = words.index(">") if ">" in words else len(words)
            out = words[target + 1] if target < len(words) else None
            words = [hit for word in words[:target] for hit in (sorted(glob.glob(word)) or [word])]
            self._one(words, out)

    def _one(self, words: list[str], out: str | None) -> None:
        name = " ".join(words[:2])
        if words[0] not in OURS:
            other_program(words, out)
        elif name in ENDLESS:
            self._endless(words)
        else:
            main = cli.main if words[0] == "borderflow" else sim_cli.main
            if out is None:
                status = main(words[1:])
            else:
                with open(out, "w") as file, redirect_stdout(file):
                    status = main(words[1:])
                assert Path(out).stat().st_size > 0, words
            assert status in (0, *JUDGES.get(name, ())), words

    def _endless(self, words: list[str]) -> None:
        """Start it, wait for its first word, and end it with the page: in order."""
        log = self.directory / f"{len(list(self.directory.glob('*.log')))}.log"
        with log.open("wb") as file:
            process = subprocess.Popen([BIN / words[0], *words[1:]], stdout=file, stderr=subprocess.STDOUT)
        end = time.monotonic() + 20.0
        while not log.stat().st_size and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        assert log.stat().st_size, f"{words}: said nothing"

        def stop() -> None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0, f"{words}: {log.read_text()[-2000:]}"
            assert "Traceback" not in log.read_text()

        self._processes.callback(stop)


def other_program(words: list[str], out: str | None) -> None:
    """Of other programs' commands what they say of ours must be so."""
    words = [word for word in words if not re.fullmatch(r"\w+=\S+", word)]
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), words
    elif words[0] == "pytest":
        assert (ROOT / words[1]).exists()
    elif words[0] == "grep":
        found = subprocess.run(words, capture_output=True, check=True).stdout
        assert out is not None
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_bytes(found)
    elif words[0] in ("systemctl", "journalctl"):
        units = [word for word in words if word.startswith("borderflow")]
        assert units, words
        assert all((ROOT / f"deploy/systemd/{unit}.service").exists() for unit in units), words
    elif words[0] == "dpkg":
        assert re.fullmatch(r"borderflow_[0-9.]+_amd64\.deb", words[2]), words
    else:
        assert words[:2] == ["pip", "install"], words


@pytest.fixture(scope="session")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lane C03 in the simulator: its scenario, and a minute and a half of recordings."""
    directory = tmp_path_factory.mktemp("lane")
    text = (ROOT / "firmware_sim/scenarios/fast-and-standard.toml").read_text()
    scenario = directory / "c03.toml"
    scenario.write_text(text.replace('"C01"', '"C03"'))
    assert sim_cli.main(["record", "--scenario", str(scenario), "--out", str(directory / "rec"), "--for", "90"]) == 0
    return directory


@pytest.fixture
def shell(crossing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A directory with what the pages take for granted: a configuration, recordings, static weights."""
    monkeypatch.chdir(tmp_path)
    for name in ("rec", "etc/borderflow", "tmp/bf"):
        (tmp_path / name).mkdir(parents=True)
    for file in (crossing / "rec").glob("C03.*"):
        shutil.copy(file, f"rec/C03-20261124T131500Z{''.join(file.suffixes)}")
    truths = [json.loads(line) for line in (crossing / "rec/C03.truth.jsonl").read_text().splitlines()]
    weighed = [
        {"time": f"{truth['time'][:19]}Z", "lane": "C03", "axles": [{"load_kg": a["load_kg"]} for a in truth["axles"]]}
        for truth in truths
    ]
    Path("static.jsonl").write_text("".join(json.dumps(line) + "\n" for line in weighed))
    with ExitStack() as processes:
        broker = processes.enter_context(start_broker(tmp_path))
        yield Shell(tmp_path, broker.url, processes)


@pytest.fixture
def lane(shell: Shell, crossing: Path) -> Path:
    """The simulated hardware, and the configuration that belongs to it: `lane.toml`, and where else pages have one."""
    shutil.copy(crossing / "c03.toml", "c03.toml")
    shell.run("borderflow-sim serve --scenario c03.toml --config-out lane.toml --collector mqtt://localhost")
    for name in ("borderflow.toml", "etc/borderflow/borderflow.toml"):
        shutil.copy("lane.toml", name)
    return Path("lane.toml")


@pytest.mark.usefixtures("lane")
def test_commissioning(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    page = ROOT / "docs/commissioning.md"
    Path("identity.key").unlink()  # the simulator's; the page makes one
    for text in printed(page):
        shell.run(text)
    said = capsys.readouterr()
    assert said.out.count("left alone") == 0
    assert "references found their passage" in said.out
    assert "class right         - (no reference has a class" in said.out
    (line,) = re.findall(r"^    (\{.*\})$", page.read_text(), re.MULTILINE)
    Path("printed.jsonl").write_text(line)
    assert len(read_references(Path("printed.jsonl"))[0].axles) == 3


@pytest.mark.usefixtures("lane")
def test_on_call(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run("borderflow run --config lane.toml")
    for text in printed(ROOT / "docs/on-call.md"):
        shell.run(text)
    assert "online for" in capsys.readouterr().out  # as the daemon sees its devices


@pytest.mark.usefixtures("lane")
def test_lane_page(shell: Shell) -> None:
    shell.run("borderflow run --config lane.toml")
    Path("etc/borderflow/page.token").write_text("a secret of twenty letters\n")
    Path("etc/borderflow/page.token").chmod(0o600)
    for text in printed(ROOT / "docs/lane-page.md"):
        shell.run(text)


def test_simulator(shell: Shell) -> None:
    text = (ROOT / "firmware_sim/scenarios/quiet-lane.toml").read_text()
    Path("my-lane.toml").write_text(text.replace("lpr-booth", "tag-booth"))
    Path("messages.jsonl").write_text("")
    Path("truth.jsonl").symlink_to("tmp/bf/truth.jsonl")
    for text in printed(ROOT / "docs/simulator.md"):
        shell.run(text)


def test_simulated_world(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    for text in printed(ROOT / "docs/simulated-world.md"):
        shell.run(text)
    said = capsys.readouterr().out
    assert "borderflow/vehicle/1" in said
    assert "borderflow/wait/1" in said


def test_delivery(shell: Shell) -> None:
    Path("borderflow.toml").write_text(SMALLEST)
    for text in printed(ROOT / "docs/delivery.md"):
        shell.run(text)
    assert Path("borderflow.toml.sig").exists()


@pytest.mark.usefixtures("lane")
def test_write_a_driver(shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(ROOT / "tests/drivers/acme_road")
    acme = EntryPoint("acme_rt1", "acme_road.acme_rt1:AcmeRt1", registry.GROUP)
    monkeypatch.setattr(registry, "_points", lambda: {"acme_rt1": acme})
    texts = printed(ROOT / "docs/write-a-driver.md")
    for text in texts[:2]:
        shell.run(text)
    assert "offset_c" in capsys.readouterr().out
    monkeypatch.undo()
    monkeypatch.chdir(shell.directory)
    config = Path("borderflow.toml").read_text()
    Path("borderflow.toml").write_text(config.replace('"io"', '"scale"'))
    for text in texts[2:]:
        shell.run(text)


WALKED = {
    "commissioning.md", "on-call.md", "lane-page.md", "simulator.md", "simulated-world.md", "delivery.md",
    "write-a-driver.md",
}  # fmt: skip


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in WALKED], ids=lambda page: page.name)
def test_other_pages(shell: Shell, page: Path) -> None:
    for text in printed(page):
        shell.run(text)
