"""The plate reader's frames against the documented ones."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.emulators.base import Output, Send
from firmware_sim.emulators.lpr_frame import LprFrame, axxonsoft_frame, binary_frame, raw_frame
from firmware_sim.world.events import PlatePassed

from .bench import clock

AT = datetime(2011, 7, 28, 12, 34, 56)
BIG = bytes.fromhex("89ABCDEF 00000001 0000000A 34364856 52392D4E4C44 17 12345678")
LITTLE = bytes.fromhex("EFCDAB89 01000000 0A000000 34364856 52392D4E4C44 17 78563412")


def data(output: Output) -> list[bytes]:
    return [item.data for item in output if isinstance(item, Send)]


def seen(plate: str = "46HVR9", at_s: float = 0.0) -> PlatePassed:
    return PlatePassed(at_s, "C03", "wim", "lpr", plate, "NLD", 0.87, 1)


def test_documented_frames() -> None:
    assert raw_frame("46HVR9", "NLD", 0.87, AT, 1042) == b"\x0246HVR9;NLD;87;2011-07-28;12-34-56;1042\x03"
    assert binary_frame(1, b"46HVR9-NLD") == BIG
    assert binary_frame(1, b"46HVR9-NLD", "little") == LITTLE
    assert axxonsoft_frame("46HVR9", AT) == b"\x02201107281234560146HVR9\x03"


def test_reports_each_plate_once_in_its_format() -> None:
    raw = LprFrame(clock)
    assert data(raw.happened(seen(), 0.0)) == [b"\x0246HVR9;NLD;87;2026-11-24;13-00-00;1\x03"]
    assert data(raw.happened(seen("KX1"), 2.0)) == [b"\x02KX1;NLD;87;2026-11-24;13-00-02;2\x03"]
    assert data(LprFrame(clock, preset="nedap_protocolled").happened(seen(), 0.0)) == [BIG]
    assert data(LprFrame(clock, preset="nedap_protocolled", byte_order="little").happened(seen(), 0.0)) == [LITTLE]
    with pytest.raises(ValueError, match="nedap_raw"):
        LprFrame(clock, preset="morse")  # type: ignore[arg-type]


def test_binary_frames_wait_for_their_acknowledgement() -> None:
    reader = LprFrame(clock, preset="nedap_protocolled", ack_timeout_s=1.0)
    assert data(reader.happened(seen(), 0.0)) == [BIG]
    assert data(reader.happened(seen(), 0.1)) == []
    assert data(reader.tick(1.1)) == [BIG]
    second = binary_frame(2, b"46HVR9-NLD")
    ack = bytes.fromhex("89ABCDEF 00000001")
    check = 0
    for byte in ack:
        check ^= byte
    assert data(reader.received("main", 0, b"noise" + ack + bytes([check]) + bytes.fromhex("12345678"), 1.2)) == [
        second
    ]
    repeated = [frame for tick in range(2, 20) for frame in data(reader.tick(float(tick)))]
    assert repeated == [second] * 3


def test_clock_faults_and_a_stuck_plate() -> None:
    reader = LprFrame(clock)
    reader.fault("clock_step", True, {"step_s": -60.0}, 0.0)
    assert data(reader.happened(seen(), 0.0))[0].endswith(b"12-59-00;1\x03")
    reader.fault("clock_step", False, {}, 0.0)
    reader.fault("stuck_plate", True, {}, 0.0)
    assert data(reader.tick(1.0))[0].endswith(b"13-00-01;2\x03")
    reader.fault("stuck_plate", False, {}, 0.0)
    assert data(reader.tick(5.0)) == []


@given(st.lists(st.binary(max_size=60)), st.text(max_size=12))
def test_hostile_bytes(pieces: list[bytes], plate: str) -> None:
    reader = LprFrame(clock, preset="nedap_protocolled", ack_timeout_s=1.0)
    for number, piece in enumerate(pieces):
        reader.happened(seen(plate), float(number))
        reader.received("main", 0, piece, float(number))
        reader.tick(float(number))
    assert len(data(LprFrame(clock).happened(seen(plate), 0.0))) == 1
