"""What the waits took outlives the process: `edge.waiting.memory`, with what the daemon says where the disk refuses it.

Called by the daemon: `recall` before any device speaks, `keep` by its clock, `renew` at a reload.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from edge import config as cfg
from edge.exchange.tokens import ExchangeKeys
from edge.messages import Message, Wait, parse_utc
from edge.waiting.memory import Memory, Recalled

log = logging.getLogger("daemon")


class Remembering:
    """The memory in the store's directory `waits`."""

    def __init__(self, config: cfg.Config, keys: ExchangeKeys | None) -> None:
        self._place = Path(config.store.path) / "waits"
        self._memory = Memory(self._place, config, keys)
        self._forgetful = False  # what the waits took could not be kept
        self.note = self._memory.note
        self.forget = self._memory.forget
        self.sync = self._memory.sync
        self.close = self._memory.close

    def recall(self, now_ns: int) -> Recalled:
        began = time.monotonic()
        kept = self._or_trouble(lambda: self._memory.recall(now_ns), "read")
        if kept.sightings:
            text = "%d sightings of the last hours taken up again in %.1f s"
            log.info(text, len(kept.sightings), time.monotonic() - began)
        return kept

    def renew(self, config: cfg.Config, now_ns: int) -> Recalled:
        """For waits that another configuration makes anew."""
        return self._or_trouble(lambda: self._memory.renew(config, now_ns), "read or written")

    def _or_trouble(self, recall: Callable[[], Recalled], what: str) -> Recalled:
        """Each trouble stands in the log: the alarm that it makes may hold since the start before."""
        try:
            kept = recall()
        except OSError as error:
            kept = Recalled(trouble=[f"{self._place}: cannot be {what} ({error.strerror})"])
        for text in kept.trouble:
            log.warning("%s", text)
        return kept

    def keep(self, made: Iterable[Message], now_ns: int) -> bool:
        """What the waits took since the last time is kept; True where an interval has ended, which is to be synced."""
        ends = [parse_utc(message.time) for message in made if isinstance(message, Wait)]
        if ends:
            self._memory.told(max(ends))
        try:
            self._memory.write(now_ns)
        except OSError as error:
            if not self._forgetful:
                text = "%s: cannot be written (%s); a restart would cost the waits their queues"
                log.warning(text, self._place, error)
            self._forgetful = True
            return False
        self._forgetful = False
        return bool(ends)
