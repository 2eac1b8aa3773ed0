"""The estimator as plain slow NumPy, for steady forward motion: no streaming, no alignment by cost, no envelope.

`tests/core/test_reference.py` compares the C core with it on random vehicles. It takes the whole recording of one
vehicle and does the same things in the simplest way: baseline by the median, wheels by a threshold, one smooth motion
by dense least squares in which every level of every flank has an offset of its own, loads as integrals over the way.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge import config

Array = npt.NDArray[np.float64]
LEVELS = (0.2, 0.4, 0.6, 0.8)
G = 9.80665


def _wheels(x: Array, noise: float) -> list[tuple[int, int]]:
    """First and last sample of each stretch above the threshold, with a flank's length added on both sides."""
    on = np.convolve(x, np.ones(5) / 5, mode="same") > 10 * noise
    edges = np.flatnonzero(np.diff(on.astype(int)))
    found = []
    for a, b in edges.reshape(-1, 2):
        if b - a > 20:
            pad = (b - a) // 3 + 2
            found.append((max(0, a - pad), min(len(x) - 1, b + pad)))
    return found


def _crossings(x: Array, a: int, b: int) -> list[float]:
    y = np.convolve(x, np.ones(3) / 3, mode="same")[a : b + 1]
    top = np.sort(y)[-max(3, len(y) // 12) :].mean()
    times = []
    for q in LEVELS:
        i = int(np.argmax(y > q * top))
        times.append(a + i - (y[i] - q * top) / (y[i] - y[i - 1]))
    for q in LEVELS:
        i = len(y) - 1 - int(np.argmax(y[::-1] > q * top))
        times.append(a + i + (y[i] - q * top) / (y[i] - y[i + 1]))
    return times


def weigh(samples: npt.NDArray[np.int16], wim: config.Wim) -> tuple[Array, Array]:
    """Positions and loads of the axles of the one vehicle in the recording."""
    rate = wim.sample_rate_hz
    strips = [s for s in wim.sensor if s.type == "strip"]
    force: list[Array] = []
    wheels: list[list[tuple[int, int]]] = []
    for s in strips:
        x = samples[:, s.channel].astype(float)
        x -= np.median(x)
        noise = 1.48 * float(np.median(np.abs(x)))
        force.append(x)
        wheels.append(_wheels(x, max(noise, 0.7)))
    axles = len(wheels[0])
    assert all(len(w) == axles for w in wheels), "the reference knows no missed wheels"

    # x(t) = sum of cubic B-splines on uniform knots; row: value at t minus the unknown offset of its set.
    t0 = min(w[0][0] for w in wheels) / rate - 0.05
    t1 = max(w[-1][1] for w in wheels) / rate + 0.05
    n = max(8, int((t1 - t0) / 0.25) + 4)
    step = (t1 - t0) / (n - 3)

    def basis(t: Array) -> Array:
        u = (np.asarray(t)[:, None] - t0) / step - (np.arange(n)[None, :] - 3) - 2
        u = np.abs(u)
        return np.where(u < 1, (4 - 6 * u**2 + 3 * u**3) / 6, np.where(u < 2, (2 - u) ** 3 / 6, 0.0))

    times, places, sets = [], [], []
    for i, s in enumerate(strips):
        side = round(float(s.y_m[0] if s.y_m else 0.0), 2)
        for k, (a, b) in enumerate(wheels[i]):
            for q, at in enumerate(_crossings(force[i], a, b)):
                times.append(at / rate)
                places.append(s.x_m)
                sets.append((k, side, q))
    names = sorted(set(sets))
    rows = np.zeros((len(times), n + len(names)))
    rows[:, :n] = basis(np.array(times))
    for r, name in enumerate(sets):
        rows[r, n + names.index(name)] = -1.0
    jerk = np.zeros((n - 3, n + len(names)))
    for i in range(n - 3):
        jerk[i, i : i + 4] = np.array([-1, 3, -3, 1]) * 0.02
    pin = np.zeros((1, n + len(names)))
    pin[0, 0] = 1.0
    left = np.concatenate([rows / 0.001, jerk / 0.001, pin])
    right = np.concatenate([np.array(places) / 0.001, np.zeros(len(jerk) + 1)])
    c = np.linalg.lstsq(left, right, rcond=None)[0][:n]

    loads = np.zeros((axles, len(strips)))
    centres = np.zeros((axles, len(strips)))
    for i, s in enumerate(strips):
        assert s.width_m
        assert s.gain_n
        for k, (a, b) in enumerate(wheels[i]):
            place = basis((np.arange(a, b + 2) - 0.5) / rate) @ c
            ahead = max(0, a - 100)
            behind = force[i][b + 1 : b + 101]
            base = np.median(np.concatenate([force[i][ahead:a], behind]))
            f = force[i][a : b + 1] - base
            loads[k, i] = np.sum(f * np.diff(place)) * s.gain_n / s.width_m / G
            middle = 0.5 * (place[1:] + place[:-1])
            centres[k, i] = np.sum(f * np.diff(place) * middle) / np.sum(f * np.diff(place)) - s.x_m
    lines = sorted({s.x_m for s in strips})
    by_line = np.stack([loads[:, [i for i, s in enumerate(strips) if s.x_m == x]].sum(axis=1) for x in lines], axis=1)
    position = np.median(centres, axis=1)
    return position - position[0], by_line.mean(axis=1)
