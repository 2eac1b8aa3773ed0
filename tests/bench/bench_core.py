"""Speed of the weighing core: samples a second against a vectorised NumPy/SciPy pipeline and an earlier build of the
core in the same run, cost by number of channels, and the time to fit one vehicle. Run by `make bench`
(`python -m tests.bench.bench_core`); prints a line a figure.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

from edge import config
from edge.core import Wim
from tests.accuracy import hard
from tests.core import regimes, world

Samples = npt.NDArray[np.int16]


def traffic(channels: int, seconds: float, vehicles: int) -> tuple[config.Wim, Samples]:
    """`vehicles` vehicles in free flow over lines with left and right halves, then silence: a lane's usual hour has
    a vehicle every 20 seconds or so."""
    rng = np.random.default_rng(7)
    wim = world.array(rng, max(2, channels // 2), halves=channels > 2, spacing=(0.6, 0.6 if channels > 16 else 1.4))
    cars, scans = regimes.free_flow(rng, wim, vehicles, (20, 50))
    scene = world.Scene(wim, cars, max(scans, int(seconds * wim.sample_rate_hz)), dynamics=0.02)
    return wim, scene.render()


def core_seconds(wim: config.Wim, samples: Samples, repeat: int = 3) -> tuple[float, int]:
    best, found = 1e9, 0
    for _ in range(repeat):
        core = Wim(wim)
        start = time.thread_time()
        found = 0
        for i in range(0, len(samples), 1 << 15):
            found += len(core.push(samples[i : i + (1 << 15)]))
        found += len(core.finish())
        best = min(best, time.thread_time() - start)
    return best, found


def numpy_pipeline(samples: Samples, rate_hz: float) -> int:
    """The same work as array operations: baseline out, low-pass, threshold, edges, integrals of the footprints."""
    sos = signal.butter(4, 800.0, fs=rate_hz, output="sos")
    count = 0
    for c in range(samples.shape[1]):
        x = samples[:, c].astype(np.float32)
        coarse = np.median(x[: len(x) // 256 * 256].reshape(-1, 256), axis=1)
        coarse = ndimage.median_filter(coarse, 41)
        base = np.interp(np.arange(len(x)), np.arange(len(coarse)) * 256 + 128, coarse)
        y = signal.sosfiltfilt(sos, x - base)
        on = y > 8.0 * 1.48 * np.median(np.abs(y))
        edges = np.flatnonzero(np.diff(on.astype(np.int8)))
        if len(edges) > 1:
            pairs = edges[: len(edges) // 2 * 2].reshape(-1, 2)
            area = np.cumsum(y)
            centre = np.cumsum(y * np.arange(len(y)))
            a = area[pairs[:, 1]] - area[pairs[:, 0]]
            _ = (centre[pairs[:, 1]] - centre[pairs[:, 0]]) / np.where(a == 0, 1, a)
            count += int((pairs[:, 1] - pairs[:, 0] > 20).sum())
    return count


BASELINE = "ace3d54"  # the core as it was before its stages were redrawn
ROOT = Path(__file__).parents[2]
_BUILD = """
import runpy
runpy.run_path("csrc/build_cffi.py")["ffibuilder"].compile(tmpdir=".")
"""
_MEASURE = """
import json
import numpy as np
from tests.bench.bench_core import core_seconds, traffic
wim, samples = traffic(8, 240.0, 12)
spent = core_seconds(wim, samples, 5)[0]
quiet = np.ascontiguousarray(samples[-400_000:])
print(json.dumps([spent, core_seconds(wim, quiet, 5)[0]]))
"""


def baseline_seconds() -> tuple[float, float] | None:
    """What the baseline takes for the traffic and for the idle samples of `main`; None without git's history."""
    tree = ROOT / "build" / BASELINE
    try:
        if not list(tree.glob("edge/_core*.so")):
            tree.mkdir(parents=True, exist_ok=True)
            archive = subprocess.run(["git", "archive", BASELINE], cwd=ROOT, check=True, capture_output=True).stdout
            subprocess.run(["tar", "x"], cwd=tree, input=archive, check=True)
            subprocess.run([sys.executable, "-c", _BUILD], cwd=tree, check=True, capture_output=True)
        found = subprocess.run([sys.executable, "-c", _MEASURE], cwd=tree, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    traffic_s, idle_s = json.loads(found.stdout.splitlines()[-1])
    return traffic_s, idle_s


def fit_ms(row_name: str, vehicles: int) -> tuple[float, float]:
    """Median and 99th percentile of what a frame costs with which a vehicle is told, in a row on hard ground."""
    row = next(row for row in hard.ROWS if row.name == row_name)
    scene = row.make(np.random.default_rng(5), vehicles, 5)
    core, took = Wim(scene.wim), []
    for block in scene.samples():
        for i in range(0, len(block), 64):
            start = time.thread_time()
            found = core.push(block[i : i + 64])
            if found:
                took.append((time.thread_time() - start) / len(found) * 1e3)
    return float(np.median(took)), float(np.percentile(took, 99))


def main() -> dict[str, Any]:
    figures: dict[str, Any] = {}
    wim, samples = traffic(8, 240.0, 12)
    spent, found = core_seconds(wim, samples)
    figures["core_ms_per_s"] = samples.size / spent / 1e6
    start = time.thread_time()
    numpy_pipeline(samples, wim.sample_rate_hz)
    other = time.thread_time() - start
    figures["numpy_ms_per_s"] = samples.size / other / 1e6
    figures["ratio"] = other / spent
    print(f"core, 8 channels x 5 kHz, {found} vehicles in 240 s: {figures['core_ms_per_s']:.0f} MS/s")
    print(f"NumPy/SciPy pipeline, the same samples: {figures['numpy_ms_per_s']:.1f} MS/s; ratio {figures['ratio']:.0f}")
    print(f"24 h of that lane: {spent * 360:.1f} s of one core")
    quiet_s, _ = core_seconds(wim, np.ascontiguousarray(samples[-400_000:]), 5)
    before = baseline_seconds()
    if before is None:
        print(f"against {BASELINE}: not compared, its sources are not here")
    else:
        figures["against_baseline"], figures["idle_against_baseline"] = before[0] / spent, before[1] / quiet_s
        print(
            f"against {BASELINE}: {before[0] / spent:.1f} times as fast in traffic, {before[1] / quiet_s:.1f} when idle"
        )
    for name in ("long-road mix, free flow", "long-road mix, stop and go"):
        median_ms, worst_ms = fit_ms(name, 40)
        figures[f"fit_ms {name}"] = (median_ms, worst_ms)
        print(f"a vehicle fitted, {name}: {median_ms:.2f} ms (median), {worst_ms:.2f} ms (99th percentile)")
    for channels in (2, 4, 8, 16, 32):
        wim, samples = traffic(channels, 120.0, 6)
        spent, _ = core_seconds(wim, samples)
        quiet, _ = core_seconds(wim, np.ascontiguousarray(samples[-400_000:]))
        figures[f"ns_per_sample_{channels}"] = spent / samples.size * 1e9
        print(
            f"{channels:2d} channels: {spent / samples.size * 1e9:.2f} ns a sample in traffic, "
            f"{quiet / min(400_000 * channels, samples.size) * 1e9:.2f} ns when idle"
        )
    return figures


if __name__ == "__main__":
    main()
