"""Links carry bytes between a driver and its device: serial lines, TCP, and serial servers that speak RFC 2217.

In comes an address, out comes a `Link` with the same small interface for all; drivers and drivers/modbus.py call it.
Each chunk is stamped when it leaves the kernel, because what stamps later measures the event loop. What is read
but not yet taken is bounded: above the bound the link stops reading, and the kernel and the peer hold back.
A stream of small packets is gathered by the kernel (`Link.gather`): to wake up for each costs more than to weigh it.

Some lines give back what is written to them. A device that is asked something is therefore spoken to with `say`: the
first message finds out, and from then on our own bytes never come out of `read`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import ssl
import stat
import termios
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Self, cast

import serial as pyserial

from drivers.base import Clock, DeviceError, Driver, Serial, Tap
from drivers.echo import EchoFilter
from drivers.rfc2217 import Rfc2217Client, escape
from drivers.urls import Address, parse_url

CONNECT_TIMEOUT_S = 3.0
WRITE_TIMEOUT_S = 2.0
ECHO_WITHIN_S = 0.4  # a terminal server behind a slow network gives bytes back within this
_SETTLE_S = 1.5  # a serial server that acknowledges does so at once
_CHUNK_BYTES = 65536
_PAUSE_ABOVE_BYTES = 1 << 20
_MOST_CHUNKS = 4096
_MOST_GATHERED_BYTES = 32768  # well within the smallest receive buffer that Linux gives
_REST_S = 0.25
_PTY_MAJORS = range(136, 144)  # Unix98 pseudo-terminal slaves, Documentation/admin-guide/devices.txt of Linux
_TCP_OPTIONS = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 4000}  # s, s, n, ms


class LinkLost(DeviceError):
    """The link ended: unplugged, closed by the peer, or an I/O error."""

    of_link = True


class Link(ABC):
    """Bytes in both directions. One task reads."""

    def __init__(self, address: Address, clock: Clock, tap: Tap | None) -> None:
        self.address = address
        self._clock = clock
        self._tap = tap
        self._chunks: deque[tuple[bytes, int]] = deque()
        self._held_bytes = 0
        self._paused = False
        self._failure: str | None = None
        self._wake = asyncio.Event()
        self._echo: EchoFilter | None = None
        self.echo_known = False
        self._said = b""  # last, on a line that did not echo when it was tried

    async def read(self) -> tuple[bytes, int]:
        """The next bytes (never none) and when they were read, `time_ns`. Raises LinkLost at the end."""
        while not self._chunks:
            if self._failure is not None:
                raise LinkLost(f"{self.address}: {self._failure}")
            self._wake.clear()
            await self._wake.wait()
        data, time_ns = self._chunks.popleft()
        self._held_bytes -= len(data)
        if self._paused and self._held_bytes < _PAUSE_ABOVE_BYTES // 2 and len(self._chunks) < _MOST_CHUNKS // 2:
            self._paused = False
            self._pause(False)
        return data, time_ns

    def drop_input(self) -> int:
        """Throw away what was read and not taken; the number of bytes."""
        dropped = self._held_bytes
        self._chunks.clear()
        self._held_bytes = 0
        if self._paused:
            self._paused = False
            self._pause(False)
        return dropped

    async def write(self, data: bytes) -> None:
        """Send all of `data`. Raises LinkLost, also when the link takes no data for two seconds."""
        if self._failure is not None:
            raise LinkLost(f"{self.address}: {self._failure}")
        if self._tap is not None:
            self._tap("tx", data, self._clock())
        if self._sent_at_once(data):
            return
        if self._echo is not None:
            self._echo.sent(data, time.monotonic())
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._send(data)
        except TimeoutError:
            raise LinkLost(f"{self.address}: takes no data") from None
        except (OSError, pyserial.SerialException) as error:
            raise LinkLost(f"{self.address}: {_reason(error)}") from None

    async def say(self, message: bytes) -> None:
        """Write a message that the device never repeats word for word; the first one finds out whether the line does.

        Whatever comes while that is found out stays there for `read`, with its times. A line that begins to echo later
        (a terminal server was set anew) is noticed by what it gives back.
        """
        self._said = message if self.echo_known and self._echo is None else b""
        await self.write(message)
        if self.echo_known or not message:
            return
        came: list[tuple[bytes, int]] = []
        seen = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ECHO_WITHIN_S):
                while message not in seen:
                    came.append(await self.read())
                    seen += came[-1][0]
        at = seen.find(message)
        self.echo_found(at >= 0)
        self._put_back(_without(came, at, at + len(message)) if at >= 0 else came)

    def echo_found(self, present: bool) -> None:
        """From now on it is known whether the line gives back what is written to it."""
        self.echo_known = True
        self._echo = EchoFilter() if present else None
        if self._echo is not None and self._said:  # it began just now, with this
            self._echo.sent(self._said, time.monotonic())
        self._said = b""

    @property
    def echoes(self) -> bool:
        """The line gives back what is written to it."""
        return self._echo is not None

    def _put_back(self, chunks: list[tuple[bytes, int]]) -> None:
        self._chunks.extendleft(reversed(chunks))
        self._held_bytes += sum(len(data) for data, _ in chunks)
        self._wake.set()

    def gather(self, count: int) -> None:  # noqa: B027  a link that cannot, reads as always
        """Where the link can: read only when `count` bytes wait, or when what waits has not grown for half a second.

        Bytes are still read, and stamped, when the last of them comes.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close; may be called twice."""

    @abstractmethod
    async def _send(self, data: bytes) -> None: ...

    def _sent_at_once(self, data: bytes) -> bool:
        """Send without waiting, where that can be told before."""
        return False

    @abstractmethod
    def _pause(self, paused: bool) -> None: ...

    def _push(self, data: bytes) -> None:
        time_ns = self._clock()
        if self._tap is not None:
            self._tap("rx", data, time_ns)
        if self._said and self._said in data:
            self.echo_found(True)
        if self._echo is not None:
            data = self._echo.strip(data, time.monotonic())
            if self._echo.held:
                asyncio.get_running_loop().call_later(ECHO_WITHIN_S, self._release, self._echo.held)
            if not data:
                return
        self._take(data, time_ns)

    def _release(self, held: bytes) -> None:
        """The rest of an echo did not come: what looked like its beginning is the device's."""
        if self._echo is not None and self._echo.held == held:
            self._take(self._echo.release(), self._clock())

    def _take(self, data: bytes, time_ns: int) -> None:
        self._chunks.append((data, time_ns))
        self._held_bytes += len(data)
        if not self._paused and (self._held_bytes > _PAUSE_ABOVE_BYTES or len(self._chunks) > _MOST_CHUNKS):
            self._paused = True
            self._pause(True)
        self._wake.set()

    def _fail(self, text: str) -> None:
        if self._failure is None:
            self._failure = text
        self._wake.set()


async def open_link(
    address: Address, *, clock: Clock = time.time_ns, tap: Tap | None = None, tls: ssl.SSLContext | None = None
) -> Link:
    """Open a link; `tls` goes over a TCP link. Raises LinkLost."""
    try:
        if address.scheme == "serial":
            return SerialLink(address, clock, tap)
        if address.scheme in ("tcp", "rtu+tcp"):
            return await TcpLink.open(address, clock, tap, tls)
        if address.scheme == "rfc2217":
            return await Rfc2217Link.open(address, clock, tap)
        raise ValueError("this is no link")
    except TimeoutError:
        raise LinkLost(f"{address}: no answer within {CONNECT_TIMEOUT_S:g} s") from None
    except (OSError, ValueError, pyserial.SerialException) as error:
        raise LinkLost(f"{address}: cannot be opened: {_reason(error)}") from None


@contextlib.asynccontextmanager
async def connect(driver: Driver, *, port: int | None = None) -> AsyncIterator[Link]:
    """A driver's link, closed at the end of the block; `port` asks for another TCP port of the same host."""
    address = parse_url(driver.url, driver.schemes, driver.serial, driver.port)
    if port is not None:
        address = replace(address, port=port)
    link = await open_link(address, clock=driver.clock, tap=driver.tap)
    try:
        yield link
    finally:
        await link.close()


def _without(chunks: list[tuple[bytes, int]], start: int, end: int) -> list[tuple[bytes, int]]:
    """The chunks but for the bytes from `start` to `end` of all of them together."""
    out, position = [], 0
    for data, time_ns in chunks:
        left = data[: max(0, start - position)] + data[max(0, end - position) :]
        position += len(data)
        if left:
            out.append((left, time_ns))
    return out


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); check ca_file"
    if isinstance(error, ssl.SSLError):  # its numbers are no errno
        return f"no TLS with it ({error.reason})"
    if isinstance(error, OSError) and error.errno in (errno.EAGAIN, errno.EBUSY):
        return "another program has it open"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)  # below 0: name resolution
    return str(error) or type(error).__name__


class SerialLink(Link):
    """A serial line: USB adapter, built-in port or pseudo-terminal. pyserial sets it up, the event loop reads it.

    A real line is opened for us alone (a second reader would steal every other byte) and, where the adapter knows it,
    in low-latency mode (an FTDI chip otherwise holds bytes back for 16 ms). A pseudo-terminal stays open to others.
    """

    def __init__(self, address: Address, clock: Clock, tap: Tap | None) -> None:
        super().__init__(address, clock, tap)
        exclusive = not _is_pty(address.path)
        self._port = _open_serial(address, exclusive)
        self._fd: int = self._port.fileno()
        os.set_blocking(self._fd, False)
        if exclusive:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._fd, termios.TIOCEXCL)
            with contextlib.suppress(OSError, ValueError, NotImplementedError, AttributeError):
                self._port.set_low_latency_mode(True)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _CHUNK_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            data, text = b"", f"unplugged or failed ({error.strerror})"
        else:
            text = "unplugged (the line hung up)"
        if data:
            self._push(data)
        else:
            self._loop.remove_reader(self._fd)
            self._fail(text)

    def _pause(self, paused: bool) -> None:
        if paused:
            self._loop.remove_reader(self._fd)
        elif self._failure is None:
            self._loop.add_reader(self._fd, self._readable)

    async def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except (BlockingIOError, InterruptedError):
                await self._writable()

    async def _writable(self) -> None:
        ready = asyncio.Event()
        self._loop.add_writer(self._fd, ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_writer(self._fd)

    async def close(self) -> None:
        if not self._port.is_open:
            return
        self._loop.remove_reader(self._fd)
        if not await self._sent():
            with contextlib.suppress(OSError, termios.error):
                termios.tcflush(self._fd, termios.TCOFLUSH)  # else close waits up to 30 s for unsent bytes to leave
        self._fail("closed")
        with contextlib.suppress(OSError, termios.error, pyserial.SerialException):
            self._port.close()

    async def _sent(self) -> bool:
        """Give what was written last, often a stop command, the time to leave the computer; whether it did."""
        with contextlib.suppress(OSError):
            for _ in range(20):
                if not any(fcntl.ioctl(self._fd, termios.TIOCOUTQ, bytes(4))):
                    return True
                await asyncio.sleep(0.01)
        return False


def _open_serial(address: Address, exclusive: bool) -> pyserial.Serial:
    """The line, set as asked. A pseudo-terminal carries whole bytes, whatever it is told, and Linux 6.18 refuses to be
    told otherwise: it is opened all the same."""
    plain = Serial(baud=address.serial.baud)
    refused = ""
    for line in (address.serial,) if exclusive else (address.serial, plain):
        try:
            return pyserial.Serial(
                address.path,
                baudrate=line.baud,
                bytesize=line.bits,
                parity={"none": "N", "even": "E", "odd": "O"}[line.parity],
                stopbits=line.stop,
                xonxoff=line.flow == "xonxoff",
                rtscts=line.flow == "rtscts",
                timeout=0,
                exclusive=exclusive or None,
            )
        except (termios.error, ValueError) as error:  # ValueError: a rate that the adapter's driver does not take
            refused = refused or str(error.args[-1])
    raise LinkLost(
        f"{address}: the line cannot be set to {_spelt(address.serial)} ({refused}); "
        "look at baud, bits, parity and stop of the URL, and at the adapter"
    )


def _spelt(line: Serial) -> str:
    parity = {"none": "no parity", "even": "even parity", "odd": "odd parity"}[line.parity]
    return f"{line.baud} baud, {line.bits} bits, {parity}, {line.stop} stop"


def _is_pty(path: str) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return False
    return stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) in _PTY_MAJORS


class TcpLink(Link, asyncio.Protocol):
    """A TCP connection. Keep-alive and user timeout find a peer that vanished without a word within some 6 s."""

    _transport: asyncio.Transport
    _hung_up = "closed by the device"

    @classmethod
    async def open(cls, address: Address, clock: Clock, tap: Tap | None, tls: ssl.SSLContext | None = None) -> Self:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, link = await loop.create_connection(
                lambda: cls(address, clock, tap), address.host, address.port, ssl=tls
            )
        return link

    def __init__(self, address: Address, clock: Clock, tap: Tap | None) -> None:
        super().__init__(address, clock, tap)
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._gone = asyncio.Event()
        self._gathered = 1  # bytes that wake us up
        self._grew = True  # since the last look at a stream that is gathered
        self._look: asyncio.TimerHandle | None = None

    def gather(self, count: int) -> None:
        if count == self._gathered or self._gone.is_set():
            return
        self._gathered = count
        self._low_water(count)
        if count > 1 and self._look is None:
            self._look = asyncio.get_running_loop().call_later(_REST_S, self._look_for_rest)

    def _look_for_rest(self) -> None:
        """The last packet of a stream that ended may be smaller than what wakes us up."""
        self._look = None
        if self._gone.is_set() or self._gathered <= 1:
            return
        if not self._grew:
            self._low_water(1)  # and the kernel tells at once what is there
        self._grew = False
        self._look = asyncio.get_running_loop().call_later(_REST_S, self._look_for_rest)

    def _low_water(self, count: int) -> None:
        peer = cast(socket.socket, self._transport.get_extra_info("socket"))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, min(count, _MOST_GATHERED_BYTES))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = cast(socket.socket, transport.get_extra_info("socket"))
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _TCP_OPTIONS.items():
            if hasattr(socket, option):
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def data_received(self, data: bytes) -> None:
        if not self._grew:
            self._grew = True
            self._low_water(self._gathered)
        self._push(data)

    def eof_received(self) -> None:
        self._fail(self._hung_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._may_write.set()
        self._gone.set()
        if self._look is not None:
            self._look.cancel()
        self._fail(_reason(exc) if exc is not None else self._hung_up)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def _pause(self, paused: bool) -> None:
        if self._transport.is_closing():
            return
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _sent_at_once(self, data: bytes) -> bool:
        if not self._may_write.is_set() or self._transport.get_write_buffer_size():
            return False
        self._transport.write(data)
        return True

    async def _send(self, data: bytes) -> None:
        self._transport.write(data)
        await self._may_write.wait()
        if self._failure is not None:
            raise ConnectionError(self._failure)

    async def close(self) -> None:
        self._fail("closed")
        self._transport.close()  # what was written last, often a stop command, is still sent
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await self._gone.wait()
        self._transport.abort()


class Rfc2217Link(TcpLink):
    """A serial server that speaks RFC 2217, with the keep-alive of every TCP connection."""

    _hung_up = "the serial server hung up"

    @classmethod
    async def open(cls, address: Address, clock: Clock, tap: Tap | None, tls: ssl.SSLContext | None = None) -> Self:
        link = await super().open(address, clock, tap, tls)
        try:
            await link._settle()
        except BaseException:
            await link.close()
            raise
        return link

    def __init__(self, address: Address, clock: Clock, tap: Tap | None) -> None:
        super().__init__(address, clock, tap)
        self._server = Rfc2217Client(address.serial, ignore_flow=address.ign_set_control)
        self._told = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        line, answer = self._server.feed(data)
        if answer:
            self._transport.write(answer)
        self._told.set()
        if line:
            self._push(line)

    async def _settle(self) -> None:
        """Agree with the server and set the line. What it does not acknowledge in time is taken for done."""
        self._transport.write(self._server.greeting())
        if not await self._until(lambda: self._server.agreed is not None, CONNECT_TIMEOUT_S) or not self._server.agreed:
            says = "says nothing of" if self._server.agreed is None else "refuses"
            raise LinkLost(
                f"{self.address}: the server there {says} RFC 2217; set its port to RFC 2217, "
                f"or write tcp://{self.address.host}:{self.address.port} where it passes raw bytes"
            )
        self._transport.write(self._server.settings())
        await self._until(lambda: self._server.settled, _SETTLE_S)
        if self._server.refusal:
            raise LinkLost(f"{self.address}: the serial server does not set the line to {self._server.refusal}")

    async def _until(self, condition: Callable[[], bool], within_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not condition():
                    if self._failure is not None:
                        raise LinkLost(f"{self.address}: {self._failure}")
                    self._told.clear()
                    await self._told.wait()
        return condition()

    def _fail(self, text: str) -> None:
        super()._fail(text)
        self._told.set()

    def _sent_at_once(self, data: bytes) -> bool:
        return False

    async def _send(self, data: bytes) -> None:
        await self._until(lambda: not self._server.suspended, WRITE_TIMEOUT_S)
        await super()._send(escape(data))
