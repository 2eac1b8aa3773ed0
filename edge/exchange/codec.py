"""Sightings on the site's broker: sightings in, sealed payloads out, and back, with tokens in place of plates and tags.

Pure. `ExchangeWriter` runs on the computer that sends, `ExchangeReader` on the one that matches. A payload is the
message `Exchange`: its `sealed` is a batch of records under ChaCha20-Poly1305 (RFC 8439), the site's key of the period
and the topic as associated data, so that the broker learns neither which vehicles are the same nor which plates are
alike, and nobody without the key can put a vehicle in. What cannot be opened is counted by its reason and never raised:
a broker carries anything.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from msgspec import Struct

from edge.exchange.tokens import ExchangeKeys, PlateTokens
from edge.waiting.sightings import (
    AxleSighting,
    BoothChange,
    LoopCount,
    PlateSighting,
    Sighting,
    TagSighting,
    TokenSighting,
)

MOST_RECORDS = 40  # in a payload: at most 50 kB, below what a link takes
MOST_PAYLOAD = 65_536
_NONCE_BYTES = 12
_MOST_AXLES = 64
_NONCES_KEPT = 16_384


class Exchange(Struct, frozen=True, kw_only=True):
    """Sightings of one computer for the computer of the same crossing that matches; stays on the site's broker."""

    schema: Literal["borderflow/exchange/1"] = "borderflow/exchange/1"
    period: int
    sealed: bytes


class Record(Struct, frozen=True, omit_defaults=True):
    """A sighting as it is sent or kept: tokens in place of identities."""

    time_ns: int
    lane: str
    point: str
    medium: Literal["rfid", "plate", "loop", "axles", "booth"]
    plates: tuple[PlateTokens, ...] = ()
    tags: tuple[bytes, ...] = ()
    confidence: float | None = None
    positions_m: tuple[float, ...] = ()
    loads_kg: tuple[float, ...] = ()
    open: bool | None = None
    program: str | None = None
    booth: str | None = None


_encode = msgspec.json.Encoder().encode
_decode_outer = msgspec.json.Decoder(Exchange).decode
_decode_records = msgspec.json.Decoder(tuple[Record, ...]).decode


class ExchangeWriter:
    """`random` gives that many random bytes (os.urandom in the daemon): a nonce must never come twice under one key."""

    def __init__(self, keys: ExchangeKeys, topic: str, random: Callable[[int], bytes]) -> None:
        self._keys, self._topic, self._random = keys, topic.encode(), random

    def seal(self, sightings: Sequence[Sighting], now_ns: int) -> bytes:
        """The payload of at most `MOST_RECORDS` sightings."""
        if len(sightings) > MOST_RECORDS:
            raise ValueError(f"{len(sightings)} sightings do not fit into one payload; at most {MOST_RECORDS} do")
        records = [record_of(sighting, self._keys) for sighting in sightings]
        period = now_ns // self._keys.period_ns
        nonce = self._random(_NONCE_BYTES)
        body = ChaCha20Poly1305(self._keys.sealing(period)).encrypt(nonce, _encode(records), self._topic)
        return _encode(Exchange(period=period, sealed=nonce + body))


class ExchangeReader:
    """Opens payloads; `counters` counts what was refused, by a short word."""

    def __init__(self, keys: ExchangeKeys) -> None:
        self._keys = keys
        self._nonces: OrderedDict[bytes, None] = OrderedDict()
        self.counters: Counter[str] = Counter()

    def open(self, topic: str, payload: bytes, now_ns: int) -> list[Sighting]:
        """The sightings of a payload; none, and a count, where it is not one of this site, is old or came before."""
        if len(payload) > MOST_PAYLOAD:
            return self._refuse("exchange_too_long")
        try:
            message = _decode_outer(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._refuse("exchange_malformed")
        now = now_ns // self._keys.period_ns
        if abs(message.period - now) > 1:
            return self._refuse("exchange_old_period")
        nonce, body = message.sealed[:_NONCE_BYTES], message.sealed[_NONCE_BYTES:]
        if nonce in self._nonces:
            return self._refuse("exchange_repeated")
        try:
            plain = ChaCha20Poly1305(self._keys.sealing(message.period)).decrypt(nonce, body, topic.encode())
            records = _decode_records(plain)
        except (InvalidTag, ValueError):
            return self._refuse("exchange_foreign")
        except msgspec.MsgspecError:
            return self._refuse("exchange_other_version")
        self._nonces[nonce] = None
        if len(self._nonces) > _NONCES_KEPT:
            self._nonces.popitem(last=False)
        return [sighting for record in records for sighting in sightings_of(record)]

    def _refuse(self, reason: str) -> list[Sighting]:
        self.counters[reason] += 1
        return []


def record_of(sighting: Sighting, keys: ExchangeKeys) -> Record:
    """A sighting without any identity in clear."""
    common = (sighting.time_ns, sighting.lane, sighting.point)
    match sighting:
        case TagSighting():
            tags = keys.tag(sighting.id, sighting.time_ns)
            return Record(*common, "rfid", tags=tags, confidence=sighting.confidence)
        case PlateSighting():
            plates = keys.plate(sighting.id, sighting.time_ns)
            return Record(*common, "plate", plates=plates, confidence=sighting.confidence)
        case LoopCount():
            return Record(*common, "loop")
        case AxleSighting():
            return Record(*common, "axles", positions_m=sighting.positions_m, loads_kg=sighting.loads_kg)
        case BoothChange():
            return Record(*common, "booth", open=sighting.open, program=sighting.program, booth=sighting.booth)
        case TokenSighting():
            raise ValueError("these tokens came from another computer; only what was read here is sent")


def sightings_of(record: Record) -> list[Sighting]:
    """What a record says, for the waits; nothing where its numbers are no sighting."""
    at = (record.time_ns, record.lane, record.point)
    if not 0 <= record.time_ns < 1 << 62:
        return []
    confidence = record.confidence if record.confidence is not None and math.isfinite(record.confidence) else None
    match record.medium:
        case "rfid":
            return [TagSighting(*at, tag.hex(), confidence) for tag in record.tags[:4] if len(tag) == 16]
        case "plate":
            tokens = tuple(plate for plate in record.plates[:4] if plate.valid())
            return [TokenSighting(*at, tokens, confidence)] if tokens else []
        case "loop":
            return [LoopCount(*at)]
        case "axles":
            x, load = record.positions_m, record.loads_kg
            sensible = 0 < len(x) == len(load) <= _MOST_AXLES and all(abs(value) < 1e6 for value in (*x, *load))
            return [AxleSighting(*at, x, load)] if sensible else []
        case "booth":
            return [BoothChange(*at, record.open, record.program, record.booth)]


def local_sightings(sighting: Sighting, keys: ExchangeKeys) -> list[Sighting]:
    """What was read on the computer that matches, as its waits take it: with the tokens that others' compare with."""
    match sighting:
        case TagSighting():
            tags = keys.tag(sighting.id, sighting.time_ns)
            at = (sighting.time_ns, sighting.lane, sighting.point)
            return [TagSighting(*at, tag.hex(), sighting.confidence) for tag in tags]
        case PlateSighting():
            tokens = keys.plate(sighting.id, sighting.time_ns)
            at = (sighting.time_ns, sighting.lane, sighting.point)
            return [sighting, *([TokenSighting(*at, tokens, sighting.confidence)] if tokens else [])]
        case _:
            return [sighting]
