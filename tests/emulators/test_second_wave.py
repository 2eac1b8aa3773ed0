"""DATAQ, ADAM-6000, Mercury and gpsd emulators against the sheets."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.emulators.adam_6000 import Adam6000
from firmware_sim.emulators.base import Output, Send
from firmware_sim.emulators.dataq_cdc import DataqCdc
from firmware_sim.emulators.epc import epc_crc, epc_of
from firmware_sim.emulators.gpsd import Gpsd
from firmware_sim.emulators.thingmagic_mercury import ThingMagicMercury, crc, reply, tag_record
from firmware_sim.world.events import InputChanged, TagPassed

from .bench import Ramp, clock


def x(text: str) -> bytes:
    return bytes.fromhex(text)


def data(output: Output) -> bytes:
    return b"".join(item.data for item in output if isinstance(item, Send))


# --- DATAQ


def test_dataq_echoes_scans_and_stops() -> None:
    lane = Ramp(channels=3, contact=2)
    device = DataqCdc(lane, 3, frozenset({2}))
    assert data(device.received("main", 0, b"stop\rencode 0\r", 0.0)) == b""
    assert data(device.tick(1.0)) == b"stop\r"
    assert data(device.tick(2.0)) == b"encode 0\r"
    said = data(device.received("main", 0, b"slist 0 1\rslist 1 0\rslist 2 8\rsrate 60000\rdec 1\rps 0\rinfo 1\r", 2.0))
    assert said == b"slist 0 1\rslist 1 0\rslist 2 8\rsrate 60000\rdec 1\rps 0\rinfo 1 4108\r"
    lane.now_s = 2.0
    assert data(device.received("main", 0, b"start\r", 2.0)) == b""
    lane.now_s = 2.1
    stream = data(device.tick(2.1))
    assert len(stream) == 592  # 100 scans of 6 bytes, in packets of 16
    got = struct.unpack("<296h", stream)
    assert got[:6] == (1, 0, 0x7E00, 11, 10, 0x7F00)
    assert device.received("main", 0, b"info 1\r", 2.1) == []  # no echo in mid-scan
    device.received("main", 0, b"stop\r", 2.1)
    lane.now_s = 3.2
    assert data(device.tick(3.2)) == b"stop\r"


def test_dataq_text_mode_and_a_rate_of_its_own() -> None:
    lane = Ramp(channels=1)
    device = DataqCdc(lane, 1, slow_command_s=0.0)
    device.received("main", 0, b"encode 1\rsrate 600000\rstart\r", 0.0)
    lane.now_s = 1.0
    rows = data(device.tick(1.0)).split(b"\r")
    assert rows[:2] == [b"0.0000", b"0.0305"]  # scan 10: 100 counts of 10 V / 32768
    assert 95 <= len(rows) <= 101


@given(
    st.lists(
        st.one_of(st.binary(max_size=40), st.from_regex(rb"(slist|srate|dec|ps|encode|start|stop) ?[0-9 ]{0,8}\r"))
    )
)
@settings(max_examples=200, deadline=None)
def test_dataq_hostile_bytes(pieces: list[bytes]) -> None:
    lane = Ramp(channels=2)
    device = DataqCdc(lane, 2)
    for number, piece in enumerate(pieces):
        device.received("main", 0, piece, number / 10)
        lane.now_s = number / 10
        device.tick(number / 10)


# --- ADAM-6000


def adam(device: Adam6000, pdu: str) -> bytes:
    request = x(pdu)
    return data(device.received("main", 1, struct.pack(">HHHB", 1, 0, len(request) + 1, 1) + request, 0.0))[7:]


def test_adam_inputs_are_coils_and_counters_low_word_first() -> None:
    device = Adam6000(("a", "b"))
    device.connected("main", 1, 0.0)
    for on in (True, False) * 2 + (True,):
        device.happened(InputChanged(0.0, "io", "b", on), 0.0)
    assert adam(device, "01 0000 000C") == x("01 02 0200")
    assert adam(device, "03 0000 0004") == x("03 08 00000000 00030000")
    assert adam(device, "05 0011 FF00") == x("05 0011 FF00")
    assert adam(device, "01 0010 0006") == x("01 01 02")
    assert adam(device, "03 012C 0001") == x("03 02 0002")
    assert adam(device, "03 012E 0001") == x("03 02 0002")
    assert adam(device, "01 000C 0001") == x("81 02")
    no_coils = Adam6000(model="6051")
    no_coils.connected("main", 1, 0.0)
    assert adam(no_coils, "05 0010 FF00") == x("85 02")
    with pytest.raises(ValueError, match="6050"):
        Adam6000(model="1")


# --- ThingMagic


def test_mercury_frames_that_were_captured() -> None:
    assert reply(0x03, x("23010600 38000201 20240913 02010608 00000010"))[-2:] == x("CB65")
    captured = x(
        "FF 28 22 0000 10 001B 01FF 01 01 C4 11 0E1640 00000127 0000 05 0000 0F 0080 3000"
        "000000000000000000001545 E94A 561D"
    )
    epc = x("000000000000000000001545")
    made = tag_record(epc, metadata=0x01FF, count=1, rssi_dbm=-60, antenna=1, ms=0x127, khz=923_200, check=0xE94A)
    assert made == captured
    assert crc(x("00 03")) == 0x1D0C
    assert epc_crc(epc) == 0xE94A


def test_mercury_reads_continuously() -> None:
    module = ThingMagicMercury()
    assert data(module.received("main", 0, x("FF 00 03 1D 0C"), 0.0))[:5] == x("FF 14 03 0000")
    assert data(module.received("main", 0, x("FF 01 97 01 4B BC"), 0.0))[2:5] == x("97 0000")
    tag = TagPassed(0.0, "C02", "wim", "uhf", "TCX 094956", 1)
    assert module.happened(tag, 0.0) == []
    start = x("FF 10 2F 0000 01 22 0000 05 07 22 10 001B 03E8 01FF DD2B")
    assert data(module.received("main", 0, b"\xff\xff" + start, 1.0)) == x("FF 00 2F 0000 51 4D")
    record = data(module.happened(tag, 1.5))
    assert record[:5] == x("FF 28 22 0000")
    assert record[-18:-4] == x("3000") + epc_of("TCX 094956")
    assert crc(record[1:-2]) == int.from_bytes(record[-2:], "big")
    assert x("FF 00 22 0400 84 E0") in data(module.tick(2.1))
    module.fault("too_hot", True, {}, 2.1)
    assert data(module.tick(3.2)) == reply(0x22, status=0x0504)
    assert data(module.received("main", 0, x("FF 03 2F 0000 02 5E86"), 3.3)) == x("FF 00 2F 0000 51 4D")
    assert module.tick(9.0) == []


def test_mercury_in_its_boot_loader_refuses_all_but_a_few_commands() -> None:
    module = ThingMagicMercury()

    def said(opcode: int) -> bytes:
        body = bytes((0, opcode))
        return data(module.received("main", 0, b"\xff" + body + crc(body).to_bytes(2, "big"), 0.0))

    assert said(0x0C) == reply(0x0C, b"\x12")
    module.fault("boot_loader", True, {}, 0.0)
    assert said(0x0C) == reply(0x0C, b"\x11")
    assert said(0x97) == reply(0x97, status=0x0101)
    assert said(0x04)[:5] == x("FF 14 04 0000")
    assert said(0x0C) == reply(0x0C, b"\x12")


def test_mercury_baud_and_unknown_commands() -> None:
    module = ThingMagicMercury()
    module.received("main", 0, x("FF 04 06 0001C200 A460"), 0.0)
    assert module.baud == 115_200
    unknown = x("00 55")
    said = data(module.received("main", 0, b"\xff" + unknown + crc(unknown).to_bytes(2, "big"), 0.0))
    assert said[2:5] == x("55 0101")


@given(st.lists(st.binary(max_size=60), max_size=20), st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_mercury_hostile_bytes(pieces: list[bytes], tag: str) -> None:
    module = ThingMagicMercury()
    for number, piece in enumerate(pieces):
        module.received("main", 0, piece, float(number))
        body = bytes([len(piece)]) + b"\x2f" + piece
        module.received("main", 0, b"\xff" + body + crc(body).to_bytes(2, "big"), float(number))
        module.happened(TagPassed(0.0, "a", "b", "c", tag, 1), float(number))
        module.tick(float(number))
    module.reboot(99.0)
    assert data(module.received("main", 0, x("FF 00 03 1D 0C"), 99.0))[-2:] == x("CB65")


# --- gpsd


def reports(output: Output) -> list[dict[str, object]]:
    return [json.loads(line) for line in data(output).splitlines()]


def test_gpsd_watch_reports_the_second() -> None:
    gpsd = Gpsd(clock)
    assert reports(gpsd.connected("main", 1, 0.0))[0]["class"] == "VERSION"
    asked = b'?WATCH={"enable":true,"json":true,"pps":true};'
    assert gpsd.received("main", 1, asked[:9], 0.0) == []
    assert [report["class"] for report in reports(gpsd.received("main", 1, asked[9:], 0.0))] == ["DEVICES", "WATCH"]
    assert reports(gpsd.tick(0.5)) == []
    position, late, edge = reports(gpsd.tick(1.0))
    assert (position["class"], position["mode"], position["time"]) == ("TPV", 3, "2026-11-24T13:00:01.000Z")
    assert (late["class"], late["clock_nsec"]) == ("TOFF", 120_000_000)
    assert (edge["class"], edge["real_sec"], edge["clock_sec"], edge["clock_nsec"]) == (
        "PPS",
        *[edge["real_sec"]] * 2,
        0,
    )
    gpsd.fault("clock_step", True, {"step_s": 0.25}, 1.1)
    stepped = reports(gpsd.tick(2.0))[-1]
    assert (stepped["real_sec"] - stepped["clock_sec"]) - stepped["clock_nsec"] * 1e-9 == pytest.approx(0.25)  # type: ignore[operator]
    gpsd.fault("no_fix", True, {}, 2.1)
    assert [report["mode"] for report in reports(gpsd.tick(3.0))] == [1]


@given(st.lists(st.binary(max_size=80).map(lambda data: data + b";"), max_size=20))
@settings(max_examples=200, deadline=None)
def test_gpsd_hostile_bytes(pieces: list[bytes]) -> None:
    gpsd = Gpsd(clock)
    gpsd.connected("main", 1, 0.0)
    for number, piece in enumerate(pieces):
        gpsd.received("main", 1, piece, float(number))
        gpsd.received("main", 1, b"?WATCH=" + piece, float(number))
        gpsd.tick(float(number))
