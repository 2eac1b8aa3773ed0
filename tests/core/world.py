"""A small world that makes recordings for the tests of the weighing core: vehicles, motions, sensors, faults.

Comes in: a scene (array, vehicles with their motions, sensor behaviour). Goes out: int16 samples and the truth.
It knows the contract's definition of a recording and shares no formula with the estimator: forces are made from
pressure profiles that are summed over the strip, motions from accelerations that are summed over time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge import config

G = 9.80665
Array = npt.NDArray[np.float64]

# name: axle spacings, share of the gross weight by axle, gross range, front and rear overhang, length of contact scale
KINDS: dict[str, tuple[tuple[float, ...], tuple[float, ...], tuple[float, float], float, float]] = {
    "motorcycle": ((1.45,), (0.45, 0.55), (210, 340), 0.35, 0.35),
    "car": ((2.7,), (0.57, 0.43), (1000, 2300), 0.85, 0.95),
    "pickup_trailer": ((3.5, 4.6, 0.85), (0.33, 0.38, 0.15, 0.14), (2800, 4500), 0.9, 1.4),
    "van": ((3.6,), (0.45, 0.55), (2000, 3500), 0.9, 1.2),
    "bus": ((6.1, 1.4), (0.36, 0.42, 0.22), (13000, 22000), 2.6, 2.9),
    "truck2": ((4.6,), (0.38, 0.62), (6000, 17000), 1.35, 2.0),
    "truck3": ((4.5, 1.35), (0.30, 0.36, 0.34), (10000, 26000), 1.35, 2.2),
    "3s2": ((5.2, 1.32, 9.8, 1.25), (0.15, 0.22, 0.21, 0.21, 0.21), (14500, 36500), 1.2, 1.4),
    "t2s3": ((3.75, 5.7, 1.31, 1.31), (0.18, 0.27, 0.19, 0.18, 0.18), (15000, 40000), 1.4, 2.6),
    "t2s2": ((3.7, 7.2, 1.8), (0.2, 0.3, 0.25, 0.25), (14000, 34000), 1.4, 2.4),
    "1211": ((4.9, 1.35, 4.6, 5.0), (0.18, 0.24, 0.18, 0.2, 0.2), (16000, 38000), 1.35, 1.6),
    "b8": (
        (5.0, 1.35, 5.6, 1.4, 1.4, 6.2, 1.3), (0.1, 0.14, 0.14, 0.12, 0.12, 0.12, 0.13, 0.13),
        (24000, 62000), 1.2, 1.4,
    ),
    "long12": (
        (4.4, 1.4, 1.4, 4.8, 1.3, 1.3, 5.4, 1.3, 1.3, 5.8, 1.3),
        (0.08, 0.1, 0.09, 0.09, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08),
        (40000, 90000), 1.2, 1.4,
    ),
}  # fmt: skip
TRUCKS = ("truck2", "truck3", "3s2", "t2s3", "t2s2", "1211", "bus", "3s2", "t2s3", "b8")
MIX = (*TRUCKS, "car", "van", "car", "pickup_trailer", "long12")


@dataclass
class Vehicle:
    kind: str
    positions_m: Array  # of the axles, from the first, backwards
    loads_kg: Array
    front_m: float
    rear_m: float
    left_share: Array
    contact_m: Array
    exponent: float
    lean: float
    right_exponent: float | None = None  # of the tyres on the right, where their pressure has another shape
    x: Array = field(default_factory=lambda: np.zeros(0))  # place of the first axle at each scan from `start`
    start: int = 0

    @property
    def length_m(self) -> float:
        return float(self.front_m + self.positions_m[-1] + self.rear_m)


def make_vehicle(rng: np.random.Generator, kind: str) -> Vehicle:
    spacings, shares, gross, front, rear = KINDS[kind]
    s = np.array(spacings) * rng.uniform(0.95, 1.07, len(spacings))
    share = np.array(shares) * rng.uniform(0.88, 1.12, len(shares))
    kg = rng.uniform(*gross) * share / share.sum()
    per_tyre = kg / np.where(kg > 6000, 4, 2)
    contact = np.clip(0.2 * (per_tyre / 2500) ** rng.uniform(0.3, 0.6) * rng.uniform(0.85, 1.2), 0.08, 0.33)
    return Vehicle(
        kind,
        np.concatenate([[0.0], np.cumsum(s)]),
        kg,
        front * rng.uniform(0.8, 1.25),
        rear * rng.uniform(0.8, 1.25),
        0.5 + rng.normal(0, 0.02) + rng.normal(0, 0.008, len(kg)),
        contact,
        rng.uniform(2.5, 8.0),
        rng.uniform(-0.15, 0.15),
    )


class Profile:
    """Share of a wheel's load that lies before a place, for a tyre pressure 1 - |2 s / l|^p that leans a little."""

    def __init__(self, length_m: float, exponent: float, lean: float) -> None:
        self.s = np.linspace(-length_m / 2, length_m / 2, 401)
        u = 2 * self.s / length_m
        q = np.clip(1 - np.abs(u) ** exponent, 0, None) * (1 + lean * u)
        c = np.concatenate([[0.0], np.cumsum(0.5 * (q[1:] + q[:-1]))])
        self.c = c / c[-1]
        middle = np.interp(0.5, self.c, self.s)  # its centre of force, nearly
        self.s = self.s - np.trapezoid(q * self.s, self.s) / np.trapezoid(q, self.s) + 0 * middle

    def over(self, x: Array, width_m: float) -> Array:
        """Share of the load on a strip of that width whose centre is x behind the wheel's centre."""
        hi = np.interp(-x + width_m / 2, self.s, self.c, left=0, right=1)
        lo = np.interp(-x - width_m / 2, self.s, self.c, left=0, right=1)
        return hi - lo


@dataclass
class Scene:
    wim: config.Wim
    vehicles: list[Vehicle]
    scans: int
    seed: int = 0
    noise: float = 1.5
    drift: float = 0.3  # random walk, counts in the root of a second
    drift_sine: float = 0.0
    hum: float = 0.0
    hum_hz: float = 50.0
    spikes_per_s: float = 0.0
    dynamics: float = 0.0  # rms of the bounce, relative
    hop: float = 0.0
    line_gain: float = 0.0  # unknown calibration error of each line, rms
    skew_m: float = 0.01  # of the right wheel against the left one
    loop: str = "coverage"  # coverage | presence
    dead: tuple[int, ...] = ()
    reversed: tuple[int, ...] = ()
    height_m: float = 0.0  # of the centre of gravity: what braking and pulling move between first and last axles
    bow_wave: float = 0.0  # depth of the road's dip beside a wheel, of the peak

    def render(self) -> npt.NDArray[np.int16]:
        rng = np.random.default_rng(self.seed)
        sensors = self.wim.sensor
        rate = self.wim.sample_rate_hz
        t = np.arange(self.scans) / rate
        out = np.zeros((self.scans, max(s.channel for s in sensors) + 1), np.float64)
        gains = {round(s.x_m, 3): 1 + rng.normal(0, self.line_gain) for s in sensors}
        for v in self.vehicles:
            f1, f2 = rng.uniform(1.5, 4.0), rng.uniform(8, 15)
            phase = rng.uniform(0, 6.28, len(v.loads_kg))
            phase2 = rng.uniform(0, 6.28, len(v.loads_kg))
            scale = rng.uniform(0.7, 1.3)
            skew = rng.normal(0, self.skew_m)
            moved_kg = self._moved_kg(v)
            for k, kg in enumerate(v.loads_kg):
                profiles = [Profile(v.contact_m[k], p, v.lean) for p in (v.exponent, v.right_exponent or v.exponent)]
                xk = v.x - v.positions_m[k]
                for s in sensors:
                    if s.type == "loop":
                        continue
                    assert s.width_m
                    assert s.gain_n
                    assert s.y_m
                    halves = any(o is not s and o.type != "loop" and abs(o.x_m - s.x_m) < 0.02 for o in sensors)
                    left = s.y_m[0] < 1.0
                    share = 1.0 if not halves else (v.left_share[k] if left else 1 - v.left_share[k])
                    off = xk - s.x_m + (skew if halves and not left else 0.0)
                    near = np.flatnonzero(np.abs(off) < 0.5 * (v.contact_m[k] + s.width_m) + 0.01)
                    if not len(near):
                        continue
                    i0, i1 = near[0], near[-1] + 1
                    ts = t[v.start + i0 : v.start + i1]
                    dyn = (
                        1
                        + self.dynamics * scale * np.sqrt(2) * np.sin(2 * np.pi * f1 * ts + phase[k])
                        + self.hop * scale * np.sqrt(2) * np.sin(2 * np.pi * f2 * ts + phase2[k])
                    )
                    borne = kg * dyn + moved_kg[k, i0:i1]
                    force = (
                        borne
                        * G
                        * share
                        * profiles[halves and not left].over(off[i0:i1], s.width_m)
                        * gains[round(s.x_m, 3)]
                    )
                    out[v.start + i0 : v.start + i1, s.channel] += force / s.gain_n
                    if self.bow_wave:
                        foot = 0.5 * (v.contact_m[k] + s.width_m)
                        ahead = np.clip(np.abs(off) - foot, 0, None) / 0.1
                        dip = np.where(ahead < 5, ahead * np.exp(1 - ahead), 0.0)
                        out[v.start : v.start + len(v.x), s.channel] -= self.bow_wave * force.max() / s.gain_n * dip
            for s in sensors:
                if s.type != "loop":
                    continue
                assert s.width_m
                assert s.threshold_counts is not None
                front, back = v.x + v.front_m, v.x - v.positions_m[-1] - v.rear_m
                over = np.clip(
                    np.minimum(front, s.x_m + s.width_m / 2) - np.maximum(back, s.x_m - s.width_m / 2), 0, None
                )
                level = over / s.width_m if self.loop == "coverage" else (over > 0.05).astype(float)
                span = slice(v.start, v.start + len(v.x))
                if self.loop == "coverage":
                    out[span, s.channel] += 2.0 * s.threshold_counts * level
                else:
                    out[span, s.channel] = np.maximum(out[span, s.channel], 2.0 * s.threshold_counts * level)
        for s in sensors:
            c = s.channel
            if s.type == "loop":
                out[:, c] += rng.normal(0, 1, self.scans)
                continue
            out[:, c] *= 1 + s.temp_coeff_per_c * (self.wim.temperature_c - s.reference_temperature_c)
            if s.coupling_tau_s > 0:
                # First-order high-pass, stepped exactly for a signal held over a sample.
                a = np.exp(-1 / (rate * s.coupling_tau_s))
                out[:, c] = _high_pass(out[:, c], a)
            if c in self.reversed:
                out[:, c] *= -1
            if c in self.dead:
                out[:, c] = 0
            walk = np.cumsum(rng.normal(0, self.drift / np.sqrt(rate), self.scans))
            walk += self.drift_sine * np.sin(2 * np.pi * t / rng.uniform(4, 9) + rng.uniform(0, 6))
            out[:, c] += rng.uniform(-300, 300) + walk
            out[:, c] += self.hum * np.sin(2 * np.pi * self.hum_hz * t + rng.uniform(0, 6))
            out[:, c] += rng.normal(0, self.noise, self.scans)
            for at in rng.integers(0, self.scans - 4, rng.poisson(self.spikes_per_s * self.scans / rate)):
                out[at : at + rng.integers(1, 4), c] += rng.choice([-1, 1]) * rng.uniform(200, 6000)
        return np.clip(np.rint(out), -32768, 32767).astype(np.int16)

    def _moved_kg(self, v: Vehicle) -> Array:
        """What a rigid vehicle's acceleration adds to its axles, shape (axles, scans): the first against the rest."""
        moved = np.zeros((len(v.loads_kg), len(v.x)))
        if self.height_m:
            rate = self.wim.sample_rate_hz
            kernel = np.hanning(int(0.4 * rate))
            speed = np.convolve(
                np.gradient(np.pad(v.x, len(kernel), mode="edge")) * rate, kernel / kernel.sum(), "same"
            )
            pull = np.gradient(speed)[len(kernel) : -len(kernel)] * rate
            base = v.positions_m[1:].mean()
            moved[0] = -v.loads_kg.sum() * self.height_m * pull / base / G
            moved[1:] = -moved[0] / (len(v.loads_kg) - 1)
        return moved


def _high_pass(x: Array, a: float) -> Array:
    from scipy.signal import lfilter

    return np.asarray(lfilter([1, -1], [1, -a], x), np.float64)


def array(
    rng: np.random.Generator,
    lines: int = 4,
    *,
    rate_hz: float = 5000.0,
    halves: bool = True,
    tau_s: float = 0.0,
    loop: tuple[float, float] | None = None,
    spacing: tuple[float, float] = (0.7, 2.0),
    mode: str = "gap",
    width_m: float = 0.053,
    extra: int = 0,
) -> config.Wim:
    """A sensor table with lines at random places from x = 0."""
    x = np.concatenate([[0.0], np.cumsum(rng.uniform(*spacing, lines - 1))]).round(3)
    sensors = []
    for j, xj in enumerate(x):
        for side, y in (("left", (0.0, 1.75)), ("right", (1.75, 3.5))) if halves else (("full", (0.0, 3.5)),):
            sensors.append(
                config.Sensor(
                    name=f"line{j + 1}-{side}", type="strip", channel=len(sensors), x_m=float(xj), y_m=y,
                    width_m=width_m, gain_n=4.0, coupling_tau_s=tau_s,
                )
            )  # fmt: skip
    if loop:
        sensors.append(
            config.Sensor(
                name="loop", type="loop", channel=len(sensors) + extra, x_m=loop[0], y_m=(0.5, 3.0), width_m=loop[1],
                threshold_counts=1000.0,
            )
        )  # fmt: skip
    return config.Wim(sample_rate_hz=rate_hz, mode="loop" if loop and mode == "loop" else "gap", sensor=tuple(sensors))


def drive(
    rate_hz: float, x0: float, x1: float, speed_of: Callable[[float, float], float], most_s: float = 900.0
) -> Array:
    """Places at each scan from x0 until x1 is passed; `speed_of(x, t)` is what the driver wants, reached with
    bounded acceleration that itself changes smoothly."""
    dt, fine = 0.01, []
    x, v, a, t = x0, speed_of(x0, 0.0), 0.0, 0.0
    while x < x1 and t < most_s:
        fine.append(x)
        want = float(np.clip((speed_of(x, t) - v) / 0.6, -2.2, 1.1))
        a += float(np.clip(want - a, -4.0 * dt, 3.0 * dt))
        v_next = max(0.0, v + a * dt)
        if v_next == 0.0:
            a = max(a, 0.0)
        x += 0.5 * (v + v_next) * dt
        v = v_next
        t += dt
    places = np.array(fine)
    times = np.arange(0, t - 2 * dt, 1 / rate_hz)
    from scipy.interpolate import PchipInterpolator

    return np.asarray(PchipInterpolator(np.arange(len(places)) * dt, places)(times), np.float64)
