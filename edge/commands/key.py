"""`borderflow key FILE`: makes the secret of the pseudonyms, or a key that signs, readable by its owner alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge.delivery.evidence import new_signing_key
from edge.delivery.identity import new_key


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="file to make; an existing one is never overwritten")
    parser.add_argument(
        "--sign", action="store_true", help="make a key that signs evidence or configurations; FILE.pub verifies"
    )


def run(args: argparse.Namespace) -> int:
    try:
        if args.sign:
            public = new_signing_key(args.file)
        else:
            new_key(args.file)
    except FileExistsError:
        print(
            f"borderflow key: {args.file}: is there already and stays as it is, because what was made with it "
            "would be lost with it; name a new file",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(
            f"borderflow key: {args.file}: {error.strerror}; name a new file in an existing directory", file=sys.stderr
        )
        return 1
    if args.sign:
        print(f"{args.file}: made; give {public} to those who verify", file=sys.stderr)
        return 0
    print(f"{args.file}: made; give this same file to each computer of the crossing", file=sys.stderr)
    return 0
