"""What a lane learns of its tyres' prints, alone: `tyre.c` as a library, beside prints that are drawn about a line."""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

WEIGH = Path(__file__).parents[2] / "csrc" / "src" / "weigh"
ANY, STEERS, BEARS, LIGHT = range(4)

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


class Law(ctypes.Structure):
    _fields_ = (("mean", ctypes.c_double * 2), ("cov", ctypes.c_double * 4), ("var", ctypes.c_double))


class Laws(ctypes.Structure):
    _fields_ = (("kind", Law * 4),)


class Expected(ctypes.Structure):
    _fields_ = (("mean", ctypes.c_double), ("sigma", ctypes.c_double))


class Lane:
    """The laws of one lane."""

    def __init__(self, library: ctypes.CDLL) -> None:
        library.tyres_unknown.restype = Laws
        library.tyre_expect.restype = Expected
        library.tyre_expect.argtypes = (ctypes.POINTER(Laws), ctypes.c_int, ctypes.c_double)
        library.tyre_learn.argtypes = (ctypes.POINTER(Laws), ctypes.c_int, *[ctypes.c_double] * 3)
        self._library = library
        self._laws = library.tyres_unknown()

    def learn(self, kind: int, peak_n: float, ratio: float, sigma: float) -> None:
        self._library.tyre_learn(ctypes.byref(self._laws), kind, peak_n, ratio, sigma)

    def expect(self, kind: int, peak_n: float) -> tuple[float, float]:
        found = self._library.tyre_expect(ctypes.byref(self._laws), kind, peak_n)
        return found.mean, found.sigma


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    path = tmp_path_factory.mktemp("tyre") / "tyre.so"
    flags = ["-std=c11", "-O1", "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, str(WEIGH / "tyre.c"), "-lm", "-o", str(path)], check=True)
    return ctypes.CDLL(str(path))


def test_a_lane_that_saw_nothing_takes_prints_as_usual_and_is_not_sure(library: ctypes.CDLL) -> None:
    for kind in (ANY, STEERS, BEARS, LIGHT):
        assert Lane(library).expect(kind, 12000.0) == (0.0, pytest.approx(0.3, abs=0.02))


def test_a_lane_learns_offset_slope_and_spread_of_each_kind_of_axle(library: ctypes.CDLL) -> None:
    rng, lane = np.random.default_rng(1), Lane(library)
    for _ in range(300):
        peak_n, sigma = rng.uniform(6000, 30000), rng.uniform(0.02, 0.1)
        ratio = -0.15 - 0.3 * math.log(peak_n / 15000) + rng.normal(0, 0.12) + rng.normal(0, sigma)
        lane.learn(BEARS, peak_n, ratio, sigma)
    for peak_n in (8000.0, 15000.0, 25000.0):
        mean, sigma = lane.expect(BEARS, peak_n)
        assert mean == pytest.approx(-0.15 - 0.3 * math.log(peak_n / 15000), abs=0.05)
        assert 0.1 <= sigma < 0.16
    assert lane.expect(STEERS, 12000.0) == (0.0, pytest.approx(0.3, abs=0.02))  # nothing was seen of these


def test_prints_that_are_all_alike_leave_a_sigma_and_one_that_is_not_moves_nothing(
    library: ctypes.CDLL,
) -> None:
    lane = Lane(library)
    for _ in range(100):
        lane.learn(LIGHT, 2500.0, 0.05, 0.02)
    before = lane.expect(LIGHT, 2500.0)
    assert before == (pytest.approx(0.05, abs=0.01), pytest.approx(0.1))  # tyres of one vehicle are alike
    lane.learn(LIGHT, 2500.0, 3.0, 0.02)
    assert lane.expect(LIGHT, 2500.0)[0] == pytest.approx(before[0], abs=0.02)
    lane.learn(LIGHT, 2500.0, math.nan, 0.02)
    assert math.isfinite(lane.expect(LIGHT, 2500.0)[0])
