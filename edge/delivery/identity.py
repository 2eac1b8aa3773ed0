"""Pseudonyms of plates and tags, the secret behind them, and the name that a certificate gives this computer.

In: what a reader read, with its time; out: 32 hex digits that are the same wherever the same secret is used, and that
nobody can turn back without it. Called by the lane pipeline for every identity before anything is stored or sent.

pseudonym = HMAC-SHA-256(key of the period, medium, 0, canonical identity), the first 128 bits (RFC 2104, SP 800-107)
key of the period = HMAC-SHA-256(secret, label, length of the period, number of the period since 1970)

The period follows from the time of the event, so that a replay gives the same pseudonyms. To match a vehicle across the
end of a period, compare with `previous` too. A plate has little entropy: without the secret the hash protects it, with
the secret every plate can be tried, so the secret stays in one file that its owner alone may read.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from drivers.secrets import credential_file, others_may_read
from edge.config.rules import TOPIC_LEVEL, rotation_s
from edge.delivery.canonical import canonical
from edge.messages import Medium

MIN_SECRET_BYTES = 16
_LABEL = b"borderflow pseudonym 1"


class IdentityError(Exception):
    """A key or certificate cannot be used; the text names the file and the remedy."""


class Pseudonyms:
    """Keyed hashes of identities; `rotation` is `24h`, `7d` and the like."""

    def __init__(self, key_file: Path | str, rotation: str = "24h") -> None:
        self._secret = read_secret(Path(key_file))
        self._period_ns = rotation_s(rotation) * 1_000_000_000
        self._key = lru_cache(maxsize=8)(self._derive)

    def of(self, medium: Medium, identity: str, time_ns: int) -> str:
        """The pseudonym of what was read at `time_ns`: 32 hex digits."""
        return self._hash(medium, identity, time_ns // self._period_ns)

    def previous(self, medium: Medium, identity: str, time_ns: int) -> str:
        """The pseudonym that the same identity had in the period before the one of `time_ns`."""
        return self._hash(medium, identity, time_ns // self._period_ns - 1)

    def _hash(self, medium: Medium, identity: str, period: int) -> str:
        text = medium.encode() + b"\0" + canonical(medium, identity).encode()
        return hmac.digest(self._key(period), text, "sha256")[:16].hex()

    def _derive(self, period: int) -> bytes:
        text = b"%s\0%d\0%d" % (_LABEL, self._period_ns, period)
        return hmac.digest(self._secret, text, "sha256")


def read_secret(path: Path) -> bytes:
    """The secret of a key file, 32 bytes; IdentityError where it is missing, too short or readable by others."""
    path, data = read_private(path)
    if len(data.strip()) < MIN_SECRET_BYTES:
        raise IdentityError(
            f"{path}: holds {len(data.strip())} bytes, at least {MIN_SECRET_BYTES} are needed; "
            f"remove it and run `borderflow key {path}`"
        )
    return hashlib.sha256(data.strip()).digest()


def read_private(path: Path) -> tuple[Path, bytes]:
    """A file that its owner alone may read: where it was found, and its first 4096 bytes."""
    path = credential_file(path)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(4096)
    except OSError as error:
        raise IdentityError(
            f"{path}: cannot be read ({error.strerror}); `borderflow key {path}` makes a new one"
        ) from None
    if others_may_read(path, mode):
        raise IdentityError(f"{path}: others may read it (mode {stat.S_IMODE(mode):04o}); run `chmod 600 {path}`")
    return path, data


def new_key(path: Path | str) -> None:
    """Make a key file with 256 random bits, for its owner alone; OSError where it exists or cannot be made."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())


def certificate_common_name(cert_file: Path | str) -> str:
    """The common name of the subject of a PEM certificate (the first in the file)."""
    path = credential_file(cert_file)
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise IdentityError(f"{path}: cannot be read ({error.strerror}); check cert_file") from None
    except ValueError:
        raise IdentityError(f"{path}: is no PEM certificate; check cert_file") from None
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not names:
        raise IdentityError(f"{path}: its subject has no common name; have one issued with CN = name of this computer")
    return str(names[0].value)


def computer_name(cert_file: Path | str) -> str:
    """The common name of a certificate, where it can stand in a topic; else IdentityError says what to do."""
    name = certificate_common_name(cert_file)
    if not TOPIC_LEVEL.fullmatch(name):
        raise IdentityError(
            f"{credential_file(cert_file)}: its common name {name!r} cannot stand in a topic (letters A to Z, digits, "
            '- and _); have one issued for such a name, or write [site] source = "…" and let the broker give that '
            "branch to this certificate"
        )
    return name
