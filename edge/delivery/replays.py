"""What a collector asks for again: requests in, the messages that the journal still holds out, paced.

Called by `edge.delivery.publisher`, which sends them behind live ones. The queue has a bound; what is no valid request,
or too much, is refused here and counted there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Protocol

import msgspec

from edge.delivery.entry import Entry
from edge.messages import ReplayRequest

REPLAY_PER_S = 200.0
REPLAY_REQUESTS_MAX = 256
REPLAY_PAYLOAD_MAX = 1024


class Source(Protocol):
    """What is needed of `edge.delivery.journal.Journal`."""

    def replay(self, topic: str, epoch: str, from_seq: int, to_seq: int) -> list[Entry]: ...


class Replays:
    """Requests of one collector, the oldest first."""

    def __init__(self, journal: Source, share: Collection[str]) -> None:
        self._journal, self._share = journal, share
        self._requests: deque[ReplayRequest] = deque()
        self._ready: deque[Entry] = deque()
        self._next_at = 0.0  # monotonic time at which the next message may go

    def ask(self, payload: bytes, branch: str) -> ReplayRequest | None:
        """Take a request for a topic that begins with `branch`; None where it is none, or too many wait."""
        request = _request(payload) if len(payload) <= REPLAY_PAYLOAD_MAX else None
        if request is None or len(self._requests) >= REPLAY_REQUESTS_MAX:
            return None
        if not request.topic.startswith(branch) or request.topic.rsplit("/", 1)[-1] not in self._share:
            return None
        self._requests.append(request)
        return request

    def begin_anew(self) -> None:
        """Another connection: what was read ahead is dropped."""
        self._ready.clear()

    def next(self, now_s: float) -> Entry | float | None:
        """The next message, in how many seconds it may go, or None where nothing is asked for."""
        while not self._ready and self._requests:
            request = self._requests.popleft()
            found = self._journal.replay(request.topic, request.epoch, request.from_seq, request.to_seq)
            self._ready.extend(found)
            if found and found[-1].seq < request.to_seq:
                self._requests.appendleft(msgspec.structs.replace(request, from_seq=found[-1].seq + 1))
        if not self._ready:
            return None
        if now_s < self._next_at:
            return self._next_at - now_s
        self._next_at = max(self._next_at, now_s - 0.05) + 1 / REPLAY_PER_S
        return self._ready.popleft()


def _request(payload: bytes) -> ReplayRequest | None:
    try:
        request = msgspec.json.decode(payload, type=ReplayRequest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return request if 0 <= request.from_seq <= request.to_seq < 1 << 62 else None
