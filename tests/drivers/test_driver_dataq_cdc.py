"""dataq_cdc: scans out of bytes, divisors, and the driver over a pseudo-terminal."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from driver_peers import Pty, eventually, pty, running
from hypothesis import given
from hypothesis import strategies as st

from drivers import registry
from drivers.dataq_cdc import DataqOptions, InStep, ScanCodec, divisors, model_of
from drivers.events import DeviceState, LinkState, SampleBlock


def options(*names: str, **more: Any) -> DataqOptions:
    return DataqOptions(scan_list=names, scan_rate_hz=1000.0, **more)


def test_bytes_of_the_sheet() -> None:
    assert ScanCodec(options("AIN0", "AIN1")).feed(bytes.fromhex("E80318FC")).tolist() == [[1000, -1000]]


def test_list_words_carry_channel_and_range() -> None:
    assert ScanCodec(options("AIN0", "AIN5", range_v=2.0)).words == [0x200, 0x205]
    assert ScanCodec(options("DI1", "AIN3")).words == [3, 8]


def test_digital_lines_come_out_of_one_word() -> None:
    codec = ScanCodec(options("DI1", "AIN3", "DI0"))
    assert codec.feed(bytes.fromhex("0500 0002 0600 0001")).tolist() == [[1, 5, 0], [0, 6, 1]]
    assert ScanCodec(options("DI0", digital_first_bit=0)).feed(b"\x01\x00").tolist() == [[1]]


@pytest.mark.parametrize(
    ("info", "range_v", "word"),
    [("4108", 10.0, 0), ("1110", 10.0, 0), ("1120", 10.0, 0x300), ("4208", 100.0, 0), ("DI-2108-P", 10.0, 0)],
)
def test_a_model_has_its_own_ranges(info: str, range_v: float, word: int) -> None:
    model = model_of(info)
    assert model is not None
    assert ScanCodec(options("AIN0", range_v=range_v), model).words == [word]


def test_what_is_no_model() -> None:
    assert model_of("") is None
    assert model_of("login:") is None
    assert model_of("9999") == model_of("4108"), "an unknown one is tried as the best known"


@given(st.lists(st.integers(1, 9)), st.lists(st.integers(-32768, 32767), max_size=60))
def test_cutting_does_not_matter(sizes: list[int], values: list[int]) -> None:
    data = np.array(values, "<i2").tobytes()
    codec = ScanCodec(options("AIN0", "AIN1", "AIN2"))
    rows: list[list[int]] = []
    start = 0
    for size in [*sizes, len(data) + 1]:
        rows += codec.feed(data[start : start + size]).tolist()
        start += size
    assert [value for row in rows for value in row] == values[: len(values) - len(values) % 3]


@given(st.floats(1.0, 160_000.0))
def test_divisors_meet_the_rate(rate_hz: float) -> None:
    srate, dec = divisors(60e6, rate_hz)
    assert 1 <= srate <= 65535
    assert 1 <= dec <= 512
    assert 60e6 / (srate * dec) == pytest.approx(rate_hz, rel=2e-3) or rate_hz < 1.8


@pytest.mark.parametrize("noise", [2.0, 6.0, 30.0])
@pytest.mark.parametrize("offset", [0.0, 300.0, -700.0])
def test_a_lost_byte_is_noticed_and_wheels_are_none(noise: float, offset: float) -> None:
    rng = np.random.default_rng(1)
    values = offset + rng.normal(0, noise, (20_000, 3))
    for start in range(500, 20_000, 1700):  # wheels over all three at once, 60 scans long
        values[start : start + 60] += 4000 * np.sin(np.linspace(0, np.pi, 60))[:, None]
    data = values.round().astype("<i2").tobytes()
    codec, in_step = ScanCodec(options("AIN0", "AIN1", "AIN2")), InStep(500)
    assert all(in_step.check(codec.feed(data[start : start + 600])) for start in range(0, len(data), 600))
    late = data[1:]  # one byte is lost from here on
    told = [in_step.check(codec.feed(late[start : start + 600])) for start in range(0, 12_000, 600)]
    assert not all(told)


def test_measured_rate_of_the_sheet() -> None:
    rate_hz = 60e6 / (1171 * 512)
    assert rate_hz == pytest.approx(100.08, abs=0.01)


class Dataq:
    """Echoes commands; streams between start and stop."""

    def __init__(self, line: Pty, *, streaming: bool = False, model: str = "4108") -> None:
        self.line = line
        self.model = model
        self.streaming = streaming
        self.commands: list[str] = []
        self._buffer = b""
        line.on_data(self.answer)

    def answer(self, data: bytes) -> bytes:
        self._buffer += data
        out = b""
        while b"\r" in self._buffer:
            raw, self._buffer = self._buffer.split(b"\r", 1)
            command = raw.decode()
            self.commands.append(command)
            if command == "start":
                self.streaming = True
                continue
            if command == "stop":
                self.streaming = False
            reply = f"info 1 {self.model}" if command == "info 1" else command
            out += reply.encode() + b"\r\0\0"
        return out

    async def stream(self) -> None:
        value = 0
        while True:
            await asyncio.sleep(0.01)
            if self.streaming:
                self.line.send(b"".join(v.to_bytes(2, "little") for v in (value, 1000)) * 10)
                value += 1


async def test_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    with pty() as line:
        device = Dataq(line, streaming=True)  # an earlier session left it running
        feeding = asyncio.create_task(device.stream())
        made = registry.create("dataq_cdc", "daq", line.path, {"scan_list": ["AIN0", "AIN1"], "scan_rate_hz": 1000.0})
        async with running(made) as events:
            await events.until_count(SampleBlock, 5)
        feeding.cancel()
        await eventually(lambda: device.commands[-1] == "stop")
    assert device.commands[1:] == [
        "info 1", "encode 0", "ps 2", "slist 0 0", "slist 1 1", "srate 60000", "dec 1", "start", "stop",
    ]  # fmt: skip
    blocks = events.of(SampleBlock)
    assert blocks[0].samples[:, 1].tolist() == [1000] * len(blocks[0].samples)
    assert [b.first_scan for b in blocks[:3]] == [0, 10, 20] or blocks[1].first_scan == len(blocks[0].samples)
    assert blocks[0].rate_hz == 1000.0


async def configured(model: str, **options: Any) -> tuple[list[str], str]:
    """What a model is told, and the text of its state when it was started or refused."""
    with pty() as line:
        device = Dataq(line, model=model)
        made = registry.create("dataq_cdc", "daq", line.path, {"scan_list": ["AIN0"], **options})
        async with running(made) as events:
            await events.until(lambda: "start" in device.commands or LinkState.DOWN in events.states)
            return device.commands, events.of(DeviceState)[-1].text


async def test_a_model_without_decimation_is_told_none() -> None:
    commands, _ = await configured("1110", scan_rate_hz=1000.0)
    assert "srate 60000" in commands
    assert not any(command.startswith("dec") for command in commands)


@pytest.mark.parametrize(
    ("model", "options", "text"),
    [
        ("1110", {"scan_rate_hz": 500.0}, "scans no slower than 915.5 Hz"),
        ("2108", {"scan_rate_hz": 1000.0, "range_v": 5.0}, "no range of 5 V; set range_v to 10"),
    ],
)
async def test_what_a_model_cannot_do_is_told(model: str, options: dict[str, Any], text: str) -> None:
    commands, said = await configured(model, **options)
    assert "start" not in commands
    assert text in said


async def test_something_else_on_the_line() -> None:
    with pty() as line:
        line.on_data(lambda data: b"login: \r")
        made = registry.create("dataq_cdc", "daq", line.path, {"scan_list": ["AIN0"], "scan_rate_hz": 1000.0})
        async with running(made) as events:
            await events.until_state(LinkState.DOWN)
        assert "is it a DATAQ device" in events.of(DeviceState)[-1].text


@pytest.mark.parametrize(
    ("wrong", "text"),
    [({"scan_list": ["AIN8"]}, "AIN8"), ({"range_v": 3.0}, "range_v"), ({"scan_list": ["DI0", "DI0"]}, "twice")],
)
def test_wrong_options_are_named(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        registry.create("dataq_cdc", "d", "/dev/ttyACM0", {"scan_list": ["AIN0"], "scan_rate_hz": 1000.0, **wrong})
