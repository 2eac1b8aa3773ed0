"""Messages on their way into the journal: made on the daemon's loop, stored durably by one writer thread.

Called by the daemon. While the disk refuses, messages wait here and are tried again; the queue has a bound, and what
comes when it is full is refused, counted and told by an alarm.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from edge.delivery.entry import JournalError
from edge.delivery.journal import Journal
from edge.messages import Message

log = logging.getLogger("journal")

MOST_WAITING = 50_000  # about 30 MB; a busy lane makes some 2,000 messages an hour
_MOST_AT_ONCE = 256
_RETRY_S = 1.0

OnTrouble = Callable[[str, bool, str], None]  # code of the condition, whether it holds, text


class Outbox:
    """A bounded queue with one writer behind it."""

    def __init__(self, journal: Journal, on_trouble: OnTrouble) -> None:
        self._journal = journal
        self._on_trouble = on_trouble
        self._waiting: deque[Message] = deque()
        self._something = asyncio.Event()
        self._progress = asyncio.Condition()
        self._taken = self._stored = 0  # messages so far
        self._flushing = asyncio.Lock()
        self._writer = ThreadPoolExecutor(1, "journal")
        self.refused = 0
        self.stuck_since: float | None = None  # monotonic time since which the journal refuses
        self.refusal: JournalError | None = None  # and why

    def put(self, messages: Iterable[Message]) -> None:
        """Hand messages over; they keep their order."""
        for message in messages:
            if len(self._waiting) >= MOST_WAITING:
                self.refused += 1
                if self.refused == 1:
                    log.critical("%d messages wait for the disk; newer ones are lost from now on", MOST_WAITING)
                continue
            self._waiting.append(message)
            self._taken += 1
        if self._waiting:
            self._something.set()

    @property
    def waiting(self) -> int:
        """Messages that are not yet durable."""
        return len(self._waiting)

    async def stored(self) -> bool:
        """Wait until all that was handed over so far is durable; false where the queue is full."""
        if len(self._waiting) >= MOST_WAITING:
            return False
        wanted = self._taken
        async with self._progress:
            await self._progress.wait_for(lambda: self._stored >= wanted)
        return True

    async def run(self) -> None:
        """Store what comes, for ever."""
        while True:
            await self._something.wait()
            await self.flush()

    async def flush(self) -> None:
        """Store all that waits; tries again for ever while the disk refuses."""
        async with self._flushing:  # the last flush at the end may meet the one of `run`
            while self._waiting:
                await self._store_some()
            self._something.clear()

    async def _store_some(self) -> None:
        batch = list(itertools.islice(self._waiting, _MOST_AT_ONCE))
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._journal.append, batch)
        except JournalError as error:
            if self.stuck_since is None:
                self.stuck_since, self.refusal = time.monotonic(), error
                self._on_trouble("journal_refused", True, str(error))
            await asyncio.sleep(_RETRY_S)
            return
        for _ in batch:
            self._waiting.popleft()
        self._stored += len(batch)
        async with self._progress:
            self._progress.notify_all()
        if self.stuck_since is not None:
            held_s, lost = time.monotonic() - self.stuck_since, self.refused
            self.stuck_since, self.refusal, self.refused = None, None, 0
            text = f"the disk refused for {held_s:.0f} s; {lost} messages were lost at the bound of the queue"
            self._on_trouble("journal_refused", False, text)

    def close(self) -> None:
        self._writer.shutdown(wait=True)
