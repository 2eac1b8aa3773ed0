"""What a daemon costs in steady traffic beside an earlier build on the same traffic: a table, nothing is asserted.

`make bench` runs it; alone: python tests/bench/bench_steady.py [SECONDS, default 120]. The earlier build is taken out
of the repository and gets its own environment in build/. Each daemon has a simulator with the same seed, so that both
see the same vehicles; both run at the same time, so that what else the machine does meets both.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).parent))

from bench_system import SCENARIO, delays_s, memory_bytes
from mosquitto import MOSQUITTO, Mosquitto

from bench import Daemon, Simulator, plain_collector, wait_for
from edge.watch.listen import subscribe

ROOT = Path(__file__).parents[2]
EARLIER = "ace3d54"


def build_earlier() -> Path:
    """The Python of the earlier build's own environment."""
    home = ROOT / "build" / f"earlier-{EARLIER}"
    python = home / "venv" / "bin" / "python"
    done = home / "done"
    if not done.exists():
        home.mkdir(parents=True, exist_ok=True)
        source = home / "source"
        source.mkdir(exist_ok=True)
        archive = subprocess.run(["git", "archive", EARLIER], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", str(source)], input=archive, check=True)
        subprocess.run([sys.executable, "-m", "venv", str(home / "venv")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", str(source)], check=True)
        done.touch()
    return python


class Side:
    """One build: its simulator, broker and daemon."""

    def __init__(self, directory: Path, python: Path | None, stack: ExitStack) -> None:
        directory.mkdir()
        self.broker = Mosquitto(directory)
        self.broker.start()
        stack.callback(self.broker.kill)
        self.simulator = Simulator(directory, SCENARIO)
        stack.callback(self.simulator.stop)
        url = plain_collector(self.simulator.config, self.broker.port)
        self.arrived: list[tuple[float, dict[str, Any]]] = []
        stack.enter_context(subscribe(url, "borderflow/v1/#", self._take))
        self.daemon = Daemon(self.simulator.config, python)
        self.daemon.start()
        stack.callback(self.daemon.stop)
        assert self.daemon.process is not None
        self.pid = self.daemon.process.pid

    def _take(self, topic: str, message: dict[str, Any]) -> None:
        if topic.endswith("/vehicle"):
            self.arrived.append((time.time(), message))

    def cpu_s(self) -> float:
        """Of all threads, to the nanosecond: what `stat` counts in ticks is too coarse for a few per cent."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def delays(self) -> dict[tuple[str, int], float]:
        """By lane and number of the vehicle there: the two simulators' clocks begin at different moments."""
        truths = self.simulator.vehicles()
        found = delays_s(self.arrived, truths)
        numbers: dict[tuple[str, str], tuple[str, int]] = {}
        for lane in {truth["lane"] for truth in truths}:
            for number, truth in enumerate(truth for truth in truths if truth["lane"] == lane):
                numbers[lane, truth["time"]] = (lane, number)
        return {numbers[key]: delay for key, delay in found.items()}


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
    if MOSQUITTO is None:
        print("steady      not measured: mosquitto is not installed")
        return
    python = build_earlier()
    with tempfile.TemporaryDirectory(prefix="borderflow-bench-") as name, ExitStack() as stack:
        earlier = Side(Path(name) / "earlier", python, stack)
        now = Side(Path(name) / "now", None, stack)
        for side in (earlier, now):
            wait_for("the first vehicle", lambda side=side: side.arrived, 60)
        before, began = (earlier.cpu_s(), now.cpu_s()), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        shares = [100 * (side.cpu_s() - cpu) / took for side, cpu in zip((earlier, now), before, strict=True)]
        memory = [memory_bytes(side.pid) / 1e6 for side in (earlier, now)]
        delays = [side.delays() for side in (earlier, now)]
    both = sorted(delays[0].keys() & delays[1].keys())
    print(
        f"steady      2 lanes (9 channels x 5 kHz, tags, plates, loops) for {took:.0f} s: {EARLIER} {shares[0]:.2f} % "
        f"of a core and {memory[0]:.0f} MB, this build {shares[1]:.2f} % and {memory[1]:.0f} MB: "
        f"{shares[0] / shares[1]:.2f} times less"
    )
    medians = [1000 * float(np.median([side[key] for key in both])) for side in delays]
    later = [1000 * (delays[1][key] - delays[0][key]) for key in both]
    print(
        f"            last axle to message, the same {len(both)} vehicles: {EARLIER} median {medians[0]:.0f} ms, "
        f"this build {medians[1]:.0f} ms; later by {np.median(later):+.1f} ms (median), {np.mean(later):+.1f} (mean)"
    )


if __name__ == "__main__":
    main()
