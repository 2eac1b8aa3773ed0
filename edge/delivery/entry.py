"""Plain types of the journal: what it stores, what it tells. No I/O; used by `edge.delivery.journal` and all who read
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warning", "critical"]
AlarmSink = Callable[[str, Literal["begin", "end"], Severity, str], None]  # code, state, severity, text


class JournalError(Exception):
    """The journal cannot do what was asked; the text names the file and what to do. Nothing was appended.

    `cause` is what a status says of it: `disk_full` or `disk`.
    """

    def __init__(self, text: str, cause: str = "disk") -> None:
        super().__init__(text)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Entry:
    """One message as it is stored: `n` is its place in the journal, `body` goes onto the wire unchanged."""

    n: int
    kind: str
    topic: str
    epoch: str
    seq: int
    id: str
    time_ns: int
    body: bytes
    late: bool = False  # backlog or replay: newer messages of its topic may have been sent before it

    @property
    def schema(self) -> str:
        return f"borderflow/{self.kind}/1"


@dataclass(frozen=True, slots=True)
class Pending:
    """What a collector has not acknowledged: how many messages, and when the oldest was appended (ns UTC)."""

    messages: int
    oldest_ns: int | None


@dataclass(frozen=True, slots=True)
class Loss:
    """`messages` of one topic, between two seq, were dropped before every collector had them, or changed on the disk.

    `before` and `after` are the heads of the topic's hash chain around them, null where they are not known.
    """

    time_ns: int
    topic: str
    epoch: str
    from_seq: int
    to_seq: int
    messages: int
    before: bytes | None = None
    after: bytes | None = None
    cause: Literal["dropped", "damaged"] = "dropped"


def joined(losses: Iterable[Loss]) -> list[Loss]:
    """Losses by topic and number, those that follow each other without a number in between made one."""
    found: list[Loss] = []
    for loss in losses:
        last = found[-1] if found else None
        if last is not None and (last.topic, last.epoch, last.cause, last.to_seq + 1) == (
            loss.topic, loss.epoch, loss.cause, loss.from_seq,
        ):  # fmt: skip
            found[-1] = Loss(
                max(last.time_ns, loss.time_ns), loss.topic, loss.epoch, last.from_seq, loss.to_seq,
                last.messages + loss.messages, last.before, loss.after, loss.cause,
            )  # fmt: skip
        else:
            found.append(loss)
    return found


def uuid7(time_ns: int, random: bytes) -> str:
    """UUID version 7 (RFC 9562): milliseconds, their fraction in 12 bits, then 62 random bits of the 8 bytes given."""
    milliseconds, rest = divmod(time_ns, 1_000_000)
    high = (milliseconds & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | rest * 4096 // 1_000_000
    low = int.from_bytes(random[:8]) & 0x3FFF_FFFF_FFFF_FFFF | 1 << 63
    return uuid_text((high << 64 | low).to_bytes(16))


def uuid_text(data: bytes) -> str:
    """The usual spelling of 16 bytes."""
    text = data.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
