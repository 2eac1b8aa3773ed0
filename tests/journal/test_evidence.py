"""The hash chain and its signed heads: every change, removal and insertion is found, and nothing else."""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import ROOT, SITE, SOURCE, TIME_NS, mixed, vehicle

from edge.commands import verify as verify_command
from edge.delivery.entry import Loss
from edge.delivery.evidence import Signer, chain_next, chain_start, new_signing_key, read_public_key
from edge.delivery.identity import IdentityError
from edge.delivery.journal import Journal
from edge.delivery.loss_alarm import loss_alarm
from edge.delivery.proof import verify
from edge.messages import KINDS, encode, stamped, utc_text

Copy = tuple[list[bytes], Ed25519PublicKey, Path]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Payloads of 120 messages with three signed heads, and three messages after the last."""
    path = tmp_path_factory.mktemp("evidence")
    public = new_signing_key(path / "sign.key")
    signer = Signer(path / "sign.key")
    clock = count(TIME_NS, 1_000_000)
    journal = Journal(path / "journal.db", 10_000_000, lambda: next(clock))
    lines: list[bytes] = []
    for round in range(3):
        lines += [entry.body for entry in journal.append(mixed(40))]
        evidence = signer.evidence(journal.heads(), site=SITE, source=SOURCE, time=utc_text(TIME_NS + round))
        lines += [entry.body for entry in journal.append([evidence])]
    lines += [entry.body for entry in journal.append(mixed(3))]
    journal.close()
    return lines, read_public_key(public), public


def test_a_whole_copy_is_proven(copy: Copy) -> None:
    lines, key, _ = copy
    proof = verify(lines, key)
    assert proof.faults == []
    assert proof.proven == 122  # with two of the three evidence messages
    assert proof.unsigned == 4
    assert proof.signed_until == utc_text(TIME_NS + 2)


def test_order_repeats_and_white_space_do_not_matter(copy: Copy) -> None:
    lines, key, _ = copy
    shuffled = [*lines, *lines[:30]]
    random.Random(5).shuffle(shuffled)
    spaced = [json.dumps(json.loads(line), ensure_ascii=False).encode() + b"\n" for line in shuffled]
    proof = verify([*spaced, b"", b"\n"], key)
    assert (proof.faults, proof.proven) == ([], 122)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_change_of_a_signed_message_is_found(copy: Copy, data: st.DataObject) -> None:
    lines, key, _ = copy
    at = data.draw(st.integers(0, 121))
    body = json.loads(lines[at])
    name = data.draw(st.sampled_from([key for key in body if key not in ("seq", "heads", "schema")]))
    if isinstance(body[name], dict):
        body[name] = body[name] | {"country": "XX"}
    else:
        body[name] = "changed" if isinstance(body[name], str) else 4711.5
    proof = verify([*lines[:at], json.dumps(body).encode(), *lines[at + 1 :]], key)
    assert proof.faults


@settings(max_examples=40, deadline=None)
@given(at=st.integers(0, 121))
def test_any_removal_is_found(copy: Copy, at: int) -> None:
    lines, key, _ = copy
    proof = verify([*lines[:at], *lines[at + 1 :]], key)
    body = json.loads(lines[at])
    assert any(f"seq {body['seq']} missing" in fault for fault in proof.faults)
    assert proof.proven < 122


def test_an_insertion_is_found(copy: Copy) -> None:
    lines, key, _ = copy
    body = json.loads(lines[0])
    body["gross_kg"] = 1.0
    proof = verify([*lines, json.dumps(body).encode()], key)
    assert "twice with different content" in proof.faults[0]


def test_a_gap_is_told_and_what_lies_between_later_heads_is_proven(copy: Copy) -> None:
    """A collector that missed the beginning, or messages that were dropped at the disk bound."""
    lines, key, _ = copy
    proof = verify(lines[40:], key)
    assert len(proof.faults) == 6  # one for each topic of the first forty
    assert all("missing of 1 to" in fault for fault in proof.faults)
    assert proof.proven == 82


def test_a_head_of_another_key_counts_for_nothing(copy: Copy, tmp_path: Path) -> None:
    lines, _, _ = copy
    other = read_public_key(new_signing_key(tmp_path / "other.key"))
    proof = verify(lines, other)
    assert proof.proven == 0
    assert proof.heads == 0
    assert sum("does not belong" in fault for fault in proof.faults) == 3


def test_the_chain_is_what_is_documented() -> None:
    link = chain_start("a/topic", "e1")
    assert link == hashlib.sha256(b"borderflow chain 1\na/topic\ne1\n").digest()
    assert chain_next(link, b"one") == hashlib.sha256(link + b"one").digest()


@given(line=st.binary(max_size=100) | st.text(max_size=60).map(str.encode))
def test_any_line_gives_a_fault_or_nothing(copy: Copy, line: bytes) -> None:
    proof = verify([line], copy[1])
    assert proof.proven == 0


def test_the_command(copy: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines, _, public = copy
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_bytes(b"\n".join(lines))
    bad.write_bytes(b"\n".join(lines[1:]))
    assert verify_command.run(argparse.Namespace(key=public, copy=[str(good)])) == 0
    assert capsys.readouterr().out.startswith("122 messages proven by")
    assert verify_command.run(argparse.Namespace(key=public, copy=[str(bad)])) == 1
    assert f"{ROOT}/C01/vehicle" in capsys.readouterr().out
    assert verify_command.run(argparse.Namespace(key=good, copy=[str(good)])) == 65
    assert "is no public key" in capsys.readouterr().err
    assert verify_command.run(argparse.Namespace(key=public, copy=[str(tmp_path / "none")])) == 65


def test_keys_of_openssl_work_and_others_are_named(tmp_path: Path) -> None:
    made = tmp_path / "openssl.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(made)], check=True, capture_output=True)
    made.chmod(0o600)
    assert len(Signer(made).key_id) == 32
    made.chmod(0o644)
    with pytest.raises(IdentityError, match="others may read it"):
        Signer(made)
    other = tmp_path / "ec.key"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(other)],
        check=True, capture_output=True,
    )  # fmt: skip
    other.chmod(0o600)
    with pytest.raises(IdentityError, match=r"ec\.key: is no Ed25519 key"):
        Signer(other)


def test_a_restart_goes_on_with_the_chain(tmp_path: Path) -> None:
    public = read_public_key(new_signing_key(tmp_path / "sign.key"))
    signer = Signer(tmp_path / "sign.key")
    clock = count(TIME_NS, 1_000_000)
    lines: list[bytes] = []
    for _ in range(4):
        journal = Journal(tmp_path / "journal.db", 10_000_000, lambda: next(clock))
        lines += [entry.body for entry in journal.append([vehicle(), vehicle()])]
        evidence = signer.evidence(journal.heads(), site=SITE, source=SOURCE, time=utc_text(next(clock)))
        lines += [entry.body for entry in journal.append([evidence])]
        journal.close()
    proof = verify(lines, public)
    assert (proof.faults, proof.proven, proof.unsigned) == ([], 11, 1)


@pytest.fixture(scope="module")
def gapped(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A collector that was away while the journal reached its bound, with heads signed now and then."""
    path = tmp_path_factory.mktemp("gapped")
    public = new_signing_key(path / "sign.key")
    signer = Signer(path / "sign.key")
    clock = count(TIME_NS, 1_000_000)
    journal = Journal(
        path / "journal.db", 1_000_000, lambda: next(clock), explain=partial(loss_alarm, site=SITE, source=SOURCE)
    )
    journal.register("national", tuple(KINDS))
    lines: list[bytes] = []

    def drain(limit: int) -> None:
        while limit > 0 and (entries := journal.next("national", 16)):
            for entry in entries:
                journal.acknowledge("national", entry)
            lines.extend(entry.body for entry in entries)
            limit -= len(entries)

    for round in range(60):
        journal.append(mixed(40))
        journal.append([signer.evidence(journal.heads(), site=SITE, source=SOURCE, time=utc_text(TIME_NS + round))])
        if round == 2:
            drain(70)
    assert journal.losses()
    journal.append(mixed(8))
    journal.append([signer.evidence(journal.heads(), site=SITE, source=SOURCE, time=utc_text(TIME_NS + 99))])
    journal.append([signer.evidence(journal.heads(), site=SITE, source=SOURCE, time=utc_text(TIME_NS + 100))])
    journal.append([signer.evidence(journal.heads(), site=SITE, source=SOURCE, time=utc_text(TIME_NS + 101))])
    drain(1_000_000)
    journal.close()
    return lines, read_public_key(public), public


def test_what_the_journal_dropped_is_told_apart_from_what_is_missing(gapped: Copy) -> None:
    lines, key, _ = gapped
    proof = verify(lines, key)
    assert proof.faults == []
    assert proof.explained
    assert proof.removed > 100
    assert proof.unproven < 20  # what was on its way when its neighbours were dropped
    assert proof.proven + proof.unproven + proof.unsigned == len(lines)


def test_the_command_says_what_was_dropped(gapped: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines, _, public = gapped
    file = tmp_path / "copy.jsonl"
    file.write_bytes(b"\n".join(lines))
    assert verify_command.run(argparse.Namespace(key=public, copy=[str(file)])) == 0
    said = capsys.readouterr().out
    assert "were dropped or damaged at the computer, as it says itself" in said
    assert "missing" not in said


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_beside_a_gap_every_change_and_removal_is_found(gapped: Copy, data: st.DataObject) -> None:
    lines, key, _ = gapped
    whole = verify(lines, key)
    newest = max(n for n, line in enumerate(lines) if b"/evidence/" in line)  # without it the one before is not proven
    at = data.draw(st.integers(0, len(lines) - 1).filter(lambda n: n != newest))
    body = json.loads(lines[at])
    changed = json.dumps(body | {"lane": body["lane"], "config": "forged00"}).encode()
    replaced = data.draw(st.sampled_from([[], [changed]]))
    proof = verify([*lines[:at], *replaced, *lines[at + 1 :]], key)
    assert proof.faults or proof.proven == whole.proven  # else it was one that was never said to be proven


def test_a_forged_explanation_explains_nothing(gapped: Copy, copy: Copy) -> None:
    """Whoever removes a message and adds an alarm of his own, or widens one that is there, is found."""
    lines, key, _ = copy
    gone = json.loads(lines[5])
    topic = f"{ROOT}/{gone['lane']}/{gone['schema'].split('/')[1]}"
    loss = Loss(TIME_NS, topic, gone["epoch"], gone["seq"], gone["seq"], 1)
    forged = stamped(loss_alarm(loss, site=SITE, source=SOURCE), id=gone["id"], epoch=gone["epoch"], seq=1)
    proof = verify([*lines[:5], *lines[6:], encode(forged)], key)
    assert any(f"{topic} epoch {gone['epoch']}: seq {gone['seq']} missing" in fault for fault in proof.faults)
    assert proof.removed == 0
    lines, key, _ = gapped
    alarms = [n for n, line in enumerate(lines) if b"journal_dropped" in line]
    for at in alarms:
        body = json.loads(lines[at])
        body["gap"]["to_seq"] += 1
        changed = verify([*lines[:at], json.dumps(body, separators=(",", ":")).encode(), *lines[at + 1 :]], key)
        assert changed.faults
