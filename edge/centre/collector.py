"""Brokers → database: takes what the feeds hand over, writes it, and only then acknowledges it. Run by `collect`.

Everything waits in bounded places: brokers keep what is not acknowledged, the inbox holds `feed.WAITING_MOST`, a batch
`BATCH_MOST`. A database that fails is tried again for ever, with the same batch: nothing is acknowledged meanwhile. A
crash at any instruction leaves either a batch that comes again (and is then a repeat) or one that is stored.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from edge.centre.arrival import Rejected, Row, read
from edge.centre.care import Care
from edge.centre.feed import Delivery, Feed, Inbox
from edge.centre.store import Store, StoreError
from edge.centre.upkeep import Upkeep
from edge.messages import utc_text

log = logging.getLogger("collect")

BATCH_MOST = 2000  # messages of one transaction
LOOK_S = 0.1  # so long for the first message of a batch, until `stop` is looked at
RETRY_FIRST_S, RETRY_MOST_S = 0.5, 30.0


@dataclass(slots=True)
class Totals:
    """Since the start, for the line at the end and for metrics."""

    new: int = 0
    repeated: int = 0
    rejected: int = 0
    failures: int = 0  # of the database
    reasons: dict[str, int] = field(default_factory=dict)


class Collecting:
    """See the head of this file. `clock` gives ns UTC."""

    def __init__(
        self,
        store: Store,
        feeds: Sequence[Feed],
        inbox: Inbox,
        *,
        clock: Callable[[], int] = time.time_ns,
        zones: Mapping[tuple[str, str], tuple[str, str]] | None = None,
        keep_months: int | None = None,
    ) -> None:
        self.totals = Totals()
        self._store, self._feeds, self._inbox, self._clock = store, feeds, inbox, clock
        beside = store.beside()
        self._care = Care(beside, feeds, Upkeep(beside, zones, keep_months), clock)

    def run(self, stop: threading.Event, alive: Callable[[], None] = lambda: None) -> None:
        """Until `stop` is set; what waits in the inbox then is left to the brokers. `alive` is called all the while,
        also while the database refuses: to wait for it is this program's work."""
        for feed in self._feeds:
            feed.start()
        self._care.start()
        try:
            while not stop.is_set():
                alive()
                batch = self._next_batch()
                if batch:
                    self._take(batch, stop, alive)
                self._care.check()
        finally:
            self._care.stop()
            for feed in self._feeds:
                feed.stop()

    def _next_batch(self) -> list[Delivery]:
        """What is there: the next batch gathers while this one is written. A broker that has few messages under way
        (20 is a usual limit) would stand still while one waited for more."""
        batch: list[Delivery] = []
        with suppress(queue.Empty):
            batch.append(self._inbox.get(timeout=LOOK_S))
            while len(batch) < BATCH_MOST:
                batch.append(self._inbox.get_nowait())
        return batch

    def _take(self, batch: Sequence[Delivery], stop: threading.Event, alive: Callable[[], None]) -> None:
        now_ns = self._clock()
        got = [read(delivery.topic, delivery.body, now_ns) for delivery in batch]
        rows = [row for row in got if isinstance(row, Row)]
        rejected = [bad for bad in got if isinstance(bad, Rejected)]
        wait_s = RETRY_FIRST_S
        while True:
            try:
                written = self._store.write(rows, rejected, utc_text(now_ns))
                break
            except StoreError as error:
                self.totals.failures += 1
                alive()
                log.error("%s; nothing is acknowledged, tried again in %.1f s", error, wait_s)
                if stop.wait(wait_s):
                    return
                wait_s = min(2 * wait_s, RETRY_MOST_S)
        for delivery in batch:
            delivery.acknowledge()
        self.totals.new += written.new
        self.totals.repeated += written.repeated
        self.totals.rejected += written.rejected
        for bad in rejected:
            self._refused(bad)

    def _refused(self, bad: Rejected) -> None:
        seen = self.totals.reasons[bad.reason] = self.totals.reasons.get(bad.reason, 0) + 1
        if seen & (seen - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: a hostile publisher fills no log
            log.warning("%s: is no message of ours: %s (%s, %d so far)", bad.topic, bad.detail, bad.reason, seen)
