"""Tokens of plates and tags, by which the computers of one crossing match vehicles without telling each other a plate.

In: what a reader read, with its time; out: keyed hashes for the site's broker, and how well two sets of them agree, on
the scale of the clear comparison without formats (ln of a likelihood ratio, csrc/src/match/plates.c). Pure: no clock,
no network. Called by `edge.exchange.codec` (both computers) and, through `TokenIndex`, by `edge.waiting.evidence` (the
computer that matches).

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
import math
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
    def alike(self) -> bytes:
        return self.packed[TOKEN_BYTES : 2 * TOKEN_BYTES]

    def without(self) -> list[bytes]:
        return _split(self.packed[2 * TOKEN_BYTES : (2 + self.length) * TOKEN_BYTES])

    def alike_without(self) -> list[bytes]:
        return _split(self.packed[(2 + self.length) * TOKEN_BYTES :])


def _split(packed: bytes) -> list[bytes]:
    return [packed[at : at + TOKEN_BYTES] for at in range(0, len(packed), TOKEN_BYTES)]


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


# ---- comparison --------------------------------------------------------------------------------------------------

# The numbers of the core's plate table (edge.core.PlateTable), with the mean over characters in place of the pair:
# which two characters differ is what a token does not tell.
_ERROR, _GAP, _FLEET, _LOOK_ALIKES = 0.012, 0.002, 0.03, 3.0
_FAR = 0.5 * _ERROR / 35.0
SAME = math.log(36.0 * (1.0 - _ERROR) ** 2)
LOOK_ALIKE = math.log(36.0 * 2.0 * (1.0 - _ERROR) * (0.5 * _ERROR / _LOOK_ALIKES + _FAR))
OTHER = math.log(36.0 * 2.0 * (1.0 - _ERROR) * _FAR)
MISSING = math.log(_GAP)
_FLEET_TAIL = 7.0  # two characters of an exact match


def compare(row: PlateTokens, query: PlateTokens) -> float | None:
    """Ln likelihood ratio "one vehicle" against "another of this traffic"; None where the tokens do not agree.

    `query` is the reading downstream, whose fleet is looked at, as in the core. Only tokens of one period can agree.
    Found are: equal plates, one misread character, one missing or added, and each of these with any number of
    look-alikes.
    """
    if row.period != query.period or abs(row.length - query.length) > 1:
        return None
    if row.length == query.length:
        return _equal_length(row, query)
    short, long = (row, query) if row.length < query.length else (query, row)
    if short.whole in long.without():
        score = short.length * SAME + MISSING
    elif short.alike in long.alike_without():
        score = (short.length - 1) * SAME + LOOK_ALIKE + MISSING
    else:
        return None
    return _against_fleet(score, score - _FLEET_TAIL)


def _equal_length(row: PlateTokens, query: PlateTokens) -> float | None:
    n, cut = query.length, query.cut
    if row.whole == query.whole:
        return _against_fleet(n * SAME, cut * SAME)
    alike = row.alike == query.alike
    at = _same_place(row.without(), query.without())
    if at is not None:
        wrong = LOOK_ALIKE if alike else OTHER
        return _against_fleet((n - 1) * SAME + wrong, cut * SAME if at >= cut else (cut - 1) * SAME + wrong)
    if alike:  # two or more look-alikes; one of them before the cut
        return _against_fleet((n - 2) * SAME + 2 * LOOK_ALIKE, max(0, cut - 1) * SAME + LOOK_ALIKE)
    at = _same_place(row.alike_without(), query.alike_without())
    if at is None:
        return None
    before = LOOK_ALIKE if at >= cut else OTHER
    return _against_fleet((n - 2) * SAME + LOOK_ALIKE + OTHER, max(0, cut - 1) * SAME + before)


def _same_place(a: list[bytes], b: list[bytes]) -> int | None:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x == y), None)


def _against_fleet(score: float, prefix: float) -> float:
    """`score` against what another vehicle would score: unrelated, or of the same fleet with an equal beginning."""
    x, y = math.log(_FLEET) + prefix, math.log(1.0 - _FLEET)
    return score - max(x, y) - math.log1p(math.exp(-abs(x - y)))


class TokenIndex:
    """Tokens of vehicles upstream, found by any token in common. The caller gives each a number, and bounds them."""

    def __init__(self) -> None:
        self._kept: dict[int, list[PlateTokens]] = {}
        self._by_token: dict[bytes, set[int]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, key: int, tokens: PlateTokens) -> None:
        kept = self._kept.setdefault(key, [])
        if tokens in kept:
            return
        kept.append(tokens)
        for token in _split(tokens.packed):
            self._by_token.setdefault(token, set()).add(key)

    def remove(self, key: int) -> None:
        for tokens in self._kept.pop(key, ()):
            for token in _split(tokens.packed):
                keys = self._by_token.get(token)
                if keys is not None:
                    keys.discard(key)
                    if not keys:
                        del self._by_token[token]

    def compare(self, queries: list[PlateTokens]) -> dict[int, float]:
        """The best score of each vehicle that agrees with one of the readings."""
        best: dict[int, float] = {}
        for query in queries:
            near: set[int] = set()
            for token in _split(query.packed):
                near |= self._by_token.get(token, set())
            for key in near:
                for tokens in self._kept[key]:
                    score = compare(tokens, query)
                    if score is not None and score > best.get(key, -math.inf):
                        best[key] = score
        return best
