"""toledo_continuous: the frame of the sheet, checks, and the driver over a pseudo-terminal."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from driver_peers import in_chunks, pty, running
from hypothesis import given
from hypothesis import strategies as st

from drivers import registry
from drivers.events import DeviceState, InputChange, LinkState, Measurement, Rejected, SampleBlock
from drivers.toledo_continuous import NoWeight, ToledoCodec, ToledoOptions, Weight

SHEET = bytes.fromhex("022A30203031383235303030303030300D27")


def codec(**options: Any) -> ToledoCodec:
    return ToledoCodec("scale", ToledoOptions(**options))


def frame(weight: str = "018250", tare: str = "000000", a: int = 0x2A, b: int = 0x30, c: int = 0x20) -> bytes:
    head = bytes((2, a, b, c)) + weight.encode() + tare.encode() + b"\r"
    return head + bytes((-sum(head) & 0x7F,))


def test_frame_of_the_sheet() -> None:
    assert frame() == SHEET
    assert codec().feed(SHEET, 3) == [Weight(3, 18250.0, 0.0, False, False, False)]


def test_parity_bits_are_ignored() -> None:
    even = bytes(byte | (byte.bit_count() & 1) << 7 for byte in SHEET)
    assert even != SHEET
    assert codec().feed(even, 3) == codec().feed(SHEET, 3)


@pytest.mark.parametrize(
    ("made", "kg"),
    [
        (frame(a=0x2B), 1825.0),
        (frame(a=0x2C), 182.5),
        (frame(a=0x29), 182500.0),
        (frame(b=0x32), -18250.0),
        (frame(b=0x20), 18250 * 0.45359237),
        (frame(weight="   250"), 250.0),
        (frame(weight=" 01825", a=0x2C, b=0x20, c=0x22), 18250.0),  # 18.25 t
        (frame(weight=" 02012", a=0x2C, b=0x20, c=0x26), 20.12 * 907.18474),  # short tons
        (frame(weight="182500", b=0x20, c=0x21), 182.5),  # g
        (frame(weight="001600", b=0x20, c=0x23), 100 * 0.45359237),  # oz
        (frame(weight="001000", b=0x20, c=0x24), 31.1034768),  # troy oz
        (frame(weight="001000", b=0x20, c=0x25), 1.55517384),  # pennyweight
        (frame(weight="182503", a=0x2B, c=0x30), 18250.3),  # one digit more, which the decimals count
        (frame(c=0x28), 18250.0),  # print was pressed
        (frame(a=0x5A), 18250.0),  # a LUW2001's fixed bits
        (frame(tare="      "), 18250.0),
        (frame(tare="------"), 18250.0),  # gross: no tare is needed
    ],
)
def test_decimals_sign_and_unit(made: bytes, kg: float) -> None:
    (weight,) = codec().feed(made, 0)
    assert isinstance(weight, Weight)
    assert weight.kg == pytest.approx(kg)


def test_an_expanded_display_whose_decimals_do_not_count_the_digit() -> None:
    (weight,) = codec(expanded_tenths=True).feed(frame(weight="182503", c=0x30), 0)
    assert isinstance(weight, Weight)
    assert weight.kg == pytest.approx(18250.3)
    assert codec(expanded_tenths=True).feed(SHEET, 0) == codec().feed(SHEET, 0)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (frame(weight="      "), "blank"),
        (frame(tare="      ", b=0x31), "blank"),  # net, of which tare is not said
        (frame(weight="******"), "no_weight"),
        (frame(weight="------"), "no_weight"),
        (frame(weight=" OVER "), "no_weight"),
        (frame(weight="0182X0"), "no_weight"),
        (frame(weight="182500", b=0x20, c=0x27), "unit_no_weight"),  # newton
    ],
)
def test_what_is_no_weight_is_named(made: bytes, reason: str) -> None:
    assert codec().feed(made, 5) == [Rejected("scale", 5, reason), NoWeight(5, False, False)]


def test_a_blank_display_still_says_that_it_is_out_of_range() -> None:
    assert codec().feed(frame(weight="      ", b=0x34), 5)[1] == NoWeight(5, False, True)


def test_states() -> None:
    (weight,) = codec().feed(frame(tare="001000", b=0x3D), 0)
    assert weight == Weight(0, 18250.0, 1000.0, True, True, True)


def test_without_a_check() -> None:
    assert len(codec(checksum=False).feed(SHEET[:-1] * 3, 0)) == 3
    assert codec(checksum=False).feed(frame(a=0x0A)[:-1], 0)[0] == Rejected("scale", 0, "bad_fields")


def test_a_check_that_nobody_announced_is_no_noise() -> None:
    records = codec(checksum=False).feed(SHEET * 3, 0)
    assert [type(record) for record in records] == [Weight] * 3
    odd = codec(checksum=False).feed(SHEET[:-1] + b"x" + SHEET, 0)
    assert odd[1] == Rejected("scale", 0, "no_start")


@pytest.mark.parametrize(
    ("sent", "state", "text"),
    [
        (SHEET[:-1] * 4, LinkState.DOWN, "set checksum = false"),
        (SHEET + SHEET[:-1], LinkState.ONLINE, "in order"),  # noise takes one in two
    ],
)
async def test_a_check_that_does_not_come_says_what_to_set(sent: bytes, state: LinkState, text: str) -> None:
    with pty() as line:
        async with running(registry.create("toledo_continuous", "scale", line.path, {})) as events:
            async with asyncio.timeout(10):
                while state not in events.states:
                    line.send(sent)
                    await asyncio.sleep(0.02)
            assert any(text in told.text for told in events.of(DeviceState))
            await asyncio.sleep(0.3)
            assert (LinkState.DOWN in events.states) is (state is LinkState.DOWN)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (SHEET[:-1] + b"\x28", "bad_sum"),
        (SHEET[:16] + b"\x0a\x27", "no_end"),
        (b"garbage" + SHEET, "no_start"),
    ],
)
def test_rejected(data: bytes, reason: str) -> None:
    assert codec().feed(data, 0)[0] == Rejected("scale", 0, reason)


@given(st.lists(st.integers(1, 20)), st.lists(st.sampled_from([SHEET, SHEET[:9], b"\x02\x02", b"x"])))
def test_cutting_does_not_matter(sizes: list[int], pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert in_chunks(codec(), data, sizes) == codec().feed(data, 0)


@given(st.binary(max_size=1000))
def test_back_in_step_after_garbage(garbage: bytes) -> None:
    made = codec()
    made.feed(garbage, 0)
    assert Weight(0, 18250.0, 0.0, False, False, False) in made.feed(SHEET * 2, 0)
    assert len(made._buffer) < made.limit


async def test_over_a_line() -> None:
    with pty() as line:
        made = registry.create("toledo_continuous", "scale", line.path, {"rate_hz": 50.0})
        async with running(made) as events:
            while len(events.of(SampleBlock)) < 3:
                line.send(frame(weight="017250", tare="001000", b=0x31))
                await asyncio.sleep(0.02)
    assert events.of(SampleBlock)[0].samples.tolist()[0] == [9125], "gross: net and tare"
    assert events.of(Measurement)[0].value == 18250.0
    assert [(c.name, c.on) for c in events.of(InputChange)] == [("stable", True), ("overload", False)]
