"""Proves from a collector's copy that nothing was changed, removed or inserted. What `borderflow verify` runs.

In: messages as they came, and the Ed25519 public key of the computer; out: how many are proven, what was removed and
explained, every fault. Nobody needs to be asked. Between two signed heads of a topic (`edge.delivery.evidence`) every
message must be there and be the one that was made. A `journal_dropped` or `journal_damaged` alarm that is itself proven
explains what the journal dropped at its bound or found changed on its disk, and tells the chain on both sides, so that
its neighbours are proven all the same. What follows the last head is not proven yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.delivery.evidence import chain_next, chain_start, signed_text
from edge.messages import Alarm, Evidence, Gap, Message, kind_of, topic_of

Place = tuple[str, str]  # topic, epoch


@dataclass(slots=True)
class Proof:
    """What `verify` found. `removed` were dropped by the computer, which `explained` says; `unproven` lie within such a
    gap, where the chain cannot be followed; `unsigned` come after the last signed head."""

    proven: int = 0
    removed: int = 0
    unproven: int = 0
    unsigned: int = 0
    heads: int = 0
    signed_until: str | None = None  # time of the newest good signature
    explained: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Gap:
    """Numbers that are gone (both included), and the chain around them where it is known."""

    first: int
    last: int
    before: bytes | None
    after: bytes | None


@dataclass(slots=True)
class _Topic:
    """What a copy holds of one topic in one epoch, by seq; `gaps` with the message that tells of each."""

    rows: dict[int, bytes] = field(default_factory=dict)
    heads: dict[int, bytes] = field(default_factory=dict)
    gaps: list[tuple[_Gap, tuple[Place, int]]] = field(default_factory=list)


def verify(lines: Iterable[bytes], key: Ed25519PublicKey) -> Proof:
    """Prove a collector's copy: payloads as they came, one each, in any order, repeats allowed.

    White space between the JSON tokens does not matter, the order of the keys does.
    """
    taken = Proof()
    topics: dict[Place, _Topic] = defaultdict(_Topic)
    for number, line in enumerate(lines, 1):
        if line.strip():
            _take(number, line, key, topics, taken)
    believed = {(place, seq) for place, topic in topics.items() for seq in _behind_gaps(topic)}
    while True:  # an alarm that is proven by now may explain what proves another one
        proof = Proof(heads=taken.heads, signed_until=taken.signed_until, faults=list(taken.faults))
        proven = believed | {
            (place, seq) for place in sorted(topics) for seq in _prove(place, topics[place], believed, proof)
        }
        if proven == believed:
            return proof
        believed = proven


# Reading


def _take(number: int, line: bytes, key: Ed25519PublicKey, topics: dict[Place, _Topic], proof: Proof) -> None:
    try:
        message = msgspec.json.decode(line, type=Message)
        body = msgspec.json.encode(msgspec.json.decode(line))
        topic, epoch, seq = topic_of(message), message.epoch, message.seq
    except (msgspec.MsgspecError, UnicodeDecodeError, IndexError, RecursionError) as error:
        proof.faults.append(f"line {number}: is no message ({error})")
        return
    if not isinstance(epoch, str) or not isinstance(seq, int) or seq < 1:
        return  # a last will: spoken by the broker, outside the count
    known = topics[topic, epoch].rows.setdefault(seq, body)
    if known != body:
        proof.faults.append(f"line {number}: {topic} seq {seq} is there twice with different content")
    elif kind_of(message) == "evidence":
        _take_heads(number, line, key, topics, proof)
    elif kind_of(message) == "alarm":
        _take_gap(line, ((topic, epoch), seq), topics)


def _take_heads(number: int, line: bytes, key: Ed25519PublicKey, topics: dict[Place, _Topic], proof: Proof) -> None:
    try:
        evidence = msgspec.json.decode(line, type=Evidence)
        key.verify(bytes.fromhex(evidence.signature), signed_text(evidence.source, evidence.time, evidence.heads))
        found = {(head.topic, head.epoch, head.seq): bytes.fromhex(head.link) for head in evidence.heads}
    except (msgspec.MsgspecError, ValueError, InvalidSignature):
        proof.faults.append(f"line {number}: the signature does not belong to its heads or to this key")
        return
    proof.heads += len(found)
    proof.signed_until = max(proof.signed_until or "", evidence.time)
    for (topic, epoch, seq), link in found.items():
        if topics[topic, epoch].heads.setdefault(seq, link) != link:
            proof.faults.append(f"line {number}: {topic} seq {seq} was signed twice with different content")


def _take_gap(line: bytes, teller: tuple[Place, int], topics: dict[Place, _Topic]) -> None:
    """What an alarm says of a gap; nothing is believed before the alarm itself is proven."""
    try:
        alarm = msgspec.json.decode(line, type=Alarm)
        if alarm.code not in ("journal_dropped", "journal_damaged") or not isinstance(alarm.gap, Gap):
            return
        said = alarm.gap
        before, after = (
            bytes.fromhex(link) if isinstance(link, str) else None for link in (said.link_before, said.link_after)
        )
    except (msgspec.MsgspecError, ValueError):
        return
    gap = _Gap(said.from_seq, said.to_seq, before, after)
    topics[said.topic, said.epoch].gaps.append((gap, teller))


# Proving


def _behind_gaps(topic: _Topic) -> Iterator[int]:
    """What follows a gap up to the next signed head is proven by that head, whoever told the link at its start."""
    for gap, _ in topic.gaps:
        head = min((seq for seq in topic.heads if seq > gap.last), default=None)
        if head is not None and gap.after is not None:
            numbers = range(gap.last + 1, head + 1)
            if all(n in topic.rows for n in numbers) and _chained(gap.after, topic, numbers) == topic.heads[head]:
                yield from numbers


def _prove(place: Place, topic: _Topic, believed: set[tuple[Place, int]], proof: Proof) -> list[int]:
    """Walk from one signed head to the next; the chain begins at seq 0 with a link that everybody knows."""
    gaps = _joined(gap for gap, teller in topic.gaps if teller in believed)
    proven: list[int] = []
    before, link = 0, chain_start(*place)
    for seq in sorted(topic.heads):
        proven += _prove_between(
            f"{place[0]} epoch {place[1]}", topic, _Gap(before + 1, seq, link, topic.heads[seq]), gaps, proof
        )
        before, link = seq, topic.heads[seq]
    proof.proven += len(proven)
    proof.unsigned += sum(n > before for n in topic.rows)
    return proven


def _prove_between(name: str, topic: _Topic, span: _Gap, gaps: list[_Gap], proof: Proof) -> list[int]:
    """The numbers that are proven of a span whose chain is signed at both ends."""
    wanted = range(span.first, span.last + 1)
    missing = [n for n in wanted if n not in topic.rows]
    mine = [gap for gap in gaps if any(gap.first <= n <= gap.last for n in missing)]
    gone = [n for n in missing if any(gap.first <= n <= gap.last for gap in mine)]
    proof.removed += len(gone)
    if gone:
        proof.explained.append(f"{name}: {_spans(gone)} were dropped or damaged at the computer, as it says itself")
    if len(gone) < len(missing):
        unexplained = _spans([n for n in missing if n not in set(gone)])
        proof.faults.append(f"{name}: {unexplained} missing of {span.first} to {span.last}; not proven")
        return []
    proven: list[int] = []
    first, link = span.first, span.before
    for gap in [*mine, _Gap(span.last + 1, span.last + 1, span.after, None)]:
        numbers = range(first, min(gap.first, span.last + 1))
        if numbers:
            if link is None or gap.before is None:
                proof.unproven += len(numbers)
            elif _chained(link, topic, numbers) == gap.before:
                proven += numbers
            else:
                text = f"something between seq {numbers[0]} and {numbers[-1]} was changed"
                proof.faults.append(f"{name}: {text}")
        proof.unproven += sum(n in topic.rows for n in range(max(gap.first, first), min(gap.last, span.last) + 1))
        first, link = gap.last + 1, gap.after
    return proven


def _chained(link: bytes, topic: _Topic, numbers: range) -> bytes:
    for n in numbers:
        link = chain_next(link, topic.rows[n])
    return link


def _joined(gaps: Iterable[_Gap]) -> list[_Gap]:
    """In order, those that touch or overlap made one."""
    found: list[_Gap] = []
    for gap in sorted(gaps, key=lambda gap: (gap.first, -gap.last)):
        if not found or gap.first > found[-1].last + 1:
            found.append(gap)
        elif gap.last > found[-1].last:
            found[-1] = _Gap(found[-1].first, gap.last, found[-1].before, gap.after)
    return found


def _spans(numbers: list[int]) -> str:
    """`seq 3, 7 to 9` of sorted numbers."""
    parts: list[list[int]] = []
    for n in numbers:
        if parts and parts[-1][1] == n - 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    return "seq " + ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in parts)
