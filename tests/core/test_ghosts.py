"""What is no wheel but stands out of the noise for a moment: it must not come to be, nor keep lines out of step."""

from __future__ import annotations

import numpy as np
import pytest

from edge.core import Wim, WimVehicle
from tests.core import regimes, world
from tests.core.world import Scene

RATE_HZ = 5000.0
KINDS = ("truck2", "3s2", "truck2", "bus", "3s2", "truck2")


def slow_trucks() -> tuple[Scene, np.ndarray]:
    """Two lines; a vehicle every 5 s or so, at walking pace."""
    rng = np.random.default_rng(5)
    wim = world.array(rng, 2, spacing=(1.6, 1.601))
    vehicles = [world.make_vehicle(rng, kind) for kind in KINDS]
    at = RATE_HZ
    for v in vehicles:
        v.x = world.drive(RATE_HZ, -v.front_m - 1.0, 1.6 + v.length_m + 1.0, lambda x, t: 2.0)
        v.start = int(at)
        at += len(v.x) + 3.0 * RATE_HZ
    scene = Scene(wim, vehicles, int(at), seed=1, noise=3.0, bow_wave=0.006)
    return scene, scene.render().astype(np.float64)


def weigh(scene: Scene, samples: np.ndarray) -> list[WimVehicle]:
    core = Wim(scene.wim)
    return core.push(np.clip(np.rint(samples), -32768, 32767).astype(np.int16)) + core.finish()


def crossing(scene: Scene, vehicle: int, axle: int) -> int:
    """Scan at which the axle is over the first line."""
    v = scene.vehicles[vehicle]
    return v.start + int(np.searchsorted(v.x, v.positions_m[axle]))


@pytest.mark.parametrize("ghosts", [0, 1, 3])
def test_faint_passes_on_one_line_keep_nobody_out_of_step(ghosts: int) -> None:
    scene, samples = slow_trucks()
    at = crossing(scene, 1, 0) + 1200
    for k in range(ghosts):
        samples[at + 400 * k : at + 400 * k + 120, 0] += 40.0
    result = regimes.Result("ghosts")
    regimes.compare(result, scene, weigh(scene, samples))
    assert (result.axles_right, result.invented) == (len(KINDS), 0)
    assert np.abs(result.gross).max() < 0.04, result.worst


def lean(scene: Scene, samples: np.ndarray, counts: float, stand_s: float) -> np.ndarray:
    """The second vehicle stands behind its first crossing; that wheel still bears a little on the first line."""
    begin, n, off = crossing(scene, 1, 0) + 350, int(stand_s * RATE_HZ), 3000
    still = samples[begin - 3000 : begin - 2000].mean(0) + np.random.default_rng(2).normal(0, 3.0, (n, 4))
    longer = np.concatenate([samples[:begin], still, samples[begin:]])
    share = np.concatenate([np.linspace(0, 1, 500), np.ones(n), 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, off))])
    longer[begin - 500 : begin + n + off, 0] += counts * share
    longer[begin - 500 : begin + n + off, 1] += 0.6 * counts * share
    return longer


@pytest.mark.parametrize("counts", [0.0, 40.0, 60.0, 90.0, 150.0])
@pytest.mark.parametrize("stand_s", [1.0, 1.5, 2.5, 3.0, 4.0])
def test_a_wheel_that_leans_on_an_edge_for_seconds_leaves_no_ghosts(counts: float, stand_s: float) -> None:
    scene, samples = slow_trucks()
    found = weigh(scene, lean(scene, samples, counts, stand_s))
    assert [len(vehicle.axles) for vehicle in found] == [len(v.loads_kg) for v in scene.vehicles]


def blind(scene: Scene, samples: np.ndarray, vehicle: int, axle: int, line: int) -> np.ndarray:
    """One line does not see one of the wheels."""
    v, without = scene.vehicles[vehicle], samples.copy()
    begin, end = (v.start + int(np.searchsorted(v.x, v.positions_m[axle] + 1.6 * line + off)) for off in (-0.35, 0.35))
    for channel in (2 * line, 2 * line + 1):
        level = samples[[begin - 1, end], channel]
        still = np.random.default_rng(1).normal(0.0, 3.0, end - begin)
        without[begin:end, channel] = np.linspace(level[0], level[1], end - begin) + still
    return without


@pytest.mark.parametrize("axle", range(5))
@pytest.mark.parametrize("line", [0, 1])
def test_a_wheel_that_one_of_two_lines_missed_leaves_all_but_the_next_two_vehicles_as_they_are(
    axle: int, line: int
) -> None:
    scene, samples = slow_trucks()
    found = weigh(scene, blind(scene, samples, 1, axle, line))
    right = [v.loads_kg for v in scene.vehicles[4:]]
    assert [len(vehicle.axles) for vehicle in found[-len(right) :]] == [len(loads) for loads in right]
    for vehicle, loads in zip(found[-len(right) :], right, strict=True):
        assert [axle.load_kg for axle in vehicle.axles] == pytest.approx(list(loads), rel=0.06)
