"""The state of this computer as one JSON object: the daemon's parts in, what `status`, page and metrics show out.

Made on the daemon's loop when somebody asks, at most once a second for all of them together; the disk is asked in a
thread, since a dying one may not answer.
"""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from edge import config as cfg
from edge.crossing import Crossing
from edge.delivery.outbox import Outbox
from edge.eyes.lately import Lately
from edge.machine.clock import clock_state
from edge.messages import Status, parse_utc, utc_text

SCHEMA = "borderflow/state/1"
_FRESH_S = 1.0
_DISK_S = 0.2


@dataclass(slots=True)
class Reloads:
    """How the last reload ended, for who asked for it (`borderflow reload`)."""

    count: int = 0
    time: str | None = None
    taken: bool = True
    said: list[str] = field(default_factory=list)

    def end(self, *, taken: bool, said: list[str], now_ns: int) -> None:
        self.count, self.time, self.taken, self.said = self.count + 1, utc_text(now_ns), taken, said


@dataclass(slots=True)
class Parts:
    """What there is to tell of."""

    config: cfg.Config
    source: str
    status: Callable[[], Status]
    crossing: Crossing
    lately: Lately
    outbox: Outbox
    reloads: Reloads = field(default_factory=Reloads)
    file: Path | None = None  # of the configuration


class StateOf:
    """Called by the socket's server."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._disk = _Disk(parts.config.store)
        self._made_at = -_FRESH_S
        self._made: bytes = b""

    async def encoded(self) -> bytes:
        """The state as one line of JSON."""
        if time.monotonic() - self._made_at >= _FRESH_S:
            disk = await self._disk.look()
            self._made = msgspec.json.encode({**self.now(time.time_ns()), "disk": disk})
            self._made_at = time.monotonic()
        return self._made

    def now(self, now_ns: int) -> dict[str, Any]:
        parts, status = self._parts, self._parts.status()
        site = parts.config.site
        return {
            "schema": SCHEMA,
            "time": utc_text(now_ns),
            "source": parts.source,
            "site": {"country": site.country, "port": site.port, "name": site.name, "timezone": site.timezone},
            "since": status.since,
            "up_s": _age_s(status.since, now_ns),
            "config": status.config,
            "alarms": self._alarms(status, now_ns),
            "lanes": [self._lane(lane, now_ns) for lane in parts.config.lane],
            "devices": self._devices(status, now_ns),
            "collectors": self._collectors(status, now_ns),
            "journal": self._journal(),
            "clock": _clock(),
            "versions": versions(status.version),
            "reload": asdict(parts.reloads),
            "process": {**_process(), "config_file": None if parts.file is None else str(parts.file.absolute())},
            "vehicles": parts.lately.vehicles(),
            "waits": parts.lately.waits(),
        }

    @staticmethod
    def _alarms(status: Status, now_ns: int) -> list[dict[str, Any]]:
        rank = ("critical", "warning", "info")
        held = () if status.alarms is UNSET else status.alarms
        rows = [{**msgspec.to_builtins(alarm), "age_s": _age_s(alarm.since, now_ns)} for alarm in held]
        return sorted(rows, key=lambda row: (rank.index(row["severity"]), row["since"]))

    def _lane(self, lane: cfg.Lane, now_ns: int) -> dict[str, Any]:
        pipeline = self._parts.crossing.lanes.get(lane.id)
        last = self._parts.lately.last_of(lane.id)
        sensors: list[dict[str, Any]] = []
        fit = None
        if pipeline is not None and lane.wim is not None:
            fit, against = self._parts.crossing.calibration(lane.id)
            sensors = [
                {
                    "type": sensor.type, "x_m": sensor.x_m, "y_m": sensor.y_m, "gain_n": sensor.gain_n,
                    "against": against.get(sensor.name), **msgspec.to_builtins(health),
                }
                for sensor, health in zip(lane.wim.sensor, pipeline.channels(), strict=True)
            ]  # fmt: skip
        return {
            "id": lane.id, "traffic": lane.traffic, "program": lane.program, "direction": lane.direction,
            "digitiser": lane.wim.device if lane.wim is not None else None,
            "rate_hz": lane.wim.sample_rate_hz if lane.wim is not None else None,
            "occupied": pipeline.occupied if pipeline is not None and self._hears(lane) else None,
            "vehicles": self._parts.lately.weighed[lane.id],
            "last_vehicle_age_s": None if last is None else _age_s(last.time, now_ns),
            "sensors": sensors, "calibration": None if fit is None else msgspec.to_builtins(fit),
        }  # fmt: skip

    def _hears(self, lane: cfg.Lane) -> bool:
        """Whether the digitiser of a lane is there: what stood over the array when it fell silent may have gone."""
        device = None if lane.wim is None else lane.wim.device
        seen = self._parts.crossing.devices()
        return device in seen and seen[device].state == "online"

    def _devices(self, status: Status, now_ns: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for device in self._parts.config.device:
            row = msgspec.to_builtins(status.devices[device.name])
            where = {"driver": device.driver, "lane": device.lane, "point": device.point}
            age_s = (
                None
                if row["state"] == "connecting" and row["since"].startswith("1970")
                else _age_s(row["since"], now_ns)
            )
            made[device.name] = {**where, **row, "age_s": age_s}
        return made

    @staticmethod
    def _collectors(status: Status, now_ns: int) -> dict[str, Any]:
        links = {} if status.collectors is UNSET else status.collectors
        made: dict[str, Any] = {}
        for name, backlog in status.backlog.items():
            oldest_s = None if backlog.oldest is None else _age_s(backlog.oldest, now_ns)
            link = msgspec.to_builtins(links[name]) if name in links else {}
            made[name] = {**link, "backlog": backlog.messages, "oldest_age_s": oldest_s}
        return made

    def _journal(self) -> dict[str, Any]:
        outbox = self._parts.outbox
        refusal = outbox.refusal
        return {
            "refusal": None if refusal is None else str(refusal), "waiting": outbox.waiting, "refused": outbox.refused,
        }  # fmt: skip


class _Disk:
    """One look at a time, in a thread: where the disk hangs, that look goes on alone and what is known is null."""

    def __init__(self, store: cfg.Store) -> None:
        self._store = store
        self._looking: asyncio.Future[dict[str, Any]] | None = None

    async def look(self) -> dict[str, Any]:
        if self._looking is None:
            self._looking = asyncio.ensure_future(asyncio.to_thread(self._read))
        known: dict[str, Any] = {"path": self._store.path, "journal_most_bytes": self._store.max_bytes}
        done, _ = await asyncio.wait({self._looking}, timeout=_DISK_S)
        if not done:
            return {**known, "free_bytes": None, "total_bytes": None, "journal_bytes": None}
        looked, self._looking = self._looking, None
        return {**known, **looked.result()}

    def _read(self) -> dict[str, Any]:
        store = Path(self._store.path)
        try:
            found = os.statvfs(store)
            files = sum(path.stat().st_size for path in store.glob("journal.db*"))
        except OSError:
            return {"free_bytes": None, "total_bytes": None, "journal_bytes": None}
        size = found.f_frsize
        return {"free_bytes": found.f_bavail * size, "total_bytes": found.f_blocks * size, "journal_bytes": files}


def versions(borderflow: str) -> dict[str, str]:
    return {"borderflow": borderflow, "python": platform.python_version(), "kernel": platform.release()}


def _clock() -> dict[str, Any] | None:
    state = clock_state()
    if state is None:
        return None
    return {"synchronised": state.synchronised, "estimated_error_s": state.estimated_error_s, "text": state.text}


def _process() -> dict[str, Any]:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "pid": os.getpid(), "cpu_s": round(time.process_time(), 2), "memory_bytes": pages * os.sysconf("SC_PAGE_SIZE"),
    }  # fmt: skip


def _age_s(since: str, now_ns: int) -> float:
    return round((now_ns - parse_utc(since)) / 1e9, 1)
