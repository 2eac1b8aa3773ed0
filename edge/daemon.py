"""`borderflow run`: the daemon. Starts a task for each device, collector and the clock, and ends them cleanly.

Devices → crossing → outbox → journal → publishers. Every task has a name; a dead device or collector is a state that an
operator sees, and stops nobody else. A fault of the daemon itself ends the process: systemd starts it again, and the
journal has what was made.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
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
from edge import logs, sdnotify
from edge.admission import Admission
from edge.alarms import Condition
from edge.clock_steps import ClockSteps
from edge.config_rules import rotation_s
from edge.core import CoreError
from edge.crossing import Crossing
from edge.delivery.evidence import Signer
from edge.delivery.identity import IdentityError, Pseudonyms, computer_name, read_secret
from edge.delivery.journal import Journal, JournalError
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
from edge.machine_name import machine_name
from edge.messages import Alarm, Args, Message, Severity, Site, Status, Wait, parse_utc, topic_of, utc_text
from edge.status_pace import StatusPace
from edge.waiting.memory import Memory, Recalled
from edge.waiting.sightings import Sighting

log = logging.getLogger("daemon")

_TICK_S = 0.25
_STUCK_S = 20.0  # without a durable append for so long the watchdog is no longer fed
_LAST_WORDS_S = 3.0


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
    return asyncio.run(daemon.main())


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


class Daemon:
    """The parts of a running computer and the tasks that move them."""

    def __init__(self, config: cfg.Config, admitted: Admission) -> None:
        self._config, self._admitted = config, admitted
        self._source = source_name(config)
        identity = config.identity
        pseudonyms = Pseudonyms(Path(identity.key_file), identity.rotation) if identity is not None else None
        self._exchange: SiteExchange | None = None
        if config.site_exchange is not None:
            self._exchange = SiteExchange(
                config,
                self._source,
                deliver=self._from_site,
                on_alarm=partial(self._broker_alarm, config.site_exchange),
            )
        keys = _keys_of(config)
        carry: Callable[[Sighting], Sequence[Sighting]] | None = None
        if self._exchange is not None:
            carry = self._exchange.carry
        elif keys is not None:
            carry = partial(local_sightings, keys=keys)  # what is kept has no identity in clear
        store = Path(config.store.path)
        self._memory = Memory(store / "waits", config, keys)
        self._from_threads: deque[tuple[Condition, bool, Severity, Args]] = deque()
        self._crossing = Crossing(
            config, source=self._source, pseudonyms=pseudonyms, carry=carry, sealers=self._sealers(),
            note=self._memory.note,
        )  # fmt: skip
        self._signer = Signer(config.evidence.key_file) if config.evidence is not None else None
        self._journal = Journal(
            store / "journal.db", config.store.max_bytes, time.time_ns, on_alarm=self._journal_alarm,
            explain=partial(loss_alarm, site=Site(config.site.country, config.site.port), source=self._source),
        )  # fmt: skip
        self._since_ns = time.time_ns()
        self._clock = ClockSteps(self._since_ns, time.monotonic_ns())
        self._lately = Lately()
        self._stop = asyncio.Event()
        self._pace = StatusPace()
        self._devices_changed = False
        self._were_online: set[str] = set()
        self._forgetful = False  # what the waits took could not be kept

    async def main(self) -> int:
        """Run until SIGTERM or Ctrl-C; gives the exit code."""
        self._outbox = Outbox(self._journal, self._outbox_trouble)
        self._publishers = [
            Publisher(collector, self._journal, self.status, self._collector_alarm)
            for collector in self._config.collector
        ]
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
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
            exchanges = [group.create_task(self._exchange.run(), name="site exchange")] if self._exchange else []
            publishers = [group.create_task(p.run(), name=f"collector {p.name}") for p in self._publishers]
            devices = [
                group.create_task(keep_alive(self._driver(device), self._event), name=f"device {device.name}")
                for device in self._config.device
            ]
            sdnotify.notify("READY=1")
            await self._stop.wait()
            sdnotify.notify("STOPPING=1")
            log.info("stopping")
            for task in (*devices, ticker, *exchanges):
                task.cancel()
            try:
                async with asyncio.timeout(_LAST_WORDS_S):
                    await asyncio.gather(*devices, ticker, *exchanges, return_exceptions=True)
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
        parts = Parts(
            self._config, self._source, partial(self.status, True), self._crossing, self._lately, self._outbox
        )
        path = served_at(self._config.store.path, os.environ)
        return Eyes(path, StateOf(parts), Scopes(self._crossing))

    def _recall(self) -> None:
        """Before any device speaks: the alarms and the waits take up what they knew when the process ended."""
        now_ns, began = time.time_ns(), time.monotonic()
        last = self._journal.last(topic_of(self.status(online=False)))
        if last is not None:
            with suppress(msgspec.ValidationError):  # of another version
                said = msgspec.json.decode(last.body, type=Status)
                self._crossing.alarms.resume(() if said.alarms is UNSET else said.alarms, now_ns)
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

    def _sealers(self) -> list[Sealer]:
        """One for each authority that gets plates and tags; that it does is told to everybody."""
        sealers = []
        for collector in self._config.collector:
            if collector.identifier_key_file is not None:
                sealer = Sealer(collector.identifier_key_file)
                sealers.append(sealer)
                said: Args = {"collector": collector.name, "key": sealer.key_id}
                self._from_threads.append((Condition("identifiers_disclosed", collector.name), True, "info", said))
        return sealers

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

    def _reload(self) -> None:
        """SIGHUP: a good configuration is taken by starting anew, a bad one is refused and the running one kept."""
        try:
            self._admitted.load()
        except cfg.ConfigError as error:
            for fault in error.faults:
                log.error("not reloaded: %s", fault)
            return
        log.info("configuration is good; ending so that the service manager starts it anew")
        self._stop.set()


def _said(begins: bool, text: str) -> Args:
    """What somebody says of a trouble, or of its end."""
    return {"reason" if begins else "ended": text}
