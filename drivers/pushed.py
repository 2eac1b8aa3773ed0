"""What all readers that push have in common: who may, what comes again, and an answer only when it is durable.

Called by drivers/hikvision_isapi.py and drivers/json_events.py.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from drivers.base import Driver
from drivers.http_auth import Guard
from drivers.secrets import password

_EVENTS_KEPT = 512  # identities of the last ones


class KnownEvents:
    """Identities of the last events that were handed on, so that one that comes again counts once."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()

    def is_new(self, identity: str) -> bool:
        """Notes it, too. An event without an identity is always new."""
        if identity in self._known:
            return False
        if identity:
            self._known[identity] = None
            if len(self._known) > _EVENTS_KEPT:
                self._known.popitem(last=False)
        return True

    def forget(self, identity: str) -> None:
        """It was lost after all."""
        self._known.pop(identity, None)


def guard_of(driver: Driver, username: str, password_file: str) -> Guard | None:
    """Who may post; None where no user is given. Raises DeviceError where the file cannot be read."""
    return Guard(username, password(driver.url, password_file)) if username else None


async def durable(driver: Driver, within_s: float, forget: Callable[[], None]) -> bool:
    """Whether what was emitted is durable within that time; where it never will be, `forget` is called."""
    try:
        async with asyncio.timeout(within_s):
            if await driver.stored():
                return True
    except TimeoutError:
        return False  # but it waits for the disk: when it comes again it is known
    forget()
    return False
