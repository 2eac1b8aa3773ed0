"""`borderflow verify`: proves from a collector's copy that no message was changed, removed or inserted.

In: files with one message a line, as they came from MQTT (`borderflow watch --json` writes such lines), or the database
that `borderflow collect` writes, and the public key of the computer that made them. Out: what is proven; what the
computer removed itself and says so, and every fault, on lines of their own; exit 1 where there is a fault.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from edge.centre.copies import bodies, is_database
from edge.centre.store import StoreError
from edge.delivery.evidence import key_id, read_public_key
from edge.delivery.identity import IdentityError
from edge.delivery.proof import verify

_UNSIGNED = (
    "nothing here is signed with this key; a computer signs with an [evidence] table in its configuration, "
    'and "evidence" in the `share` of the collector'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="public key of the computer (PEM)")
    parser.add_argument(
        "copy", nargs="+", metavar="COPY", help="messages as they came, one a line; or the database of the collector"
    )


def run(args: argparse.Namespace) -> int:
    """0: all that is signed is proven, or removed by the computer and explained; 1: there are faults, or something
    cannot be proven, or nothing was signed; 65: a file cannot be read."""
    try:
        key = read_public_key(args.key)
        proof = verify(_lines(args.copy, key_id(key)), key)
    except (IdentityError, StoreError, OSError) as error:
        print(f"borderflow verify: {error}", file=sys.stderr)
        return 65
    for line in (*proof.explained, *proof.faults):
        print(line)
    print(
        f"{proof.proven} messages proven by {proof.heads} signed heads of key {key_id(key)}"
        f"{f' up to {proof.signed_until}' if proof.signed_until else ''}; "
        f"{proof.removed} removed by the computer and explained, {proof.unproven} between these not proven; "
        f"{proof.unsigned} not signed yet; {len(proof.faults)} faults"
    )
    if not proof.heads:
        print(f"borderflow verify: {_UNSIGNED}", file=sys.stderr)
    return 0 if proof.heads and not proof.faults and not proof.unproven else 1


def _lines(copies: list[str], key: str) -> Iterator[bytes]:
    for copy in copies:
        if is_database(copy):
            yield from bodies(copy, key)
        else:
            with Path(copy).open("rb") as file:
                yield from file
