"""Carries the journal to one collector: cursor → window → MQTT → acknowledgement, for ever, through every outage.

In: entries of the journal and the computer's status; out: messages at the collector's broker, a state that an operator
can read, alarms. The daemon runs one `Publisher` for each collector, as a task of its own: a slow or dead collector
slows nobody. An entry counts as delivered when its PUBACK has a success code; until then the journal keeps it.

Order of what goes out: the status as birth; live messages; what was asked for again (`replay`), paced; backlog. Backlog
and replay never fill the window, so that a live message finds a free place at once.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random as randomness
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import msgspec

from edge.config import Collector
from edge.delivery.endpoint import Endpoint, LinkError, Trouble
from edge.delivery.entry import Entry, Severity, uuid7
from edge.delivery.hearing import Hearing
from edge.delivery.journal import Journal, JournalError
from edge.delivery.mqtt import Acknowledged, MqttLink, may_publish
from edge.delivery.outgoing import Outgoing
from edge.messages import (
    TOPIC_ROOT,
    Backlog,
    CollectorStatus,
    Message,
    ReplayRequest,
    Status,
    encode,
    kind_of,
    stamped,
    topic_of,
    utc_text,
)

log = logging.getLogger("collector")

State = Literal["connecting", "connected", "waiting", "stopped"]
OnAlarm = Callable[[str, str, Literal["begin", "end"], Severity, str], None]  # collector, code, state, severity, text

# how long a broker keeps a message for an absent reader
EXPIRY_S = {"wait": 86_400, "flow": 7 * 86_400, "sighting": 2 * 86_400, "identifier": 2 * 86_400}
LATE_RESERVE = 4  # places of the window that backlog and replay leave to live messages
REPLAY_PER_S = 200.0
REPLAY_REQUESTS_MAX = 256
REPLAY_PAYLOAD_MAX = 1024
SETTLED_S = 2.0  # a connection that held so long ends the alarms
SHORT_LIVES = 4  # connections that end within QUICK_S without a reason, until it is taken for a double
QUICK_S = (
    15.0  # two that fight for a name throw each other out within their next attempts; a broker that is started anew
)
# every now and then lives longer than that, and must not cost a pause of minutes
CAREFUL_FROM = 1  # ... until messages go one by one: some servers close after a refusal, and what they said is lost
CAREFUL_FIRST = 32  # if more is under way; so many do
STABLE_S = 60.0  # a connection that held so long makes the next wait short again
WAIT_FIRST_S, WAIT_EARLY_S, WAIT_MOST_S = 1.0, 5.0, 60.0
LONG_WAIT_S: dict[Trouble, float] = {
    "duplicate": 300.0,
    "refused": 60.0,
    "certificate": 30.0,
    "configuration": 30.0,
    "unheard": 60.0,
}
UNREACHABLE_AFTER_S = 10.0  # an outage this long is an alarm; a refusal is one at once
PARK_S = 60.0  # a kind that the server refuses to take is tried again after this
NO_READER_S, NO_READER_COUNT = 60.0, 3  # so long and so many messages without a reader are an alarm
WORDS_MAX = 32
_LOG_AGAIN_S, _LOG_AGAIN_MOST_S = 10.0, 3600.0  # a failure that stays is logged at growing intervals
_RETRY_JOURNAL_S = 1.0
_PACKET_MARGIN = 256  # bytes of a PUBLISH beside topic and payload, at most

ALARM_OF: dict[Trouble, tuple[str, Severity]] = {
    "configuration": ("collector_configuration", "critical"),
    "unreachable": ("collector_unreachable", "warning"),
    "certificate": ("collector_certificate", "critical"),
    "refused": ("collector_refused", "critical"),
    "duplicate": ("duplicate_identity", "critical"),
    "quota": ("collector_quota", "warning"),
    "protocol": ("collector_protocol", "warning"),
    "silent": ("collector_unreachable", "warning"),
    "lost": ("collector_unreachable", "warning"),
    "unheard": ("collector_unheard", "critical"),
}
_END_BY_THEMSELVES = frozenset({"collector_no_replay", "collector_no_reader"})  # a good connection does not end them


class Link(Protocol):
    """What the publisher needs of `edge.delivery.mqtt.MqttLink`."""

    window: int
    maximum_packet: int
    closed: asyncio.Future[LinkError]

    async def open(self) -> None: ...
    def publish(self, message: Outgoing) -> int: ...
    def flush(self) -> None: ...
    async def close(self, *, speak_will: bool) -> None: ...


class LinkFactory(Protocol):
    """Makes the link of one attempt; `MqttLink` itself is one."""

    def __call__(
        self,
        endpoint: Endpoint,
        *,
        will: Outgoing | None,
        subscribe: str | None,
        hear: str | None = None,
        acknowledged: Acknowledged,
        received: Callable[[str, bytes, bool], None],
        granted: Callable[[str, bool], None] = ...,
        settled: Callable[[], None],
    ) -> Link: ...


class StatusProvider(Protocol):
    """The daemon's state as a message; with `online` false it is the last will."""

    def __call__(self, online: bool, cause: str | None = None) -> Status: ...


@dataclass(slots=True)
class Counts:
    """What happened since the start, for the metrics."""

    delivered: int = 0  # acknowledged with a success code
    unheard: int = 0  # of these, nobody had subscribed (0x10): the broker has forgotten them
    refused: int = 0  # PUBACK with an error code
    oversized: int = 0  # times that a message was larger than the server takes, and its kind had to wait
    replayed: int = 0
    ignored: int = 0  # requests that were no valid replay request
    connections: int = 0


def _no_alarm(collector: str, code: str, state: str, severity: str, text: str) -> None:
    pass


class Publisher:
    """See the head of this file."""

    def __init__(
        self,
        collector: Collector,
        journal: Journal,
        status: StatusProvider,
        on_alarm: OnAlarm = _no_alarm,
        *,
        on_state: Callable[[Publisher], None] = lambda publisher: None,
        link_factory: LinkFactory = MqttLink,
        random: randomness.Random | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.name = collector.name
        self.state: State = "stopped"
        self.text = ""
        self.counts = Counts()
        self._collector = collector
        self._journal = journal
        self._status = status
        self._on_alarm = on_alarm
        self._on_state = on_state
        self._link_factory = link_factory
        self._random = random or randomness.Random()
        self._clock = clock
        self._alarms: dict[str, str] = {}
        self._logged: dict[Trouble, tuple[float, float, int]] = {}  # when again, the interval after, attempts since
        self._wait_s = WAIT_FIRST_S
        self._down_since: float | None = None
        self._connected_at = 0.0  # monotonic; 0: not in this attempt
        self._short_lives = 0  # connections in a row that ended soon and without a reason
        self._quick_lives = 0  # of these in a row, those that ended within QUICK_S
        self._refused_here = False  # the server refused a message in this connection
        self._alone: Entry | None = None  # the only message under way when the last connection ended
        self._suspect = ""  # its topic, in the connection before
        self._trusted = 0  # acknowledgements in this connection
        self._taken: set[str] = set()  # topics of them
        self._stop = asyncio.Event()
        self._go_on = asyncio.Event()  # ends the wait between two attempts
        self._ended = asyncio.Event()
        self._link: Link | None = None
        self._in_flight: dict[int, Entry] = {}
        self._late_in_flight = 0
        self._hearing = Hearing()
        self.replay_granted: bool | None = None  # whether requests for replay can be heard; None until it is answered
        self._journal_trouble = ""  # what was last logged of it
        self._ended_unproven = False  # the last connection ended while that was open
        self._unproven: list[Entry] = []  # acknowledged while it is open whether that is worth anything
        self._nobody_since: float | None = None  # monotonic time since which no message found a reader
        self._nobody_count = 0
        self._words: deque[Outgoing] = deque(maxlen=WORDS_MAX)  # to be said outside the journal
        self._speaking: set[int] = set()  # numbers of those under way
        self._parked: dict[str, float] = {}  # kind -> monotonic time until which it is not sent
        self._too_large: dict[str, int] = {}  # parked kind -> bytes that the server would have to take
        self._requests: deque[ReplayRequest] = deque()
        self._replay_ready: deque[Entry] = deque()
        self._replay_at = 0.0  # monotonic time at which the next replayed message may go
        self._birth: Entry | None = None
        self._offline_told = False
        self._pump_asked = False
        self._pump_timer: asyncio.TimerHandle | None = None
        journal.register(self.name, collector.share)

    def backlog(self) -> Backlog:
        """What this collector has not acknowledged."""
        pending = self._journal.backlog(self.name)
        oldest = None if pending.oldest_ns is None else utc_text(pending.oldest_ns)
        return Backlog(messages=pending.messages, oldest=oldest)

    def state_of_link(self) -> CollectorStatus:
        """What an operator may know of the connection."""
        return CollectorStatus(
            state=self.state,
            text=self.text if self.state != "connected" else self._hearing.why,
            heard=self._hearing.verdict if self.state == "connected" else None,
            replay=self.replay_granted if self.state == "connected" else None,
        )

    async def stop(self, drain_s: float = 3.0) -> None:
        """Deliver what is live, for at most `drain_s`, then end the connection; `run` returns."""
        self._drain_s = drain_s
        self._stop.set()
        self._go_on.set()
        if self.state != "stopped":
            await self._ended.wait()

    def retry_now(self) -> None:
        """Do not wait for the next attempt: what was wrong may be mended."""
        self._go_on.set()

    async def run(self) -> None:
        """Until `stop` or cancellation; never raises anything else."""
        self._loop = asyncio.get_running_loop()
        self._ended.clear()
        unlisten = self._journal.listen(self._appended)
        try:
            while not self._stop.is_set():
                trouble = await self._attempt()
                if self._stop.is_set():
                    break
                await self._pause(self._judged(trouble))
        finally:
            unlisten()
            self._set_state("stopped", "")
            self._ended.set()

    # One connection

    async def _attempt(self) -> LinkError:
        """Connect, carry until the connection ends; why it ended."""
        try:
            await self._session()
        except LinkError as error:
            return error
        except JournalError as error:
            return LinkError("lost", f"waiting for the journal: {error}")
        except Exception as error:  # a fault of ours must not end the task of this collector
            log.exception("collector %s: unexpected", self.name)
            return LinkError("lost", f"unexpected {type(error).__name__}: {error}")
        return LinkError("lost", "stopped")

    async def _session(self) -> None:
        will = self._message_of_status(False, "connection lost")
        link = self._link_factory(
            self._endpoint(),
            will=will,
            subscribe=self._own_topic("replay"),
            hear=self._own_topic("status") if self._must_be_heard() else None,
            acknowledged=self._acknowledged,
            received=self._received,
            granted=self._granted,
            settled=self._pump,
        )
        self._hearing = Hearing(by_code=self._collector.protocol == 5)
        self.replay_granted = None
        self._set_state("connecting", f"connecting to {self._collector.url}")
        clean = False
        try:
            await link.open()
            self._begin(link)
            birth = await self._make_birth()
            self._link = link
            if isinstance(birth, Outgoing):
                self._words.append(birth)
            elif birth is not None:
                self._birth = birth
                self._send(birth)
                self._hearing.said(birth.body, self._loop.time())
            else:
                self._not_proven("it gets no status")
            self._pump()
            clean = await self._watch(link)
        finally:
            self._link = None
            if self._pump_timer is not None:
                self._pump_timer.cancel()
                self._pump_timer = None
            last = next(iter(self._in_flight.values())) if len(self._in_flight) == 1 else None
            # A topic of which it took a message in this connection is not what it closed for.
            self._alone = last if last is not None and last.topic not in self._taken else None
            self._in_flight.clear()
            self._ended_unproven = bool(self._unproven)
            self._unproven.clear()
            self._speaking.clear()
            await asyncio.shield(link.close(speak_will=not (clean and self._offline_told)))
            await self._flush()

    def _begin(self, link: Link) -> None:
        self._journal.resume(self.name)
        for kind, size in list(self._too_large.items()):
            if size <= link.maximum_packet:
                del self._too_large[kind]
                self._parked.pop(kind, None)
        self._in_flight.clear()
        self._replay_ready.clear()
        self._late_in_flight = 0
        self._birth = None
        self._offline_told = False
        self._refused_here = False
        self._trusted = 0
        self._taken.clear()
        self.counts.connections += 1
        self._connected_at = self._loop.time()
        self._down_since = None
        self._set_state("connected", f"connected to {self._collector.url}")

    async def _make_birth(self) -> Entry | Outgoing | None:
        """The status of a new connection; where the disk takes nothing, one that is not in the journal."""
        if "status" not in self._collector.share or "status" in self._parked:
            return None
        try:
            (birth,) = await asyncio.to_thread(self._journal.append, [self._status(True)])
        except JournalError as error:
            return self._outside(self._status(True, error.cause))
        return birth

    async def _watch(self, link: Link) -> bool:
        """Until the connection ends (LinkError) or we stop; True where all that is live was delivered before."""
        stopping = asyncio.ensure_future(self._stop.wait())
        either: set[asyncio.Future[Any]] = {link.closed, stopping}
        look_s = 0.1  # soon at first: one who is killed again and again must keep what was acknowledged
        try:
            while not self._stop.is_set():
                await asyncio.wait(either, timeout=look_s, return_when=asyncio.FIRST_COMPLETED)
                look_s = min(2 * look_s, 1.0)
                if link.closed.done():
                    raise link.closed.result()
                lasted_s = self._loop.time() - self._connected_at
                await self._look_at_hearing(link)
                if lasted_s > SETTLED_S and not self._parked and self._hearing.counts:
                    self._clear_all(f"connected to {self._collector.url}")
                if lasted_s > STABLE_S:
                    self._wait_s, self._short_lives, self._quick_lives = WAIT_FIRST_S, 0, 0
                    self._logged.clear()
                await self._flush()
                self._pump()
            until = self._loop.time() + self._drain_s
            while self._loop.time() < until and not link.closed.done():
                self._pump()
                if not self._in_flight and not self._unproven:
                    return True
                await asyncio.wait({link.closed}, timeout=0.05)
            return False
        finally:
            stopping.cancel()

    async def _flush(self) -> None:
        try:
            await asyncio.to_thread(self._journal.flush)
            self._journal_trouble = ""
        except JournalError as error:
            self._log_journal(error)

    def _log_journal(self, error: JournalError) -> None:
        """Once for as long as it says the same."""
        if str(error) != self._journal_trouble:
            self._journal_trouble = str(error)
            log.warning("collector %s: %s", self.name, error)

    def _judged(self, error: LinkError) -> LinkError:
        """A server that closes good connections soon, again and again, without saying why (3.1.1 and some servers do
        not): where it does so at the same topic each time, that is refused; else most likely somebody else connects
        with our name."""
        was_connected, self._connected_at = self._connected_at, 0.0
        if error.trouble != "lost" or not was_connected or self._refused_here:
            self._short_lives, self._quick_lives, self._suspect = 0, 0, ""
            return error
        self._short_lives += 1
        self._quick_lives = self._quick_lives + 1 if self._loop.time() - was_connected < QUICK_S else 0
        alone = self._alone if self._short_lives > CAREFUL_FROM else None
        if alone is not None and alone.topic == self._suspect:
            self._short_lives, self._quick_lives, self._suspect = 0, 0, ""
            self._park(alone, "collector_refused", "it closes the connection each time", "rights")
            return error
        self._suspect = alone.topic if alone is not None else ""
        if self._quick_lives < SHORT_LIVES:
            return error
        self._short_lives = self._quick_lives = 0
        if self._ended_unproven:
            return self._unheard()
        return LinkError(
            "duplicate",
            f"{self._collector.url} closed {SHORT_LIVES} connections in a row soon after they began ({error}); most "
            "likely two computers use one certificate or name: give each its own",
        )

    async def _pause(self, error: LinkError) -> None:
        now = self._loop.time()
        if self._down_since is None:
            self._down_since = now
        code, severity = ALARM_OF[error.trouble]
        down_s = now - self._down_since
        if code != "collector_unreachable" or down_s >= UNREACHABLE_AFTER_S:
            self._raise(code, severity, str(error))
        wait_s = LONG_WAIT_S.get(error.trouble)
        if wait_s is not None:
            wait_s *= self._random.uniform(0.8, 1.2)
        else:  # decorrelated jitter; a restart of the broker costs seconds, a long outage does not hammer it
            most_s = WAIT_EARLY_S if down_s < STABLE_S else WAIT_MOST_S
            self._wait_s = wait_s = min(most_s, self._random.uniform(WAIT_FIRST_S, self._wait_s * 3))
        self._set_state("waiting", f"{error}; next attempt in {wait_s:.0f} s")
        self._log_failure(error, now, wait_s)
        self._go_on.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._go_on.wait()

    def _log_failure(self, error: LinkError, now: float, wait_s: float) -> None:
        """Each kind of trouble at once, then after 10 s, 20 s, … up to an hour, until a connection was stable."""
        at, again_s, attempts = self._logged.get(error.trouble, (-math.inf, _LOG_AGAIN_S, 0))
        if now < at:
            self._logged[error.trouble] = (at, again_s, attempts + 1)
            return
        before = f" ({attempts} attempts since it was last said)" if attempts else ""
        log.warning("collector %s: %s; next attempt in %.0f s%s", self.name, error, wait_s, before)
        self._logged[error.trouble] = (now + again_s, min(2 * again_s, _LOG_AGAIN_MOST_S), 0)

    # Sending

    def _appended(self) -> None:
        """The journal has something new; called in any thread."""
        if not self._pump_asked:
            self._pump_asked = True
            with suppress(RuntimeError):  # the loop ended
                self._loop.call_soon_threadsafe(self._pump)

    def _pump(self) -> None:
        """Fill the window; called in the loop after acknowledgements, appends and now and then."""
        self._pump_asked = False
        link = self._link
        if link is None or link.closed.done():
            return
        try:
            self._fill_window(link)
            link.flush()
        except JournalError as error:
            self._log_journal(error)
            self._pump_later(_RETRY_JOURNAL_S)

    def _fill_window(self, link: Link) -> None:
        window = link.window
        if self._short_lives > CAREFUL_FROM and self._trusted < CAREFUL_FIRST:
            window = 1
        self._speak(link, window)
        room = window - self._under_way()
        if room <= 0:
            return
        late_most = max(1, window - LATE_RESERVE)
        stopping = self._stop.is_set()
        now = self._loop.time()
        for kind in [kind for kind, until in self._parked.items() if until < now]:
            del self._parked[kind]
        for entry in self._journal.next(self.name, room, 0, self._parked):
            self._offer(entry)
        while not stopping and self._late_in_flight < late_most and self._under_way() < window:
            again = self._next_replay()
            if again is not None:
                self._send(again, replay=True)
                continue
            room = window - self._under_way()
            late = self._journal.next(self.name, room, late_most - self._late_in_flight, self._parked)
            if not late:
                break
            for entry in late:
                self._offer(entry)

    def _offer(self, entry: Entry) -> None:
        if self._birth is not None and entry.n == self._birth.n:
            return  # sent already
        if entry.kind in self._parked:
            return  # one before it, of the same batch, was too large
        self._send(entry)

    def _send(self, entry: Entry, replay: bool = False) -> None:
        link = self._link
        if link is None or link.closed.done():
            return
        size = len(entry.body) + len(entry.topic) + _PACKET_MARGIN
        if size > link.maximum_packet:
            self._hold_back(entry, size, link.maximum_packet)
            return
        retain = entry.kind == "status" and self._journal.is_newest(entry)
        mid = link.publish(
            Outgoing(
                topic=entry.topic,
                payload=entry.body,
                retain=retain,
                id=entry.id,
                schema=entry.schema,
                expiry_s=EXPIRY_S.get(entry.kind),
            )
        )
        self._in_flight[mid] = entry
        if retain:
            self._hearing.said(entry.body, self._loop.time())
        self._late_in_flight += entry.late
        self.counts.replayed += replay

    def _acknowledged(self, mid: int, code: int, reason: str) -> None:
        entry = self._in_flight.pop(mid, None)
        if entry is None:
            self._speaking.discard(mid)
            return
        self._late_in_flight -= entry.late
        if code >= 0x80:
            self._refused(entry, code, reason)
            return
        self._trusted += 1
        if self._hearing.counts:
            self._taken.add(entry.topic)
        self._watch_readers(code == 0x10)
        if self._hearing.counts:
            self._delivered(entry)
        else:
            self._unproven.append(entry)

    def _delivered(self, entry: Entry) -> None:
        self.counts.delivered += 1
        if entry.kind == "status":
            self._offline_told = b'"online":false' in entry.body
        self._journal.acknowledge(self.name, entry)

    def _refused(self, entry: Entry, code: int, reason: str) -> None:
        """The server did not take it: its kind waits and is tried again; the others go on."""
        self.counts.refused += 1
        self._refused_here = True
        alarm = {0x87: "collector_refused", 0x97: "collector_quota"}.get(code, "collector_refuses_message")
        self._park(entry, alarm, f"{reason} (0x{code:02X})", "rights and quotas")

    def _park(self, entry: Entry, alarm: str, reason: str, what: str) -> None:
        self._raise(
            alarm,
            "critical",
            f"{self._collector.url} refuses {entry.topic}: {reason}; {entry.kind} messages wait in the journal; "
            f"have the {what} of this computer mended there",
        )
        self._parked[entry.kind] = self._loop.time() + PARK_S
        self._journal.rewind(self.name, entry.kind)

    def _hold_back(self, entry: Entry, size: int, most: int) -> None:
        """The server takes no packet of that size: its kind waits, for a connection that does."""
        self.counts.oversized += 1
        self._too_large[entry.kind] = size
        self._raise(
            "collector_size",
            "critical",
            f"{self._collector.url} takes packets of {most} bytes; {entry.topic} seq {entry.seq} needs {size}: "
            f"{entry.kind} messages wait in the journal; have its limit raised",
        )
        self._parked[entry.kind] = self._loop.time() + PARK_S
        self._journal.rewind(self.name, entry.kind)

    # Whether it is heard

    def _must_be_heard(self) -> bool:
        """MQTT 3.1.1 has no word for a message that was thrown away."""
        return self._collector.protocol == 4 and "status" in self._collector.share

    def _granted(self, topic: str, yes: bool) -> None:
        """The server's answer to a subscription."""
        if topic.endswith("/status"):
            if not yes:
                self._not_proven("the broker lets it not read its own status")
            return
        self.replay_granted = yes
        if not yes:
            self._raise(
                "collector_no_replay",
                "warning",
                f"{self._collector.url} refuses to let this computer read {topic}: messages that a collector misses "
                "cannot be asked for again; have the right to read it given",
            )
        else:
            self._clear("collector_no_replay", f"{self._collector.url} lets {topic} be read")

    def _not_proven(self, why: str) -> None:
        self._hearing.cannot_be_proven(why)
        self._count_unproven()

    def _count_unproven(self) -> None:
        """What was acknowledged while it was open whether that is worth anything."""
        waiting, self._unproven = self._unproven, []
        for entry in waiting:
            self._delivered(entry)

    async def _look_at_hearing(self, link: Link) -> None:
        """A status that does not come back: unreadable, or thrown away? MQTT 5 tells, where it is spoken."""
        if not self._hearing.is_overdue(self._loop.time()):
            return
        status = self._outside(self._status(True))
        if status is not None and await may_publish(self._endpoint(), replace(status, retain=False)):
            self._not_proven("its own status does not come back; the broker takes it, and lets it not be read")
            return
        self._hearing.verdict = "unheard"
        raise self._unheard()

    def _unheard(self) -> LinkError:
        return LinkError(
            "unheard",
            f"{self._collector.url} acknowledges what this computer publishes, and {self._own_topic('status')} "
            "does not come back: most likely it may not publish there, and MQTT 3.1.1 has no word for that. "
            "Messages wait in the journal; have the rights mended (to write its branch, to read its own status), "
            "or use protocol = 5",
        )

    def _watch_readers(self, nobody: bool) -> None:
        """A broker that answers every message with "no matching subscribers" has forgotten all of them."""
        if not nobody:
            self._nobody_since, self._nobody_count = None, 0
            self._clear("collector_no_reader", f"{self._collector.url} has readers again")
            return
        self.counts.unheard += 1
        self._nobody_count += 1
        now = self._loop.time()
        if self._nobody_since is None:
            self._nobody_since = now
        if self._nobody_count >= NO_READER_COUNT and now - self._nobody_since >= NO_READER_S:
            self._raise(
                "collector_no_reader",
                "warning",
                f"{self._collector.url} takes every message and has nobody who reads it (no matching subscribers, "
                "0x10), so it forgets them at once; who should read there can ask again for as long as the journal "
                "keeps them",
            )

    # Words that do not wait for the journal

    def say(self, message: Message) -> None:
        """Publish at once, outside the count (seq 0), what cannot wait for a disk that takes nothing."""
        if kind_of(message) in self._collector.share:
            word = self._outside(message)
            if word.retain:
                self._words = deque((w for w in self._words if not w.retain), WORDS_MAX)  # only the newest counts
            self._words.append(word)
            self._pump()

    def _speak(self, link: Link, window: int) -> None:
        while self._words and self._under_way() < window:
            word = self._words.popleft()
            self._speaking.add(link.publish(word))
            if word.retain:
                self._hearing.said(word.payload, self._loop.time())

    def _under_way(self) -> int:
        return len(self._in_flight) + len(self._unproven) + len(self._speaking)

    def _outside(self, message: Message) -> Outgoing:
        id = uuid7(self._clock(), self._random.randbytes(8))
        body = encode(stamped(message, id=id, epoch=self._journal.epoch, seq=0))
        retain = kind_of(message) == "status"
        return Outgoing(topic=topic_of(message), payload=body, retain=retain, id=id, schema=message.schema)

    def _pump_later(self, delay_s: float) -> None:
        if self._pump_timer is None:

            def again() -> None:
                self._pump_timer = None
                self._pump()

            self._pump_timer = self._loop.call_later(delay_s, again)

    # Replay

    def _received(self, topic: str, payload: bytes, retained: bool) -> None:
        """A request on the replay topic, or our own status; what is neither is counted and forgotten."""
        if topic.endswith("/status"):
            if self._hearing.came(payload):
                self._count_unproven()
                self._pump()
            return
        request = None if retained or len(payload) > REPLAY_PAYLOAD_MAX else self._valid_request(payload)
        if request is None or len(self._requests) >= REPLAY_REQUESTS_MAX:
            self.counts.ignored += 1
            return
        log.info(
            "collector %s asks again for %s seq %d to %d", self.name, request.topic, request.from_seq, request.to_seq
        )
        self._requests.append(request)

    def _valid_request(self, payload: bytes) -> ReplayRequest | None:
        try:
            request = msgspec.json.decode(payload, type=ReplayRequest)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if not (0 <= request.from_seq <= request.to_seq < 1 << 62):
            return None
        branch = topic_of(self._status(True)).rsplit("/", 2)[0] + "/"
        kind = request.topic.rsplit("/", 1)[-1]
        if not request.topic.startswith(branch) or kind not in self._collector.share:
            return None
        return request

    def _next_replay(self) -> Entry | None:
        """The next message that was asked for again, when its time has come."""
        while not self._replay_ready and self._requests:
            request = self._requests.popleft()
            found = self._journal.replay(request.topic, request.epoch, request.from_seq, request.to_seq)
            self._replay_ready.extend(found)
            if found and found[-1].seq < request.to_seq:
                rest = msgspec.structs.replace(request, from_seq=found[-1].seq + 1)
                self._requests.appendleft(rest)
        if not self._replay_ready:
            return None
        now = self._loop.time()
        if now < self._replay_at:
            self._pump_later(self._replay_at - now)
            return None
        self._replay_at = max(self._replay_at, now - 0.05) + 1 / REPLAY_PER_S
        return self._replay_ready.popleft()

    # State

    def _endpoint(self) -> Endpoint:
        c = self._collector
        source = self._status(True).source

        try:
            return Endpoint.configured(c, f"{source}-{c.name}")
        except ValueError as error:
            raise LinkError("configuration", f"url {error}") from None

    def _own_topic(self, kind: str) -> str:
        status = self._status(True)
        return f"{TOPIC_ROOT}/{status.site.country}/{status.site.port}/{status.source}/_/{kind}"

    def _message_of_status(self, online: bool, cause: str) -> Outgoing | None:
        """The last will. The broker speaks it, so it is not in the journal: its seq is 0, outside the count."""
        if "status" not in self._collector.share:
            return None
        return self._outside(self._status(online, cause))

    def _set_state(self, state: State, text: str) -> None:
        if (state, text) != (self.state, self.text):
            self.state, self.text = state, text
            self._on_state(self)

    def _raise(self, code: str, severity: Severity, text: str) -> None:
        if code not in self._alarms:
            self._alarms[code] = text
            self._on_alarm(self.name, code, "begin", severity, text)

    def _clear(self, code: str, text: str) -> None:
        if code in self._alarms:
            del self._alarms[code]
            self._on_alarm(self.name, code, "end", "info", text)

    def _clear_all(self, text: str) -> None:
        for code in list(self._alarms):
            if code not in _END_BY_THEMSELVES:
                self._clear(code, text)
