"""What a driver is.

A driver file holds two things: a codec that does no I/O (bytes in, events out, one exception type) and a thin `Driver`
that connects the codec to a link. `drivers/session.py` keeps a driver alive: it opens, watches for silence, and opens
again with back-off. To write one, read docs/write-a-driver.md.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import msgspec

from drivers.events import Event

Emit = Callable[[Event], None]
Clock = Callable[[], int]
Tap = Callable[[Literal["rx", "tx"], bytes, int], None]
"""Is shown all bytes of a device as they pass its links: direction, bytes, time_ns. For recording."""


Stored = Callable[[], Awaitable[bool]]
"""Waits until what was emitted so far is durable; false where it cannot be. For devices that send again otherwise."""


async def _at_once() -> bool:
    return True


Patience = Callable[[], float]
"""For how many seconds of samples a stream may gather packets; 0 where something waits for each."""


def _patient() -> float:
    return 0.2


class ProtocolError(ValueError):
    """Bytes that no healthy device sends. `reason` is a short stable word, counted in the device's status."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class DeviceError(Exception):
    """The session with a device cannot go on; the text says where and what to do. It never holds a tag or a plate."""

    of_link: bool = False  # the text says only what happened: what to do follows from how the device is connected


@dataclass(frozen=True, slots=True)
class Serial:
    """How a serial line is set: a driver's default, and what `?baud=...` of a URL changes."""

    baud: int = 9600
    bits: int = 8
    parity: Literal["none", "even", "odd"] = "none"
    stop: int = 1
    flow: Literal["none", "xonxoff", "rtscts"] = "none"


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of a driver: `[device.options]` of the configuration. Units stand in the names.

    Each field is `Annotated[type, Meta(description="...")]`: `borderflow drivers NAME` prints these. A rule that
    types cannot say goes into `__post_init__`, which raises ValueError with a text that names the key.
    """


_AnyOptions = Options  # the name `Options` means something narrower inside a driver


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a driver sends with its options, so that a configuration can be checked before the device is there.

    None: the driver does not say, and nothing is checked.
    """

    channels: int | None = None  # of its sample stream; 0: it sends no samples
    digital: frozenset[int] = frozenset()  # those of them that are 0 or 1
    rate_hz: float | None = None  # of the sample stream, as it is set
    inputs: frozenset[str] | None = None  # names of its digital inputs
    temperatures: frozenset[str] | None = None  # names of what it measures in degrees
    bus_unit: int | None = None  # its unit on a Modbus line, which units with other numbers share

    @staticmethod
    def of_scans(names: Sequence[str], rate_hz: float) -> Offer:
        """Of a digitiser that scans these channels: `AIN…` is analogue, the others are 0 or 1."""
        digital = frozenset(channel for channel, name in enumerate(names) if not name.startswith("AIN"))
        return Offer(
            channels=len(names), digital=digital, rate_hz=rate_hz, inputs=frozenset(), temperatures=frozenset()
        )


class Driver(ABC):
    """One device on one link.

    `Options` is the typed model of `[device.options]`; `summary` one line for `borderflow drivers`; `silent_after_s`
    the time without any sign of life after which the device counts as silent (an alarm); an instance may change it,
    `math.inf` where silence is normal.
    """

    Options: ClassVar[type[_AnyOptions]] = Options
    summary: ClassVar[str] = ""
    schemes: ClassVar[tuple[str, ...]] = ()  # what `url` may begin with; "serial" includes a bare path
    serial: ClassVar[Serial] = Serial()  # how the device's line is set when it leaves the factory
    port: ClassVar[int | None] = None  # TCP port where the URL names none
    reads_identifiers: ClassVar[bool] = False  # its bytes hold tags or plates: not recorded unless asked for
    service: ClassVar[bool] = False  # no hardware, but a program beside us, such as gpsd
    reports: ClassVar[frozenset[str]] = frozenset()  # inputs by which it tells how it is itself: alarms, no signals
    silent_after_s: float = 4.0
    deaf_s: float = 0.0  # added to that until the first sign of life of a session: what the device needs to wake up
    tap: Tap | None = None  # set by `borderflow record` before the session begins
    stored: Stored = staticmethod(_at_once)  # set by the daemon before the session begins
    patience_s: Patience = staticmethod(_patient)  # likewise

    def __init__(self, name: str, url: str, options: _AnyOptions, clock: Clock = time.time_ns) -> None:
        self.name = name
        self.url = url
        self.options = options
        self.clock = clock

    def offer(self) -> Offer:
        """What it is going to send; see `Offer`."""
        return Offer(channels=0, temperatures=frozenset()) if self.reads_identifiers else Offer()

    @abstractmethod
    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        """Open the link and talk until it ends.

        Calls `emit` for each event and `alive` for each sign of life (a valid frame, an answer, a keep-alive).
        Raises DeviceError (or OSError) when the link fails; cancellation closes it.
        """
