"""Faults that many channels share, or that make a neighbour look bad: who is at fault is named, and nobody else."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from edge import config
from edge.core import Wim, WimVehicle
from tests.core import regimes, world
from tests.core.world import Scene

Samples = npt.NDArray[np.int16]
_SPEEDS_KMH = (20, 50)


def _weigh(wim: config.Wim, samples: Samples) -> tuple[Wim, list[WimVehicle]]:
    core = Wim(wim)
    return core, core.push(np.ascontiguousarray(samples)) + core.finish()


def _states(core: Wim) -> list[str]:
    return [channel.state for channel in core.channels()]


def _scene(seed: int, *, lines: int = 4, vehicles: int = 12, tau_s: float = 0.0, **more: float) -> Scene:
    rng = np.random.default_rng(seed)
    wim = world.array(rng, lines, tau_s=tau_s)
    return Scene(wim, *regimes.free_flow(rng, wim, vehicles, _SPEEDS_KMH), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("turned", [range(8), range(2, 8), range(0, 8, 2)], ids=["all", "three lines", "left halves"])
@pytest.mark.parametrize("more", [{}, {"bow_wave": 0.01}], ids=["dry", "bow waves"])
def test_most_channels_reversed_are_named_and_read_the_right_way(turned: range, more: dict[str, float]) -> None:
    scene = _scene(11, **more)
    samples = scene.render()
    samples[:, list(turned)] *= -1
    core, found = _weigh(scene.wim, samples)
    assert [i for i, state in enumerate(_states(core)) if state == "reversed"] == list(turned)
    result = regimes.Result("reversed")
    regimes.compare(result, scene, found)
    assert result.axles_right >= 7  # cars first: four are gone before it is known
    assert all("sensor_fault" in vehicle.flags for vehicle in found[-7:])


@pytest.mark.parametrize("lines", [2, 3])
def test_short_and_coupled_arrays_tell_too(lines: int) -> None:
    scene = _scene(12, lines=lines, tau_s=1.0)
    core, found = _weigh(scene.wim, -scene.render())
    assert set(_states(core)) == {"reversed"}
    assert len(found) >= 9


def test_a_sign_of_the_gain_that_is_wrong_is_the_same_fault() -> None:
    scene = _scene(13)
    wrong = tuple(msgspec.structs.replace(sensor, gain_n=-4.0) for sensor in scene.wim.sensor)
    core, _ = _weigh(msgspec.structs.replace(scene.wim, sensor=wrong), scene.render())
    assert set(_states(core)) == {"reversed"}


def test_wires_that_are_put_right_while_it_runs_are_read_right_again() -> None:
    scene = _scene(14, vehicles=16)
    samples = scene.render()
    half = samples[: len(samples) // 2]
    half[:] = 2.0 * np.median(half, axis=0) - half
    core, _ = _weigh(scene.wim, samples)
    assert set(_states(core)) == {"ok"}


@pytest.mark.parametrize(
    "more",
    [{}, {"bow_wave": 0.03}, {"drift": 3.0, "drift_sine": 40.0}, {"hum": 12.0}, {"spikes_per_s": 2.0}],
    ids=["plain", "bow waves", "drift", "hum", "spikes"],
)
def test_a_healthy_array_stays_as_it_is_wired(more: dict[str, float]) -> None:
    scene = _scene(15, **more)
    core, found = _weigh(scene.wim, scene.render())
    assert "reversed" not in _states(core)
    assert len(found) >= 12
    assert not any("sensor_fault" in vehicle.flags for vehicle in found)


def test_wheels_that_roll_back_turn_nothing() -> None:
    rng = np.random.default_rng(16)
    wim = world.array(rng, 4)
    scene = Scene(wim, *regimes.rolling_back(rng, wim, 6))
    core, _ = _weigh(scene.wim, scene.render())
    assert set(_states(core)) == {"ok"}


def _dips(depth: float, lag_scans: int) -> Callable[[Samples], Samples]:
    """Every two seconds a dip of 30 ms on all channels, on each line by so much later than on the one before it."""

    def add(samples: Samples) -> Samples:
        out = samples.astype(float)
        shape = np.hanning(150) * depth
        for at in range(20_000, len(out) - 20_000, 10_000):
            for channel in range(out.shape[1]):
                begin = at + lag_scans * (channel // 2)
                out[begin : begin + len(shape), channel] -= shape
        return np.rint(out).astype(np.int16)

    return add


@pytest.mark.parametrize("disturb", [_dips(3000.0, 0), _dips(40.0, 900)], ids=["all at once", "the next lane"])
def test_dips_of_an_empty_lane_turn_nothing(disturb: Callable[[Samples], Samples]) -> None:
    rng = np.random.default_rng(17)
    wim = world.array(rng, 4)
    idle = Scene(wim, [], 200_000).render()
    core, found = _weigh(wim, disturb(idle))
    assert "reversed" not in _states(core)
    assert found == []


@pytest.mark.parametrize("noise", [0.0, 1.5], ids=["cut off", "amplifier alone"])
def test_a_half_that_is_dead_at_all_lines_is_a_fault_and_no_way_to_drive(noise: float) -> None:
    scene = _scene(18, vehicles=24)
    samples = scene.render()
    left = samples[:, ::2]
    left[:] = np.rint(np.random.default_rng(1).normal(0.0, noise, left.shape))
    core, found = _weigh(scene.wim, samples)
    assert [i for i, state in enumerate(_states(core)) if state == "dead"] == [0, 2, 4, 6]
    late = found[len(found) // 2 :]
    assert late
    assert all("sensor_fault" in vehicle.flags for vehicle in late)


def test_lorries_beside_the_strips_now_and_then_are_no_fault() -> None:
    scene = _scene(18, vehicles=24)
    samples = scene.render()
    first = next(vehicle for vehicle in scene.vehicles if len(vehicle.loads_kg) > 3)
    span = slice(first.start, first.start + len(first.x))
    samples[span, ::2] = np.median(samples[:, ::2], axis=0) + np.rint(
        np.random.default_rng(1).normal(0.0, 1.5, (len(first.x), 4))
    )
    core, found = _weigh(scene.wim, samples)
    assert set(_states(core)) == {"ok"}
    assert not any("sensor_fault" in vehicle.flags for vehicle in found)


def test_the_healthy_half_beside_a_wrong_gain_is_not_blamed() -> None:
    scene = _scene(19)
    samples = scene.render().astype(float)
    samples[:, 2] = np.clip(10.0 * (samples[:, 2] - np.median(samples[:, 2])), -32768, 32767)
    core = Wim(scene.wim)
    seen: list[set[str]] = [set() for _ in scene.wim.sensor]
    for block in np.array_split(np.rint(samples).astype(np.int16), 100):
        core.push(np.ascontiguousarray(block))
        for states, state in zip(seen, _states(core), strict=True):
            states.add(state)
    assert seen[2] - {"ok"}
    assert all(states == {"ok"} for i, states in enumerate(seen) if i != 2)


@pytest.mark.parametrize(
    ("order", "named"),
    [
        ((6, 7, 4, 5, 2, 3, 0, 1), range(8)),
        ((0, 1, 4, 5, 2, 3, 6, 7), range(2, 6)),
        ((0, 3, 2, 1, 4, 5, 6, 7), range(4)),
        ((1, 2, 3, 4, 5, 6, 7, 0), range(8)),
    ],
    ids=["all", "two in the middle", "right halves of two", "shifted by one channel"],
)
def test_lines_in_another_order_than_the_table_says_are_named(order: tuple[int, ...], named: range) -> None:
    scene = _scene(20, vehicles=16)
    core, found = _weigh(scene.wim, scene.render()[:, list(order)])
    assert [i for i, state in enumerate(_states(core)) if state == "misplaced"] == list(named)
    assert "sensor_fault" in found[-1].flags


def test_lines_that_are_put_in_order_again_are_named_no_longer() -> None:
    scene = _scene(21, vehicles=24)
    samples = scene.render()
    half = len(samples) // 2
    samples[:half, 2:6] = samples[:half, [4, 5, 2, 3]]
    core, _ = _weigh(scene.wim, samples)
    assert "misplaced" not in _states(core)


@pytest.mark.parametrize("regime", ["free", "slow", "queue", "two", "stops", "rollback", "motorcycle"])
def test_no_way_to_drive_makes_lines_look_misplaced(regime: str) -> None:
    make = regimes.REGIMES[regime]
    for seed in range(3):
        scene = make(np.random.default_rng(seed))
        core = Wim(scene.wim)
        for block in np.array_split(scene.render(), 50):
            core.push(np.ascontiguousarray(block))
            assert "misplaced" not in _states(core), seed
