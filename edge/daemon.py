"""`borderflow run`: the daemon. Starts a task for each device, collector and the clock, and ends them cleanly.

Devices → crossing → outbox → journal → publishers. Every task has a name; a dead device or collector is a state that an
operator sees, and stops nobody else. A fault of the daemon itself ends the process: systemd starts it again, and the
journal has what was made.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import os
import resource
import signal
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
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
from drivers.session import keep_alive
from edge import config as cfg
from edge.alarms import Condition
from edge.alarms.pace import StatusPace
from edge.config.admission import Admission
from edge.config.rules import rotation_s
from edge.core import CoreError
from edge.crossing import Crossing
from edge.delivery.entry import JournalError
from edge.delivery.evidence import Signer
from edge.delivery.identity import IdentityError, Pseudonyms, computer_name, read_secret
from edge.delivery.journal import Journal
from edge.delivery.loss_alarm import loss_alarm
from edge.delivery.outbox import Outbox
from edge.delivery.publisher import Publisher
from edge.delivery.sealing import Sealer
from edge.exchange.codec import local_sightings
from edge.exchange.link import SiteExchange
from edge.exchange.tokens import ExchangeKeys
from edge.exit_codes import EXIT_CANNOT_WRITE
from edge.eyes.lately import Lately
from edge.eyes.place import served_at
from edge.eyes.scopes import Scopes
from edge.eyes.server import Eyes
from edge.eyes.state import Parts, StateOf
from edge.eyes.summary import one_line
from edge.machine import logs, sdnotify
from edge.machine.clock_steps import ClockSteps
from edge.machine.name import machine_name
from edge.machine.restart import begin_anew, is_started_anew
from edge.messages import Alarm, Args, Message, Severity, Site, Status, Wait, parse_utc, topic_of, utc_text
from edge.reload import EXCHANGE, Change, Reloads, change, collector_part, device_part, parts_of
from edge.upgrade import why_undone
from edge.waiting.memory import Memory, Recalled
from edge.waiting.sightings import Sighting
from edge.weighing.lane import LanePipeline

log = logging.getLogger("daemon")

_TICK_S = 0.25
_STUCK_S = 20.0  # without a durable append for so long the watchdog is no longer fed
_LAST_WORDS_S = 3.0
_VEHICLE_S = 30.0  # the longest vehicle at walking pace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="configuration of this computer")
    parser.add_argument(
        "--trust", type=Path, metavar="KEYS",
        help="take only what one of these public keys signed; default: trust/config.pub beside FILE, if it exists",
    )  # fmt: skip
    parser.add_argument("--verbose", action="store_true", help="log what is usual too")


def run(args: argparse.Namespace) -> int:
    logs.to_stderr(logging.DEBUG if args.verbose else logging.INFO)
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))  # memory holds plates: a crash must not put them on the disk
    admitted = Admission(args.config, args.trust)
    config = admitted.load()
    try:
        daemon = Daemon(config, admitted)
    except (IdentityError, CoreError) as error:
        raise cfg.ConfigError([f"{args.config}: {error}"]) from None
    except JournalError as error:
        if error.cause == "disk_full":  # passes: the service manager starts it again until there is room
            log.critical("%s", error)
            return EXIT_CANNOT_WRITE
        raise cfg.ConfigError([f"{args.config}: store.path: {error}"]) from None
    admitted.keep(config)
    for doubt in admitted.found.doubts:
        log.warning("%s", doubt)
    ended = asyncio.run(daemon.main())
    if daemon.needs_new_process and not is_started_anew(os.environ):
        begin_anew()
    return ended


def source_name(config: cfg.Config) -> str:
    """Name of this computer in topics: the configured one, else the common name of the first client certificate, else
    one of its own."""
    if config.site.source is not None:
        return config.site.source
    for collector in config.collector:
        if collector.cert_file is not None:
            return computer_name(collector.cert_file)
    return machine_name()


def _keys_of(config: cfg.Config) -> ExchangeKeys | None:
    """The keys of tokens; None where no secret is configured."""
    identity = config.identity
    if identity is None:
        return None
    return ExchangeKeys(read_secret(Path(identity.key_file)), rotation_s(identity.rotation) * 1_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coming:
    """A configuration that was read, and what was made for it."""

    config: cfg.Config
    parts: Mapping[str, object]
    change: Change
    lanes: dict[str, LanePipeline]  # those with other sensors
    drivers: dict[str, Driver]
    exchange: SiteExchange | None
    sealers: dict[str, Sealer]
    signer: Signer | None


class Daemon:
    """The parts of a running computer and the tasks that move them."""

    def __init__(self, config: cfg.Config, admitted: Admission) -> None:
        self._config, self._admitted = config, admitted
        self._source = source_name(config)
        identity = config.identity
        pseudonyms = Pseudonyms(Path(identity.key_file), identity.rotation) if identity is not None else None
        self._parts = parts_of(config, self._source)
        self._exchange = self._site_exchange(config)
        self._keys = _keys_of(config)
        store = Path(config.store.path)
        self._memory = Memory(store / "waits", config, self._keys)
        self._from_threads: deque[tuple[Condition, bool, Severity, Args]] = deque()
        sealers = _sealers(config)
        self._crossing = Crossing(
            config, source=self._source, pseudonyms=pseudonyms, carry=self._carry(self._exchange),
            sealers=list(sealers.values()), note=self._memory.note,
        )  # fmt: skip
        self._tell_of(sealers)
        self._signer = _signer(config)
        self._journal = Journal(
            store / "journal.db", config.store.max_bytes, time.time_ns, on_alarm=self._journal_alarm,
            explain=partial(loss_alarm, site=Site(config.site.country, config.site.port), source=self._source),
        )  # fmt: skip
        self._since_ns = time.time_ns()
        self._clock = ClockSteps(self._since_ns, time.monotonic_ns())
        self._lately = Lately()
        self._stop, self._told_to_reload = asyncio.Event(), asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by the name of the part (edge/reload.py)
        self._publishers: list[Publisher] = []
        self._reloads = Reloads()
        self._pace = StatusPace()
        self._devices_changed = False
        self._were_online: set[str] = set()
        self._forgetful = False  # what the waits took could not be kept
        self.needs_new_process = False  # `main` has ended for a configuration that only a new one takes

    async def main(self) -> int:
        """Run until SIGTERM or Ctrl-C; gives the exit code."""
        self._outbox = Outbox(self._journal, self._outbox_trouble)
        self._publishers = [self._publisher(collector) for collector in self._config.collector]
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._told_to_reload.set)
        log.info(
            "%s at %s/%s, configuration %s: %d lanes, %d devices, %d collectors",
            self._source, self._config.site.country, self._config.site.port, cfg.digest(self._config),
            len(self._config.lane), len(self._config.device), len(self._config.collector),
        )  # fmt: skip
        self._recall()
        async with asyncio.TaskGroup() as group:
            outbox = group.create_task(self._outbox.run(), name="outbox")
            ticker = group.create_task(self._tick(), name="clock")
            eyes = group.create_task(self._eyes().run(), name="eyes")
            self._begin(group, self._parts, {device_part(of.name): self._driver(of) for of in self._config.device})
            reloading = group.create_task(self._reload_when_told(group), name="reload")
            sdnotify.notify("READY=1")
            await self._stop.wait()
            sdnotify.notify("STOPPING=1")
            log.info("stopping")
            publishers = [self._tasks.pop(collector_part(publisher.name)) for publisher in self._publishers]
            first = (reloading, ticker, *self._tasks.values())
            for task in first:
                task.cancel()
            try:
                async with asyncio.timeout(_LAST_WORDS_S):
                    await asyncio.gather(*first, return_exceptions=True)
                    await self._outbox.flush()
                    self._remember([])
                    self._put([*self._evidence(), self.status(online=False, cause="shutdown")])
                    await self._outbox.flush()
                    await asyncio.gather(*(publisher.stop() for publisher in self._publishers))
            except TimeoutError:
                log.warning("the journal or a collector did not end in %g s; the journal keeps the rest", _LAST_WORDS_S)
            for task in (outbox, eyes, *publishers):
                task.cancel()
        self._outbox.close()
        self._journal.close()
        self._memory.close()
        return 0

    def _eyes(self) -> Eyes:
        """Who looks from outside."""
        self._seen = Parts(
            self._config, self._source, partial(self.status, True), self._crossing, self._lately, self._outbox,
            self._reloads, self._admitted.path,
        )  # fmt: skip
        path = served_at(self._config.store.path, os.environ)
        return Eyes(path, StateOf(self._seen), Scopes(self._crossing))

    def _recall(self) -> None:
        """Before any device speaks: the alarms and the waits take up what they knew when the process ended."""
        now_ns, began = time.time_ns(), time.monotonic()
        last = self._journal.last(topic_of(self.status(online=False)))
        if last is not None:
            with suppress(msgspec.ValidationError):  # of another version
                said = msgspec.json.decode(last.body, type=Status)
                self._crossing.alarms.resume(() if said.alarms is UNSET else said.alarms, now_ns)
        undone = why_undone(Path(self._config.store.path))
        if undone:
            self._alarm(Condition("upgrade_undone"), True, "warning", {"reason": undone})
        try:
            kept = self._memory.recall(now_ns)
        except OSError as error:
            kept = Recalled(trouble=[f"{self._config.store.path}/waits: cannot be read ({error.strerror})"])
        self._put(self._crossing.recall(kept, now_ns))
        if kept.sightings:
            text = "%d sightings of the last hours taken up again in %.1f s"
            log.info(text, len(kept.sightings), time.monotonic() - began)

    def _remember(self, made: list[Message]) -> bool:
        """What the waits took since the last time is kept; True where an interval has ended."""
        ends = [parse_utc(message.time) for message in made if isinstance(message, Wait)]
        if ends:
            self._memory.told(max(ends))
        try:
            self._memory.write(time.time_ns())
        except OSError as error:
            if not self._forgetful:
                log.warning("%s/waits: cannot be written (%s); a restart would cost the waits their queues",
                            self._config.store.path, error)  # fmt: skip
            self._forgetful = True
            return False
        self._forgetful = False
        return bool(ends)

    def status(self, online: bool, cause: str | None = None) -> Status:
        """The retained state of this computer, also its last will."""
        now_ns = time.time_ns()
        return Status(
            time=utc_text(now_ns),
            site=Site(self._config.site.country, self._config.site.port),
            lane="_",
            source=self._source,
            config=cfg.digest(self._config),
            online=online,
            since=utc_text(self._since_ns),
            version=version("borderflow"),
            devices=self._crossing.devices(),
            backlog={publisher.name: publisher.backlog() for publisher in self._publishers},
            collectors={publisher.name: publisher.state_of_link() for publisher in self._publishers},
            alarms=self._crossing.alarms.holding() if online or cause == "shutdown" else UNSET,
            cause=cause,
            timezone=self._config.site.timezone,
            site_name=self._config.site.name or UNSET,
            replay_from={"/".join(topic.split("/")[-2:]): seq for topic, seq in self._journal.serves_from().items()},
        )

    def _tell_of(self, sealers: dict[str, Sealer]) -> None:
        """That an authority gets plates and tags is told to everybody."""
        for collector, sealer in sealers.items():
            said: Args = {"collector": collector, "key": sealer.key_id}
            self._from_threads.append((Condition("identifiers_disclosed", collector), True, "info", said))

    def _evidence(self) -> list[Message]:
        if self._signer is None:
            return []
        site = Site(self._config.site.country, self._config.site.port)
        return [
            self._signer.evidence(self._journal.heads(), site=site, source=self._source, time=utc_text(time.time_ns()))
        ]

    def _driver(self, device: cfg.Device) -> Driver:
        driver = registry.create(device.driver, device.name, device.url, device.options)
        driver.stored = self._outbox.stored
        driver.patience_s = partial(self._crossing.patience_s, device.name)
        return driver

    def _publisher(self, collector: cfg.Collector) -> Publisher:
        return Publisher(collector, self._journal, self.status, self._collector_alarm)

    def _site_exchange(self, config: cfg.Config) -> SiteExchange | None:
        table = config.site_exchange
        if table is None:
            return None
        on_alarm = partial(self._broker_alarm, table)
        return SiteExchange(config, self._source, deliver=self._from_site, on_alarm=on_alarm)

    def _carry(self, exchange: SiteExchange | None) -> Callable[[Sighting], Sequence[Sighting]] | None:
        """What the waits take of a sighting: what is kept has no identity in clear."""
        if exchange is not None:
            return exchange.carry
        return partial(local_sightings, keys=self._keys) if self._keys is not None else None

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
                for publisher in self._publishers:
                    publisher.say(message)

    async def _tick(self) -> None:
        """The clock: ends intervals, says how things are, and feeds the watchdog while the loop and the disk go on."""
        loop = asyncio.get_running_loop()
        signed_at = loop.time()
        while True:
            await asyncio.sleep(pause_s(loop.time(), _TICK_S))
            while self._from_threads:
                self._alarm(*self._from_threads.popleft())
            made = self._crossing.advance(self._watch_clock())
            self._put(made)
            if self._remember(made):
                await asyncio.to_thread(self._memory.sync)
            now = loop.time()
            if self._pace.due(now, alarm_changes=self._crossing.alarms.changes, devices_changed=self._devices_changed):
                self._devices_changed = False
                refusal = self._outbox.refusal
                status = self.status(online=True, cause=None if refusal is None else refusal.cause)
                self._put([status])
                sdnotify.notify(f"STATUS={one_line(status)}")
            if self._config.evidence is not None and now - signed_at > self._config.evidence.interval_s:
                signed_at = now
                self._put(self._evidence())
            stuck_since = self._outbox.stuck_since
            if stuck_since is None or time.monotonic() - stuck_since < _STUCK_S:
                sdnotify.notify("WATCHDOG=1")

    def _alarm(self, condition: Condition, holds: bool, severity: Severity, args: Args) -> None:
        self._put([*self._crossing.alarms.set(condition, holds, time.time_ns(), severity=severity, args=args)])

    def _outbox_trouble(self, code: str, holds: bool, text: str) -> None:
        self._alarm(Condition(code), holds, "critical", _said(holds, text))

    def _collector_alarm(self, collector: str, code: str, state: str, severity: Severity, text: str) -> None:
        begins = state == "begin"
        self._alarm(Condition(code, collector), begins, severity, {"collector": collector, **_said(begins, text)})

    def _broker_alarm(self, broker: cfg.SiteExchange, code: str, state: str, severity: Severity, text: str) -> None:
        begins = state == "begin"
        self._alarm(Condition(code, "site_exchange"), begins, severity, {"broker": broker.url, **_said(begins, text)})

    def _journal_alarm(self, code: str, state: str, severity: Severity, text: str) -> None:
        """Comes from the thread that writes; the clock's task takes it from here."""
        self._from_threads.append((Condition(code), state == "begin", severity, _said(state == "begin", text)))

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
                    log.info("%s changed, which only a new process takes: ending to be started anew", tables)
                    self.needs_new_process = True
                    self._stop.set()
                    return
                await self._adopt(coming, group)  # what fails here ends the process: a half of each is worse
                said = coming.change.said
                log.info("reloaded, configuration %s: %s", cfg.digest(self._config), "; ".join(said))
                self._reloads.end(taken=True, said=said, now_ns=time.time_ns())
            sdnotify.notify("READY=1")

    async def _prepared(self) -> _Coming:
        """Everything that may fail, while nothing is touched yet."""
        config = self._admitted.load()
        parts = parts_of(config, source_name(config))
        changed = change(self._parts, parts)
        exchange = self._site_exchange(config) if EXCHANGE in changed.begun else self._exchange
        if changed.restarts:
            _try_for_new_process(config)
        coming = _Coming(
            config=config,
            parts=parts,
            change=changed,
            lanes=self._crossing.new_lanes(config),
            drivers={device_part(of.name): self._driver(of) for of in config.device},
            exchange=exchange if config.site_exchange is not None else None,
            sealers=_sealers(config),
            signer=_signer(config),
        )
        await asyncio.to_thread(self._journal.flush)
        self._admitted.keep(config)
        return coming

    async def _adopt(self, coming: _Coming, group: asyncio.TaskGroup) -> None:
        config = coming.config
        await self._until_free(coming.lanes)
        await self._end(coming.change.ended)
        made = self._crossing.renew(
            config, coming.lanes, carry=self._carry(coming.exchange), sealers=list(coming.sealers.values()),
            recalled=partial(self._recalled, config), now_ns=self._watch_clock(),
        )  # fmt: skip
        self._config = self._seen.config = config
        self._parts, self._exchange, self._signer = coming.parts, coming.exchange, coming.signer
        running = {publisher.name: publisher for publisher in self._publishers}
        self._publishers = [running.get(of.name) or self._publisher(of) for of in config.collector]
        self._put(made)
        self._tell_of(coming.sealers)
        self._begin(group, coming.change.begun, coming.drivers)
        self._devices_changed = True  # a status soon
        for publisher in self._publishers:
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

    def _recalled(self, config: cfg.Config) -> Recalled:
        try:
            return self._memory.renew(config, time.time_ns())
        except OSError as error:
            return Recalled(trouble=[f"{config.store.path}/waits: cannot be read or written ({error.strerror})"])

    async def _end(self, parts: Iterable[str]) -> None:
        ending = {name: self._tasks.pop(name) for name in parts if name in self._tasks}
        going = [publisher for publisher in self._publishers if collector_part(publisher.name) in ending]
        self._publishers = [publisher for publisher in self._publishers if publisher not in going]
        for name, task in ending.items():
            if not name.startswith(collector_part("")):
                task.cancel()
        await asyncio.gather(*(publisher.stop(_LAST_WORDS_S) for publisher in going))
        await asyncio.gather(*ending.values(), return_exceptions=True)
        for publisher in going:
            await asyncio.to_thread(self._journal.let_go, publisher.name)

    def _begin(self, group: asyncio.TaskGroup, parts: Iterable[str], drivers: dict[str, Driver]) -> None:
        """The tasks of these parts."""
        runs: dict[str, Callable[[], Coroutine[None, None, None]]] = {
            name: partial(keep_alive, driver, self._event) for name, driver in drivers.items()
        }
        runs |= {collector_part(publisher.name): publisher.run for publisher in self._publishers}
        if self._exchange is not None:
            runs[EXCHANGE] = self._exchange.run
        for name in parts:
            if name in runs:
                self._tasks[name] = group.create_task(runs[name](), name=name)


def _try_for_new_process(config: cfg.Config) -> None:
    """What a new process would end of at once, this one says; IdentityError, OSError."""
    if config.identity is not None:
        Pseudonyms(Path(config.identity.key_file), config.identity.rotation)
    store = Path(config.store.path)
    store.mkdir(parents=True, exist_ok=True)
    if not os.access(store, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(store))


def _sealers(config: cfg.Config) -> dict[str, Sealer]:
    """By collector: one for each authority that gets plates and tags."""
    return {of.name: Sealer(of.identifier_key_file) for of in config.collector if of.identifier_key_file is not None}


def _signer(config: cfg.Config) -> Signer | None:
    return Signer(config.evidence.key_file) if config.evidence is not None else None


def _said(begins: bool, text: str) -> Args:
    """What somebody says of a trouble, or of its end."""
    return {"reason" if begins else "ended": text}
