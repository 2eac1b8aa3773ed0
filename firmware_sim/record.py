"""`borderflow-sim record`: a scenario in, recordings with the truth beside them out, faster than real time.

In the directory then stand, for each lane with an array, `LANE.sigmf-meta`, `LANE.sigmf-data` and `LANE.truth.jsonl`;
`sightings.jsonl` with what readers, loops and booths saw; `waits.truth.jsonl` with what each vehicle really waited; and
`borderflow.toml`, a configuration with which the daemon's `replay` and `wait` read all this.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from firmware_sim.proof.truth import sighting_line, vehicle_line, wait_line
from firmware_sim.scenario import Scenario, ScenarioError, utc_text
from firmware_sim.scenario.commission import configuration
from firmware_sim.scenario.file import load
from firmware_sim.world.crossing import World
from firmware_sim.world.events import VehicleTruth, WaitTruth

_STEP_S = 10.0
_GRACE_S = 600.0  # a vehicle that stands just behind the array at the end still has its truth told
EXIT_SCENARIO = 78  # EX_CONFIG of sysexits.h


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a recording holds, for the last line on standard error and for tests."""

    directory: Path
    seconds: float
    vehicles: int
    waits: int
    sightings: int
    took_s: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenario", required=True, metavar="FILE|NAME", help="a file, or a scenario of the package")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="directory for the recordings")
    parser.add_argument("--for", dest="for_s", type=float, metavar="SECONDS", help="length (default: the scenario's)")
    parser.add_argument("--seed", type=int, metavar="N", help="instead of the scenario's seed")
    parser.add_argument("--no-waveforms", action="store_true", help="only sightings and waits: hours in seconds")


def run(args: argparse.Namespace) -> int:
    try:
        scenario = load(args.scenario)
        done = record(
            scenario,
            args.out,
            for_s=args.for_s,
            seed=args.seed,
            waveforms=not args.no_waveforms,
            progress=sys.stderr if sys.stderr.isatty() else None,
        )
    except ScenarioError as error:
        print(f"borderflow-sim record: {error}", file=sys.stderr)
        return EXIT_SCENARIO
    except OSError as error:
        print(f"borderflow-sim record: {error.filename or args.out}: {error.strerror}", file=sys.stderr)
        return 73  # EX_CANTCREAT
    print(
        f"{done.directory}: {done.seconds:g} s, {done.vehicles} vehicles weighed, {done.waits} waits, "
        f"{done.sightings} sightings; {done.seconds / done.took_s:.0f} times real time",
        file=sys.stderr,
    )
    return 0


def record(
    scenario: Scenario,
    out: Path,
    *,
    for_s: float | None = None,
    seed: int | None = None,
    waveforms: bool = True,
    progress: IO[str] | None = None,
) -> Recorded:
    """Write recordings of `for_s` seconds (default: the scenario's duration) into the directory `out`."""
    began = time.perf_counter()
    seconds = scenario.duration_s if for_s is None else for_s
    out.mkdir(parents=True, exist_ok=True)
    world = World(scenario, seed, waveforms=waveforms)
    lanes = [_LaneFiles(scenario, world, lane.id, out) for lane in scenario.lane if lane.wim is not None and waveforms]
    truths = {lane.lane_id: lane for lane in lanes}
    (out / "borderflow.toml").write_text(configuration(scenario), encoding="utf-8")
    vehicles = waits = sightings = 0
    with (
        (out / "sightings.jsonl").open("w", encoding="utf-8") as seen,
        (out / "waits.truth.jsonl").open("w", encoding="utf-8") as waited,
    ):
        now_s = 0.0
        while now_s < seconds:
            now_s = min(now_s + _STEP_S, seconds)
            for event in world.advance(now_s):
                line = sighting_line(event, scenario)
                if line is not None:
                    seen.write(_json(line))
                    sightings += 1
                elif isinstance(event, WaitTruth):
                    waited.write(_json(wait_line(event, scenario)))
                    waits += 1
                elif isinstance(event, VehicleTruth) and event.lane in truths:
                    truths[event.lane].truth.append(vehicle_line(event, scenario))
                    vehicles += 1
            for lane in lanes:
                lane.take()
            if progress is not None:
                print(f"\r{now_s / seconds:4.0%} {vehicles} vehicles", end="", file=progress, flush=True)
    while world.unfinished(seconds) and now_s < seconds + _GRACE_S:
        now_s += 1.0
        for event in world.advance(now_s):
            if isinstance(event, VehicleTruth) and event.lane in truths and event.last_axle_s < seconds:
                truths[event.lane].truth.append(vehicle_line(event, scenario))
                vehicles += 1
    for lane in lanes:
        lane.close()
    if progress is not None:
        print("\r\x1b[K", end="", file=progress)
    return Recorded(out, seconds, vehicles, waits, sightings, time.perf_counter() - began)


class _LaneFiles:
    """The SigMF pair and the truth of one lane."""

    def __init__(self, scenario: Scenario, world: World, lane_id: str, out: Path) -> None:
        self.lane_id = lane_id
        self.truth: list[dict[str, Any]] = []
        self._scenario, self._world, self._base = scenario, world, out / lane_id
        self._data = self._base.with_name(lane_id + ".sigmf-data").open("wb")
        self._digest = hashlib.sha512()
        self._scans = 0

    def take(self) -> None:
        """Write the scans taken since the last call."""
        ready = self._world.scans_ready(self.lane_id)
        data = self._world.samples(self.lane_id, self._scans, ready - self._scans).astype("<i2", copy=False).tobytes()
        self._scans = ready
        self._data.write(data)
        self._digest.update(data)

    def close(self) -> None:
        self._data.close()
        wim = self._scenario.lane_of(self.lane_id).wim
        assert wim is not None
        meta = {
            "global": {
                "core:version": "1.2.0",
                "core:datatype": "ri16_le",
                "core:sample_rate": wim.sample_rate_hz,
                "core:num_channels": self._world.channels(self.lane_id),
                "core:sha512": self._digest.hexdigest(),
                "core:description": f"simulated: {self._scenario.name}, lane {self.lane_id}, seed {self._world.seed}",
                "core:recorder": "borderflow-sim",
                "core:extensions": [{"name": "borderflow", "version": "1.0.0", "optional": True}],
                "borderflow:lane": self.lane_id,
                "borderflow:channels": [s.name for s in sorted(wim.sensor, key=lambda sensor: sensor.channel)],
            },
            "captures": [{"core:sample_start": 0, "core:datetime": utc_text(self._scenario.start_ns)}],
            "annotations": [],
        }
        text = json.dumps(meta, indent=2) + "\n"
        self._base.with_name(self.lane_id + ".sigmf-meta").write_text(text, encoding="utf-8")
        self.truth.sort(key=lambda line: str(line["time"]))
        lines = "".join(_json(line) for line in self.truth)
        self._base.with_name(self.lane_id + ".truth.jsonl").write_text(lines, encoding="utf-8")


def _json(line: dict[str, Any]) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"
