"""The regimes of the accuracy table as scenes, and the comparison of what was measured with the truth.

`python -m tests.core.regimes [REGIME ...] [--seeds N]` prints the table; the tests use `run`.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from edge import config
from edge.core import Wim, WimVehicle
from tests.core import world
from tests.core.world import Array, Scene, Vehicle

RATE = 5000.0


def free_flow(
    rng: np.random.Generator, wim: config.Wim, count: int, kmh: tuple[float, float], kinds: tuple[str, ...] = world.MIX
) -> tuple[list[Vehicle], int]:
    vehicles, at = [], 1.0
    last = max(s.x_m for s in wim.sensor)
    for _ in range(count):
        v = world.make_vehicle(rng, str(rng.choice(kinds)))
        speed = rng.uniform(*kmh) / 3.6
        a = rng.normal(0, 0.15)
        x0, x1 = -v.front_m - 4.0, last + v.length_m + 4.0
        v.x = world.drive(wim.sample_rate_hz, x0, x1, lambda x, t, s=speed, a=a: max(2.0, s + a * t))
        v.start = int(at * wim.sample_rate_hz)
        at += len(v.x) / wim.sample_rate_hz + rng.uniform(0.4, 2.0)
        vehicles.append(v)
    return vehicles, int((at + 1) * wim.sample_rate_hz)


def wandering(
    rng: np.random.Generator, wim: config.Wim, count: int, kmh: tuple[float, float], kinds: tuple[str, ...] = world.MIX
) -> tuple[list[Vehicle], int]:
    vehicles, at = [], 1.0
    last = max(s.x_m for s in wim.sensor)
    for _ in range(count):
        v = world.make_vehicle(rng, str(rng.choice(kinds)))
        x0, x1 = -v.front_m - 4.0, last + v.length_m + 4.0
        turns = np.sort(rng.uniform(x0, x1, 6))
        speeds = rng.uniform(*kmh, 7) / 3.6
        base = rng.uniform(*kmh) / 3.6
        speeds = np.clip(base + (speeds - base) * rng.uniform(0.2, 1.0), kmh[0] / 3.6, kmh[1] / 3.6)
        v.x = world.drive(
            wim.sample_rate_hz, x0, x1, lambda x, t, u=turns, s=speeds: float(s[int(np.searchsorted(u, x))])
        )
        v.start = int(at * wim.sample_rate_hz)
        at += len(v.x) / wim.sample_rate_hz + rng.uniform(1.0, 3.0)
        vehicles.append(v)
    return vehicles, int((at + 1) * wim.sample_rate_hz)


def stopping(
    rng: np.random.Generator, wim: config.Wim, count: int, stop_s: tuple[float, float]
) -> tuple[list[Vehicle], int]:
    """Every vehicle stops once or twice, often with a wheel on a strip."""
    vehicles, at = [], 1.0
    places = sorted({s.x_m for s in wim.sensor if s.type == "strip"})
    last = places[-1]
    for _ in range(count):
        v = world.make_vehicle(rng, str(rng.choice(world.MIX)))
        x0, x1 = -v.front_m - 4.0, last + v.length_m + 4.0
        stops = []
        for _ in range(rng.integers(1, 3)):
            axle, line = rng.integers(len(v.positions_m)), rng.integers(len(places))
            stops.append(float(v.positions_m[axle] + places[line] + rng.uniform(-0.12, 0.12)))
        v.x = with_stops(wim.sample_rate_hz, x0, x1, rng, stops, stop_s)
        v.start = int(at * wim.sample_rate_hz)
        at += len(v.x) / wim.sample_rate_hz + rng.uniform(1.0, 3.0)
        vehicles.append(v)
    return vehicles, int((at + 1) * wim.sample_rate_hz)


def with_stops(
    rate: float, x0: float, x1: float, rng: np.random.Generator, stops: list[float], stop_s: tuple[float, float]
) -> Array:
    """Drive from stop to stop with raised-cosine accelerations, standing in between."""
    marks = [x0, *sorted(s for s in stops if x0 + 0.5 < s < x1 - 0.5), x1]
    pieces: list[Array] = []
    for i, (a, b) in enumerate(itertools.pairwise(marks)):
        d = b - a
        first, final = i == 0, i == len(marks) - 2
        top = rng.uniform(1.2, 4.0)
        up, down = rng.uniform(0.4, 1.0), rng.uniform(0.5, 1.2)
        if d < top * top / (2 * up) + top * top / (2 * down):
            top = float(np.sqrt(2 * d / (1 / up + 1 / down)))
        v0, v1 = (top if first else 0.0), (top if final else 0.0)
        t_up, t_down = (0.0 if first else top / up), (0.0 if final else top / down)
        d_up, d_down = top * t_up / 2, top * t_down / 2
        t_flat = max(0.0, (d - d_up - d_down) / top)
        t = np.arange(0, t_up + t_flat + t_down, 1 / rate)
        v = np.full(len(t), top)
        m = t < t_up
        v[m] = v0 + (top - v0) * 0.5 * (1 - np.cos(np.pi * t[m] / max(t_up, 1e-9)))
        m = t > t_up + t_flat
        v[m] = v1 + (top - v1) * 0.5 * (1 + np.cos(np.pi * (t[m] - t_up - t_flat) / max(t_down, 1e-9)))
        x = np.cumsum(v) / rate
        x *= d / x[-1]
        pieces.append(a + x)
        if not final:
            pieces.append(np.full(int(rng.uniform(*stop_s) * rate), b))
    return np.concatenate(pieces)


def queue(
    rng: np.random.Generator,
    wim: config.Wim,
    count: int,
    gap_m: tuple[float, float],
    kinds: tuple[str, ...] = world.MIX,
) -> tuple[list[Vehicle], int]:
    """Bumper to bumper: each vehicle does what the one before it did a moment ago, smoothed, and stops behind it."""
    rate, slow = wim.sample_rate_hz, 50
    last = max(s.x_m for s in wim.sensor)
    vehicles = [world.make_vehicle(rng, str(rng.choice(kinds))) for _ in range(count)]
    total = sum(v.length_m + 2.0 for v in vehicles) + last + 20
    dt = slow / rate
    # The leader moves up in steps of 5 to 18 m with stops of 2 to 12 s.
    speeds: list[Array] = []
    done = 0.0
    while done < total:
        step, top, acc = rng.uniform(5, 18), rng.uniform(0.8, 3.0), rng.uniform(0.35, 0.9)
        top = min(top, float(np.sqrt(step * acc)))
        t = np.arange(0, step / top + top / acc, dt)
        v = np.minimum(np.minimum(acc * t, top), np.clip(acc * (step / top + top / acc - t), 0, None))
        speeds += [v, np.zeros(int(rng.uniform(2, 12) / dt))]
        done += float(v.sum() * dt)
    front = -2.0 + np.cumsum(np.concatenate(speeds)) * dt  # of the first vehicle
    kernel = np.hanning(int(0.8 / dt) | 1)
    kernel /= kernel.sum()
    pad = len(kernel) // 2
    for v in vehicles:
        smooth = np.convolve(np.pad(front, pad, mode="edge"), kernel, mode="valid")
        smooth = np.maximum.accumulate(smooth)
        first_axle = smooth - v.front_m
        a = int(np.searchsorted(first_axle, -v.front_m - 3.0)) if first_axle[0] < -v.front_m - 3.0 else 0
        b = int(np.searchsorted(first_axle, last + v.length_m + 3.0))
        b = min(b, len(first_axle))
        n = (b - a) * slow
        v.x = np.interp(np.arange(n) / slow, np.arange(b - a), first_axle[a:b])
        box = np.ones(slow) / slow
        v.x = np.convolve(np.pad(v.x, (slow // 2, slow - 1 - slow // 2), mode="edge"), box, mode="valid")
        v.start = a * slow
        delay = int(rng.uniform(0.6, 1.4) / dt)
        gap = rng.uniform(*gap_m)
        front = smooth - v.length_m - gap
        front = np.concatenate([np.full(delay, front[0]), front])
    scans = max(v.start + len(v.x) for v in vehicles) + int(rate)
    return vehicles, scans


@dataclass
class Result:
    regime: str
    vehicles: int = 0
    found: int = 0
    invented: int = 0
    axles_right: int = 0
    gross: list[float] = field(default_factory=list)
    axle: list[float] = field(default_factory=list)
    gross_z: list[float] = field(default_factory=list)
    axle_z: list[float] = field(default_factory=list)
    time_s: list[float] = field(default_factory=list)
    worst: list[str] = field(default_factory=list)

    def row(self) -> str:
        def p95(v: list[float]) -> float:
            return float(np.percentile(np.abs(v), 95) * 100) if v else float("nan")

        def inside(v: list[float]) -> float:
            return float(np.mean(np.abs(v) < 2) * 100) if v else float("nan")

        bias = float(np.mean(self.gross) * 100) if self.gross else float("nan")
        return (
            f"{self.regime:12s} {self.vehicles:5d} found {100 * self.found / max(1, self.vehicles):6.2f}% invented "
            f"{self.invented:3d} axles right {100 * self.axles_right / max(1, self.found):6.2f}%  gross95 "
            f"{p95(self.gross):5.2f}% (bias {bias:+.2f}) axle95 {p95(self.axle):5.2f}%  in 2 sigma: gross "
            f"{inside(self.gross_z):5.1f}% axle {inside(self.axle_z):5.1f}%  time95 "
            f"{1e3 * float(np.percentile(np.abs(self.time_s), 95)) if self.time_s else 0:.1f} ms"
        )


def truth_scan(v: Vehicle) -> float:
    return v.start + float(np.interp(0.0, v.x, np.arange(len(v.x))))


def compare(result: Result, scene: Scene, found: list[WimVehicle], note: str = "") -> None:
    rate = scene.wim.sample_rate_hz
    truth = sorted(scene.vehicles, key=truth_scan)
    result.vehicles += len(truth)
    taken = set()
    for v in truth:
        at = truth_scan(v)
        best = min(
            (i for i in range(len(found)) if i not in taken),
            key=lambda i: abs(found[i].first_axle_scan - at),
            default=None,
        )
        if best is None or abs(found[best].first_axle_scan - at) > 1.0 * rate:
            result.worst.append(f"{note} {v.kind} at {at / rate:.1f} s not found")
            continue
        taken.add(best)
        m = found[best]
        result.found += 1
        if len(m.axles) != len(v.loads_kg):
            result.worst.append(
                f"{note} {v.kind} at {at / rate:.1f} s: {len(m.axles)} axles, not {len(v.loads_kg)} {m.flags}"
            )
            continue
        result.axles_right += 1
        gross = m.gross_kg / v.loads_kg.sum() - 1
        result.gross.append(gross)
        result.gross_z.append((m.gross_kg - v.loads_kg.sum()) / m.gross_sigma_kg)
        result.time_s.append((m.first_axle_scan - at) / rate)
        for a, kg in zip(m.axles, v.loads_kg, strict=True):
            result.axle.append(a.load_kg / kg - 1)
            result.axle_z.append((a.load_kg - kg) / a.sigma_kg)
        if abs(gross) > 0.03:
            result.worst.append(f"{note} {v.kind} at {at / rate:.1f} s: gross {gross * 100:+.1f}% {m.flags}")
    result.invented += len(found) - len(taken)
    for i, m in enumerate(found):
        if i not in taken:
            result.worst.append(f"{note} invented at {m.first_axle_scan / rate:.1f} s {len(m.axles)} axles {m.flags}")


def measure(scene: Scene, block: int = 4096) -> list[WimVehicle]:
    wim = Wim(scene.wim)
    samples = scene.render()
    found = []
    for i in range(0, len(samples), block):
        found += wim.push(samples[i : i + block])
    return found + wim.finish()


Maker = Callable[[np.random.Generator], Scene]


def _free(rng: np.random.Generator, n: int = 12, **kw: float) -> Scene:
    wim = world.array(rng, 4, halves=bool(rng.integers(2)))
    return Scene(wim, *free_flow(rng, wim, n, (30, 50)), **kw)  # type: ignore[arg-type]


def _two(rng: np.random.Generator) -> Scene:
    wim = world.array(rng, 2, spacing=(1.0, 4.0), halves=bool(rng.integers(2)))
    return Scene(wim, *free_flow(rng, wim, 12, (30, 60)), dynamics=0.015, hop=0.005, line_gain=0.003)


def _quartz(rng: np.random.Generator) -> Scene:
    wim = world.array(rng, 4, tau_s=2.0)
    return Scene(wim, *free_flow(rng, wim, 12, (30, 60)), dynamics=0.015, hop=0.005)


def _quartz_slow(rng: np.random.Generator) -> Scene:
    wim = world.array(rng, 4, tau_s=2.0)
    return Scene(wim, *wandering(rng, wim, 6, (3, 25)), dynamics=0.003)


def _slow(rng: np.random.Generator) -> Scene:
    wim = world.array(rng, 4, halves=bool(rng.integers(2)))
    return Scene(wim, *wandering(rng, wim, 6, (3, 25)), dynamics=0.004, hop=0.001, line_gain=0.003)


def _stops(rng: np.random.Generator) -> Scene:
    wim = world.array(rng, 4, halves=bool(rng.integers(2)))
    return Scene(wim, *stopping(rng, wim, 5, (2, 12)), dynamics=0.004, hop=0.001, line_gain=0.003)


def _stops_loop(rng: np.random.Generator) -> Scene:
    wim = world.array(rng, 4, loop=(float(rng.uniform(0, 3)), float(rng.uniform(1.5, 2.2))), mode="loop")
    return Scene(wim, *stopping(rng, wim, 5, (2, 12)), dynamics=0.004, hop=0.001, line_gain=0.003)


def rolling_back(rng: np.random.Generator, wim: config.Wim, count: int) -> tuple[list[Vehicle], int]:
    """Vehicles that stop somewhere, roll back 0.1 to 0.7 m, stand, and start again."""
    vehicles, at, rate = [], 1.0, wim.sample_rate_hz
    last = max(s.x_m for s in wim.sensor)
    for _ in range(count):
        v = world.make_vehicle(rng, str(rng.choice(world.MIX)))
        x0, x1 = -v.front_m - 4.0, last + v.length_m + 4.0
        stop = float(rng.uniform(0.0, v.positions_m[-1] + last))
        way = rng.uniform(0.1, 0.7)
        a = with_stops(rate, x0, stop + 30, rng, [stop], (1, 3))
        a = a[: int(np.searchsorted(a, stop + 1e-6, side="right"))]
        t = np.linspace(0, np.pi, int(rng.uniform(1.5, 3.0) * rate))
        back = stop - way * 0.5 * (1 - np.cos(t))
        stand = np.full(int(rng.uniform(0.5, 4) * rate), stop - way)
        on = with_stops(rate, stop - way - 20, x1, rng, [stop - way], (0.01, 0.02))
        on = on[int(np.searchsorted(on, stop - way, side="left")) :]
        v.x = np.concatenate([a, back, stand, on])
        v.start = int(at * rate)
        at += len(v.x) / rate + rng.uniform(1.0, 3.0)
        vehicles.append(v)
    return vehicles, int((at + 1) * rate)


def _rollback(rng: np.random.Generator) -> Scene:
    wim = world.array(rng, 4, loop=(float(rng.uniform(0, 3)), float(rng.uniform(1.5, 2.2))), mode="loop")
    return Scene(wim, *rolling_back(rng, wim, 5), dynamics=0.004, line_gain=0.003)


def _queue(rng: np.random.Generator, how: str = "coverage", mode: str = "loop") -> Scene:
    wim = world.array(rng, 4, loop=(float(rng.uniform(-1, 4)), float(rng.uniform(1.0, 2.2))), mode=mode)
    return Scene(wim, *queue(rng, wim, 7, (0.9, 1.8)), dynamics=0.004, line_gain=0.003, loop=how)


def _fast(rng: np.random.Generator) -> Scene:
    wim = world.array(rng, 4)
    return Scene(wim, *free_flow(rng, wim, 12, (70, 130)), dynamics=0.03, hop=0.01)


def _motorcycles(rng: np.random.Generator) -> Scene:
    wim = world.array(rng, 4)
    return Scene(wim, *free_flow(rng, wim, 12, (20, 60), ("motorcycle", "car")), dynamics=0.01)


REGIMES: dict[str, Maker] = {
    "free": lambda rng: _free(rng, dynamics=0.015, hop=0.005, line_gain=0.003),
    "rough": lambda rng: _free(rng, dynamics=0.08, hop=0.04, line_gain=0.003),
    "slow": _slow,
    "stops": _stops,
    "stops-loop": _stops_loop,
    "rollback": _rollback,
    "queue": _queue,
    "queue-pres": lambda rng: _queue(rng, "presence"),
    "queue-gap": lambda rng: _queue(rng, "coverage", "gap"),
    "two": _two,
    "quartz": _quartz,
    "quartz-slow": _quartz_slow,
    "noisy": lambda rng: _free(
        rng, noise=6.0, hum=float(rng.uniform(5, 25)), hum_hz=float(rng.choice([50.0, 60.0])), spikes_per_s=2.0,
        drift=8.0, drift_sine=80.0, dynamics=0.015,
    ),
    "fast": _fast,
    "motorcycle": _motorcycles,
}  # fmt: skip


def run(regime: str, seeds: range) -> Result:
    result = Result(regime)
    for seed in seeds:
        scene = replace(REGIMES[regime](np.random.default_rng(seed)), seed=seed)
        compare(result, scene, measure(scene), f"seed {seed}")
    return result


def main(arguments: list[str]) -> None:
    seeds = 10
    if "--seeds" in arguments:
        i = arguments.index("--seeds")
        seeds = int(arguments[i + 1])
        del arguments[i : i + 2]
    for regime in arguments or REGIMES:
        result = run(regime, range(seeds))
        print(result.row(), flush=True)
        for line in result.worst[:8]:
            print("      ", line)


if __name__ == "__main__":
    main(sys.argv[1:])
