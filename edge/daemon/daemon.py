"""The daemon: starts a task for each device, collector and the clock, and ends them cleanly.

Devices → crossing → outbox → journal → publishers. Every task has a name; a dead device or collector is a state that an
operator sees, and stops nobody else. A fault of the daemon itself ends the process: systemd starts it again, and the
journal has what was made. Called by edge/commands/run.py.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import msgspec
from msgspec import UNSET

from drivers import registry
from drivers.base import Driver
from drivers.events import DeviceState, Event, LinkState
from drivers.pace import pause_s
from edge import config as cfg
from edge.alarms import Condition
from edge.alarms.pace import StatusPace
from edge.config.admission import Admission
from edge.core import CoreError
from edge.crossing import Crossing
from edge.daemon.building import Built, build, pseudonyms_of, try_for_new_process
from edge.daemon.parts import Change, change, device_part
from edge.daemon.remembering import Remembering
from edge.daemon.tasks import LAST_WORDS_S, Tasks
from edge.daemon.troubles import Troubles
from edge.delivery.entry import JournalError
from edge.delivery.identity import IdentityError
from edge.delivery.journal import Journal
from edge.delivery.loss_alarm import loss_alarm
from edge.delivery.outbox import Outbox
from edge.delivery.publisher import Publisher
from edge.eyes.lately import Lately
from edge.eyes.place import served_at
from edge.eyes.scopes import Scopes
from edge.eyes.server import Eyes
from edge.eyes.state import Parts, Reloads, StateOf
from edge.eyes.summary import one_line
from edge.machine import sdnotify
from edge.machine.clock_steps import ClockSteps
from edge.machine.name import source_name
from edge.machine.upgrade import why_undone
from edge.messages import Alarm, Args, Message, Severity, Site, Status, topic_of, utc_text
from edge.waiting.sightings import Sighting
from edge.weighing.lane import LanePipeline

log = logging.getLogger("daemon")

_TICK_S = 0.25
_STUCK_S = 20.0  # without a durable append for so long the watchdog is no longer fed
_VEHICLE_S = 30.0  # the longest vehicle at walking pace


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coming:
    """A configuration that was read, and what was made for it."""

    built: Built
    change: Change
    lanes: dict[str, LanePipeline]  # those with other sensors
    drivers: dict[str, Driver]  # by their parts


class Daemon:
    """The parts of a running computer and what moves them."""

    def __init__(self, config: cfg.Config, admitted: Admission) -> None:
        self._admitted = admitted
        self._source = source_name(config)
        self._site = Site(config.site.country, config.site.port)  # another one needs a new process
        pseudonyms = pseudonyms_of(config)
        self._troubles = Troubles(self._alarm)
        self._built = self._build(config, None)
        self._memory = Remembering(config, self._built.keys)
        self._crossing = Crossing(
            config, source=self._source, pseudonyms=pseudonyms, carry=self._built.carry,
            sealers=list(self._built.sealers.values()), note=self._memory.note,
        )  # fmt: skip
        self._troubles.disclosed(self._built.sealers)
        self._journal = Journal(
            Path(config.store.path) / "journal.db", config.store.max_bytes, time.time_ns,
            on_alarm=self._troubles.of_journal,
            explain=partial(loss_alarm, site=self._site, source=self._source),
        )  # fmt: skip
        self._tasks = Tasks(self._journal, self._event)
        self._since_ns = time.time_ns()
        self._clock = ClockSteps(self._since_ns, time.monotonic_ns())
        self._lately = Lately()
        self._stop, self._told_to_reload = asyncio.Event(), asyncio.Event()
        self._reloads = Reloads()
        self._pace = StatusPace()
        self._devices_changed = False
        self._were_online: set[str] = set()
        self.needs_new_process = False  # `main` has ended for a configuration that only a new one takes

    async def main(self) -> int:
        """Run until SIGTERM or Ctrl-C; gives the exit code."""
        config = self._built.config
        self._outbox = Outbox(self._journal, self._troubles.of_outbox)
        self._tasks.publishers = [self._publisher(collector) for collector in config.collector]
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._told_to_reload.set)
        log.info(
            "%s at %s/%s, configuration %s: %d lanes, %d devices, %d collectors",
            self._source, config.site.country, config.site.port, cfg.digest(config),
            len(config.lane), len(config.device), len(config.collector),
        )  # fmt: skip
        self._recall()
        async with asyncio.TaskGroup() as group:
            outbox = group.create_task(self._outbox.run(), name="outbox")
            ticker = group.create_task(self._tick(), name="clock")
            eyes = group.create_task(self._eyes().run(), name="eyes")
            self._tasks.begin(group, self._built.parts, self._drivers(config), self._built.exchange)
            reloading = group.create_task(self._reload_when_told(group), name="reload")
            sdnotify.notify("READY=1")
            await self._stop.wait()
            sdnotify.notify("STOPPING=1")
            log.info("stopping")
            for task in (reloading, ticker):
                task.cancel()
            first = [reloading, ticker, *self._tasks.cancel_but_publishers()]
            try:
                async with asyncio.timeout(LAST_WORDS_S):
                    await self._say_last_words(first)
            except TimeoutError:
                log.warning("the journal or a collector did not end in %g s; the journal keeps the rest", LAST_WORDS_S)
            for task in (outbox, eyes):
                task.cancel()
            self._tasks.cancel()
        self._outbox.close()
        self._journal.close()
        self._memory.close()
        return 0

    async def _say_last_words(self, first: Sequence[asyncio.Task[None]]) -> None:
        """When these have ended nothing is made any more."""
        await asyncio.gather(*first, return_exceptions=True)
        await self._outbox.flush()
        self._memory.keep([], time.time_ns())
        self._put([*self._evidence(), self.status(online=False, cause="shutdown")])
        await self._outbox.flush()
        await asyncio.gather(*(publisher.stop() for publisher in self._tasks.publishers))

    def _eyes(self) -> Eyes:
        """Who looks from outside."""
        self._seen = Parts(
            self._built.config, self._source, partial(self.status, True), self._crossing, self._lately, self._outbox,
            self._reloads, self._admitted.path,
        )  # fmt: skip
        path = served_at(self._built.config.store.path, os.environ)
        return Eyes(path, StateOf(self._seen), Scopes(self._crossing))

    def _recall(self) -> None:
        """Before any device speaks: the alarms and the waits take up what they knew when the process ended."""
        now_ns = time.time_ns()
        last = self._journal.last(topic_of(self.status(online=False)))
        if last is not None:
            with suppress(msgspec.ValidationError):  # of another version
                said = msgspec.json.decode(last.body, type=Status)
                self._crossing.alarms.resume(() if said.alarms is UNSET else said.alarms, now_ns)
        undone = why_undone(Path(self._built.config.store.path))
        if undone:
            self._alarm(Condition("upgrade_undone"), True, "warning", {"reason": undone})
        self._put(self._crossing.recall(self._memory.recall(now_ns), now_ns))

    def status(self, online: bool, cause: str | None = None) -> Status:
        """The retained state of this computer, also its last will."""
        return Status(
            time=utc_text(time.time_ns()),
            site=self._site,
            lane="_",
            source=self._source,
            config=cfg.digest(self._built.config),
            online=online,
            since=utc_text(self._since_ns),
            version=version("borderflow"),
            devices=self._crossing.devices(),
            backlog={publisher.name: publisher.backlog() for publisher in self._tasks.publishers},
            collectors={publisher.name: publisher.state_of_link() for publisher in self._tasks.publishers},
            alarms=self._crossing.alarms.holding() if online or cause == "shutdown" else UNSET,
            cause=cause,
            timezone=self._built.config.site.timezone,
            site_name=self._built.config.site.name or UNSET,
            replay_from={"/".join(topic.split("/")[-2:]): seq for topic, seq in self._journal.serves_from().items()},
        )

    def _evidence(self) -> list[Message]:
        signer, now = self._built.signer, utc_text(time.time_ns())
        if signer is None:
            return []
        return [signer.evidence(self._journal.heads(), site=self._site, source=self._source, time=now)]

    # ---- what a configuration makes ---------------------------------------------------------------------------

    def _build(self, config: cfg.Config, before: Built | None) -> Built:
        return build(config, before, deliver=self._from_site, troubles=self._troubles)

    def _drivers(self, config: cfg.Config) -> dict[str, Driver]:
        """By their parts."""
        return {device_part(device.name): self._driver(device) for device in config.device}

    def _driver(self, device: cfg.Device) -> Driver:
        driver = registry.create(device.driver, device.name, device.url, device.options)
        driver.stored = self._outbox.stored
        driver.patience_s = partial(self._crossing.patience_s, device.name)
        return driver

    def _publisher(self, collector: cfg.Collector) -> Publisher:
        return Publisher(collector, self._journal, self.status, self._troubles.of_collector)

    # ---- what happens -----------------------------------------------------------------------------------------

    def _watch_clock(self) -> int:
        """What time it is; a leap since the last look ends what was reckoned with the old time."""
        now_ns = time.time_ns()
        leap = self._clock.look(now_ns, time.monotonic_ns())
        if leap is not None:
            self._put(self._crossing.clock_stepped(now_ns, leap))
            self._memory.forget()
        return now_ns

    def _event(self, event: Event) -> None:
        self._watch_clock()
        self._put(self._crossing.event(event))
        if isinstance(event, DeviceState):
            first = event.state is LinkState.ONLINE and event.device not in self._were_online
            self._were_online.update([event.device] if first else [])
            level = logging.INFO if first else logging.DEBUG  # what is wrong is an alarm, which says so itself
            log.log(level, "device %s is %s: %s", event.device, event.state.value, event.text)
            self._devices_changed = True

    def _from_site(self, seen: Sighting) -> None:
        """Another computer of this crossing saw something."""
        self._crossing.sighting(seen)

    def _put(self, messages: list[Message]) -> None:
        """Into the journal; while the disk refuses, alarms go out past it too, and statuses only so: an old one is
        worth nothing."""
        self._lately.take(messages)
        if self._outbox.refusal is None:
            self._outbox.put(messages)
            return
        self._outbox.put(message for message in messages if not isinstance(message, Status))
        for message in messages:
            if isinstance(message, Status | Alarm):
                for publisher in self._tasks.publishers:
                    publisher.say(message)

    async def _tick(self) -> None:
        """The clock: ends intervals, says how things are, and feeds the watchdog while the loop and the disk go on."""
        loop = asyncio.get_running_loop()
        signed_at = loop.time()
        while True:
            await asyncio.sleep(pause_s(loop.time(), _TICK_S))
            self._troubles.take()
            made = self._crossing.advance(self._watch_clock())
            self._put(made)
            if self._memory.keep(made, time.time_ns()):
                await asyncio.to_thread(self._memory.sync)
            now = loop.time()
            if self._pace.due(now, alarm_changes=self._crossing.alarms.changes, devices_changed=self._devices_changed):
                self._devices_changed = False
                refusal = self._outbox.refusal
                status = self.status(online=True, cause=None if refusal is None else refusal.cause)
                self._put([status])
                sdnotify.notify(f"STATUS={one_line(status)}")
            evidence = self._built.config.evidence
            if evidence is not None and now - signed_at > evidence.interval_s:
                signed_at = now
                self._put(self._evidence())
            stuck_since = self._outbox.stuck_since
            if stuck_since is None or time.monotonic() - stuck_since < _STUCK_S:
                sdnotify.notify("WATCHDOG=1")

    def _alarm(self, condition: Condition, holds: bool, severity: Severity, args: Args) -> None:
        self._put([*self._crossing.alarms.set(condition, holds, time.time_ns(), severity=severity, args=args)])

    # ---- another configuration --------------------------------------------------------------------------------

    async def _reload_when_told(self, group: asyncio.TaskGroup) -> None:
        """SIGHUP: a good configuration is taken in place, a bad one changes nothing and says why."""
        while True:
            await self._told_to_reload.wait()
            self._told_to_reload.clear()
            sdnotify.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                coming = await self._prepared()
            except (cfg.ConfigError, IdentityError, CoreError, JournalError, OSError) as error:
                faults = error.faults if isinstance(error, cfg.ConfigError) else [str(error)]
                for fault in faults:
                    log.error("not reloaded: %s", fault)
                self._reloads.end(taken=False, said=faults, now_ns=time.time_ns())
            else:
                if coming.change.restarts:
                    tables = ", ".join(f"[{name}]" for name in coming.change.restarts)
                    log.info("%s changed, which only a new process takes: this one ends for it", tables)
                    self.needs_new_process = True
                    self._stop.set()
                    return
                await self._adopt(coming, group)  # what fails here ends the process: a half of each is worse
                said = coming.change.said
                log.info("reloaded, configuration %s: %s", cfg.digest(self._built.config), "; ".join(said))
                self._reloads.end(taken=True, said=said, now_ns=time.time_ns())
            sdnotify.notify("READY=1")

    async def _prepared(self) -> _Coming:
        """Everything that may fail, while nothing is touched yet."""
        config = self._admitted.load()
        built = self._build(config, self._built)
        changed = change(self._built.parts, built.parts)
        if changed.restarts:
            try_for_new_process(config)
        lanes = self._crossing.new_lanes(config)
        coming = _Coming(built=built, change=changed, lanes=lanes, drivers=self._drivers(config))
        await asyncio.to_thread(self._journal.flush)
        self._admitted.keep(config)
        return coming

    async def _adopt(self, coming: _Coming, group: asyncio.TaskGroup) -> None:
        built, config = coming.built, coming.built.config
        await self._until_free(coming.lanes)
        await self._tasks.end(coming.change.ended)
        now_ns = self._watch_clock()
        made = self._crossing.renew(
            config, coming.lanes, carry=built.carry, sealers=list(built.sealers.values()),
            recalled=lambda: self._memory.renew(config, time.time_ns()), now_ns=now_ns,
        )  # fmt: skip
        self._built, self._seen.config = built, config
        running = {publisher.name: publisher for publisher in self._tasks.publishers}
        self._tasks.publishers = [running.get(of.name) or self._publisher(of) for of in config.collector]
        self._put(made)
        self._troubles.disclosed(built.sealers)
        self._tasks.begin(group, coming.change.begun, coming.drivers, built.exchange)
        self._devices_changed = True  # a status soon
        for publisher in self._tasks.publishers:
            publisher.retry_now()
        for doubt in self._admitted.found.doubts:
            log.warning("%s", doubt)

    async def _until_free(self, lanes: Iterable[str]) -> None:
        """Until no vehicle is over the arrays whose sensors change; a queue without an end is not waited for."""
        end = time.monotonic() + _VEHICLE_S
        while time.monotonic() < end:
            if not any(lane in self._crossing.lanes and self._crossing.lanes[lane].occupied for lane in lanes):
                return
            await asyncio.sleep(_TICK_S)
