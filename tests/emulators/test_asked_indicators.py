"""SMA and MT-SICS emulators against the answers of the manuals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.emulators.asked_indicator import AskedIndicator
from firmware_sim.emulators.mt_sics import MtSics
from firmware_sim.emulators.sma_scale import SmaScale

from .test_transmitters import Plate, data, settle


def test_sma_answers() -> None:
    scale = SmaScale(Plate(18252))
    settle(scale, 1.0)
    assert data(scale.received("main", 0, b"\nW\r", 1.0)) == b"\n 1G       18250kg \r"
    assert data(scale.received("main", 0, b"\nH\r", 1.0)) == b"\n 1g       18252kg \r"
    assert data(scale.received("main", 0, b"\nT\r", 1.0)) == b"\nZ1N           0kg \r"
    assert data(scale.received("main", 0, b"\nM\r", 1.0)) == b"\n 1T       18250kg \r"
    assert data(scale.received("main", 0, b"\nZ\r", 1.0)) == b"\nE1N  ----------kg \r"
    assert data(scale.received("main", 0, b"\nC\r", 1.0)) == b"\n 1G       18250kg \r"
    assert data(scale.received("main", 0, b"\nx\r\nA\r\nB\r", 1.0)) == b"\n?\r\nSMA:2/1.0\r\nMFG:emulated\r"
    scale.fault("over_range", True, {}, 1.0)
    assert data(scale.received("main", 0, b"\nW\r", 1.0)) == b"\nO1G       18250kg \r"


def test_sma_level_one_in_pounds() -> None:
    scale = SmaScale(Plate(18252), level=1, unit="lb")
    settle(scale, 1.0)
    assert data(scale.received("main", 0, b"\nW\r\nM\r", 1.0)) == b"\n 1G       40240lb \r\n?\r"


def test_sics_answers() -> None:
    scale = MtSics(Plate(18252))
    settle(scale, 1.0)
    assert data(scale.received("main", 0, b"SI\r\nTA\r\n", 1.0)) == b"S S      18250 kg\r\nTA A          0 kg\r\n"
    assert data(scale.received("main", 0, b"T\r\nS", 1.0)) == b"T S      18250 kg\r\n"
    assert data(scale.received("main", 0, b"I\r\n", 1.0)) == b"S S          0 kg\r\n"
    assert data(scale.received("main", 0, b"nonsense\r\n", 1.0)) == b"ES\r\n"
    scale.fault("over_range", True, {}, 1.0)
    assert data(scale.received("main", 0, b"SI\r\n", 1.0)) == b"S +\r\n"


@pytest.mark.parametrize("make", [SmaScale, MtSics])
@given(noise=st.binary(max_size=300))
def test_any_bytes_are_answered_or_ignored(make: type[AskedIndicator], noise: bytes) -> None:
    scale = make(Plate(100))
    scale.received("main", 0, noise, 0.0)
    assert len(scale._buffer) <= 80
