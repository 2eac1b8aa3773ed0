"""One spelling for each plate and tag before it is hashed. For `edge.delivery.identity` and `edge.exchange.tokens`."""

from __future__ import annotations

import unicodedata

from drivers.plates import one_alphabet
from edge.messages import Medium


def canonical(medium: Medium, identity: str) -> str:
    """One spelling for each identity: upper case; a plate without separators, look-alike letters of other alphabets
    as Latin ones; a tag without white space."""
    if medium == "plate":
        return "".join(c for c in one_alphabet(identity).upper() if c.isalnum())
    return "".join(unicodedata.normalize("NFKC", identity).upper().split())
