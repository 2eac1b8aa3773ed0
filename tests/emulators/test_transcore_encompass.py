"""The Encompass emulator against the messages of the system guide and the CRC worked out from its source text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.emulators.base import Output, Send
from firmware_sim.emulators.transcore_encompass import SIGN_ON, TransCoreEncompass, crc
from firmware_sim.world.events import TagPassed

from .bench import clock


def text(output: Output) -> bytes:
    return b"".join(item.data for item in output if isinstance(item, Send))


class Bench:
    def __init__(self, **options: object) -> None:
        self.reader = TransCoreEncompass(clock, **options)  # type: ignore[arg-type]

    def host(self, data: bytes, now_s: float = 0.0) -> bytes:
        return text(self.reader.received("main", 0, data, now_s))

    def tag(self, tag: str = "KING 1302", now_s: float = 0.0) -> bytes:
        return text(self.reader.happened(TagPassed(now_s, "C03", "booth", "rfid", tag, 1), now_s))

    def later(self, now_s: float) -> bytes:
        return text(self.reader.tick(now_s))


@pytest.mark.parametrize(
    ("message", "check"),
    [(b"4KING 1302", b"9A91"), (b"4@", b"3440"), (b"1505", b"6067"), (b"101", b"1643"), (b"123456789", b"BEEF")],
)
def test_crc(message: bytes, check: bytes) -> None:
    assert crc(message) == check


def test_data_mode_and_command_mode() -> None:
    bench = Bench()
    assert bench.tag() == b"#KING 1302\r\n"
    assert bench.host(b"#505\r") == b""
    assert bench.host(b"#01\r") == b"#Done\r\n"
    assert bench.tag() == b""
    assert bench.host(b"#505\r") == b"#" + SIGN_ON + b"\r\n"
    assert bench.host(b"#522\r") == b"#MAIN B5 S0 P0 D0\r\n"
    assert bench.host(b"#999\r") == b"#Error\r\n"
    assert bench.host(b"#50#5") + bench.host(b"22\r") == b"#MAIN B5 S0 P0 D0\r\n"
    assert bench.host(b"#302\r#311\r#6012\r#00\r", 5.0) == b"#Done\r\n" * 4
    assert bench.tag(now_s=61.25) == b"#KING 1302&13:01:01.25 11/24/26%12-0-01-0\r\n"


def test_a_tag_still_in_the_field_after_command_mode_is_read() -> None:
    bench = Bench()
    bench.host(b"#01\r", 1.0)
    assert bench.tag("KING 1302", 1.1) == b""
    assert bench.host(b"#00\r", 1.2) == b"#Done\r\n#KING 1302\r\n"
    bench.host(b"#01\r", 2.0)
    assert bench.tag("KING 1302", 2.0) == b""
    assert bench.host(b"#00\r", 9.0) == b"#Done\r\n"


def test_flow_control_holds_tags_back() -> None:
    bench = Bench()
    assert bench.host(b"\x13") == b""
    assert bench.tag("A") + bench.tag("B") == b""
    assert bench.host(b"\x11") == b"#A\r\n#B\r\n"


def test_data_inquiry() -> None:
    bench = Bench()
    bench.host(b"#01\r#613\r#00\r")
    assert bench.tag("A") + bench.tag("B") == b""
    assert bench.host(b"\x05") == b"#A\r\n"
    assert bench.host(b"\x05\x05\x05") == b"#B\r\n"


def test_ecp_repeats_until_acknowledged() -> None:
    bench = Bench(protocol="ecp")
    for sequence in (b"0", b"2"):
        bench.tag("A")
        assert bench.host(b"#" + sequence + b"@" + crc(sequence + b"@") + b"\r") == b""
    sent = b"#4KING 13029A91\r\n"
    assert bench.tag() == sent
    assert bench.tag("NEXT", 1.0) == b""
    assert bench.later(12.6) == b""
    assert bench.later(12.8) == sent  # 254 times 50 ms
    assert bench.host(b"#4?" + crc(b"4?") + b"\r", 13.0) == sent
    assert bench.host(b"#2@" + crc(b"2@") + b"\r", 14.0) == sent
    assert bench.host(b"#4@0000\r", 14.5) == b""  # wrong CRC
    assert bench.host(b"#4@3440\r", 15.0) == b"#6NEXT" + crc(b"6NEXT") + b"\r\n"
    assert bench.host(b"#6@````\r", 16.0) == b""
    assert bench.later(100.0) == b""


def test_ecp_commands_and_repeated_sequence() -> None:
    bench = Bench(protocol="ecp")
    entered = b"#1Done" + crc(b"1Done") + b"\r\n"
    assert bench.host(b"#101" + crc(b"101") + b"\r") == entered
    assert bench.host(b"#101````\r") == entered
    assert bench.host(b"#3505````\r") == b"#3" + SIGN_ON + crc(b"3" + SIGN_ON) + b"\r\n"
    assert bench.host(b"#3505AAAA\r") == b""
    assert bench.host(b"#5612FF````\r") == b"#5Done" + crc(b"5Done") + b"\r\n"
    assert bench.host(b"#2505````\r") == b""


def test_reboot_signs_on_and_faults() -> None:
    bench = Bench()
    bench.host(b"#01\r")
    assert text(bench.reader.reboot(1.0)) == b"#" + SIGN_ON + b"\r\n"
    assert bench.tag("A", 2.0) == b"#A\r\n"
    bench.reader.fault("stuck_tag", True, {}, 2.0)
    assert bench.tag("B", 3.0) == b"#B\r\n"
    assert bench.later(3.6) == b"#B\r\n"
    bench.reader.fault("stuck_tag", False, {}, 4.0)
    assert bench.later(9.0) == b""
    assert text(bench.reader.fault("phantom_tag", True, {"tag": "GHOST"}, 9.0)) == b"#GHOST\r\n"


@given(st.lists(st.one_of(st.binary(max_size=40), st.from_regex(rb"#[0-9A-F]{1,6}[@?`]{0,5}\r")), max_size=30))
@settings(max_examples=300, deadline=None)
def test_hostile_bytes(pieces: list[bytes]) -> None:
    for protocol in ("basic", "ecp"):
        bench = Bench(protocol=protocol)
        for number, piece in enumerate(pieces):
            bench.host(piece, float(number))
            bench.tag("T", float(number))
            bench.later(float(number))
        bench.reader.reboot(99.0)
        assert bench.tag("AGAIN", 99.0).startswith(b"#")
