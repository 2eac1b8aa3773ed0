"""thingmagic_mercury: captured frames of the sheet, resynchronisation, and the driver over a pseudo-terminal."""

from __future__ import annotations

from typing import Any

import pytest
from driver_peers import Pty, eventually, in_chunks, pty, running
from hypothesis import given
from hypothesis import strategies as st

from drivers import registry
from drivers.events import DeviceState, InputChange, LinkState, Rejected, TagRead
from drivers.thingmagic_mercury import MercuryCodec, Reply, command, crc

TAG = bytes.fromhex("FF282200001000 1B01FF0101C4110E1640000001270000050000 0F00803000 000000000000000000001545E94A561D")
VERSION = bytes.fromhex("FF14030000230106003800020120240913020106080000 0010CB65")
ALIVE = bytes.fromhex("FF0022040084E0")
READ = TagRead("rfid", 0, "000000000000000000001545", 1, -60.0)


def codec() -> MercuryCodec:
    return MercuryCodec("rfid")


def reply(op: int, status: int = 0, data: bytes = b"") -> bytes:
    message = bytes((len(data), op)) + status.to_bytes(2, "big") + data
    return b"\xff" + message + crc(message).to_bytes(2, "big")


@pytest.mark.parametrize(
    ("op", "data", "expected"),
    [
        (0x03, "", "FF0003 1D0C"),
        (0x06, "0001C200", "FF0406 0001C200 A460"),
        (0x97, "01", "FF019701 4BBC"),
        (0x97, "08", "FF019708 4BB5"),
        (0x91, "0101", "FF02910101 703B"),
        (0x91, "020101", "FF0391020101 42C5"),
        (0x93, "0005", "FF02930005 517D"),
        (0x92, "0A8C", "FF02920A8C 4BD5"),
        (0x9A, "010C00", "FF039A010C00 A35D"),
        (0x2F, "00000122000005072210001B03E801FF", "FF102F00000122000005072210001B03E801FF DD2B"),
        (0x2F, "000002", "FF032F000002 5E86"),
    ],
)
def test_commands_of_the_sheet(op: int, data: str, expected: str) -> None:
    assert command(op, bytes.fromhex(data)) == bytes.fromhex(expected)


def test_captured_tag() -> None:
    assert codec().feed(TAG, 0) == [READ]


def test_captured_replies() -> None:
    assert codec().feed(VERSION + ALIVE, 0) == [Reply(3, 0, VERSION[5:-2]), Reply(0x22, 0x0400, b"")]
    assert reply(0x2F) == bytes.fromhex("FF002F0000514D")


def test_start_bytes_inside_an_epc() -> None:
    body = TAG[5:-2].replace(bytes.fromhex("000000000000000000001545"), b"\xff" * 12)
    (read,) = codec().feed(reply(0x22, 0, body), 0)
    assert isinstance(read, TagRead)
    assert read.tag == "FF" * 12


def test_a_bad_crc_is_rejected_and_the_next_tag_is_read() -> None:
    assert codec().feed(TAG[:-1] + b"\x00" + TAG, 0) == [Rejected("rfid", 0, "bad_crc"), READ]


def test_a_cut_record_is_rejected() -> None:
    assert codec().feed(reply(0x22, 0, TAG[5:40]), 0) == [Rejected("rfid", 0, "bad_record")]


PIECES = [TAG, ALIVE, VERSION, TAG[:20], b"\xff", b"boot 1.2\r\n"]


@given(st.lists(st.integers(1, 30)), st.lists(st.sampled_from(PIECES)))
def test_cutting_does_not_matter(sizes: list[int], pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    whole = codec().feed(data, 0)
    cut = in_chunks(codec(), data, sizes)
    assert [r for r in cut if not isinstance(r, Rejected)] == [r for r in whole if not isinstance(r, Rejected)]


@given(st.binary(max_size=2000))
def test_back_in_step_after_garbage(garbage: bytes) -> None:
    made = codec()
    made.feed(garbage, 0)
    assert READ in made.feed(TAG + TAG, 0)
    assert len(made._buffer) < made.limit


class Reader:
    def __init__(self, line: Pty, *, refuse: int = 0, boot_loader: bool = False, deaf: int = 0) -> None:
        self.ops: list[int] = []
        self.boot_loader = boot_loader
        self.deaf = deaf  # so many commands are not heard
        self.reading = False
        self.refuse = refuse
        line.on_data(self.answer)

    def answer(self, data: bytes) -> bytes:
        out = b""
        while data:
            size = data[1] + 5
            message, data = data[:size], data[size:]
            assert crc(message[1:-2]) == int.from_bytes(message[-2:], "big")
            op = message[2]
            self.ops.append(op)
            if len(self.ops) <= self.deaf:
                continue
            if op == 0x0C:
                out += reply(op, 0, b"\x11" if self.boot_loader else b"\x12")
                continue
            if op == 0x04:
                self.boot_loader = False
            if self.boot_loader and op != 0x03:
                out += reply(op, 0x0101)
                continue
            if op == 0x2F:
                self.reading = message[5] == 1
            out += VERSION if op == 3 else reply(op, 0x0105 if op == self.refuse else 0)
        return out


async def test_reads_tags() -> None:
    with pty() as line:
        reader = Reader(line)
        made = registry.create("thingmagic_mercury", "rfid", line.path, {"region": "NA", "antennas": [1, 2]})
        async with running(made) as events:
            await events.until_state(LinkState.ONLINE)
            assert reader.ops == [0x2F, 0x03, 0x97, 0x93, 0x91, 0x92, 0x9A, 0x2F]
            assert reader.reading
            line.send(TAG + ALIVE + reply(0x22, 0x0504))
            await events.until_count(TagRead, 1)
            await events.until_count(InputChange, 3)
        await eventually(lambda: not reader.reading)  # it is left quiet
    changes = [(c.name, c.on) for c in events.of(InputChange)]
    assert changes == [("too_hot", False), ("antenna_fault", False), ("too_hot", True)]
    assert "1545" not in repr(events)


async def test_a_module_in_its_boot_loader_is_booted() -> None:
    with pty() as line:
        reader = Reader(line, boot_loader=True)
        async with running(registry.create("thingmagic_mercury", "rfid", line.path, {"region": "NA"})) as events:
            await eventually(lambda: reader.reading)
            line.send(TAG)
            await events.until_count(TagRead, 1)
            assert LinkState.DOWN not in events.states
    assert reader.ops[:6] == [0x2F, 0x03, 0x97, 0x0C, 0x04, 0x03]


async def test_a_module_that_is_still_starting_gets_its_seconds() -> None:
    with pty() as line:
        reader = Reader(line, deaf=3)
        async with running(registry.create("thingmagic_mercury", "rfid", line.path, {"region": "NA"})) as events:
            await eventually(lambda: reader.reading)
            assert LinkState.DOWN not in events.states


async def test_a_module_that_cannot_switch_its_filter_off_reads_all_the_same() -> None:
    with pty() as line:
        Reader(line, refuse=0x9A)
        made = registry.create("thingmagic_mercury", "rfid", line.path, {"region": "NA"})
        async with running(made) as events:
            await events.until_state(LinkState.ONLINE)
            line.send(TAG)
            await events.until_count(TagRead, 1)


async def test_a_refusal_is_told() -> None:
    with pty() as line:
        Reader(line, refuse=0x97)
        made = registry.create("thingmagic_mercury", "rfid", line.path, {"region": "NA"})
        async with running(made) as events:
            await events.until_state(LinkState.DOWN)
    assert "refuses command 97: status 0105" in events.of(DeviceState)[-1].text


@pytest.mark.parametrize("options", [{"region": "XX"}, {"region": "NA", "antennas": [0]}, {"antennas": [1]}])
def test_wrong_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"region|antennas"):
        registry.create("thingmagic_mercury", "rfid", "/dev/ttyS0", options)
