"""The stretch between two points: which vehicle downstream is which upstream, and the queue of each lane.

Passages come in (`enter` upstream, `depart` downstream, in the order of time), matches come out. What identities say
is compared across all lanes (`evidence`), because drivers change lanes; the order of the vehicles is kept lane by
lane in the C filter. Called by `edge.waiting.waits`, one for each direction and pair of points.
Memory is bounded: `CAPACITY` passages a lane.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, OrderedDict
from collections.abc import Mapping

from msgspec import Struct

from edge import core
from edge.waiting.ends import End
from edge.waiting.evidence import Entry, Evidence
from edge.waiting.passages import TOGETHER_NS, Passage

CAPACITY = 1024
_OLDEST_NS = 6 * 3600 * 1_000_000_000  # a vehicle that has not come after so long does not come
_SURE = 0.9
_FEW = 0.05  # vehicles that came unseen; fewer do not matter
_AFTER_A_GAP = 0.05  # before the first that is seen again come any number, twenty in the mean
_STRONG_LLR = 3.0  # identity evidence above this makes a match one by identity
_AWAY_LLR = 2.0  # and above this one of another lane is looked at
_SPEED_MPS = 12.0  # of free traffic on an approach, where only its length is known


class Match(Struct, frozen=True):
    """What became of one passage downstream. `wait_s` is the best estimate, None where there is none at all."""

    time_ns: int
    lane: str
    wait_s: float | None
    sure: bool  # the estimate is good enough to stand alone
    p: float
    by_identity: bool
    phantom: bool  # no vehicle at all: counted twice
    detour: bool  # matched, but it was somewhere else in between: duty free, another lane, inspection
    readable: bool  # an identity was read downstream
    busy: bool  # it had to wait for the booth
    rough_s: float | None  # the mean over all vehicles that it may be, where it is one of them at all
    sd_s: float  # deviation of that mean
    upstream: Passage | None


class Segment:
    """All lanes of one direction between two points; `lanes` with the booth cycle (s) thought before any was seen."""

    def __init__(
        self,
        lanes: Mapping[str, float],
        *,
        length_m: float | None,
        counters: Counter[str],
        plates: core.PlateTable | None = None,
    ) -> None:
        if length_m is not None and length_m > 0:
            free_flow_s, sd = max(2.0, length_m / _SPEED_MPS), 0.5
        else:
            free_flow_s, sd = 60.0, 0.9
        self.queues = {
            lane: core.QueueFilter(capacity=CAPACITY, free_flow_s=free_flow_s, free_flow_sd_ln=sd, cycle_s=cycle_s)
            for lane, cycle_s in lanes.items()
        }
        self.plates = plates if plates is not None else core.PlateTable()
        self._number = {lane: i for i, lane in enumerate(lanes)}
        self._names = list(lanes)
        self._counters = counters
        self._evidence = Evidence(self.plates, counters)
        self._entries: OrderedDict[int, Entry] = OrderedDict()  # by id() of the passage, oldest first
        self._by_pos: dict[tuple[int, int], Entry] = {}
        self._up = [End() for _ in lanes]
        self._down = [End() for _ in lanes]

    def counts(self, lane: str) -> bool:
        """Whether the loop of the lane at the point upstream works."""
        return self._up[self._number[lane]].loop.works

    def identifies(self, lane: str) -> bool:
        """Whether one kind of identity is read upstream, in any lane, and at this lane downstream."""
        read = 0
        for up in self._up:
            read |= ~up.dead
        return bool(~self._down[self._number[lane]].dead & read & 7)

    def empty(self, lane: str) -> None:
        """All that were seen in the lane upstream have gone, and nobody knows how many came after them unseen."""
        number = self._number[lane]
        for entry in [entry for entry in self._entries.values() if entry.number == number]:
            self.queues[lane].mark(entry.pos, 0, gone=True)
            self._forget(entry)
        self._came_unseen(number, _AFTER_A_GAP)

    def unwatched(self, lane: str, seconds: float, came_n: float) -> None:
        """Nobody looked so long; as many as `came_n` came meanwhile, by what came before."""
        self.queues[lane].unwatched(seconds)
        if came_n > _FEW:
            self._came_unseen(self._number[lane], 1.0 / (1.0 + came_n))

    def _came_unseen(self, number: int, share: float) -> None:
        """Of those before the next one that is seen, this share was seen."""
        self.queues[self._names[number]].counts(share, self._down[number].seen)
        self._up[number].gap = True

    # ---- upstream ----------------------------------------------------------------------------------------------

    def enter(self, passage: Passage) -> None:
        """A vehicle passed the upstream point; what is read of it may still follow by `mark`."""
        number = self._number[passage.lane]
        queue, end = self.queues[passage.lane], self._up[number]
        pos = queue.enter(passage.time_ns)
        entry = Entry(passage, pos, passage.lane, number, end.dead)
        while end.fresh and end.fresh[0].passage.time_ns < passage.time_ns - TOGETHER_NS:
            self._complete(end, end.fresh.popleft())
        end.fresh.append(entry)
        if end.gap:
            end.gap = False
            self._count(number)
        self._entries[id(passage)] = entry
        self._by_pos[(number, pos)] = entry
        self._expire(passage.time_ns)
        if passage.mask:
            self._evidence.add(entry)
        if entry.state:
            queue.mark(pos, entry.state)

    def mark(self, passage: Passage) -> None:
        """More was read of a passage that has entered."""
        entry = self._entries.get(id(passage))
        if entry is not None and passage.mask:
            self._evidence.add(entry)
            self.queues[entry.lane].mark(entry.pos, passage.mask)

    def _complete(self, end: End, entry: Entry) -> None:
        """Nothing more will be read of that passage upstream."""
        end.recent.append(entry)
        died, changed = end.note(entry.passage)
        for bit, misses in died:
            for earlier in [*itertools.islice(reversed(end.recent), misses), *end.fresh]:
                if not earlier.dead & bit:
                    earlier.dead |= bit
                    self.queues[earlier.lane].mark(earlier.pos, bit << core.DEAD_SHIFT)
        if changed:
            self._count(entry.number)

    def _count(self, number: int) -> None:
        self.queues[self._names[number]].counts(self._up[number].seen, self._down[number].seen)

    # ---- downstream --------------------------------------------------------------------------------------------

    def depart(self, passage: Passage) -> Match:
        """A vehicle arrived downstream: find it upstream."""
        number = self._number[passage.lane]
        end = self._down[number]
        if end.note(passage)[1]:
            self._count(number)
        default = self._evidence.default(passage.mask | end.unknown)
        here, away = self._evidence.compare(passage, number, default)
        elsewhere, nearest = self._elsewhere(passage, away) if away else (0.0, None)
        found = self.queues[passage.lane].depart(passage.time_ns, here, default, elsewhere)
        self._evidence.note(passage)
        if found.pos >= 0:
            return self._listed(passage, number, found, here, default)
        if nearest is not None and found.p_elsewhere > 0.5:
            return self._from_elsewhere(passage, found, nearest)
        return _nobody(passage, found)

    def _elsewhere(self, passage: Passage, away: list[tuple[Entry, float]]) -> tuple[float, Entry | None]:
        """Likelihood that it came in another lane, and the most likely one of these."""
        live = max(20, len(self._entries))
        total, best_llr, best = 0.0, -math.inf, None
        for entry, value in away:
            if value < _AWAY_LLR or passage.time_ns <= entry.passage.time_ns:
                continue
            total += math.exp(min(30.0, value)) * 4.0 / live
            if value > best_llr:
                best_llr, best = value, entry
        return total, best

    def _listed(
        self, passage: Passage, number: int, found: core.Departure, here: dict[int, float], default: list[float]
    ) -> Match:
        """It is one that passed upstream in this lane."""
        entry = self._by_pos.get((number, found.pos))
        base = default[entry.state] if entry else 0.0
        by_identity = found.pos in here and here[found.pos] - max(base, 0.0) > _STRONG_LLR
        detour = by_identity and not found.in_order and found.wait_s > 1.5 * found.mean_s + 300.0
        known = found.p > 0.5 or found.sd_s < max(90.0, 0.15 * found.mean_s)
        sure = by_identity or found.p > _SURE or found.sd_s < max(20.0, 0.04 * found.mean_s)
        wait_s = found.wait_s if found.p > 0.5 or by_identity else found.mean_s
        if entry is not None and found.p > _SURE:
            if found.in_order:
                self._evidence.learn(entry, passage, self._down[number].dead)
            self._forget(entry)
        return Match(
            time_ns=passage.time_ns,
            lane=passage.lane,
            wait_s=wait_s if known else None,
            sure=known and sure,
            p=found.p,
            by_identity=by_identity,
            phantom=False,
            detour=detour,
            readable=passage.mask != 0,
            busy=found.p_busy > 0.5,
            rough_s=found.mean_s,
            sd_s=found.sd_s,
            upstream=entry.passage if entry is not None and found.p > 0.5 else None,
        )

    def _from_elsewhere(self, passage: Passage, found: core.Departure, entry: Entry) -> Match:
        """It passed upstream in another lane."""
        wait_s = (passage.time_ns - entry.passage.time_ns) * 1e-9
        self.queues[entry.lane].mark(entry.pos, 0, gone=True)
        self._forget(entry)
        self._counters["lane_change"] += entry.lane != passage.lane
        return Match(
            time_ns=passage.time_ns,
            lane=passage.lane,
            wait_s=wait_s,
            sure=True,
            p=found.p_elsewhere,
            by_identity=True,
            phantom=False,
            detour=found.mean_s > 0 and wait_s > 1.5 * found.mean_s + 300.0,
            readable=True,
            busy=found.p_busy > 0.5,
            rough_s=wait_s,
            sd_s=0.0,
            upstream=entry.passage,
        )

    # ---- what is kept ------------------------------------------------------------------------------------------

    def _forget(self, entry: Entry) -> None:
        self._evidence.forget(entry)
        self._entries.pop(id(entry.passage), None)
        self._by_pos.pop((entry.number, entry.pos), None)

    def _expire(self, now_ns: int) -> None:
        most = CAPACITY * len(self.queues)
        while self._entries:
            entry = next(iter(self._entries.values()))
            if len(self._entries) <= most and now_ns - entry.passage.time_ns < _OLDEST_NS:
                break
            self._forget(entry)


def _nobody(passage: Passage, found: core.Departure) -> Match:
    """A vehicle that nobody saw upstream, or none at all."""
    return Match(
        time_ns=passage.time_ns,
        lane=passage.lane,
        wait_s=None,
        sure=False,
        p=0.0,
        by_identity=False,
        phantom=found.p_phantom > 0.5 and not passage.mask,
        detour=False,
        readable=passage.mask != 0,
        busy=found.p_busy > 0.5,
        rough_s=found.mean_s if found.mean_s > 0.0 and found.p_phantom < 0.5 else None,
        sd_s=found.sd_s,
        upstream=None,
    )
