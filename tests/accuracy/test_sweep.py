"""The sweep's own arithmetic: pairs, shares, percentiles and coverage, on vehicles made up for the purpose."""

from __future__ import annotations

import numpy as np
import pytest

from edge.core import WimAxle, WimVehicle
from firmware_sim.world.events import AxleTruth, VehicleTruth
from tests.accuracy import bound, hard, regimes, sweep

TARGET = regimes.Target(100, 100, 2, 4)


def truth(number: int, crossed_s: float, loads_kg: tuple[float, ...] = (5000.0, 8000.0)) -> VehicleTruth:
    axles = tuple(AxleTruth(4.0 * i, load, load / 2, load / 2, False, i) for i, load in enumerate(loads_kg))
    return VehicleTruth(
        time_s=crossed_s + 3, lane="L", vehicle=number, crossed_s=crossed_s, last_axle_s=crossed_s + 2, kind="truck2",
        fhwa_class=5, speed_mps=5.0, first_speed_mps=5.0, length_m=8.0, wheelbase_m=axles[-1].position_m,
        gross_kg=sum(loads_kg), axles=axles, stopped=False, reversed=False, tag=None, plate="X",
    )  # fmt: skip


def measured(of: VehicleTruth, factor: float = 1.0, sigma: float = 0.01, late_s: float = 0.0) -> WimVehicle:
    axles = tuple(WimAxle(a.position_m, a.load_kg * factor, a.load_kg * sigma, None, None, None) for a in of.axles)
    return WimVehicle(
        first_axle_scan=(of.crossed_s + late_s) * 5000, exit_scan=0.0, speed_mps=5.0, length_m=None,
        wheelbase_m=of.wheelbase_m, gross_kg=of.gross_kg * factor, gross_sigma_kg=of.gross_kg * sigma, axles=axles,
        flags=(),
    )  # fmt: skip


def test_perfect_measurement_meets_everything() -> None:
    truths = [truth(i, 10.0 * i) for i in range(20)]
    row = sweep.judge("row", TARGET, truths, [measured(t) for t in truths], 5000.0, 0.0)
    assert (row.found, row.invented, row.axles_right, row.gross_95, row.axle_95) == (100, 0, 100, 0, 0)
    assert (row.gross_covered, row.axle_covered, row.met) == (100, 100, True)


def test_errors_missed_and_invented_are_seen() -> None:
    truths = [truth(i, 10.0 * i) for i in range(20)]
    seen = [measured(t, 1.03) for t in truths[1:]] + [measured(truth(99, 500.0))]
    row = sweep.judge("row", TARGET, truths, seen, 5000.0, 0.0)
    assert (row.found, row.invented, row.met) == (95, 1, False)
    assert row.gross_95 == pytest.approx(3.0)
    assert row.gross_median == pytest.approx(3.0)
    assert (row.gross_covered, row.axle_covered) == (0, 0)


def test_wrong_axle_count_counts_against_axles_only() -> None:
    truths = [truth(0, 0.0), truth(1, 10.0)]
    seen = [measured(truths[0]), measured(truth(1, 10.0, (5000.0, 4000.0, 4000.0)))]
    row = sweep.judge("row", TARGET, truths, seen, 5000.0, 0.0)
    assert (row.found, row.axles_right, row.gross_95, row.met) == (100, 50, 0, False)


def test_pairs_are_one_to_one_and_nearest_first() -> None:
    truths = [truth(0, 10.0), truth(1, 11.0)]
    seen = [measured(truths[1], late_s=0.1), measured(truths[1], late_s=0.4), measured(truths[1], late_s=60.0)]
    assert sweep.pair(truths, seen, 5000.0) == [(0, 1), (1, 0)]


def test_no_sigma_covers_nothing() -> None:
    truths = [truth(0, 0.0)]
    row = sweep.judge("row", TARGET, truths, [measured(truths[0], 1.001, sigma=0.0)], 5000.0, 0.0)
    assert row.gross_covered == 0


@pytest.mark.parametrize("regime", [*regimes.TARGETS, *regimes.FACTORS], ids=lambda regime: regime.name)
def test_each_regime_makes_a_crossing(regime: regimes.Regime) -> None:
    scenario = regimes.scenario_of(regime, 5, 1)
    wim = scenario.lane[0].wim
    assert wim is not None
    strips = [sensor for sensor in wim.sensor if sensor.type == "strip"]
    assert len(strips) == 2 * regime.lines
    assert any(sensor.type == "loop" for sensor in wim.sensor) == regime.loop


def test_lines_tell_no_more_than_their_covariance_lets_them() -> None:
    wheel = bound.WHEELS["laden, drive axle"]
    best, plain = bound.deviations(wheel, regimes.FOUR_LINES, 11.0)
    assert 0.1 < best <= plain < 1
    assert bound.deviations(wheel, (0.0,), 11.0) == pytest.approx((1.0, 1.0), abs=1e-5)
    assert bound.deviations(wheel, regimes.LINES[8], 11.0)[0] < best


@pytest.mark.parametrize("row", hard.ROWS, ids=lambda row: row.name)
def test_each_row_on_hard_ground_makes_a_recording(row: hard.Row) -> None:
    scene = row.make(np.random.default_rng(3), 3, 3)
    truths = scene.truths()
    samples = np.concatenate(list(scene.samples()))
    assert len(truths) == 3
    assert [truth.crossed_s for truth in truths] == sorted(truth.crossed_s for truth in truths)
    strips = [sensor.channel for sensor in scene.wim.sensor if sensor.type != "loop"]
    assert np.ptp(samples[:, strips], axis=0).max() > 100
    assert len(samples) / hard.RATE_HZ > truths[-1].last_axle_s
