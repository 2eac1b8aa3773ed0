"""`borderflow watch URL`: what a central operator runs; a live view from MQTT: alarms first, all with ages.

A screen on a terminal, lines into a pipe, messages as they came with `--json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from edge.delivery.endpoint import LinkError
from edge.exit_codes import EXIT_UNREACHABLE
from edge.watch.inbox import Inbox
from edge.watch.listen import subscribe
from edge.watch.show import show
from edge.watch.view import CrossingView, is_message
from edge.words.values import LANGUAGES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="broker: mqtts://host:8883 or mqtt://host:1883")
    parser.add_argument("--topic", default="borderflow/v1/#", metavar="FILTER", help="default: %(default)s")
    parser.add_argument(
        "--lang", choices=LANGUAGES, default="en", help="language of what is shown; default: %(default)s"
    )
    parser.add_argument("--json", action="store_true", help="print each message as a line of JSON instead of a table")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="certificate authority of the broker")
    parser.add_argument("--cert-file", type=Path, metavar="FILE", help="own certificate")
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="key of the own certificate")


def run(args: argparse.Namespace) -> int:
    try:
        return _watch(args)
    except (LinkError, ValueError) as error:
        print(f"borderflow watch: {error}", file=sys.stderr)
        return EXIT_UNREACHABLE


def _watch(args: argparse.Namespace) -> int:
    inbox = Inbox()
    tls = {name: str(getattr(args, name)) for name in ("ca_file", "cert_file", "key_file") if getattr(args, name)}

    def take(topic: str, message: dict[str, Any]) -> None:
        if args.json or is_message(topic, message):
            inbox.put(topic, message)

    with subscribe(args.url, args.topic, take, inbox.linked, **tls), closing(inbox):
        while args.json:
            print(json.dumps(inbox.get()[1], separators=(",", ":")), flush=True)
        show(inbox, CrossingView(language=args.lang))
    return 0
