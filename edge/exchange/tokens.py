"""Tokens of plates and tags, by which the computers of one crossing match vehicles without telling each other a plate.

In: what a reader read, with its time; out: keyed hashes for the site's broker. How well two sets of them agree,
the core says (csrc/src/match/tokens.c). Pure: no clock, no network. Called by `edge.exchange.codec` (both computers).

A hash of a plate says nothing about a plate that differs in one character, and readers misread one in twelve. So each
plate gives several tokens, HMAC-SHA-256 under the site's key of the period, cut to 64 bits:
  whole           the plate
  without[i]      the plate without its character i: equal at the same i after one misread character, and equal to the
                  other's `whole` where a character is missing or added
  alike           the plate with each character replaced by the first of those that readers take for it: equal after any
                  number of confusions such as 0/O or 8/B
  alike_without[i]  both: one misread or missing character, and confusions
The period follows from the time of the event. In the first `OVERLAP_NS` of a period every plate gets the tokens of the
period before it as well: as long as a vehicle may wait, the rotation costs no match.

What the tokens protect against and what not: docs/privacy.md.
"""

from __future__ import annotations

import hmac
from functools import lru_cache

from msgspec import Struct

from edge.delivery.canonical import canonical

TOKEN_BYTES = 8
MOST_CHARACTERS = 15  # of a plate, as in the core's row
OVERLAP_NS = 6 * 3600 * 1_000_000_000  # the longest wait that is matched
_LABEL = b"borderflow site exchange 1"

# A partition of the characters that readers take for one another: UTMC's merge classes (ukcrypto list, 2012) and the
# groups of the core's confusion table, so far as groups that overlap there can be told apart here.
_GROUPS = ("0ODQ", "1I7LT", "8B3", "5S", "2Z", "6GC", "4A", "UVY", "MNHW", "EF", "KX", "PR")
_ALIKE = str.maketrans({character: group[0] for group in _GROUPS for character in group})


class PlateTokens(Struct, frozen=True, repr_omit_defaults=True):
    """The tokens of one plate in one period; `cut`: where the part begins in which plates of a fleet differ.

    `packed` holds whole, alike, without[0..length), alike_without[0..length), `TOKEN_BYTES` each.
    """

    period: int
    length: int
    cut: int
    packed: bytes

    def valid(self) -> bool:
        """Whether the numbers fit together; tokens of another computer are checked before they are used."""
        n = self.length
        return 1 <= n <= MOST_CHARACTERS and 0 <= self.cut <= n and len(self.packed) == TOKEN_BYTES * (2 + 2 * n)

    @property
    def whole(self) -> bytes:
        return self.packed[:TOKEN_BYTES]

    @property
    def data(self) -> bytes:
        """As the core takes them."""
        numbers = (self.period.to_bytes(8, "little"), self.length.to_bytes(4, "little"), self.cut.to_bytes(4, "little"))
        return b"".join((*numbers, self.packed))


class ExchangeKeys:
    """The keys of a site: `secret` is what `identity.read_secret` gives, `period_ns` the length of a rotation."""

    def __init__(self, secret: bytes, period_ns: int) -> None:
        self._secret = secret
        self.period_ns = period_ns
        self._key = lru_cache(maxsize=16)(self._derive)

    def periods(self, time_ns: int) -> list[int]:
        """The periods whose tokens a sighting of that time gets: its own and, early in it, the one before."""
        period, since_ns = divmod(time_ns, self.period_ns)
        back = -(-(OVERLAP_NS - since_ns) // self.period_ns)  # more than one where periods are shorter than a wait
        return list(range(period, period - max(0, back) - 1, -1))

    def plate(self, plate: str, time_ns: int) -> tuple[PlateTokens, ...]:
        """Tokens of a plate as it was read, newest period first; none for what has no letter and no digit."""
        text = "".join(c for c in canonical("plate", plate) if c.isascii())[:MOST_CHARACTERS]
        return tuple(self._plate(text, period) for period in self.periods(time_ns)) if text else ()

    def tag(self, tag: str, time_ns: int) -> tuple[bytes, ...]:
        """Tokens of a tag (16 bytes), newest period first: a tag is read right or not at all."""
        text = canonical("rfid", tag).encode()
        if not text:
            return ()
        return tuple(hmac.digest(self._key(p, b"tag"), text, "sha256")[:16] for p in self.periods(time_ns))

    def sealing(self, period: int) -> bytes:
        """Key (32 bytes) under which messages of a period are encrypted."""
        return self._key(period, b"seal")

    def keeping(self, period: int) -> bytes:
        """Key (32 bytes) under which a computer keeps for itself what it saw in a period."""
        return self._key(period, b"keep")

    def _plate(self, text: str, period: int) -> PlateTokens:
        alike = text.translate(_ALIKE)
        exact_key, alike_key = self._key(period, b"plate"), self._key(period, b"alike")
        n = len(text)
        parts = [_token(exact_key, text), _token(alike_key, alike)]
        parts += [_token(exact_key, text[:i] + text[i + 1 :]) for i in range(n)]
        parts += [_token(alike_key, alike[:i] + alike[i + 1 :]) for i in range(n)]
        return PlateTokens(period, n, _fleet_cut(text), b"".join(parts))

    def _derive(self, period: int, use: bytes) -> bytes:
        return hmac.digest(self._secret, b"%s\0%s\0%d\0%d" % (_LABEL, use, self.period_ns, period), "sha256")


def _token(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")[:TOKEN_BYTES]


def _fleet_cut(text: str) -> int:
    """Index of the last but one digit, as in the core: plates of a fleet are equal before it."""
    digits = [i for i, character in enumerate(text) if character.isdigit()]
    return digits[-2] if len(digits) >= 2 else max(0, len(text) - 2)
