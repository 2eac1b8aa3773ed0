"""Evidence that the messages of a topic were not changed, removed or inserted: a hash chain.

Called by `edge.journal` for every message. The link of a message is SHA-256 over the link before it and its bytes, so
that whoever holds the last link and all messages can prove the whole row.
"""

from __future__ import annotations

import hashlib


def chain_start(topic: str, epoch: str) -> bytes:
    """The link before the first message of a topic in an epoch."""
    return hashlib.sha256(f"borderflow chain 1\n{topic}\n{epoch}\n".encode()).digest()


def chain_next(link: bytes, body: bytes) -> bytes:
    """The link of a message from the one before it and the bytes that went onto the wire."""
    return hashlib.sha256(link + body).digest()
