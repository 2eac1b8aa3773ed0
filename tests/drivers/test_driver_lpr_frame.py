"""lpr_frame: the three presets, byte orders, and the driver over a pseudo-terminal and TCP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from driver_peers import in_chunks, pty, running, tcp_peer
from hypothesis import given
from hypothesis import strategies as st

from drivers import registry
from drivers.events import LinkState, PlateRead, Rejected
from drivers.lpr_frame import Heartbeat, LprOptions, ProtocolledCodec, Send, TextCodec

STAMP_NS = 1311856496 * 10**9  # 2011-07-28 12:34:56
RAW = b"\x0246HVR9;NLD;87;2011-07-28;12-34-56;1042\x03"
BIG = bytes.fromhex("89ABCDEF000000010000000A34364856 52392D4E4C441712345678")
LITTLE = bytes.fromhex("EFCDAB89010000000A00000034364856 52392D4E4C441778563412")
AXXON = b"\x022026112412345601A123BC 77  \x03"


def raw(**options: Any) -> TextCodec:
    return TextCodec("lpr", LprOptions(**options))


def protocolled(**options: Any) -> ProtocolledCodec:
    return ProtocolledCodec("lpr", LprOptions(preset="nedap_protocolled", **options))


def test_raw_template() -> None:
    (read,) = raw().feed(RAW, 9)
    assert read == PlateRead("lpr", 9, "46HVR9", "NLD", 0.87, STAMP_NS)


def test_protocolled_in_both_byte_orders() -> None:
    for frame in (BIG, LITTLE):
        (read,) = protocolled().feed(frame, 9)
        assert read == PlateRead("lpr", 9, "46HVR9", "NLD", None)


def test_protocolled_acknowledges_where_it_is_told_to() -> None:
    records = protocolled(acknowledge=True).feed(BIG, 0)
    check = 0x89 ^ 0xAB ^ 0xCD ^ 0xEF ^ 1
    assert records[1] == Send(bytes.fromhex("89ABCDEF00000001") + bytes((check,)) + bytes.fromhex("12345678"))


def test_axxonsoft() -> None:
    (read,) = TextCodec("lpr", LprOptions(preset="axxonsoft")).feed(AXXON, 0)
    assert read == PlateRead("lpr", 0, "A123BC 77", reader_ns=1795523696 * 10**9)


def test_own_template_encoding_and_separator() -> None:
    made = raw(fields=("score", "plate"), separator=",", encoding="cp1251")
    (read,) = made.feed("\x02100,А123ВС77\x03".encode("cp1251"), 0)
    assert read == PlateRead("lpr", 0, "A123BC77", None, 1.0), "Latin letters look like these Cyrillic ones"


@pytest.mark.parametrize(
    ("frame", "odd", "country", "confidence"),
    [
        (b"\x0246HVR9;NLDX;87;a;b;c\x03", ["odd_country"], None, 0.87),
        (b"\x0246HVR9;NLD;187;a;b;c\x03", ["odd_score"], "NLD", None),
        (b"\x0246HVR9;NLD;0.87;a;b;c\x03", [], "NLD", 0.87),
        (b"\x0246HVR9;NLD;97 %;a;b;c\x03", [], "NLD", 0.97),
        (b"\x0246HVR9;NLD;\xb2;a;b;c\x03", ["odd_bytes", "odd_score"], "NLD", None),
        (b"\x0246HVR9;NLD;87;a;b;c;\x03", [], "NLD", 0.87),
        (b"\x0246HVR9;N\xb2;;a;b;c\x03", ["odd_bytes", "odd_country"], None, None),
    ],
)
def test_a_side_field_never_costs_the_plate(
    frame: bytes, odd: list[str], country: str | None, confidence: float | None
) -> None:
    *rejected, read = raw().feed(frame, 0)
    assert read == PlateRead("lpr", 0, "46HVR9", country, confidence)
    assert rejected == [Rejected("lpr", 0, reason) for reason in odd]


@pytest.mark.parametrize("word", ["", "--", "unknown", "NO PLATE", "null"])
def test_a_word_that_means_no_plate_is_a_sign_of_life(word: str) -> None:
    assert raw().feed(f"\x02{word};;0;a;b;c\x03".encode(), 0) == [Heartbeat()]


def test_a_plate_with_dashes_in_protocolled_mode() -> None:
    text = b"46-HVR-9-NLD"
    frame = bytes.fromhex("89ABCDEF00000001") + len(text).to_bytes(4, "big") + text
    check = 0
    for byte in frame:
        check ^= byte
    (read,) = protocolled().feed(frame + bytes((check,)) + bytes.fromhex("12345678"), 0)
    assert read == PlateRead("lpr", 0, "46-HVR-9", "NLD")


def test_heartbeat() -> None:
    assert raw(heartbeat="ALIVE").feed(b"\x02ALIVE\x03", 0) == [Heartbeat()]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\x0246HVR9;NLD;87\x03", "bad_fields"),
        (b"\x0246*VR9;NLD;87;a;b;c\x03", "bad_plate"),
        (b"\x0246HVR\xb2;NLD;87;a;b;c\x03", "bad_plate"),
        (b"\x0246HVR\xb2;NLD\x03", "bad_text"),
        (b"\x0246HVR9;NLD" + RAW, "cut_short"),
        (b"46HVR9" + RAW, "no_start"),
        (b"\x02" + b"4" * 300, "too_long"),
    ],
)
def test_rejected(frame: bytes, reason: str) -> None:
    records = raw().feed(frame, 0)
    assert records[0] == Rejected("lpr", 0, reason)


@pytest.mark.parametrize("frame", [BIG, LITTLE])
def test_protocolled_rejects_a_wrong_check(frame: bytes) -> None:
    for position in range(4, len(frame)):
        bad = bytearray(frame)
        bad[position] ^= 0x01
        made = protocolled()
        records = made.feed(bytes(bad) + frame + frame, 0)
        assert [r for r in records if isinstance(r, PlateRead)].count(PlateRead("lpr", 0, "46HVR9", "NLD")) == 2
        assert any(isinstance(record, Rejected) for record in records)


@given(st.lists(st.integers(1, 20)), st.lists(st.sampled_from([RAW, BIG, LITTLE, AXXON, b"\x02", b"\x89\xab", b"?"])))
def test_cutting_does_not_matter(sizes: list[int], pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    for made, again in ((raw(), raw()), (protocolled(), protocolled())):
        assert in_chunks(made, data, sizes) == again.feed(data, 0)


@given(st.binary(max_size=3000))
def test_back_in_step_after_garbage(garbage: bytes) -> None:
    for made, frame in ((raw(), RAW), (protocolled(), BIG), (protocolled(), LITTLE)):
        made.feed(garbage, 0)
        records = made.feed(frame + frame, 0)
        assert any(isinstance(record, PlateRead) and record.plate == "46HVR9" for record in records)
        assert len(made._buffer) < made.limit


@given(st.text(alphabet="ABCDEFGHKLMNPRSTVXYZ0123456789", min_size=1, max_size=12), st.integers(0, 100))
def test_every_plate_comes_through(plate: str, score: int) -> None:
    (read,) = raw().feed(f"\x02{plate};USA;{score};d;t;1\x03".encode(), 0)
    assert read == PlateRead("lpr", 0, plate, "USA", score / 100)


@pytest.mark.parametrize(
    "options",
    [{"plate_pattern": "("}, {"encoding": "klingon"}, {"fields": ["country"]}, {"preset": "acme"}, {"separator": ""}],
)
def test_wrong_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        registry.create("lpr_frame", "lpr", "/dev/ttyS0", options)


async def test_reads_over_a_line() -> None:
    with pty() as line:
        async with running(registry.create("lpr_frame", "lpr", f"serial://{line.path}?baud=19200", {})) as events:
            await events.until_state(LinkState.ONLINE)
            line.send(RAW[:10])
            await asyncio.sleep(0.02)
            line.send(RAW[10:] + b"\x02bad\x03")
            await events.until_count(PlateRead, 1)
            await events.until_count(Rejected, 1)
    assert "46HVR9" not in repr(events), "a plate is never shown"


async def test_acknowledges_over_tcp() -> None:
    answers: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(LITTLE)
        answers.append(await reader.readexactly(13))
        await reader.read()

    options = {"preset": "nedap_protocolled", "acknowledge": True}
    async with (
        tcp_peer(talk) as port,
        running(registry.create("lpr_frame", "lpr", f"tcp://127.0.0.1:{port}", options)) as events,
    ):
        await events.until_count(PlateRead, 1)
        async with asyncio.timeout(5):
            while not answers:
                await asyncio.sleep(0.01)
    assert answers[0][:8] == bytes.fromhex("EFCDAB8901000000")


async def test_silence_is_an_alarm_only_where_asked_for() -> None:
    with pty() as line:
        made = registry.create("lpr_frame", "lpr", line.path, {"silent_after_s": 0.5, "heartbeat": "HB"})
        async with running(made) as events:
            while LinkState.ONLINE not in events.states:
                line.send(b"\x02HB\x03")
                await asyncio.sleep(0.05)
            await events.until_state(LinkState.SILENT)
            assert events.of(PlateRead) == []


def counted(number: int) -> bytes:
    return RAW.replace(b"1042", b"%d" % number)


def test_the_readers_own_count_tells_of_frames_that_were_lost_or_doubled() -> None:
    codec = raw()
    said = [codec.feed(counted(number), number) for number in (7, 8, 8, 11, 2, 3)]
    assert [[type(record).__name__ for record in records] for records in said] == [
        ["PlateRead"],
        ["PlateRead"],
        ["Rejected"],  # the same once more
        ["Rejected", "PlateRead"],  # 9 and 10 did not arrive
        ["PlateRead"],  # switched off and on
        ["PlateRead"],
    ]
    assert said[2] == [Rejected("lpr", 8, "frame_repeated")]
    assert said[3][0] == Rejected("lpr", 11, "frame_missing", 2)


def test_a_count_that_stands_still_costs_no_plate() -> None:
    codec = raw()
    plates = [codec.feed(RAW.replace(b"46HVR9", plate), 0) for plate in (b"46HVR9", b"12ABC3", b"12ABC3", b"98XYZ7")]
    assert [[getattr(record, "reason", "") for record in records] for records in plates] == [
        [""], ["odd_count", ""], ["frame_repeated"], ["odd_count", ""],
    ]  # fmt: skip


def test_a_count_that_is_none_is_left_alone() -> None:
    codec = raw()
    for text in (b"", b"A-7", b"9" * 40, "٣".encode()):
        (record,) = codec.feed(RAW.replace(b"1042", text), 0)
        assert isinstance(record, PlateRead)
