"""How fast the waits are, on one core, side by side with an earlier version: CPU seconds, and their ratio.

python -m tests.bench.bench_waits [--baseline COMMIT]

A day of 100,000 sightings and 24 lanes of 4,500 sightings each go through `borderflow wait` of both versions in turn,
three times; told is the least of each, so that neighbours on the machine count as little as they can. The baseline is
built from `git archive` into build/baseline-COMMIT with an environment of its own. Then the daemon's updates: how long
a sighting and the end of an interval take, and how much memory a queue needs.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

from edge import core
from edge.waiting.sightings import Sighting, line_of
from edge.waiting.timeline import LIVE_REORDER_NS
from edge.waiting.waits import CrossingWaits
from tests.waits.score import config_of
from tests.waits.traffic import LaneSpec, Readers, Scenario, misread, sightings, simulate

BASELINE = "ace3d54"
_ROOT = Path(__file__).parents[2]
_PLATES = 4096
_DAY, _LANES, _LANE = 100_000, 24, 4_500
_ROUNDS = 3


def comparisons_per_s() -> float:
    """Plates of seven characters against a full pool, some with a character missing."""
    rng = random.Random(1)
    letters = "ABCDEFGHJKLMNPRSTUVWXYZ"
    plates = ["".join(rng.choice(letters) for _ in range(3)) + f"{rng.randrange(10_000):04d}" for _ in range(_PLATES)]
    rows = np.stack([core.encode_plate(misread(p, rng) if rng.random() < 0.08 else p) for p in plates])
    queries = [core.encode_plate(plate) for plate in plates[:500]]
    table = core.PlateTable()
    began = time.process_time()
    for query in queries:
        table.compare(query, rows)
    return len(queries) * len(rows) / (time.process_time() - began)


def busy_day() -> tuple[list[Sighting], Scenario]:
    """100,000 sightings: tags, plates and loops of a day at a large crossing, four lanes of twelve booths."""
    lanes = tuple(LaneSpec(f"L{i}", program="FAST" if i > 2 else "standard", booths=12) for i in range(4))
    scenario = Scenario(lanes=lanes, peak_load=1.1, max_queue=250)
    return sightings(simulate(scenario), Readers(tag_rate=0.6, plate_rate=0.85))[:_DAY], scenario


def many_lanes() -> tuple[list[Sighting], Scenario]:
    """24 lanes with 4,500 sightings each in a day."""
    lanes = tuple(
        LaneSpec(f"L{i:02d}", program="FAST" if i % 4 == 3 else "standard", service_mean_s=40) for i in range(_LANES)
    )
    scenario = Scenario(lanes=lanes, peak_load=1.2, max_queue=60)
    left = {lane.id: _LANE for lane in lanes}
    out = []
    for line in sightings(simulate(scenario), Readers(tag_rate=0.8, plate_rate=0.9)):
        left[line.lane] -= 1
        if left[line.lane] >= 0:
            out.append(line)
    return out, scenario


def write(directory: Path, lines: list[Sighting], scenario: Scenario) -> list[str]:
    """The sightings and the configuration of `config_of` as files; the arguments of `borderflow`."""
    day, config = directory / "day.jsonl", directory / "crossing.toml"
    day.write_bytes(b"\n".join(line_of(line) for line in lines) + b"\n")
    text = '[site]\ncountry = "CA"\nport = "0453"\n[[point]]\nname = "approach"\n[[point]]\nname = "booth"\n'
    for lane in scenario.lanes:
        text += (
            f'[[lane]]\nid = "{lane.id}"\ntraffic = "commercial"\nprogram = "{lane.program}"\nbooths = {lane.booths}\n'
        )
    config.write_text(text)
    return ["wait", "--config", str(config), str(day)]


def baseline_python(commit: str) -> Path:
    """The interpreter of an environment that holds that version."""
    folder = _ROOT / "build" / f"baseline-{commit}"
    python = folder / ".venv" / "bin" / "python"
    if not (folder / ".done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", commit], cwd=_ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "x"], cwd=folder, check=True, input=archive)
        subprocess.run([sys.executable, "-m", "venv", str(folder / ".venv")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "."], cwd=folder, check=True)
        (folder / ".done").touch()
    return python


def cpu_s(python: Path, arguments: list[str]) -> float:
    """User and system seconds of one run, in which neither this folder nor the environment adds any source.

    What was compiled to bytes once stays so, as where a package is installed.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [str(python), "-P", "-m", "edge", *arguments], check=True, capture_output=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def side_by_side(what: str, arguments: list[str], commit: str) -> None:
    python = baseline_python(commit)
    rounds = [(cpu_s(python, arguments), cpu_s(Path(sys.executable), arguments)) for _ in range(_ROUNDS)]
    before, now = (min(times) for times in zip(*rounds, strict=True))
    print(f"{what}: {now:.2f} s of one core, {commit} {before:.2f} s: {before / now:.2f} times less", flush=True)


def updates(lines: list[Sighting], scenario: Scenario) -> None:
    """One update in the daemon: a sighting, and the end of an interval; each the least of its times in three runs."""
    feeds: dict[int, float] = {}
    closes: dict[int, float] = {}
    messages = 0
    for _ in range(_ROUNDS):
        crossing = CrossingWaits(config_of(scenario), reorder_ns=LIVE_REORDER_NS)
        for number, line in enumerate(lines):
            began = time.thread_time()
            crossing.feed(line)
            took = time.thread_time() - began
            made = len(crossing.take())
            messages = max(made, messages)
            times = closes if made else feeds
            times[number] = min(took, times.get(number, took))
    lanes = len(scenario.lanes)
    for what, found in (
        (f"a sighting, {lanes} lanes", sorted(feeds.values())),
        (f"the end of an interval, {lanes} lanes, {messages} messages", sorted(closes.values())),
    ):
        p50, p99 = statistics.median(found), found[int(0.99 * len(found))]
        print(f"update in the daemon, {what}: p50 {p50 * 1e6:.0f} us, p99 {p99 * 1e6:.0f} us", flush=True)


def memory(lines: list[Sighting], scenario: Scenario) -> None:
    """What is held after a day and after two: it is bounded by what stands between the points."""
    tracemalloc.start()
    crossing = CrossingWaits(config_of(scenario))
    held = []
    for line in lines:
        crossing.feed(line)
        crossing.take()
        if (
            len(held) < 2
            and line.time_ns > lines[0].time_ns + (len(held) + 1) * (lines[-1].time_ns - lines[0].time_ns) // 3
        ):
            held.append(tracemalloc.get_traced_memory()[0])
    held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    print(
        "memory in Python at a third, two thirds and the end of the day: "
        + ", ".join(f"{n / 1e6:.1f} MB" for n in held)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--baseline", default=BASELINE, help="a commit; default: %(default)s")
    commit = parser.parse_args().baseline
    print(f"plate comparisons: {comparisons_per_s() / 1e6:.1f} M/s")
    for what, (lines, scenario) in (("a day", busy_day()), (f"{_LANES} lanes", many_lanes())):
        with tempfile.TemporaryDirectory() as name:
            arguments = write(Path(name), lines, scenario)
            side_by_side(f"borderflow wait, {what} of {len(lines)} sightings", arguments, commit)
        updates(lines, scenario)
    memory(lines, scenario)


if __name__ == "__main__":
    main()
