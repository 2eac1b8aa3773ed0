"""`borderflow doctor`: tries each device, the clock, the disk and each collector once and says what works.

While the daemon runs, its devices are shown as it sees them, since a device has one owner. Exit 1 when anything fails.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from drivers import registry
from drivers.events import DeviceState, Event, InputChange, LinkState, SampleBlock
from drivers.session import keep_alive
from edge import config as cfg
from edge.config.file import load
from edge.delivery.endpoint import Endpoint, LinkError
from edge.delivery.identity import IdentityError, Pseudonyms
from edge.delivery.mqtt import MqttLink
from edge.eyes.client import ask
from edge.eyes.place import candidates
from edge.machine.clock import clock_state
from edge.machine.name import source_name
from edge.machine.running import Running, running_daemon
from edge.machine.time_zones import local_time
from edge.words.ages import age

Result = Literal["good", "fails", "unknown"]
_DEVICE_S = 6.0
_LISTEN_S = 1.5
_SURELY_WRONG_RATE = 0.05  # a rate of the first second is an estimate
_LEAST_FREE = 0.05
_EVENTS = {
    "SampleBlock": "blocks of samples", "TagRead": "tags", "PlateRead": "plates", "InputChange": "states of inputs",
    "Measurement": "measurements", "Rejected": "frames that make no sense", "Heard": "signs of life",
}  # fmt: skip
_SLOW_SYNC_S = 0.25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="configuration of this computer")


def run(args: argparse.Namespace) -> int:
    config = load(args.config, live=True)
    rows = asyncio.run(_examine(config))
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    table = Table("what", "result", "how it is")
    for what, result, text in rows:
        style = {"good": "green", "fails": "bold red", "unknown": "yellow"}[result]
        table.add_row(what, f"[{style}]{result}[/]", text)
    console.print(table)
    return 1 if any(result == "fails" for _, result, _ in rows) else 0


async def _examine(config: cfg.Config) -> list[tuple[str, Result, str]]:
    daemon = running_daemon(config)
    seen = None if daemon is None else await asyncio.to_thread(_seen_by_daemon, config)
    devices = await asyncio.gather(*(_device(config, device, daemon, seen) for device in config.device))
    brokers: list[tuple[str, cfg.Collector | cfg.SiteExchange]] = [(f"collector {c.name}", c) for c in config.collector]
    if config.site_exchange is not None:
        brokers.append(("site exchange", config.site_exchange))
    connected = await asyncio.gather(*(_broker(config, what, broker) for what, broker in brokers))
    here = (_clock(), _zone(config.site.timezone), _disk(Path(config.store.path)))
    return [*_daemon(daemon, seen), *devices, *here, *_identity(config), *connected]


def _seen_by_daemon(config: cfg.Config) -> dict[str, Any] | None:
    """The state that the daemon tells; None where it does not answer, or nobody may ask."""
    for path in candidates(config.store.path):
        with suppress(OSError, ValueError):
            state = ask(path, {"ask": "state"})
            if state.get("disk", {}).get("path") == config.store.path:
                return state
    return None


def _daemon(daemon: Running | None, seen: dict[str, Any] | None) -> list[tuple[str, Result, str]]:
    if seen is not None:
        return [("daemon", "good", f"runs for {age(seen['up_s'], fine=True)} (process {seen['process']['pid']})")]
    if daemon is None:
        return []
    if daemon.process is None:
        return [("daemon", "unknown", daemon.text)]
    text = f"{daemon.text}, and does not answer; look at its log: journalctl -u borderflow"
    return [("daemon", "fails", text)]


@dataclass(slots=True)
class _Heard:
    """What a device said in its session."""

    events: Counter[str] = field(default_factory=Counter)
    inputs: set[str] = field(default_factory=set)
    block: SampleBlock | None = None  # the last one

    def take(self, event: Event) -> None:
        self.events[type(event).__name__] += 1
        if isinstance(event, InputChange):
            self.inputs.add(event.name)
        elif isinstance(event, SampleBlock):
            self.block = event

    def against(self, config: cfg.Config, device: cfg.Device) -> list[str]:
        """Where the configuration expects something else of it."""
        wrong = [
            f"there is no input {item.name!r}; it has {', '.join(sorted(self.inputs))}"
            for item in device.input
            if self.inputs and item.name not in self.inputs
        ]
        for lane in config.lane:
            if self.block is None or lane.wim is None or lane.wim.device != device.name:
                continue
            width, rate_hz = self.block.samples.shape[1], self.block.rate_hz
            wrong += [
                f"sends {width} channels, sensor {sensor.name!r} of lane {lane.id} has channel {sensor.channel}"
                for sensor in lane.wim.sensor
                if sensor.channel >= width
            ]
            if abs(rate_hz / lane.wim.sample_rate_hz - 1.0) > _SURELY_WRONG_RATE:
                wrong.append(f"samples at {rate_hz:.0f} Hz, lane {lane.id} says {lane.wim.sample_rate_hz:g} Hz")
        return wrong


def _as_seen(seen: dict[str, Any]) -> tuple[Result, str]:
    """What the daemon says of a device."""
    results: dict[str, Result] = {"online": "good", "connecting": "unknown"}
    lasting = "" if seen["age_s"] is None else f" for {age(seen['age_s'], fine=True)}"
    rejected = "".join(f"; {count} frames rejected ({why})" for why, count in seen["rejected"].items())
    text = f": {seen['text']}" if seen["text"] else ""
    return results.get(seen["state"], "fails"), f"{seen['state']}{lasting}{text}{rejected}"


async def _device(
    config: cfg.Config, device: cfg.Device, daemon: Running | None, state: dict[str, Any] | None
) -> tuple[str, Result, str]:
    """One session: good when the device came online; then listens a moment and tells what it said."""
    what = f"device {device.name} ({device.driver})"
    if state is not None and device.name in state["devices"]:
        return what, *_as_seen(state["devices"][device.name])
    if daemon is not None:
        return what, "unknown", "left alone: the daemon has it, or may have, and cannot be asked"
    online = asyncio.Event()
    heard = _Heard()
    last = DeviceState(device.name, 0, LinkState.CONNECTING, f"{device.url}: no answer within {_DEVICE_S:g} s")

    def take(event: Event) -> None:
        nonlocal last
        if isinstance(event, DeviceState):
            last = event if event.state is not LinkState.CONNECTING else last
            if event.state is LinkState.ONLINE:
                online.set()
        else:
            heard.take(event)

    driver = registry.create(device.driver, device.name, device.url, device.options)
    task = asyncio.create_task(keep_alive(driver, take))
    try:
        async with asyncio.timeout(_DEVICE_S):
            await online.wait()
        await asyncio.sleep(_LISTEN_S)
    except TimeoutError:
        return what, "fails", last.text
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if wrong := heard.against(config, device):
        return what, "fails", f"{device.url}: {'; '.join(wrong)}; correct the configuration, or the device's options"
    said = ", ".join(f"{_EVENTS.get(name, name)} {count}" for name, count in heard.events.items()) or "nothing yet"
    return what, "good", f"{last.text}; in {_LISTEN_S:g} s it said: {said}"


def _clock() -> tuple[str, Result, str]:
    state = clock_state()
    if state is None:
        return "clock", "unknown", "the kernel does not say; install chrony and point it to a time server"
    return "clock", "good" if state.synchronised else "fails", state.text


def _zone(zone: str) -> tuple[str, Result, str]:
    """The wall clock that reports are made by; old rules put it an hour off, as anyone there sees."""
    return "local time", "good", f"{zone}: {local_time(zone)}"


def _disk(store: Path) -> tuple[str, Result, str]:
    """Writes and syncs a small file where the journal lives."""
    probe = store / ".doctor"
    try:
        store.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with probe.open("wb") as file:
            file.write(os.urandom(4096))
            file.flush()
            os.fsync(file.fileno())
        sync_s = time.monotonic() - began
        probe.unlink()
        usage = shutil.disk_usage(store)
    except OSError as error:
        return f"disk {store}", "fails", f"{error.strerror}; give the daemon's user this directory, or mend the disk"
    text = f"{usage.free / 1e9:.1f} GB free, a durable write takes {1000 * sync_s:.0f} ms"
    wrong = []
    if usage.free <= _LEAST_FREE * usage.total:
        wrong.append(f"less than {100 * _LEAST_FREE:.0f} % is free: make room")
    if sync_s >= _SLOW_SYNC_S:
        wrong.append("that is too slow for a journal: mend or change the disk, or take load off it")
    return f"disk {store}", "fails" if wrong else "good", "; ".join([text, *wrong])


def _identity(config: cfg.Config) -> list[tuple[str, Result, str]]:
    if config.identity is None:
        return []
    try:
        Pseudonyms(Path(config.identity.key_file), config.identity.rotation)
    except IdentityError as error:
        return [("pseudonym key", "fails", str(error))]
    return [("pseudonym key", "good", config.identity.key_file)]


async def _broker(config: cfg.Config, what: str, broker: cfg.Collector | cfg.SiteExchange) -> tuple[str, Result, str]:
    """Connects once under a name of its own, so that a running daemon is not thrown off."""
    try:
        endpoint = Endpoint.configured(broker, f"{source_name(config)}-{what.replace(' ', '-')}-doctor")
        link = MqttLink(
            endpoint,
            will=None,
            subscribe=None,
            acknowledged=lambda *_: None,
            received=lambda *_: None,
            settled=lambda: None,
        )
        began = time.monotonic()
        await link.open()
        took_s = time.monotonic() - began
        await link.close(speak_will=False)
    except (LinkError, IdentityError, ValueError) as error:
        return what, "fails", str(error)
    return what, "good", f"{endpoint}, connected in {1000 * took_s:.0f} ms"
