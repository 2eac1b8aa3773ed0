"""Identifiers sealed to an authority: it alone can read them, and only in their own message."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from samples import sighting

from edge.delivery.identity import IdentityError
from edge.delivery.journal import Journal
from edge.delivery.sealing import Sealer, unseal
from edge.messages import Identifier

KEY = X25519PrivateKey.generate()


def write(path: Path, key: X25519PublicKey) -> Path:
    path.write_bytes(key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return path


@pytest.fixture(scope="module")
def sealer(tmp_path_factory: pytest.TempPathFactory) -> Sealer:
    return Sealer(write(tmp_path_factory.mktemp("seal") / "authority.pub", KEY.public_key()))


@given(identity=st.text(max_size=40))
def test_the_authority_reads_what_was_read(sealer: Sealer, identity: str) -> None:
    message = sealer.seal(identity, sighting())
    assert unseal(message, KEY) == identity
    assert message.pseudonym == sighting().pseudonym
    assert message.sealed != sealer.seal(identity, sighting()).sealed  # equal plates do not look equal


def test_nobody_else_and_in_no_other_message(sealer: Sealer) -> None:
    message = sealer.seal("AB123C", sighting())
    with pytest.raises(ValueError, match="cannot be opened"):
        unseal(message, X25519PrivateKey.generate())
    for change in (
        {"pseudonym": "11" * 16},
        {"time": "2026-11-24T00:00:00.000000Z"},
        {"source": "other"},
        {"sealed": "AA"},
    ):
        with pytest.raises(ValueError, match="cannot be opened"):
            unseal(msgspec.structs.replace(message, **change), KEY)


def test_no_clear_text_on_disk(sealer: Sealer, journal: Journal) -> None:
    (entry,) = journal.append([sealer.seal("AB123C", sighting())])
    assert unseal(msgspec.json.decode(entry.body, type=Identifier), KEY) == "AB123C"
    assert "AB123C" not in json.dumps(json.loads(entry.body))
    for file in journal.path.parent.glob("journal.db*"):
        assert b"AB123C" not in file.read_bytes()


def test_files_that_are_no_key_are_named(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="cannot be read"):
        Sealer(tmp_path / "none.pub")
    (tmp_path / "text.pub").write_text("no key")
    with pytest.raises(IdentityError, match=r"text\.pub: is no public key"):
        Sealer(tmp_path / "text.pub")
    other = Ed25519PrivateKey.generate().public_key()
    (tmp_path / "ed.pub").write_bytes(
        other.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(IdentityError, match=r"ed\.pub: is no X25519 key"):
        Sealer(tmp_path / "ed.pub")
