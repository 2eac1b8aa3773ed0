"""Vehicles that stop over the array, roll back and go: passes of several axles over several lines, in part or whole."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge.core import Wim
from tests.core.test_angles import strips
from tests.core.world import Scene, Vehicle

LINES = (0.0, 1.2, 2.9, 4.1)
VAN, TRUCK, LORRY, BUS = (0.0, 3.7), (0.0, 4.37), (0.0, 4.2, 5.45), (0.0, 5.7, 6.96)
LOADS_KG = {
    VAN: (1200.0, 1500.0),
    TRUCK: (4000.0, 6550.0),
    LORRY: (6730.0, 8430.0, 7950.0),
    BUS: (4980.0, 4390.0, 4170.0),
}


def move(way_m: float, most_mps: float, pull: float) -> npt.NDArray[np.float64]:
    """Speeds every 10 ms from stand to stand."""
    top = min(most_mps, (pull * abs(way_m)) ** 0.5)
    ramp = np.linspace(0, top, int(top / pull * 100))
    v = np.concatenate([ramp, np.full(max(0, int((abs(way_m) - top * top / pull) / top * 100)), top), ramp[::-1]])
    return np.asarray(v * way_m / (v.sum() * 0.01))


def make(positions_m: tuple[float, ...], stops_m: float, back_m: float, rate_hz: float) -> Vehicle:
    """The first axle comes to a stand at `stops_m`, rolls back and goes on."""
    n = len(positions_m)
    v = np.concatenate(
        [
            move(stops_m + 4.0, 1.5, 0.7),
            np.zeros(300),
            move(-back_m, 0.4, 0.35),
            np.zeros(120),
            move(18.0 - stops_m, 2.0, 0.6),
        ]
    )
    kernel = np.hanning(32)[1:-1]
    v = np.convolve(v, kernel / kernel.sum(), "same")
    x = -4.0 + np.concatenate([[0.0], np.cumsum(0.5 * (v[1:] + v[:-1]) * 0.01)])
    scans = np.arange(int(0.01 * (len(x) - 1) * rate_hz)) / rate_hz
    return Vehicle(
        "rolls", np.array(positions_m), np.array(LOADS_KG[positions_m]), 1.2, 1.5, np.full(n, 0.505), np.full(n, 0.21),
        4.0, 0.05, None, np.interp(scans, 0.01 * np.arange(len(x)), x),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("positions_m", "stops_m", "back_m"),
    [
        (
            TRUCK,
            4.55,
            0.44,
        ),  # the second axle back over the first line while the first one comes onto the last from behind
        (LORRY, 8.4, 0.15),  # the third axle stays on its line, the second one comes onto the next from behind
        (VAN, 3.72, 0.5),  # the second axle off the front of the first line
        (VAN, 2.0, 0.3),  # nothing on a line: no pass comes again
        (LORRY, 5.5, 0.35),
        (LORRY, 5.63, 0.39),
        (LORRY, 5.62, 0.13),
        (TRUCK, 7.3, 0.2),
        # two axles stand on two lines: the one on the last may have come onto it from behind, and turned there
        (BUS, 9.93, 0.47),
        (BUS, 9.94, 0.48),
        (BUS, 9.94, 0.49),
    ],
)
def test_a_roll_back_leaves_one_vehicle_with_its_axles_and_loads(
    positions_m: tuple[float, ...], stops_m: float, back_m: float
) -> None:
    wim = strips([(x, 0.0) for x in LINES], halves=True)
    rate_hz = wim.sample_rate_hz
    vehicles, at = [make(positions_m, stops_m, back_m, rate_hz) for _ in range(2)], 1.0
    for v in vehicles:
        v.start = int(at * rate_hz)
        at += len(v.x) / rate_hz + 1.0
    core = Wim(wim)
    found = core.push(Scene(wim, vehicles, int((at + 1.0) * rate_hz), seed=3).render()) + core.finish()
    assert [len(v.axles) for v in found] == [len(positions_m)] * 2
    for mine in found:
        assert mine.gross_kg == pytest.approx(sum(LOADS_KG[positions_m]), rel=0.03)
        for axle, place, load in zip(mine.axles, positions_m, LOADS_KG[positions_m], strict=True):
            assert axle.load_kg == pytest.approx(load, rel=0.06)
            assert abs(axle.position_m - place) < 3.5 * axle.position_sigma_m + 0.02


@pytest.mark.parametrize(
    ("stops_m", "back_m"),
    [(0.25, 0.45), (0.05, 0.3), (0.1, 0.4), (0.4, 0.6), (-0.15, 0.2), (1.0, 0.3), (0.3, 0.15)],
    ids=[
        "over it and off",
        "just over it",
        "on its front edge",
        "far over it",
        "not yet over it",
        "beyond",
        "stays beyond",
    ],
)
def test_the_time_is_when_the_first_axle_was_over_the_first_line_for_the_first_time(
    stops_m: float, back_m: float
) -> None:
    wim = strips([(x, 0.0) for x in LINES], halves=True)
    rate_hz = wim.sample_rate_hz
    v = make(TRUCK, stops_m, back_m, rate_hz)
    v.start = int(rate_hz)
    core = Wim(wim)
    (mine,) = core.push(Scene(wim, [v], len(v.x) + int(3.0 * rate_hz), seed=3).render()) + core.finish()
    first = v.start + int(np.argmax(v.x >= 0.0))
    assert mine.first_axle_scan / rate_hz == pytest.approx(first / rate_hz, abs=0.4)
