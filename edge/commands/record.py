"""`borderflow record`: live hardware in, recordings out: a SigMF pair for each lane and the raw bytes of every device.

Device bytes are a line each, `{"time", "device", "rx"|"tx": hex}`. Readers of tags and plates send identifiers in
clear, so their bytes are only kept with --identifiers. Exit 69 while the daemon runs: its devices are left alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import IO, Literal
from urllib.parse import urlsplit

from drivers import registry
from drivers.base import Tap
from drivers.events import DeviceState, Event, PlateRead, SampleBlock, TagRead
from drivers.session import keep_alive
from edge import config as cfg
from edge.config.file import load
from edge.exit_codes import EXIT_UNREACHABLE
from edge.machine.running import running_daemon
from edge.messages import utc_text
from edge.weighing.recording import Writer

log = logging.getLogger("record")

_SAME_STREAM_NS = 200_000_000  # a block farther than this from where the last one ended begins a new capture


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="configuration of this computer")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="directory for the recordings")
    parser.add_argument("--for", dest="for_s", type=float, metavar="SECONDS", help="end after so long; default: Ctrl-C")
    parser.add_argument("--identifiers", action="store_true", help="keep bytes of tag and plate readers too")
    parser.add_argument("--comment", default="", help="what the recording shows; goes into its header")


def run(args: argparse.Namespace) -> int:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    config = load(args.config, live=True)
    if args.for_s is not None and not 0 < args.for_s < 1e9:
        print(f"borderflow record: --for {args.for_s:g} is no time; give seconds above 0", file=sys.stderr)
        return 2
    daemon = running_daemon(config)
    if daemon is not None:
        stop = "" if daemon.process is None else " and has the devices; stop it first: systemctl stop borderflow"
        print(f"borderflow record: {daemon.text}{stop}", file=sys.stderr)
        return EXIT_UNREACHABLE
    args.out.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_record(config, args))


async def _record(config: cfg.Config, args: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if args.for_s is not None:
        loop.call_later(args.for_s, stop.set)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    bytes_path: Path = args.out / f"{stamp}.bytes.jsonl"
    with bytes_path.open("x") as bytes_file:
        recorder = _Recorder(config, args.out, stamp, args.comment, bytes_file)
        tasks = []
        for device in config.device:
            driver = registry.create(device.driver, device.name, device.url, device.options)
            kept = args.identifiers or not driver.reads_identifiers
            recorder.header(device, kept=kept)
            if kept:
                driver.tap = recorder.tap(device.name)
            tasks.append(asyncio.create_task(keep_alive(driver, recorder.event), name=f"device {device.name}"))
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        recorder.close()
    for path, scans, rate_hz in recorder.written():
        print(f"{path}: {scans} scans, {scans / rate_hz:.1f} s", file=sys.stderr)
    print(f"{bytes_path}: {recorder.chunks} chunks of bytes", file=sys.stderr)
    return 0


class _Recorder:
    """Takes events and bytes and writes them as they come."""

    def __init__(self, config: cfg.Config, out: Path, stamp: str, comment: str, bytes_file: IO[str]) -> None:
        self._lanes = {lane.wim.device: lane for lane in config.lane if lane.wim is not None and lane.wim.device}
        self._out, self._stamp, self._comment = out, stamp, comment
        self._bytes = bytes_file
        self._writers: dict[str, tuple[Writer, Path, float]] = {}
        self._ends_ns: dict[str, int] = {}
        self._scans: dict[str, int] = {}
        self.chunks = 0

    def header(self, device: cfg.Device, *, kept: bool) -> None:
        """One line a device before its bytes: what was recorded, with what, and why. With its lines behind it, it is a
        capture that the tests play to the driver (docs/write-a-driver.md)."""
        header = {
            "driver": device.driver,
            "link": urlsplit(device.url).scheme or "serial",
            "options": device.options,
            "software": f"borderflow {version('borderflow')}",
            "comment": self._comment,
            "bytes": "kept" if kept else "left out: they hold identifiers",
        }
        self._bytes.write(
            json.dumps({"time": utc_text(time.time_ns()), "device": device.name, "header": header}) + "\n"
        )

    def tap(self, device: str) -> Tap:
        """What a link calls with the bytes of that device."""

        def write(direction: Literal["rx", "tx"], data: bytes, time_ns: int) -> None:
            self.chunks += 1
            line = {"time": utc_text(time_ns), "device": device, direction: data.hex()}
            self._bytes.write(json.dumps(line, separators=(",", ":")) + "\n")

        return write

    def event(self, event: Event) -> None:
        if isinstance(event, SampleBlock):
            self._samples(event)
        elif isinstance(event, DeviceState):
            log.info("device %s is %s: %s", event.device, event.state.value, event.text)
        elif isinstance(event, TagRead | PlateRead):
            log.debug("device %s read an identifier", event.device)

    def _samples(self, block: SampleBlock) -> None:
        lane = self._lanes.get(block.device)
        if lane is None:
            return
        if block.device not in self._writers:
            path = self._out / f"{lane.id}-{self._stamp}"
            writer = Writer(
                path, channels=block.samples.shape[1], rate_hz=block.rate_hz, lane=lane.id, description=self._comment
            )
            self._writers[block.device] = (writer, path, block.rate_hz)
        writer, _, rate_hz = self._writers[block.device]
        end_ns = self._ends_ns.get(block.device)
        if end_ns is None or block.lost_scans or abs(block.time_ns - end_ns) > _SAME_STREAM_NS:
            writer.capture(block.time_ns)
        writer.write(block.samples)
        self._scans[block.device] = self._scans.get(block.device, 0) + len(block.samples)
        self._ends_ns[block.device] = block.time_ns + round(len(block.samples) / rate_hz * 1e9)

    def close(self) -> None:
        for writer, _, _ in self._writers.values():
            writer.close()

    def written(self) -> list[tuple[Path, int, float]]:
        return [(path, self._scans[device], rate_hz) for device, (_, path, rate_hz) in self._writers.items()]
