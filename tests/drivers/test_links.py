"""links: URLs and what is said about wrong ones; serial lines, TCP, RFC 2217 against scripted peers."""

from __future__ import annotations

import asyncio
import os
import termios
import threading
import time
from typing import Any

import pytest
import serial
import serial.rfc2217
from driver_peers import free_port, pty, running, tcp_peer
from hypothesis import given
from hypothesis import strategies as st

from drivers import links, registry
from drivers.base import Serial
from drivers.events import LinkState, Measurement
from drivers.links import Link, LinkLost, open_link
from drivers.urls import Address, UrlError, parse_url


async def opened(url: str, **more: Any) -> Link:
    return await open_link(parse_url(url), **more)


async def read_until(link: Link, count: int) -> bytes:
    data = b""
    async with asyncio.timeout(10):
        while len(data) < count:
            data += (await link.read())[0]
    return data


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("tcp://192.0.2.10:502", Address("tcp", host="192.0.2.10", port=502)),
        ("tcp://daq.local", Address("tcp", host="daq.local", port=77)),
        ("tcp://[2001:db8::1]:502", Address("tcp", host="2001:db8::1", port=502)),
        ("/dev/pts/3", Address("serial", path="/dev/pts/3", serial=Serial(baud=19200))),
        (
            "serial:///dev/serial/by-id/usb-FTDI_A:B-if00?baud=115200&parity=even&stop=2&bits=7&flow=rtscts",
            Address(
                "serial", path="/dev/serial/by-id/usb-FTDI_A:B-if00", serial=Serial(115200, 7, "even", 2, "rtscts")
            ),
        ),
        ("rtu+tcp://192.0.2.12:4001", Address("rtu+tcp", host="192.0.2.12", port=4001)),
        ("rfc2217://192.0.2.11:4001?baud=2400", Address("rfc2217", "192.0.2.11", 4001, serial=Serial(2400))),
    ],
)
def test_urls(url: str, expected: Address) -> None:
    schemes = ("serial", "tcp", "rtu+tcp", "rfc2217")
    assert parse_url(url, schemes, serial=Serial(baud=19200), port=77) == expected or "tcp" in expected.scheme
    if "tcp" in expected.scheme:
        got = parse_url(url, schemes, port=77)
        assert (got.host, got.port) == (expected.host, expected.port)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "this device takes serial:///dev/ttyS0"),
        ("ttyS0", "this device takes"),
        ("http://192.0.2.1", "this device takes serial:///"),
        ("tcp://192.0.2.1", "a host and a port are needed"),
        ("tcp://:502", "a host and a port are needed"),
        ("tcp://192.0.2.1:port", "Port could not be cast"),
        ("tcp://192.0.2.1:70000", "Port out of range"),
        ("tcp://192.0.2.1:502/x", "no path"),
        ("tcp://192.0.2.1:502?baud=9600", "nothing after"),
        ("tcp://[::1", "Invalid IPv6"),
        ("serial://dev/ttyS0", "three slashes"),
        ("serial:///", "three slashes"),
        ("serial:///dev/ttyS0?baud=fast", "baud=fast is no rate"),
        ("serial:///dev/ttyS0?baud=0", "baud=0 is no rate"),
        ("serial:///dev/ttyS0?parity=maybe", "parity=maybe is not one of none, even, odd"),
        ("serial:///dev/ttyS0?speed=9600", "no key 'speed'; the keys are baud, bits, parity, stop, flow"),
    ],
)
def test_wrong_urls_say_what_is_allowed(url: str, text: str) -> None:
    with pytest.raises(UrlError) as error:
        parse_url(url)
    assert text in str(error.value)


@pytest.mark.parametrize("url", ["rtu+tcp://192.0.2.12", "rtu+tcp://192.0.2.12:4001?baud=9600"])
def test_a_serial_server_has_no_usual_port_and_sets_its_line_itself(url: str) -> None:
    with pytest.raises(UrlError, match=r"rtu\+tcp://192\.0\.2\.12:4001"):
        parse_url(url, ("tcp", "rtu+tcp"), port=502)


def test_a_scheme_that_the_device_does_not_take() -> None:
    with pytest.raises(UrlError, match=r"this device takes tcp://192\.0\.2\.10:502$"):
        parse_url("/dev/ttyS0", ("tcp",))


@given(st.text())
def test_any_text_is_an_address_or_a_named_error(text: str) -> None:
    try:
        parse_url(text)
    except UrlError:
        return


@pytest.mark.parametrize("query", ["", "?baud=115200&parity=even&stop=2"])
async def test_serial_both_ways(query: str) -> None:
    with pty() as line:
        seen: list[tuple[str, bytes]] = []
        link = await opened(f"serial://{line.path}{query}", tap=lambda way, data, time_ns: seen.append((way, data)))
        before_ns = time.time_ns()
        line.send(b"hello")
        data, time_ns = await link.read()
        assert data == b"hello"
        assert before_ns <= time_ns <= time.time_ns()
        await link.write(b"world")
        await line.until_received(b"world")
        assert seen == [("rx", b"hello"), ("tx", b"world")]
        await link.close()
        await link.close()
        with pytest.raises(LinkLost):
            await link.read()


async def test_serial_unplugged_wakes_the_reader() -> None:
    with pty() as line:
        link = await opened(line.path)
        reading = asyncio.create_task(link.read())
        await asyncio.sleep(0.01)
        line.unplug()
        with pytest.raises(LinkLost, match="unplugged"):
            await reading
        with pytest.raises(LinkLost):
            await link.write(b"x")
        await link.close()


async def test_serial_what_is_not_taken_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "_PAUSE_ABOVE_BYTES", 1000)
    with pty() as line:
        link = await opened(line.path)
        sent = 0
        for _ in range(200):
            try:
                sent += os.write(line.master, b"x" * 100)
            except BlockingIOError:
                break
            await asyncio.sleep(0)
        assert link._held_bytes < 6000
        assert len(await read_until(link, sent)) == sent
        line.send(b"yy")
        assert (await link.read())[0] == b"yy"
        await link.close()


async def test_serial_that_takes_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "WRITE_TIMEOUT_S", 0.2)
    with pty() as line:
        link = await opened(line.path)
        asyncio.get_running_loop().remove_reader(line.master)
        with pytest.raises(LinkLost, match="takes no data"):
            await link.write(b"x" * 1_000_000)
        await link.close()


async def test_serial_that_is_not_there() -> None:
    with pytest.raises(LinkLost, match=r"/dev/nothing: cannot be opened: No such file or directory"):
        await opened("/dev/nothing")


async def test_serial_that_is_no_terminal(tmp_path: Any) -> None:
    file = tmp_path / "plain"
    file.write_bytes(b"")
    with pytest.raises(LinkLost, match="cannot be opened"):
        await opened(str(file))


async def test_tcp_both_ways_and_the_end() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readexactly(3)).upper())
        await writer.drain()

    async with tcp_peer(talk) as port:
        link = await opened(f"tcp://127.0.0.1:{port}")
        await link.write(b"abc")
        assert await read_until(link, 3) == b"ABC"
        with pytest.raises(LinkLost, match="closed by the device"):
            await link.read()
        await link.close()


async def test_tcp_holds_the_peer_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "_PAUSE_ABOVE_BYTES", 10_000)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"z" * 2_000_000)
        await writer.drain()
        await reader.read()

    async with tcp_peer(talk) as port:
        link = await opened(f"tcp://127.0.0.1:{port}")
        await asyncio.sleep(0.2)
        assert link._held_bytes < 600_000
        assert len(await read_until(link, 2_000_000)) == 2_000_000
        await link.close()


async def test_tcp_refused() -> None:
    with pytest.raises(LinkLost, match="cannot be opened: Connection refused"):
        await opened(f"tcp://127.0.0.1:{free_port()}")


async def test_tcp_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "CONNECT_TIMEOUT_S", 0.1)

    async def never(*_: object, **__: object) -> None:
        await asyncio.sleep(10)

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
    with pytest.raises(LinkLost, match="no answer within"):
        await opened("tcp://192.0.2.1:502")


class _SerialServer(threading.Thread):
    """A serial server of one connection: pyserial's own server side of RFC 2217 before a loop:// port."""

    def __init__(self) -> None:
        import socket

        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.number = self._listener.getsockname()[1]
        self.line = serial.serial_for_url("loop://", timeout=0.05)
        self.stopping = False

    def run(self) -> None:
        peer, _ = self._listener.accept()
        peer.settimeout(0.02)

        class Writer:
            @staticmethod
            def write(data: bytes) -> None:
                peer.sendall(data)

        manager = serial.rfc2217.PortManager(self.line, Writer)
        while not self.stopping:
            try:
                data = peer.recv(1024)
            except TimeoutError:
                pass
            else:
                if not data:
                    break
                self.line.write(b"".join(manager.filter(data)))
            if self.line.in_waiting:
                peer.sendall(b"".join(manager.escape(self.line.read(self.line.in_waiting))))
        peer.close()
        self._listener.close()


async def test_rfc2217_both_ways_and_the_end() -> None:
    server = _SerialServer()
    server.start()
    link = await opened(f"rfc2217://127.0.0.1:{server.number}?baud=19200&parity=even")
    await link.write(b"over\xffthe net")
    assert await read_until(link, 12) == b"over\xffthe net"
    assert (server.line.baudrate, server.line.parity) == (19200, "E")
    server.stopping = True
    with pytest.raises(LinkLost, match="hung up"):
        await asyncio.wait_for(link.read(), 10)
    await link.close()


async def test_a_driver_behind_a_serial_server() -> None:
    frame = bytes.fromhex("02 2A 30 20 30 31 38 32 35 30 30 30 30 30 30 30 0D 27")  # 18250 kg
    server = _SerialServer()
    server.start()
    scale = registry.create("toledo_continuous", "scale", f"rfc2217://127.0.0.1:{server.number}?baud=4800", {})
    async with running(scale) as events:
        while LinkState.ONLINE not in events.states:
            server.line.write(frame)
            await asyncio.sleep(0.05)
        assert events.of(Measurement)[0].value == 18250
        assert server.line.baudrate == 4800
        server.stopping = True
        await events.until_state(LinkState.DOWN)


async def test_rfc2217_refused() -> None:
    with pytest.raises(LinkLost, match="cannot be opened"):
        await opened(f"rfc2217://127.0.0.1:{free_port()}")


async def test_what_was_written_last_is_sent_before_closing() -> None:
    received = bytearray()
    ended = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.read())
        ended.set()

    async with tcp_peer(talk) as port:
        link = await opened(f"tcp://127.0.0.1:{port}")
        await link.write(b"stop\r")
        await link.close()
        await asyncio.wait_for(ended.wait(), 5)
    assert received == b"stop\r"
    with pty() as line:
        link = await opened(line.path)
        await link.write(b"stop\r")
        await link.close()
        await line.until_received(b"stop\r")


async def test_a_real_line_is_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "_is_pty", lambda path: False)
    with pty() as line:
        link = await opened(line.path)
        with pytest.raises(LinkLost, match="another program has it open"):
            await opened(line.path)
        await link.close()
        again = await opened(line.path)
        await again.close()


async def test_a_line_that_cannot_be_set_as_asked_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    real = termios.tcsetattr

    def refuses(fd: int, when: int, attributes: Any) -> None:
        if attributes[2] & termios.PARENB:
            raise termios.error(22, "Invalid argument")
        real(fd, when, attributes)

    monkeypatch.setattr(termios, "tcsetattr", refuses)
    with pty() as line:
        shared = await opened(f"serial://{line.path}?parity=even")
        await shared.close()
        monkeypatch.setattr(links, "_is_pty", lambda path: False)
        with pytest.raises(LinkLost, match=r"cannot be set to 9600 baud, 8 bits, even parity, 1 stop \(Invalid arg"):
            await opened(f"serial://{line.path}?parity=even")


async def test_a_pseudo_terminal_with_parity_is_opened_again_and_again() -> None:
    with pty() as line:
        for _ in range(3):  # Linux 6.18 refuses to set what a pseudo-terminal does not have
            link = await opened(f"serial://{line.path}?parity=even&bits=7")
            await link.close()


def test_only_pseudo_terminals_are_shared() -> None:
    assert not links._is_pty("/dev/null")
    assert not links._is_pty("/dev/nothing")
