"""One row of `wait` messages: a lane, a program or the crossing, with what it remembers from message to message.

Called by `edge.waiting.lane`, `edge.waiting.intervals` and `edge.waiting.trials`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.messages import Program, Traffic
from edge.waiting.honest import Honesty, Told
from edge.waiting.last_hour import Hour


@dataclass(slots=True)
class Series:
    """`lane` is `_` for a program or the crossing; the crossing has no program.

    A row is about one direction and one kind of traffic: lorries into a country and cars out of it share no wait.
    """

    lane: str
    direction: str
    traffic: Traffic
    program: Program | None
    honesty: Honesty = field(default_factory=Honesty)
    hour: Hour = field(default_factory=Hour)
    forecasts: list[Told] = field(default_factory=list)  # not yet tried on a vehicle
