"""Brokers → database: takes what the feeds hand over, writes it, and only then acknowledges it. Run by `collect`.

Everything waits in bounded places: brokers keep what is not acknowledged, the inbox holds `feed.WAITING_MOST`, a batch
`BATCH_MOST`. A database that fails is tried again for ever, with the same batch: nothing is acknowledged meanwhile. A
crash at any instruction leaves either a batch that comes again (and is then a repeat) or one that is stored.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from edge.centre import gaps
from edge.centre.arrival import Rejected, Row, read
from edge.centre.feed import Delivery, Feed, Inbox
from edge.centre.store import Place, Store, StoreError
from edge.centre.upkeep import EVERY_S as UPKEEP_EVERY_S
from edge.centre.upkeep import Upkeep
from edge.messages import utc_text

log = logging.getLogger("collect")

BATCH_MOST = 2000  # messages of one transaction
LOOK_S = 0.1  # so long for the first message of a batch, until gaps are looked after
GAPS_EVERY_S = 1.0
AUDIT_EVERY_S = 20.0  # rows against numbers: what somebody removed from the database is missing too
AUDIT_SHARE = 50  # and at the most this share of the time, where the database is large
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
        self._upkeep = Upkeep(store, zones, keep_months)
        self._gaps_at = self._audit_at = self._upkeep_at = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; what waits in the inbox then is left to the brokers."""
        for feed in self._feeds:
            feed.start()
        try:
            while not stop.is_set():
                batch = self._next_batch()
                if batch:
                    self._take(batch, stop)
                self._care()
        finally:
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

    def _take(self, batch: Sequence[Delivery], stop: threading.Event) -> None:
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

    def _care(self) -> None:
        """Gaps and the audit, when it is their time."""
        now = time.monotonic()
        if now < self._gaps_at:
            return
        self._gaps_at = now + GAPS_EVERY_S
        try:
            if not self._store.leads():
                return
            at = utc_text(self._clock())
            self._store.settle(at)
            if now >= self._audit_at:
                self._store.audit(at)
                took_s = time.monotonic() - now
                self._audit_at = now + max(AUDIT_EVERY_S, AUDIT_SHARE * took_s)
            self._ask()
            if now >= self._upkeep_at:
                self._upkeep.run(self._clock())
                self._upkeep_at = time.monotonic() + max(UPKEEP_EVERY_S, AUDIT_SHARE * (time.monotonic() - now))
        except StoreError as error:
            log.error("%s; gaps are looked at again later", error)
            self._gaps_at = now + RETRY_MOST_S

    def _ask(self) -> None:
        now_ns = self._clock()
        at = utc_text(now_ns)
        open_ = self._store.open_gaps()
        if not open_:
            return
        found = gaps.due(open_, now_ns, self._serves_from())
        for request in found.requests:
            for feed in self._feeds:
                feed.ask(request.topic, request.body)
        self._store.asked([gap for request in found.requests for gap in request.gaps], at)
        for gap, reason in found.lost:
            self._store.close_gaps((gap.topic, gap.epoch), (gap.from_seq, gap.to_seq), "lost", reason, at)

    def _serves_from(self) -> dict[Place, int]:
        """The first number that each computer still has of a topic in its epoch, where it says so in its status."""
        found: dict[Place, int] = {}
        for topic, body in self._store.query("SELECT topic, body FROM presence"):
            branch = topic.rsplit("/", 2)[0]
            said = json.loads(body)
            for name, first in (said.get("replay_from") or {}).items():
                found[f"{branch}/{name}", said["epoch"]] = first
        return found
