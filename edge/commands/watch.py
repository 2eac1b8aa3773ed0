"""`borderflow watch URL`: what a central operator runs; a live table of lanes, flows and waits from MQTT."""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from edge.commands.view import CrossingView, is_message
from edge.delivery.mqtt import LinkError, subscribe
from edge.exit_codes import EXIT_UNREACHABLE
from edge.words.values import LANGUAGES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="broker: mqtts://host:8883 or mqtt://host:1883")
    parser.add_argument("--topic", default="borderflow/v1/#", metavar="FILTER", help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print each message as a line of JSON instead of a table")
    parser.add_argument("--lang", choices=LANGUAGES, default="en", help="language of what is shown; default: en")
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
    inbox: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue(10_000)
    tls = {name: str(getattr(args, name)) for name in ("ca_file", "cert_file", "key_file") if getattr(args, name)}

    def take(topic: str, message: dict[str, Any]) -> None:
        if args.json or is_message(topic, message):
            inbox.put((topic, message))

    with subscribe(args.url, args.topic, take, **tls):
        view, console = CrossingView(language=args.lang), Console()
        if args.json or not console.is_terminal:
            while True:
                topic, message = inbox.get()
                line = json.dumps(message, separators=(",", ":")) if args.json else view.line(topic, message)
                print(line, flush=True)
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                with contextlib.suppress(queue.Empty):
                    view.take(*inbox.get(timeout=0.5))
                    continue  # draw when the inbox is empty
                live.update(view.render(), refresh=True)
