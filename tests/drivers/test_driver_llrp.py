"""llrp: messages of the sheet, hostile bytes, and the driver against a scripted reader."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Any

import pytest
from driver_peers import running, tcp_peer
from hypothesis import given
from hypothesis import strategies as st

from drivers import registry
from drivers.base import ProtocolError
from drivers.events import DeviceState, InputChange, LinkState, Rejected, TagRead
from drivers.llrp import Antennas, Message, MessageCodec, encode, parameter, parameters, rospec, tags

GREETING = bytes.fromhex("043F00000020000000 0000F600160080000C000640B5EECE000001000006 0000")
REPORT = bytes.fromhex(
    "043D00000038 0000004D 00F0002E 8DE2801160600002054CC2096F 810001 86CA"
    "82 0000000000000001 84 0000000000000002 880007 8C3000"
)
ADDED = bytes.fromhex("041E00000012000000 02011F000800000000")
KEEPALIVE = bytes.fromhex("043E0000000A00000009")


def test_report_of_the_sheet() -> None:
    (message,) = MessageCodec().feed(REPORT, 5)
    assert (message.type, message.id) == (61, 77)
    assert tags(message, "rfid") == [TagRead("rfid", 5, "E2801160600002054CC2096F", 1, -54.0)]


def test_messages_of_the_sheet() -> None:
    assert encode(72, 9) == bytes.fromhex("04480000000A00000009")
    assert encode(21, 3, struct.pack(">I", 1)) == bytes.fromhex("04150000000E00000003 00000001")
    (message,) = MessageCodec().feed(ADDED, 0)
    assert list(parameters(message.body)) == [(287, bytes(4))]


def test_rospec_has_the_pieces_of_the_sheet() -> None:
    body = rospec((1, 2), 1)
    assert body[:4] == bytes.fromhex("00B1") + len(body).to_bytes(2, "big")
    for piece in ("00B20012", "00B3000501", "00B60009", "00ED0012010001", "00EE000B1780", "015C000540"):
        assert bytes.fromhex(piece) in body
    assert bytes.fromhex("0002 0001 0002") in body, "antennas"


def test_a_longer_epc() -> None:
    epc = bytes(range(1, 17))
    body = parameter(240, parameter(241, struct.pack(">H", 128) + epc))
    assert tags(Message(61, 1, body, 0), "rfid") == [TagRead("rfid", 0, epc.hex().upper())]


@given(st.lists(st.integers(1, 30)), st.lists(st.sampled_from([GREETING, REPORT, ADDED, KEEPALIVE])))
def test_cutting_does_not_matter(sizes: list[int], pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    codec = MessageCodec()
    cut = []
    start = 0
    for size in [*sizes, len(data) + 1]:
        cut += codec.feed(data[start : start + size], 0)
        start += size
    assert cut == MessageCodec().feed(data, 0)
    assert len(cut) == len(pieces)


@given(st.binary(max_size=500))
def test_hostile_bytes_are_a_named_error(data: bytes) -> None:
    codec = MessageCodec()
    with contextlib.suppress(ProtocolError):
        codec.feed(data, 0)
    for record in tags(Message(61, 1, data, 0), "rfid"):
        assert isinstance(record, TagRead | Rejected)


class Reader:
    """Answers as the sheet says a reader does."""

    def __init__(self, *, greeting: bytes = GREETING, refuse: int = 0, told: bytes = b"", old: bool = False) -> None:
        self.greeting = greeting
        self.old = old  # knows neither events of antennas nor access specs
        self.told = told  # before it answers the second request
        self.bodies: list[bytes] = []
        self.refuse = refuse
        self.asked: list[int] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.greeting)
        while True:
            kind, length, number = struct.unpack(">HII", await reader.readexactly(10))
            self.bodies.append(await reader.readexactly(length - 10))
            kind &= 0x3FF
            self.asked.append(kind)
            if kind in (64, 72):
                continue
            if kind == 21:
                writer.write(self.told)
            unknown = self.old and (kind == 41 or b"\x00\xf4" in self.bodies[-1])
            code = 101 if kind == self.refuse or unknown else 0
            writer.write(encode(kind + 10, number, parameter(287, struct.pack(">HH", code, 3) + b"bad")))
            if kind == 24:
                writer.write(KEEPALIVE + REPORT)


async def test_reads_tags() -> None:
    reader = Reader()
    async with (
        tcp_peer(reader.talk) as port,
        running(registry.create("llrp", "rfid", f"tcp://127.0.0.1:{port}", {})) as events,
    ):
        await events.until_count(TagRead, 1)
        assert events.states == [LinkState.CONNECTING, LinkState.ONLINE]
    assert reader.asked[:6] == [3, 21, 20, 24, 64, 41]
    assert "E280" not in repr(events)


def antenna(number: int, connected: bool) -> bytes:
    event = parameter(255, struct.pack(">BH", connected, number))
    return encode(63, 7, parameter(246, parameter(128, bytes(8)) + event))


def test_antennas_that_count() -> None:
    antennas = Antennas((1, 2))
    antennas.event(b"\x00\x00\x03")
    assert not antennas.faulty, "nobody reads on it"
    antennas.event(b"\x00\x00\x02")
    assert antennas.faulty
    antennas.event(b"\x01\x00\x02")
    antennas.event(b"")
    assert not antennas.faulty


def faults(events: Any) -> list[bool]:
    return [change.on for change in events.of(InputChange) if change.name == "antenna_fault"]


async def test_a_lost_antenna_is_told_also_while_an_answer_is_awaited() -> None:
    reader = Reader(told=antenna(2, False) + REPORT + antenna(2, True))
    async with (
        tcp_peer(reader.talk) as port,
        running(registry.create("llrp", "rfid", f"tcp://127.0.0.1:{port}", {"antennas": [1, 2]})) as events,
    ):
        await events.until_count(TagRead, 2)
    assert faults(events) == [False, True, False]
    assert b"\x00\xf4" in reader.bodies[0]
    assert b"\x00\xf5\x00\x07\x00\x08\x80" in reader.bodies[0], "events of antennas are asked for"
    assert reader.bodies[0].endswith(bytes.fromhex("00E2000500")), "nothing is held back"


async def test_a_reader_that_cannot_tell_of_antennas_reads_all_the_same() -> None:
    reader = Reader(old=True)
    async with (
        tcp_peer(reader.talk) as port,
        running(registry.create("llrp", "rfid", f"tcp://127.0.0.1:{port}", {})) as events,
    ):
        await events.until_count(TagRead, 1)
        await asyncio.sleep(0.1)
        assert events.states[-1] is LinkState.ONLINE
    assert reader.asked[:3] == [3, 3, 21]


async def test_a_reader_without_rospecs_to_delete_reads_all_the_same() -> None:
    reader = Reader(refuse=21)
    async with (
        tcp_peer(reader.talk) as port,
        running(registry.create("llrp", "rfid", f"tcp://127.0.0.1:{port}", {})) as events,
    ):
        await events.until_count(TagRead, 1)
        assert events.states[-1] is LinkState.ONLINE


def test_an_epc_is_read_whatever_stands_behind_it() -> None:
    body = b"\x8d" + bytes(range(12)) + b"\x81\x00\x01" + b"\xff\xff"
    (tag,) = tags(Message(61, 1, parameter(240, body), 0), "rfid")
    assert tag == TagRead("rfid", 0, bytes(range(12)).hex().upper(), 1, None)


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        (Reader(refuse=20), "refuses request 20: 0065 bad"),
        (Reader(greeting=GREETING[:-1] + b"\x01"), "another connection exists"),
        (Reader(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n"), "another protocol"),
    ],
)
async def test_refusals_are_told(reader: Reader, text: str) -> None:
    async with (
        tcp_peer(reader.talk) as port,
        running(registry.create("llrp", "rfid", f"tcp://127.0.0.1:{port}", {})) as events,
    ):
        await events.until_state(LinkState.DOWN)
    assert text in events.of(DeviceState)[-1].text
