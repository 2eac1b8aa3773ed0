"""The site exchange of this computer: sightings over the site's broker, to or from the computer that matches.

`carry` is called by `edge.crossing` for every sighting that was read here and says what the own waits take of it:
nothing on a computer that sends, the sighting with its tokens on the one that matches. What others read comes through
`deliver`. The daemon runs `run` as a task of its own. Nothing here touches the disk: tokens live in memory, and what
could not be sent within `KEPT_NS` is dropped and counted, because the waits cannot use it any more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random as randomness
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from edge import config as cfg
from edge.config.rules import rotation_s
from edge.delivery.endpoint import Endpoint, LinkError
from edge.delivery.entry import Severity
from edge.delivery.identity import read_secret
from edge.delivery.link import LinkFactory
from edge.delivery.mqtt import MqttLink
from edge.delivery.outgoing import Outgoing
from edge.exchange.codec import MOST_RECORDS, ExchangeReader, ExchangeWriter, local_sightings
from edge.exchange.tokens import ExchangeKeys
from edge.waiting.sightings import Sighting

log = logging.getLogger("site exchange")

SITE_ROOT = "borderflow-site/v1"  # outside of `borderflow/`, so that no collector and no bridge takes it along
KEPT_NS = 300_000_000_000  # what is later than this cannot be used by the waits (edge.waiting.timeline)
MOST_WAITING = 20_000
_EVERY_S = 1.0  # a payload holds what was read in this time
_WAIT_FIRST_S, _WAIT_MOST_S = 1.0, 30.0
_SCHEMA = "borderflow/exchange/1"
_IN_A_ROW = 20  # payloads that do not open, or that nobody takes, before it is an alarm
_NO_SUBSCRIBER = 0x10  # MQTT 5: the broker took it, and forgot it

OnAlarm = Callable[[str, Literal["begin", "end"], Severity, str], None]  # code, state, severity, text


def topic_of_source(country: str, port: str, source: str) -> str:
    """Topic of one computer's exchange; with source `+` the filter of the computer that matches."""
    return f"{SITE_ROOT}/{country}/{port}/{source}/exchange"


class SiteExchange:
    """See the head of this file. Raises edge.delivery.identity.IdentityError where the secret cannot be used."""

    def __init__(
        self,
        config: cfg.Config,
        source: str,
        *,
        deliver: Callable[[Sighting], None],
        on_alarm: OnAlarm = lambda code, state, severity, text: None,
        link_factory: LinkFactory = MqttLink,
        clock: Callable[[], int] = time.time_ns,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        table, identity = config.site_exchange, config.identity
        assert table is not None  # the caller looked
        assert identity is not None  # edge.config.rules
        self._table = table
        self._source = source
        self._deliver, self._on_alarm = deliver, on_alarm
        self._link_factory, self._clock = link_factory, clock
        self._keys = ExchangeKeys(read_secret(Path(identity.key_file)), rotation_s(identity.rotation) * 1_000_000_000)
        self._topic = topic_of_source(config.site.country, config.site.port, source)
        self._filter = topic_of_source(config.site.country, config.site.port, "+")
        self._writer = ExchangeWriter(self._keys, self._topic, random)
        self._reader = ExchangeReader(self._keys)
        self._waiting: deque[Sighting] = deque()
        self._in_flight: dict[int, Sequence[Sighting]] = {}
        self._alarms: set[str] = set()
        self._unopened = self._unheard = 0  # in a row
        self.counters: Counter[str] = self._reader.counters

    @property
    def sends(self) -> bool:
        return self._table.role == "send"

    def carry(self, sighting: Sighting) -> Sequence[Sighting]:
        """What the own waits take of a sighting that was read here."""
        if not self.sends:
            return local_sightings(sighting, self._keys)
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.counters["exchange_dropped"] += 1
        self._waiting.append(sighting)
        return ()

    async def run(self) -> None:
        """Until it is cancelled; connects again and again."""
        wait_s = _WAIT_FIRST_S
        while True:
            began = time.monotonic()
            try:
                await self._session()
            except LinkError as error:
                log.debug("%s", error)  # it is said once, by the alarm
                self._alarm("site_exchange_down", True, str(error))
            self._take_back()
            if time.monotonic() - began > 60.0:
                wait_s = _WAIT_FIRST_S
            await asyncio.sleep(wait_s * randomness.uniform(0.8, 1.2))
            wait_s = min(_WAIT_MOST_S, wait_s * 2)

    async def _session(self) -> None:
        """One connection; LinkError says why it ended."""
        link = self._link_factory(
            self._endpoint(),
            will=None,
            subscribe=None if self.sends else self._filter,
            acknowledged=self._acknowledged,
            received=self._received,
            settled=lambda: None,
        )
        opened = False
        try:
            await link.open()
            opened = True
            self._alarm("site_exchange_down", False, f"connected to {self._table.url}")
            while not link.closed.done():
                room = link.window - len(self._in_flight)
                for _ in range(room):
                    batch = self._next_batch()
                    if not batch:
                        break
                    self._in_flight[link.publish(self._message(batch))] = batch
                link.flush()
                await asyncio.wait({link.closed}, timeout=_EVERY_S)
            raise link.closed.result()
        finally:
            if opened:
                await asyncio.shield(link.close(speak_will=False))

    def _next_batch(self) -> list[Sighting]:
        now_ns = self._clock()
        batch: list[Sighting] = []
        while self._waiting and len(batch) < MOST_RECORDS:
            sighting = self._waiting.popleft()
            if sighting.time_ns < now_ns - KEPT_NS:
                self.counters["exchange_dropped"] += 1
            else:
                batch.append(sighting)
        return batch

    def _message(self, batch: Sequence[Sighting]) -> Outgoing:
        payload = self._writer.seal(batch, self._clock())
        return Outgoing(topic=self._topic, payload=payload, schema=_SCHEMA, expiry_s=KEPT_NS // 1_000_000_000)

    def _acknowledged(self, mid: int, code: int, reason: str) -> None:
        if self._in_flight.pop(mid, None) is None:
            return
        url = self._table.url
        refused = code >= 0x80
        self.counters["exchange_refused"] += refused
        text = f"{url} refuses {self._topic}: {reason} (0x{code:02X}); let this computer write there"
        self._alarm("site_exchange_refused", refused, text if refused else f"{url} takes {self._topic}")
        self._unheard = self._unheard + 1 if code == _NO_SUBSCRIBER else 0
        if self._unheard >= _IN_A_ROW:
            self._alarm(
                "site_exchange_unheard", True, f"nobody reads {self._topic} at {url}; start the computer that matches"
            )
        elif not self._unheard:
            self._alarm("site_exchange_unheard", False, "the computer that matches is there")

    def _take_back(self) -> None:
        """What was not acknowledged goes again; the other side passes repeats over."""
        for batch in reversed(list(self._in_flight.values())):
            self._waiting.extendleft(reversed(batch))
        self._in_flight.clear()

    def _received(self, topic: str, payload: bytes, retained: bool) -> None:
        if topic == self._topic or retained:
            return
        refused = self.counters.total()
        for sighting in self._reader.open(topic, payload, self._clock()):
            self._deliver(sighting)
        if self.counters.total() == refused:
            self._unopened = 0
            self._alarm("site_exchange_foreign", False, f"what comes on {topic} opens")
            return
        self._unopened += 1
        if self._unopened == _IN_A_ROW:
            text = (
                f"what comes on {topic} does not open ({', '.join(sorted(self.counters))}); all computers of one "
                "crossing need the same identity.key_file, the same rotation and the right time"
            )
            self._alarm("site_exchange_foreign", True, text)

    def _alarm(self, code: str, holds: bool, text: str) -> None:
        if holds == (code in self._alarms):
            return
        (self._alarms.add if holds else self._alarms.remove)(code)
        self._on_alarm(code, "begin" if holds else "end", "warning" if holds else "info", text)

    def _endpoint(self) -> Endpoint:
        table = self._table

        try:
            return Endpoint.configured(table, f"{self._source}-site-exchange")
        except ValueError as error:
            raise LinkError("configuration", f"site_exchange.url {error}") from None
