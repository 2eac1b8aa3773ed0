"""Weight transmitters and indicators against the frames of the sheets."""

from __future__ import annotations

from collections.abc import Callable

import minimalmodbus
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.emulators.base import Emulator, Output, Send
from firmware_sim.emulators.hbm_aed import HbmAed
from firmware_sim.emulators.laumas_tlb import LaumasTlb
from firmware_sim.emulators.scaime_enod4 import ScaimeEnod4, crc8, fast_frame
from firmware_sim.emulators.toledo_continuous import ToledoContinuous, checksum, frame
from firmware_sim.emulators.weighing import LoadSignal

from .bench import Ramp


class Plate(LoadSignal):
    """A plate that carries `kg`, one count a kilogram."""

    def __init__(self, kg: float = 0.0) -> None:
        self.kg = kg
        self.loops = [False, False]

    def contact(self, number: int) -> bool:
        return self.loops[number]

    def mean_kg(self, begin_s: float, end_s: float) -> float:
        return self.kg

    def mean_counts(self, begin_s: float, end_s: float) -> float:
        return self.kg


def x(text: str) -> bytes:
    return bytes.fromhex(text)


def data(output: Output) -> bytes:
    return b"".join(item.data for item in output if isinstance(item, Send))


def settle(device: Emulator, until_s: float, step_s: float = 0.1) -> bytes:
    """Let time pass in steps; what came out."""
    start = getattr(device, "_now_s", 0.0)
    return b"".join(data(device.tick(float(now))) for now in np.arange(start + step_s, until_s + 1e-6, step_s))


def test_load_signal_is_the_mean_of_its_channels() -> None:
    lane = Ramp(channels=3, rate_hz=1000.0)
    signal = LoadSignal(lane, {0: 2.0, 2: 1.0})
    assert signal.mean_kg(0.0, 0.0) == 0.0
    lane.now_s = 1.0
    assert signal.mean_kg(0.1, 0.103) == pytest.approx(2 * 1015 + 1017)
    assert signal.mean_counts(0.1, 0.103) == pytest.approx(1015 + 1017)
    assert signal.mean_kg(5.0, 6.0) == pytest.approx(3 * 9990 + 2)  # asked for more than there is: the newest


# --- SCAIME eNod4


def test_enod4_modbus_examples() -> None:
    device = ScaimeEnod4(Plate(18250))
    settle(device, 1.0)
    assert data(device.received("main", 0, x("01 03 00 7D 00 03 95 D3"), 1.0)) == x("01 03 06 0010 0000474A 52B1")
    clear, tare, poll = x("01 06 0090 0000 89E7"), x("01 06 0090 00D4 89B8"), x("01 03 0091 0001 D5E7")
    assert data(device.received("main", 0, clear, 1.0)) == clear
    assert data(device.received("main", 0, poll, 1.0))[3:5] == x("0000")
    assert data(device.received("main", 0, tare[:5], 1.0)) == b""
    assert data(device.received("main", 0, tare[5:], 1.0)) == tare
    assert data(device.received("main", 0, poll, 1.0))[3:5] == x("0002")
    device._signal.kg = 18200
    settle(device, 2.0)
    assert data(device.received("main", 0, minimal(3, 0x0080, 4), 2.0))[3:11] == x("0000474A FFFFFFCE")


def minimal(function: int, address: int, value: int, unit: int = 1) -> bytes:
    """A request as another implementation frames it."""
    return framed(unit, bytes([function]) + address.to_bytes(2, "big") + value.to_bytes(2, "big"))


def framed(unit: int, pdu: bytes) -> bytes:
    body = bytes([unit]) + pdu
    return body + minimalmodbus._calculate_crc(body)


def test_enod4_fast_frames() -> None:
    assert fast_frame(0x0091, 18250) == x("02 00 91 00 47 4A A4 03")
    assert fast_frame(0x0081, 2) == x("02 00 81 00 00 10 02 85 03")
    assert fast_frame(0x0091, -5) == x("02 00 91 FF FF FB 8C 03")


def test_enod4_streams_at_its_rate_and_stops() -> None:
    device = ScaimeEnod4(Plate(18250), rate_hz=400.0)
    settle(device, 1.0)
    start = bytes([1, 0xE0, 0x0D, 0xFF])
    assert data(device.received("main", 0, start, 1.0)) == start
    frames = settle(device, 2.0, 0.01)
    assert frames == x("02 00 91 00 47 4A A4 03") * 400
    stop = bytes([1, 0xE3, 0x0D])
    device.fault("lost_stop", True, {}, 2.0)
    device.received("main", 0, stop + bytes([crc8(stop)]), 2.0)
    assert settle(device, 2.1) != b""
    device.fault("lost_stop", False, {}, 2.1)
    device.received("main", 0, stop + bytes([crc8(stop)]), 2.1)
    assert settle(device, 3.0) == b""


def test_enod4_scmbus_text_errors_and_period() -> None:
    device = ScaimeEnod4(Plate(5), protocol="scmbus", period_ms=100)
    settle(device, 1.0)
    device.received("main", 0, bytes([1, 0xE2, 0x0D, 0xFF]), 1.0)
    frames = settle(device, 2.05, 0.01)
    one = x("01 00 90") + b"       5\r"
    assert frames == (one + bytes([crc8(one)])) * 10
    wrong = data(device.received("main", 0, bytes([1, 0xDD, 0x0D, 0xFF]), 2.1))
    assert wrong == bytes([1, 0xFE, 0x0D, crc8(bytes([1, 0xFE, 0x0D]))])
    device._signal.kg = 9000
    settle(device, 3.0)
    assert data(device.received("main", 0, bytes([1, 0xD3, 0x0D, 0xFF]), 3.0))[1] == 0xFF


def test_enod4_shows_its_logical_inputs() -> None:
    plate = Plate(0)
    device = ScaimeEnod4(plate)
    settle(device, 1.0)
    plate.loops = [False, True]
    assert data(device.received("main", 0, minimal(3, 0x007D, 1), 1.0))[3:5] == x("0230")
    lane = Ramp(channels=2, rate_hz=1000.0, contact=1)
    signal = LoadSignal(lane, {0: 1.0}, [1])
    assert not signal.contact(0)
    lane.now_s = 0.5
    assert signal.contact(0)
    assert not signal.contact(1)


def test_enod4_zero_waits_for_quiet_and_gives_up() -> None:
    device = ScaimeEnod4(Plate(9000))
    settle(device, 1.0)
    for code in (0, 0xD3):
        device.received("main", 0, minimal(6, 0x0090, code), 1.0)
    assert data(device.received("main", 0, minimal(3, 0x0091, 1), 1.0))[3:5] == x("0001")
    settle(device, 6.2)
    assert data(device.received("main", 0, minimal(3, 0x0091, 1), 6.2))[3:5] == x("0003")


# --- HBM AED


def test_aed_binary_and_ascii_values() -> None:
    device = HbmAed(Plate(4000), nominal_kg=20_000)
    settle(device, 1.5, 0.01)
    assert data(device.received("main", 0, b"S01;COF40;ICR0;MSV?0;", 1.5)) == b"0\r\n0\r\n"
    stream = settle(device, 2.5, 0.01)
    assert stream == x("0F A0 00 08") * 100
    assert data(device.received("main", 0, b"IDN?;STP;", 2.5)) == b""
    assert settle(device, 3.0, 0.01) == b""
    assert data(device.received("main", 0, b"IDN?;", 3.0)).startswith(b"HBM,AD104")
    device.received("main", 0, b"COF2;MSV?3;", 3.0)
    assert settle(device, 4.0, 0.01) == (b"\x0f\xa0\r\n") * 3
    device.received("main", 0, b"COF3;MSV?;", 4.0)
    assert settle(device, 5.0, 0.01) == b"+0200000\r\n"


def test_aed_selection_baud_and_errors() -> None:
    device = HbmAed(Plate(0), address=31)
    assert data(device.received("main", 0, b"S12;IDN?;", 0.0)) == b""
    assert data(device.received("main", 0, b"S31;XYZ;", 0.0)) == b"?\r\n"
    assert data(device.received("main", 0, b"BDR 38400,1;", 0.0)) == b"0\r\n"
    assert device.baud == 38400
    device.reboot(1.0)
    assert device.baud == 9600
    device.received("main", 0, b"BDR38400,1;TDD1;", 1.0)
    device.reboot(2.0)
    assert device.baud == 38400


# --- Laumas


def test_laumas_example() -> None:
    plate = Plate(18300)
    device = LaumasTlb(plate)
    settle(device, 1.0)
    plate.kg = 18250
    settle(device, 2.0)
    reply = data(device.received("main", 0, x("01 03 0006 0008 A40D"), 2.0))
    assert reply == x("01 03 10 0800 0000474A 0000474A 0000477C 0003 580D")


def test_laumas_sign_stands_in_the_status() -> None:
    plate = Plate(-500)
    device = LaumasTlb(plate)
    settle(device, 1.0)
    words = data(device.received("main", 0, minimal(3, 6, 5), 1.0))[3:-2]
    assert words == x("0980 000001F4 000001F4")
    device.received("main", 0, framed(1, x("10 0005 0001 02 0008")), 1.0)
    plate.kg = 700
    settle(device, 2.0)
    assert data(device.received("main", 0, minimal(3, 7, 2), 2.0))[3:7] == x("000004B0")


def test_laumas_refuses_other_functions_and_long_requests() -> None:
    device = LaumasTlb(Plate(0))
    assert data(device.received("main", 0, minimal(6, 5, 8), 0.0))[1:3] == x("86 01")
    assert data(device.received("main", 0, minimal(3, 0, 33), 0.0))[1:3] == x("83 03")
    assert data(device.received("main", 0, minimal(3, 100, 1), 0.0))[1:3] == x("83 02")
    assert data(device.received("main", 0, minimal(3, 6, 1, unit=2), 0.0)) == b""


# --- Toledo


def test_toledo_example_and_flags() -> None:
    assert frame(18250, 0, increment=1, net=False, over=False, motion=False) == x(
        "02 2A 30 20 303138323530 303030303030 0D 27"
    )
    device = ToledoContinuous(Plate(18252), increment=1)
    assert settle(device, 1.0)[:18] == x("02 2A 30 20 303138323530 303030303030 0D 27")
    device.received("main", 0, b"T", 1.0)
    device._signal.kg = 18000
    moving = settle(device, 1.15)[-18:]
    assert moving[2] == 0b0111011  # kg, motion, negative, net
    assert moving[4:10] == b"000250"
    assert checksum(moving[:-1]) == moving[-1]


@pytest.mark.parametrize(
    "device",
    [
        lambda: ScaimeEnod4(Plate(1)),
        lambda: ScaimeEnod4(Plate(1), protocol="scmbus"),
        lambda: HbmAed(Plate(1)),
        lambda: LaumasTlb(Plate(1)),
        lambda: ToledoContinuous(Plate(1)),
    ],
)
@given(st.lists(st.one_of(st.binary(max_size=60), st.binary(max_size=8).map(lambda pdu: framed(1, b"\x10" + pdu)))))
@settings(max_examples=100, deadline=None)
def test_hostile_bytes(device: Callable[[], Emulator], pieces: list[bytes]) -> None:
    emulator = device()
    for number, piece in enumerate(pieces):
        emulator.received("main", 0, piece, number / 10)
        emulator.tick(number / 10)
    emulator.reboot(len(pieces) / 10)
    emulator.tick(len(pieces) / 10 + 1)


@given(st.text(alphabet="SMVCOFICRBDTANLXP?0123456789,;", max_size=60))
@settings(max_examples=200, deadline=None)
def test_hostile_aed_commands(text: str) -> None:
    device = HbmAed(Plate(1))
    device.received("main", 0, text.encode(), 0.1)
    device.tick(1.0)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="rate_hz"):
        ScaimeEnod4(Plate(), rate_hz=123.0)
    with pytest.raises(ValueError, match="protocol"):
        ScaimeEnod4(Plate(), protocol="other")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="AD104"):
        HbmAed(Plate(), model="X")
    with pytest.raises(ValueError, match="division_kg"):
        LaumasTlb(Plate(), division_kg=3)
    with pytest.raises(ValueError, match="increment"):
        ToledoContinuous(Plate(), increment=4)
