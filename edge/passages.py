"""Passages: what loops, readers and WIM arrays say at one point of one lane, put together to vehicles.

Sightings come in the order of time; a vehicle is what lies close together. Repeated reads of one identity (a vehicle
that stands before the reader, a reader that is stuck, a copied sticker) are one passage, counted in `Counters`.
Called by `edge.waits`.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge import core
from edge.readings import signature
from edge.sightings import AxleSighting, LoopCount, PlateSighting, TagSighting, TokenSighting
from edge.site_exchange import PlateTokens

TOGETHER_NS = 3_000_000_000  # sightings of one vehicle lie closer than this
_TWICE_NS = 400_000_000  # two counts of one loop closer than this are one vehicle
_AGAIN_NS = 600_000_000_000  # the same identity at the same point within this time is the same passage
_STUCK_READS = 20  # so many reads of one identity within a minute: reader stuck or sticker copied
_MINUTE_NS = 60_000_000_000
_KEPT_IDENTITIES = 1024

Seen = TagSighting | PlateSighting | TokenSighting | LoopCount | AxleSighting


@dataclass(slots=True, eq=False)
class Passage:
    """A vehicle at a point. Identities stay in memory and out of `repr`."""

    time_ns: int
    lane: str
    looped: bool = False
    tags: list[str] = field(default_factory=list, repr=False)
    plates: list[npt.NDArray[np.uint8]] = field(default_factory=list, repr=False)
    tokens: list[PlateTokens] = field(default_factory=list, repr=False)  # plates, for comparison across computers
    axles: npt.NDArray[np.float32] | None = field(default=None, repr=False)

    @property
    def mask(self) -> int:
        """What was read of it: core.TAG | core.PLATE | core.AXLES."""
        return (
            (core.TAG if self.tags else 0)
            | (core.PLATE if self.plates or self.tokens else 0)
            | (core.AXLES if self.axles is not None else 0)
        )


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
        if isinstance(seen, (TagSighting, PlateSighting, TokenSighting)) and self._repeated(seen):
            return None, False
        passage = self._nearest(seen)
        new = passage is None
        if passage is None:
            passage = Passage(seen.time_ns, seen.lane)
            self._recent.append(passage)
        if isinstance(seen, LoopCount):
            if passage.looped:
                self._counters["double_count"] += 1
                return None, False
            passage.looped = True
        elif isinstance(seen, TagSighting):
            passage.tags.append(seen.id)
        elif isinstance(seen, PlateSighting):
            passage.plates.append(core.encode_plate(seen.id))
        elif isinstance(seen, TokenSighting):
            passage.tokens.extend(seen.tokens)
        else:
            passage.axles = signature(seen.positions_m, seen.loads_kg)
        return passage, new

    def _repeated(self, seen: TagSighting | PlateSighting | TokenSighting) -> bool:
        last_ns, began_ns, reads = self._identities.pop(seen.id, (-(1 << 62), seen.time_ns, 0))
        if seen.time_ns - began_ns > _MINUTE_NS:
            began_ns, reads = seen.time_ns, 0
        reads += 1
        self._identities[seen.id] = (max(last_ns, seen.time_ns), began_ns, reads)
        if len(self._identities) > _KEPT_IDENTITIES:
            self._identities.popitem(last=False)
        if reads == _STUCK_READS:
            self._counters["stuck_reader"] += 1
            self.stuck.add(self._where)
        if seen.time_ns - last_ns < _AGAIN_NS:
            self._counters["repeated_read"] += 1
            return True
        return False

    def _nearest(self, seen: Seen) -> Passage | None:
        best, best_ns = None, TOGETHER_NS
        for passage in reversed(self._recent):
            distance = abs(passage.time_ns - seen.time_ns)
            if isinstance(seen, LoopCount):
                fits = not passage.looped or distance < _TWICE_NS
            elif isinstance(seen, TagSighting):
                fits = not passage.tags or distance < _TWICE_NS
            elif isinstance(seen, PlateSighting):
                fits = not passage.plates or distance < _TWICE_NS
            elif isinstance(seen, TokenSighting):
                fits = not passage.tokens or distance < _TWICE_NS
            else:
                fits = passage.axles is None
            if fits and distance < best_ns:
                best, best_ns = passage, distance
        return best
