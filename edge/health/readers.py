"""Watches of plate and tag readers: silent while vehicles pass, stuck on one identity, unsure of what it reads.

Identities are compared in memory, as they were read; they enter no text.
"""

from __future__ import annotations

import math
import statistics
from collections import OrderedDict, deque
from typing import ClassVar

from edge.health.watch import SECOND_NS, Latch
from edge.messages import Args, Severity

_BY_CHANCE = 1e-4  # that so many vehicles in a row pass unread by chance
_FEWEST_MISSED = 3
_READ_BELONGS_NS = 8 * SECOND_NS  # a read up to so long before the loop is of the vehicle on it
_APART_NS = 3 * SECOND_NS // 2  # vehicles that stop at a booth or queue follow each other no faster
_LEAVES_NS = 4 * SECOND_NS  # a vehicle that has left the loop is out of a reader's field after this
_SAME_STAY_NS = 120 * SECOND_NS
_STUCK_READS = 3
_STUCK_QUIET_NS = 10 * SECOND_NS
_MOST_SPEED_MPS = 40.0
_LEAST_TRAVEL_NS = SECOND_NS
_SLACK, _ENOUGH = 1.0, 5.0  # of the cumulative sum of confidence lost, in standard deviations
_USUAL_READS = 8  # make a first idea of how sure a reader usually is
_FEW_SHARE = 0.5  # of vehicles that a reader with a fault still reads, at most
_FEW, _FEW_MOST, _FEW_OVER = 9.2, 12.0, 6.0  # ln of the odds that it has one: begins (1e4 to 1); no more; ends
_STAMP_OFF_NS = 5 * SECOND_NS // 2  # stamps have whole seconds
_STAMPS_KEPT, _STAMPS_LEAST = 9, 4


class SilentReaderWatch:
    """Vehicles pass a reader's point and it reads none of them, or far fewer than it usually does."""

    code: ClassVar[str] = "reader_silent"
    severity: ClassVar[Severity] = "warning"

    def __init__(self, where: Args) -> None:
        self._where = where
        self._passed = self._read = self._missed = 0
        self._few = 0.0
        self._holds_few = False
        self._credit_ns = -_READ_BELONGS_NS
        self._passed_ns = -_APART_NS

    def passed(self, time_ns: int) -> None:
        if time_ns - self._passed_ns < _APART_NS:
            return  # a loop that chatters, or a trailer
        self._passed_ns = time_ns
        self._passed += 1
        if time_ns - self._credit_ns <= _READ_BELONGS_NS:
            self._credit_ns = time_ns - 2 * _READ_BELONGS_NS  # one read serves one vehicle
            self._read += 1
            self._count_few(self._odds(read=True))
            return
        self._missed += 1
        self._count_few(self._odds(read=False))

    def read(self, time_ns: int) -> None:
        if self._missed:
            if self._missed >= self.most_missed:
                self._few = 0.0  # it was silent, which was told, and is not any more
            self._read += 1  # the vehicle whose loop came first
            self._missed = 0
            self._count_few(self._odds(read=True) - self._odds(read=False))
        else:
            self._credit_ns = time_ns

    def forgive(self) -> None:
        """The link is down, which is an alarm of its own: what passes now says nothing, and nothing good either."""
        if self._missed < self.most_missed:
            self._missed = 0

    def _odds(self, *, read: bool) -> float:
        """What one vehicle more says: ln of how likely it is with a fault against how likely without."""
        usual = min(0.98, (self._read + 1) / (self._passed + 4))
        if self._passed < _USUAL_READS or usual <= _FEW_SHARE:
            return 0.0
        return math.log(_FEW_SHARE / usual) if read else math.log((1 - _FEW_SHARE) / (1 - usual))

    def _count_few(self, step: float) -> None:
        self._few = min(_FEW_MOST, max(0.0, self._few + step))
        self._holds_few = self._few > (_FEW_OVER if self._holds_few else _FEW)

    def excuse(self, count: int) -> None:
        """So many vehicles it did read: its own count says that the messages were lost on the way."""
        count = max(0, min(count, self._passed - self._read - self._missed))  # none of those missed just now
        self._count_few(-count * self._odds(read=False))
        self._passed -= count

    @property
    def most_missed(self) -> int:
        """Vehicles in a row that may pass unread by chance."""
        share = min(0.999, (self._read + 1) / (self._passed - self._missed + 2))  # before it fell silent
        return max(_FEWEST_MISSED, math.ceil(math.log(_BY_CHANCE) / math.log1p(-share)))

    def judge(self, now_ns: int) -> Args | None:
        if self._missed >= self.most_missed:
            return {**self._where, "case": "none", "missed": self._missed}
        return {**self._where, "case": "few"} if self._holds_few else None


class StuckIdentityWatch:
    """One tag or plate again and again, though its vehicle has gone: it left the loop, or others were read since.

    It ends when another is read and the stuck one was not for a while.
    """

    code: ClassVar[str] = "identity_stuck"
    severity: ClassVar[Severity] = "warning"

    def __init__(self, where: Args, *, others: int = 1) -> None:
        self._where, self._others = where, others
        self._stays: OrderedDict[str, _Stay] = OrderedDict()
        self._loop_on = False
        self._stuck_ns: int | None = None
        self._reads = 0

    def loop(self, time_ns: int, on: bool) -> None:
        self._loop_on = on
        for stay in self._stays.values():
            if on and time_ns > stay.first_ns - SECOND_NS:
                stay.came = True
            elif not on and stay.came and stay.left_ns is None:
                stay.left_ns = time_ns
            elif on and stay.left_ns is not None and time_ns - stay.last_ns > _LEAVES_NS:
                stay.ended = True  # it may come round again

    def read(self, time_ns: int, identifier: str) -> None:
        stay = self._stays.pop(identifier, None)
        if stay is None or stay.ended or time_ns - stay.last_ns > _SAME_STAY_NS:
            stay = _Stay(time_ns, came=self._loop_on)
        self._stays[identifier] = stay
        while len(self._stays) > 16:
            self._stays.popitem(last=False)
        stay.last_ns = time_ns
        for name, other in self._stays.items():
            if name != identifier and other.first_ns < time_ns:
                other.others.setdefault(identifier, time_ns)
        gone = stay.left_ns is not None and time_ns - stay.left_ns > _LEAVES_NS and not self._loop_on
        followed = sum(time_ns - since > _LEAVES_NS for since in stay.others.values()) >= self._others
        stay.late += gone or followed
        if stay.late >= _STUCK_READS:
            self._stuck_ns, self._reads = time_ns, stay.late
        elif self._stuck_ns is not None and time_ns - self._stuck_ns > _STUCK_QUIET_NS:
            self._stuck_ns = None

    def judge(self, now_ns: int) -> Args | None:
        return None if self._stuck_ns is None else {**self._where, "reads": self._reads}


class _Stay:
    """One identity at one reader."""

    __slots__ = ("came", "ended", "first_ns", "last_ns", "late", "left_ns", "others")

    def __init__(self, first_ns: int, *, came: bool) -> None:
        self.first_ns = self.last_ns = first_ns
        self.came = came  # a vehicle drove onto the loop since
        self.left_ns: int | None = None
        self.ended = False
        self.late = 0
        self.others: dict[str, int] = {}


class TwiceWatch:
    """What this reader reads another one reads as well, sooner than any vehicle can drive from one to the other; until
    it reads one that the other did not."""

    code: ClassVar[str] = "identity_twice"
    severity: ClassVar[Severity] = "warning"

    def __init__(self, where: Args) -> None:
        self._where = where
        self._other = ""
        self._latch = Latch()

    def read(self, other: str | None) -> None:
        """An identity was read here, and by the `other` reader at the same time."""
        self._other = other or self._other
        self._latch.note(bad=other is not None)

    def judge(self, now_ns: int) -> Args | None:
        return {**self._where, "other": self._other} if self._latch.look() else None


class SameIdentity:
    """Finds identities that are at two places at once; `places_m` are the readers' lanes and places along them."""

    def __init__(self, places_m: dict[str, tuple[str, float | None]]) -> None:
        self._places_m = places_m
        self._seen: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def read(self, device: str, time_ns: int, identifier: str) -> str | None:
        """The other reader that has just read it too."""
        before = self._seen.pop(identifier, None)
        self._seen[identifier] = (device, time_ns)
        while len(self._seen) > 64:
            self._seen.popitem(last=False)
        if before is None or before[0] == device:
            return None
        (lane, x_m), (other_lane, other_x_m) = self._places_m[device], self._places_m[before[0]]
        if lane == other_lane and x_m == other_x_m:
            return None  # two readers for one place
        travel_ns = _LEAST_TRAVEL_NS
        if x_m is not None and other_x_m is not None:
            travel_ns = max(travel_ns, round(abs(x_m - other_x_m) / _MOST_SPEED_MPS * SECOND_NS))
        return before[0] if time_ns - before[1] < travel_ns else None


class ConfidenceWatch:
    """A reader that is less sure of its plates than it was: dirt, light, focus. A cumulative sum of what it lacks."""

    code: ClassVar[str] = "reads_doubtful"
    severity: ClassVar[Severity] = "warning"

    def __init__(self, where: Args) -> None:
        self._where = where
        self._usual: deque[float] = deque(maxlen=200)
        self._lacks = 0.0
        self._last = ""

    def read(self, identifier: str, confidence: float) -> None:
        if identifier == self._last:
            return  # the same vehicle once more is no other opinion
        self._last = identifier
        if len(self._usual) >= _USUAL_READS:
            middle = statistics.median(self._usual)
            spread = max(0.05, 1.48 * statistics.median(abs(value - middle) for value in self._usual))
            step = min(4.0, (middle - confidence) / spread)
            self._lacks = min(2.0 * _ENOUGH, max(0.0, self._lacks + step - _SLACK))
        self._usual.append(confidence)

    def judge(self, now_ns: int) -> Args | None:
        if self._lacks < _ENOUGH:
            return None
        return dict(self._where)


class ReaderTimeWatch:
    """A reader's own stamp against the time of arrival: a step says that a message came late or its clock was set."""

    code: ClassVar[str] = "reader_time"
    severity: ClassVar[Severity] = "warning"

    def __init__(self, where: Args) -> None:
        self._where = where
        self._offsets: deque[int] = deque(maxlen=_STAMPS_KEPT)
        self._step_ns = 0
        self._latch = Latch()

    def read(self, time_ns: int, reader_ns: int) -> None:
        offset_ns = time_ns - reader_ns
        if len(self._offsets) >= _STAMPS_LEAST:
            step_ns = offset_ns - round(statistics.median(self._offsets))
            late = abs(step_ns) > _STAMP_OFF_NS
            self._step_ns = step_ns if late else self._step_ns
            self._latch.note(bad=late)
        self._offsets.append(offset_ns)

    def judge(self, now_ns: int) -> Args | None:
        return {**self._where, "step_s": round(self._step_ns / SECOND_NS)} if self._latch.look() else None
