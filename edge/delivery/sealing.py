"""Identifiers for an authority with the legal basis, encrypted so that it alone can read them.

In: a plate or tag as it was read, on its way to a pseudonym; out: an `identifier` message that holds it sealed with
HPKE (RFC 9180: X25519, HKDF-SHA-256, ChaCha20-Poly1305) to the public key of one collector. Nothing in clear touches
the journal, a log or the wire. The context of the seal binds it to source, time and pseudonym: a sealed text
that is moved to another message does not open. `unseal` is what the authority runs.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from edge.delivery.identity import IdentityError
from edge.messages import Identifier, Sighting

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


class Sealer:
    """Seals to the X25519 public key (PEM) of one collector."""

    def __init__(self, public_key_file: Path | str) -> None:
        try:
            key = serialization.load_pem_public_key(Path(public_key_file).read_bytes())
        except OSError as error:
            raise IdentityError(
                f"{public_key_file}: cannot be read ({error.strerror}); check identifier_key_file"
            ) from None
        except ValueError:
            raise IdentityError(
                f"{public_key_file}: is no public key in PEM; ask the authority for its X25519 key"
            ) from None
        if not isinstance(key, X25519PublicKey):
            raise IdentityError(
                f"{public_key_file}: is no X25519 key; `openssl genpkey -algorithm x25519` makes a pair"
            )
        self._key = key
        self.key_id = key_id(key)

    def seal(self, identity: str, sighting: Sighting) -> Identifier:
        """The identifier that belongs to a sighting, readable by the owner of the private key alone."""
        context = _context(sighting.source, sighting.time, sighting.medium, sighting.pseudonym)
        sealed = _SUITE.encrypt(identity.encode(), self._key, info=context)
        return Identifier(
            time=sighting.time,
            site=sighting.site,
            lane=sighting.lane,
            source=sighting.source,
            point=sighting.point,
            medium=sighting.medium,
            pseudonym=sighting.pseudonym,
            key=self.key_id,
            sealed=base64.b64encode(sealed).decode(),
        )


def unseal(message: Identifier, key: X25519PrivateKey) -> str:
    """The identifier in clear; ValueError where it was not sealed to this key or not for this message."""
    context = _context(message.source, message.time, message.medium, message.pseudonym)
    try:
        return _SUITE.decrypt(base64.b64decode(message.sealed, validate=True), key, info=context).decode()
    except (InvalidTag, ValueError) as error:
        raise ValueError(f"cannot be opened: sealed to key {message.key}, or changed") from error


def key_id(key: X25519PublicKey) -> str:
    """Name of a public key: the first 128 bits of the SHA-256 of its raw form."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:32]


def _context(source: str, time: str, medium: str, pseudonym: str) -> bytes:
    return f"borderflow identifier 1\n{source}\n{time}\n{medium}\n{pseudonym}\n".encode()
