"""transcore_encompass: CRC and messages of the sheet, ECP, and the driver over a pseudo-terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from driver_peers import in_chunks, pty, running
from hypothesis import given
from hypothesis import strategies as st

from drivers import registry
from drivers.events import DeviceState, LinkState, Rejected, TagRead
from drivers.transcore_encompass import Reply, Send, TransCoreCodec, TransCoreOptions, crc

ECP = TransCoreOptions(protocol="ecp")


def codec(options: TransCoreOptions | None = None) -> TransCoreCodec:
    return TransCoreCodec("rfid", options)


def tags(records: list[Any]) -> list[str]:
    return [record.tag for record in records if isinstance(record, TagRead)]


@pytest.mark.parametrize(
    ("message", "expected"),
    [(b"4KING 1302", b"9A91"), (b"4@", b"3440"), (b"1505", b"6067"), (b"101", b"1643"), (b"123456789", b"BEEF")],
)
def test_crc(message: bytes, expected: bytes) -> None:
    assert crc(message) == expected


def test_data_mode_as_printed() -> None:
    assert codec().feed(b"#KING 1302\r\n", 7) == [TagRead("rfid", 7, "KING 1302", None)]


def test_time_and_auxiliary_parts_are_cut_off() -> None:
    (read,) = codec().feed(b"#KING 1302&08:15:59.98 11/24/26%3A-1-0F-2\r\n", 0)
    assert read == TagRead("rfid", 0, "KING 1302", 1)
    (read,) = codec().feed(b"#KING 1302%3A-0-00-3-1F4\r\n", 0)
    assert read == TagRead("rfid", 0, "KING 1302", 0)


@pytest.mark.parametrize("text", ["Done", "Error", "Error06", "Model E4 Series Ver 1.23 SN08001P"])
def test_what_the_reader_says_of_itself_is_no_tag(text: str) -> None:
    assert codec().feed(f"#{text}\r\n".encode(), 0) == [Reply(text)]


def test_ecp_acknowledges_and_repeats_are_no_second_read() -> None:
    made = codec(ECP)
    message = b"#4KING 13029A91\r\n"
    assert made.feed(message, 1) == [Send(b"#4@3440\r"), TagRead("rfid", 1, "KING 1302")]
    assert made.feed(message, 2) == [Send(b"#4@3440\r")]
    following = b"6KING 1302"
    assert tags(made.feed(b"#" + following + crc(following) + b"\r\n", 3)) == ["KING 1302"]


def test_a_reader_in_ecp_gives_no_tags_with_numbers_and_crc() -> None:
    assert codec().feed(b"#4KING 13029A91\r\n", 0) == [Rejected("rfid", 0, "ecp_frame")]
    assert tags(codec().feed(b"#4KING 13029A92\r\n", 0)) == ["4KING 13029A92"]


def test_ecp_asks_again_after_a_bad_crc() -> None:
    records = codec(ECP).feed(b"#4KING 13039A91\r\n", 0)
    assert records == [Rejected("rfid", 0, "bad_crc"), Send(b"#4?" + crc(b"4?") + b"\r")]


def test_ecp_takes_the_wildcard() -> None:
    assert tags(codec(ECP).feed(b"#0KING 1302````\r\n", 0)) == ["KING 1302"]


def test_ecp_begins_anew_when_the_reader_was_switched_on() -> None:
    made = codec(ECP)
    message = b"#4KING 13029A91\r\n"
    made.feed(message, 0)
    assert made.feed(b"#Model E4 Series Ver 1.23 SN08001P\r\n", 0) == [Reply("Model E4 Series Ver 1.23 SN08001P")]
    assert tags(made.feed(message, 0)) == ["KING 1302"]


def test_ecp_commands_count_in_odd_digits() -> None:
    made = codec(ECP)
    sent = [made.command(b"505") for _ in range(9)]
    assert sent[0] == b"#15056067\r"
    assert [message[1:2] for message in sent] == [b"1", b"3", b"5", b"7", b"9", b"B", b"D", b"F", b"1"]
    wildcard = TransCoreCodec("rfid", TransCoreOptions(protocol="ecp", crc_wildcard=True))
    assert wildcard.command(b"505") == b"#1505````\r"


def test_a_start_inside_a_message_aborts_it() -> None:
    records = codec().feed(b"#KING 1#KING 1302\r\n", 0)
    assert records == [Rejected("rfid", 0, "cut_short"), TagRead("rfid", 0, "KING 1302")]


PIECES = [b"#KING 1302\r\n", b"#Done\r\n", b"#\xff\r", b"xx", b"#K"]


@given(st.lists(st.integers(1, 9)), st.lists(st.sampled_from(PIECES)))
def test_cutting_does_not_matter(sizes: list[int], pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert in_chunks(codec(), data, sizes) == codec().feed(data, 0)


@given(st.binary(max_size=2000), st.sampled_from([None, ECP]))
def test_back_in_step_after_garbage(garbage: bytes, options: TransCoreOptions | None) -> None:
    made = codec(options)
    made.feed(garbage, 0)
    good = [b"#KING 1302\r\n"] * 2
    if options is ECP:
        good = [b"#" + text + crc(text) + b"\r\n" for text in (b"2KING 1302", b"4KING 1302")]
    assert "KING 1302" in tags(made.feed(b"".join(good), 0))
    assert len(made._buffer) < made.limit


@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ", min_size=2, max_size=20))
def test_every_tag_comes_through(tag: str) -> None:
    expected = [tag.rstrip()] if len(tag.rstrip()) > 1 else []
    assert tags(codec().feed(b"#" + tag.encode() + b"\r\n", 0)) == expected


def reader(line: Any) -> dict[str, Any]:
    """A reader that answers commands; in command mode it reports no tags."""
    state = {"mode": "data", "dead": False}

    def answer(data: bytes) -> bytes:
        if state["dead"]:
            return b""
        out = b""
        for command in data.split(b"\r")[:-1]:
            state["mode"] = {b"#01": "command", b"#00": "data"}.get(command, state["mode"])
            out += b"#Done\r\n"
        return out

    line.on_data(answer)
    return state


def driver(path: str, **options: object) -> registry.Driver:
    return registry.create("transcore_encompass", "rfid", path, {"probe_s": 0.1, **options})


async def test_reads_tags_and_probes_a_quiet_line() -> None:
    with pty() as line:
        state = reader(line)
        async with running(driver(line.path)) as events:
            await line.until_received(b"#01\r#00\r")
            assert state["mode"] == "data"
            line.send(b"noise#KING 1302\r\n")
            await events.until_count(TagRead, 1)
            assert events.states == [LinkState.CONNECTING, LinkState.ONLINE]
    assert "KING" not in repr(events), "a tag is never shown"


async def test_a_reader_left_in_command_mode_is_brought_back() -> None:
    with pty() as line:
        state = reader(line)
        state["mode"] = "command"
        async with running(driver(line.path)) as events:
            await events.until_state(LinkState.ONLINE)
            assert state["mode"] == "data"


async def test_a_dead_reader_is_silence_and_comes_back() -> None:
    with pty() as line:
        state = reader(line)
        made = driver(line.path)
        made.silent_after_s = 0.5
        async with running(made) as events:
            await events.until_state(LinkState.ONLINE)
            state["dead"] = True
            await events.until_state(LinkState.SILENT)
            state["dead"] = False
            await events.until_state(LinkState.ONLINE)


async def test_a_wrong_baud_rate_is_told_from_a_dead_reader() -> None:
    with pty() as line:
        made = driver(line.path)
        made.silent_after_s = 0.5
        async with running(made) as events:
            await line.until_received(b"#")
            line.send(b"\xfe\x80\x00\xff" * 10)
            await events.until_state(LinkState.SILENT)
    assert "baud" in events.of(DeviceState)[-1].text
    assert {event.reason for event in events.of(Rejected)} == {"no_start"}


async def test_ecp_answers_on_the_line() -> None:
    with pty() as line:
        async with running(driver(line.path, protocol="ecp")) as events:
            await line.until_received(b"#100")
            line.send(b"#4KING 13029A91\r\n")
            await line.until_received(b"#4@3440\r")
            await events.until_count(TagRead, 1)


async def test_unplugging_and_replugging(tmp_path: Path) -> None:
    """As with a /dev/serial/by-id/ path: the adapter comes back under another tty, the link points to it."""
    stable = tmp_path / "usb-FTDI_FT232R-if00-port0"
    with pty() as first:
        stable.symlink_to(first.path)
        reader(first)
        async with running(driver(str(stable))) as events:
            await events.until_state(LinkState.ONLINE)
            stable.unlink()
            first.unplug()
            await events.until_state(LinkState.DOWN)
            await events.until(lambda: "check its adapter" in events.of(DeviceState)[-1].text)
            with pty() as second:
                reader(second)
                stable.symlink_to(second.path)
                await events.until_state(LinkState.ONLINE)
