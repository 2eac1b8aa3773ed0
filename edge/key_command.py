"""`borderflow key FILE`: makes the secret of the pseudonyms, readable by its owner alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge.identity import new_key


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="file to make; an existing one is never overwritten")


def run(args: argparse.Namespace) -> int:
    try:
        new_key(args.file)
    except OSError as error:
        print(
            f"borderflow key: {args.file}: {error.strerror}; name a new file in an existing directory", file=sys.stderr
        )
        return 1
    print(f"{args.file}: made; give this same file to each computer of the crossing", file=sys.stderr)
    return 0
