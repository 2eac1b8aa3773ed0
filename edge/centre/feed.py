"""What a broker hands to `collect`, whichever broker it is: deliveries that wait for their acknowledgement."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

WAITING_MOST = 10_000  # deliveries between the feeds and the store; a full queue stops reading from the brokers


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it came. `acknowledge` tells the broker that it is stored; until then the broker keeps it."""

    topic: str
    body: bytes
    acknowledge: Callable[[], None]


Inbox = queue.Queue[Delivery]


class Feed(Protocol):
    """One broker. It connects again by itself and says so in `state`; deliveries go into the inbox it was made with."""

    name: str
    state: str

    def start(self) -> None: ...
    def ask(self, topic: str, body: bytes) -> None: ...
    def stop(self) -> None: ...
