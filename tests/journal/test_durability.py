"""SIGKILL of a writer at random moments: what was durable is there with its number, and no number is there twice."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from edge.delivery.journal import Journal

WRITER = Path(__file__).parents[1] / "support" / "writer.py"
ROUNDS = int(os.environ.get("BORDERFLOW_KILL_ROUNDS", "12"))
SHARE = ("vehicle", "sighting", "flow")


def test_kill_at_random_moments(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    noise = random.Random(20261124)
    made: dict[str, tuple[str, int]] = {}
    acknowledged: set[str] = set()
    for number in range(ROUNDS):
        with subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).parents[1] / "support" / "writer.py"),
                str(path),
                "national",
                str(number),
            ],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline()]  # it runs
            time.sleep(noise.uniform(0.0, 0.15))
            process.kill()
            lines += process.stdout.read().splitlines(keepends=True)
        for line in lines:
            if line.startswith("made ") and line.endswith("\n"):
                _, id, topic, seq = line.split()
                made[id] = (topic, int(seq))
            elif line.startswith("acknowledged ") and line.endswith("\n"):
                acknowledged.add(line.split()[1])

    alarms: list[str] = []
    journal = Journal(path, 50_000_000, time.time_ns, on_alarm=lambda *alarm: alarms.append(alarm[0]))
    journal.register("national", SHARE)
    assert alarms == []
    stored: dict[str, tuple[str, int]] = {}
    for topic, (_, last, _) in journal.heads().items():
        entries = journal.replay(topic, journal.epoch, 1, last, limit=1_000_000)
        assert [entry.seq for entry in entries] == list(range(1, last + 1))  # no gap, no number twice
        for entry in entries:
            assert json.loads(entry.body)["id"] == entry.id
            stored[entry.id] = (topic, entry.seq)
    assert len(made) > 10 * ROUNDS
    assert {id: stored.get(id) for id in made} == made  # durable means durable
    assert len(stored) - len(made) <= 30 * ROUNDS  # at most the last batch of each round was cut from the report

    left: set[str] = set()
    order: dict[str, list[int]] = defaultdict(list)
    while entries := journal.next("national", 100):
        for entry in entries:
            left.add(entry.id)
            order[entry.topic].append(entry.seq)
    assert stored.keys() - left <= acknowledged  # what is not sent again was acknowledged
    assert journal.backlog("national").messages == len(left)
    journal.close()
