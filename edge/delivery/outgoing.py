"""A message to publish, and what MQTT 5 says beside it (section 3.3.2.3): no I/O, nothing of paho.

Made by `edge.delivery.publisher` and the site exchange, sent by `edge.delivery.mqtt`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

CONTENT_TYPE = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to publish with QoS 1; what 3.1.1 cannot carry is left out there."""

    topic: str
    payload: bytes
    retain: bool = False
    id: str = ""
    schema: str = ""
    expiry_s: int | None = None


def user_properties(message: Outgoing) -> list[tuple[str, str]]:
    """All but the id: the schema, and what CloudEvents 1.0 wants in binary mode (its MQTT binding, 3.1)."""
    if not message.id:  # no message of ours but a batch of tokens at a site
        return [("schema", message.schema)]
    source = message.topic.rsplit("/", 2)[0]  # the branch of the computer that publishes
    return [("schema", message.schema), ("specversion", "1.0"), ("type", message.schema), ("source", source)]


class PackedProperties:
    """Publish properties as bytes (MQTT 5, section 2.2.2): paho would pack them anew for each message."""

    __slots__ = ("body",)

    def __init__(self, body: bytes) -> None:
        self.body = body

    def pack(self) -> bytes:
        length = len(self.body)
        head = bytes((length,)) if length < 128 else bytes((length & 0x7F | 0x80, length >> 7))
        return head + self.body


class Packer:
    """Properties of the messages of one connection; what repeats is packed once."""

    def __init__(self) -> None:
        self._prefixes: dict[tuple[str, str, int | None], bytes] = {}

    def properties(self, message: Outgoing) -> PackedProperties:
        key = (message.topic, message.schema, message.expiry_s)
        prefix = self._prefixes.get(key)
        if prefix is None:
            prefix = b"\x01\x01" + b"\x03" + _text(CONTENT_TYPE)  # UTF-8 text, content type
            if message.expiry_s is not None:
                prefix += b"\x02" + struct.pack(">I", message.expiry_s)
            for name, value in user_properties(message):
                prefix += b"\x26" + _text(name) + _text(value)
            self._prefixes[key] = prefix
        return PackedProperties(prefix + (b"\x26" + _text("id") + _text(message.id) if message.id else b""))


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data
