"""What is missing, and what follows from the messages: looked after beside the writing, in a thread of its own.

In: what the collector has stored; out: gaps opened, asked for and closed, sites and coverage. No message waits for it,
however large the database. Of several collectors one leads and does it. Run by `collector`.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence

from edge.centre import gaps
from edge.centre.feed import Feed
from edge.centre.store import Place, Store, StoreError
from edge.centre.upkeep import EVERY_S as UPKEEP_EVERY_S
from edge.centre.upkeep import Upkeep
from edge.messages import utc_text

log = logging.getLogger("collect")

EVERY_S = 1.0
AUDIT_EVERY_S = 15.0  # rows against numbers: what somebody removed from the database is missing too
SHARE = 20  # audit and upkeep take at most this share of the time, each, where the database is large
RETRY_S = 5.0


class Care:
    """See the head of this file. `store` is used by this thread; `clock` gives ns UTC."""

    def __init__(self, store: Store, feeds: Sequence[Feed], upkeep: Upkeep, clock: Callable[[], int]) -> None:
        self._store, self._feeds, self._upkeep, self._clock = store, feeds, upkeep, clock
        self._audit_at = self._upkeep_at = time.monotonic()
        self._stopping = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="care", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def check(self) -> None:
        """Raises what ended the thread: a collector that asks for nothing any more must not go on as if it did."""
        if self._fault is not None:
            raise self._fault

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(5)

    def _run(self) -> None:
        wait_s = EVERY_S
        while not self._stopping.wait(wait_s):
            wait_s = EVERY_S
            try:
                if self._store.leads():
                    self._look()
            except StoreError as error:
                log.error("%s; gaps are looked at again in %.0f s", error, RETRY_S)
                wait_s = RETRY_S
            except BaseException as fault:
                self._fault = fault
                return

    def _look(self) -> None:
        at = utc_text(self._clock())
        self._store.settle(at)
        began = time.monotonic()
        if began >= self._audit_at:
            self._store.audit(at)
            self._audit_at = _next(began, AUDIT_EVERY_S)
        self._ask()
        began = time.monotonic()
        if began >= self._upkeep_at:
            self._upkeep.run(self._clock())
            self._upkeep_at = _next(began, UPKEEP_EVERY_S)

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


def _next(began: float, every_s: float) -> float:
    """When it is time again for what began then and has just ended."""
    now = time.monotonic()
    return now + max(every_s, SHARE * (now - began))
