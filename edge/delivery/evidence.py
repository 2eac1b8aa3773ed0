"""Evidence that nobody changed, removed or inserted a message: a hash chain for each topic, its heads signed.

`edge.delivery.journal` makes a link for every message: SHA-256 over the link before it and the bytes of the
message. The daemon signs the last link of every topic at an interval (Ed25519, RFC 8032) and publishes that as an
`evidence` message. Whoever holds a copy of the messages and the public key can prove with `verify`, without asking
anybody, that between two signed heads every message is there and is the one that was made. What follows the last
head is not proven yet.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.delivery.identity import IdentityError, read_private
from edge.messages import Evidence, Head, Message, Site, kind_of, topic_of


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


@dataclass(slots=True)
class Proof:
    """What `verify` found: how many messages are proven, how many come after the last signed head, and every fault."""

    proven: int = 0
    unsigned: int = 0
    heads: int = 0
    signed_until: str | None = None  # time of the newest good signature
    faults: list[str] = field(default_factory=list)


def verify(lines: Iterable[bytes], key: Ed25519PublicKey) -> Proof:
    """Prove a collector's copy: payloads as they came, one each, in any order, repeats allowed.

    White space between the JSON tokens does not matter, the order of the keys does.
    """
    proof = Proof()
    rows: dict[tuple[str, str], dict[int, bytes]] = defaultdict(dict)
    heads: dict[tuple[str, str], dict[int, bytes]] = defaultdict(dict)
    for number, line in enumerate(lines, 1):
        if line.strip():
            _take(number, line, key, rows, heads, proof)
    for place in sorted(rows.keys() | heads.keys()):
        _prove(place, rows.get(place, {}), heads.get(place, {}), proof)
    return proof


def _take(
    number: int,
    line: bytes,
    key: Ed25519PublicKey,
    rows: dict[tuple[str, str], dict[int, bytes]],
    heads: dict[tuple[str, str], dict[int, bytes]],
    proof: Proof,
) -> None:
    try:
        message = msgspec.json.decode(line, type=Message)
        body = msgspec.json.encode(msgspec.json.decode(line))
        topic, epoch, seq = topic_of(message), message.epoch, message.seq
    except (msgspec.MsgspecError, UnicodeDecodeError, IndexError, RecursionError) as error:
        proof.faults.append(f"line {number}: is no message ({error})")
        return
    if not isinstance(epoch, str) or not isinstance(seq, int) or seq < 1:
        return  # a last will: spoken by the broker, outside the count
    known = rows[topic, epoch].setdefault(seq, body)
    if known != body:
        proof.faults.append(f"line {number}: {topic} seq {seq} is there twice with different content")
    elif kind_of(message) == "evidence":
        _take_heads(number, line, key, heads, proof)


def _take_heads(
    number: int, line: bytes, key: Ed25519PublicKey, heads: dict[tuple[str, str], dict[int, bytes]], proof: Proof
) -> None:
    try:
        evidence = msgspec.json.decode(line, type=Evidence)
        key.verify(bytes.fromhex(evidence.signature), signed_text(evidence.source, evidence.time, evidence.heads))
        found = {(head.topic, head.epoch, head.seq): bytes.fromhex(head.link) for head in evidence.heads}
    except (msgspec.MsgspecError, ValueError, InvalidSignature):
        proof.faults.append(f"line {number}: the signature does not belong to its heads or to this key")
        return
    proof.heads += len(found)
    proof.signed_until = max(proof.signed_until or "", evidence.time)
    for (topic, epoch, seq), link in found.items():
        if heads[topic, epoch].setdefault(seq, link) != link:
            proof.faults.append(f"line {number}: {topic} seq {seq} was signed twice with different content")


def _prove(place: tuple[str, str], rows: dict[int, bytes], heads: dict[int, bytes], proof: Proof) -> None:
    """Walk from one signed head to the next; the chain begins at seq 0 with a link that everybody knows."""
    topic, epoch = place
    before, link = 0, chain_start(topic, epoch)
    for seq in sorted(heads):
        wanted = range(before + 1, seq + 1)
        missing = [n for n in wanted if n not in rows]
        if missing:
            proof.faults.append(
                f"{topic} epoch {epoch}: {_spans(missing)} missing of {before + 1} to {seq}; not proven"
            )
        else:
            for n in wanted:
                link = chain_next(link, rows[n])
            if link == heads[seq]:
                proof.proven += len(wanted)
            else:
                proof.faults.append(f"{topic} epoch {epoch}: something between seq {before + 1} and {seq} was changed")
        before, link = seq, heads[seq]
    proof.unsigned += sum(n > before for n in rows)


def _spans(numbers: list[int]) -> str:
    """`seq 3, 7 to 9` of sorted numbers."""
    parts: list[list[int]] = []
    for n in numbers:
        if parts and parts[-1][1] == n - 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    return "seq " + ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in parts)
