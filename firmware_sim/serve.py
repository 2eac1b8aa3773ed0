"""`borderflow-sim serve`: a scenario in; its devices on ptys, serial ports and TCP, and the truth as JSON lines, out.

World time runs with real time. One loop moves the world on in small steps and hands what happened to the emulators;
between them and the endpoints stands a `Wire` for each device, which spoils bytes while a fault is active. The first
line on standard output, when all endpoints stand, says where they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, TextIO

import msgspec
import numpy as np
import numpy.typing as npt

from firmware_sim.emulators import create
from firmware_sim.emulators.base import Emulator, Hangup, Output, Send
from firmware_sim.proof.truth import event_line, fault_line
from firmware_sim.scenario import Fault, Scenario, ScenarioError, utc_text
from firmware_sim.scenario.commission import configuration
from firmware_sim.wires.endpoints import Endpoint, EndpointError, PtyEndpoint, SerialEndpoint, TcpEndpoint, endpoint_at
from firmware_sim.wires.faults import Timeline, Turn, Wire, fault_problem, unknown_faults
from firmware_sim.world.crossing import SENSOR_FAULTS, World
from firmware_sim.world.events import PlatePassed, TagPassed, WorldEvent

STEP_S = 0.01
SHARED = ("vehicle", "sighting", "wait", "flow", "status", "alarm")
MOST_FAULT_S = 1e6
CATCH_UP_S = 0.5  # a longer pause of this process is made up in steps of this length


class LaneSamples:
    """A lane's scans as a digitiser gets them: `base.Samples` on top of the world."""

    def __init__(self, world: World, lane_id: str) -> None:
        wim = world.scenario.lane_of(lane_id).wim
        assert wim is not None
        self._world = world
        self._lane = lane_id
        self.nominal_hz = wim.sample_rate_hz
        self.rate_hz = world.scan_rate_hz(lane_id)

    def ready(self) -> int:
        return self._world.scans_ready(self._lane)

    def take(self, first: int, count: int) -> npt.NDArray[np.int16]:
        return self._world.samples(self._lane, first, count)


class Unit:
    """A device: its emulator, its endpoint, and the wire between them."""

    def __init__(self, emulator: Emulator, endpoint: Endpoint, wire: Wire, now: Callable[[], float]) -> None:
        self.emulator = emulator
        self.endpoint = endpoint
        self.wire = wire
        self._now = now

    def connected(self, port: str, peer: int) -> None:
        self.put(self.emulator.connected(port, peer, self._now()))

    def disconnected(self, port: str, peer: int) -> None:
        self.emulator.disconnected(port, peer, self._now())

    def received(self, port: str, peer: int, data: bytes) -> None:
        heard = self.wire.to_device(data)
        if self.wire.active("echo"):
            self.put([Send(data, port, peer)])
        if heard:
            self.put(self.emulator.received(port, peer, heard, self._now()))

    def put(self, output: Output) -> None:
        """Carry what the emulator says to the endpoint."""
        if self.emulator.baud is not None and isinstance(self.endpoint, PtyEndpoint | SerialEndpoint):
            self.endpoint.set_baud(self.emulator.baud)
        for item in output:
            if isinstance(item, Hangup):
                self.endpoint.hang_up(item.port, item.peer)
            else:
                for send in self.wire.to_host(item, self._now()):
                    self.endpoint.write(send.port, send.peer, send.data)

    def step(self, events: list[WorldEvent], now_s: float) -> None:
        for event in events:
            self.put(self.emulator.happened(event, now_s))
        if not self.wire.active("reboot"):
            self.put(self.emulator.tick(now_s, self.endpoint.congested()))
        for send in self.wire.tick(now_s):
            self.endpoint.write(send.port, send.peer, send.data)

    async def turn(self, kind: str, begins: bool, options: Mapping[str, Any], now_s: float) -> None:
        """A fault begins or ends here."""
        if begins:
            self.wire.begin(kind, options)
        else:
            self.wire.end(kind)
        if kind == "unplugged":
            await (self.endpoint.unplug() if begins else self.endpoint.plug())
        elif kind == "half_open" and not begins:
            for port in self.emulator.ports:
                self.endpoint.hang_up(port, None)
        elif kind == "reboot":
            output = self.emulator.reboot(now_s)
            if isinstance(self.endpoint, TcpEndpoint):  # its network interface goes with it, a serial adapter stays
                await (self.endpoint.unplug() if begins else self.endpoint.plug())
            if not begins:
                self.put([item for item in output if isinstance(item, Send)])
        elif kind in self.emulator.faults:
            self.put(self.emulator.fault(kind, begins, options, now_s))


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line of `serve` says."""

    bind: Mapping[str, str] = field(default_factory=dict)
    for_s: float | None = None
    speed: float = 1.0
    config_out: Path | None = None
    collector: str | None = None
    truth: Path | None = None  # None: standard output
    control: bool = False


class Server:
    """All devices of a scenario, running."""

    def __init__(self, scenario: Scenario, world: World, settings: Settings, lines: TextIO, links: Path) -> None:
        self._scenario = scenario
        self._world = world
        self._settings = settings
        self._lines = lines
        self._timeline = Timeline(scenario.fault)
        self._running = started_now(scenario)
        self._started = 0.0
        self._world_s = 0.0
        self._copies: dict[str, str] = {}  # device whose reads another one repeats
        self._stop = asyncio.Event()
        self._orders = b""  # the unfinished line of control
        random = Random(world.seed)
        self.units: dict[str, Unit] = {}
        for device in scenario.device:
            emulator = create(
                device,
                scenario,
                clock=self._clock,
                temperature_c=world.temperature_c,
                samples=lambda lane: LaneSamples(world, lane),
            )
            target = settings.bind.get(device.name, device.endpoint)
            endpoint = endpoint_at(
                target,
                emulator.ports,
                link=links / device.name,
                baud=emulator.baud if emulator.baud is not None else 9600,
                random=Random(random.getrandbits(64)),
                pushes=emulator.pushes,
                scheme=emulator.scheme,
            )
            wire = Wire(Random(random.getrandbits(64)))
            self.units[device.name] = Unit(emulator, endpoint, wire, lambda: self._world_s)
        emulators = {name: unit.emulator for name, unit in self.units.items()}
        problems = [f"--bind {name}: no such device" for name in settings.bind if name not in self.units]
        problems += unknown_faults(scenario, emulators)
        if problems:
            raise ScenarioError("\n".join(problems))
        self._emulators = emulators

    def _clock(self, now_s: float) -> datetime:
        return self._running.start + timedelta(seconds=now_s)

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        """Open everything, say so, and run until stopped or until the time is up."""
        try:
            for unit in self.units.values():
                await unit.endpoint.open(unit)
            self._running = started_now(self._scenario)
            self._started = time.monotonic()
            self._announce()
            if self._settings.control:
                asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._control)
            await self._follow()
        finally:
            for unit in self.units.values():
                await unit.endpoint.close()

    def _announce(self) -> None:
        ends = {name: (unit.endpoint.url, unit.endpoint.options) for name, unit in self.units.items()}
        options = {device.name: device.options for device in self._scenario.device}
        endpoints = {name: (url, options[name] | own) for name, (url, own) in ends.items()}
        config = self._settings.config_out
        if config is not None:
            write_configuration(config, self._scenario, endpoints, self._settings.collector)
        ready = {
            "ready": True,
            "devices": {name: {"url": url, "options": own} for name, (url, own) in ends.items()},
            "config": str(config) if config is not None else None,
            "time_origin": utc_text(self._running.start_ns),
        }
        print(json.dumps(ready), flush=True)

    async def _follow(self) -> None:
        end_s = self._settings.for_s
        while not self._stop.is_set():
            target_s = (time.monotonic() - self._started) * self._settings.speed
            now_s = min(target_s, self._world_s + CATCH_UP_S)
            if end_s is not None:
                now_s = min(now_s, end_s)
            await self._step(now_s)
            if end_s is not None and now_s >= end_s:
                return
            wait_s = 0.0 if now_s < target_s - STEP_S else STEP_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), wait_s)

    async def _step(self, now_s: float) -> None:
        for turn in self._timeline.due(now_s):
            await self._turn(turn)
        events = self._world.advance(now_s)
        self._world_s = now_s
        by_device: dict[str, list[WorldEvent]] = {}
        for event in events:
            line = event_line(event, self._running)
            if line is not None:
                self._tell(line)
            device = getattr(event, "device", None)
            if device is not None:
                by_device.setdefault(device, []).append(event)
                copy = self._copies.get(device)
                if copy is not None and isinstance(event, TagPassed | PlatePassed):
                    by_device.setdefault(copy, []).append(replace(event, device=copy))
        for name, unit in self.units.items():
            unit.step(by_device.get(name, []), now_s)

    async def _turn(self, turn: Turn) -> None:
        fault = turn.fault
        if fault.kind == "duplicate_tag":
            if turn.begins:
                self._copies[fault.device] = str(fault.options.get("to", ""))
            else:
                self._copies.pop(fault.device, None)
        elif fault.kind not in SENSOR_FAULTS:
            await self.units[fault.device].turn(fault.kind, turn.begins, fault.options, self._world_s)
        self._tell(fault_line(turn, self._running))

    def _tell(self, line: Mapping[str, Any]) -> None:
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()

    def _control(self) -> None:
        """Lines on standard input: `{"fault": KIND, "device": NAME, "for_s": SECONDS, ...options}`."""
        data = os.read(sys.stdin.fileno(), 4096)
        if not data:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            return
        *lines, self._orders = (self._orders + data).split(b"\n")
        for line in lines:
            try:
                fault = self._fault(json.loads(line))
                self._timeline.add(fault)
                if fault.kind in SENSOR_FAULTS:
                    self._world.add_fault(fault)
            except (ValueError, TypeError) as error:
                self._tell({"kind": "error", "text": f"control line {line.decode(errors='replace')!r}: {error}"})

    def _fault(self, order: Any) -> Fault:
        if not isinstance(order, dict):
            raise ValueError('give {"fault": KIND, "device": NAME, "for_s": SECONDS}')
        options = {key: value for key, value in order.items() if key not in ("fault", "device", "for_s")}
        kind, device, for_s = str(order.get("fault")), str(order.get("device")), float(order.get("for_s", 1.0))
        if not 0 <= for_s < MOST_FAULT_S:
            raise ValueError(f"for_s: {for_s!r}; give seconds from 0 up to {MOST_FAULT_S:g}")
        problem = fault_problem(kind, device, self._emulators, options)
        if problem is None and kind in SENSOR_FAULTS:
            problem = self._channel_problem(device, options)
        if problem is not None:
            raise ValueError(problem)
        return Fault(at_s=self._world_s, for_s=for_s, kind=kind, device=device, options=options)

    def _channel_problem(self, device: str, options: Mapping[str, Any]) -> str | None:
        """Why the channels that a fault names are none of that device's lane."""
        lane = next(entry.lane for entry in self._scenario.device if entry.name == device)
        wim = self._scenario.lane_of(lane).wim if lane is not None else None
        count = len(wim.sensor) if wim is not None else 0
        for channel in [options[key] for key in ("channel",) if key in options] + list(options.get("channels", [])):
            if not isinstance(channel, int) or not 0 <= channel < count:
                return f"channel {channel!r}: {device!r} has {count}, counted from 0"
        return None


def started_now(scenario: Scenario) -> Scenario:
    """The scenario with this moment as world time 0: what truth and devices call the time in a live run."""
    return msgspec.structs.replace(scenario, start=datetime.now(UTC))


def write_configuration(
    path: Path,
    scenario: Scenario,
    endpoints: Mapping[str, tuple[str, Mapping[str, Any]]],
    collector: str | None,
) -> None:
    """A configuration of the daemon beside which its key and its store lie."""
    key = path.parent / "identity.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not key.exists():
        handle = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
    collectors: tuple[Mapping[str, Any], ...] = ()
    if collector is not None:
        collectors = ({"name": "local", "url": collector, "share": list(SHARED)},)
    text = configuration(
        scenario,
        endpoints=endpoints,
        collectors=collectors,
        identity_key_file=key,
        store_path=path.parent / "store",
    )
    path.write_text(text, encoding="utf-8")


async def serve(scenario: Scenario, world: World, settings: Settings) -> int:
    """Run until SIGTERM, SIGINT or the end of the time given; the exit status."""
    with contextlib.ExitStack() as stack:
        links = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="borderflow-sim-")))
        lines = sys.stdout
        if settings.truth is not None:
            settings.truth.parent.mkdir(parents=True, exist_ok=True)
            lines = stack.enter_context(settings.truth.open("w", encoding="utf-8"))
        try:
            server = Server(scenario, world, settings, lines, links)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, server.stop)
            await server.run()
        except (ScenarioError, EndpointError) as error:
            print(error, file=sys.stderr)
            return 1
        except BrokenPipeError:  # nobody reads the truth any more
            return 0
    return 0
