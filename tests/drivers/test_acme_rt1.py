"""The worked example of docs/write-a-driver.md: its codec, and its driver over a pseudo-terminal."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from driver_peers import in_chunks, pty, running
from hypothesis import given
from hypothesis import strategies as st

from drivers.events import InputChange, LinkState, Measurement, Rejected

sys.path.insert(0, str(Path(__file__).parent / "acme_road"))
from acme_road.acme_rt1 import AcmeCodec, AcmeOptions, AcmeRt1

FRAME = bytes.fromhex("A5 FF C7 02 6D")  # -5.7 °C, ice
READ = [Measurement("road", 0, "pavement", -5.7, "_c"), InputChange("road", 0, "ice", True)]


def codec() -> AcmeCodec:
    return AcmeCodec("road", AcmeOptions())


def test_the_frame_of_the_manual() -> None:
    assert codec().feed(FRAME, 0) == READ


def test_a_wrong_sum_is_counted_and_the_next_frame_is_read() -> None:
    assert codec().feed(FRAME[:-1] + b"\x00" + FRAME, 0) == [Rejected("road", 0, "bad_sum"), *READ]


@given(st.binary(max_size=50), st.lists(st.integers(1, 7)))
def test_cutting_does_not_matter(noise: bytes, sizes: list[int]) -> None:
    data = FRAME + noise + FRAME + FRAME
    assert in_chunks(codec(), data, sizes) == codec().feed(data, 0)


@given(st.binary(max_size=2000))
def test_back_in_step_within_two_frames(noise: bytes) -> None:
    made = codec()
    made.feed(noise, 0)
    assert made.feed(FRAME + FRAME, 0)[-2:] == READ


async def test_over_a_line() -> None:
    with pty() as line:
        async with running(AcmeRt1("road", line.path, AcmeOptions(offset_c=0.5))) as events:
            while LinkState.ONLINE not in events.states:
                line.send(FRAME)
                await asyncio.sleep(0.02)
            assert events.of(Measurement)[0].value == -5.2
