"""What the daemon made last, for those who look: messages in, the latest vehicles and waits out. Called by the daemon.

References to messages that exist anyway; nothing is computed until somebody asks.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET

from edge.messages import Message, Vehicle, Wait

VEHICLES_MOST = 30
_WAITS_MOST = 200  # lanes and programs of a computer; a configuration has far fewer


class Lately:
    def __init__(self) -> None:
        self._vehicles: deque[Vehicle] = deque(maxlen=VEHICLES_MOST)
        self._waits: dict[tuple[str, str | None, str | None, str | None], Wait] = {}
        self.weighed: Counter[str] = Counter()  # vehicles by lane since the start

    def take(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if isinstance(message, Vehicle):
                self._vehicles.append(message)
                self.weighed[message.lane] += 1
            elif isinstance(message, Wait) and len(self._waits) < _WAITS_MOST:
                self._waits[message.lane, message.direction, message.traffic, message.program] = message

    def last_of(self, lane: str) -> Vehicle | None:
        return next((vehicle for vehicle in reversed(self._vehicles) if vehicle.lane == lane), None)

    def vehicles(self) -> list[dict[str, Any]]:
        """The newest first, as in their messages but without pseudonyms: who looks at a lane needs none."""
        return [_plain(msgspec.structs.replace(vehicle, identities=())) for vehicle in reversed(self._vehicles)]

    def waits(self) -> list[dict[str, Any]]:
        return [_plain(wait) for wait in self._waits.values()]


def _plain(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(message, config=UNSET))
    return found
