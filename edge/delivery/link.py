"""What a connection to a broker offers, and who makes one: the door between those who send and paho.

`edge.delivery.mqtt.MqttLink` is one; tests give others. Used by `edge.delivery.publisher` and the site exchange.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from edge.delivery.endpoint import Endpoint, LinkError
from edge.delivery.outgoing import Outgoing

Acknowledged = Callable[[int, int, str], None]
"""Number of the message, reason code of its PUBACK (below 0x80 the server has it), name of a code that is not 0."""


class Link(Protocol):
    """One connection, used once."""

    window: int  # messages under way at most
    maximum_packet: int
    closed: asyncio.Future[LinkError]

    async def open(self) -> None: ...
    def publish(self, message: Outgoing) -> int: ...
    def flush(self) -> None: ...
    async def close(self, *, speak_will: bool) -> None: ...


class LinkFactory(Protocol):
    """Makes the link of one attempt."""

    def __call__(
        self,
        endpoint: Endpoint,
        *,
        will: Outgoing | None,
        subscribe: str | None,
        hear: str | None = None,
        acknowledged: Acknowledged,
        received: Callable[[str, bytes, bool], None],
        granted: Callable[[str, bool], None] = ...,
        settled: Callable[[], None],
    ) -> Link: ...
