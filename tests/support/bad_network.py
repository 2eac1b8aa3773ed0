"""A network that loses, delays and swallows packets: two TUN devices and a carrier between them, below TCP.

The near end is here, the far end in a network namespace of its own, where a broker runs (`inside` before its command).
Real TCP runs over it: what is lost here is sent again by the kernel, as over a real line. A second, good way (veth)
leads to the same broker, for whoever watches. Needs the rights of root and /dev/net/tun.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from contextlib import suppress
from itertools import count
from types import TracebackType

_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001
_NUMBERS = count(1)  # the system takes a namespace away a little after it is told to


def reason_for_none() -> str | None:
    """Why there can be no such network here; None where there can."""
    if os.geteuid() != 0:
        return "not root"
    try:
        name = f"bf{os.getpid()}p"
        subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True)
        subprocess.run(["ip", "netns", "del", name], check=True, capture_output=True)
        os.close(_tun(name))
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no network namespace or TUN device ({error})"
    return None


def _tun(name: str) -> int:
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN_NO_PI))
    except BaseException:
        os.close(handle)
        raise
    return handle


class BadNetwork:
    """Good until told otherwise: `loss` (share of the packets), `delay_s` (each way), `cut` (nothing comes through)."""

    def __init__(self) -> None:
        self.loss, self.delay_s, self.cut = 0.0, 0.0, False
        self.lost = 0
        self._space = f"bf{os.getpid()}x{next(_NUMBERS)}"
        net = f"10.{os.getpid() // 250 % 250}.{os.getpid() % 250}"
        self.bad, self.good = f"{net}.2", f"{net}.6"  # addresses of the far end, over either way
        self.inside = ("ip", "netns", "exec", self._space)
        near, far, veth = f"{self._space}n", f"{self._space}f", f"{self._space}v"
        self._near = near
        self._stop = threading.Event()
        self._handles: tuple[int, ...] = ()
        self._ip("netns", "add", self._space)
        try:
            self._handles = (_tun(near), _tun(far))
            self._ip("link", "set", far, "netns", self._space)
            self._ip("link", "add", veth, "type", "veth", "peer", "name", f"{veth}p", "netns", self._space)
            for device, here, there in ((near, 1, 2), (veth, 5, 6)):
                self._ip("addr", "add", f"{net}.{here}", "peer", f"{net}.{there}", "dev", device)
                self._ip("link", "set", device, "up")
            for device, here, there in ((far, 2, 1), (f"{veth}p", 6, 5)):
                self._ip("-n", self._space, "addr", "add", f"{net}.{here}", "peer", f"{net}.{there}", "dev", device)
                self._ip("-n", self._space, "link", "set", device, "up")
            self._ip("-n", self._space, "link", "set", "lo", "up")
        except BaseException:
            self._remove()
            raise
        self._carrier = threading.Thread(target=self._carry, daemon=True)

    def __enter__(self) -> BadNetwork:
        self._carrier.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._carrier.join(5)
        self._remove()

    def plug(self, *, connected: bool) -> None:
        """Pull the near end's plug, or put it in again: the system then knows of no way there."""
        self._ip("link", "set", self._near, "up" if connected else "down")

    def _remove(self) -> None:
        for handle in self._handles:
            os.close(handle)
        with suppress(OSError):  # not made yet; it would stay as long as the namespace, which goes a little later
            self._ip("link", "del", f"{self._space}v")
        self._ip("netns", "del", self._space)

    @staticmethod
    def _ip(*arguments: str) -> None:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"ip {' '.join(arguments)}: {done.stderr}")

    def _carry(self) -> None:
        noise = random.Random(29)
        waiting: list[tuple[float, int, int, bytes]] = []
        other = dict(zip(self._handles, reversed(self._handles), strict=True))
        number = 0
        while not self._stop.is_set():
            due_s = max(0.0, min(0.05, waiting[0][0] - time.monotonic())) if waiting else 0.05
            for handle in select.select(self._handles, (), (), due_s)[0]:
                packet = os.read(handle, 65_536)
                if self.cut or noise.random() < self.loss:
                    self.lost += 1
                    continue
                number += 1
                heapq.heappush(waiting, (time.monotonic() + self.delay_s, number, other[handle], packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, handle, packet = heapq.heappop(waiting)
                try:
                    os.write(handle, packet)
                except OSError:  # its end is down
                    self.lost += 1
