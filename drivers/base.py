"""What a driver is.

A driver file holds two things: a codec that does no I/O (bytes in, events out, one exception type) and a thin `Driver`
that connects the codec to a link. `drivers/session.py` keeps a driver alive: it opens, watches for silence, and opens
again with back-off. To write one, read CONTRIBUTING, "Write a driver in an hour".
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import msgspec

from drivers.events import Event

Emit = Callable[[Event], None]
Clock = Callable[[], int]


class ProtocolError(ValueError):
    """Bytes that no healthy device sends. `reason` is a short stable word, counted in the device's status."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class DeviceError(Exception):
    """The session with a device cannot go on; the text says where and what to do."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of a driver: `[device.options]` of the configuration. Units stand in the names."""


class Driver(ABC):
    """One device on one link.

    `Options` is the typed model of `[device.options]`; `summary` one line for `borderflow drivers`; `silent_after_s`
    the time without any sign of life after which the device counts as silent (an alarm).
    """

    Options: ClassVar[type[Options]] = Options
    summary: ClassVar[str] = ""
    schemes: ClassVar[tuple[str, ...]] = ()  # what `url` may begin with
    silent_after_s: ClassVar[float] = 4.0

    def __init__(self, name: str, url: str, options: Options, clock: Clock = time.time_ns) -> None:
        self.name = name
        self.url = url
        self.options = options
        self.clock = clock

    @abstractmethod
    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        """Open the link and talk until it ends.

        Calls `emit` for each event and `alive` for each sign of life (a valid frame, an answer, a keep-alive).
        Raises DeviceError (or OSError) when the link fails; cancellation closes it.
        """
