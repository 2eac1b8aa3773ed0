"""Disks that fail: full, read-only, fsync with an error. What was durable stays, what was refused has no number."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from samples import TIME_NS, mixed

from edge.delivery.journal import Journal

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def faulty_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    library = tmp_path_factory.mktemp("disk") / "faulty_disk.so"
    command = ["gcc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-O1", "-o", str(library)]
    subprocess.run([*command, str(HERE / "faulty_disk.c"), "-ldl"], check=True)
    return library


@pytest.mark.parametrize(
    ("fault", "killed"), [("full", False), ("readonly", False), ("fsync", False), ("full", True), ("fsync", True)]
)
def test_a_disk_that_fails_and_recovers(tmp_path: Path, faulty_disk: Path, fault: str, killed: bool) -> None:
    path, switch = tmp_path / "journal.db", tmp_path / "fault"
    lines: list[str] = []
    environment = os.environ | {"LD_PRELOAD": str(faulty_disk), "FAULT_FILE": str(switch)}
    with subprocess.Popen(
        [sys.executable, str(HERE.parent / "support" / "stubborn_writer.py"), str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        reader = threading.Thread(target=lambda: lines.extend(process.stdout))  # type: ignore[arg-type]
        reader.start()

        def seen(word: str, since: int) -> bool:
            return any(line.startswith(word) for line in lines[since:])

        assert _until(lambda: seen("made", 0))
        for _ in range(2):
            since = len(lines)
            switch.write_text(fault)
            assert _until(lambda since=since: seen("refused", since)), "the fault was not met"
            time.sleep(0.1)
            if not killed:
                switch.unlink()
                since = len(lines)
                assert _until(lambda since=since: seen("made", since)), "it did not recover"
        if killed:
            process.kill()
        else:
            process.stdin.close()
        reader.join()
    assert any("journal.db: cannot be written" in line for line in lines)

    made = {line.split()[1]: (line.split()[2], int(line.split()[3])) for line in lines if line.startswith("made")}
    alarms: list[str] = []
    journal = Journal(path, 50_000_000, time.time_ns, on_alarm=lambda *alarm: alarms.append(alarm[0]))
    stored: dict[str, tuple[str, int]] = {}
    for topic, (_, last, _) in journal.heads().items():
        entries = journal.replay(topic, journal.epoch, 1, last, limit=1_000_000)
        assert [entry.seq for entry in entries] == list(range(1, last + 1))
        stored |= {entry.id: (topic, entry.seq) for entry in entries}
    assert alarms == []
    assert {id: stored.get(id) for id in made} == made
    journal.close()


def _until(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize("step_s", [3600, -3600, 5 * 365 * 86_400, -5 * 365 * 86_400])
def test_a_clock_that_leaps_loses_and_reorders_nothing(tmp_path: Path, step_s: int) -> None:
    now = [TIME_NS]

    def clock() -> int:
        now[0] += 1_000_000
        return now[0]

    journal = Journal(tmp_path / "journal.db", 50_000_000, clock)
    journal.register("a", ("vehicle", "sighting", "flow"))
    made = journal.append(mixed(40))
    now[0] += step_s * 10**9
    made += journal.append(mixed(40))
    journal.maintain()
    got = []
    while entries := journal.next("a", 16):
        for entry in entries:
            journal.acknowledge("a", entry)
        got += entries
    assert sorted(entry.n for entry in got) == [entry.n for entry in made]
    assert len({entry.id for entry in made}) == 80
    for topic in {entry.topic for entry in made}:
        seqs = [entry.seq for entry in got if entry.topic == topic]
        assert seqs == list(range(1, len(seqs) + 1))
    journal.close()
