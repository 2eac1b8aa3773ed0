"""A daemon's eyes without the daemon: a crossing, its socket and whoever asks, in this process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from site_text import array_tables, device_tables, lane_tables, store_tables

from drivers.events import DeviceState, LinkState, SampleBlock
from edge.config.file import load
from edge.crossing import Crossing
from edge.delivery.identity import new_key
from edge.delivery.journal import Journal
from edge.delivery.outbox import Outbox
from edge.eyes.lately import Lately
from edge.eyes.place import NAME
from edge.eyes.scopes import Scopes
from edge.eyes.server import Eyes
from edge.eyes.state import Parts, StateOf
from edge.messages import Backlog, CollectorStatus, Site, Status, utc_text

CONFIG = (
    lane_tables("approach", "wim", "booth", site={"name": "Test <bridge>"})
    + array_tables(0.0, 1.2, rate_hz=1000.0, loop_m=0.6, device="daq", mode="loop")
    + device_tables("daq", "labjack_t7", "tcp://127.0.0.1:1", point="wim",
             scan_list=["AIN0", "AIN1", "AIN2", "AIN3", "AIN4"], scan_rate_hz=1000.0)
    + device_tables("tag", url="tcp://127.0.0.1:1", point="approach")
    + store_tables(key="{key}")
)  # fmt: skip
RATE_HZ = 1000.0
TOKEN = "correct-horse-battery"  # of the page


class EyesBench:
    """Everything behind the socket; `on_loop` does something where the daemon would."""

    def __init__(self, directory: Path) -> None:
        self.store = directory / "store"
        self.config_path = directory / "lane.toml"
        key = directory / "identity.key"
        new_key(key)
        self.config_path.write_text(CONFIG.format(store=self.store, key=key))
        self.config = load(self.config_path)
        self.crossing = Crossing(self.config, source="lane-3", pseudonyms=None)
        self.lately = Lately()
        self.journal = Journal(self.store / "journal.db", 10**8, time.time_ns)
        self.path = self.store / NAME
        self.statuses = 0
        self.scans = 0
        self._start_ns = time.time_ns()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self) -> EyesBench:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self.journal.close()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        outbox = Outbox(self.journal, lambda *_: None)
        self.parts = Parts(self.config, "lane-3", self.status, self.crossing, self.lately, outbox)
        self.scopes = Scopes(self.crossing)
        self.eyes = Eyes(self.path, StateOf(self.parts), self.scopes)
        task = asyncio.create_task(self.eyes.run())
        while not self.path.exists():
            await asyncio.sleep(0.01)
        self._ready.set()
        await self._stop.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        outbox.close()

    def on_loop(self, do: Callable[[], Any]) -> Any:
        async def done() -> Any:
            return do()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)

    def status(self) -> Status:
        self.statuses += 1
        return Status(
            time=utc_text(time.time_ns()), site=Site("CA", "0453"), lane="_", source="lane-3", config="0123abcd",
            online=True, since=utc_text(self._start_ns), version="0.1.0", devices=self.crossing.devices(),
            backlog={"national": Backlog(messages=7, oldest=utc_text(self._start_ns))},
            collectors={"national": CollectorStatus(state="waiting", text="cannot be reached")},
            alarms=self.crossing.alarms.holding(),
        )  # fmt: skip

    def device(self, name: str, state: LinkState, text: str) -> None:
        said = DeviceState(name, time.time_ns(), state, text)
        self.on_loop(lambda: self.lately.take(self.crossing.event(said)))

    def samples(self, samples: np.ndarray[Any, Any]) -> None:
        """The next scans of the lane, from the daemon's loop."""
        first = self.scans
        self.scans += len(samples)
        time_ns = self._start_ns + round(first / RATE_HZ * 1e9)
        block = SampleBlock("daq", time_ns, RATE_HZ, 1, first, 0, np.ascontiguousarray(samples, np.int16))
        self.on_loop(lambda: self.lately.take(self.crossing.event(block)))

    def pass_truck(self, speed_mps: float = 5.0, reversed_half: bool = False) -> None:
        """Two axles, 4 m apart, 6 t and 10 t, over all halves; a second of quiet before and much after."""
        self.samples(truck(speed_mps, reversed_half))


def truck(speed_mps: float = 5.0, reversed_half: bool = False) -> np.ndarray[Any, Any]:
    """Counts (scans, 5), the last of a loop; a strip of width w under a tyre: the integral of F dx is load * w."""
    seconds = 4.0 + 6.0 / speed_mps
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    counts = np.random.default_rng(1).normal(0.0, 1.0, (len(at), 5))
    tyre_m, width_m = 0.22, 0.053
    for channel, x_m in enumerate((0.0, 0.0, 1.2, 1.2)):
        for position_m, load_kg in ((0.0, 6000.0), (4.0, 10_000.0)):
            middle_m = (at - 1.0) * speed_mps - position_m - x_m
            part = np.clip((tyre_m + width_m) / 2 - np.abs(middle_m), 0.0, min(tyre_m, width_m))
            counts[:, channel] += load_kg / 2 * 9.80665 * part / tyre_m / 4.0
    front_m = (at - 1.0) * speed_mps + 0.8
    counts[:, 4] = np.where((front_m > -0.4) & (front_m < 1.6 + 5.5), 1000.0, 0.0)
    if reversed_half:
        counts[:, 3] *= -1
    return np.rint(counts)
