"""Serial servers that speak RFC 2217: what goes over the wire, servers that leave things out, and Debian's ser2net."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from driver_peers import free_port, in_chunks, pty, tcp_peer
from hypothesis import given
from hypothesis import strategies as st

from drivers import links
from drivers.base import Serial
from drivers.links import LinkLost, open_link
from drivers.rfc2217 import Rfc2217Client, escape
from drivers.urls import UrlError, parse_url

EVEN = Serial(baud=19200, parity="even")


def said(command: int, *value: int) -> bytes:
    return bytes((255, 250, 44, 100 + command)) + escape(bytes(value)) + bytes((255, 240))


ACKNOWLEDGED = said(1, 0, 0, 0x4B, 0) + said(2, 8) + said(3, 3) + said(4, 1)


def test_what_is_sent() -> None:
    client = Rfc2217Client(EVEN)
    assert client.greeting() == bytes.fromhex("FFFB2C FFFB00 FFFB03 FFFD00 FFFD03")
    assert client.settings() == bytes.fromhex(
        "FFFA2C01 00004B00 FFF0 FFFA2C02 08 FFF0 FFFA2C03 03 FFF0 FFFA2C04 01 FFF0 FFFA2C05 01 FFF0"
    )


def test_what_is_received() -> None:
    client = Rfc2217Client(EVEN)
    assert client.feed(bytes.fromhex("FFFD2C FFFB00")) == (b"", b"")
    assert client.agreed
    assert client.feed(b"a\xff\xffb") == (b"a\xffb", b"")
    assert not client.settled
    assert client.feed(ACKNOWLEDGED) == (b"", b"")
    assert client.settled
    assert client.refusal == ""


def test_a_baud_rate_with_ff_in_it_is_told_whole() -> None:
    client = Rfc2217Client(Serial(baud=0xFF00))
    assert bytes.fromhex("FFFA2C01 0000FFFF00 FFF0") in client.settings()
    client.feed(said(1, 0, 0, 0xFF, 0) + said(2, 8) + said(3, 1) + said(4, 1))
    assert client.settled
    assert client.refusal == ""


@pytest.mark.parametrize(
    ("told", "refusal"),
    [
        (said(3, 1), "parity even"),
        (said(1, 0, 0, 0x25, 0x80), "19200 baud"),
        (said(5, 3), ""),  # flow control of which nothing was asked
        (said(3, 0), ""),  # it does not say
    ],
)
def test_a_line_that_is_set_otherwise(told: bytes, refusal: str) -> None:
    client = Rfc2217Client(EVEN)
    client.feed(ACKNOWLEDGED + told)
    assert client.refusal == refusal


def test_flow_control_that_is_refused_matters_unless_it_is_ignored() -> None:
    line = Serial(flow="rtscts")
    strict, lenient = Rfc2217Client(line), Rfc2217Client(line, ignore_flow=True)
    strict.feed(said(5, 1))
    lenient.feed(said(5, 1))
    assert (strict.refusal, lenient.refusal) == ("flow control rtscts", "")


def test_other_options_are_refused_once() -> None:
    client = Rfc2217Client(EVEN)
    assert client.feed(bytes.fromhex("FFFB01 FFFD18 FFFB01 FFFD18"))[1] == bytes.fromhex("FFFE01 FFFC18")


def test_the_server_asks_for_a_pause() -> None:
    client = Rfc2217Client(EVEN)
    client.feed(said(8))
    assert client.suspended
    client.feed(said(9))
    assert not client.suspended


@given(st.binary(max_size=300), st.lists(st.integers(1, 9)))
def test_cutting_does_not_matter_and_nothing_grows(data: bytes, sizes: list[int]) -> None:
    class Line:
        def __init__(self) -> None:
            self.client = Rfc2217Client(EVEN)

        def feed(self, piece: bytes, time_ns: int) -> list[int]:
            return list(self.client.feed(piece)[0])

    cut, whole = Line(), Line()
    assert in_chunks(cut, data, sizes) == whole.feed(data, 0)
    assert len(cut.client._command) <= 512


@given(st.binary(max_size=300))
def test_all_bytes_of_the_line_come_through(data: bytes) -> None:
    assert Rfc2217Client(EVEN).feed(escape(data)) == (data, b"")


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def server(*, deaf: tuple[int, ...] = (), parity: int = 3, verb: int = 253) -> Talk:
    """A serial server that does not acknowledge the commands in `deaf`, and says `hello` when the line was set."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes((255, verb, 44)))
        buffer = b""
        for command, value in ((1, b"\0\0\x4b\0"), (2, b"\x08"), (3, bytes((parity,))), (4, b"\1"), (5, b"\1")):
            while bytes((255, 250, 44, command)) not in buffer:
                buffer += await reader.read(100)
            if command not in deaf:
                writer.write(said(command, *value))
        writer.write(b"hello")
        await reader.read()

    return talk


async def opened(port: int) -> links.Link:
    return await open_link(parse_url(f"rfc2217://127.0.0.1:{port}?baud=19200&parity=even"))


@pytest.mark.parametrize("deaf", [(), (5,), (1, 2, 3, 4, 5)])
async def test_what_is_not_acknowledged_is_taken_for_done(
    deaf: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "_SETTLE_S", 0.2)
    async with tcp_peer(server(deaf=deaf)) as port:
        link = await opened(port)
        assert (await asyncio.wait_for(link.read(), 5))[0] == b"hello"
        await link.close()


async def test_another_parity_is_an_error_that_says_so() -> None:
    async with tcp_peer(server(parity=1)) as port:
        with pytest.raises(LinkLost, match="does not set the line to parity even"):
            await opened(port)


async def test_a_server_without_the_option_says_what_to_write() -> None:
    async with tcp_peer(server(verb=254)) as port:
        with pytest.raises(LinkLost, match=f"refuses RFC 2217.*tcp://127.0.0.1:{port}"):
            await opened(port)


async def test_a_raw_port_says_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "CONNECT_TIMEOUT_S", 0.2)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"18250 kg\r\n")
        await reader.read()

    async with tcp_peer(talk) as port:
        with pytest.raises(LinkLost, match="says nothing of RFC 2217"):
            await opened(port)


async def test_a_peer_that_vanishes_is_found_by_keep_alive() -> None:
    async with tcp_peer(server()) as port:
        link = await opened(port)
        peer = link._transport.get_extra_info("socket")  # type: ignore[attr-defined]
        assert peer.getsockopt(1, 9) == 1  # SOL_SOCKET, SO_KEEPALIVE
        await link.close()


def test_ign_set_control_in_the_url() -> None:
    address = parse_url("rfc2217://192.0.2.11:4001?ign_set_control&baud=4800&flow=rtscts")
    assert address.ign_set_control
    assert address.serial == Serial(baud=4800, flow="rtscts")
    assert parse_url("rfc2217://192.0.2.11:4001?ign_set_control=1").ign_set_control
    assert not parse_url("rfc2217://192.0.2.11:4001?baud=4800").ign_set_control
    for url in ("serial:///dev/ttyS0?ign_set_control", "rfc2217://192.0.2.11:4001?ign_set_control=0"):
        with pytest.raises(UrlError, match="ign_set_control alone"):
            parse_url(url)


async def test_ser2net_over_a_pseudo_terminal(tmp_path: Path) -> None:
    program = shutil.which("ser2net", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("ser2net is not installed")
    port = free_port()
    with pty() as line:
        settings = tmp_path / "ser2net.yaml"
        settings.write_text(
            f"connection: &lane\n  accepter: telnet(rfc2217),tcp,127.0.0.1,{port}\n"
            f"  connector: serialdev,{line.path},9600n81,local\n"
        )
        running = subprocess.Popen([program, "-n", "-c", str(settings)], stderr=subprocess.DEVNULL)
        try:
            async with asyncio.timeout(20):
                link = None
                while link is None:
                    with contextlib.suppress(LinkLost):  # it does not listen yet
                        link = await open_link(parse_url(f"rfc2217://127.0.0.1:{port}?baud=19200"))
                    await asyncio.sleep(0.1)
                await link.write(b"a\xffb")
                await line.until_received(b"a\xffb")
                line.send(b"c\xffd")
                got = b""
                while got != b"c\xffd":
                    got += (await link.read())[0]
            await link.close()
        finally:
            running.kill()  # it waits for its line otherwise
            running.wait()
