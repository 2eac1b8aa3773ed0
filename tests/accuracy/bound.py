"""What lines can tell of a static load on a rough road, at best: `python -m tests.accuracy.bound`.

The dynamic force of a quarter vehicle on a road of ISO 8608 (displacement spectrum n^-2) has a known spectrum; so the
errors of lines at known places, passed at a known speed, have a known covariance. The best linear unbiased mean then
has the variance 1 / (1' C^-1 1); nothing linear that looks at one axle alone is better. Prints, for a dynamic variation
of 1, the deviation of that mean and of the plain mean.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tests.accuracy.regimes import FOUR_LINES

Floats = npt.NDArray[np.float64]
# sprung kg, unsprung kg, spring N/m, damper N s/m, tyre N/m of a wheel end: plausible, no measured vehicle
WHEELS = {
    "laden, drive axle": (4200.0, 550.0, 3.5e5, 2.4e4, 1.9e6),
    "empty, trailer axle": (1100.0, 430.0, 3.0e5, 1.3e4, 1.8e6),
}
ENVELOPE_M = 0.24  # a tyre averages the road over its footprint


def force_spectrum(wheel: tuple[float, ...], hz: Floats, speed_mps: float) -> Floats:
    """Of the tyre force, up to a factor."""
    sprung, unsprung, spring, damper, tyre = wheel
    s = 2j * np.pi * hz
    link = spring + damper * s
    body = sprung * s**2 + link
    axle = unsprung * s**2 + link + tyre - link**2 / body
    road = np.sinc(ENVELOPE_M * hz / speed_mps) / hz  # amplitude, from a spectrum that falls with the square
    return np.asarray(np.abs(tyre * (1 - tyre / axle) * road) ** 2)


def deviations(wheel: tuple[float, ...], lines_m: tuple[float, ...], speed_mps: float) -> tuple[float, float]:
    """Of the best and of the plain mean over lines, for a dynamic variation of 1."""
    hz = np.linspace(0.1, 40.0, 4000)
    spectrum = force_spectrum(wheel, hz, speed_mps)
    lag_s = np.abs(np.subtract.outer(lines_m, lines_m)) / speed_mps
    covariance = (np.cos(2 * np.pi * hz * lag_s[..., None]) * spectrum).sum(axis=2) / spectrum.sum()
    n = len(lines_m)
    best = 1 / np.linalg.solve(covariance + 1e-6 * np.eye(n), np.ones(n)).sum()
    return float(np.sqrt(best)), float(np.sqrt(covariance.mean()))


def main() -> None:
    for name, wheel in WHEELS.items():
        for kmh in (20, 30, 40, 50, 80):
            best, plain = deviations(wheel, FOUR_LINES, kmh / 3.6)
            print(f"{name:20s} {kmh:3d} km/h  best {best:.2f}  plain {plain:.2f}")


if __name__ == "__main__":
    main()
