"""sick_lms: telegrams of public sources, profiles made from geometry, and the driver against a scripted scanner."""

from __future__ import annotations

import asyncio
import math

import numpy as np
import pytest
from driver_peers import eventually, in_chunks, running, tcp_peer
from hypothesis import given
from hypothesis import strategies as st

from drivers.events import DeviceState, InputChange, LinkState, Measurement, Rejected
from drivers.sick_lms import ColaCodec, ProfileWatch, Reply, Scan, SickLms, SickOptions

# The heads of scans of a TiM551 and an LMS111, as public code shows them, with the first values and counts to match.
TIM551 = (
    "sRA LMDscandata 1 1 F510AB 0 0 5932 5933 5B87697D 5B88808C 0 0 1 0 0 5DC 36 0 1 "
    "DIST1 3F800000 00000000 FFF92230 2710 8 292 290 28D 291 290 28F 27B 0 0 0 0 0 0 0"
)
LMS111 = (
    "sRA LMDscandata 1 1 8D4C04 0 0 45FF 37 280F6 28A73 0 0 7 0 0 1388 168 0 1 "
    "DIST1 3F800000 00000000 FFF92230 1388 5 7E 82 7D 79 83 0 0 0 0 0 0"
)
ENCODER_AND_SCALE = (
    "sSN LMDscandata 1 1 8D4C04 0 2 45FF 37 280F6 28A73 0 0 7 0 0 1388 168 1 10 20 2 "
    "RSSI1 3F800000 00000000 FFF92230 1388 2 7E 82 DIST1 40000000 00000000 FFFF3CB0 09C4 3 7E 0 3 0 0 0 0 0 0"
)
OPTIONS = SickOptions(height_m=6.0)


def framed(text: str) -> bytes:
    return b"\x02" + text.encode() + b"\x03"


def scan_of(text: str) -> Scan:
    (scan,) = ColaCodec("lms").feed(framed(text), 7)
    assert isinstance(scan, Scan)
    return scan


def profile(boxes: list[tuple[float, float, float]], time_ns: int = 0, state: int = 0) -> Scan:
    """What a scanner 6 m over y = 1.75 sees of boxes (left, right, height) on a flat road."""
    distances = []
    for k in range(361):
        off = math.radians(-90 + 0.5 * k)
        best = 6.0 / math.cos(off) if math.cos(off) > 1e-3 else 0.0
        for left, right, height in boxes:
            roof = (6.0 - height) / math.cos(off) if math.cos(off) > 1e-3 else math.inf
            if left <= 1.75 + roof * math.sin(off) <= right:
                best = min(best, roof)
        distances.append(best)
    return Scan(time_ns, 0, state, 0.0, 0.5, np.array(distances))


def test_scans_of_public_sources() -> None:
    scan = scan_of(TIM551)
    assert (scan.start_deg, scan.step_deg, scan.scans, scan.state, scan.time_ns) == (-45.0, 1.0, 0x5933, 0, 7)
    assert scan.distances_m[:3].tolist() == [0.658, 0.656, 0.653]
    assert scan.distances_m[7] == 0.0
    scan = scan_of(LMS111)
    assert (scan.start_deg, scan.step_deg) == (-45.0, 0.5)
    assert scan.distances_m.tolist() == pytest.approx([0.126, 0.130, 0.125, 0.121, 0.131])


def test_encoders_other_channels_scale_and_distances_that_are_none() -> None:
    scan = scan_of(ENCODER_AND_SCALE)
    assert (scan.start_deg, scan.step_deg, scan.state) == (-5.0, 0.25, 2)
    assert scan.distances_m.tolist() == [0.252, 0.0, 0.0]


def test_answers() -> None:
    assert ColaCodec("lms").feed(framed("sRA SCdevicestate 1") + framed("sFA 3"), 0) == [
        Reply("sRA", "SCdevicestate", ("1",)),
        Reply("sFA", "3", ()),
    ]


@pytest.mark.parametrize(
    "text",
    [
        TIM551.replace(" 8 292", " FFFFFFFF 292"),
        TIM551.replace(" 8 292", " 1FFF 292"),
        TIM551.replace("DIST1", "DIST2"),
        TIM551.replace("36 0 1", "36 FFFF 1"),
        TIM551.replace("3F800000", "nonsense"),
        TIM551.replace("3F800000", "7FC00000").replace(" 0 1 DIST1", " 0 1 RSSI1"),
        "sSN LMDscandata",
        "sXX what",
    ],
)
def test_a_telegram_that_lies_is_rejected_and_the_next_is_read(text: str) -> None:
    got = ColaCodec("lms").feed(framed(text) + framed(LMS111), 0)
    assert got[0] == Rejected("lms", 0, "bad_fields")
    assert isinstance(got[1], Scan)
    assert len(got) == 2


@given(noise=st.binary(max_size=60), sizes=st.lists(st.integers(1, 50)))
def test_cutting_does_not_matter(noise: bytes, sizes: list[int]) -> None:
    data = framed("sRA SCdevicestate 1") + noise + framed("sEA LMDscandata 1") * 2
    assert in_chunks(ColaCodec("lms"), data, sizes) == ColaCodec("lms").feed(data, 0)


@given(st.text("0123456789ABCDEFx-. sSNRDIT1", max_size=300))
def test_any_words_are_a_scan_an_answer_or_rejected(text: str) -> None:
    ColaCodec("lms").feed(framed("sSN LMDscandata " + text), 0)


def test_height_is_that_of_the_highest_thing_that_is_wide_enough() -> None:
    watch = ProfileWatch("lms", OPTIONS)
    assert watch.highest_m(profile([])) is None
    assert watch.highest_m(profile([(0.5, 3.0, 3.9)])) == pytest.approx(3.9)
    assert watch.highest_m(profile([(0.5, 3.0, 1.5), (1.0, 1.5, 2.0)])) == pytest.approx(2.0)
    assert watch.highest_m(profile([(0.5, 3.0, 1.5), (1.75, 1.78, 3.0)])) == pytest.approx(1.5), "one beam: a drop"
    assert watch.highest_m(profile([(0.5, 3.0, 0.2)])) is None
    assert watch.highest_m(profile([(3.6, 5.5, 3.9)])) is None, "a vehicle in the next lane"


def test_presence_height_and_gap() -> None:
    watch, told = ProfileWatch("lms", OPTIONS), []
    step_ns = 40_000_000
    for k in range(200):
        there = 10 <= k < 60 or 62 <= k < 80 or 130 <= k < 150  # two scans without an echo end nothing
        height = 3.9 if k < 100 else 1.5
        told += watch.take(profile([(0.5, 3.0, height)] if there else [], k * step_ns))
    presence = [(e.time_ns // step_ns, e.on) for e in told if isinstance(e, InputChange) and e.name == "presence"]
    assert presence == [(0, False), (10, True), (79, False), (130, True), (149, False)]
    measured = [(e.name, e.value) for e in told if isinstance(e, Measurement)]
    assert measured == [("height", 3.9), ("gap", pytest.approx(51 * 0.04)), ("height", 1.5)]


async def test_the_driver_waits_for_a_scanner_that_starts_and_reads_its_scans() -> None:
    asked: list[bytes] = []

    async def scanner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(200):
            asked.append(data)
            if b"SCdevicestate" in data:
                writer.write(framed(f"sRA SCdevicestate {int(len(asked) > 1)}"))
            elif b"LMDscandata 1" in data:
                writer.write(framed("sEA LMDscandata 1"))
                for _ in range(2):
                    writer.write(framed(ENCODER_AND_SCALE))
                    await asyncio.sleep(0.05)

    async with tcp_peer(scanner) as port:
        async with running(SickLms("lms", f"tcp://127.0.0.1:{port}", OPTIONS)) as events:
            await events.until_state(LinkState.ONLINE)
            await events.until_count(InputChange, 2)
            assert {(e.name, e.on) for e in events.of(InputChange)} == {("presence", False), ("dirty", True)}
            await asyncio.sleep(0.15)  # it has sent all that it had
        await eventually(lambda: asked[-1] == framed("sEN LMDscandata 0"))


@pytest.mark.parametrize(("state", "started"), [("sFA 2", "1"), ("sRA SCdevicestate 01", "01")])
async def test_a_scanner_that_answers_otherwise_reads_all_the_same(state: str, started: str) -> None:
    async def scanner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(200):
            if b"SCdevicestate" in data:
                writer.write(framed(state))
            elif b"LMDscandata 1" in data:
                writer.write(framed(f"sEA LMDscandata {started}"))
                await asyncio.sleep(0.05)
                writer.write(framed(ENCODER_AND_SCALE))

    async with tcp_peer(scanner) as port, running(SickLms("lms", f"tcp://127.0.0.1:{port}", OPTIONS)) as events:
        await events.until_count(InputChange, 2)


async def test_a_scanner_that_is_faulty_or_speaks_another_protocol_is_named() -> None:
    async def faulty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(200)
        writer.write(framed("sRA SCdevicestate 2"))

    async with tcp_peer(faulty) as port, running(SickLms("lms", f"tcp://127.0.0.1:{port}", OPTIONS)) as events:
        await events.until_state(LinkState.DOWN)
        assert "faulty" in events.of(DeviceState)[-1].text
