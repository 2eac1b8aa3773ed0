"""What identities say of two passages: whether the vehicle downstream is one of those that passed upstream.

In: passages upstream with all that was read of them; for a passage downstream out come likelihood ratios, by the
passage upstream. Tags are compared exactly, plates by the readers' confusions, axle signatures against what this
traffic looks like, tokens with those of other computers; that something was *not* read is evidence too. Called by
`edge.waiting.segment`. Memory is bounded: `POOL` readings of plates and axles.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from edge import core
from edge.exchange.tokens import TokenIndex
from edge.waiting.passages import Passage
from edge.waiting.readings import AxleModel, ReadModel

POOL = 4096
KINDS = (core.TAG, core.PLATE, core.AXLES)
_MOST_PLATES = 4  # of one vehicle: tractor and trailer, front and rear
_MOST_TOKENS = 8
_TAG_LLR, _MOST_LLR = 14.0, 20.0
_LEAST_PLATE_LLR = -2.0  # plates that are less like one another are others
_ELSEWHERE_LLR = 2.0  # signatures in other lanes that are less like one another say nothing


class Entry(Struct, eq=False):
    """A passage upstream that has not been found downstream."""

    passage: Passage
    pos: int  # in the queue of its lane
    lane: str
    number: int  # of the lane
    dead: int  # bits of what no reader looked for: it was dead
    slots: list[int] = []  # in the pool
    plates_n: int = 0  # plates of the passage that are in the pool

    @property
    def state(self) -> int:
        """What was read of it, and what was not looked for."""
        return self.passage.mask | self.dead << core.DEAD_SHIFT


def _case(state: int, bit: int) -> int:
    """0: it was read, 1: a reader that works did not read it, 2: no reader looked."""
    return 0 if state & bit else 2 if state & bit << core.DEAD_SHIFT else 1


_CASES = [(_case(state, KINDS[0]), _case(state, KINDS[1]), _case(state, KINDS[2])) for state in range(core.MASKS)]


class Pool:
    """Readings of passages upstream that have not been matched, in arrays that C walks through."""

    def __init__(self) -> None:
        self.used = 0
        self._free: list[int] = []
        self.plates = np.zeros((64, core.PLATE_ROW), np.uint8)
        self.axles = np.zeros((64, core.AXLE_FEATURES), np.float32)
        self.lane = np.full(64, -1, np.int32)
        self.entry: list[Entry | None] = []  # by slot

    def add(
        self, entry: Entry, plate: npt.NDArray[np.uint8] | None, axles: npt.NDArray[np.float32] | None
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
        """The slot is free again."""
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


class Evidence:
    """Of all lanes between two points."""

    def __init__(self, plates: core.PlateTable, counters: Counter[str]) -> None:
        self.plates = plates
        self._counters = counters
        self._pool = Pool()
        self._by_passage: dict[int, Entry] = {}  # by id() of the passage, for tokens
        self._tags: dict[str, list[Entry]] = {}
        self._tokens = TokenIndex()  # of plates, where another computer's take part
        self._models = (ReadModel(-6.0), ReadModel(-5.0), ReadModel(-6.0))  # tags, plates, axles
        self._defaults: dict[int, list[float]] = {}
        self._axles = AxleModel()

    # ---- upstream --------------------------------------------------------------------------------------------

    def add(self, entry: Entry) -> None:
        """What was read of it until now can be found."""
        passage = entry.passage
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
        if passage.tokens:
            self._by_passage[id(passage)] = entry
            for tokens in passage.tokens[:_MOST_TOKENS]:
                self._tokens.add(id(passage), tokens)

    def _pool_reading(
        self, entry: Entry, plate: npt.NDArray[np.uint8] | None, axles: npt.NDArray[np.float32] | None
    ) -> None:
        slot = self._pool.add(entry, plate, axles)
        if slot is None:
            self._counters["pool_full"] += 1
        else:
            entry.slots.append(slot)

    def forget(self, entry: Entry) -> None:
        """It was found, or will not come any more."""
        passage = entry.passage
        if passage.tokens:
            self._tokens.remove(id(passage))
            self._by_passage.pop(id(passage), None)
        for slot in entry.slots:
            self._pool.remove(slot)
        entry.slots.clear()
        for tag in passage.tags:
            same = self._tags.get(tag)
            if same is not None and entry in same:
                same.remove(entry)
                if not same:
                    del self._tags[tag]

    # ---- downstream ------------------------------------------------------------------------------------------

    def default(self, downstream: int) -> list[float]:
        """By what was read upstream: what it says that downstream this was read, and that not."""
        out = self._defaults.get(downstream)
        if out is not None:
            return out
        told = []  # by kind: what it says where upstream it was read, was not, or was not looked for
        for bit, model in zip(KINDS, self._models, strict=True):
            read = bool(downstream & bit)
            unknown = not read and downstream & bit << core.DEAD_SHIFT
            told.append((0.0, 0.0, 0.0) if unknown else (model.evidence(True, read), model.evidence(False, read), 0.0))
        one, two, three = told
        out = self._defaults[downstream] = [one[i] + two[j] + three[k] for i, j, k in _CASES]
        return out

    def compare(
        self, passage: Passage, lane: int, default: list[float]
    ) -> tuple[dict[int, float], list[tuple[Entry, float]]]:
        """What identities say: by position in this lane, and by passage in the other lanes."""
        gains: dict[Entry, float] = {}  # over the default
        if passage.tags:
            gain = _TAG_LLR - self._models[0].mismatch_llr
            for tag in passage.tags:
                for entry in self._tags.get(tag, ()):
                    gains[entry] = gain
        if passage.plates and self._pool.used:
            self._compare_plates(passage, gains)
        if passage.axles is not None and passage.axles[0] > 0 and self._pool.used:
            self._compare_axles(passage.axles, lane, gains)
        if passage.tokens and len(self._tokens):
            self._compare_tokens(passage, gains)
        here: dict[int, float] = {}
        away: list[tuple[Entry, float]] = []
        for entry, gain in gains.items():
            value = default[entry.state] + gain
            if entry.number == lane:
                here[entry.pos] = value
            else:
                away.append((entry, value))
        return here, away

    def _compare_plates(self, passage: Passage, gains: dict[Entry, float]) -> None:
        pool, mismatch = self._pool, self._models[1].mismatch_llr
        best: dict[Entry, float] = {}
        for plate in passage.plates[:_MOST_PLATES]:
            for slot, llr in self.plates.find(plate, pool.plates, pool.used, _LEAST_PLATE_LLR):
                entry = pool.entry[slot]
                if entry is not None and llr > best.get(entry, mismatch):
                    best[entry] = llr
        for entry, llr in best.items():
            gains[entry] = gains.get(entry, 0.0) + (llr if llr < _MOST_LLR else _MOST_LLR) - mismatch

    def _compare_axles(self, axles: npt.NDArray[np.float32], lane: int, gains: dict[Entry, float]) -> None:
        pool, mismatch = self._pool, self._models[2].mismatch_llr
        ratios = self._axles.compare(axles, pool.axles[: pool.used])
        here = pool.lane[: pool.used] == lane
        for slot in ((ratios > -1e8) & (here | (ratios > _ELSEWHERE_LLR))).nonzero()[0].tolist():
            entry = pool.entry[slot]
            if entry is not None:
                gains[entry] = gains.get(entry, 0.0) + float(ratios[slot]) - mismatch

    def _compare_tokens(self, passage: Passage, gains: dict[Entry, float]) -> None:
        mismatch = self._models[1].mismatch_llr
        for key, score in self._tokens.compare(passage.tokens[:_MOST_TOKENS]).items():
            entry = self._by_passage.get(key)
            if entry is not None and score > mismatch and not (passage.plates and entry.passage.plates):
                gains[entry] = gains.get(entry, 0.0) + min(_MOST_LLR, score) - mismatch

    # ---- learning --------------------------------------------------------------------------------------------

    def note(self, passage: Passage) -> None:
        """A vehicle of this traffic arrived downstream."""
        if passage.axles is not None:
            self._axles.note(passage.axles)

    def learn(self, entry: Entry, down: Passage, dead: int) -> None:
        """Two passages that are surely of one vehicle; `dead` are the readers downstream that do not work."""
        up, dead = entry.passage, entry.dead | dead
        changed = False
        for model, bit in zip(self._models, KINDS, strict=True):
            if ((up.mask | down.mask) & bit or model is self._models[0]) and not dead & bit & ~(up.mask & down.mask):
                changed = model.learn(bool(up.mask & bit), bool(down.mask & bit)) or changed
        if changed:
            self._defaults.clear()
        if len(up.plates) == 1 and len(down.plates) == 1:
            self.plates.learn(up.plates[0], down.plates[0])
        if up.axles is not None and down.axles is not None:
            self._axles.learn(up.axles, down.axles)
