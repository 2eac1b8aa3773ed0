"""The C core against the plain NumPy estimator on random vehicles."""

from __future__ import annotations

import numpy as np
import pytest

from tests.core import reference, regimes, world
from tests.core.world import Scene


@pytest.mark.parametrize("seed", range(12))
def test_the_core_agrees_with_the_reference(seed: int) -> None:
    rng = np.random.default_rng(1000 + seed)
    wim = world.array(rng, int(rng.integers(2, 6)), halves=bool(rng.integers(2)))
    kmh = (8, 25) if seed % 2 else (25, 60)
    scene = Scene(wim, *regimes.free_flow(rng, wim, 1, kmh), seed=seed, drift=0.1)
    found = regimes.measure(scene)
    assert len(found) == 1
    positions_m, loads_kg = reference.weigh(scene.render(), wim)
    assert len(loads_kg) == len(found[0].axles)
    assert [a.load_kg for a in found[0].axles] == pytest.approx(loads_kg, rel=0.012, abs=3)
    assert [a.position_m for a in found[0].axles] == pytest.approx(positions_m, abs=0.05)
    assert found[0].gross_kg == pytest.approx(loads_kg.sum(), rel=0.008)
