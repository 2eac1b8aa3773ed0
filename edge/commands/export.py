"""`borderflow export`: `wait` messages in, the shape of an authority's public feed out.

Messages come as `borderflow wait` or `borderflow watch --json` print them, a line each, or from the database of
`borderflow collect`; of each row the latest counts.
With several --config one feed covers several crossings.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from edge.centre.database import reading_of
from edge.centre.store import StoreError
from edge.config.file import load
from edge.exit_codes import EXIT_DATA
from edge.messages import Wait, parse_utc, utc_text
from edge.reports import cbp as export_cbp
from edge.reports import cbsa as export_cbsa
from edge.reports.feeds import EXPIRE_S, Board, towards

_MOST_LINE = 1 << 20
_BORDERS: dict[str, export_cbp.Border] = {"canadian": "Canadian Border", "mexican": "Mexican Border"}


class _Kind(msgspec.Struct):
    schema: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, required=True, action="append", metavar="FILE", help="the crossing; several for several"
    )
    parser.add_argument("--format", required=True, choices=["cbp", "cbsa"], help="whose feed")
    parser.add_argument("--at", metavar="TIME", help="the feed as it was at this time (RFC 3339); default: now")
    parser.add_argument("--border", choices=sorted(_BORDERS), help="cbp: where it cannot be told from the programs")
    parser.add_argument("--lang", choices=["en", "fr"], default="en", help="cbsa: language; default: %(default)s")
    parser.add_argument(
        "--database", metavar="DATABASE", help="take the messages from what `borderflow collect` writes"
    )
    parser.add_argument("waits", nargs="?", default="-", metavar="WAITS", help="wait messages, a line each; - is stdin")


def run(args: argparse.Namespace) -> int:
    boards = [Board(load(path, sensors=False)) for path in args.config]
    try:
        until_ns = parse_utc(args.at) if args.at is not None else None
        now_ns = time.time_ns() if until_ns is None else until_ns
    except (ValueError, OverflowError):
        return _fail(f"--at {args.at!r} is no RFC 3339 time; write 2026-11-24T05:22:17Z", 2)
    try:
        if args.database is not None:
            taken = _take_stored(boards, args.database, now_ns)
        elif args.waits == "-":
            taken = _take(boards, sys.stdin.buffer, "standard input", until_ns)
        else:
            with Path(args.waits).open("rb") as file:
                taken = _take(boards, file, args.waits, until_ns)
    except StoreError as error:
        return _fail(str(error), EXIT_DATA)
    except OSError as error:
        return _fail(f"{args.waits}: cannot be read ({error.strerror})", EXIT_DATA)
    if not taken:
        until = f" up to {args.at}" if args.at else ""
        return _fail(f"{args.database or args.waits}: holds no wait message of this crossing{until}", EXIT_DATA)
    try:
        if args.format == "cbp":
            border = _BORDERS[args.border] if args.border else None
            for board in boards:
                into_us = towards("US", board.config)
                if all(lane.direction != into_us for lane in board.config.lane):
                    name = board.config.site.name or board.config.site.port
                    print(
                        f"borderflow export: {name}: no lane leads into the US, of which this feed tells",
                        file=sys.stderr,
                    )
            text = export_cbp.feed(boards, now_ns, border)
        else:
            text = export_cbsa.feed(boards, now_ns, args.lang)
    except ValueError as error:
        return _fail(str(error), 2)
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()
    return 0


def _take_stored(boards: list[Board], database: str, now_ns: int) -> int:
    """The same from the centre's database: what has not expired at that moment."""
    query = "SELECT body FROM wait WHERE country = ? AND port = ? AND time > ? AND time <= ? ORDER BY time"
    span = (utc_text(now_ns - int(EXPIRE_S * 1e9)), utc_text(now_ns))
    decoder, taken = msgspec.json.Decoder(Wait), 0
    with reading_of(database) as read:
        for board in boards:
            site = board.config.site
            for (body,) in read(query, (site.country, site.port, *span)):
                taken += board.take(decoder.decode(body))
    return taken


def _take(boards: list[Board], file: IO[bytes], name: str, until_ns: int | None) -> int:
    """Give each message up to a time to the board of its crossing; the number of those that had one."""
    taken = strangers = 0
    for wait in _waits(file, name):
        try:
            if until_ns is not None and parse_utc(wait.time) > until_ns:
                continue
            found = any(board.take(wait) for board in boards)
        except (ValueError, OverflowError):
            print(f"borderflow export: {name}: a message has a time that is none", file=sys.stderr)
            continue
        taken += found
        strangers += not found
    if strangers:
        print(f"borderflow export: {name}: {strangers} messages are of other crossings", file=sys.stderr)
    return taken


def _waits(file: IO[bytes], name: str) -> Iterator[Wait]:
    kind, decoder = msgspec.json.Decoder(_Kind), msgspec.json.Decoder(Wait)
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            if len(line) > _MOST_LINE:
                raise msgspec.ValidationError("is too long for a message")
            schema = kind.decode(line).schema
            if schema and not schema.startswith("borderflow/wait/"):
                continue  # another kind of message
            yield decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            print(f"borderflow export: {name}: line {number}: is no wait message ({error})", file=sys.stderr)


def _fail(text: str, code: int) -> int:
    print(f"borderflow export: {text}", file=sys.stderr)
    return code
