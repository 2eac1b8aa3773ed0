"""`borderflow-sim verify`: what arrives over MQTT, or a file of messages, against the truth that `serve` wrote.

Prints the reconciliation when the time is up, at Ctrl-C, or at the end of the file; exit status 1 if a vehicle was
missed or invented or a message is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import ssl
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from firmware_sim.proof.reconcile import MATCH_WITHIN_S, reconcile
from firmware_sim.proof.results import text

EXIT_DIFFERENT = 1
EXIT_DATA = 65  # EX_DATAERR of sysexits.h
EXIT_UNAVAILABLE = 69


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", nargs="?", metavar="URL", help="mqtt://HOST:PORT or mqtts://HOST:PORT of the collector")
    parser.add_argument("--truth", required=True, type=Path, metavar="FILE", help="JSON lines that serve wrote")
    parser.add_argument("--messages", type=Path, metavar="FILE", help="a file of messages, one a line, in place of URL")
    parser.add_argument("--topic", default="borderflow/v1/#", metavar="FILTER")
    parser.add_argument("--for", dest="for_s", type=float, metavar="SECONDS", help="listen so long (else until Ctrl-C)")
    parser.add_argument("--from", dest="from_time", metavar="TIME", help="judge only what happened from here on")
    parser.add_argument("--to", dest="to_time", metavar="TIME", help="judge only what happened up to here")
    parser.add_argument(
        "--within", type=float, default=MATCH_WITHIN_S, metavar="SECONDS", help="pair vehicles this near"
    )
    parser.add_argument("--json", action="store_true", help="the reconciliation as JSON")
    for name, what in (("ca", "certificate authority"), ("cert", "own certificate"), ("key", "its key")):
        parser.add_argument(f"--{name}-file", type=Path, metavar="FILE", help=what)


def run(args: argparse.Namespace) -> int:
    if (args.url is None) == (args.messages is None):
        print("borderflow-sim verify: give either URL or --messages FILE", file=sys.stderr)
        return 2
    try:
        messages = read_lines(args.messages) if args.messages is not None else listen(args)
        truth = read_lines(args.truth)
        result = reconcile(truth, messages, from_time=args.from_time, to_time=args.to_time, match_within_s=args.within)
    except OSError as error:
        print(f"borderflow-sim verify: {error.filename or args.url}: {error.strerror or error}", file=sys.stderr)
        return EXIT_UNAVAILABLE
    except ValueError as error:
        print(f"borderflow-sim verify: {error}", file=sys.stderr)
        return EXIT_DATA
    except KeyError as error:
        print(f"borderflow-sim verify: a line lacks the key {error}", file=sys.stderr)
        return EXIT_DATA
    print(json.dumps(result.as_dict()) if args.json else text(result))
    return 0 if result.complete else EXIT_DIFFERENT


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines; a last line that is not complete is left out, for it is being written.

    Lines that are no truth and no message (the first line of `serve`) are skipped. Raises OSError, ValueError.
    """
    lines: list[dict[str, Any]] = []
    rows = path.read_text(encoding="utf-8").split("\n")
    for number, row in enumerate(rows, start=1):
        if not row.strip():
            continue
        try:
            value = json.loads(row)
        except ValueError as error:
            if number == len(rows):
                break
            raise ValueError(f"{path}:{number}: no JSON: {error}") from error
        if isinstance(value, dict) and ("kind" in value or "schema" in value):
            lines.append(value)
    return lines


def listen(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The messages of a collector until the time is up or SIGINT or SIGTERM comes, each with `received`."""
    import paho.mqtt.client as mqtt  # here, because the other commands start faster without it
    from paho.mqtt.enums import CallbackAPIVersion

    parts = urlsplit(args.url)
    if parts.scheme not in ("mqtt", "mqtts") or parts.hostname is None:
        raise ValueError(f"{args.url}: give mqtt://HOST:PORT or mqtts://HOST:PORT")
    messages: list[dict[str, Any]] = []
    stop = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    if parts.username:
        client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
    if parts.scheme == "mqtts":
        context = ssl.create_default_context(cafile=str(args.ca_file) if args.ca_file else None)
        if args.cert_file:
            context.load_cert_chain(str(args.cert_file), str(args.key_file) if args.key_file else None)
        client.tls_set_context(context)

    def connected(client: mqtt.Client, *_: Any) -> None:
        client.subscribe(args.topic, qos=1)
        print(f"borderflow-sim verify: listening to {args.topic}", file=sys.stderr)

    def arrived(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        with contextlib.suppress(ValueError):
            table = json.loads(message.payload)
            if isinstance(table, dict) and "schema" in table:
                messages.append(table | {"received": datetime.now(UTC).isoformat()})

    client.on_connect = connected
    client.on_message = arrived
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    client.connect(parts.hostname, parts.port or (8883 if parts.scheme == "mqtts" else 1883), keepalive=30)
    client.loop_start()
    stop.wait(args.for_s)
    client.disconnect()
    client.loop_stop()
    return messages
