"""What all readers that push have in common: the documents of a post, and an answer only when what it says is durable.

In: requests of drivers/http_listener.py; out: bodies to be parsed, and whether to answer 200 or 503. Called by
drivers/hikvision_isapi.py and drivers/json_events.py.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from drivers.base import Driver
from drivers.http_auth import Guard
from drivers.http_posts import Request
from drivers.multipart import boundary_of, parts_of
from drivers.secrets import password

_MOST_FIELDS = 100  # of a form
_EVENTS_KEPT = 512  # identities of the last ones


def documents(request: Request) -> list[bytes]:
    """The body, the values of a form, or the parts of a multipart body that are no pictures."""
    kind = request.head.headers.get("content-type", "")
    if "urlencoded" in kind and request.body.lstrip()[:1].isalnum():  # many call so what is none
        fields = request.body.split(b"&", _MOST_FIELDS)[:_MOST_FIELDS]
        return [unquote_to_bytes(field.partition(b"=")[2].replace(b"+", b" ")) for field in fields]
    boundary = boundary_of(kind)
    if boundary is None and request.body.startswith(b"--"):  # a device that does not say that it is multipart
        boundary = request.body[:80].split(b"\n")[0].strip().lstrip(b"-").decode("latin-1")
    if not boundary:
        return [request.body]
    return [part.body for part in parts_of(request.body, boundary) if not part.fault]


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
