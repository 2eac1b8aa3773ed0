"""Watches of a link: frames that make no sense, scans that were lost, a sample clock that strays."""

from __future__ import annotations

import statistics
from collections import Counter, deque
from typing import ClassVar

from edge.health.watch import SECOND_NS
from edge.messages import Severity

_REJECTS_WITHIN_NS = 10 * SECOND_NS
_REJECTS_QUIET_NS = 15 * SECOND_NS
_LOSS_QUIET_NS = 20 * SECOND_NS
_SETTLED_NS = 60 * SECOND_NS  # before that the estimate of a stream's rate is still rough
_RATES_KEPT = 600  # one a second
_STRAYS = 25e-6  # a crystal's rate moves by a few millionths in ten minutes; network delays move the estimate as little
_WRONG_RATE = 1e-3  # against the configuration; what a digitiser makes of a rate that it cannot divide is nearer


class RejectWatch:
    """Frames that were thrown away: `least` of them within ten seconds begin it, a quarter of a minute without one ends
    it. A reader speaks only when a vehicle passes, so for it one is enough: that vehicle's identity is lost."""

    code: ClassVar[str] = "frames_rejected"
    severity: ClassVar[Severity] = "warning"

    def __init__(self, where: str, *, least: int) -> None:
        self._where, self._least = where, least
        self._recent: deque[tuple[int, str, int]] = deque(maxlen=200)
        self._holds = False

    def rejected(self, time_ns: int, reason: str, count: int) -> None:
        self._recent.append((time_ns, reason, count))
        within = [entry for entry in self._recent if time_ns - entry[0] <= _REJECTS_WITHIN_NS]
        self._holds = self._holds or sum(entry[2] for entry in within) >= self._least

    def judge(self, now_ns: int) -> str | None:
        if not self._recent or now_ns - self._recent[-1][0] > _REJECTS_QUIET_NS:
            self._recent.clear()
            self._holds = False
        if not self._holds:
            return None
        reasons: Counter[str] = Counter()
        for _, reason, count in self._recent:
            reasons[reason] += count
        listed = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
        remedy = "check baud rate, parity, wiring and shield"
        if reasons.keys() <= {"frame_missing", "frame_repeated"}:
            remedy = "messages were lost or doubled on the way; check cable, plugs and what stands between"
        if reasons.keys() == {"counter_jump"}:
            remedy = "counters run ahead faster than inputs can; check the module's word order and register map"
        return f"{self._where}: frames were rejected ({listed}); {remedy}"


class LostScansWatch:
    """Scans that a digitiser took and nobody got: vehicles over the array at that moment are weighed in part."""

    code: ClassVar[str] = "samples_lost"
    severity: ClassVar[Severity] = "warning"

    def __init__(self, where: str) -> None:
        self._where = where
        self._last_ns = 0
        self._gaps = self._scans = 0

    def lost(self, time_ns: int, scans: int) -> None:
        self._last_ns = time_ns
        self._gaps += 1
        self._scans += scans

    def judge(self, now_ns: int) -> str | None:
        if self._gaps and now_ns - self._last_ns > _LOSS_QUIET_NS:
            self._gaps = self._scans = 0
        if not self._gaps:
            return None
        return (
            f"{self._where}: {self._scans} scans were lost in {self._gaps} gaps; check the network between digitiser "
            "and computer and the load of both, or lower the scan rate"
        )


class SampleRateWatch:
    """A digitiser whose sample clock runs otherwise than it did, or than the configuration says."""

    code: ClassVar[str] = "sample_rate"
    severity: ClassVar[Severity] = "warning"

    def __init__(self, where: str, configured_hz: float) -> None:
        self._where, self._configured_hz = where, configured_hz
        self._stream: int | None = None
        self._since_ns = self._noted_ns = 0
        self._rate_hz = configured_hz
        self._rates: deque[float] = deque(maxlen=_RATES_KEPT)
        self._usual_hz: float | None = None

    def block(self, time_ns: int, stream: int, rate_hz: float) -> None:
        if stream != self._stream:
            self._stream, self._since_ns = stream, time_ns
        self._rate_hz = rate_hz
        if time_ns - self._since_ns > _SETTLED_NS and time_ns - self._noted_ns >= SECOND_NS:
            self._noted_ns = time_ns
            self._rates.append(rate_hz)
            self._usual_hz = statistics.median(self._rates)

    def judge(self, now_ns: int) -> str | None:
        off = self._rate_hz / self._configured_hz - 1.0
        if abs(off) > _WRONG_RATE:
            return (
                f"{self._where}: samples at {self._rate_hz:.2f} Hz, the configuration says {self._configured_hz:g} Hz; "
                "set sample_rate_hz to what the device delivers, or look at the device"
            )
        if self._usual_hz is None or len(self._rates) < 30 or self._since_ns + _SETTLED_NS > self._noted_ns:
            return None
        strays = self._rate_hz / self._usual_hz - 1.0
        if abs(strays) <= _STRAYS:
            return None
        return (
            f"{self._where}: its sample clock runs {1e6 * strays:+.0f} ppm against what it did in the last minutes; "
            "speeds and loads follow the estimate, but look at the device's temperature and supply"
        )
