"""A log of a device (`tests/captures/*.jsonl`, or lines of `borderflow record`) played to its real driver.

`play_to_driver` gives the events while they come, `told` makes lines of them that do not depend on timing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

from driver_peers import Events, Pty, pty, running, tcp_peer

from drivers import registry
from drivers.events import InputChange, Measurement, PlateRead, Rejected, SampleBlock, TagRead


class Sent:
    """What the driver has sent, and how far the log has come in it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._position = 0
        self._changed = asyncio.Event()

    def add(self, data: bytes) -> None:
        self.data += data
        self._changed.set()

    async def until(self, data: bytes) -> None:
        async with asyncio.timeout(10):
            while (found := self.data.find(data, self._position)) < 0:
                self._changed.clear()
                await self._changed.wait()
        self._position = found + len(data)


async def play(lines: list[dict[str, Any]], sent: Sent, send: Callable[[bytes], None]) -> None:
    for line in lines:
        if "tx" in line:
            await sent.until(bytes.fromhex(line["tx"]))
        else:
            send(bytes.fromhex(line["rx"]))
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def on_a_line(header: dict[str, Any], lines: list[dict[str, Any]]) -> AsyncIterator[Events]:
    with pty() as line:
        sent = Sent()
        line.on_data(lambda data: sent.add(data) or b"")  # type: ignore[func-returns-value]
        made = registry.create(header["driver"], "dev", line.path, header.get("options", {}))
        async with running(made) as events:
            await _opened(line)
            await play(lines, sent, line.send)
            yield events


async def _opened(line: Pty) -> None:
    """pyserial throws away what came before a line is opened: give it the time to do so."""
    await asyncio.sleep(0.15)


@contextlib.asynccontextmanager
async def by_tcp(header: dict[str, Any], lines: list[dict[str, Any]]) -> AsyncIterator[Events]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = Sent()
        playing = asyncio.create_task(play(lines, sent, writer.write))
        try:
            while data := await reader.read(4096):
                sent.add(data)
        finally:
            playing.cancel()

    async with tcp_peer(talk) as port:
        made = registry.create(header["driver"], "dev", f"tcp://127.0.0.1:{port}", header.get("options", {}))
        async with running(made) as events:
            yield events


def told(events: Events) -> list[str]:
    """The events as lines, kind by kind; without times, and without what depends on how bytes were bunched."""
    lines = []
    for block in events.of(SampleBlock):
        for index, row in enumerate(block.samples.tolist()):
            lost = f" after {block.lost_scans} lost" if block.lost_scans and not index else ""
            lines.append(f"scan {block.stream}:{block.first_scan + index} {row}{lost}")
    lines += [f"tag {e.tag} antenna {e.antenna} rssi_dbm {e.rssi_dbm}" for e in events.of(TagRead)]
    lines += [f"plate {e.plate} country {e.country} confidence {e.confidence}" for e in events.of(PlateRead)]
    lines += [f"input {e.name} {'on' if e.on else 'off'} count {e.count}" for e in events.of(InputChange)]
    first = {e.name: f"measurement {e.name} {e.value:g} {e.unit}" for e in reversed(events.of(Measurement))}
    lines += sorted(first.values())
    rejected: Counter[str] = Counter()
    for event in events.of(Rejected):
        rejected[event.reason] += event.count
    lines += [f"rejected {reason} {count}" for reason, count in sorted(rejected.items())]
    return lines


def play_to_driver(lines: list[dict[str, Any]]) -> contextlib.AbstractAsyncContextManager[Events]:
    """The header line and then the bytes; over TCP where the header says so, else over a pseudo-terminal."""
    header = lines[0]["header"]
    player = by_tcp if header.get("link") == "tcp" else on_a_line
    return player(header, lines[1:])
