"""What came from a broker → a row for the store, or the reason why it is none. No I/O; called by `collect`.

Anybody who may publish can send anything: nothing here raises, and what is refused is kept with its reason
(`Rejected`). A row is only what a computer of the project could have made: its topic is its own, its keys
have the types of the schema, its numbers fit a database, its time is one in which such a computer could have lived.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec

from edge.messages import KINDS, TOPIC_ROOT, parse_utc, topic_of, utc_text

BODY_MAX = 256 * 1024  # a vehicle of 30 axles has 6 kB; the largest, evidence of a site with 60 lanes, 60 kB
KEPT_OF_REFUSED = 2048  # so much of what was refused is kept to look at
FIRST_NS = 1_577_836_800 * 1_000_000_000  # 2020: before it there was no such computer
SEQ_MOST = 2**40  # a message each millisecond for 34 years; sums of many such numbers fit a database too
AHEAD_NS = 25 * 3600 * 1_000_000_000  # a clock that runs a zone ahead is an alarm of its computer, not another century

_LARGEST = 2**63 - 1
_decode = msgspec.json.Decoder().decode
_DECODERS = {kind: msgspec.json.Decoder(type_) for kind, type_ in KINDS.items()}


@dataclass(frozen=True, slots=True)
class Row:
    """A message of ours: its identity (topic, epoch, seq), its keys, and its bytes. `seq` 0 is outside the
    count: a last will, which the broker speaks, or what a computer says past its journal while its disk is full. Such
    an alarm comes again with its number, and until then it stands in the status."""

    kind: str
    topic: str
    epoch: str
    seq: int
    time: str  # UTC with microseconds, so that texts sort as times
    message: dict[str, Any]
    body: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """No message of ours; `reason` says why, in a few words that group well."""

    topic: str
    reason: str
    detail: str
    body: bytes


def read(topic: str, body: bytes, now_ns: int) -> Row | Rejected:
    """`topic` and `body` as they came at `now_ns` (UTC)."""
    try:
        return _row(topic, body, now_ns)
    except _Refused as refused:
        reason, detail = refused.args
    return Rejected(_clean(topic), reason, _clean(detail), body[:KEPT_OF_REFUSED])


class _Refused(Exception):
    """(reason, detail)"""


def _row(topic: str, body: bytes, now_ns: int) -> Row:
    kind = topic.rsplit("/", 1)[-1]
    if not topic.startswith(f"{TOPIC_ROOT}/") or topic.count("/") != 6 or kind not in KINDS:
        raise _Refused("topic", "is no topic of ours")
    if len(body) > BODY_MAX:
        raise _Refused("size", f"more than {BODY_MAX} bytes")
    try:
        text = body.decode()
        typed = _DECODERS[kind].decode(body)
        message = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _Refused("schema", str(error)[:300]) from None
    if topic_of(typed) != topic:
        raise _Refused("topic", "the message names another topic as its own")
    if not isinstance(typed.epoch, str) or not typed.epoch or not isinstance(typed.seq, int) or typed.seq < 0:
        raise _Refused("number", "has no epoch and seq")
    if typed.seq > SEQ_MOST:
        raise _Refused("number", "seq is beyond what any computer has counted to")
    if typed.seq == 0 and kind not in ("status", "alarm"):
        raise _Refused("number", "seq 0 is for a last will and for what a computer with a full disk says")
    _fits(message)
    try:
        at_ns = parse_utc(typed.time)
    except ValueError as error:
        raise _Refused("time", str(error)[:200]) from None
    except OverflowError:
        raise _Refused("time", "lies outside the calendar") from None
    if not FIRST_NS <= at_ns <= now_ns + AHEAD_NS:
        raise _Refused("time", f"{typed.time[:40]} lies before 2020 or more than a day ahead")
    return Row(kind, topic, typed.epoch, typed.seq, utc_text(at_ns), message, text)


def _fits(value: Any) -> None:
    """Every number is finite and fits 64 bits with a sign; no text holds a NUL, which no database keeps."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if "\0" in item:
                raise _Refused("text", "a text holds a NUL")
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif (isinstance(item, int) and abs(item) > _LARGEST) or (isinstance(item, float) and not math.isfinite(item)):
            raise _Refused("number", "a number is beyond 64 bits")


def _clean(text: str) -> str:
    return text[:300].replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
