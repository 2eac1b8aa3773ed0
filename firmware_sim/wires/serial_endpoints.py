"""Serial links of emulated devices: pseudo-terminals and real ports; made by `endpoints.py`.

A pty can be unplugged and plugged in again under the same name, a symbolic link, as udev gives adapters a stable one.
Bytes leave a line no faster than its baud rate, and where the host has set another rate on a pty both sides read
rubbish, as on a real line.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import termios
import tty
from pathlib import Path
from random import Random
from typing import Any

from firmware_sim.wires.links import SERIAL_PORT, Device, EndpointError

PTY_POLL_S = 0.05  # how soon a host that opens a pty is seen
PIECE_BYTES = 32  # bytes of a serial line arrive in pieces of about this size
BLOCKED_S = 0.01
SERIAL_QUEUE_BYTES = 65_536  # what a device says beyond that while the line is busy is lost

_BAUD = {getattr(termios, name): int(name[1:]) for name in dir(termios) if name[0] == "B" and name[1:].isdigit()}


class _SerialLine:
    """The sending side of a serial line: bytes wait here until the baud rate lets them out and the host takes them.

    `baud` 0 is USB CDC, which has no line rate. Subclasses write to the file descriptor.
    """

    def __init__(self, baud: int) -> None:
        self.baud = baud
        self.options: dict[str, Any] = {}
        self.url = ""
        self._queue = bytearray()
        self._since = 0.0  # when the first byte of the queue began to travel
        self._timer: asyncio.TimerHandle | None = None

    def set_baud(self, baud: int) -> None:
        """The device has changed its rate."""
        self.baud = baud

    def write(self, port: str, peer: int | None, data: bytes) -> None:
        if len(self._queue) + len(data) > SERIAL_QUEUE_BYTES:
            return
        if not self._queue:
            self._since = asyncio.get_running_loop().time()
        self._queue += data
        self._wait()

    def _wait(self) -> None:
        """Come back when a handful of bytes has travelled."""
        if self._timer is None and self._queue:
            travel_s = min(len(self._queue), PIECE_BYTES) * 10 / self.baud if self.baud else 0.0
            self._timer = asyncio.get_running_loop().call_at(self._since + travel_s, self._release)

    def _release(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        arrived = len(self._queue)
        if self.baud:
            arrived = min(arrived, int((now - self._since) * self.baud / 10 + 0.01))
        taken = self._put(bytes(self._queue[:arrived])) if arrived else 0
        del self._queue[:taken]
        if taken < arrived:
            self._since = now + BLOCKED_S  # the host's buffer is full
        elif self.baud:
            self._since += taken * 10 / self.baud
        self._wait()

    def _put(self, data: bytes) -> int:
        """Number of bytes taken; those that nobody can hear are taken too."""
        raise NotImplementedError

    def _drop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._queue.clear()

    def hang_up(self, port: str, peer: int | None) -> None:
        """A serial line has no connections."""

    def congested(self) -> frozenset[str]:
        return frozenset({SERIAL_PORT}) if len(self._queue) > SERIAL_QUEUE_BYTES // 2 else frozenset()


def _serial_url(path: str | Path, baud: int) -> str:
    return f"serial://{path}?baud={baud}" if baud else f"serial://{path}"


def _speed_code(baud: int) -> int | None:
    """The termios constant of a rate; USB CDC takes any."""
    return next((code for code, rate in _BAUD.items() if rate == (baud or 115_200)), None)


def _written(fd: int, data: bytes) -> int:
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
    except OSError:
        return len(data)


class PtyEndpoint(_SerialLine):
    """A pseudo-terminal, found under `link`; what a device sends while no host has it open is lost."""

    def __init__(self, link: Path, baud: int, random: Random) -> None:
        super().__init__(baud)
        self._link = link
        self._random = random
        self._device: Device | None = None
        self._master: int | None = None
        self._watch: asyncio.TimerHandle | None = None
        self.url = _serial_url(link, baud)

    async def open(self, device: Device) -> None:
        self._device = device
        await self.plug()
        device.connected(SERIAL_PORT, 0)

    async def plug(self) -> None:
        master, slave = os.openpty()
        os.set_blocking(master, False)
        tty.setraw(slave)
        settings = termios.tcgetattr(slave)
        speed = _speed_code(self.baud) or termios.B9600
        settings[4] = settings[5] = speed
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        name = os.ttyname(slave)
        os.close(slave)  # from here on the master sees a hang-up until a host opens the line
        self._link.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._link.with_name(self._link.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(name)
        fresh.replace(self._link)
        self._master = master
        self._look()

    def _look(self) -> None:
        """Wait for a host: reading a master without one would spin."""
        assert self._master is not None
        loop = asyncio.get_running_loop()
        self._watch = None
        if self._open():
            loop.add_reader(self._master, self._readable)
        else:
            self._watch = loop.call_later(PTY_POLL_S, self._look)

    def _open(self) -> bool:
        if self._master is None:
            return False
        poll = select.poll()
        poll.register(self._master, 0)
        return not any(flags & select.POLLHUP for _, flags in poll.poll(0))

    def _readable(self) -> None:
        assert self._master is not None
        assert self._device is not None
        try:
            data = os.read(self._master, 4096)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data = b""
        if data:
            self._device.received(SERIAL_PORT, 0, self._heard(data))
        else:
            asyncio.get_running_loop().remove_reader(self._master)
            self._look()

    def _heard(self, data: bytes) -> bytes:
        """Bytes as the other side's receiver makes them out: rubbish where the baud rates differ."""
        assert self._master is not None
        host_baud = _BAUD.get(termios.tcgetattr(self._master)[5], 0)
        return data if self.baud in (0, host_baud) else self._random.randbytes(len(data))

    def _put(self, data: bytes) -> int:
        if self._master is None or not self._open():
            return len(data)
        return _written(self._master, self._heard(data))

    async def unplug(self) -> None:
        self._drop()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._master is not None:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            self._master = None
        self._link.unlink(missing_ok=True)

    async def close(self) -> None:
        await self.unplug()


class SerialEndpoint(_SerialLine):
    """A real serial port, 8N1: the other end of a null-modem cable or of an RS-485 pair."""

    def __init__(self, path: str, baud: int) -> None:
        super().__init__(baud)
        self._path = path
        self._fd: int | None = None
        self._device: Device | None = None
        self.url = _serial_url(path, baud)

    async def open(self, device: Device) -> None:
        self._device = device
        await self.plug()
        device.connected(SERIAL_PORT, 0)

    async def plug(self) -> None:
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(self._fd)
            settings = termios.tcgetattr(self._fd)
        except (OSError, termios.error) as error:
            raise EndpointError(f"{self._path}: cannot be used as a serial port: {error}") from error
        settings[2] |= termios.CLOCAL | termios.CREAD
        termios.tcsetattr(self._fd, termios.TCSANOW, settings)
        if not self._set_speed():
            raise EndpointError(f"{self._path}: {self.baud} baud is not possible here")
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def set_baud(self, baud: int) -> None:
        if baud != self.baud:
            super().set_baud(baud)
            self._set_speed()

    def _set_speed(self) -> bool:
        speed = _speed_code(self.baud)
        if speed is None or self._fd is None:
            return speed is not None
        settings = termios.tcgetattr(self._fd)
        settings[4] = settings[5] = speed
        termios.tcsetattr(self._fd, termios.TCSADRAIN, settings)
        return True

    def _readable(self) -> None:
        assert self._fd is not None
        assert self._device is not None
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._device.received(SERIAL_PORT, 0, data)
        else:
            asyncio.get_running_loop().remove_reader(self._fd)  # the adapter is gone

    def _put(self, data: bytes) -> int:
        return len(data) if self._fd is None else _written(self._fd, data)

    async def unplug(self) -> None:
        """The cable cannot be pulled from here: closing the port makes this end dead."""
        self._drop()
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None

    async def close(self) -> None:
        await self.unplug()
