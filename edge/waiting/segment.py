"""The stretch between two points: which vehicle downstream is which upstream, and the queue of each lane.

Passages come in (`enter` upstream, `depart` downstream, in the order of time), matches come out. Identities are
compared across all lanes, because drivers change lanes; the order of the vehicles is kept lane by lane in the C
filter. Called by `edge.waiting.waits`, one for each pair of points.
Memory is bounded: `CAPACITY` passages a lane, `POOL` readings in all.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from edge import core
from edge.exchange.tokens import TokenIndex
from edge.waiting.alive import Alive
from edge.waiting.passages import TOGETHER_NS, Passage
from edge.waiting.readings import AxleModel, ReadModel

CAPACITY = 1024
POOL = 4096
_OLDEST_NS = 6 * 3600 * 1_000_000_000  # a vehicle that has not come after so long does not come
_SURE = 0.9
_KINDS = (core.TAG, core.PLATE, core.AXLES)
_FEW = 0.05  # vehicles that came unseen; fewer do not matter
_AFTER_A_GAP = 0.05  # before the first that is seen again come any number, twenty in the mean
_RECENT = 64  # passages of a lane of which it may turn out that their reader was dead already
_MOST_PLATES = 4  # of one vehicle: tractor and trailer, front and rear
_TAG_LLR = 14.0
_STRONG_LLR = 3.0  # identity evidence above this makes a match one by identity
_SPEED_MPS = 12.0  # of free traffic on an approach, where only its length is known
_NO_POS = np.zeros(0, np.int64)
_NO_LLR = np.zeros(0, np.float32)


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


@dataclass(slots=True)
class _Entry:
    passage: Passage
    pos: int
    lane: str
    number: int  # of the lane
    slots: list[int]
    plates_n: int = 0  # plates of the passage that are in the pool
    dead: int = 0  # bits of what no reader looked for: it was dead

    @property
    def state(self) -> int:
        return self.passage.mask | self.dead << core.DEAD_SHIFT


def _case(state: int, bit: int) -> int:
    """0: it was read, 1: a reader that works did not read it, 2: no reader looked."""
    return 0 if state & bit else 2 if state & bit << core.DEAD_SHIFT else 1


_CASES = [(_case(state, _KINDS[0]), _case(state, _KINDS[1]), _case(state, _KINDS[2])) for state in range(core.MASKS)]


class _End:
    """What one lane has at one point: which of its readers work, and whether its loop does."""

    def __init__(self) -> None:
        self.readers = (Alive(), Alive(), Alive())
        self.loop = Alive()
        self.dead = sum(_KINDS)  # bits of the readers that do not work, as far as is known
        self.read_share = 0.0  # of the vehicles that the loop counts, those of which an identity is read
        self.recent: deque[_Entry] = deque(maxlen=_RECENT)  # upstream, as far as they are complete
        self.fresh: deque[_Entry] = deque()  # upstream, not complete yet
        self.gap = False  # nothing was seen here while vehicles came: so it is not known who is before the next one
        self._n = 0.0

    def note(self, passage: Passage) -> tuple[list[tuple[int, int]], bool]:
        """A complete passage. Readers found dead by it, as (bit, passages missed), and whether the loop has changed."""
        died = []
        for bit, reader in zip(_KINDS, self.readers, strict=True):
            if reader.note(bool(passage.mask & bit)) and not reader.works:
                died.append((bit, reader.misses))
        self.dead = sum(bit for bit, reader in zip(_KINDS, self.readers, strict=True) if not reader.works)
        if passage.looped:
            self._n = min(200.0, self._n + 1.0)
            self.read_share += ((1.0 if passage.mask else 0.0) - self.read_share) / self._n
        return died, self.loop.note(passage.looped)

    @property
    def seen(self) -> float:
        """Share of the vehicles that make a passage here."""
        return 1.0 if self.loop.works or self._n == 0.0 else min(0.98, max(0.02, self.read_share))


class _Pool:
    """Readings of passages upstream that have not been matched, in arrays that C walks through."""

    def __init__(self) -> None:
        self.used = 0
        self._free: list[int] = []
        self.plates = np.zeros((64, core.PLATE_ROW), np.uint8)
        self.axles = np.zeros((64, core.AXLE_FEATURES), np.float32)
        self.lane = np.full(64, -1, np.int32)
        self.entry: list[_Entry | None] = []  # by slot

    def add(
        self, entry: _Entry, plate: npt.NDArray[np.uint8] | None, axles: npt.NDArray[np.float32] | None
    ) -> int | None:
        """Slot of the reading, None when the pool is full."""
        if self._free:
            slot = self._free.pop()
        elif self.used < POOL:
            slot = self.used
            self.used += 1
            self.entry.append(None)
            if slot >= len(self.lane):
                self._grow()
        else:
            return None
        if plate is not None:
            self.plates[slot] = plate
        if axles is not None:
            self.axles[slot] = axles
        self.lane[slot] = entry.number
        self.entry[slot] = entry
        return slot

    def remove(self, slot: int) -> None:
        self.plates[slot] = 0
        self.axles[slot] = 0
        self.lane[slot] = -1
        self.entry[slot] = None
        self._free.append(slot)

    def _grow(self) -> None:
        more = len(self.lane)
        self.plates = np.concatenate([self.plates, np.zeros((more, core.PLATE_ROW), np.uint8)])
        self.axles = np.concatenate([self.axles, np.zeros((more, core.AXLE_FEATURES), np.float32)])
        self.lane = np.concatenate([self.lane, np.full(more, -1, np.int32)])


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
        self._number = {lane: i for i, lane in enumerate(lanes)}
        self._counters = counters
        self._pool = _Pool()
        self._entries: OrderedDict[int, _Entry] = OrderedDict()  # by id() of the passage, oldest first
        self._by_pos: dict[tuple[int, int], _Entry] = {}
        self._tags: dict[str, list[_Entry]] = {}
        self.plates = plates if plates is not None else core.PlateTable()
        self._tokens = TokenIndex()  # of plates, where another computer's take part
        self._models = (ReadModel(-6.0), ReadModel(-5.0), ReadModel(-6.0))  # tags, plates, axles
        self._by_mask: dict[int, list[float]] = {}
        self._axles = AxleModel()
        self._up = [_End() for _ in lanes]
        self._down = [_End() for _ in lanes]

    def counts(self, lane: str) -> bool:
        """Whether the loop of the lane at the point upstream works."""
        return self._up[self._number[lane]].loop.works

    def identifies(self, lane: str) -> bool:
        """Whether one kind of identity is read upstream, in any lane, and at this lane downstream."""
        here = ~self._down[self._number[lane]].dead & 7
        return any(here & ~up.dead for up in self._up)

    def empty(self, lane: str) -> None:
        """All that were seen in the lane upstream have gone, and nobody knows how many came after them unseen."""
        number = self._number[lane]
        for entry in [entry for entry in self._entries.values() if entry.number == number]:
            self.queues[lane].mark(entry.pos, 0, gone=True)
            self._forget(entry)
        self.queues[lane].counts(_AFTER_A_GAP, self._down[number].seen)
        self._up[number].gap = True

    def unwatched(self, lane: str, seconds: float, came_n: float) -> None:
        """Nobody looked so long; as many as `came_n` came meanwhile, by what came before."""
        self.queues[lane].unwatched(seconds)
        if came_n > _FEW:
            number = self._number[lane]
            self.queues[lane].counts(1.0 / (1.0 + came_n), self._down[number].seen)
            self._up[number].gap = True

    def enter(self, passage: Passage) -> None:
        """A vehicle passed the upstream point; what is read of it may still follow by `mark`."""
        number = self._number[passage.lane]
        pos = self.queues[passage.lane].enter(passage.time_ns)
        end = self._up[number]
        entry = _Entry(passage, pos, passage.lane, number, [], dead=end.dead)
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
            self.mark(passage)
        if entry.dead:
            self.queues[passage.lane].mark(pos, entry.dead << core.DEAD_SHIFT)

    def _complete(self, end: _End, entry: _Entry) -> None:
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
        lane = next(lane for lane, at in self._number.items() if at == number)
        self.queues[lane].counts(self._up[number].seen, self._down[number].seen)

    def mark(self, passage: Passage) -> None:
        """More was read of a passage that has entered."""
        entry = self._entries.get(id(passage))
        if entry is None:
            return
        for tag in passage.tags:
            same = self._tags.setdefault(tag, [])
            if entry not in same:
                same.append(entry)
        for plate in passage.plates[entry.plates_n : _MOST_PLATES]:
            entry.plates_n += 1
            self._pool_reading(entry, plate, None)
        if passage.axles is not None:
            if entry.slots:
                self._pool.axles[entry.slots[0]] = passage.axles
            else:
                self._pool_reading(entry, None, passage.axles)
        for tokens in passage.tokens[:8]:
            self._tokens.add(id(passage), tokens)
        if passage.mask:
            self.queues[entry.lane].mark(entry.pos, passage.mask)

    def _pool_reading(
        self, entry: _Entry, plate: npt.NDArray[np.uint8] | None, axles: npt.NDArray[np.float32] | None
    ) -> None:
        slot = self._pool.add(entry, plate, axles)
        if slot is None:
            self._counters["pool_full"] += 1
        else:
            entry.slots.append(slot)

    def depart(self, passage: Passage) -> Match:
        """A vehicle arrived downstream: find it upstream."""
        lane = self._number[passage.lane]
        end = self._down[lane]
        if end.note(passage)[1]:
            self._count(lane)
        mask_llr = self._mask_llr(passage.mask | end.dead << core.DEAD_SHIFT)
        here, away = self._evidence(passage, lane, mask_llr)
        pos, llr = _NO_POS, _NO_LLR
        if here:
            pos = np.fromiter(here.keys(), np.int64, len(here))
            llr = np.fromiter(here.values(), np.float32, len(here))
        elsewhere, best_away = 0.0, None
        if away:
            live = max(20, len(self._entries))
            best_llr = -math.inf
            for entry, value in away:
                travel_s = (passage.time_ns - entry.passage.time_ns) * 1e-9
                if travel_s <= 0.0 or value < 2.0:
                    continue
                elsewhere += math.exp(min(30.0, value)) * 4.0 / live
                if value > best_llr:
                    best_llr, best_away = value, entry
        found = self.queues[passage.lane].depart(passage.time_ns, pos, llr, mask_llr, elsewhere)
        if passage.axles is not None:
            self._axles.note(passage.axles)
        if found.pos >= 0:
            match = self._listed(passage, lane, found, here, mask_llr)
        elif best_away is not None and found.p_elsewhere > 0.5:
            match = self._from_elsewhere(passage, found, best_away)
        else:
            match = Match(
                passage.time_ns,
                passage.lane,
                None,
                False,
                0.0,
                False,
                found.p_phantom > 0.5 and not passage.mask,
                False,
                passage.mask != 0,
                found.p_busy > 0.5,
                found.mean_s if found.mean_s > 0.0 and found.p_phantom < 0.5 else None,
                found.sd_s,
                None,
            )
        return match

    def _listed(
        self, passage: Passage, lane: int, found: core.Departure, here: dict[int, float], mask_llr: list[float]
    ) -> Match:
        entry = self._by_pos.get((lane, found.pos))
        base = mask_llr[entry.state] if entry else 0.0
        by_identity = found.pos in here and here[found.pos] - max(base, 0.0) > _STRONG_LLR
        detour = by_identity and not found.in_order and found.wait_s > 1.5 * found.mean_s + 300.0
        known = found.p > 0.5 or found.sd_s < max(90.0, 0.15 * found.mean_s)
        sure = by_identity or found.p > _SURE or found.sd_s < max(20.0, 0.04 * found.mean_s)
        wait_s = found.wait_s if found.p > 0.5 or by_identity else found.mean_s
        if entry is not None:
            if found.p > _SURE and found.in_order:
                self._learn(entry, passage)
            if found.p > _SURE:
                self._forget(entry)
        return Match(
            passage.time_ns,
            passage.lane,
            wait_s if known else None,
            known and sure,
            found.p,
            by_identity,
            False,
            detour,
            passage.mask != 0,
            found.p_busy > 0.5,
            found.mean_s,
            found.sd_s,
            entry.passage if entry is not None and found.p > 0.5 else None,
        )

    def _from_elsewhere(self, passage: Passage, found: core.Departure, entry: _Entry) -> Match:
        wait_s = (passage.time_ns - entry.passage.time_ns) * 1e-9
        self.queues[entry.lane].mark(entry.pos, 0, gone=True)
        self._forget(entry)
        self._counters["lane_change"] += entry.lane != passage.lane
        detour = found.mean_s > 0 and wait_s > 1.5 * found.mean_s + 300.0
        return Match(
            passage.time_ns,
            passage.lane,
            wait_s,
            True,
            found.p_elsewhere,
            True,
            False,
            detour,
            True,
            found.p_busy > 0.5,
            wait_s,
            0.0,
            entry.passage,
        )

    def _mask_llr(self, downstream: int) -> list[float]:
        out = self._by_mask.get(downstream)
        if out is not None:
            return out
        told = []  # by kind: what it says where upstream it was read, was not, or was not looked for
        for bit, model in zip(_KINDS, self._models, strict=True):
            read = bool(downstream & bit)
            unknown = not read and downstream & bit << core.DEAD_SHIFT
            told.append((0.0, 0.0, 0.0) if unknown else (model.evidence(True, read), model.evidence(False, read), 0.0))
        one, two, three = told
        out = [one[i] + two[j] + three[k] for i, j, k in _CASES]
        self._by_mask[downstream] = out
        return out

    def _evidence(
        self, passage: Passage, lane: int, mask_llr: list[float]
    ) -> tuple[dict[int, float], list[tuple[_Entry, float]]]:
        """What identities say: by position in this lane, and by passage in the other lanes."""
        gains: dict[int, float] = {}  # over the default of the mask, by id() of the passage upstream
        by_plate: dict[int, float] = {}
        entries, pool = self._entries, self._pool
        if passage.tags:
            gain = _TAG_LLR - self._models[0].mismatch_llr
            for tag in passage.tags:
                for entry in self._tags.get(tag, ()):
                    gains[id(entry.passage)] = gain
        if pool.used and passage.plates:
            mismatch = self._models[1].mismatch_llr
            for plate in passage.plates[:_MOST_PLATES]:
                for slot, llr in self.plates.find(plate, pool.plates, pool.used, mismatch):
                    at = pool.entry[slot]
                    if at is not None:
                        key = id(at.passage)
                        best = by_plate.get(key)
                        if best is None or llr > best:
                            by_plate[key] = llr
            for key, llr in by_plate.items():
                gains[key] = gains.get(key, 0.0) + (llr if llr < 20.0 else 20.0) - mismatch
        if pool.used and passage.axles is not None and passage.axles[0] > 0:
            ratios = self._axles.compare(passage.axles, pool.axles[: pool.used])
            here_too = pool.lane[: pool.used] == lane
            mismatch = self._models[2].mismatch_llr
            for slot in ((ratios > -1e8) & (here_too | (ratios > 2.0))).nonzero()[0].tolist():
                at = pool.entry[slot]
                if at is not None:
                    key = id(at.passage)
                    gains[key] = gains.get(key, 0.0) + float(ratios[slot]) - mismatch
        if passage.tokens and len(self._tokens):
            mismatch = self._models[1].mismatch_llr
            for key, score in self._tokens.compare(passage.tokens[:8]).items():
                other = entries.get(key)
                if other is not None and score > mismatch and not (passage.plates and other.passage.plates):
                    gains[key] = gains.get(key, 0.0) + min(20.0, score) - mismatch
        here: dict[int, float] = {}
        away: list[tuple[_Entry, float]] = []
        for key, gain in gains.items():
            entry = entries[key]
            value = mask_llr[entry.state] + gain
            if entry.number == lane:
                here[entry.pos] = value
            else:
                away.append((entry, value))
        return here, away

    def _learn(self, entry: _Entry, down: Passage) -> None:
        up, dead = entry.passage, entry.dead | self._down[self._number[down.lane]].dead
        before = [model.version for model in self._models]
        for model, bit in zip(self._models, _KINDS, strict=True):
            if ((up.mask | down.mask) & bit or model is self._models[0]) and not dead & bit & ~(up.mask & down.mask):
                model.learn(bool(up.mask & bit), bool(down.mask & bit))
        if before != [model.version for model in self._models]:
            self._by_mask.clear()
        if len(up.plates) == 1 and len(down.plates) == 1:
            self.plates.learn(up.plates[0], down.plates[0])
        if up.axles is not None and down.axles is not None:
            self._axles.learn(up.axles, down.axles)

    def _forget(self, entry: _Entry) -> None:
        self._tokens.remove(id(entry.passage))
        for slot in entry.slots:
            self._pool.remove(slot)
        entry.slots.clear()
        for tag in entry.passage.tags:
            same = self._tags.get(tag)
            if same is not None and entry in same:
                same.remove(entry)
                if not same:
                    del self._tags[tag]
        self._entries.pop(id(entry.passage), None)
        self._by_pos.pop((entry.number, entry.pos), None)

    def _expire(self, now_ns: int) -> None:
        most = CAPACITY * len(self.queues)
        while self._entries:
            entry = next(iter(self._entries.values()))
            if len(self._entries) <= most and now_ns - entry.passage.time_ns < _OLDEST_NS:
                break
            self._forget(entry)
