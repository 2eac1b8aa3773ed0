"""`borderflow board DATABASE`: wait board for the public and for operators, from the collector's database."""

from __future__ import annotations

import argparse
import sys

from edge.centre.database import reading_of
from edge.centre.store import StoreError
from edge.exit_codes import EXIT_CANNOT_WRITE, EXIT_UNREACHABLE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "database", metavar="DATABASE", help="what `borderflow collect` writes: FILE.db or postgresql://…"
    )
    parser.add_argument("--listen", default="127.0.0.1:8080", metavar="ADDRESS", help="default: %(default)s")
    parser.add_argument("--host", action="append", default=[], metavar="NAME", help="name under which readers reach it")
    parser.add_argument("--public", action="store_true", help="waits alone; without the pages for operators")


def run(args: argparse.Namespace) -> int:
    """0 at SIGTERM or Ctrl-C; 69 where the database cannot be read, 73 where the address cannot be used."""
    try:
        from edge.centre.board.app import Board
        from edge.web.guard import Guard
        from edge.web.serve import Address, ListenError, bind, serve
    except ImportError as error:
        print(f"borderflow board: needs {error.name}: pip install 'borderflow[pages]'", file=sys.stderr)
        return EXIT_UNREACHABLE
    try:
        with reading_of(args.database) as read:
            read("SELECT count(*) FROM site", ())
        address = Address.of(args.listen)
        listener = bind(address)
    except StoreError as error:
        print(f"borderflow board: {error}", file=sys.stderr)
        return EXIT_UNREACHABLE
    except ListenError as error:
        print(f"borderflow board: {error}", file=sys.stderr)
        return EXIT_CANNOT_WRITE
    print(f"http://{Address(address.host, listener.getsockname()[1])}/", file=sys.stderr, flush=True)
    hosts = [*args.host, address.host]
    serve(Guard(Board(args.database, public=args.public).app(), hosts=hosts), listener)
    return 0
