"""`make accuracy`: simulated vehicles through the weighing core, and a table of the errors against their static loads.

    python -m tests.accuracy.sweep [--vehicles N] [--seed N] [--only TEXT] [--factors] [--json]

Per regime: vehicles found and invented, axle counts right and wrong without a flag, the error that 95 % of gross
weights, axle loads, axle spacings and lengths stay within, and the share of truths within two sigma. Rows from
`hard.py` come from a world of their own. Simulated data: no conformity with a standard follows from it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.config.file import load
from edge.core import Wim, WimVehicle
from firmware_sim.scenario import Scenario
from firmware_sim.scenario.commission import configuration
from firmware_sim.world.crossing import World
from firmware_sim.world.events import VehicleTruth
from tests.accuracy import hard, regimes

_STEP_S = 5.0
_DOUBTED = {"cut_uncertain", "partial"}
_TOGETHER_S = 3.0  # times of crossing that may belong to one vehicle: at 0.3 m/s that is a metre


@dataclass(frozen=True, slots=True)
class Row:
    """What came of a regime; all shares and errors in per cent, None where nothing was found."""

    regime: str
    vehicles: int
    found: float
    invented: int
    axles_right: float | None
    gross_95: float | None
    gross_median: float | None
    axle_95: float | None
    gross_covered: float | None
    axle_covered: float | None
    flagged: float | None
    unflagged: int  # wrong axle counts that say nothing of a doubtful cut
    spacing_95_m: float | None
    length_95_m: float | None
    met: bool | None
    took_s: float


def simulate(scenario: Scenario) -> Iterator[tuple[npt.NDArray[np.int16], list[VehicleTruth]]]:
    """Samples and truths of the scenario's lane until all its vehicles are through."""
    world = World(scenario)
    limit = scenario.lane[0].flow.limit
    passed = done = 0
    idle_s = 0.0
    while idle_s < 10.0:
        truths = [event for event in world.advance(world.now_s + _STEP_S) if isinstance(event, VehicleTruth)]
        passed += len(truths)
        ready = world.scans_ready("L")
        yield world.samples("L", done, ready - done), truths
        done = ready
        if passed == limit:
            idle_s += _STEP_S


def weigh(scenario: Scenario, directory: Path) -> tuple[list[VehicleTruth], list[WimVehicle]]:
    """Truths and what the core makes of the samples, both in the order of time."""
    path = directory / "borderflow.toml"
    path.write_text(configuration(scenario))
    table = load(path).lane[0].wim
    assert table is not None
    core = Wim(table)
    truths: list[VehicleTruth] = []
    measured: list[WimVehicle] = []
    for samples, told in simulate(scenario):
        truths += told
        measured += core.push(samples)
    return truths, measured + core.finish()


def pair(
    truths: list[VehicleTruth], measured: list[WimVehicle], rate_hz: float, together_s: float = _TOGETHER_S
) -> list[tuple[int, int]]:
    """Which measured vehicle is which true one: one to one, the nearest crossings of x = 0 first."""
    gaps = [
        (abs(vehicle.first_axle_scan / rate_hz - truth.crossed_s), i, j)
        for i, truth in enumerate(truths)
        for j, vehicle in enumerate(measured)
        if abs(vehicle.first_axle_scan / rate_hz - truth.crossed_s) < together_s
    ]
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in sorted(gaps):
        if i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    return sorted(pairs.items())


def judge(
    name: str,
    target: regimes.Target | None,
    truths: list[VehicleTruth],
    measured: list[WimVehicle],
    rate_hz: float,
    took_s: float,
    together_s: float = _TOGETHER_S,
) -> Row:
    """One row of the table."""
    gross, axle, gross_z, axle_z, spacing, length = [], [], [], [], [], []
    right = flagged = unflagged = 0
    pairs = pair(truths, measured, rate_hz, together_s)
    for i, j in pairs:
        truth, vehicle = truths[i], measured[j]
        flagged += bool(vehicle.flags)
        gross.append(100 * (vehicle.gross_kg / truth.gross_kg - 1))
        gross_z.append(_in_sigmas(vehicle.gross_kg - truth.gross_kg, vehicle.gross_sigma_kg))
        if vehicle.length_m is not None:
            length.append(vehicle.length_m - truth.length_m)
        if len(vehicle.axles) != len(truth.axles):
            unflagged += not _DOUBTED & set(vehicle.flags)
            continue
        right += 1
        for mine, true in zip(itertools.pairwise(vehicle.axles), itertools.pairwise(truth.axles), strict=True):
            spacing.append(mine[1].position_m - mine[0].position_m - true[1].position_m + true[0].position_m)
        for mine, true in zip(vehicle.axles, truth.axles, strict=True):
            axle.append(100 * (mine.load_kg / true.load_kg - 1))
            axle_z.append(_in_sigmas(mine.load_kg - true.load_kg, mine.sigma_kg))

    def within(errors: list[float]) -> float | None:
        return float(np.percentile(np.abs(errors), 95)) if errors else None

    def covered(z: list[float]) -> float | None:
        return float(100 * np.mean(np.abs(z) <= 2)) if z else None

    found = 100 * len(pairs) / len(truths)
    invented = len(measured) - len(pairs)
    axles_right = 100 * right / len(pairs) if pairs else None
    met = None
    if target is not None:
        aim = target
        limits = ((within(gross), aim.gross), (within(axle), aim.axle))
        met = (
            found >= aim.found
            and invented == 0
            and (axles_right or 0) >= aim.axles
            and all(error is not None and error <= limit for error, limit in limits)
        )
    return Row(
        regime=name,
        vehicles=len(truths),
        found=found,
        invented=invented,
        axles_right=axles_right,
        gross_95=within(gross),
        gross_median=float(np.median(gross)) if gross else None,
        axle_95=within(axle),
        gross_covered=covered(gross_z),
        axle_covered=covered(axle_z),
        flagged=100 * flagged / len(pairs) if pairs else None,
        unflagged=unflagged,
        spacing_95_m=within(spacing),
        length_95_m=within(length),
        met=met,
        took_s=took_s,
    )


def _in_sigmas(error_kg: float, sigma_kg: float) -> float:
    """An error in sigmas; a sigma that is none covers nothing."""
    return error_kg / sigma_kg if sigma_kg > 0 else math.inf


def run(regime: regimes.Regime, vehicles: int, seed: int, directory: Path) -> Row:
    """One row of the table."""
    began = time.perf_counter()
    scenario = regimes.scenario_of(regime, vehicles, seed)
    truths, measured = weigh(scenario, directory)
    wim = scenario.lane[0].wim
    assert wim is not None
    return judge(regime.name, regime.target, truths, measured, wim.sample_rate_hz, time.perf_counter() - began)


def run_hard(row: hard.Row, vehicles: int, seed: int) -> Row:
    """One row on hard ground."""
    began = time.perf_counter()
    truths, measured = hard.weigh(row, vehicles, seed)
    return judge(row.name, row.target, truths, measured, hard.RATE_HZ, time.perf_counter() - began, row.together_s)


HEAD = (
    "| regime | vehicles | found % | invented | axle count right % (wrong unflagged) | gross: 95 % within % | median % "
    "| axle: 95 % within % | gross / axle inside 2 sigma % | spacing: 95 % within m | length: 95 % within m | target |"
)


def line(row: Row, target: regimes.Target | None) -> str:
    def text(value: float | None, places: int = 1) -> str:
        return "-" if value is None else f"{value:.{places}f}"

    aim = "" if target is None else f"{target.gross:g} / {target.axle:g}: {'met' if row.met else 'missed'}"
    return (
        f"| {row.regime} | {row.vehicles} | {text(row.found)} | {row.invented} | "
        f"{text(row.axles_right)} ({row.unflagged}) | "
        f"{text(row.gross_95, 2)} | {text(row.gross_median, 2)} | {text(row.axle_95, 2)} | "
        f"{text(row.gross_covered, 0)} / {text(row.axle_covered, 0)} | "
        f"{text(row.spacing_95_m, 2)} | {text(row.length_95_m, 2)} | {aim} |"
    )


def main() -> int:
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vehicles", type=int, default=120, help="in each regime (default 120)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="regimes whose name holds this text")
    parser.add_argument("--factors", action="store_true", help="also the rows that show how single factors act")
    parser.add_argument("--json", action="store_true", help="a JSON line for each row in place of the table")
    args = parser.parse_args()
    chosen = [*regimes.TARGETS, *(regimes.FACTORS if args.factors or args.only else ())]
    chosen = [regime for regime in chosen if args.only in regime.name]
    if not args.json:
        print(HEAD)
        print("|" + " --- |" * (HEAD.count("|") - 1))
    with tempfile.TemporaryDirectory() as directory:
        for regime in chosen:
            row = run(regime, args.vehicles, args.seed, Path(directory))
            print(json.dumps(asdict(row)) if args.json else line(row, regime.target), flush=True)
    for hard_row in hard.ROWS:
        if args.only in hard_row.name:
            row = run_hard(hard_row, args.vehicles, args.seed)
            print(json.dumps(asdict(row)) if args.json else line(row, hard_row.target), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
