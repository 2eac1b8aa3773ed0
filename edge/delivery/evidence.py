"""Evidence that nobody changed, removed or inserted a message: a hash chain for each topic, its heads signed.

`edge.delivery.journal` makes a link for every message: SHA-256 over the link before it and the bytes of the
message. The daemon signs the last link of every topic at an interval (Ed25519, RFC 8032) and publishes that as an
`evidence` message. `edge.delivery.proof` is what whoever holds a copy of the messages proves with them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.delivery.identity import IdentityError, read_private
from edge.messages import Evidence, Head, Site


def chain_start(topic: str, epoch: str) -> bytes:
    """The link before the first message of a topic in an epoch."""
    return hashlib.sha256(f"borderflow chain 1\n{topic}\n{epoch}\n".encode()).digest()


def chain_next(link: bytes, body: bytes) -> bytes:
    """The link of a message from the one before it and the bytes that went onto the wire."""
    return hashlib.sha256(link + body).digest()


def signed_text(source: str, time: str, heads: Iterable[Head]) -> bytes:
    """What is signed: a line for each head, by topic."""
    rows = sorted(f"{head.topic} {head.epoch} {head.seq} {head.link}\n" for head in heads)
    return f"borderflow evidence 1\n{source}\n{time}\n{''.join(rows)}".encode()


class Signer:
    """Signs heads with the Ed25519 key of this computer (PEM, PKCS 8)."""

    def __init__(self, key_file: Path | str) -> None:
        key = read_signing_key(key_file)
        self._key = key
        self.key_id = key_id(key.public_key())

    def evidence(self, heads: Mapping[str, tuple[str, int, bytes]], *, site: Site, source: str, time: str) -> Evidence:
        """The message that signs the heads of the journal (topic -> epoch, seq, link)."""
        rows = tuple(
            Head(topic=topic, epoch=head[0], seq=head[1], link=head[2].hex()) for topic, head in sorted(heads.items())
        )
        signature = self._key.sign(signed_text(source, time, rows))
        return Evidence(
            time=time, site=site, lane="_", source=source, heads=rows, key=self.key_id, signature=signature.hex()
        )


def key_id(key: Ed25519PublicKey) -> str:
    """Name of a public key: the first 128 bits of the SHA-256 of its raw form."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:32]


def read_signing_key(key_file: Path | str) -> Ed25519PrivateKey:
    """An Ed25519 private key (PEM, PKCS 8, no password) that its owner alone may read."""
    path, data = read_private(Path(key_file))
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise IdentityError(
            f"{path}: is no PEM key without a password ({error}); `borderflow key --sign FILE` makes one"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityError(f"{path}: is no Ed25519 key; `borderflow key --sign FILE` makes one")
    return key


def new_signing_key(path: Path | str) -> Path:
    """Make a key for `Signer`, readable by its owner alone, and beside it `PATH.pub` for those who verify."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(private)
        file.flush()
        os.fsync(file.fileno())
    beside = Path(f"{path}.pub")
    beside.write_bytes(public)
    return beside


def read_public_key(path: Path | str) -> Ed25519PublicKey:
    """An Ed25519 public key in PEM."""
    try:
        key = serialization.load_pem_public_key(Path(path).read_bytes())
    except OSError as error:
        raise IdentityError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise IdentityError(f"{path}: is no public key in PEM ({error}); give the .pub file of the computer") from None
    if not isinstance(key, Ed25519PublicKey):
        raise IdentityError(f"{path}: is no Ed25519 public key; give the .pub file of the computer")
    return key
