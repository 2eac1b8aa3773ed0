"""How fast the waits are, on one core: plate comparisons, a day of 100,000 sightings, one update in the daemon.

python -m tests.bench.bench_waits
"""

from __future__ import annotations

import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from edge import core
from edge.waiting.sightings import line_of
from edge.waiting.waits import CrossingWaits
from tests.waits.score import config_of
from tests.waits.traffic import LaneSpec, Readers, Scenario, misread, sightings, simulate

_PLATES = 4096
_DAY = 100_000


def comparisons_per_s() -> float:
    """Plates of seven characters against a full pool, some with a character missing."""
    rng = random.Random(1)
    letters = "ABCDEFGHJKLMNPRSTUVWXYZ"
    plates = ["".join(rng.choice(letters) for _ in range(3)) + f"{rng.randrange(10_000):04d}" for _ in range(_PLATES)]
    rows = np.stack([core.encode_plate(misread(p, rng) if rng.random() < 0.08 else p) for p in plates])
    queries = [core.encode_plate(plate) for plate in plates[:500]]
    table = core.PlateTable()
    began = time.perf_counter()
    for query in queries:
        table.compare(query, rows)
    return len(queries) * len(rows) / (time.perf_counter() - began)


def busy_day(directory: Path) -> tuple[Path, int, Scenario]:
    """A file of 100,000 sightings: tags, plates and loops of a day at a large crossing."""
    lanes = tuple(LaneSpec(f"L{i}", program="FAST" if i > 2 else "standard", booths=12) for i in range(4))
    scenario = Scenario(lanes=lanes, peak_load=1.1, max_queue=250)
    lines = sightings(simulate(scenario), Readers(tag_rate=0.6, plate_rate=0.85))
    lines = lines[:_DAY]
    path = directory / "day.jsonl"
    path.write_bytes(b"\n".join(line_of(line) for line in lines) + b"\n")
    return path, len(lines), scenario


def config_file(directory: Path, scenario: Scenario) -> Path:
    """The configuration of `config_of` as a file."""
    text = '[site]\ncountry = "CA"\nport = "0453"\n[[point]]\nname = "approach"\n[[point]]\nname = "booth"\n'
    for lane in scenario.lanes:
        text += (
            f'[[lane]]\nid = "{lane.id}"\ntraffic = "commercial"\nprogram = "{lane.program}"\nbooths = {lane.booths}\n'
        )
    path = directory / "crossing.toml"
    path.write_text(text)
    return path


def main() -> None:
    print(f"plate comparisons: {comparisons_per_s() / 1e6:.1f} M/s")
    with tempfile.TemporaryDirectory() as name:
        path, number, scenario = busy_day(Path(name))
        command = [sys.executable, "-m", "edge", "wait", "--config", str(config_file(Path(name), scenario)), str(path)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        size = len(subprocess.run(command, check=True, capture_output=True).stdout)
        took = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        print(f"borderflow wait, a day of {number} sightings: {took:.2f} s of one core, {size} bytes of waits")
        lines = sightings(simulate(scenario), Readers(tag_rate=0.6, plate_rate=0.85))[:_DAY]
    crossing = CrossingWaits(config_of(scenario))
    feeds: list[float] = []
    closes: list[float] = []
    for line in lines:
        began = time.perf_counter()
        crossing.feed(line)
        took = time.perf_counter() - began
        (closes if crossing.take() else feeds).append(took)
    for what, times in (("a sighting", feeds), ("the end of an interval (7 messages)", closes)):
        times.sort()
        p50, p99 = statistics.median(times), times[int(0.99 * len(times))]
        print(f"update in the daemon, {what}: p50 {p50 * 1e6:.0f} us, p99 {p99 * 1e6:.0f} us")


if __name__ == "__main__":
    main()
