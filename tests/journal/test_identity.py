"""Pseudonyms and key files."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest
from certificates import Authority
from hypothesis import given
from hypothesis import strategies as st
from samples import TIME_NS

from drivers.secrets import credential_file
from edge.delivery.identity import (
    IdentityError,
    Pseudonyms,
    canonical,
    certificate_common_name,
    computer_name,
    new_key,
    read_secret,
)

DAY_NS = 86_400 * 10**9
TEXT = st.text(min_size=1, max_size=20)


@pytest.fixture(scope="module")
def pseudonyms(tmp_path_factory: pytest.TempPathFactory) -> Pseudonyms:
    file = tmp_path_factory.mktemp("keys") / "identity.key"
    new_key(file)
    return Pseudonyms(file)


def test_the_documented_formula(tmp_path: Path) -> None:
    file = tmp_path / "identity.key"
    file.write_text("0123456789abcdef" * 4 + "\n")
    file.chmod(0o600)
    secret = hashlib.sha256(b"0123456789abcdef" * 4).digest()
    label = b"borderflow pseudonym 1\0" + str(DAY_NS).encode() + b"\0" + str(TIME_NS // DAY_NS).encode()
    key = hmac.new(secret, label, "sha256").digest()
    expected = hmac.new(key, b"plate\0AB123", "sha256").hexdigest()[:32]
    assert Pseudonyms(file).of("plate", "ab-123", TIME_NS) == expected


def test_the_same_secret_gives_the_same_pseudonym_on_another_computer(tmp_path: Path) -> None:
    file, other = tmp_path / "a.key", tmp_path / "b.key"
    new_key(file)
    other.write_bytes(file.read_bytes())
    other.chmod(0o400)
    assert Pseudonyms(file).of("rfid", "E280 11", TIME_NS) == Pseudonyms(other).of("rfid", "E28011", TIME_NS)
    new_key(tmp_path / "c.key")
    assert Pseudonyms(file).of("rfid", "E28011", TIME_NS) != Pseudonyms(tmp_path / "c.key").of(
        "rfid", "E28011", TIME_NS
    )


def test_pseudonyms_rotate_and_match_across_the_end_of_a_period(pseudonyms: Pseudonyms) -> None:
    midnight = (TIME_NS // DAY_NS + 1) * DAY_NS
    before, after = midnight - 1, midnight
    assert pseudonyms.of("plate", "ABC123", midnight - DAY_NS) == pseudonyms.of("plate", "ABC123", before)
    assert pseudonyms.of("plate", "ABC123", before) != pseudonyms.of("plate", "ABC123", after)
    assert pseudonyms.previous("plate", "ABC123", after) == pseudonyms.of("plate", "ABC123", before)


def test_media_are_apart(pseudonyms: Pseudonyms) -> None:
    assert pseudonyms.of("plate", "ABC123", TIME_NS) != pseudonyms.of("rfid", "ABC123", TIME_NS)


@given(identity=TEXT, time_ns=st.integers(0, 2 * TIME_NS))
def test_any_text_has_a_pseudonym_that_does_not_show_it(pseudonyms: Pseudonyms, identity: str, time_ns: int) -> None:
    made = pseudonyms.of("plate", identity, time_ns)
    assert len(made) == 32
    assert set(made) <= set("0123456789abcdef")
    assert made == pseudonyms.of("plate", identity, time_ns)


@given(identity=TEXT)
def test_canonical_spelling_is_stable(identity: str) -> None:
    once = canonical("plate", identity)
    assert canonical("plate", once) == once
    assert canonical("plate", identity.swapcase()) == canonical("plate", identity.swapcase().swapcase().swapcase())


@pytest.mark.parametrize("written", ["AB 123-C", "ab123c", "AB.123.C", " ab·123c ", "ＡＢ１２３Ｃ"])
def test_separators_and_case_of_plates_do_not_matter(written: str) -> None:
    assert canonical("plate", written) == "AB123C"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "identity.key"
    new_key(file)
    file.chmod(mode)
    with pytest.raises(IdentityError, match=rf"{file}: others may read it \(mode {mode:04o}\); run `chmod 600"):
        read_secret(file)


def test_missing_and_short_keys_are_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match=r"none\.key: cannot be read \(No such file.*borderflow key"):
        read_secret(tmp_path / "none.key")
    short = tmp_path / "short.key"
    short.write_text("secret\n")
    short.chmod(0o600)
    with pytest.raises(IdentityError, match="holds 6 bytes, at least 16"):
        read_secret(short)


def test_a_new_key_is_private_random_and_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "identity.key"
    new_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    assert len(bytes.fromhex(text)) == 32
    with pytest.raises(FileExistsError):
        new_key(file)
    assert file.read_text() == text


def test_systemd_hands_a_key_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handed = tmp_path / "credentials"
    handed.mkdir()
    new_key(handed / "identity.key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed))
    configured = tmp_path / "etc" / "identity.key"
    assert credential_file(configured) == handed / "identity.key"
    assert len(read_secret(configured)) == 32
    assert credential_file(tmp_path / "other.key") == tmp_path / "other.key"


def test_the_group_of_a_key_that_systemd_handed_over_is_its_access_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd 257: an access list names the one user, and `stat` shows its mask as the group's rights."""
    key = tmp_path / "identity.key"
    new_key(key)
    key.chmod(0o440)
    with pytest.raises(IdentityError, match="others may read it"):
        read_secret(key)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert len(read_secret(key)) == 32
    key.chmod(0o444)
    with pytest.raises(IdentityError, match="others may read it"):
        read_secret(key)


def test_systemd_hands_the_whole_directory_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for name in ("etc_identity.key", "etc_tls_lane.pem"):
        (tmp_path / name).write_text("x")
    assert credential_file("/etc/borderflow/identity.key") == tmp_path / "etc_identity.key"
    assert credential_file("/etc/borderflow/tls/lane.pem") == tmp_path / "etc_tls_lane.pem"
    assert credential_file("/etc/borderflow/lane.pem") == Path("/etc/borderflow/lane.pem")
    assert credential_file("/srv/identity.key") == Path("/srv/identity.key")


def test_the_common_name_of_a_certificate(tmp_path: Path, authority: Authority) -> None:
    assert certificate_common_name(authority.issue("edge-0453-1").cert_file) == "edge-0453-1"
    with pytest.raises(IdentityError, match="cannot be read"):
        certificate_common_name(tmp_path / "none.pem")
    (tmp_path / "bad.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(IdentityError, match=r"bad\.pem: is no PEM certificate"):
        certificate_common_name(tmp_path / "bad.pem")


@pytest.mark.parametrize("name", ["lane.bridge", "lane 3", "étage", "a/b", "a+b"])
def test_a_common_name_that_no_topic_can_hold_gets_a_clear_text(authority: Authority, name: str) -> None:
    issued = authority.issue(name, file="odd")
    with pytest.raises(IdentityError, match=r"odd\.pem: its common name .* cannot stand in a topic .*\[site\] source"):
        computer_name(issued.cert_file)
    assert computer_name(authority.issue("lane-3_b").cert_file) == "lane-3_b"
