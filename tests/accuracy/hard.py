"""The rows of the accuracy table that need hard ground: creep, roll-back, bumpers, doubles, strips at angles.

Called by `sweep.py`. The world is `hard_world.py`; what is aimed at stands beside each row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.core import Wim, WimVehicle
from firmware_sim.world.events import VehicleTruth
from tests.accuracy import hard_world as hw
from tests.accuracy.regimes import Target

RATE_HZ = hw.RATE_HZ
BIKES = {**hw.USUAL, "motorcycle": 0.6}  # 40 % of all
Make = Callable[[np.random.Generator, int, int], hw.Scene]


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    make: Make
    target: Target
    together_s: float = 3.0  # times of crossing that may belong to one vehicle; who rolls back crosses twice


def _single(
    drive: hw.Drive = hw.free,
    mix: dict[str, float] = hw.USUAL,
    *,
    lines: tuple[float, ...] = hw.FOUR_LINES,
    angles: tuple[float, ...] = (),
    plates: bool = False,
    faults: hw.Faults | None = None,
    aside_m: float = 0.0,
    back: bool = False,
    apart_s: float = 3.0,
    tau_s: float = 0.0,
    noise: float = 3.0,
    roughness: float = 0.01,
) -> Make:
    def make(rng: np.random.Generator, vehicles: int, seed: int) -> hw.Scene:
        wim = hw.table(lines, angles=angles, plates=plates, tau_s=tau_s)
        bodies = [hw.draw(rng, mix) for _ in range(vehicles)]
        for body in bodies:
            body.aside_m = float(rng.uniform(-aside_m, aside_m))
            if body.kind == "motorcycle":
                body.aside_m = float(rng.choice([-1, 1]) * rng.uniform(0.4, 1.2))
        motions = hw.one_by_one(rng, bodies, drive, lines, apart_s=apart_s, back=back)
        return hw.Scene(wim, bodies, motions, seed, roughness, noise, faults=faults or hw.Faults())

    return make


def _rows(gap_m: tuple[float, float], loop: tuple[float, float] | None, most: int = 8) -> Make:
    def make(rng: np.random.Generator, vehicles: int, seed: int) -> hw.Scene:
        wim = hw.table(loop=loop, mode="loop" if loop else "gap")
        bodies = [hw.draw(rng, hw.USUAL) for _ in range(vehicles)]
        return hw.Scene(wim, bodies, hw.platoons(rng, bodies, hw.stop_and_go, hw.FOUR_LINES[-1], gap_m, most), seed)

    return make


ROWS: tuple[Row, ...] = (
    Row(
        "8-axle doubles and B-trains, free flow", _single(mix=hw.WITH_DOUBLES, roughness=0.03), Target(100, 99.5, 2, 4)
    ),
    Row(
        "the same, rough, quartz, 4 x noise",
        _single(mix=hw.WITH_DOUBLES, roughness=0.09, tau_s=2.0, noise=12.0),
        Target(100, 99.5, 5, 9),
    ),
    Row("long-road mix, free flow", _single(mix=hw.ROAD), Target(100, 99.5, 2, 4)),
    Row("long-road mix, slow", _single(hw.wander(0.9, 6.9, 3.0), hw.ROAD), Target(100, 99.5, 2, 4)),
    Row("long-road mix, stop and go", _single(hw.stop_and_go, hw.ROAD), Target(99, 98, 4, 7)),
    Row("creep, 0.15-0.5 m/s", _single(hw.wander(0.15, 0.5, 4.0)), Target(99, 99, 4, 7)),
    Row("stop, roll back 0.1-0.6 m, go", _single(back=True), Target(100, 99, 4, 7), together_s=12.0),
    Row("queue, gaps 0.9-1.8 m, one motion, no loop", _rows((0.9, 1.8), None), Target(98, 96, 3, 5)),
    Row("bumpers 0.3-0.8 m, a loop that never lets go", _rows((0.3, 0.8), (2.0, 0.7)), Target(97, 95, 4, 7)),
    Row("two lines, stop and go", _single(hw.stop_and_go, lines=(0.0, 1.6)), Target(99, 98, 8, 12)),
    Row(
        "strips at 0, 15, -15, 0 degrees, 0.25 m aside",
        _single(angles=(0.0, 15.0, -15.0, 0.0), aside_m=0.25),
        Target(100, 99, 2, 4),
    ),
    Row(
        "a channel reversed, one dead half-way, one saturated",
        _single(mix=hw.WITH_DOUBLES, faults=hw.Faults(1, 4, (6, 1500))),
        Target(100, 99, 2, 4),
    ),
    Row("40 % motorcycles", _single(mix=BIKES), Target(100, 99, 2, 5)),
    Row("plates, stop and go", _single(hw.stop_and_go, plates=True), Target(99, 98, 2, 3)),
)


def weigh(row: Row, vehicles: int, seed: int) -> tuple[list[VehicleTruth], list[WimVehicle]]:
    """Truths and what the core makes of the samples, both in the order of time."""
    scene = row.make(np.random.default_rng(seed), vehicles, seed)
    core, found = Wim(scene.wim), []
    for block in scene.samples():
        found += core.push(block)
    return scene.truths(), found + core.finish()
