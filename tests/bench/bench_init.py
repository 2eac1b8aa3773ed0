"""From nothing to a vehicle at a subscriber, as a new user does it: `borderflow init` on a terminal, then the daemon.

`make bench-init`; alone: python -m tests.bench.bench_init [SCENARIO...]. The simulated hardware of each scenario stands
ready; five answers are typed at once, so the time to think is not in it. Addresses are said with lane and point, and
with the driver where a device only speaks when something passes. Prints a table, asserts nothing.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from mosquitto import MOSQUITTO, Mosquitto

from bench import Daemon, Simulator, wait_for
from edge.watch.listen import subscribe
from firmware_sim.scenario import Device, Input, Lane, Scenario
from firmware_sim.scenario.file import load, shipped

SILENT_UNTIL_TRAFFIC = ("lpr_frame",)
KNOWN_BY_MAKE = ("scaime_enod4", "hbm_aed", "toledo_continuous", "laumas_tlb")  # weight transmitters
PATIENCE_S = 180.0


def array_words(lane: Lane) -> str:
    assert lane.wim is not None
    sensors = lane.wim.sensor
    loop = next((f" loop {s.x_m:g}x{s.width_m:g}" for s in sensors if s.type == "loop"), "")
    plate = next((s for s in sensors if s.type == "plate"), None)
    if plate is not None:
        return f"plate {plate.width_m:g}{loop}"
    lines = sorted({s.x_m for s in sensors if s.type == "strip"})
    return " ".join(f"{x_m:g}" for x_m in lines) + " halves" + loop


def input_name(inputs: Sequence[Input], number: int) -> str:
    """`c05-approach-loop`, `c05-booth1-open`."""
    line = inputs[number]
    if line.signal == "booth_open":
        lamps = [one for one in inputs if (one.lane, one.signal) == (line.lane, line.signal)]
        return f"{line.lane.lower()}-booth{lamps.index(line)}-open"
    return f"{line.lane.lower()}-{line.point}-{line.signal}"


def device_words(device: Device, where: dict[str, Any]) -> str:
    named = device.kind in (*SILENT_UNTIL_TRAFFIC, *KNOWN_BY_MAKE)
    place = "" if device.lane is None else f"@{device.lane}" + (f"/{device.point}" if device.point else "")
    options = {**device.options, **where.get("options", {})}
    if device.inputs:
        # called as the documentation says: lane, point, what it is
        options["inputs"] = ",".join(input_name(device.inputs, number) for number in range(len(device.inputs)))
    told = "".join(f";{name}={value}" for name, value in options.items())
    return f"{device.kind + '=' if named else ''}{where['url']}{place}{told}"


def answers(scenario: Scenario, devices: dict[str, Any], broker: int) -> list[str]:
    arrays = {lane.id: array_words(lane) for lane in scenario.lane if lane.wim is not None}
    alike = len(set(arrays.values())) == 1
    return [
        f"{scenario.site.country} {scenario.site.port} {scenario.site.name}",
        "; ".join(f"{lane.id} {lane.traffic} {lane.program} {lane.direction}" for lane in scenario.lane),
        next(iter(arrays.values())) if alike else "; ".join(f"{lane}: {words}" for lane, words in arrays.items()),
        " ".join(device_words(device, devices[device.name]) for device in scenario.device),
        f"mqtt://127.0.0.1:{broker}",
    ]


def init(directory: Path, lines: list[str]) -> tuple[int, str]:
    """Its status, and what it said; typed on a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "edge", "init", "--out", "borderflow.toml", "--store", str(directory / "store")]
    process = subprocess.Popen(command, stdin=theirs, stderr=subprocess.PIPE, stdout=subprocess.PIPE, cwd=directory)
    os.close(theirs)
    for line in lines:  # in pieces: a terminal takes 4 kB of a line and no more
        os.write(ours, f"{line}\n".encode())
        time.sleep(0.3)
    out, said = process.communicate(timeout=PATIENCE_S)
    os.close(ours)
    return process.returncode, (out + said).decode()


def one(name: str) -> str:
    scenario = load(name)
    with tempfile.TemporaryDirectory(prefix="borderflow-init-") as place, ExitStack() as stack:
        directory = Path(place)
        broker = Mosquitto(directory)
        broker.start()
        stack.callback(broker.kill)
        simulator = Simulator(directory, name)
        stack.callback(simulator.stop)
        lines = answers(scenario, simulator.ready["devices"], broker.port)
        own = directory / "mine"
        own.mkdir()
        arrived: list[str] = []
        stack.enter_context(
            subscribe(
                f"mqtt://127.0.0.1:{broker.port}", "borderflow/v1/+/+/+/+/vehicle", lambda t, _: arrived.append(t)
            )
        )
        began = time.monotonic()
        status, said = init(own, lines)
        made_s = time.monotonic() - began
        if status != 0:
            return f"| {name} | exit {status} after {made_s:.0f} s: {said.strip().splitlines()[-1]} | | |"
        daemon = Daemon(own / "borderflow.toml")
        daemon.start()
        stack.callback(daemon.stop)
        try:
            wait_for("a vehicle", lambda: arrived, PATIENCE_S)
        except AssertionError:
            return f"| {name} | {made_s:.0f} | no vehicle within {PATIENCE_S:.0f} s | {len(scenario.device)} |"
        return f"| {name} | {made_s:.0f} | {time.monotonic() - began:.0f} | {len(scenario.device)} |"


def main() -> None:
    if MOSQUITTO is None:
        print("init        not measured: mosquitto is not installed")
        return
    print("| scenario | init, s | from nothing to the first vehicle, s | devices |\n| --- | --- | --- | --- |")
    for name in sys.argv[1:] or shipped():
        print(one(name), flush=True)


if __name__ == "__main__":
    main()
