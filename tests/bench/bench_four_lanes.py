"""What a daemon of four lanes takes: memory, and its share of a core with the digitisers. Nothing is asserted.

`make bench-lanes` runs it; alone: python -m tests.bench.bench_four_lanes [SECONDS, default 120]. Four lanes in traffic,
each with its digitiser (eight half strips and a loop, 5 kHz), plate readers and loops, two with tag readers; simulator,
mosquitto and daemon are processes of their own. A daemon that has nothing to do (one lane, no device) stands beside it:
the difference is what the lanes take.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from mosquitto import MOSQUITTO, Mosquitto

from bench import Daemon, Simulator, plain_collector, wait_for

ROOT = Path(__file__).parents[2]
SCENARIO = ROOT / "firmware_sim/scenarios/fast-and-standard.toml"
WARM_S = 30.0
IDLE = """
[site]
country = "CA"
port = "0453"
[[lane]]
id = "C01"
traffic = "commercial"
[store]
path = "{store}"
"""


def four_lanes() -> str:
    """The lanes and devices of the scenario twice."""
    text = SCENARIO.read_text()
    tables = text[text.index("[[lane]]") :]
    more = re.sub(r"([Cc])0([12])", lambda match: f"{match[1]}0{int(match[2]) + 2}", tables)
    return text + "\n" + more.replace('name = "io"', 'name = "io2"')


def memory_mb(pid: int) -> float:
    """What is resident now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_s(pid: int) -> float:
    """Of all threads, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def process_of(daemon: Daemon) -> int:
    assert daemon.process is not None
    return daemon.process.pid


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
    if MOSQUITTO is None:
        print("four lanes  not measured: mosquitto is not installed")
        return
    with tempfile.TemporaryDirectory(prefix="borderflow-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        idle_config = directory / "idle.toml"
        idle_config.write_text(IDLE.format(store=directory / "idle"))
        idle = Daemon(idle_config)
        idle.start()
        stack.callback(idle.stop)
        broker = Mosquitto(directory)
        broker.start()
        stack.callback(broker.kill)
        scenario = directory / "four-lanes.toml"
        scenario.write_text(four_lanes())
        simulator = Simulator(directory, str(scenario))
        stack.callback(simulator.stop)
        plain_collector(simulator.config, broker.port)
        daemon = Daemon(simulator.config)
        daemon.start()
        stack.callback(daemon.stop)
        pid = process_of(daemon)
        wait_for("the first vehicle", simulator.vehicles, 60)
        time.sleep(WARM_S)
        before, began, most = cpu_s(pid), time.monotonic(), 0.0
        while time.monotonic() < began + seconds:
            time.sleep(1.0)
            most = max(most, memory_mb(pid))
        share = 100 * (cpu_s(pid) - before) / (time.monotonic() - began)
        print(
            f"four lanes  (4 x 9 channels x 5 kHz, plates, tags, loops) for {seconds:.0f} s, "
            f"{len(simulator.vehicles())} vehicles: {share:.2f} % of a core, {most:.1f} MB at most, "
            f"{memory_mb(pid):.1f} MB at the end; a daemon without devices {memory_mb(process_of(idle)):.1f} MB"
        )


if __name__ == "__main__":
    main()
