"""What every emulated device offers: bytes and world events in, bytes out, no I/O and no clock of its own.

`serve.py` owns one emulator for each device of the scenario, tells it what happens (a host connects, bytes arrive, the
world moves, time passes) and carries what it answers to the wire. The wire itself, with its faults, is not here: see
`wires/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from firmware_sim.world.events import WorldEvent

MAIN = "main"  # name of a device's first port


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes that the device puts on its wire: one frame or packet, so that faults can lose or double it whole.

    `peer` is the connection that gets it; None means everybody connected to `port`.
    """

    data: bytes
    port: str = MAIN
    peer: int | None = None


@dataclass(frozen=True, slots=True)
class Hangup:
    """The device closes connections of `port`: one `peer`, or all of them."""

    port: str = MAIN
    peer: int | None = None


Output = list[Send | Hangup]


class Samples(Protocol):
    """Where a digitiser gets its scans from: one lane of the world.

    Scan k is taken at k / `rate_hz` seconds of world time; `take` serves scans below `ready()`, not much older than a
    second, as int16 of shape (count, channels).
    """

    rate_hz: float
    nominal_hz: float

    def ready(self) -> int: ...

    def take(self, first: int, count: int) -> npt.NDArray[np.int16]: ...


class Emulator:
    """A device that does nothing; the real ones override what they need.

    All times are world time in seconds and never go back. Hostile input is answered as the device would, never with
    an exception.
    """

    ports: tuple[str, ...] = (MAIN,)
    pushes: bool = False  # the device connects to the host, a connection for each message
    scheme: str = "tcp"  # of its URL where it listens
    baud: int | None = None  # of a serial device, which can change it; 0: USB CDC, which has no line rate
    # what faults.py may ask of this kind of device beyond the faults of its wire
    faults: frozenset[str] = frozenset()

    def connected(self, port: str, peer: int, now_s: float) -> Output:
        """A host opened a connection (on a serial line there is one, from the start)."""
        return []

    def disconnected(self, port: str, peer: int, now_s: float) -> None:
        """A connection is gone."""

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        """Bytes from the host, cut anywhere."""
        return []

    def happened(self, event: WorldEvent, now_s: float) -> Output:
        """Something in the world that this device sees."""
        return []

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        """Time has passed; `congested` names the ports whose host does not take its bytes any more."""
        return []

    def reboot(self, now_s: float) -> Output:
        """Power came back: volatile state is as at power-up, connections are gone; what is sent at power-up."""
        return []

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        """A fault of `faults` begins or ends."""
        return []
