"""A crossing in SUMO, the traffic simulator of the DLR: who passed the first point and reached a booth, and when.

In: a seed; out: a `World` as `tests.waits.traffic` makes them, so that the same readers and the same score apply. The
motion is SUMO's (car following, queues that creep, lane changes before the booths); plates, tags and axles are given
to its vehicles afterwards, for it knows none. `find()` is None where SUMO is not installed.
Called by `tests.waits.score`.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from tests.waits.traffic import LaneSpec, Scenario, Truck, World, _axles, _plates

LANES = 4
_LENGTH_M, _FIRST_M, _BOOTH_M = 2000.0, 60.0, 1900.0


def find() -> Path | None:
    """The folder of SUMO's programs: of `pip install eclipse-sumo`, of a distribution's package, or of SUMO_HOME."""
    homes = [Path(home) / "bin" for home in (os.environ.get("SUMO_HOME"),) if home]
    homes += [Path(sys.executable).parent]
    on_path = shutil.which("sumo")
    homes += [Path(on_path).parent] if on_path else []
    return next((home for home in homes if (home / "sumo").exists() and (home / "netconvert").exists()), None)


def simulate(programs: Path, seed: int, hours: float = 6.0) -> World:
    """A morning with one peak at four lanes of one booth each."""
    rng = random.Random(seed)
    spec = tuple(LaneSpec(f"C{i + 1:02d}", service_mean_s=mean) for i, mean in enumerate((70, 60, 80, 50)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _net(programs, folder)
        services = _demand(folder, rng, spec, hours)
        command = [
            str(programs / "sumo"),
            "-n",
            "net.xml",
            "-r",
            "routes.xml",
            "-a",
            "loops.xml",
            "--stop-output",
            "stops.xml",
        ]
        command += ["--step-length", "0.5", "--time-to-teleport", "-1", "--no-step-log", "--no-warnings"]
        command += ["--seed", str(seed), "--end", str(hours * 3600)]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return _read(folder, rng, spec, services, hours)


def _net(programs: Path, folder: Path) -> None:
    (folder / "n.nod.xml").write_text('<nodes><node id="a" x="0" y="0"/><node id="b" x="2000" y="0"/></nodes>')
    (folder / "n.edg.xml").write_text(
        f'<edges><edge id="approach" from="a" to="b" numLanes="{LANES}" speed="13.9" length="{_LENGTH_M}"/></edges>'
    )
    command = [str(programs / "netconvert"), "-n", "n.nod.xml", "-e", "n.edg.xml", "-o", "net.xml"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    loops = "".join(
        f'<instantInductionLoop id="{i}" lane="approach_{i}" pos="{_FIRST_M}" file="loops_out.xml"/>'
        for i in range(LANES)
    )
    (folder / "loops.xml").write_text(f"<additional>{loops}</additional>")


def _demand(folder: Path, rng: random.Random, spec: tuple[LaneSpec, ...], hours: float) -> dict[int, list[float]]:
    services: dict[int, list[float]] = {i: [] for i in range(LANES)}
    lines = ['<routes><vType id="t" length="16.5" minGap="3" maxSpeed="13" accel="0.8" decel="3" sigma="0.5"/>']
    lines.append('<route id="r" edges="approach"/>')
    departures: list[tuple[float, int]] = []
    for lane, one in enumerate(spec):
        cycle_s, t = one.service_mean_s + 12.0, 0.0
        while t < hours * 3600.0:
            t += rng.expovariate(1.4 / cycle_s)
            load = 0.35 + 1.0 * math.exp(-(((t / 3600.0 - 0.42 * hours) / (0.2 * hours)) ** 2))
            if rng.random() < load / 1.4:
                departures.append((t, lane))
    departures.sort()
    for number, (t, lane) in enumerate(departures):
        mean = spec[lane].service_mean_s
        served = rng.uniform(180, 400) if rng.random() < 0.02 else mean * math.exp(rng.gauss(-0.08, 0.4))
        services[lane].append(served)
        stop = f'<stop lane="approach_{lane}" startPos="{_BOOTH_M - 0.5}" endPos="{_BOOTH_M}" duration="{served:.1f}"/>'
        start = lane if rng.random() < 0.95 else rng.randrange(LANES)
        lines.append(
            f'<vehicle id="{number}" type="t" route="r" depart="{t:.1f}" departLane="{start}" departSpeed="max">'
            f"{stop}</vehicle>"
        )
    (folder / "routes.xml").write_text("\n".join([*lines, "</routes>"]))
    return services


def _read(
    folder: Path, rng: random.Random, spec: tuple[LaneSpec, ...], services: dict[int, list[float]], hours: float
) -> World:
    entered: dict[str, tuple[float, int]] = {}
    for row in ElementTree.parse(folder / "loops_out.xml").getroot():
        if row.get("state") == "enter":
            entered[row.attrib["vehID"]] = (float(row.attrib["time"]), int(row.attrib["id"]))
    served = {
        row.attrib["id"]: (float(row.attrib["started"]), int(row.attrib["lane"].rpartition("_")[2]))
        for row in ElementTree.parse(folder / "stops.xml").getroot()
    }
    world = World(Scenario(seed=0, hours=hours, lanes=spec))
    world.services = services
    plates = _plates(rng, 0.6)
    for vehicle, (t_from, lane_from) in sorted(entered.items(), key=lambda item: item[1]):
        t_booth, lane_to = served.get(vehicle, (None, lane_from))
        tag, shape = f"E200{rng.randrange(16**12):012X}", _axles(rng)
        world.trucks.append(Truck(int(vehicle), t_from, lane_from, lane_to, t_booth, next(plates), tag, *shape))
    return world
