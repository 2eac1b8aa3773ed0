"""What is known of one lane apart from its queue: its booths, who came lately, what was read of them.

In: entries at the first point, matches at the booth, changes of booths; out: whether a forecast of this lane can be
trusted, and the waits of the interval. Called by `edge.waiting.waits` (in) and `edge.waiting.intervals` (out).
"""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import get_args

from edge import config as cfg
from edge.core import Forecast
from edge.messages import Program, Traffic
from edge.waiting.honest import Factors, Honesty
from edge.waiting.match import Match
from edge.waiting.series import Series
from edge.waiting.sightings import BoothChange

RATE_WINDOW_S = 900.0
_RATE_WINDOW_NS = 900 * 1_000_000_000
CYCLE_S: dict[str, float] = {"commercial": 60.0, "passenger": 45.0, "bus": 120.0}
"""From one service to the next at one booth, as long as nothing was seen."""
_IDLE_CYCLES, _IDLE_N, _IDLE_OF = 2.0, 2, 10
_MISCOUNT, _STRANGERS = 1.1, 6  # more vehicles than this share and this number come out of no queue
_TYPICAL_SD = 0.1  # of the wait of a vehicle, taken for that of one shortly before
_NO_WONDER = 4.0  # expected arrivals of which none came
_VEHICLE_M: dict[str, float] = {"commercial": 22.0, "passenger": 7.5, "bus": 16.0}


class LaneState:
    """One lane of the configuration; `counters` are those of the crossing, `factors` those of all lanes like it."""

    def __init__(self, lane: cfg.Lane, counters: Counter[str], factors: Factors | None = None) -> None:
        self.id = lane.id
        self.direction = lane.direction
        self.traffic: Traffic = lane.traffic
        self.stream = (lane.direction, lane.traffic)
        self.program: Program = lane.program
        self.series = Series(lane.id, *self.stream, lane.program, Honesty(factors))
        self.open = float(lane.booths)
        self.booths_told = False  # whether it was ever said that a booth opened or closed
        self.touched = True  # something happened here in this interval
        self.waits_s: list[float] = []  # of this interval, those that are good enough to stand alone
        # Of this interval: a wait for every vehicle, if only that of its neighbours, and how far it may be off.
        self.rough: list[tuple[float, float]] = []
        self.before: tuple[int, float] | None = None  # entry and wait of the last vehicle whose wait is sure
        self.departures: deque[int] = deque(maxlen=8192)  # within the window of the rate
        self.departed_ns: int | None = None  # the last departure
        self.last_identity_ns = -(1 << 62)
        self.identified = deque[bool](maxlen=100)
        self.matched_n = 0  # of these
        self._counters = counters
        self._booths = lane.booths
        self._named: dict[str, bool] = {}
        self._typical: tuple[int, float] | None = None  # time and wait of the last sure vehicle in order
        self._arrival_rate = 0.0  # weight of recent arrivals, at `_arrival_ns`
        self._arrival_ns = 0
        self._began_ns = 0  # the first arrival
        self._entries_since_departure = 0
        self._departures_since_entry = 0
        self._departed_since_close = 0
        self._through = False  # those who stood between the points at the start have gone
        self._idle: deque[bool] = deque(maxlen=_IDLE_OF)
        self._inside_n: float | None = None  # the most that were inside when the last one entered

    # ---- in ------------------------------------------------------------------------------------------------------

    def entered(self, time_ns: int) -> None:
        """A vehicle passed the first point."""
        self.touched = True
        if not self._arrival_ns:
            self._began_ns = time_ns
        self._arrival_rate = self.rate_at(time_ns) + 1.0
        self._arrival_ns = max(time_ns, self._arrival_ns)
        self._entries_since_departure += 1
        self._departures_since_entry = 0
        self._inside_n = None

    def arrived(self, match: Match) -> bool:
        """A vehicle came to the booth; True where that shows that the lane is open, whatever was said."""
        self.touched = True
        self._through = self._through or self._shows_all(match)
        if self._through or match.by_identity:
            self._wait(match)  # else it may be one of those who stood there unseen
        self.served(match.time_ns)
        self._entries_since_departure = 0
        self._departures_since_entry += 1
        if match.readable:
            if len(self.identified) == self.identified.maxlen:
                self.matched_n -= self.identified[0]
            self.identified.append(match.by_identity)
            self.matched_n += match.by_identity
        if match.by_identity:
            self.last_identity_ns = match.time_ns
        if self.open < 0.5:
            self._departed_since_close += 1
            if self._departed_since_close > 2 and self._departures_since_entry < 2:
                self.open = 1.0
                self._counters["booth_contradiction"] += 1
                return True
        return False

    def served(self, time_ns: int) -> None:
        """A vehicle came to the booth."""
        self.departures.append(time_ns)
        if self.departed_ns is None or time_ns > self.departed_ns:
            self.departed_ns = time_ns

    def _shows_all(self, match: Match) -> bool:
        """Whether all between the points are known: this one is by its identity, or the booth has waited for vehicles.

        Without identities that takes two pauses of several booth cycles, for one may be a long inspection; or one
        before the first vehicle of all.
        """
        if match.upstream is None or not match.sure:
            self._idle.append(False)
            return False
        last_ns = self.departed_ns
        pause_ns = _IDLE_CYCLES * CYCLE_S[self.traffic] / max(1.0, self.open) * 1e9
        since_ns = self._began_ns if last_ns is None else last_ns
        idle = not match.busy and match.time_ns - since_ns > pause_ns
        self._idle.append(idle)
        return match.by_identity or sum(self._idle) >= _IDLE_N or (idle and last_ns is None)

    def _wait(self, match: Match) -> None:
        if match.phantom:
            return
        if (alone_s := match.alone_s) is not None:
            self.waits_s.append(alone_s)
        wait_s, sd_s = (match.wait_s, 0.0) if match.by_identity else (match.rough_s, match.sd_s)
        if wait_s is None or match.detour:
            fresh = self._typical is not None and match.time_ns - self._typical[0] < 2 * _RATE_WINDOW_NS
            if self._typical is not None and fresh:
                wait_s = self._typical[1]
                self.rough.append((wait_s, _TYPICAL_SD * wait_s))
        else:
            self._typical = (match.time_ns, wait_s)
            self.rough.append((wait_s, sd_s))

    def change_booth(self, change: BoothChange) -> None:
        """A booth opened, closed or changed its program."""
        self.touched = True
        if change.program in get_args(Program):
            self.program = change.program  # type: ignore[assignment]
            self.series.program = self.program
        if change.open is None:
            return
        self.booths_told = True
        if change.booth is not None:
            self._named[change.booth] = change.open
            self.open = float(sum(self._named.values()))
        else:
            self.open = min(float(self._booths), max(0.0, self.open + (1.0 if change.open else -1.0)))
        self._departed_since_close = 0

    def keep_booths(self, before: LaneState) -> None:
        """What is known of the booths of `before` holds for this one."""
        self.program, self.open, self._named = before.program, before.open, before._named
        self.booths_told = before.booths_told
        self.series.program = self.program

    def end_interval(self) -> None:
        """The interval is over."""
        self.touched = False
        self.waits_s.clear()
        self.rough.clear()

    # ---- out -----------------------------------------------------------------------------------------------------

    def identified_since(self, time_ns: int) -> bool:
        """Whether a vehicle was matched by its identity after that time."""
        return self.last_identity_ns > time_ns

    def rate_at(self, time_ns: int) -> float:
        """Vehicles that came lately, fading."""
        return self._arrival_rate * math.exp(-max(0, time_ns - self._arrival_ns) / _RATE_WINDOW_NS)

    def rate_per_s(self, time_ns: int) -> float:
        """The same as vehicles a second."""
        return self.rate_at(time_ns) / RATE_WINDOW_S

    def forget_departures(self, end_ns: int) -> None:
        """Those before the window of the rate."""
        while self.departures and self.departures[0] <= end_ns - _RATE_WINDOW_NS:
            self.departures.popleft()

    def trusts(self, forecast: Forecast, end_ns: int) -> bool:
        """Whether the filter of this lane has seen enough, and both its ends are alive."""
        if self.open < 0.5 or not self._through or not self._arrival_ns:
            return False
        if forecast.learned_cycles == 0 and forecast.queue_n > 1.0 and forecast.departures < 10:
            return False  # nobody knows yet how fast they are served
        if forecast.unlisted > 0.7:
            return False  # vehicles arrive that never passed the first point: it is dead
        silent_s = (end_ns - (self.departed_ns or end_ns)) * 1e-9
        dead = self._entries_since_departure > 10 and silent_s > 12.0 * forecast.cycle_s + forecast.free_flow_s
        return not dead

    def unseen(self, forecast: Forecast) -> bool:
        """Whether it has become plain since the last call that more have come out than can have been inside.

        Then the first point is dead, and all that was seen there before have gone.
        """
        if self._inside_n is None:
            self._inside_n = self._departures_since_entry + forecast.queue_n + 3.0 * forecast.queue_sd_n
        if self._departures_since_entry <= self._inside_n * _MISCOUNT + _STRANGERS:
            return False
        self.lost()
        return True

    def lost(self) -> None:
        """Nobody knows any more who is between the points."""
        self.touched = True
        self._inside_n = math.inf
        self._through = False
        self._idle.clear()

    def missing_n(self, end_ns: int) -> float:
        """How many would have come since the last one, had they gone on as before; 0 where that is no wonder.

        While vehicles still come out, either nobody follows them or nobody sees who does.
        """
        missing_n = self._arrival_rate * max(0, end_ns - self._arrival_ns) / _RATE_WINDOW_NS
        return missing_n if missing_n > _NO_WONDER and self._departures_since_entry >= 3 else 0.0

    def overflows(self, forecast: Forecast, length_m: float | None) -> bool:
        """Whether the queue reaches beyond the first point: the place between the points is full."""
        return length_m is not None and bool(forecast.queue_n * _VEHICLE_M[self.traffic] > 0.92 * length_m)
