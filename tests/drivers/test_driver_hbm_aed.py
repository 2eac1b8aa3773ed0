"""hbm_aed: values, being out of step, and the driver over a pseudo-terminal."""

from __future__ import annotations

import asyncio
import random

from driver_peers import Pty, eventually, in_chunks, pty, running
from hypothesis import given
from hypothesis import strategies as st

from drivers import registry
from drivers.events import DeviceState, InputChange, LinkState, Rejected, SampleBlock
from drivers.hbm_aed import AsciiCodec, BinaryCodec, Value


def binary(values: list[tuple[int, int]]) -> bytes:
    return b"".join(value.to_bytes(3, "big", signed=True) + bytes((status,)) for value, status in values)


def test_value_of_the_sheet() -> None:
    assert BinaryCodec("pad").feed(bytes.fromhex("0FA00008"), 0) == [Value(1_024_000, 8)]
    assert BinaryCodec("pad").feed(bytes.fromhex("FFFFFB00"), 0) == [Value(-5, 0)]


def test_lines() -> None:
    data = b"-0200000,008\r\n 1000000\r\n+12,5\r\nxx\r\n"
    assert AsciiCodec("pad").feed(data.replace(b" ", b""), 7) == [
        Value(-200_000, 8), Value(1_000_000, 0), Value(12, 5), Rejected("pad", 7, "bad_line"),
    ]  # fmt: skip


STEPS = st.lists(st.tuples(st.integers(-2000, 2000), st.sampled_from([0, 1, 8, 0xC0])), max_size=100)


@given(st.lists(st.integers(1, 9)), st.integers(-(2**22), 2**22), STEPS)
def test_cutting_does_not_matter(sizes: list[int], base: int, steps: list[tuple[int, int]]) -> None:
    values = [(base + step, status) for step, status in steps]
    assert in_chunks(BinaryCodec("pad"), binary(values), sizes) == BinaryCodec("pad").feed(binary(values), 0)
    lines = b"".join(b"%d,%03d\r\n" % value for value in values)
    assert in_chunks(AsciiCodec("pad"), lines, sizes) == [Value(*value) for value in values]


@given(st.binary(max_size=2000))
def test_hostile_bytes_put_it_out_of_step_at_worst(data: bytes) -> None:
    codec = BinaryCodec("pad")
    records = codec.feed(data, 0)
    assert len([r for r in records if isinstance(r, Rejected)]) == (0 if codec.in_step else 1)
    lines = AsciiCodec("pad")
    lines.feed(data, 0)
    assert Value(5, 8) in lines.feed(b"\r\n5,008\r\n5,008\r\n", 0)


@given(st.integers(0, 2**32), st.integers(0, 5_000_000), st.sampled_from([2, 3]), st.floats(30, 5000))
def test_lost_bytes_are_noticed_within_two_windows(seed: int, load: int, lost: int, noise: float) -> None:
    rng = random.Random(seed)
    data = binary([(load + round(rng.gauss(0, noise)), 8) for _ in range(32 * 4)])
    codec = BinaryCodec("pad")
    codec.feed(data[: 4 * 32 * 2] + data[4 * 32 * 2 + lost :], 0)
    assert not codec.in_step


@given(st.integers(0, 2**32), st.floats(0, 5000))
def test_one_lost_byte_is_noticed_at_the_next_axle(seed: int, noise: float) -> None:
    rng = random.Random(seed)
    shape = [max(0.0, 1.0 - abs(i - 100) / 30) * 3_000_000 for i in range(200)]
    data = binary([(round(level + rng.gauss(0, noise)), 0) for level in shape])
    codec = BinaryCodec("pad")
    codec.feed(data[:101] + data[102:], 0)
    assert not codec.in_step


@given(st.integers(0, 2**32), st.floats(0, 5000))
def test_an_axle_is_not_taken_for_lost_bytes(seed: int, noise: float) -> None:
    rng = random.Random(seed)
    shape = [max(0.0, 1.0 - abs(i - 100) / 30) * 5_000_000 for i in range(200)]
    codec = BinaryCodec("pad")
    values = [(round(level + rng.gauss(0, noise)), 0) for level in shape]
    assert codec.feed(binary(values), 0) == [Value(*value) for value in values]


class Aed:
    def __init__(self, line: Pty, answer: bytes = b"0\r\n") -> None:
        self.line = line
        self.answer_text = answer
        self.commands: list[bytes] = []
        self.streaming = True
        self._buffer = b""
        line.on_data(self.answer)

    def answer(self, data: bytes) -> bytes:
        self._buffer += data
        out = b""
        while b";" in self._buffer:
            command, self._buffer = self._buffer.split(b";", 1)
            self.commands.append(command)
            if command in (b"STP", b"MSV?0"):
                self.streaming = command != b"STP"
            elif command and not command.startswith(b"S"):
                out += self.answer_text
        return out

    async def stream(self) -> None:
        for count in range(10**6):
            await asyncio.sleep(0.01)
            if self.streaming:
                self.line.send(bytes.fromhex("0FA00008" if count % 2 else "0FA00108"))


async def test_streams_and_gets_back_in_step() -> None:
    with pty() as line:
        device = Aed(line)
        feeding = asyncio.create_task(device.stream())
        async with running(registry.create("hbm_aed", "pad", line.path, {"format": "binary"})) as events:
            await events.until_count(SampleBlock, 3)
            line.send(bytes.fromhex("0F3030"))
            await events.until(lambda: any(block.stream == 2 for block in events.of(SampleBlock)))
        feeding.cancel()
        await eventually(lambda: device.commands[-1] == b"STP")
    blocks = events.of(SampleBlock)
    assert blocks[0].samples.tolist()[0] == [4000]
    assert blocks[0].rate_hz == 100.0
    assert [event.reason for event in events.of(Rejected)] == ["out_of_step"]
    assert [(c.name, c.on) for c in events.of(InputChange)[:2]] == [("stable", True), ("overload", False)]
    assert device.commands[:6] == [b"", b"STP", b"S01", b"COF40", b"ICR0", b"MSV?0"]


async def test_lines_over_a_line() -> None:
    with pty() as line:
        device = Aed(line)
        device.streaming = False
        async with running(registry.create("hbm_aed", "pad", line.path, {"per_count": 100.0})) as events:
            await line.until_received(b"MSV?0;")
            line.send(b"0200000,008\r\n0200100,008\r\n")
            await events.until(lambda: sum(len(block.samples) for block in events.of(SampleBlock)) == 2)
    assert b"COF11" in device.commands
    assert events.of(SampleBlock)[0].samples.tolist()[0] == [2000]


async def test_a_refusal_is_told() -> None:
    with pty() as line:
        device = Aed(line, b"?\r\n")
        device.streaming = False
        async with running(registry.create("hbm_aed", "pad", line.path, {})) as events:
            await events.until_state(LinkState.DOWN)
        assert "'?' to COF11;" in events.of(DeviceState)[-1].text
