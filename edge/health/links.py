"""Watches of a link: frames that make no sense, scans that were lost, a sample clock that strays."""

from __future__ import annotations

import statistics
from collections import Counter, deque
from typing import ClassVar

from drivers.remedies import Connection
from edge.health.watch import SECOND_NS, Latch
from edge.messages import Args, Severity
from edge.weighing.rate_doubt import RIGHT, USABLE

_REJECTS_WITHIN_NS = 10 * SECOND_NS
_LOSSES_TOGETHER_NS = 60 * SECOND_NS
_SETTLED_NS = 60 * SECOND_NS  # before that the estimate of a stream's rate is still rough
_RATES_KEPT = 600  # one a second
_STRAYS = 25e-6  # a crystal's rate moves by a few millionths in ten minutes; network delays move the estimate as little
_COUNTED_NS = 10 * SECOND_NS  # samples are counted over so long, a few times, because a leap of the clock counts too
_ODD_COUNTS, _WRONG_COUNT = 2, 0.02


class RejectWatch:
    """Frames that were thrown away: `least` of them within ten seconds begin it, a valid one after them ends it. A
    reader speaks only when a vehicle passes, so for it one is enough: that vehicle's identity is lost."""

    code: ClassVar[str] = "frames_rejected"
    severity: ClassVar[Severity] = "warning"

    def __init__(self, where: Args, how: Connection, *, least: int) -> None:
        self._where, self._how, self._least = where, how, least
        self._recent: deque[tuple[int, str, int]] = deque(maxlen=200)
        self._latch = Latch()

    def rejected(self, time_ns: int, reason: str, count: int) -> None:
        self._recent.append((time_ns, reason, count))
        within = [entry for entry in self._recent if time_ns - entry[0] <= _REJECTS_WITHIN_NS]
        if not self._latch.bad:
            self._recent = deque(within, self._recent.maxlen)
        if sum(entry[2] for entry in within) >= self._least:
            self._latch.note(bad=True)

    def heard(self) -> None:
        """Something valid came."""
        self._latch.note(bad=False)

    def judge(self, now_ns: int) -> Args | None:
        if not self._latch.look():
            return None
        reasons: Counter[str] = Counter()
        for _, reason, count in self._recent:
            reasons[reason] += count
        case: str = self._how
        if reasons.keys() <= {"frame_missing", "frame_repeated"}:
            case = "on_the_way"
        if reasons.keys() == {"counter_jump"}:
            case = "counter_jump"
        listed = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
        return {**self._where, "case": case, "reasons": listed}


class LostScansWatch:
    """Scans that a digitiser took and nobody got: vehicles over the array at that moment are weighed in part."""

    code: ClassVar[str] = "samples_lost"
    severity: ClassVar[Severity] = "warning"

    def __init__(self, where: Args) -> None:
        self._where = where
        self._last_ns = 0
        self._gaps = self._scans = 0
        self._latch = Latch()

    def block(self, time_ns: int, lost_scans: int) -> None:
        """A block came, and so many scans are missing before it."""
        self._latch.note(bad=lost_scans > 0)
        if not lost_scans:
            return
        if time_ns - self._last_ns > _LOSSES_TOGETHER_NS:
            self._gaps = self._scans = 0
        self._last_ns = time_ns
        self._gaps += 1
        self._scans += lost_scans

    def judge(self, now_ns: int) -> Args | None:
        return {**self._where, "scans": self._scans, "gaps": self._gaps} if self._latch.look() else None


class SampleRateWatch:
    """A digitiser whose sample clock runs otherwise than it did, or than the configuration says: by what the digitiser
    says of its rate, or by how many samples arrive."""

    code: ClassVar[str] = "sample_rate"
    severity: ClassVar[Severity] = "warning"

    def __init__(self, where: Args, configured_hz: float) -> None:
        self._where, self._configured_hz = where, configured_hz
        self._stream: int | None = None
        self._since_ns = self._noted_ns = 0
        self._rate_hz = configured_hz
        self._rates: deque[float] = deque(maxlen=_RATES_KEPT)
        self._usual_hz: float | None = None
        self._counted_from = (0, 0)  # time_ns, scan
        self._odd_counts = 0  # in a row
        self._counted_hz = configured_hz
        self.held_back = 0  # vehicles

    def block(self, time_ns: int, stream: int, rate_hz: float, scan: int) -> None:
        """A block came whose first scan has the number `scan` in its stream."""
        if stream != self._stream:
            self._stream, self._since_ns = stream, time_ns
            self._counted_from, self._odd_counts = (time_ns, scan), 0
        self._rate_hz = rate_hz
        self._count(time_ns, scan)
        if time_ns - self._since_ns > _SETTLED_NS and time_ns - self._noted_ns >= SECOND_NS:
            self._noted_ns = time_ns
            self._rates.append(rate_hz)
            self._usual_hz = statistics.median(self._rates)

    def _count(self, time_ns: int, scan: int) -> None:
        passed_ns = time_ns - self._counted_from[0]
        if not 0 <= passed_ns <= 2 * _COUNTED_NS:
            self._counted_from = (time_ns, scan)
        elif passed_ns >= _COUNTED_NS:
            self._counted_hz = (scan - self._counted_from[1]) * 1e9 / passed_ns
            odd = abs(self._counted_hz / self._configured_hz - 1.0) > _WRONG_COUNT
            self._odd_counts = self._odd_counts + 1 if odd else 0
            self._counted_from = (time_ns, scan)

    @property
    def error(self) -> float:
        """By what share the rate is not the configured one."""
        hz = self._counted_hz if self._odd_counts >= _ODD_COUNTS else self._rate_hz
        return hz / self._configured_hz - 1.0

    def judge(self, now_ns: int) -> Args | None:
        if abs(self.error) > RIGHT:
            hz = (self.error + 1.0) * self._configured_hz
            rates: Args = {"rate_hz": round(hz, 2), "configured_hz": self._configured_hz, "held_back": self.held_back}
            return {**self._where, "case": "wrong" if abs(self.error) <= USABLE else "useless", **rates}
        if self._usual_hz is None or len(self._rates) < 30 or self._since_ns + _SETTLED_NS > self._noted_ns:
            return None
        strays = self._rate_hz / self._usual_hz - 1.0
        if abs(strays) <= _STRAYS:
            return None
        return {**self._where, "case": "strays", "ppm": round(1e6 * strays)}
