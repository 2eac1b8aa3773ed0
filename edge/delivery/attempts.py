"""From one connection with a collector to the next: how it ended in, what that means and how long to wait out.

No I/O and no clock: times are monotonic seconds and come in as arguments. Called by `edge.delivery.publisher`.

A server that closes good connections soon, again and again, without saying why (3.1.1 and some servers do not) either
refuses a topic, found by sending one message at a time, or most likely somebody else connects with our name.
"""

from __future__ import annotations

import math
import random as randomness
from dataclasses import dataclass
from typing import Literal

from edge.delivery.endpoint import Trouble
from edge.delivery.entry import Entry

SHORT_LIVES = 4  # connections that end within QUICK_S without a reason, until it is taken for a double
# Two that fight for a name throw each other out within their next attempts; a broker that is started anew every now and
# then lives longer than that, and must not cost a pause of minutes.
QUICK_S = 15.0
CAREFUL_FROM = 1  # ... until messages go one by one: some servers close after a refusal, and what they said is lost
CAREFUL_FIRST = 32  # if more is under way; so many do
STABLE_S = 60.0  # a connection that held so long makes the next wait short again
WAIT_FIRST_S, WAIT_EARLY_S, WAIT_MOST_S = 1.0, 5.0, 60.0
LONG_WAIT_S: dict[Trouble, float] = {
    "duplicate": 300.0,
    "refused": 60.0,
    "certificate": 30.0,
    "configuration": 30.0,
    "unheard": 60.0,
}
UNREACHABLE_AFTER_S = 10.0  # an outage this long is an alarm; a refusal is one at once
_LOG_AGAIN_S, _LOG_AGAIN_MOST_S = 10.0, 3600.0  # a failure that stays is logged at growing intervals
_ALARM_LATER = ("unreachable", "silent", "lost")  # troubles of which a short one is nobody's business


@dataclass(frozen=True, slots=True)
class Judged:
    """What the end of a connection means; `refused` is the message that a server closes for each time."""

    verdict: Literal["as_said", "refuses", "unheard", "duplicate"] = "as_said"
    refused: Entry | None = None


class Attempts:
    """The connections of one collector, one after the other."""

    def __init__(self, random: randomness.Random) -> None:
        self._random = random
        self._wait_s = WAIT_FIRST_S
        self._down_since: float | None = None
        self._connected_at: float | None = None  # None: not in this attempt
        self._short_lives = 0  # connections in a row that ended soon and without a reason
        self._quick_lives = 0  # of these in a row, those that ended within QUICK_S
        self._refused_here = False  # the server refused a message in this connection
        self._alone: Entry | None = None  # the only message under way when the last connection ended
        self._unproven = False  # it ended while it was open whether an acknowledgement is worth anything
        self._suspect = ""  # topic of what was alone in the connection before
        self._trusted = 0  # acknowledgements in this connection
        self._taken: set[str] = set()  # topics of those that count
        self._logged: dict[Trouble, tuple[float, float, int]] = {}  # when again, the interval after, attempts since

    # A connection that stands

    def connected(self, now_s: float) -> None:
        self._connected_at, self._down_since = now_s, None
        self._refused_here = False
        self._trusted = 0
        self._taken.clear()

    def acknowledged(self, topic: str, *, counts: bool) -> None:
        """The server took a message; `counts` where that is worth what it says."""
        self._trusted += 1
        if counts:
            self._taken.add(topic)

    def refused(self) -> None:
        """The server says what it does not take, so it does not close for that."""
        self._refused_here = True

    @property
    def is_careful(self) -> bool:
        """Whether messages go one by one."""
        return self._short_lives > CAREFUL_FROM and self._trusted < CAREFUL_FIRST

    def lasts(self, now_s: float) -> float:
        """For how long the connection has held; one that is stable makes good what was before."""
        lasted_s = 0.0 if self._connected_at is None else now_s - self._connected_at
        if lasted_s > STABLE_S:
            self._wait_s = WAIT_FIRST_S
            self._nothing_suspected(self._suspect)
            self._logged.clear()
        return lasted_s

    # Its end

    def left(self, alone: Entry | None, *, unproven: bool) -> None:
        """What was under way; a topic of which it took a message in this connection is not what it closed for."""
        self._alone = alone if alone is not None and alone.topic not in self._taken else None
        self._unproven = unproven

    def judge(self, trouble: Trouble, now_s: float) -> Judged:
        """What it means that the connection ended so, after those before it."""
        connected_at, self._connected_at = self._connected_at, None
        if trouble != "lost" or connected_at is None or self._refused_here:
            self._nothing_suspected()
            return Judged()
        self._short_lives += 1
        self._quick_lives = self._quick_lives + 1 if now_s - connected_at < QUICK_S else 0
        alone = self._alone if self._short_lives > CAREFUL_FROM else None
        if alone is not None and alone.topic == self._suspect:
            self._nothing_suspected()
            return Judged("refuses", alone)
        self._suspect = alone.topic if alone is not None else ""
        if self._quick_lives < SHORT_LIVES:
            return Judged()
        self._nothing_suspected(self._suspect)
        return Judged("unheard" if self._unproven else "duplicate")

    def _nothing_suspected(self, suspect: str = "") -> None:
        self._short_lives, self._quick_lives, self._suspect = 0, 0, suspect

    # The wait before the next

    def pause(self, trouble: Trouble, now_s: float) -> tuple[float, bool]:
        """For how long to wait, and whether the trouble is an alarm by now."""
        if self._down_since is None:
            self._down_since = now_s
        down_s = now_s - self._down_since
        wait_s = LONG_WAIT_S.get(trouble)
        if wait_s is not None:
            wait_s *= self._random.uniform(0.8, 1.2)
        else:  # decorrelated jitter; a restart of the broker costs seconds, a long outage does not hammer it
            most_s = WAIT_EARLY_S if down_s < STABLE_S else WAIT_MOST_S
            self._wait_s = wait_s = min(most_s, self._random.uniform(WAIT_FIRST_S, self._wait_s * 3))
        return wait_s, trouble not in _ALARM_LATER or down_s >= UNREACHABLE_AFTER_S

    def to_be_said(self, trouble: Trouble, now_s: float) -> int | None:
        """How many attempts ended so since it was last said, where it is to be said again; None: not yet.

        Each kind of trouble at once, then after 10 s, 20 s, … up to an hour, until a connection was stable.
        """
        at, again_s, attempts = self._logged.get(trouble, (-math.inf, _LOG_AGAIN_S, 0))
        if now_s < at:
            self._logged[trouble] = (at, again_s, attempts + 1)
            return None
        self._logged[trouble] = (now_s + again_s, min(2 * again_s, _LOG_AGAIN_MOST_S), 0)
        return attempts
