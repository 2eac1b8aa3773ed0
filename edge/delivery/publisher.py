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
import random as randomness
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Protocol

from edge.config import Collector
from edge.delivery.attempts import SHORT_LIVES, Attempts
from edge.delivery.collector_alarms import CollectorAlarms, OnAlarm
from edge.delivery.endpoint import Endpoint, LinkError
from edge.delivery.entry import Entry, JournalError, uuid7
from edge.delivery.hearing import Hearing, Readers
from edge.delivery.journal import Journal
from edge.delivery.link import Link, LinkFactory
from edge.delivery.mqtt import MqttLink, may_publish
from edge.delivery.outgoing import Outgoing
from edge.delivery.parked import Parked
from edge.delivery.replays import Replays
from edge.delivery.window import Window
from edge.messages import (
    TOPIC_ROOT,
    Backlog,
    CollectorStatus,
    Message,
    Status,
    encode,
    kind_of,
    stamped,
    topic_of,
    utc_text,
)

log = logging.getLogger("collector")

State = Literal["connecting", "connected", "waiting", "stopped"]

# how long a broker keeps a message for an absent reader
EXPIRY_S = {"wait": 86_400, "flow": 7 * 86_400, "sighting": 2 * 86_400, "identifier": 2 * 86_400}
SETTLED_S = 2.0  # a connection that held so long ends the alarms
WORDS_MAX = 32
_RETRY_JOURNAL_S = 1.0
_PACKET_MARGIN = 256  # bytes of a PUBLISH beside topic and payload, at most


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
        self._on_state = on_state
        self._link_factory = link_factory
        self._random = random or randomness.Random()
        self._clock = clock
        self._alarms = CollectorAlarms(collector, on_alarm)
        self._attempts = Attempts(self._random)
        self._window = Window(0)  # of the connection that is
        self._hearing = Hearing()  # likewise
        self._readers = Readers()
        self._parked = Parked()
        self._replays = Replays(journal, collector.share)
        self.replay_granted: bool | None = None  # whether requests for replay can be heard; None until it is answered
        self._words: deque[Outgoing] = deque(maxlen=WORDS_MAX)  # to be said outside the journal
        self._birth: Entry | None = None
        self._offline_told = False
        self._stop = asyncio.Event()
        self._go_on = asyncio.Event()  # ends the wait between two attempts
        self._ended = asyncio.Event()
        self._link: Link | None = None
        self._journal_trouble = ""  # what was last logged of it
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
            self._attempts.left(self._window.only, unproven=self._window.holds)
            self._window = Window(0)
            await asyncio.shield(link.close(speak_will=not (clean and self._offline_told)))
            await self._flush()

    def _begin(self, link: Link) -> None:
        self._journal.resume(self.name)
        self._parked.connected(link.maximum_packet)
        self._window = Window(link.window)
        self._replays.begin_anew()
        self._attempts.connected(self._loop.time())
        self._birth = None
        self._offline_told = False
        self.counts.connections += 1
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
                lasted_s = self._attempts.lasts(self._loop.time())
                await self._look_at_hearing()
                if lasted_s > SETTLED_S and not self._parked and self._hearing.counts:
                    self._alarms.connected()
                await self._flush()
                self._pump()
            until = self._loop.time() + self._drain_s
            while self._loop.time() < until and not link.closed.done():
                self._pump()
                if self._window.is_empty:
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
        """What the end of the connection means."""
        judged = self._attempts.judge(error.trouble, self._loop.time())
        if judged.refused is not None:
            self._alarms.closes_for(judged.refused)
            self._park(judged.refused)
        if judged.verdict == "unheard":
            return self._unheard()
        if judged.verdict == "duplicate":
            return LinkError(
                "duplicate",
                f"{self._collector.url} closed {SHORT_LIVES} connections in a row soon after they began ({error}); "
                "most likely two computers use one certificate or name: give each its own ([site] source)",
            )
        return error

    async def _pause(self, error: LinkError) -> None:
        now = self._loop.time()
        wait_s, alarm = self._attempts.pause(error.trouble, now)
        if alarm:
            self._alarms.not_connected(error)
        self._set_state("waiting", f"{error}; next attempt in {wait_s:.0f} s")
        attempts = self._attempts.to_be_said(error.trouble, now)
        if attempts is not None:
            before = f" ({attempts} attempts since it was last said)" if attempts else ""
            log.warning("collector %s: %s; next attempt in %.0f s%s", self.name, error, wait_s, before)
        self._go_on.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._go_on.wait()

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
        window, careful = self._window, self._attempts.is_careful
        while self._words and window.room(careful=careful) > 0:
            self._speak(link, self._words.popleft())
        self._parked.wake(self._loop.time())
        if (room := window.room(careful=careful)) > 0:
            self._offer(self._journal.next(self.name, room, 0, self._parked))
        while not self._stop.is_set() and (late_room := window.late_room(careful=careful)) > 0:
            again = self._next_replay()
            if again is not None:
                self._send(again, replay=True)
                continue
            late = self._journal.next(self.name, window.room(careful=careful), late_room, self._parked)
            if not late:
                break
            self._offer(late)

    def _offer(self, entries: list[Entry]) -> None:
        for entry in entries:
            is_birth = self._birth is not None and entry.n == self._birth.n  # sent already
            if not is_birth and entry.kind not in self._parked:  # one before it, of the same batch, was too large
                self._send(entry)

    def _send(self, entry: Entry, replay: bool = False) -> None:
        link = self._link
        if link is None or link.closed.done():
            return
        size = len(entry.body) + len(entry.topic) + _PACKET_MARGIN
        if size > link.maximum_packet:
            self.counts.oversized += 1
            self._alarms.too_large(entry, size, link.maximum_packet)
            self._park(entry, size)
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
        self._window.add(mid, entry)
        if retain:
            self._hearing.said(entry.body, self._loop.time())
        self.counts.replayed += replay

    def _acknowledged(self, mid: int, code: int, reason: str) -> None:
        entry = self._window.take_out(mid)
        if entry is None:
            return
        if code >= 0x80:
            self.counts.refused += 1
            self._attempts.refused()
            self._alarms.refuses(entry, code, reason)
            self._park(entry)
            return
        self._attempts.acknowledged(entry.topic, counts=self._hearing.counts)
        self._watch_readers(nobody=code == 0x10)
        if self._hearing.counts:
            self._delivered(entry)
        else:
            self._window.hold(entry)

    def _delivered(self, entry: Entry) -> None:
        self.counts.delivered += 1
        if entry.kind == "status":
            self._offline_told = b'"online":false' in entry.body
        self._journal.acknowledge(self.name, entry)

    def _park(self, entry: Entry, size: int | None = None) -> None:
        """The server does not take it: its kind waits and is tried again; the others go on."""
        self._parked.park(entry.kind, self._loop.time(), size)
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
        self._alarms.replay_granted(topic, yes)

    def _not_proven(self, why: str) -> None:
        self._hearing.cannot_be_proven(why)
        self._count_unproven()

    def _count_unproven(self) -> None:
        """What was acknowledged while it was open whether that is worth anything."""
        for entry in self._window.let_go():
            self._delivered(entry)

    async def _look_at_hearing(self) -> None:
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

    def _watch_readers(self, *, nobody: bool) -> None:
        self.counts.unheard += nobody
        read = self._readers.took(nobody=nobody, now_s=self._loop.time())
        if read is not None:
            self._alarms.has_readers(read)

    # Words that do not wait for the journal

    def say(self, message: Message) -> None:
        """Publish at once, outside the count (seq 0), what cannot wait for a disk that takes nothing."""
        if kind_of(message) in self._collector.share:
            word = self._outside(message)
            if word.retain:
                self._words = deque((w for w in self._words if not w.retain), WORDS_MAX)  # only the newest counts
            self._words.append(word)
            self._pump()

    def _speak(self, link: Link, word: Outgoing) -> None:
        self._window.add_word(link.publish(word))
        if word.retain:
            self._hearing.said(word.payload, self._loop.time())

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
        request = None if retained else self._replays.ask(payload, self._branch)
        if request is None:
            self.counts.ignored += 1
            return
        log.info(
            "collector %s asks again for %s seq %d to %d", self.name, request.topic, request.from_seq, request.to_seq
        )

    def _next_replay(self) -> Entry | None:
        """The next message that was asked for again, when its time has come."""
        found = self._replays.next(self._loop.time())
        if isinstance(found, float):
            self._pump_later(found)
            return None
        return found

    # State

    def _endpoint(self) -> Endpoint:
        source = self._branch.split("/")[-2]
        try:
            return Endpoint.configured(self._collector, f"{source}-{self.name}")
        except ValueError as error:
            raise LinkError("configuration", f"url {error}") from None

    @cached_property
    def _branch(self) -> str:
        """The topics that are ours begin so; another site or source needs a new process."""
        status = self._status(True)
        return f"{TOPIC_ROOT}/{status.site.country}/{status.site.port}/{status.source}/"

    def _own_topic(self, kind: str) -> str:
        return f"{self._branch}_/{kind}"

    def _message_of_status(self, online: bool, cause: str) -> Outgoing | None:
        """The last will. The broker speaks it, so it is not in the journal: its seq is 0, outside the count."""
        if "status" not in self._collector.share:
            return None
        return self._outside(self._status(online, cause))

    def _set_state(self, state: State, text: str) -> None:
        if (state, text) != (self.state, self.text):
            self.state, self.text = state, text
            self._on_state(self)
