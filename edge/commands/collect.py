"""`borderflow collect URL... --into DATABASE`, or `--config FILE`: brokers → database, for the centre."""

from __future__ import annotations

import argparse
import logging
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from drivers.secrets import credential_file
from edge.centre.collector import Collecting
from edge.centre.config import Broker, CollectConfig, read_config
from edge.centre.database import store_of
from edge.centre.feed import WAITING_MOST, Feed, Inbox
from edge.centre.mqtt_feed import MqttFeed
from edge.centre.store import StoreError
from edge.delivery.endpoint import Endpoint, LinkError, tls_context
from edge.exit_codes import EXIT_CANNOT_WRITE, EXIT_CONFIG
from edge.machine import logs, sdnotify

_FILES = ("ca_file", "cert_file", "key_file", "password_file")
_OF_BROKER = ("client_id", "username", *_FILES)
_ALIVE_EVERY_S = 10.0  # systemd's unit waits for 2 minutes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "url",
        nargs="*",
        metavar="URL",
        help="broker: mqtts://host:8883, mqtt://host:1883, or the nodes of a NATS cluster, nats://host:4222",
    )
    parser.add_argument("--into", metavar="DATABASE", help="FILE.db (SQLite) or postgresql://user@host/name")
    parser.add_argument("--config", type=Path, metavar="FILE", help="all of this in a file instead")
    parser.add_argument("--for", dest="seconds", type=float, metavar="SECONDS", help="end after so long")
    parser.add_argument("--metrics", metavar="ADDRESS", help="serve /metrics for Prometheus, like 127.0.0.1:9101")
    parser.add_argument("--keep-months", type=int, metavar="N", help="PostgreSQL: remove months that are older")
    parser.add_argument(
        "--client-id", metavar="NAME", help="name of the session at the brokers; default: of this database"
    )
    parser.add_argument(
        "--share", metavar="NAME", help="MQTT 5: share the messages with all collectors of this name (PostgreSQL)"
    )
    parser.add_argument("--protocol", type=int, choices=(5, 4), default=5, help="MQTT 5 or 3.1.1; default: %(default)s")
    parser.add_argument("--ca-file", metavar="FILE", help="certificate authority of the brokers")
    parser.add_argument("--cert-file", metavar="FILE", help="own certificate")
    parser.add_argument("--key-file", metavar="FILE", help="key of the own certificate")
    parser.add_argument("--username", metavar="NAME")
    parser.add_argument("--password-file", metavar="FILE")


def run(args: argparse.Namespace) -> int:
    """0 at the end of the time and at SIGTERM; 73 where the database cannot be used; 78 for what was told wrong."""
    logs.to_stderr(logging.INFO)
    inbox: Inbox = queue.Queue(WAITING_MOST)
    try:
        config = _told(args)
        feeds = _feeds(config, inbox)
        store = store_of(config.into)
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
    collecting = Collecting(store, feeds, inbox, zones=config.zones, keep_months=config.keep_months)
    try:
        if config.metrics is not None:
            _serve_metrics(config.metrics, collecting, feeds, inbox)
        collecting.run(stop, _alive(collecting))
    except (ValueError, OSError) as error:
        print(f"borderflow collect: metrics {config.metrics}: {error}", file=sys.stderr)
        return EXIT_CONFIG
    finally:
        sdnotify.notify("STOPPING=1")
        store.close()
    total = collecting.totals
    print(f"{total.new} messages stored, {total.repeated} repeats, {total.rejected} refused", file=sys.stderr)
    return 0


def _told(args: argparse.Namespace) -> CollectConfig:
    """From the file or from the command line; ValueError says what is missing."""
    if args.config is not None:
        if args.url or args.into:
            raise ValueError("give --config FILE, or URL and --into, not both")
        return read_config(args.config)
    if not args.url or not args.into:
        raise ValueError("give the brokers and --into DATABASE, or --config FILE")
    options = {name: getattr(args, name) for name in _OF_BROKER}
    return CollectConfig(
        into=args.into,
        broker=tuple(Broker(url=url, protocol=args.protocol, share=args.share, **options) for url in args.url),
        metrics=args.metrics,
        keep_months=args.keep_months,
    )


def _feeds(config: CollectConfig, inbox: Inbox) -> list[Feed]:
    """A feed for each MQTT broker, and one for all nodes of a NATS cluster."""
    feeds: list[Feed] = [
        MqttFeed(_endpoint(broker, broker.client_id or config.client_id), inbox, share=broker.share)
        for broker in config.broker
        if not broker.is_nats
    ]
    nodes = [broker for broker in config.broker if broker.is_nats]
    if nodes:
        try:
            from edge.centre.nats_feed import NatsFeed
        except ImportError as error:
            raise ValueError(f"NATS needs nats-py ({error}): pip install 'borderflow[collect]'") from None
        first = nodes[0]
        secure = bool(first.ca_file or first.cert_file) or first.url.startswith("tls://")
        tls = tls_context(_endpoint(first, "")) if secure else None
        feeds.append(NatsFeed([broker.url for broker in nodes], inbox, tls=tls))
    return feeds


def _endpoint(broker: Broker, client_id: str) -> Endpoint:
    options = {name: getattr(broker, name) for name in _OF_BROKER if name != "client_id"}
    options |= {name: str(credential_file(options[name])) for name in _FILES if options[name] is not None}
    if broker.is_nats:
        return Endpoint(host="", port=0, tls=True, client_id="", **options)
    return Endpoint.of(broker.url, client_id, protocol=broker.protocol, **options)


def _alive(collecting: Collecting) -> Callable[[], None]:
    """Says to systemd that it is ready, the first time, and from then on now and then that it lives and what came."""
    next_s = 0.0

    def say() -> None:
        nonlocal next_s
        now_s = time.monotonic()
        if now_s < next_s:
            return
        total = collecting.totals
        status = f"STATUS={total.new} messages stored, {total.repeated} repeats, {total.rejected} refused"
        sdnotify.notify("WATCHDOG=1" if next_s else "READY=1", status)
        next_s = now_s + _ALIVE_EVERY_S

    return say


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
