"""What is missing is asked for: open gaps → requests on the replay topics of their computers. No I/O.

One request at a time for each computer, the newest numbers of the worthiest kind first; what does not come is asked for
again after twice as long, and is `lost` after `ASKED_MOST` times. Called once a second by the collector.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from edge.centre.store import OpenGap
from edge.messages import ReplayRequest, parse_utc

# what is worth most comes first; a status tells only of a moment that is over
KINDS_IN_ORDER = ("vehicle", "wait", "flow", "alarm", "evidence", "identifier", "sighting", "status")
SETTLE_S = 3.0  # messages pass each other on the way: nothing is asked for before
ASK_AGAIN_S = 30.0  # and twice as long after each time
ASKED_MOST = 10  # the last one half a day after the first
NUMBERS_MOST = 2000  # of one request: 10 s of a computer's replay
_PENDING_S = 10.0  # a computer that was asked is left alone so long

_NS = 1e-9


@dataclass(frozen=True, slots=True)
class Request:
    """To publish: `body` on `topic`; `gap` is what it asks for."""

    topic: str
    body: bytes
    gap: OpenGap


def due(gaps: Iterable[OpenGap], now_ns: int) -> tuple[list[Request], list[OpenGap]]:
    """What to ask for now, and which gaps are given up."""
    lost: list[OpenGap] = []
    ready: dict[str, list[OpenGap]] = {}
    busy: set[str] = set()
    for gap in gaps:
        computer = _computer(gap.topic)
        since_s = (now_ns - parse_utc(gap.asked or gap.found)) * _NS
        if gap.asked is not None and since_s < _PENDING_S:
            busy.add(computer)
        elif gap.asked_times >= ASKED_MOST and since_s >= _pause_s(gap):
            lost.append(gap)
        elif since_s >= _pause_s(gap):
            ready.setdefault(computer, []).append(gap)
    chosen = [min(waiting, key=_worth) for computer, waiting in ready.items() if computer not in busy]
    return [_request(gap) for gap in chosen], lost


def _pause_s(gap: OpenGap) -> float:
    return SETTLE_S if gap.asked is None else ASK_AGAIN_S * 2.0 ** (gap.asked_times - 1)


def _worth(gap: OpenGap) -> tuple[int, int, int]:
    kind = gap.topic.rsplit("/", 1)[-1]
    return (gap.asked_times, KINDS_IN_ORDER.index(kind), -gap.to_seq)


def _request(gap: OpenGap) -> Request:
    first = max(gap.from_seq, gap.to_seq - NUMBERS_MOST + 1)
    body = msgspec.json.encode(ReplayRequest(topic=gap.topic, epoch=gap.epoch, from_seq=first, to_seq=gap.to_seq))
    return Request(f"{_computer(gap.topic)}/_/replay", body, gap)


def _computer(topic: str) -> str:
    """`borderflow/v1/CA/0453/edge-1` of a topic of that computer."""
    return topic.rsplit("/", 2)[0]
