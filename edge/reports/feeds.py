"""What a public feed says of a crossing: `wait` messages in, one figure or one word for a group of lanes out.

Shared by `edge.reports.cbp` and `edge.reports.cbsa`. Of each row the latest message counts: that of the
program in one direction, or, where there is none, those of its lanes. A
message older than `STALE_S` is no news, one older than `EXPIRE_S` might as well not exist, and neither is a figure: not
known is never 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from edge.config import Config
from edge.messages import Program, Traffic, Wait, parse_utc

STALE_S = 15 * 60.0
EXPIRE_S = 120 * 60.0
_AHEAD_S = 120.0  # a message from further in the future comes from a wrong clock
_FREE_MPS = 12.0  # of free traffic on an approach, as in edge.waiting.match

State = Literal["none", "closed", "unknown", "stale", "known"]
"""No such lane; no booth open; no figure; no news; a figure."""


@dataclass(frozen=True, slots=True)
class Group:
    """What is known of the lanes of one traffic, program and direction."""

    state: State
    wait_s: float | None = None
    booths_open: int | None = None
    time_ns: int | None = None  # of the newest message that has not expired
    from_point: str = ""
    to_point: str = ""

    @property
    def minutes(self) -> int | None:
        """Whole minutes, halves up."""
        return None if self.wait_s is None else int(self.wait_s / 60.0 + 0.5)


NO_LANES = Group("none")
_Row = tuple[str, str | None, Traffic | None, Program | None]  # lane, direction


class Board:
    """The latest message of each row of one crossing."""

    def __init__(self, config: Config) -> None:
        self.config = config
        # Of messages of earlier versions, which do not say theirs.
        self._directions = {lane.id: lane.direction for lane in config.lane}
        if len(directions := set(self._directions.values())) == 1:
            self._directions["_"] = directions.pop()
        self._latest: dict[_Row, tuple[int, Wait]] = {}
        x_m = {point.name: point.x_m for point in config.point}
        self._x_m = {name: x for name, x in x_m.items() if x is not None}

    def take(self, wait: Wait) -> bool:
        """Take a message; False where it is of another crossing. ValueError for a time that is none."""
        site = self.config.site
        if (wait.site.country, wait.site.port) != (site.country, site.port):
            return False
        time_ns = parse_utc(wait.time)
        direction = wait.direction or self._directions.get(wait.lane)
        key = (wait.lane, direction, wait.traffic, wait.program)
        if key not in self._latest or self._latest[key][0] <= time_ns:
            self._latest[key] = (time_ns, wait)
        return True

    def group(self, traffic: Traffic, programs: tuple[Program, ...], direction: str, now_ns: int) -> Group:
        """What is known of these lanes; `programs` in the order of preference: the first that has lanes counts."""
        for program in programs:
            of = (direction, traffic, program)
            lanes = [lane.id for lane in self.config.lane if (lane.direction, lane.traffic, lane.program) == of]
            if lanes:
                whole = ("_", *of) in self._latest
                return self._of([(lane, *of) for lane in (["_"] if whole else lanes)], now_ns)
        return NO_LANES

    def _of(self, rows: list[_Row], now_ns: int) -> Group:
        messages = [self._latest[row] for row in rows if row in self._latest]
        messages = [(t, wait) for t, wait in messages if -_AHEAD_S <= (now_ns - t) * 1e-9 <= EXPIRE_S]
        if not messages:
            return Group("unknown")
        newest_ns, newest = max(messages, key=lambda item: item[0])
        points = (newest.from_point, newest.to_point)
        fresh = [wait for t, wait in messages if (now_ns - t) * 1e-9 <= STALE_S]
        if not fresh:
            return Group("stale", None, None, newest_ns, *points)
        booths = [n for wait in fresh if (n := wait.booths_open) is not None]
        booths_open = sum(booths) if len(booths) == len(rows) else None
        if booths_open == 0:
            return Group("closed", None, 0, newest_ns, *points)
        waits_s = [wait_s for wait in fresh if (wait_s := self._wait_s(wait)) is not None]
        if not waits_s:
            return Group("unknown", None, booths_open, newest_ns, *points)
        return Group("known", sum(waits_s) / len(waits_s), booths_open, newest_ns, *points)

    def _wait_s(self, wait: Wait) -> float | None:
        """The wait of a vehicle that joins now, else of those that came lately, less the time of a free drive."""
        wait_s = wait.expected_s if wait.expected_s is not None else wait.experienced.median_s
        if wait_s is None:
            return None
        a, b = self._x_m.get(wait.from_point), self._x_m.get(wait.to_point)
        free_s = max(0.0, b - a) / _FREE_MPS if a is not None and b is not None else 0.0
        return max(0.0, wait_s - free_s)


def towards(country: str, config: Config) -> str:
    """The direction (`inbound` or `outbound`) that leads into `country`, as the lanes of this site name it."""
    return "inbound" if config.site.country == country else "outbound"


def board_of(config: Config, waits: Iterable[Wait]) -> Board:
    """A board of all messages that are of this crossing."""
    board = Board(config)
    for wait in waits:
        board.take(wait)
    return board
