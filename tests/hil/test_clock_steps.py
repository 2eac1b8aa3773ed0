"""The system clock of a running daemon leaps by an hour and by years, both ways: nothing stops, nothing is lost."""

from __future__ import annotations

import mmap
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from bench import Daemon, wait_for
from busy_reader import BusyReader, busy_configuration
from collecting import CollectingClient
from mosquitto import MOSQUITTO, Mosquitto

from edge.messages import parse_utc

pytestmark = pytest.mark.long

YEAR_S = 365 * 86_400
STEPS_S = (3600, 0, 5 * YEAR_S, 0, -3600, 0, -5 * YEAR_S, 0)  # against the true time


@pytest.fixture
def stepped_clock(tmp_path: Path) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    source = Path(__file__).parents[1] / "support" / "stepped_clock.c"
    made = tmp_path / "stepped_clock.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(made), str(source), "-ldl"], check=True)
    return made


@pytest.mark.hil
@pytest.mark.timeout(420)
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_the_clock_leaps_under_load(tmp_path: Path, stepped_clock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broker").mkdir()
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    readers = {point: BusyReader(20.0) for point in ("approach", "booth")}
    config = busy_configuration(tmp_path, readers, f'url = "mqtt://127.0.0.1:{broker.port}"')
    step_file = tmp_path / "step"
    step_file.write_bytes(bytes(8))
    national = CollectingClient(broker.port)
    daemon = Daemon(config)
    try:
        with monkeypatch.context() as patch:
            patch.setenv("LD_PRELOAD", str(stepped_clock))
            patch.setenv("CLOCK_FILE", str(step_file))
            daemon.start()
        with step_file.open("r+b") as file, mmap.mmap(file.fileno(), 8) as step:
            wait_for("sightings", lambda: len(national.bodies("sighting")) > 20, 60)
            for step_s in STEPS_S:
                step[:8] = step_s.to_bytes(8, "little", signed=True)
                wait_for(f"sightings at {step_s:+d} s", lambda s=step_s: follows(national, s), 60)
            before = {kind: len(national.bodies(kind)) for kind in ("flow", "wait")}
            for kind, number in before.items():
                wait_for(f"{kind} of the true time", lambda k=kind, n=number: goes_on(national, k, n), 150)
            size = sum(path.stat().st_size for path in (tmp_path / "store").iterdir())
        assert daemon.process is not None
        assert daemon.process.poll() is None, daemon.log()
        assert daemon.stop() == 0, daemon.log()
        wait_for("the last words", lambda: not national.bodies("status")[-1]["online"], 20)
    finally:
        for reader in readers.values():
            reader.close()
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
        national.close()
        broker.kill()
    assert "Traceback" not in daemon.log()
    for topic, seqs in national.seqs().items():
        assert sorted(seqs) == list(range(1, len(seqs) + 1)), topic
    assert len({message["epoch"] for message in national.bodies() if message["seq"] > 0}) == 1
    leaps = [alarm for alarm in national.bodies("alarm") if alarm["code"] == "clock_stepped"]
    states = [alarm["state"] for alarm in leaps]  # one alarm where the next leap comes within half a minute
    assert states
    assert states == (["begin", "end"] * len(STEPS_S))[: len(states)]
    # Neither the hours nor the years that were leapt over become intervals without a vehicle.
    assert len(national.bodies("flow")) + len(national.bodies("wait")) < 12 * (len(STEPS_S) + 3)
    assert size < 20_000_000


def goes_on(national: CollectingClient, kind: str, after: int) -> bool:
    """Beyond the first `after` messages there is one of an interval that ended just now."""
    return any(abs(parse_utc(body["time"]) / 1e9 - time.time()) < 40.0 for body in national.bodies(kind)[after:])


def follows(national: CollectingClient, step_s: int) -> bool:
    """The last 20 sightings have the time of the stepped clock."""
    last = [parse_utc(message["time"]) / 1e9 for message in national.bodies("sighting")[-20:]]
    return all(abs(at_s - time.time() - step_s) < 30.0 for at_s in last)
