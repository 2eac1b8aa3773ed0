"""Light wheels beside heavy ones and over the joint of two halves; wheels that a strip carries in part, or cuts off."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge import config
from edge.core import Wim, WimVehicle
from tests.core import world
from tests.core.world import Scene, Vehicle


def passing(rng: np.random.Generator, wim: config.Wim, kinds: tuple[str, ...], speed_mps: float = 9.0) -> Scene:
    """One after the other at an even speed, about a second apart."""
    vehicles, at = [], 1.0
    for kind in kinds:
        v = world.make_vehicle(rng, kind)
        end = max(s.x_m for s in wim.sensor) + v.length_m + 4.0
        v.x = np.arange(-v.front_m - 4.0, end, speed_mps / wim.sample_rate_hz)
        v.start = int(at * wim.sample_rate_hz)
        at += len(v.x) / wim.sample_rate_hz + 0.5
        vehicles.append(v)
    return Scene(wim, vehicles, int((at + 1) * wim.sample_rate_hz), seed=1)


def weigh(scene: Scene, samples: npt.NDArray[np.int16] | None = None) -> list[WimVehicle]:
    core = Wim(scene.wim)
    return core.push(scene.render() if samples is None else samples) + core.finish()


def off(found: WimVehicle, true: Vehicle) -> float:
    return found.gross_kg / float(true.loads_kg.sum()) - 1


@pytest.mark.parametrize("tau_s", [0.0, 2.0])
@pytest.mark.parametrize("halves", [False, True])
def test_a_motorcycle_is_weighed_right_behind_a_heavy_vehicle(halves: bool, tau_s: float) -> None:
    rng = np.random.default_rng(1)
    wim = world.array(rng, 4, halves=halves, tau_s=tau_s)
    scene = passing(rng, wim, ("long12", "motorcycle", "b8", "motorcycle"))
    found = weigh(scene)
    assert [len(v.axles) for v in found] == [12, 2, 8, 2]
    for k in (1, 3):
        assert abs(off(found[k], scene.vehicles[k])) < 0.02
        assert found[k].flags == ()


@pytest.mark.parametrize("share", [0.04, 0.08, 0.15, 0.35, 0.5])
@pytest.mark.parametrize("hum", [0.0, 15.0])
def test_a_wheel_over_the_joint_of_two_halves_weighs_what_both_bear(share: float, hum: float) -> None:
    rng = np.random.default_rng(2)
    wim = world.array(rng, 4)
    scene = passing(rng, wim, ("truck2", "motorcycle", "motorcycle"))
    scene.hum, scene.hum_hz, scene.noise = hum, 50.1, 1.5 if hum == 0 else 4.0
    for v in scene.vehicles[1:]:
        v.left_share[:] = share
    found = weigh(scene)
    assert [len(v.axles) for v in found] == [2, 2, 2]
    for k in (1, 2):
        assert abs(off(found[k], scene.vehicles[k])) < (0.03 if hum == 0 else 0.08)
        assert found[k].flags == ()


@pytest.mark.parametrize("left", [0.45, 0.55, 0.65])
def test_wheels_half_beside_every_line_are_flagged_and_sigma_holds_what_is_lost(left: float) -> None:
    rng = np.random.default_rng(3)
    wim = world.array(rng, 4)
    scene = passing(rng, wim, ("truck2", "3s2", "bus", "car"))
    true = [float(v.loads_kg.sum()) for v in scene.vehicles]
    for v in scene.vehicles:
        v.left_share[:] = left / (1 + left)
        v.loads_kg *= 0.5 * (1 + left)
    found = weigh(scene)
    assert len(found) == 4
    for vehicle, kg in zip(found, true, strict=True):
        assert "off_lane" in vehicle.flags
        assert vehicle.gross_kg + 2 * vehicle.gross_sigma_kg > kg


@pytest.mark.parametrize("sensor", [0, 2])
def test_a_channel_that_ends_early_is_named_and_the_other_lines_are_used(sensor: int) -> None:
    rng = np.random.default_rng(4)
    wim = world.array(rng, 4)
    scene = passing(rng, wim, ("3s2", "car", "t2s3", "bus", "1211", "van"))
    scene.noise = 2.5
    samples = scene.render()
    samples[:, sensor] = np.minimum(samples[:, sensor], np.median(samples[:, sensor]) + 250)
    found = weigh(scene, samples)
    assert [len(v.axles) for v in found] == [len(v.loads_kg) for v in scene.vehicles]
    for vehicle, true in zip(found, scene.vehicles, strict=True):
        assert abs(off(vehicle, true)) < 0.015
    assert "saturated" in found[0].flags


def test_a_spike_that_rings_on_all_channels_is_no_wheel() -> None:
    rng = np.random.default_rng(5)
    wim = world.array(rng, 4)
    scene = passing(rng, wim, ("car", "motorcycle", "car"))
    clean = scene.render()
    samples = clean.astype(float)
    n = np.arange(80)
    ring = 400 * np.exp(-n / 8.0) * np.cos(2 * np.pi * 600 * n / wim.sample_rate_hz)
    for v in scene.vehicles:
        first = v.start + int(np.searchsorted(v.x, 0.0))
        for at in (first + 300, first - 400):
            samples[at : at + 80] += ring[:, None]
    found = weigh(scene, np.rint(samples).astype(np.int16))
    expected = weigh(scene, clean)
    assert len(found) == len(expected) == 3
    for mine, right in zip(found, expected, strict=True):
        assert mine.gross_kg == pytest.approx(right.gross_kg, rel=0.01)
        assert mine.speed_mps == pytest.approx(right.speed_mps, rel=0.002)
