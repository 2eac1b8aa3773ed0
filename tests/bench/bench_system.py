"""Speed of the whole: replay of a recording, and the daemon in steady traffic. Prints a table; nothing is asserted.

`make bench` runs it; alone: python tests/bench/bench_system.py [SECONDS of steady traffic, default 90].
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from certificates import Authority
from mosquitto import MOSQUITTO, Mosquitto

from bench import Daemon, Simulator, complete_configuration, wait_for
from edge.messages import parse_utc
from edge.watch.listen import subscribe

SCENARIO = "fast-and-standard"
LAST_LINE_M = 4.1  # of that scenario's arrays
RECORDED_S = 600


def replay(directory: Path) -> None:
    """(b) hours of lane time in a second, beside reading the same file and doing nothing."""
    out = directory / "recordings"
    command = [sys.executable, "-m", "firmware_sim.cli", "record", "--scenario", SCENARIO]
    subprocess.run([*command, "--out", str(out), "--for", str(RECORDED_S)], check=True, capture_output=True)
    data = out / "C01.sigmf-data"
    replay = [sys.executable, "-m", "edge", "replay", "--config", str(out / "borderflow.toml"), str(out / "C01")]
    times, reads = [], []
    for _ in range(5):
        began = time.perf_counter()
        found = subprocess.run(replay, check=True, capture_output=True).stdout.count(b"\n")
        times.append(time.perf_counter() - began)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"open({str(data)!r}, 'rb').read()"], check=True)
        reads.append(time.perf_counter() - began)
    took, read = float(np.median(times)), float(np.median(reads))
    print(
        f"replay      {RECORDED_S} s of one lane (9 channels x 5 kHz, {found} vehicles) in {took:.2f} s, start of "
        f"Python included: {RECORDED_S / 3600 / took:.2f} hours of lane time a second; reading alone takes {read:.2f} s"
    )


def steady(directory: Path, traffic_s: float) -> None:
    """(c) latency of `vehicle` messages at a subscriber; (d) CPU and memory of the daemon."""
    authority = Authority(directory / "authority")
    lane, server = authority.issue("lane-1"), authority.issue("broker")
    broker = Mosquitto(
        directory,
        f"cafile {authority.ca_file}\ncertfile {server.cert_file}\nkeyfile {server.key_file}\n"
        "require_certificate true\nuse_identity_as_username true",
    )
    broker.quiet()
    broker.start()
    simulator = Simulator(directory, SCENARIO)
    complete_configuration(
        simulator.config,
        broker_port=broker.port,
        ca_file=authority.ca_file,
        cert_file=lane.cert_file,
        key_file=lane.key_file,
    )
    arrived: list[tuple[float, dict[str, Any]]] = []
    spoken_s: list[float] = []  # when the daemon made its messages; last wills are the broker's

    def take(topic: str, message: dict[str, Any]) -> None:
        if message["seq"] > 0:
            spoken_s.append(parse_utc(message["time"]) / 1e9)
        if topic.endswith("/vehicle"):
            arrived.append((time.time(), message))

    daemon = Daemon(simulator.config)
    centre = authority.issue("collector")
    tls = {"ca_file": authority.ca_file, "cert_file": centre.cert_file, "key_file": centre.key_file}
    try:
        with subscribe(
            f"mqtts://127.0.0.1:{broker.port}", "borderflow/v1/#", take, **{k: str(v) for k, v in tls.items()}
        ):
            daemon.start()
            assert daemon.process is not None
            pid = daemon.process.pid
            wait_for("the first vehicle", lambda: arrived, 60)
            cpu0, at0 = cpu_s(pid), time.monotonic()
            time.sleep(traffic_s)
            share = (cpu_s(pid) - cpu0) / (time.monotonic() - at0)
            resident = memory_bytes(pid)
            until_killed = list(arrived)
            dark_s = [dark(daemon, spoken_s) for _ in range(5)]
    finally:
        daemon.stop()
        simulator.stop()
        broker.kill()
    delays = list(delays_s(until_killed, simulator.vehicles()).values())
    p50, p99 = (1000 * float(np.quantile(delays, q)) for q in (0.5, 0.99))
    print(
        f"latency     last axle over the last line to the message at a subscriber (TLS, QoS 1, durable journal): "
        f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, {len(delays)} vehicles"
    )
    print(
        f"daemon      2 lanes (9 channels x 5 kHz, tags, plates, loops): {50 * share:.1f} % of a core and "
        f"{resident / 2e6:.0f} MB a lane ({100 * share:.1f} %, {resident / 1e6:.0f} MB in all)"
    )
    print(
        f"restart     SIGKILL to a new message at the subscriber, started again at once (systemd waits 2 s more): "
        f"median {float(np.median(dark_s)):.2f} s, at most {max(dark_s):.2f} s of {len(dark_s)}"
    )


def delays_s(arrived: list[tuple[float, dict[str, Any]]], truths: list[dict[str, Any]]) -> dict[tuple[str, str], float]:
    """From the last axle over the last line to the message at a subscriber, by lane and true time of the vehicle."""
    delays = {}
    for at, message in arrived:
        measured = parse_utc(message["time"]) / 1e9
        for truth in truths:
            if truth["lane"] == message["lane"] and abs(parse_utc(truth["time"]) / 1e9 - measured) < 0.5:
                way_m = truth["wheelbase_m"] + LAST_LINE_M  # speed_mps is the mean over this way
                delay = at - parse_utc(truth["time"]) / 1e9 - way_m / truth["speed_mps"]
                delays[truth["lane"], truth["time"]] = delay
    return delays


def dark(daemon: Daemon, spoken_s: list[float]) -> float:
    """(e) from SIGKILL to a new message at the subscriber."""
    time.sleep(3)
    killed, began = time.time(), time.monotonic()
    daemon.kill()
    daemon.start()
    while not any(at_s > killed + 1e-3 for at_s in spoken_s[-50:]):
        if time.monotonic() - began > 60:
            raise AssertionError("the daemon did not publish again within 60 s")
        time.sleep(0.01)
    return time.monotonic() - began


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    traffic_s = float(sys.argv[1]) if len(sys.argv) > 1 else 90.0
    with tempfile.TemporaryDirectory(prefix="borderflow-bench-") as name:
        replay(Path(name))
        if MOSQUITTO is None:
            print("latency     not measured: mosquitto is not installed")
        else:
            steady(Path(name), traffic_s)


if __name__ == "__main__":
    main()
