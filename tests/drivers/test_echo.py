"""Lines that give back what is written to them: the filter alone, and every driver that asks its device something."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from driver_peers import Pty, pty, running
from hypothesis import given
from hypothesis import strategies as st

from drivers import registry
from drivers.echo import EchoFilter
from drivers.events import Rejected, SampleBlock, TagRead
from drivers.links import open_link
from drivers.thingmagic_mercury import command, crc
from drivers.urls import parse_url


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=8), st.binary(max_size=8)), max_size=6),
    st.lists(st.integers(1, 5)),
)
def test_what_the_device_says_is_left_however_it_is_cut(talks: list[tuple[bytes, bytes]], sizes: list[int]) -> None:
    echo = EchoFilter()
    said = expected = b""
    for question, answer in talks:
        answer = answer.replace(question[:1], b"")  # else it could be the beginning of the next echo
        echo.sent(question, 0.0)
        data = question + answer
        for size in sizes:
            piece, data = data[:size], data[size:]
            said += echo.strip(piece, 0.1)
        said += echo.strip(data, 0.1)
        expected += answer
    assert said == expected


def test_an_echo_behind_bytes_of_the_device() -> None:
    echo = EchoFilter()
    echo.sent(b"STP;", 0.0)
    assert echo.strip(b"123\r\nST", 0.1) == b"123\r\n"
    assert echo.strip(b"P;0\r\n", 0.2) == b"0\r\n"


def test_an_echo_that_does_not_come_holds_nothing_back_for_ever() -> None:
    echo = EchoFilter()
    echo.sent(b"#01\r", 0.0)
    assert echo.strip(b"#", 0.5) == b""
    assert echo.strip(b"KING 1302\r\n", 0.6) == b"#KING 1302\r\n"
    assert echo.strip(b"#01\r", 2.0) == b"#01\r", "a second later it is no echo any more"
    echo.sent(b"x", 3.0)
    assert echo.strip(b"x", 3.1) == b""


def test_what_looked_like_an_echo_is_given_out() -> None:
    echo = EchoFilter()
    echo.sent(b"#01\r", 0.0)
    assert echo.strip(b"#0", 0.1) == b""
    assert echo.release() == b"#0"


async def test_the_first_message_finds_out() -> None:
    with pty() as line:
        line.on_data(lambda data: data + b"well")
        link = await open_link(parse_url(line.path))
        await link.say(b"how")
        assert await asyncio.wait_for(link.read(), 5)
        await link.write(b"and now?")
        assert (await asyncio.wait_for(link.read(), 5))[0] == b"well"
        await link.close()


async def test_a_line_without_echo_loses_nothing() -> None:
    with pty() as line:
        line.on_data(lambda data: b"well")
        link = await open_link(parse_url(line.path))
        await link.say(b"how")
        assert (await asyncio.wait_for(link.read(), 5))[0] == b"well"
        await link.close()


async def test_a_line_that_begins_to_echo_is_noticed() -> None:
    with pty() as line:
        link = await open_link(parse_url(line.path))
        await link.say(b"how")
        assert not link.echoes
        line.on_data(lambda data: data)
        line.on_data(lambda data: b"well")
        for question in (b"and now?", b"and then?"):
            await link.say(question)
            got = b""
            while len(got) < 4:
                got += (await asyncio.wait_for(link.read(), 5))[0]
            assert got == b"well"
        assert link.echoes
        await link.close()


async def test_the_beginning_of_an_echo_that_is_none_is_read_after_all() -> None:
    with pty() as line:
        link = await open_link(parse_url(line.path))
        link.echo_found(True)
        await link.write(b"abc")
        await line.until_received(b"abc")
        line.send(b"ab")
        assert (await asyncio.wait_for(link.read(), 5))[0] == b"ab"
        await link.close()


def echoing(line: Pty) -> Pty:
    line.on_data(lambda data: data)
    return line


@pytest.mark.parametrize("options", [{}, {"protocol": "ecp", "crc_wildcard": True}])
async def test_own_commands_are_no_tags(options: dict[str, Any]) -> None:
    with pty() as line:
        echoing(line)
        if not options:
            line.on_data(lambda data: b"#Done\r\n" * data.count(b"\r"))
        made = registry.create("transcore_encompass", "reader", line.path, options | {"probe_s": 0.2})
        async with running(made) as events:
            await asyncio.sleep(1.5)
            line.send(b"#KING 1302\r\n" if not options else b"#4KING 13029A91\r\n")
            await events.until_count(TagRead, 1)
            await asyncio.sleep(0.5)
        assert [tag.tag == "KING 1302" for tag in events.of(TagRead)] == [True]
        assert line.received.count(b"@") <= 1, "an answer of ours was answered"


@pytest.mark.parametrize(("form", "value"), [("ascii", b"0000100,008\r\n"), ("binary", b"\x0f\xa0\x00\x08")])
async def test_an_aed_starts(form: str, value: bytes) -> None:
    with pty() as line:
        echoing(line).on_data(lambda data: b"0\r\n" * (data.count(b"COF") + data.count(b"ICR")))
        async with running(registry.create("hbm_aed", "pad", line.path, {"format": form})) as events:
            await line.until_received(b"MSV?0;")
            line.send(value)
            await events.until_count(SampleBlock, 1)
            assert not events.of(Rejected)


async def test_a_mercury_reader_starts_without_noise() -> None:
    def answer(data: bytes) -> bytes:
        message = bytes((0, data[2], 0, 0))
        return b"\xff" + message + crc(message).to_bytes(2, "big")

    with pty() as line:
        echoing(line).on_data(answer)
        async with running(registry.create("thingmagic_mercury", "reader", line.path, {"region": "NA"})) as events:
            await line.until_received(command(0x2F, bytes.fromhex("00000122000005072210001B03E801FF")))
            await asyncio.sleep(0.2)
            assert not events.of(Rejected)


async def test_a_digitiser_that_echoes_behind_a_line_that_echoes() -> None:
    with pty() as line:
        started = asyncio.Event()

        def answer(data: bytes) -> bytes:
            if data == b"start\r":
                started.set()
                return b""
            return data.replace(b"info 1", b"info 1 4108")

        echoing(line).on_data(answer)
        made = registry.create("dataq_cdc", "daq", line.path, {"scan_list": ["AIN0", "AIN1"], "scan_rate_hz": 1000.0})
        async with running(made) as events:
            await asyncio.wait_for(started.wait(), 20)
            line.send(b"\x07\x00\xe8\x03" * 20)
            await events.until_count(SampleBlock, 1)
            assert events.of(SampleBlock)[0].samples[:, 1].tolist() == [1000] * 20


async def test_a_pad_that_repeats_commands_behind_a_line_that_echoes() -> None:
    """The eNod4 acknowledges a command by the same bytes: an echo more does no harm."""
    with pty() as line:
        echoing(line).on_data(lambda data: data)  # the device's own
        async with running(registry.create("scaime_enod4", "pad", line.path, {})) as events:
            await line.until_received(bytes.fromhex("01E20DFF"))
            line.send(bytes.fromhex("02009100474AA403"))
            await events.until_count(SampleBlock, 1)
            assert not events.of(Rejected)
