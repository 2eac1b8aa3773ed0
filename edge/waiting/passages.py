"""Passages: what loops, readers and WIM arrays say at one point of one lane, put together to vehicles.

Sightings come in the order of time; a vehicle is what lies close together. Repeated reads of one identity (a vehicle
that stands before the reader, a reader that is stuck, a copied sticker) are one passage, counted in `Counters`.
Called by `edge.waiting.waits`.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from edge import core
from edge.exchange.tokens import PlateTokens
from edge.waiting.readings import signature
from edge.waiting.sightings import AxleSighting, LoopCount, PlateSighting, TagSighting, TokenSighting

TOGETHER_NS = 3_000_000_000  # sightings of one vehicle lie closer than this
_TWICE_NS = 400_000_000  # two counts of one loop closer than this are one vehicle
_FAR_NS = 30_000_000_000  # no passage before this is looked at
_AGAIN_NS = 600_000_000_000  # the same identity at the same point within this time is the same passage
_STUCK_READS = 20  # so many reads of one identity within a minute: reader stuck or sticker copied
_MINUTE_NS = 60_000_000_000
_KEPT_IDENTITIES = 1024
_NEVER = (-(1 << 62), -(1 << 62), 0)

Seen = TagSighting | PlateSighting | TokenSighting | LoopCount | AxleSighting


_HAS: dict[type, str] = {
    LoopCount: "looped",
    TagSighting: "tags",
    PlateSighting: "plates",
    TokenSighting: "tokens",
    AxleSighting: "weighed",
}
"""What a passage has of each kind."""
_IDENTITIES = {"tags", "plates", "tokens"}


class Passage(Struct, eq=False):
    """A vehicle at a point. Identities stay in memory and out of `repr`."""

    time_ns: int
    lane: str
    looped: bool = False
    tags: list[str] = []
    plates: list[npt.NDArray[np.uint8]] = []
    tokens: list[PlateTokens] = []  # plates, for comparison across computers
    axles: npt.NDArray[np.float32] | None = None
    weighed: bool = False
    mask: int = 0  # what was read of it: core.TAG | core.PLATE | core.AXLES

    def __repr__(self) -> str:
        return f"Passage({self.time_ns}, {self.lane!r})"


class PointOfLane:
    """Puts the sightings of one point of one lane together to passages."""

    def __init__(self, counters: Counter[str], where: str) -> None:
        self._counters = counters
        self._where = where
        self._recent: deque[Passage] = deque(maxlen=16)
        self._identities: OrderedDict[str, tuple[int, int, int]] = OrderedDict()  # last time, minute began, reads in it
        self.stuck: set[str] = set()

    def take(self, seen: Seen) -> tuple[Passage | None, bool]:
        """The passage that this belongs to, and whether it is a new one; (None, False) for a repetition."""
        kind, time_ns = type(seen), seen.time_ns
        has = _HAS[kind]
        if has in _IDENTITIES and self._repeated(seen.id, time_ns):  # type: ignore[union-attr]
            return None, False
        passage, new = self._nearest(time_ns, has), False
        if passage is None:
            passage, new = Passage(time_ns, seen.lane), True
            self._recent.append(passage)
        if kind is LoopCount:
            if passage.looped:
                self._counters["double_count"] += 1
                return None, False
            passage.looped = True
        elif kind is TagSighting:
            passage.tags.append(seen.id)  # type: ignore[union-attr]
            passage.mask |= core.TAG
        elif kind is PlateSighting:
            passage.plates.append(core.encode_plate(seen.id))  # type: ignore[union-attr]
            passage.mask |= core.PLATE
        elif kind is TokenSighting:
            passage.tokens.extend(seen.tokens)  # type: ignore[union-attr]
            passage.mask |= core.PLATE
        else:
            passage.axles = signature(seen.positions_m, seen.loads_kg)  # type: ignore[union-attr]
            passage.weighed = True
            passage.mask |= core.AXLES
        return passage, new

    def _nearest(self, time_ns: int, has: str) -> Passage | None:
        """The nearest passage that lacks this kind of sighting, or had it a moment ago."""
        best, best_ns = None, TOGETHER_NS
        for passage in reversed(self._recent):
            distance = time_ns - passage.time_ns
            if distance > _FAR_NS:
                break
            if -best_ns < distance < best_ns and (-_TWICE_NS < distance < _TWICE_NS or not getattr(passage, has)):
                best, best_ns = passage, abs(distance)
        return best

    def _repeated(self, identity: str, time_ns: int) -> bool:
        identities = self._identities
        last_ns, began_ns, reads = identities.pop(identity, _NEVER)
        if time_ns - began_ns > _MINUTE_NS:
            began_ns, reads = time_ns, 0
        reads += 1
        identities[identity] = (time_ns if time_ns > last_ns else last_ns, began_ns, reads)
        while len(identities) > _KEPT_IDENTITIES or identities[next(iter(identities))][0] < time_ns - _AGAIN_NS:
            identities.popitem(last=False)  # an identity is not kept for longer than it serves
        if reads == _STUCK_READS:
            self._counters["stuck_reader"] += 1
            self.stuck.add(self._where)
        if time_ns - last_ns < _AGAIN_NS:
            self._counters["repeated_read"] += 1
            return True
        return False
