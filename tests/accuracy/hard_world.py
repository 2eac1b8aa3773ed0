"""A second simulated world, for hard ground: vehicles that creep, roll back and stand bumper to bumper over four lines.

In: a seed and what a row asks for (traffic, motion, array, faults). Out: int16 samples in blocks, and the truth. Read
by `hard.py`. It shares no code and no formula with the weighing core, the simulator or the tests' other world: vehicles
are grown from tractors, trailers and dollies with scattered dimensions, speeds are smoothed staircases, tyres press
with a plateau and round ends in slices across their width, and suspensions are sums of damped sinusoids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from edge import config
from firmware_sim.world.events import AxleTruth, VehicleTruth

Array = npt.NDArray[np.float64]
Rng = np.random.Generator

RATE_HZ = 5000.0
G = 9.80665
STEP_S = 0.01  # of the motions
MIDDLE_M = 1.75  # of the lane
BLOCK = 200_000  # scans
FOUR_LINES = (0.0, 1.2, 2.9, 4.1)


# ---- vehicles ---------------------------------------------------------------------------------------------------


@dataclass
class Body:
    """A vehicle on its wheels: axles from the first one backwards."""

    kind: str
    positions_m: Array
    loads_kg: Array
    dual: tuple[bool, ...]
    front_m: float
    rear_m: float
    left_share: Array
    tilt: float  # of the pressure, along
    bounce: tuple[float, float, float, float]  # relative amplitudes and hertz of body and hop
    height_m: float
    track_m: Array  # between the middles of its left and right wheels
    aside_m: float = 0.0

    @property
    def length_m(self) -> float:
        return float(self.front_m + self.positions_m[-1] + self.rear_m)


def _group(rng: Rng, axles: int) -> list[float]:
    return list(rng.normal(1.33, 0.05) + rng.normal(0, 0.02, axles - 1))


# Groups of axles, metres from group to group (low, high), tonnes a group empty and full.
_Plan = tuple[str, tuple[tuple[float, float], ...], tuple[tuple[float, float], ...]]
_STEER = (4.6, 6.6)
_PLANS: dict[str, _Plan] = {
    "truck2": ("11", ((3.6, 6.3),), ((2.4, 6.0), (2.0, 9.5))),
    "truck3": ("12", ((3.6, 5.6),), ((4.0, 6.8), (4.5, 16.0))),
    "truck4": ("22", ((3.4, 5.2),), ((7.5, 12.0), (5.0, 16.5))),
    "bus": ("12", ((5.6, 6.9),), ((4.5, 6.5), (8.0, 15.0))),
    "2s1": ("111", ((3.3, 4.5), (6.0, 9.5)), ((4.0, 5.5), (4.0, 9.0), (2.5, 8.5))),
    "2s2": ("112", ((3.4, 4.6), (6.5, 10.5)), (_STEER, (4.2, 9.5), (4.0, 16.0))),
    "2s3": ("113", ((3.5, 3.95), (4.8, 6.6)), (_STEER, (4.5, 11.0), (4.5, 23.0))),
    "3s2": ("122", ((3.9, 6.4), (8.0, 11.8)), (_STEER, (6.5, 16.0), (4.0, 15.8))),
    "3s3": ("123", ((3.6, 5.9), (5.5, 9.6)), (_STEER, (6.5, 17.0), (5.0, 21.0))),
    "truck_full": ("1211", ((4.3, 5.6), (4.0, 5.8), (4.8, 6.6)), (_STEER, (6.0, 16.0), (2.5, 9.5), (2.5, 9.5))),
    "truck2_full": ("1111", ((4.3, 5.6), (4.0, 5.8), (4.4, 6.2)), ((4.0, 6.4), (4.0, 9.5), (2.2, 9.0), (2.2, 9.0))),
    "truck_dog": ("1222", ((4.2, 5.3), (4.6, 6.2), (4.5, 6.5)), (_STEER, (6.5, 16.5), (4.0, 16.0), (4.0, 16.0))),
    "stinger": ("1212", ((3.9, 5.6), (4.2, 6.0), (4.6, 6.5)), (_STEER, (6.0, 16.0), (2.5, 9.0), (3.5, 15.0))),
}  # fmt: skip
_DOUBLES: dict[str, _Plan] = {
    "2s1_2": ("11111", ((3.3, 4.4), (6.0, 7.2), (2.7, 3.6), (6.0, 7.2)), ((4.2, 5.6), (4, 9), (3, 9), (3, 9), (3, 9))),
    "3s1_2": ("12111", ((3.7, 5.4), (6.0, 7.2), (2.7, 3.6), (6.0, 7.2)), (_STEER, (6, 15), (3, 9), (3, 9), (3, 9))),
    "b8": ("1232", ((3.9, 5.6), (4.8, 6.8), (3.5, 5.6)), (_STEER, (7, 17), (6, 22), (4, 16.5))),
    "b8_long": ("1232", ((3.9, 5.6), (5.2, 7.2), (5.0, 7.4)), (_STEER, (7, 17), (6, 22), (4, 16.5))),
    "a8": ("12212", ((3.9, 5.6), (5.6, 8.6), (3.5, 5.6), (5.2, 7.6)), (_STEER, (7, 16), (5, 16), (3, 9), (4, 16))),
    "a8_23": ("1223", ((3.9, 5.6), (5.6, 8.6), (3.5, 5.6)), (_STEER, (7, 16), (5, 16), (6, 21))),
    "a8_1": ("12122", ((3.9, 5.6), (5.6, 8.0), (3.5, 5.6), (4.8, 7.0)), (_STEER, (7, 16), (3, 9), (4, 16), (4, 16))),
    "c8": ("1322", ((3.9, 5.6), (4.6, 7.0), (3.5, 5.6)), (_STEER, (9, 22), (5, 16), (4, 16))),
    "b9": ("1233", ((3.7, 5.4), (4.8, 7.0), (4.9, 7.4)), (_STEER, (7, 17), (6, 21), (6, 21))),
    "b7": ("1222", ((3.8, 5.4), (4.6, 6.6), (3.5, 5.6)), (_STEER, (7, 16.5), (5, 16.5), (4, 16.5))),
    "r4": ("12222", ((3.9, 5.6), (6.0, 9.0), (3.0, 4.6), (5.6, 8.4)), (_STEER, (7, 17), (5, 17), (4, 16), (4, 16))),
}  # fmt: skip
USUAL = {
    "car": 0.1, "van": 0.04, "motorcycle": 0.01, "truck2": 0.13, "truck3": 0.08, "truck4": 0.02, "bus": 0.03,
    "2s1": 0.02, "2s2": 0.05, "2s3": 0.1, "3s2": 0.24, "3s3": 0.06, "truck_full": 0.04, "truck2_full": 0.02,
}  # fmt: skip
DOUBLES = {
    "2s1_2": 0.02, "3s1_2": 0.01, "b8": 0.06, "b8_long": 0.01, "a8": 0.04, "a8_23": 0.02, "a8_1": 0.02, "c8": 0.02,
    "b7": 0.01, "r4": 0.01,
}  # fmt: skip
WITH_DOUBLES = {**USUAL, **DOUBLES}
ROAD = {  # what long roads carry: many doubles, truck and dog, twin steers
    "truck2": 0.16, "truck3": 0.1, "truck4": 0.03, "bus": 0.03, "2s2": 0.03, "2s3": 0.04, "3s2": 0.08, "3s3": 0.3,
    "b9": 0.13, "b8_long": 0.02, "b7": 0.02, "truck_dog": 0.03, "stinger": 0.03,
}  # fmt: skip


def _light(rng: Rng, kind: str) -> tuple[Array, Array, float, float]:
    if kind == "motorcycle":
        return np.array([0.0, rng.uniform(1.3, 1.6)]), rng.uniform(110, 220, 2), 0.3, 0.3
    if kind == "car":
        kg = rng.uniform(950, 2100)
        front = rng.uniform(0.52, 0.62)
        return np.array([0.0, rng.uniform(2.4, 3.0)]), np.array([front, 1 - front]) * kg, 0.85, 0.95
    kg = rng.uniform(1900, 3600)
    front = rng.uniform(0.42, 0.55)
    return np.array([0.0, rng.uniform(3.1, 4.1)]), np.array([front, 1 - front]) * kg, 0.9, 1.1


def grow(rng: Rng, kind: str) -> Body:
    """A vehicle of that kind with its own dimensions, cargo and springs."""
    if kind in ("motorcycle", "car", "van"):
        places, loads, front, rear = _light(rng, kind)
        dual = (False, False)
    else:
        groups, links, tonnes = (_PLANS | _DOUBLES)[kind]
        cargo = rng.choice([rng.uniform(0, 0.1), rng.uniform(0.15, 0.85), rng.uniform(0.85, 1.0)], p=[0.3, 0.3, 0.4])
        at, where, borne = 0.0, [], []
        for g, size in enumerate(int(c) for c in groups):
            if g:
                at += rng.uniform(*links[g - 1])
            spread = _group(rng, size) if not (kind == "truck4" and g == 0) else [rng.uniform(1.7, 2.0)]
            if kind == "3s2" and g == 2 and rng.uniform() < 0.15:
                spread = [rng.uniform(2.9, 3.1)]
            low, high = tonnes[g]
            kg = 1000 * (low + (high - low) * np.clip(cargo + rng.normal(0, 0.06), 0, 1.05)) / size
            for i in range(size):
                at += spread[i - 1] if i else 0.0
                where.append(at)
                borne.append(kg * rng.uniform(0.93, 1.07))
        places, loads = np.array(where), np.array(borne)
        steering = 2 if kind == "truck4" else 1
        dual = tuple(i >= steering and rng.uniform() < 0.8 for i in range(len(loads)))
        front = rng.uniform(1.25, 1.5) if kind != "bus" else rng.uniform(2.4, 2.8)
        rear = rng.uniform(0.9, 2.6) if kind != "bus" else rng.uniform(2.6, 3.2)
    lean = rng.normal(0, 0.018)
    return Body(
        kind, places, loads, dual, front, rear, 0.5 + lean + rng.normal(0, 0.008, len(loads)),
        rng.uniform(-0.2, 0.2),
        (rng.uniform(0.3, 1.0), rng.uniform(1.6, 3.6), rng.uniform(0.2, 0.6), rng.uniform(9, 14)),
        rng.uniform(0.5, 0.8) if len(loads) == 2 else rng.uniform(1.1, 1.9), _tracks(rng, kind, dual),
    )  # fmt: skip


def _tracks(rng: Rng, kind: str, dual: tuple[bool, ...]) -> Array:
    """Cars are narrow; twin tyres have their middle further in than single ones."""
    if kind in ("car", "van", "motorcycle"):
        return np.full(len(dual), rng.uniform(1.45, 1.6) if kind == "car" else rng.uniform(1.6, 1.75))
    return np.where(dual, 1.84, 2.06) + rng.normal(0, 0.02, len(dual))


def draw(rng: Rng, mix: dict[str, float]) -> Body:
    kinds = list(mix)
    share = np.array([mix[k] for k in kinds])
    return grow(rng, str(rng.choice(kinds, p=share / share.sum())))


# ---- motions ----------------------------------------------------------------------------------------------------


@dataclass
class Motion:
    """Place of the first axle at multiples of STEP_S from `start_s` on."""

    start_s: float
    x: Array
    spline: CubicSpline = field(init=False)

    def __post_init__(self) -> None:
        self.spline = CubicSpline(self.start_s + STEP_S * np.arange(len(self.x)), self.x)

    @property
    def end_s(self) -> float:
        return self.start_s + STEP_S * (len(self.x) - 1)


def _smooth(v: Array, over_s: float) -> Array:
    kernel = np.hanning(int(over_s / STEP_S) + 2)[1:-1]
    n = len(kernel)
    return np.convolve(np.pad(v, n, mode="edge"), kernel / kernel.sum(), "same")[n:-n]


def _integrate(start_s: float, x0: float, v: Array) -> Motion:
    return Motion(start_s, x0 + np.concatenate([[0.0], np.cumsum(0.5 * (v[1:] + v[:-1]) * STEP_S)]))


def _ramp(v0: float, v1: float, a: float) -> list[float]:
    n = max(2, int(abs(v1 - v0) / a / STEP_S))
    return list(np.linspace(v0, v1, n))


def move(rng: Rng, way_m: float) -> list[float]:
    """Speeds of one move from stand to stand over `way_m` (negative: back)."""
    pull, brake = rng.uniform(0.3, 0.9), rng.uniform(0.4, 1.1)
    if way_m < 0:
        pull = brake = rng.uniform(0.15, 0.4)
    most = min(rng.uniform(1.5, 4.5), np.sqrt(2 * abs(way_m) / (1 / pull + 1 / brake)))
    ramps = most**2 * (1 / pull + 1 / brake) / 2
    v = _ramp(0, most, pull) + [most] * int(max(0.0, abs(way_m) - ramps) / most / STEP_S) + _ramp(most, 0, brake)
    return list(np.sign(way_m) * np.array(v))


def free(rng: Rng, start_s: float, x0: float, x1: float) -> Motion:
    v0, v1 = rng.uniform(8, 14), rng.uniform(8, 14)
    n = int(2.2 * (x1 - x0) / (v0 + v1) / STEP_S)
    v = np.linspace(v0, v0 + 0.3 * (v1 - v0), n)
    return _until(_integrate(start_s, x0, v), x1)


def _until(m: Motion, x1: float) -> Motion:
    reached = np.flatnonzero(m.x > x1)
    return Motion(m.start_s, m.x[: reached[0] + 1]) if len(reached) else m


def wander(low: float, high: float, every_s: float) -> Callable[[Rng, float, float, float], Motion]:
    def drive(rng: Rng, start_s: float, x0: float, x1: float) -> Motion:
        n = int(2.5 * (x1 - x0) / (0.5 * (low + high)) / every_s) + 4
        steps = np.repeat(rng.uniform(low, high, n), int(every_s / STEP_S))
        return _until(_integrate(start_s, x0, _smooth(steps, 1.2 * every_s)), x1)

    return drive


def stop_and_go(rng: Rng, start_s: float, x0: float, x1: float) -> Motion:
    v: list[float] = [0.0] * 10
    gone = 0.0
    while gone < x1 - x0:
        way = rng.uniform(2.5, 11.0)
        v += move(rng, way) + [0.0] * int(np.clip(rng.lognormal(1.6, 0.9), 1.0, 40.0) / STEP_S)
        gone += way * 0.97
    return _until(_integrate(start_s, x0, _smooth(np.array(v), 0.5)), x1)


def roll_back(rng: Rng, start_s: float, x0: float, x1: float, positions_m: Array, lines: tuple[float, ...]) -> Motion:
    """Stops with some part of it over the array, mostly a wheel on a strip, rolls back, and goes."""
    stop_at = rng.uniform(-0.3, lines[-1] + positions_m[-1] + 0.3)
    if rng.uniform() < 0.7:
        stop_at = float(rng.choice(positions_m) + rng.choice(lines) + rng.uniform(-0.2, 0.2))
    v = move(rng, stop_at - x0) + [0.0] * int(rng.uniform(1, 8) / STEP_S)
    v += move(rng, -rng.uniform(0.1, 0.6)) + [0.0] * int(rng.uniform(0.2, 2) / STEP_S)
    while sum(v) * STEP_S < x1 - x0:
        v += [*_ramp(0, rng.uniform(2, 4), rng.uniform(0.4, 0.9)), *([3.0] * 300)]
        v += [3.0] * int(max(0.0, x1 - x0 - sum(v) * STEP_S + 1.0) / 3.0 / STEP_S)
    return _until(_integrate(start_s, x0, _smooth(np.array(v), 0.4)), x1)


# ---- the array --------------------------------------------------------------------------------------------------


def table(
    lines: tuple[float, ...] = FOUR_LINES,
    *,
    angles: tuple[float, ...] = (),
    plates: bool = False,
    loop: tuple[float, float] | None = None,
    mode: str = "gap",
    tau_s: float = 0.0,
) -> config.Wim:
    """Lines of halves; `loop` is its middle and its length."""
    sensors: list[config.Sensor] = []
    for j, x in enumerate(lines):
        for side, y in (("left", (0.0, MIDDLE_M)), ("right", (MIDDLE_M, 2 * MIDDLE_M))):
            sensors.append(
                config.Sensor(
                    name=f"line{j + 1}-{side}", type="plate" if plates else "strip", channel=len(sensors), x_m=x, y_m=y,
                    width_m=0.5 if plates else 0.06, gain_n=20.0 if plates else 4.0, coupling_tau_s=tau_s,
                    angle_deg=angles[j] if angles else 0.0,
                )
            )  # fmt: skip
    if loop:
        sensors.append(
            config.Sensor(
                name="loop", type="loop", channel=len(sensors), x_m=loop[0], y_m=(0.5, 3.0), width_m=loop[1],
                threshold_counts=1000.0,
            )
        )  # fmt: skip
    return config.Wim(sample_rate_hz=RATE_HZ, mode="loop" if mode == "loop" else "gap", sensor=tuple(sensors))


@dataclass(frozen=True)
class Faults:
    reversed: int | None = None
    dead_half_way: int | None = None
    saturated: tuple[int, int] | None = None  # channel and the counts at which it ends


@dataclass
class Scene:
    """What happens over one array; `samples()` gives its recording."""

    wim: config.Wim
    bodies: list[Body]
    motions: list[Motion]
    seed: int
    roughness: float = 0.01  # relative amplitude of the springs at 10 m/s
    noise: float = 3.0
    hum: float = 2.0
    dip: float = 0.006  # of the road beside a wheel, of the pulse's peak
    faults: Faults = field(default_factory=Faults)

    @property
    def end_s(self) -> float:
        return max(m.end_s for m in self.motions) + 3.0

    def truths(self) -> list[VehicleTruth]:
        """Each vehicle in the order in which it crosses x = 0, at the first crossing of its first axle's centre."""
        found = []
        for i, (b, m) in enumerate(zip(self.bodies, self.motions, strict=True)):
            at = int(np.flatnonzero(m.x >= 0.0)[0])
            t = m.start_s + STEP_S * np.arange(len(m.x))
            crossed = float(np.interp(0.0, m.x[at - 1 : at + 1], t[at - 1 : at + 1]))
            last = float(t[int(np.flatnonzero(m.x >= b.positions_m[-1])[0])])
            axles = tuple(
                AxleTruth(float(p), float(kg), float(kg * s), float(kg * (1 - s)), d, 0)
                for p, kg, s, d in zip(b.positions_m, b.loads_kg, b.left_share, b.dual, strict=True)
            )
            found.append(
                VehicleTruth(
                    time_s=m.end_s, lane="L", vehicle=i, crossed_s=crossed, last_axle_s=last, kind=b.kind,
                    fhwa_class=15, speed_mps=0.0, first_speed_mps=0.0, length_m=b.length_m,
                    wheelbase_m=float(b.positions_m[-1]),
                    gross_kg=float(b.loads_kg.sum()), axles=axles, stopped=False, reversed=False, tag=None, plate="X",
                )
            )  # fmt: skip
        return found

    def samples(self) -> Iterator[npt.NDArray[np.int16]]:
        """Blocks of scans, in order."""
        rng = np.random.default_rng(self.seed)
        pulses = sorted(self._pulses(rng), key=lambda p: p[0])
        channels = len(self.wim.sensor)
        scans = int(self.end_s * RATE_HZ)
        base = rng.uniform(-200, 200, channels)
        loops = [s.channel for s in self.wim.sensor if s.type == "loop"]
        first = 0
        for begin in range(0, scans, BLOCK):
            n = min(BLOCK, scans - begin)
            out = np.zeros((n, channels))
            for at, channel, counts in pulses[first:]:
                if at >= begin + n:
                    break
                i0, i1 = max(at, begin), min(at + len(counts), begin + n)
                if i1 > i0:
                    out[i0 - begin : i1 - begin, channel] += counts[i0 - at : i1 - at]
            while first < len(pulses) and pulses[first][0] + len(pulses[first][2]) <= begin:
                first += 1
            t = (begin + np.arange(n)) / RATE_HZ
            knots = base + np.cumsum(rng.normal(0, 0.25, (n // 2000 + 2, channels)), axis=0)
            for c in range(channels):
                if c in loops:
                    out[:, c] = np.minimum(out[:, c], 2000.0) + rng.normal(0, 2, n)
                    continue
                wave = np.interp(np.arange(n), 2000.0 * np.arange(len(knots)), knots[:, c])
                out[:, c] += wave + self.hum * np.sin(2 * np.pi * 50.02 * t + c)
                out[:, c] += self.noise * rng.standard_normal(n, dtype=np.float32)
            base = knots[-1]
            self._break(out, begin, scans)
            yield np.clip(np.rint(out), -32768, 32767).astype(np.int16)

    def _break(self, out: Array, begin: int, scans: int) -> None:
        f = self.faults
        if f.reversed is not None:
            out[:, f.reversed] *= -1
        if f.dead_half_way is not None:
            out[max(0, scans // 2 - begin) :, f.dead_half_way] = 0
        if f.saturated is not None:
            out[:, f.saturated[0]] = np.minimum(out[:, f.saturated[0]], f.saturated[1])

    def _pulses(self, rng: Rng) -> Iterator[tuple[int, int, Array]]:
        gains = {s.channel: 1 + rng.normal(0, 0.004) for s in self.wim.sensor}
        for b, m in zip(self.bodies, self.motions, strict=True):
            t = m.start_s + STEP_S * np.arange(len(m.x))
            speed = np.gradient(m.x, STEP_S)
            pull = _smooth(np.gradient(speed, STEP_S), 0.3)
            phase = rng.uniform(0, 6.28, (len(b.loads_kg), 2))
            for s in self.wim.sensor:
                if s.type == "loop":
                    yield from self._loop(b, m, s)
                    continue
                for k, kg in enumerate(b.loads_kg):
                    for left in (True, False):
                        wheel = kg * (b.left_share[k] if left else 1 - b.left_share[k])
                        y = MIDDLE_M + b.aside_m + (-0.5 if left else 0.5) * b.track_m[k]
                        if b.kind == "motorcycle":
                            if not left:
                                continue
                            wheel, y = kg, MIDDLE_M + b.aside_m
                        yield from self._wheel(b, k, wheel, y, m, t, speed, pull, phase[k], s, gains[s.channel])

    def _wheel(
        self, b: Body, k: int, kg: float, y: float, m: Motion, t: Array, speed: Array, pull: Array, phase: Array,
        s: config.Sensor, gain: float,
    ) -> Iterator[tuple[int, int, Array]]:  # fmt: skip
        assert s.y_m is not None
        assert s.width_m is not None
        assert s.gain_n is not None
        tyres = [y - 0.17, y + 0.17] if b.dual[k] else [y]
        wide = 0.21 if b.dual[k] else (0.1 if b.kind == "motorcycle" else (0.19 if kg < 1200 else 0.27))
        long = 0.11 + 0.11 * (min(kg / len(tyres), 3500.0) / 3000.0) ** 0.7
        slope = float(np.tan(np.radians(s.angle_deg)))
        slices = [(c, wide / 5) for tyre in tyres for c in tyre + wide * (np.arange(5) - 2) / 5]
        on = [(c, w) for c, w in slices if s.y_m[0] <= c < s.y_m[1]]
        if not on:
            return
        middle = 0.5 * (s.y_m[0] + s.y_m[1])
        reach = 0.5 * (long + s.width_m) + abs(slope) * (max(abs(c - middle) for c, _ in on)) + 0.45
        near = np.abs(m.x - b.positions_m[k] - s.x_m) < reach
        edges = np.flatnonzero(np.diff(np.concatenate([[False], near, [False]]).astype(int)))
        for i0, i1 in zip(edges[::2], edges[1::2], strict=True):
            a, z = max(0, i0 - 1), min(len(m.x) - 1, i1)
            n0, n1 = int(np.ceil(t[a] * RATE_HZ)), int(t[z] * RATE_HZ)
            if n1 <= n0:
                continue
            at = np.arange(n0, n1) / RATE_HZ
            x = m.spline(at) - b.positions_m[k] - s.x_m
            share = sum(
                w * _covered(x - slope * (c - middle), long, s.width_m, b.tilt) for c, w in on
            ) / sum(w for _, w in slices)  # fmt: skip
            v = np.interp(at, t, speed)
            move = self.roughness * np.clip(np.abs(v) / 10.0, 0, 1.5)
            spring = b.bounce[0] * np.sin(6.283 * b.bounce[1] * at + phase[0])
            spring = spring + b.bounce[2] * np.sin(6.283 * b.bounce[3] * at + phase[1])
            shift = self._transfer(b, k) * np.interp(at, t, pull)
            if s.type == "strip":
                beyond = np.abs(x - slope * (y - middle)) - 0.5 * (long + s.width_m)
                share = share - self.dip * min(1.0, s.width_m / long) * np.where(
                    (beyond > 0) & (beyond < 0.4), np.sin(np.pi * np.clip(beyond / 0.4, 0, 1)), 0.0
                )
            force = G * kg * (1 + move * spring + shift) * share
            yield n0, s.channel, gain * force / s.gain_n

    @staticmethod
    def _transfer(b: Body, k: int) -> float:
        """Relative change of an axle's load for 1 m/s2 of pull: the front is relieved, the rear half gains."""
        total, base = b.loads_kg.sum(), max(2.0, b.positions_m[-1])
        moved = 0.35 * total * b.height_m / base / G
        return float((-moved if k == 0 else moved * b.loads_kg[k] / b.loads_kg[1:].sum()) / b.loads_kg[k])

    @staticmethod
    def _loop(b: Body, m: Motion, s: config.Sensor) -> Iterator[tuple[int, int, Array]]:
        """Metal over a loop: the field reaches 0.35 m beyond its wires on both sides."""
        assert s.width_m is not None
        half = 0.5 * s.width_m + 0.35
        over = (m.x + b.front_m > s.x_m - half) & (m.x - b.positions_m[-1] - b.rear_m < s.x_m + half)
        at = np.flatnonzero(over)
        if len(at):
            n0, n1 = (int((m.start_s + STEP_S * i) * RATE_HZ) for i in (at[0], at[-1]))
            yield n0, s.channel, np.full(n1 - n0, 2000.0)


def _covered(x: Array, long: float, width: float, tilt: float) -> Array:
    """Share of a slice's force on a sensor of that width whose middle the wheel's centre is x beyond: a plateau of
    pressure with cosine ends over a quarter of the print, leaning by `tilt`."""
    u = np.linspace(-1, 1, 201)
    q = np.where(np.abs(u) < 0.5, 1.0, 0.5 * (1 + np.cos(np.pi * (np.abs(u) - 0.5) / 0.5))) * (1 + tilt * u)
    q = q / q.sum()
    centre = float((q * u).sum())
    filled = np.concatenate([[0.0], np.cumsum(0.5 * (q[1:] + q[:-1]))])
    filled = filled / filled[-1]
    at = 0.5 * long * (u - centre)
    high = np.interp(width / 2 - x, at, filled, left=0.0, right=1.0)
    low = np.interp(-width / 2 - x, at, filled, left=0.0, right=1.0)
    return np.asarray(high - low, np.float64)


# ---- scenes -----------------------------------------------------------------------------------------------------

Drive = Callable[[Rng, float, float, float], Motion]


def one_by_one(
    rng: Rng, bodies: list[Body], drive: Drive, lines: tuple[float, ...], *, apart_s: float, back: bool = False
) -> list[Motion]:
    """Each vehicle comes when the one before has left."""
    motions, at = [], 1.0
    for b in bodies:
        x0 = -rng.uniform(3.0, 6.0) - b.front_m
        x1 = lines[-1] + b.positions_m[-1] + b.rear_m + 2.0
        m = roll_back(rng, at, x0, x1, b.positions_m, lines) if back else drive(rng, at, x0, x1)
        motions.append(m)
        at = m.end_s + apart_s * rng.uniform(0.5, 1.5)
    return motions


def platoons(
    rng: Rng, bodies: list[Body], drive: Drive, last_x_m: float, gap_m: tuple[float, float], most: int = 8
) -> list[Motion]:
    """Rows of vehicles, bumper to bumper, that move as one body; some seconds between the rows."""
    motions: list[Motion] = []
    at, i = 1.0, 0
    while i < len(bodies):
        row = bodies[i : i + int(rng.integers(3, most + 1))]
        i += len(row)
        back, offsets = 0.0, []
        for k, b in enumerate(row):
            back += b.front_m if k else 0.0
            offsets.append(back)
            back += b.positions_m[-1] + b.rear_m + rng.uniform(*gap_m)
        m = drive(rng, at, -5.0 - row[0].front_m, last_x_m + back + 2.0)
        for b, off in zip(row, offsets, strict=True):
            x = m.x - off
            keep = (x > -8.0 - b.front_m) & (x < last_x_m + b.positions_m[-1] + b.rear_m + 3.0)
            where = np.flatnonzero(keep)
            motions.append(Motion(m.start_s + STEP_S * int(where[0]), x[where[0] : where[-1] + 1]))
        at = m.end_s + rng.uniform(5, 15)
    return motions
