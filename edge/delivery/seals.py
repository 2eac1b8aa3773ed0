"""Seals: a short hash beside each row of the journal, over all that the row says, so that a byte that changed on the
disk is found when the row is read. No I/O; used by `edge.delivery.journal` and `edge.delivery.salvage`.

The seal of a message covers its link in the hash chain of `edge.delivery.evidence`, its topic and its bytes. It
protects against disks, not against people: who can write the file can write seals. Against those there is the evidence.
"""

from __future__ import annotations

import hashlib

import msgspec

_encode = msgspec.msgpack.Encoder().encode


def seal(table: str, *values: object) -> bytes:
    """64 bits of SHA-256 over the values, their types and their order; about 1 µs for a message."""
    return hashlib.sha256(_encode((table, values))).digest()[:8]


def seal_of_message(
    n: object, kind: object, topic: object, epoch: object, seq: object, id: object, time_ns: object, body: object,
    link: object,
) -> bytes:  # fmt: skip
    return seal("log", n, kind, topic, epoch, seq, id, time_ns, body, link)
