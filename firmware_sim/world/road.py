"""The road surface before and under an array: heights of both wheel tracks. Called once for each lane by `wheels.py`.

Random profile with the displacement spectrum of ISO 8608, G(n) = G(n0) (n / n0)^-2 with n0 = 0.1 cycles/m, as a sum of
cosines with random phases. The two tracks share the long waves and differ in the short ones. Values of G(n0) are the
geometric means of the classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firmware_sim.scenario import Road

_G0_M3 = {"A": 16e-6, "B": 64e-6, "C": 256e-6, "D": 1024e-6}
_N0 = 0.1
_SHARED_BELOW = 0.3  # cycles/m: longer waves are common to both tracks
STEP_M = 0.02
_ENVELOPE_M = 0.24  # a tyre averages over about its footprint

Floats = npt.NDArray[np.float64]


def profile(road: Road, start_m: float, end_m: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Places (points,) and heights in metres (2, points), left track first, as a tyre feels them.

    The profile is anchored at its own start; a road shorter than its longest wave has only a part of that wave.
    """
    x = np.arange(start_m, end_m, STEP_M)
    n = np.geomspace(0.02, 4.0, 240)
    roughness_m3 = _G0_M3[road.iso_class] if road.roughness_m3 is None else road.roughness_m3
    amplitude = np.sqrt(2 * roughness_m3 * (n / _N0) ** -2 * np.gradient(n))
    phases = rng.uniform(0, 2 * np.pi, size=(2, n.size))
    phases[1, n < _SHARED_BELOW] = phases[0, n < _SHARED_BELOW]
    heights = np.empty((2, x.size))
    for side in range(2):
        heights[side] = np.cos(2 * np.pi * np.outer(x, n) + phases[side]) @ amplitude
    heights += road.step_m * (x > -0.5)
    window = np.ones(max(1, round(_ENVELOPE_M / STEP_M)))
    window /= window.size
    for side in range(2):
        padded = np.pad(heights[side], window.size, mode="edge")
        heights[side] = np.convolve(padded, window, mode="same")[window.size : -window.size]
    return x, heights
