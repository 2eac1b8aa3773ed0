"""The LLRP emulator against documented messages and against sllurp, a client that nobody here wrote."""

from __future__ import annotations

import asyncio
import struct
import threading
import time
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.emulators.base import Hangup, Output, Send
from firmware_sim.emulators.llrp import Llrp, event_connected, message, status, tlv
from firmware_sim.serve import Unit
from firmware_sim.wires.endpoints import TcpEndpoint
from firmware_sim.wires.faults import Wire
from firmware_sim.world.events import TagPassed

from .bench import clock


def x(text: str) -> bytes:
    return bytes.fromhex(text.replace("|", ""))


def data(output: Output) -> bytes:
    return b"".join(item.data for item in output if isinstance(item, Send))


def tag(name: str = "E2801160600002054CC2096F") -> TagPassed:
    return TagPassed(0.0, "C02", "wim", "uhf", name, 1)


ROSPEC = tlv(
    177,
    struct.pack(">IBB", 7, 0, 0)
    + tlv(178, tlv(179, b"\x01") + tlv(182, struct.pack(">BI", 0, 0)))
    + tlv(183, struct.pack(">HH", 1, 1) + tlv(184, b"\0" * 5) + tlv(186, struct.pack(">HB", 1, 1)))
    + tlv(237, struct.pack(">BH", 1, 1) + tlv(238, struct.pack(">H", 0x1780) + tlv(348, b"\x40"))),
)


def test_documented_messages() -> None:
    assert event_connected(0x000640B5EECE0000) == x(
        "04 3F 00000020 00000000 | 00F6 0016 | 0080 000C 000640B5EECE0000 | 0100 0006 0000"
    )
    assert message(30, 2, status()) == x("04 1E 00000012 00000002 011F 0008 0000 0000")


def test_a_lost_antenna_is_told_to_who_asked_for_it() -> None:
    reader = Llrp(clock)
    reader.connected("main", 1, 0.0)
    assert reader.fault("antenna_lost", True, {"antenna": 2}, 0.5) == []
    asked = tlv(244, tlv(245, struct.pack(">HB", 8, 0x80)))
    assert data(reader.received("main", 1, message(3, 1, b"\0" + asked), 1.0)) == message(13, 1, status())
    stamp = tlv(128, struct.pack(">Q", int(clock(2.0).timestamp() * 1e6)))
    lost, back = (message(63, 0, tlv(246, stamp + tlv(255, struct.pack(">BH", connected, 2)))) for connected in (0, 1))
    assert data(reader.fault("antenna_lost", True, {"antenna": 2}, 2.0)) == lost
    assert data(reader.fault("antenna_lost", False, {"antenna": 2}, 2.0)) == back


def test_inventory_from_connect_to_report() -> None:
    reader = Llrp(clock, reads=1)
    assert data(reader.connected("main", 1, 0.0))[:2] == x("04 3F")
    assert data(reader.received("main", 1, message(20, 2, ROSPEC), 0.0)) == message(30, 2, status())
    assert reader.happened(tag(), 0.0) == []
    enable = x("04 18 0000000E 00000003 00000007")
    assert data(reader.received("main", 1, enable, 0.0)) == message(34, 3, status())
    report = data(reader.happened(tag(), 1.0))
    stamp = struct.pack(">Q", int(clock(1.0).timestamp() * 1e6))
    wanted = x("8D E2801160600002054CC2096F 81 0001 86 CC 82") + stamp + b"\x84" + stamp + x("88 0001 8C 3000")
    assert report == message(61, 1, tlv(240, wanted))
    assert data(reader.received("main", 1, message(23, 4, struct.pack(">I", 7)), 2.0)) == message(33, 4, status())
    assert reader.happened(tag(), 3.0) == []


def test_refusals_keepalive_and_close() -> None:
    reader = Llrp(clock)
    reader.connected("main", 1, 0.0)
    second = reader.connected("main", 2, 0.0)
    assert data(second)[-2:] == x("0002")
    assert second[1] == Hangup("main", 2)
    reader.received("main", 1, message(20, 1, ROSPEC), 0.0)
    twice = data(reader.received("main", 1, message(20, 2, ROSPEC), 0.0))
    assert struct.unpack(">H", twice[14:16])[0] == 300
    missing = data(reader.received("main", 1, message(24, 3, struct.pack(">I", 99)), 0.0))
    assert struct.unpack(">H", missing[14:16])[0] == 300
    unknown = data(reader.received("main", 1, message(999, 4), 0.0))
    assert unknown[:2] == x("04 64")
    reader.received("main", 1, message(3, 5, b"\0" + tlv(220, struct.pack(">BI", 1, 2000))), 0.0)
    assert reader.tick(1.9) == []
    assert data(reader.tick(2.0)) == x("04 3E 0000000A 00000001")
    assert reader.received("main", 1, x("04 48 0000000A 00000001"), 2.0) == []
    closing = reader.received("main", 1, message(14, 9), 3.0)
    assert data(closing) == message(4, 9, status())
    assert closing[1] == Hangup("main", 1)


def test_a_header_that_is_none_closes_the_connection() -> None:
    reader = Llrp(clock)
    reader.connected("main", 1, 0.0)
    assert reader.received("main", 1, b"GET / HTTP/1.1\r\n", 0.0) == [Hangup("main", 1)]


async def test_sllurp_takes_an_inventory() -> None:
    client_module: Any = pytest.importorskip("sllurp.llrp", reason="sllurp is not installed")
    reader = Llrp(clock)
    endpoint = TcpEndpoint(reader.ports)
    began = time.monotonic()
    unit = Unit(reader, endpoint, Wire(Random(1)), lambda: time.monotonic() - began)
    await endpoint.open(unit)
    seen: list[Any] = []
    arrived = threading.Event()

    def reported(client: Any, tags: list[Any]) -> None:
        seen.extend(tags)
        arrived.set()

    wanted = {"EnableAntennaID": True, "EnablePeakRSSI": True, "EnableFirstSeenTimestamp": True, "EnableROSpecID": True}
    config = client_module.LLRPReaderConfig(
        {"antennas": [1], "report_every_n_tags": 1, "start_inventory": True, "tag_content_selector": wanted}
    )
    client = client_module.LLRPReaderClient("127.0.0.1", int(endpoint.url.rpartition(":")[2]), config)
    client.add_tag_report_callback(reported)
    try:
        await asyncio.to_thread(client.connect)
        for _ in range(100):
            await asyncio.sleep(0.05)
            unit.step([tag()], time.monotonic() - began)
            if arrived.is_set():
                break
        assert seen, "no report arrived"
        assert seen[0]["EPC"] in (b"e2801160600002054cc2096f", "e2801160600002054cc2096f")
        assert (seen[0]["AntennaID"], seen[0]["PeakRSSI"]) == (1, -52)
        assert 0 <= seen[0]["FirstSeenTimestampUTC"] / 1e6 - clock(0).timestamp() < 60
    finally:
        await asyncio.to_thread(client.disconnect, 2)
        await endpoint.close()


@given(st.lists(st.binary(max_size=60), max_size=15), st.integers(0, 1023), st.text(max_size=70))
@settings(max_examples=300, deadline=None)
def test_hostile_bytes(pieces: list[bytes], kind: int, name: str) -> None:
    reader = Llrp(clock)
    for number, piece in enumerate(pieces):
        reader.connected("main", number, float(number))
        reader.received("main", number, message(kind, 1, piece), float(number))
        reader.received("main", number, message(20, 1, tlv(177, struct.pack(">IBB", 1, 0, 0) + piece)), float(number))
        reader.received("main", number, message(24, 1, struct.pack(">I", 1)), float(number))
        reader.received("main", number, message(22, 1, struct.pack(">I", 1)), float(number))
        reader.happened(tag(name), float(number))
        reader.received("main", number, piece, float(number))
        reader.tick(float(number))
        reader.disconnected("main", number, float(number))
