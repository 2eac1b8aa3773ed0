"""`borderflow collect URL... --into DATABASE`: brokers → database, for the centre."""

from __future__ import annotations

import argparse
import hashlib
import logging
import queue
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from edge import logs
from edge.centre.collector import Collecting
from edge.centre.database import store_of
from edge.centre.feed import WAITING_MOST, Feed, Inbox
from edge.centre.mqtt_feed import MqttFeed
from edge.centre.store import StoreError
from edge.delivery.mqtt import Endpoint, LinkError, tls_context
from edge.exit_codes import EXIT_CANNOT_WRITE, EXIT_CONFIG


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "url",
        nargs="+",
        metavar="URL",
        help="broker: mqtts://host:8883, mqtt://host:1883, or the nodes of a NATS cluster, nats://host:4222",
    )
    parser.add_argument(
        "--into", required=True, metavar="DATABASE", help="FILE.db (SQLite) or postgresql://user@host/name"
    )
    parser.add_argument("--for", dest="seconds", type=float, metavar="SECONDS", help="end after so long")
    parser.add_argument("--metrics", metavar="ADDRESS", help="serve /metrics for Prometheus, like 127.0.0.1:9101")
    parser.add_argument(
        "--client-id", metavar="NAME", help="name of the session at the brokers; default: of this database"
    )
    parser.add_argument("--protocol", type=int, choices=(5, 4), default=5, help="MQTT 5 or 3.1.1; default: %(default)s")
    parser.add_argument("--ca-file", metavar="FILE", help="certificate authority of the brokers")
    parser.add_argument("--cert-file", metavar="FILE", help="own certificate")
    parser.add_argument("--key-file", metavar="FILE", help="key of the own certificate")
    parser.add_argument("--username", metavar="NAME")
    parser.add_argument("--password-file", metavar="FILE")


def run(args: argparse.Namespace) -> int:
    """0 at the end of the time and at SIGTERM or Ctrl-C; 73 where the database cannot be used; 78 for a wrong URL."""
    logs.to_stderr(logging.INFO)
    inbox: Inbox = queue.Queue(WAITING_MOST)
    try:
        feeds = _feeds(args, inbox)
        store = store_of(args.into)
    except (ValueError, LinkError) as error:
        print(f"borderflow collect: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except StoreError as error:
        print(f"borderflow collect: {error}", file=sys.stderr)
        return EXIT_CANNOT_WRITE
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if args.seconds is not None:
        timer = threading.Timer(args.seconds, stop.set)
        timer.daemon = True
        timer.start()
    collecting = Collecting(store, feeds, inbox)
    try:
        if args.metrics is not None:
            _serve_metrics(args.metrics, collecting, feeds, inbox)
        collecting.run(stop)
    except (ValueError, OSError) as error:
        print(f"borderflow collect: --metrics {args.metrics}: {error}", file=sys.stderr)
        return EXIT_CONFIG
    finally:
        store.close()
    total = collecting.totals
    print(f"{total.new} messages stored, {total.repeated} repeats, {total.rejected} refused", file=sys.stderr)
    return 0


def _feeds(args: argparse.Namespace, inbox: Inbox) -> list[Feed]:
    """A feed for each MQTT broker, and one for all nodes of a NATS cluster."""
    names = ("ca_file", "cert_file", "key_file", "username", "password_file")
    options: dict[str, Any] = {name: getattr(args, name) for name in names}
    client_id = args.client_id or _client_id(args.into)
    nodes = [url for url in args.url if url.startswith(("nats://", "tls://"))]
    feeds: list[Feed] = [
        MqttFeed(Endpoint.of(url, client_id, protocol=args.protocol, **options), inbox)
        for url in args.url
        if url not in nodes
    ]
    if nodes:
        try:
            from edge.centre.nats_feed import NatsFeed
        except ImportError as error:
            raise ValueError(f"NATS needs nats-py ({error}): pip install 'borderflow[collect]'") from None
        secure = bool(args.ca_file or args.cert_file) or nodes[0].startswith("tls://")
        tls = tls_context(Endpoint(host="", port=0, tls=True, client_id="", **options)) if secure else None
        feeds.append(NatsFeed(nodes, inbox, tls=tls))
    return feeds


def _serve_metrics(where: str, collecting: Collecting, feeds: list[Feed], inbox: Inbox) -> None:
    try:
        from edge.centre.metrics import CollectorMetrics, serve
        from edge.web.serve import Address, ListenError
    except ImportError as error:
        raise ValueError(f"needs {error.name}: pip install 'borderflow[pages]'") from None
    try:
        address = Address.of(where)
    except ListenError as error:
        raise ValueError(str(error)) from None
    serve(CollectorMetrics(collecting.totals, feeds, inbox), address.host, address.port)


def _client_id(database: str) -> str:
    """The same at each start with this database on this machine, another one for each other database."""
    place = f"{socket.gethostname()} {Path(database).resolve()}"
    return f"borderflow-collect-{hashlib.sha256(place.encode()).hexdigest()[:12]}"
