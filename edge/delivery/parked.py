"""Kinds of messages that a collector's server does not take for now: they wait in the journal, the others go on.

Called by `edge.delivery.publisher`. Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Iterator

PARK_S = 60.0  # a kind that the server refuses to take is tried again after this


class Parked:
    """A set of kinds of which each leaves by itself."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._too_large: dict[str, int] = {}  # parked kind -> bytes that the server would have to take

    def park(self, kind: str, now_s: float, size: int | None = None) -> None:
        """`size` where one of its messages was too large for the server."""
        self._until[kind] = now_s + PARK_S
        if size is not None:
            self._too_large[kind] = size

    def connected(self, maximum_packet: int) -> None:
        """What was too large for the server before may go with the packets that it takes now."""
        for kind, size in list(self._too_large.items()):
            if size <= maximum_packet:
                del self._too_large[kind]
                self._until.pop(kind, None)

    def wake(self, now_s: float) -> None:
        """Kinds whose time has come go again."""
        self._until = {kind: until for kind, until in self._until.items() if until >= now_s}

    def __contains__(self, kind: object) -> bool:
        return kind in self._until

    def __iter__(self) -> Iterator[str]:
        return iter(self._until)

    def __len__(self) -> int:
        return len(self._until)
