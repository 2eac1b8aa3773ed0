"""scaime_enod4: frames of the sheet, stuffing, both protocols over a pseudo-terminal."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest
from driver_peers import Pty, in_chunks, pty, running
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU

from drivers import registry
from drivers.events import DeviceState, InputChange, LinkState, Rejected, SampleBlock
from drivers.scaime_enod4 import Answer, FastCodec, ScaimeOptions, Weight, flags


def codec(**options: Any) -> FastCodec:
    return FastCodec("plate", ScaimeOptions(**options))


def frame(value: int, status: int = 0x0090, *, stuffed_in_sum: bool = False) -> bytes:
    plain = struct.pack(">H", status) + value.to_bytes(3, "big", signed=True)
    stuffed = b"".join(b"\x10" + bytes((b,)) if b in (2, 3, 16) else bytes((b,)) for b in plain)
    check = (2 + sum(stuffed if stuffed_in_sum else plain)) & 0xFF | 0x80
    return b"\x02" + stuffed + bytes((check, 3))


@pytest.mark.parametrize(
    ("text", "value", "status"),
    [("02009100474AA403", 18250, 0x91), ("0200810000100285 03", 2, 0x81), ("020091FFFFFB8C03", -5, 0x91)],
)
def test_frames_of_the_sheet(text: str, value: int, status: int) -> None:
    assert codec().feed(bytes.fromhex(text), 4) == [Weight(4, value, status)]


@given(st.integers(-(2**23), 2**23 - 1), st.integers(0, 65535), st.booleans())
def test_every_value_comes_through(value: int, status: int, in_sum: bool) -> None:
    assert codec().feed(frame(value, status, stuffed_in_sum=in_sum), 0) == [Weight(0, value, status)]


@pytest.mark.parametrize("address", [1, 2, 3, 16])
def test_answers_are_told_from_values(address: int) -> None:
    made = codec(unit_id=address)
    answer = bytes((address, 0xE2, 0x0D, 0x77))
    assert made.feed(answer + frame(7) + bytes((address, 0xFE, 0x0D, 0)), 0) == [
        Answer(0xE2),
        Weight(0, 7, 0x90),
        Answer(0xFE),
    ]


PIECES = [frame(2), frame(-3, 0x1002), b"\x01\xe2\r\xff", b"\x02\x10"]


@given(st.lists(st.integers(1, 9)), st.lists(st.sampled_from(PIECES)))
def test_cutting_does_not_matter(sizes: list[int], pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert in_chunks(codec(), data, sizes) == codec().feed(data, 0)


@given(st.binary(max_size=1000))
def test_back_in_step_after_garbage(garbage: bytes) -> None:
    made = codec()
    made.feed(garbage, 0)
    assert Weight(0, 18250, 0x90) in made.feed(frame(18250) * 2, 0)
    assert len(made._buffer) < made.limit


def test_flags() -> None:
    assert flags(0x0010) == [True, False, False, False, False]
    assert flags(0x0004) == [False, False, True, False, False]
    assert flags(0x0308) == [False, True, False, True, True]
    assert flags(0x0040)[2]


class Enod4:
    """Streams between start and stop; loses the first stop, as a half-duplex line does."""

    def __init__(self, line: Pty, *, refuse: bool = False) -> None:
        self.line = line
        self.streaming = True
        self.stops = 0
        self.refuse = refuse
        line.on_data(self.answer)

    def answer(self, data: bytes) -> bytes:
        out = b""
        for start in range(0, len(data) - 3, 4):
            request = data[start : start + 4]
            if request[1] == 0xE3:
                self.stops += 1
                if self.stops > 1:
                    self.streaming = False
                    out += request
            elif self.refuse:
                out += request[:1] + b"\xfe\r\xff"
            else:
                self.streaming = True
                out += request
        return out

    async def stream(self) -> None:
        value = 100
        while True:
            await asyncio.sleep(0.01)
            if self.streaming:
                self.line.send(frame(value) + frame(value, 0x0190) + frame(value, 0x0090))
                value += 10


async def test_pushed_values() -> None:
    with pty() as line:
        device = Enod4(line)
        feeding = asyncio.create_task(device.stream())
        made = registry.create("scaime_enod4", "plate", line.path, {"rate_hz": 300.0, "per_count": 10.0})
        async with running(made) as events:
            await events.until_count(SampleBlock, 4)
            await events.until_count(InputChange, 7)
        feeding.cancel()
        assert device.stops >= 2
    blocks = events.of(SampleBlock)
    assert blocks[0].samples.shape[1] == 1
    assert blocks[1].first_scan == len(blocks[0].samples)
    assert [(c.name, c.on) for c in events.of(InputChange)[:6]] == [
        ("stable", True), ("overload", False), ("fault", False), ("in1", False), ("in2", False), ("in1", True),
    ]  # fmt: skip


async def test_a_refused_stream_says_what_to_check() -> None:
    with pty() as line:
        device = Enod4(line, refuse=True)
        device.streaming = False
        async with running(registry.create("scaime_enod4", "plate", line.path, {})) as events:
            await events.until_state(LinkState.DOWN)
        assert "check start_code" in events.of(DeviceState)[-1].text


async def test_noise_is_counted_as_a_lost_value() -> None:
    with pty() as line:
        device = Enod4(line)
        device.streaming = False
        async with running(registry.create("scaime_enod4", "plate", line.path, {"rate_hz": 100.0})) as events:
            await line.until_received(b"\x01\xe2\r\xff")
            line.send(frame(1))
            await events.until_count(SampleBlock, 1)
            line.send(frame(1)[:-2] + b"\x00\x03" + frame(1))
            await events.until_count(SampleBlock, 2)
            await events.until_count(Rejected, 1)
        assert (events.of(SampleBlock)[1].first_scan, events.of(SampleBlock)[1].lost_scans) == (2, 1)


async def test_polled_values() -> None:
    requests: list[bytes] = []

    def answer(data: bytes) -> bytes:
        requests.append(data)
        body = bytes.fromhex("0103060010 0000474A".replace(" ", ""))
        return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")

    with pty() as line:
        line.on_data(answer)
        made = registry.create("scaime_enod4", "plate", line.path, {"protocol": "modbus", "rate_hz": 50.0})
        async with running(made) as events:
            await events.until_count(SampleBlock, 3)
    assert requests[0] == bytes.fromhex("0103007D000395D3")
    assert events.of(SampleBlock)[0].samples.tolist() == [[18250]]
    assert events.of(InputChange)[0].name == "stable"
