"""Samples against truth: the integral of each strip over the true motion is the static load when physics is switched
off, and each effect, switched on, does what it is named after."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from firmware_sim import scenario as sc
from firmware_sim.scenario import Scenario
from firmware_sim.world.crossing import World
from firmware_sim.world.events import VehicleTruth
from firmware_sim.world.motion import Motion

from .crossings import LAYOUT, NO_EFFECTS, crossing

G = 9.81
Floats = npt.NDArray[np.float64]


@pytest.fixture(autouse=True)
def _keep_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Motion is kept to the end, so that a test can ask where a vehicle was."""
    monkeypatch.setattr(Motion, "forget", lambda self, before_s: None)


def recorded(scenario: Scenario, seconds: float, seed: int = 1) -> tuple[Floats, Floats, list[VehicleTruth], Floats]:
    """Counts (scans, channels), true place of the only vehicle's front at each scan, truths, times."""
    world = World(scenario, seed)
    blocks, truths, motions = [], [], []
    done = 0
    while world.now_s < seconds:
        truths += [event for event in world.advance(world.now_s + 0.2) if isinstance(event, VehicleTruth)]
        motions = [car.motion for car in world._lanes[0].near_array] or motions
        ready = world.scans_ready("L0")
        blocks.append(world.samples("L0", done, ready - done))
        done = ready
    counts = np.concatenate(blocks).astype(float)
    times = np.arange(len(counts)) / world.scan_rate_hz("L0")
    return counts, motions[0].at(times)[0], truths, times


def one_vehicle(kind: str, speed_mps: float = 8.0, **further: object) -> Scenario:
    flow = sc.Flow(per_hour=(3000.0,), speed_mps=(speed_mps, speed_mps), mix={kind: 1.0}, limit=1)
    further.setdefault("flow", flow)
    return crossing(**further)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["motorcycle", "car", "truck2", "semi_3s2", "heavy12"])
@pytest.mark.parametrize("shaped", [False, True])
def test_integral_of_each_line_is_the_static_load(kind: str, shaped: bool) -> None:
    effects = msgspec.structs.replace(NO_EFFECTS, footprint_shape=shaped, lateral=shaped, imbalance=shaped)
    counts, _, (truth,), _ = recorded(one_vehicle(kind, effects=effects), 40.0)
    for line in range(4):
        force_n = counts[:, 2 * line : 2 * line + 2].sum(axis=1) * LAYOUT.gain_n
        weighed_kg = force_n.sum() * 8.0 / 5000 / LAYOUT.width_m / G
        assert weighed_kg == pytest.approx(truth.gross_kg, rel=2e-3, abs=1.0)


def test_axles_come_at_the_true_times_with_the_true_loads() -> None:
    counts, _, (truth,), times = recorded(one_vehicle("semi_3s2"), 40.0)
    force_n = counts[:, 4:6].sum(axis=1) * LAYOUT.gain_n  # third line, 2.9 m after the first
    for axle in truth.axles:
        centre_s = truth.crossed_s + (axle.position_m + 2.9) / 8.0
        window = np.abs(times - centre_s) < 0.45 / 8.0
        pulse = force_n[window]
        assert pulse.sum() * 8.0 / 5000 / LAYOUT.width_m / G == pytest.approx(axle.load_kg, rel=2e-3)
        assert (pulse * times[window]).sum() / pulse.sum() == pytest.approx(centre_s, abs=2e-4)


def test_left_and_right_halves_see_their_wheels() -> None:
    effects = msgspec.structs.replace(NO_EFFECTS, imbalance=True)
    counts, _, (truth,), _ = recorded(one_vehicle("truck2", effects=effects), 40.0)
    for side, name in enumerate(("left_kg", "right_kg")):
        true_kg = sum(getattr(axle, name) for axle in truth.axles)
        assert counts[:, side].sum() * 4.0 * 8.0 / 5000 / 0.053 / G == pytest.approx(true_kg, rel=2e-3)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_stops_and_roll_backs_retrace_the_footprint(seed: int) -> None:
    """Integrated over the signed true motion a strip gives the load, whatever the vehicle did on it."""
    stops = sc.Stops(probability=1.0, duration_s=(1.0, 3.0), roll_back_probability=1.0)
    flow = sc.Flow(per_hour=(3000.0,), speed_mps=(5.0, 5.0), mix={"truck3": 1.0}, limit=1, stops=stops)
    counts, place, (truth,), _ = recorded(one_vehicle("truck3", flow=flow), 60.0, seed)
    assert truth.reversed
    moved = np.gradient(place)
    for line in range(4):
        force_n = counts[:, 2 * line : 2 * line + 2].sum(axis=1) * LAYOUT.gain_n
        assert (force_n * moved).sum() / LAYOUT.width_m / G == pytest.approx(truth.gross_kg, rel=3e-3)


def test_a_parked_wheel_stays_on_a_direct_coupled_strip_and_leaks_from_a_charge_amplifier() -> None:
    stops = sc.Stops(probability=1.0, duration_s=(8.0, 8.0))
    flow = sc.Flow(per_hour=(3000.0,), speed_mps=(5.0, 5.0), mix={"truck2": 1.0}, limit=1, stops=stops)
    levels = {}
    for tau in (0.0, 2.0):
        for seed in range(1, 30):
            layout = msgspec.structs.replace(LAYOUT, coupling_tau_s=tau)
            counts, place, (truth,), times = recorded(one_vehicle("truck2", flow=flow, layout=layout), 60.0, seed)
            if truth.stopped:
                break
        standing = np.flatnonzero((np.abs(np.gradient(place)) < 1e-12) & (place > place[0]))
        first, last = times[standing[0]], times[standing[-1]]
        channel = int(np.argmax(np.abs(counts[standing[0]][:8])))
        levels[tau] = counts[standing[0], channel], counts[standing[-1], channel], last - first
    before, after, _ = levels[0.0]
    assert after == pytest.approx(before, abs=2)
    before, after, lasted_s = levels[2.0]
    assert after == pytest.approx(before * np.exp(-lasted_s / 2.0), abs=3)


def test_plate_carries_the_whole_wheel() -> None:
    sensors = (
        sc.Sensor(name="p", type="plate", channel=0, x_m=0.0, y_m=(0.0, 3.5), width_m=0.6, gain_n=10.0),
        sc.Sensor(name="s", type="strip", channel=1, x_m=2.0, y_m=(0.0, 3.5)),
    )
    scenario = one_vehicle("truck2", 3.0)
    lane = scenario.lane[0]
    assert lane.wim is not None
    lane = msgspec.structs.replace(lane, wim=msgspec.structs.replace(lane.wim, layout=None, sensor=sensors))
    counts, _, (truth,), _ = recorded(msgspec.structs.replace(scenario, lane=(lane,)), 80.0)
    for axle in truth.axles:
        at = round((truth.crossed_s + axle.position_m / 3.0) * 5000)
        assert counts[at - 100 : at + 100, 0].mean() * 10.0 / G == pytest.approx(axle.load_kg, rel=2e-3)


def test_loop_is_on_while_the_body_covers_it() -> None:
    counts, _, (truth,), times = recorded(one_vehicle("coach"), 40.0)
    on = times[counts[:, 8] > 0.5]
    covered_s = (truth.length_m + 2.0 * (1 - 2 * 0.2)) / 8.0
    assert on[-1] - on[0] == pytest.approx(covered_s, abs=0.01)
    assert set(np.unique(counts[:, 8])) == {0.0, 1.0}


def test_temperature_and_gain_error_scale_the_signal() -> None:
    layout = msgspec.structs.replace(LAYOUT, temp_coeff_per_c=0.004, gain_errors=(0.03,) * 8)
    scenario = one_vehicle("truck3", layout=layout, weather=sc.Weather(temperature_c=35.0))
    counts, _, (truth,), _ = recorded(scenario, 40.0)
    weighed_kg = counts[:, :2].sum() * 4.0 * 8.0 / 5000 / 0.053 / G
    assert weighed_kg / truth.gross_kg == pytest.approx(1.03 * (1 + 0.004 * 15), rel=2e-3)


@pytest.mark.parametrize("effect", sorted(set(sc.Effects.__struct_fields__)))
def test_each_effect_changes_the_samples(effect: str) -> None:
    electronics = sc.Electronics(hum_counts=10.0, spikes_per_h=5000.0, noise_counts=5.0)
    flow = sc.Flow(
        per_hour=(3000.0,), speed_mps=(6.0, 6.0), mix={"semi_3s2": 1.0}, limit=1, stops=sc.Stops(probability=1.0)
    )
    samples = []
    for on in (False, True):
        effects = msgspec.structs.replace(NO_EFFECTS, nonuniformity=effect == "lateral")
        effects = msgspec.structs.replace(effects, **{effect: on})
        scenario = one_vehicle("semi_3s2", flow=flow, effects=effects, electronics=electronics)
        lane = msgspec.structs.replace(scenario.lane[0], cross_fall=0.02, grade=0.01)
        world = World(msgspec.structs.replace(scenario, lane=(lane,)))
        world.advance(45.0)
        samples.append(world.samples("L0", 0, world.scans_ready("L0")))
    assert not np.array_equal(samples[0], samples[1])


def test_quiet_channel_has_the_noise_and_nothing_else() -> None:
    effects = msgspec.structs.replace(NO_EFFECTS, noise=True)
    scenario = crossing(flow=sc.Flow(per_hour=(0.0,)), effects=effects, electronics=sc.Electronics(noise_counts=8.0))
    world = World(scenario)
    world.advance(20.0)
    counts = world.samples("L0", 0, 100_000).astype(float)
    assert counts[:, :8].std(axis=0) == pytest.approx(8.0, rel=0.02)
    assert np.abs(counts[:, :8].mean(axis=0)).max() < 0.15
    assert not counts[:, 8].any()
    correlated = np.corrcoef(counts[:-1000, 0], counts[1000:, 0])[0, 1]  # blocks have different noise
    assert abs(correlated) < 0.02


def test_saturation_clips() -> None:
    layout = msgspec.structs.replace(LAYOUT, gain_n=0.5)
    electronics = sc.Electronics(full_scale_counts=9000.0)
    counts, _, _, _ = recorded(one_vehicle("semi_3s2", layout=layout, electronics=electronics), 40.0)
    assert counts[:, :8].max() == 9000.0
