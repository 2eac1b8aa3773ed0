"""`borderflow sign`: an authority signs a configuration; FILE.sig goes to the computer together with FILE."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from edge.config import ConfigError
from edge.config.file import load
from edge.config.signature import read_signature, sign, signature_file
from edge.delivery.evidence import read_signing_key
from edge.delivery.identity import IdentityError
from edge.messages import utc_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="configuration to sign")
    parser.add_argument(
        "--key", type=Path, required=True, metavar="KEY", help="private key, made by `borderflow key --sign KEY`"
    )
    parser.add_argument(
        "--version", type=int, metavar="N", help="higher than every one before; default: one above the old FILE.sig"
    )


def run(args: argparse.Namespace) -> int:
    """Sign what is a valid configuration; devices and key files are the computer's own and not looked at."""
    load(args.config)
    try:
        key = read_signing_key(args.key)
    except IdentityError as error:
        raise ConfigError([str(error)]) from None
    path = signature_file(args.config)
    version = args.version
    if version is None:
        version = read_signature(args.config).version + 1 if path.exists() else 1
    if version < 1:
        raise ConfigError([f"--version {version}: give a whole number from 1 on"])
    try:
        path.write_bytes(sign(args.config.read_bytes(), key, version=version, time=utc_text(time.time_ns())))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be written ({error.strerror})"]) from None
    print(f"{path}: version {version}", file=sys.stderr)
    return 0
