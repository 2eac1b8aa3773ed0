"""Live waveforms for those who look at a lane: blocks and weighed vehicles in, JSON lines to each looker out.

The crossing hands its blocks here only while somebody looks (`Crossing.scope`), so that nobody costs nothing. A looker
who reads too slowly loses frames, which are counted and told in the next one; drawing is the looker's work.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from drivers.events import SampleBlock
from edge.core import WimVehicle
from edge.crossing import Crossing
from edge.messages import utc_text

LOOKERS_MOST = 8
_HEALTH_EVERY_S = 1.0

Send = Callable[[bytes], bool]  # a line; false where it was dropped


class Looker:
    """One who looks at a lane."""

    def __init__(self, lane: str, send: Send) -> None:
        self.lane, self._send = lane, send
        self.dropped = 0
        self.health_at: float | None = None

    def tell(self, frame: dict[str, Any]) -> None:
        if self.dropped:
            frame = {**frame, "dropped": self.dropped}
        if self._send(msgspec.json.encode(frame) + b"\n"):
            self.dropped = 0
        else:
            self.dropped += 1


class Scopes:
    """All who look. Called by the socket's server, and by the crossing as its `scope`."""

    def __init__(self, crossing: Crossing) -> None:
        self._crossing = crossing
        self._lookers: list[Looker] = []

    def open(self, lane: str, send: Send) -> Looker | str:
        """Somebody looks from now on; a text where that cannot be."""
        if lane not in self._crossing.lanes:
            return f"no lane {lane!r} is weighed here; there are {', '.join(self._crossing.lanes) or 'none'}"
        if len(self._lookers) >= LOOKERS_MOST:
            return f"{LOOKERS_MOST} look already; close one of them"
        looker = Looker(lane, send)
        self._lookers.append(looker)
        self._crossing.scope = self
        return looker

    def close(self, looker: Looker) -> None:
        self._lookers.remove(looker)
        if not self._lookers:
            self._crossing.scope = None

    def samples(self, lane: str, block: SampleBlock, end_scan: int) -> None:
        """A block of that lane, which ends before scan `end_scan` of its stream."""
        mine = [looker for looker in self._lookers if looker.lane == lane]
        if not mine:
            return
        frame = {
            "kind": "samples", "lane": lane, "scan": end_scan - len(block.samples), "time": utc_text(block.time_ns),
            "rate_hz": block.rate_hz, "channels": block.samples.shape[1],
            "samples": base64.b64encode(np.ascontiguousarray(block.samples, "<i2").tobytes()).decode(),
        }  # fmt: skip
        for looker in mine:
            at = end_scan / block.rate_hz
            if looker.health_at is None or not 0.0 <= at - looker.health_at < _HEALTH_EVERY_S:
                looker.health_at = at
                channels = msgspec.to_builtins(self._crossing.lanes[lane].channels())
                looker.tell({"kind": "channels", "lane": lane, "channels": channels})
            looker.tell(frame)

    def weighed(self, lane: str, found: WimVehicle) -> None:
        """A vehicle as the core tells it; its scans are those of `samples`."""
        for looker in self._lookers:
            if looker.lane == lane:
                looker.tell({"kind": "weighed", "lane": lane, **msgspec.to_builtins(found)})
