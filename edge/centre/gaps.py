"""What is missing is asked for: open gaps → requests on the replay topics of their computers. No I/O.

A computer answers at a pace of its own, behind its live messages: so few numbers are asked for at a time, the newest of
the worthiest kind first, and more when those have come. What does not come is asked for again after twice as long, and
is `lost` after `ASKED_MOST` times, or at once where the computer says that it has it no more (`replay_from` of its
status). Called once a second by the collector that leads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from edge.centre.store import OpenGap, Place
from edge.messages import ReplayRequest, parse_utc

# what is worth most comes first; a status tells only of a moment that is over
KINDS_IN_ORDER = ("vehicle", "wait", "flow", "alarm", "evidence", "identifier", "sighting", "status")
SETTLE_S = 3.0  # messages pass each other on the way: nothing is asked for before
ASK_AGAIN_S = 30.0  # and twice as long after each time
ASKED_MOST = 10  # the last one half a day after the first
UNANSWERED_MOST = 2000  # numbers under way from one computer: 10 s of its replay
REQUESTS_MOST = 100  # and so many requests, of the 256 that it remembers
NEAR = 10  # gaps with so few numbers between them are asked for in one request: to send those again costs less

_ANSWER_S = 15.0  # what was asked for longer ago is not under way any more
_NS = 1e-9


@dataclass(frozen=True, slots=True)
class Request:
    """To publish: `body` on `topic`; `gaps` are what it asks for."""

    topic: str
    body: bytes
    gaps: tuple[OpenGap, ...]


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done now: requests to send, and gaps that are given up, each with the reason."""

    requests: list[Request]
    lost: list[tuple[OpenGap, str]]


def due(gaps: Iterable[OpenGap], now_ns: int, serves_from: Mapping[Place, int] | None = None) -> Due:
    """`gaps` are all that are open; `serves_from`: the first number that a computer still has, by topic and epoch."""
    requests: list[Request] = []
    lost: list[tuple[OpenGap, str]] = []
    by_computer: dict[str, list[OpenGap]] = defaultdict(list)
    for gap in gaps:
        serves = (serves_from or {}).get((gap.topic, gap.epoch), 0)
        if gap.from_seq < serves:  # the rest of it is looked at in a second
            lost.append((gap._replace(to_seq=min(gap.to_seq, serves - 1)), "older than what its computer keeps"))
        else:
            by_computer[_computer(gap.topic)].append(gap)
    for computer, mine in by_computer.items():
        ready: list[OpenGap] = []
        under_way = asked = 0
        for gap in mine:
            since_s = (now_ns - parse_utc(gap.asked or gap.found)) * _NS
            if gap.asked is not None and since_s < _ANSWER_S:
                under_way, asked = under_way + _size(gap), asked + 1
            elif gap.asked_times >= ASKED_MOST and since_s >= _pause_s(gap):
                lost.append((gap, f"asked for {gap.asked_times} times, never came"))
            elif since_s >= _pause_s(gap):
                ready.append(gap)
        requests += _requests(computer, ready, UNANSWERED_MOST - under_way, REQUESTS_MOST - asked)
    return Due(requests, lost)


def _requests(computer: str, ready: list[OpenGap], numbers: int, most: int) -> list[Request]:
    """At most so many numbers and requests, the worthiest first; the newest numbers of a gap that is larger."""
    made: list[Request] = []
    for group in _neighbours(sorted(ready, key=_worth)):
        if numbers <= 0 or len(made) >= most:
            break
        last = group[0].to_seq
        first = max(group[-1].from_seq, last - numbers + 1)
        numbers -= last - first + 1
        asked = tuple(gap for gap in group if gap.to_seq >= first)
        body = ReplayRequest(topic=group[0].topic, epoch=group[0].epoch, from_seq=first, to_seq=last)
        made.append(Request(f"{computer}/_/replay", msgspec.json.encode(body), asked))
    return made


def _neighbours(gaps: list[OpenGap]) -> list[list[OpenGap]]:
    """Gaps in the order of their worth, newest first; those that are near each other together."""
    groups: list[list[OpenGap]] = []
    for gap in gaps:
        before = groups[-1][-1] if groups else None
        same = before is not None and (before.topic, before.epoch) == (gap.topic, gap.epoch)
        if before is not None and same and before.from_seq - gap.to_seq - 1 <= NEAR:
            groups[-1].append(gap)
        else:
            groups.append([gap])
    return groups


def _size(gap: OpenGap) -> int:
    return gap.to_seq - gap.from_seq + 1


def _pause_s(gap: OpenGap) -> float:
    return SETTLE_S if gap.asked is None else ASK_AGAIN_S * 2.0 ** (gap.asked_times - 1)


def _worth(gap: OpenGap) -> tuple[int, int, str, str, int]:
    kind = gap.topic.rsplit("/", 1)[-1]
    return (gap.asked_times, KINDS_IN_ORDER.index(kind), gap.topic, gap.epoch, -gap.to_seq)


def _computer(topic: str) -> str:
    """`borderflow/v1/CA/0453/edge-1` of a topic of that computer."""
    return topic.rsplit("/", 2)[0]
