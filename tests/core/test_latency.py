"""How soon a vehicle is told: in scans of the stream, after what proves that it is whole."""

from __future__ import annotations

import numpy as np
import pytest

from edge.core import Wim
from tests.core import regimes, world

RATE_HZ = 5000.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_vehicle_is_told_as_soon_as_the_loop_behind_the_array_lets_it_go(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wim = world.array(rng, 4, loop=(6.0, 2.0), mode="loop")
    cars, scans = regimes.free_flow(rng, wim, 6, (10, 40))
    samples = world.Scene(wim, cars, scans + 5000, dynamics=0.01).render()
    on = samples[:, -1] > 0.9 * 1000
    released = np.flatnonzero(on[:-1] & ~on[1:])
    core, told, step = Wim(wim), [], 8
    for i in range(0, len(samples), step):
        told += [i + step] * len(core.push(samples[i : i + step]))
    assert len(told) == len(cars)
    for scan in told:
        before = released[released < scan]
        # It settles for 15 ms; then the frame must be full, and its successor (12.8 ms each).
        assert len(before)
        assert 15 <= (scan - before[-1]) / RATE_HZ * 1e3 <= 15 + 2 * 12.8 + 1.6 + 1e-6
