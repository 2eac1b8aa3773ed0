"""The waveforms of one lane while somebody looks: frames of the daemon's socket in, pictures' numbers and SigMF out.

Made by the page's feed. A thread reads the socket into a ring of the last minutes; an answer reduces the stretch that
is shown to a smallest and a largest count for each column of the picture.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import socket
import tarfile
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.eyes.place import connect
from edge.messages import parse_utc, utc_text
from edge.page.footprints import Print, Way, prints
from edge.page.places import Places, paired
from edge.weighing.recording import Writer

MINUTES = 3.0
_RING_MOST = 48_000_000  # bytes
_COLUMNS_MOST = 1600
_SECONDS_MOST = 60.0
_VEHICLES_MOST = 60
_QUIET_S = 15.0  # without a frame


@dataclass(frozen=True, slots=True)
class _Block:
    scan: int
    time_ns: int
    rate_hz: float
    samples: npt.NDArray[np.int16]  # (scans, channels)


class LaneScope:
    """See the head of this file. `lane` is the lane's row of the state."""

    def __init__(self, path: Path, lane: dict[str, Any]) -> None:
        self._lane = lane
        self._sensors: list[dict[str, Any]] = lane["sensors"]
        self._lock = threading.Lock()
        self._blocks: deque[_Block] = deque()
        self._bytes = 0
        self._channels: list[dict[str, Any]] = self._sensors
        self._vehicles: deque[dict[str, Any]] = deque(maxlen=_VEHICLES_MOST)
        self._places = Places([sensor["x_m"] for sensor in self._sensors])
        self._judged: set[float] = set()
        self.dropped = 0
        self.ended = False
        self.wanted_at = time.monotonic()
        self._channel = connect(path, _QUIET_S)
        self._channel.sendall(json.dumps({"ask": "scope", "lane": lane["id"]}).encode() + b"\n")
        threading.Thread(target=self._read, name=f"scope {lane['id']}", daemon=True).start()

    def end(self) -> None:
        self.ended = True
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        self._channel.close()

    def _read(self) -> None:
        try:
            with self._channel.makefile("rb") as stream:
                for line in stream:
                    self.take(json.loads(line))
        except (OSError, ValueError):
            pass  # the daemon has gone, or it sends nothing: who looks again begins anew
        finally:
            self.ended = True

    def take(self, frame: dict[str, Any]) -> None:
        """A frame of the socket."""
        with self._lock:
            self.dropped += frame.get("dropped", 0)
            if frame.get("kind") == "samples":
                self._add(frame)
            elif frame.get("kind") == "channels":
                self._channels = frame["channels"]
            elif frame.get("kind") == "weighed":
                self._vehicles.append(frame)

    def _add(self, frame: dict[str, Any]) -> None:
        counts = np.frombuffer(base64.b64decode(frame["samples"]), "<i2").reshape(-1, frame["channels"])
        block = _Block(frame["scan"], parse_utc(frame["time"]), frame["rate_hz"], counts)
        last = self._blocks[-1] if self._blocks else None
        if last is not None and (block.scan < last.scan or counts.shape[1] != last.samples.shape[1]):
            self._blocks.clear()  # the stream began anew
            self._vehicles.clear()
            self._bytes = 0
        self._blocks.append(block)
        self._bytes += counts.nbytes
        while self._blocks and (
            self._bytes > _RING_MOST or block.time_ns - self._blocks[0].time_ns > MINUTES * 60 * 1_000_000_000
        ):
            self._bytes -= self._blocks.popleft().samples.nbytes

    # ---- what is shown ----------------------------------------------------------------------------------------

    def view(self, seconds: float, columns: int, end: int | None) -> dict[str, Any]:
        """The stretch of `seconds` that ends before scan `end` (None: now), in so many columns."""
        seconds = min(max(seconds, 0.05), _SECONDS_MOST)
        columns = min(max(columns, 50), _COLUMNS_MOST)
        with self._lock:
            if not self._blocks:
                return {"first": None, "ended": self.ended}
            newest, rate_hz = self._blocks[-1], self._blocks[-1].rate_hz
            last = newest.scan + len(newest.samples)
            oldest = self._blocks[0].scan
            end = last if end is None else min(max(end, oldest + 1), last)
            first = max(oldest, end - round(seconds * rate_hz))
            samples = self._stretch(first, end)
            vehicles, channels = list(self._vehicles), self._channels
        time_ns = newest.time_ns - round((newest.scan - end) / rate_hz * 1e9)
        found = [
            []
            if sensor["type"] == "loop"
            else prints(samples[:, state["channel"]], first, state["baseline_counts"], state["noise_counts"], rate_hz)
            for sensor, state in zip(self._sensors, channels, strict=True)
        ]
        shown = [v for v in vehicles if v["exit_scan"] >= first and v["way_from_scan"] <= end]
        self._judge(shown, found, first, end)
        return {
            "first": first, "end": end, "oldest": oldest, "last": last, "rate_hz": rate_hz, "time": utc_text(time_ns),
            "age_s": round((time.time_ns() - newest.time_ns) / 1e9, 1), "dropped": self.dropped, "ended": self.ended,
            "sensors": [
                {
                    **{key: state[key] for key in ("name", "channel", "state", "footprints", "missed")},
                    "type": sensor["type"], "x_m": sensor["x_m"], "baseline": round(state["baseline_counts"], 1),
                    "noise": round(state["noise_counts"], 2), **_columns(samples[:, state["channel"]], columns),
                    "prints": [[p.start, p.end, round(p.centroid, 1), p.sign] for p in mine],
                    "off_mm": None if off is None else round(1000 * off),
                }
                for sensor, state, mine, off in zip(self._sensors, channels, found, self._places.off_m(), strict=True)
            ],
            "vehicles": [self._fitted(vehicle) for vehicle in shown],
        }  # fmt: skip

    def _stretch(self, first: int, end: int) -> npt.NDArray[np.int16]:
        """Scans [first, end); lost ones stand at 0."""
        made = np.zeros((end - first, self._blocks[-1].samples.shape[1]), np.int16)
        for block in reversed(self._blocks):
            if block.scan + len(block.samples) <= first:
                break
            a, b = max(block.scan, first), min(block.scan + len(block.samples), end)
            if a < b:
                made[a - first : b - first] = block.samples[a - block.scan : b - block.scan]
        return made

    def _fitted(self, vehicle: dict[str, Any]) -> dict[str, Any]:
        """A vehicle with the scans at which its axles should be over each sensor, by the fitted motion."""
        keys = (
            "first_axle_scan", "exit_scan", "speed_mps", "gross_kg", "gross_sigma_kg", "flags", "axles",
            "way_from_scan", "way_m",
        )  # fmt: skip
        expected = [[round(scan, 1) for _, scan, _ in mine] for mine in self._passes(vehicle)]
        return {**{key: vehicle[key] for key in keys}, "expected": expected}

    def _passes(self, vehicle: dict[str, Any]) -> list[list[tuple[int, float, float]]]:
        """Of all axles over each sensor: axle, scan, way of a scan."""
        if not vehicle["way_m"]:
            return [[] for _ in self._sensors]
        way = Way(vehicle["way_from_scan"], vehicle["exit_scan"], vehicle["way_m"])
        return [
            [(n, *at) for n, axle in enumerate(vehicle["axles"]) for at in way.passes(axle["way_m"], sensor["x_m"])]
            for sensor in self._sensors
        ]

    def _judge(self, vehicles: list[dict[str, Any]], found: list[list[Print]], first: int, end: int) -> None:
        """Once for each vehicle that was wholly seen going one way: whether the sensors lie where they should."""
        for vehicle in vehicles:
            name = vehicle["first_axle_scan"]
            clear = not {"stopped_on_sensor", "reversed", "partial"}.intersection(vehicle["flags"])
            whole = first < vehicle["way_from_scan"] and vehicle["exit_scan"] < end
            if not (whole and clear) or name in self._judged:
                continue
            self._judged.add(name)
            self._places.vehicle(paired(self._passes(vehicle), found), self._lane["rate_hz"])
        if len(self._judged) > 10 * _VEHICLES_MOST:
            self._judged.clear()

    # ---- what is kept -----------------------------------------------------------------------------------------

    def saved(self) -> tuple[str, bytes]:
        """The ring as a SigMF archive: its name, and a tar of meta and data in a folder. LookupError while empty."""
        with self._lock:
            blocks = list(self._blocks)
        if not blocks:
            raise LookupError(self._lane["id"])
        name = f"{self._lane['id']}-{utc_text(blocks[0].time_ns)[:19].replace(':', '')}Z"
        with tempfile.TemporaryDirectory() as directory:
            base = Path(directory) / name
            writer = Writer(
                base, channels=blocks[0].samples.shape[1], rate_hz=blocks[0].rate_hz, lane=self._lane["id"],
                description="saved from the lane's page",
            )  # fmt: skip
            expected_scan = -1
            for block in blocks:
                if block.scan != expected_scan:
                    writer.capture(block.time_ns)
                writer.write(block.samples)
                expected_scan = block.scan + len(block.samples)
            writer.close()
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as archive:
                for ending in ("sigmf-meta", "sigmf-data"):
                    archive.add(f"{base}.{ending}", f"{name}/{name}.{ending}", filter=_anonymous)
        return name, packed.getvalue()


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _columns(counts: npt.NDArray[np.int16], columns: int) -> dict[str, list[int]]:
    """Smallest and largest count of each column."""
    edges = np.linspace(0, len(counts), min(columns, len(counts)) + 1).astype(np.int64)[:-1]
    return {"low": np.minimum.reduceat(counts, edges).tolist(), "high": np.maximum.reduceat(counts, edges).tolist()}
