"""The E1200 emulator against the vendor's address table."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.emulators.base import Hangup, Send
from firmware_sim.emulators.moxa_e1200 import MoxaE1200
from firmware_sim.world.events import InputChanged

NAMES = ("entry", "exit", "photocell", "open", "closed", "door")


def x(text: str) -> bytes:
    return bytes.fromhex(text)


class Bench:
    def __init__(self, model: str = "E1214", inputs: tuple[str, ...] = NAMES, **more: object) -> None:
        self.moxa = MoxaE1200(inputs, model=model, **more)  # type: ignore[arg-type]
        self.moxa.connected("main", 1, 0.0)

    def raw(self, request: bytes, now_s: float = 0.0) -> bytes:
        output = self.moxa.received("main", 1, request, now_s)
        return b"".join(item.data for item in output if isinstance(item, Send))

    def pdu(self, text: str, now_s: float = 0.0) -> bytes:
        pdu = x(text)
        return self.raw(struct.pack(">HHHB", 7, 0, len(pdu) + 1, 1) + pdu, now_s)[7:]

    def turn(self, name: str, on: bool) -> None:
        self.moxa.happened(InputChanged(0.0, "io", name, on), 0.0)


def test_documented_requests() -> None:
    bench = Bench()
    bench.turn("entry", True)
    bench.turn("photocell", True)
    assert bench.raw(x("0001 0000 0006 01 02 0000 0006")) == x("0001 0000 0004 01 02 01 05")
    assert bench.raw(x("0003 0000 0006 01 05 0003 FF00")) == x("0003 0000 0006 01 05 0003 FF00")
    assert bench.raw(x("0004 0000 0008 01 0F 0100 0006 01 3F")) == x("0004 0000 0006 01 0F 0100 0006")
    assert bench.pdu("04 0030 0001") == x("04 02 0005")
    assert bench.pdu("03 0020 0001") == x("03 02 0008")


def test_counters_count_rising_edges_high_word_first() -> None:
    bench = Bench()
    bench.turn("exit", True)
    bench.pdu("05 0101 FF00")
    for _ in range(3):
        bench.turn("exit", False)
        bench.turn("exit", True)
        bench.turn("exit", True)
    assert bench.pdu("04 0010 000C") == x("04 18 00000000 00000003" + "00000000" * 4)
    bench.moxa.fault("wrong_word_order", True, {}, 0.0)
    assert bench.pdu("04 0012 0002") == x("04 04 00030000")
    bench.moxa.fault("wrong_word_order", False, {}, 0.0)
    assert bench.pdu("05 0111 0000") == x("85 03")
    assert bench.pdu("01 0111 0001") == x("01 01 00")
    assert bench.pdu("05 0111 FF00") == x("05 0111 FF00")
    assert bench.pdu("04 0012 0002") == x("04 04 00000000")


def test_relays_and_their_pulses() -> None:
    bench = Bench()
    assert bench.pdu("06 0020 0005") == x("06 0020 0005")
    assert bench.pdu("01 0000 0006") == x("01 01 05")
    bench.pdu("05 0011 FF00", 1.0)
    assert bench.pdu("01 0000 0006", 1.5) == x("01 01 07")
    assert bench.pdu("01 0010 0006", 1.5) == x("01 01 02")
    assert bench.pdu("01 0000 0006", 2.1) == x("01 01 05")
    assert bench.pdu("10 0020 0001 02 003F") == x("10 0020 0001")
    assert bench.pdu("03 0020 0001") == x("03 02 003F")


def test_model_name_and_what_is_not_there() -> None:
    bench = Bench()
    assert bench.pdu("04 1388 000A") == b"\x04\x14" + b"E1214".ljust(20, b"\0")
    assert bench.pdu("02 0000 0007") == x("82 02")
    assert bench.pdu("04 0600 0001") == x("84 02")
    assert bench.pdu("05 0000 1234") == x("85 03")
    assert bench.pdu("2B 0E 01 00") == x("AB 01")


def test_temperatures_below_zero() -> None:
    bench = Bench("E1260", (), temperature_c=lambda now_s: 23.5 if now_s < 1 else -5.7)
    assert bench.raw(x("0005 0000 0006 01 04 0600 0006"))[9:11] == x("00EB")
    assert bench.pdu("04 0600 0001", 2.0) == x("04 02 FFC7")


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="E1214"):
        MoxaE1200(model="E9999")
    with pytest.raises(ValueError, match="6 inputs, 7"):
        MoxaE1200((*NAMES, "seventh"))


def test_exception_fault_and_reboot() -> None:
    bench = Bench()
    bench.moxa.fault("exception", True, {"code": 6}, 0.0)
    assert bench.pdu("02 0000 0006") == x("82 06")
    bench.moxa.fault("exception", False, {}, 0.0)
    bench.pdu("05 0000 FF00")
    assert bench.moxa.reboot(1.0) == [Hangup("main")]
    bench.moxa.connected("main", 1, 1.0)
    assert bench.pdu("01 0000 0006") == x("01 01 00")


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=60))
@settings(max_examples=300, deadline=None)
def test_hostile_bytes(stream: bytes, pdu: bytes) -> None:
    bench = Bench()
    bench.raw(stream)
    bench.moxa.connected("main", 1, 0.0)
    reply = bench.raw(struct.pack(">HHHB", 9, 0, len(pdu) + 1, 1) + pdu)
    assert reply[7] & 0x7F == pdu[0] & 0x7F
