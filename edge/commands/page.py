"""`borderflow page`: the lane's page for a browser, and `/metrics` for Prometheus, from the daemon's socket alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from drivers.secrets import others_may_read
from edge.exit_codes import EXIT_CANNOT_WRITE, EXIT_CONFIG, EXIT_UNREACHABLE
from edge.eyes.place import PlaceError, store_of

_TOKEN_LEAST = 16


class TokenError(Exception):
    """The token's file cannot be used; the text says why and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="of the daemon meant; default: the installed one")
    parser.add_argument("--listen", default="127.0.0.1:8088", metavar="ADDRESS", help="default: %(default)s")
    parser.add_argument("--host", action="append", default=[], metavar="NAME", help="name under which readers reach it")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE",
        help="mode 0600; who knows what stands in it may save waveforms. Without it the page shows, and no more",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """0 at SIGTERM or Ctrl-C; 73 where the address cannot be used, 78 for a wrong token file or configuration.

    The daemon need not run: the page says so, and shows it when it comes.
    """
    try:
        from edge.page.app import Page
        from edge.page.feed import Feed
        from edge.web.guard import Guard
        from edge.web.serve import Address, ListenError, bind, serve
    except ImportError as error:
        print(f"borderflow page: needs {error.name}: pip install 'borderflow[pages]'", file=sys.stderr)
        return EXIT_UNREACHABLE
    try:
        store_of(args.config)
        token = None if args.token_file is None else read_token(args.token_file)
        address = Address.of(args.listen)
        listener = bind(address)
    except (PlaceError, TokenError) as error:
        print(f"borderflow page: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except ListenError as error:
        print(f"borderflow page: {error}", file=sys.stderr)
        return EXIT_CANNOT_WRITE
    print(f"http://{Address(address.host, listener.getsockname()[1])}/", file=sys.stderr, flush=True)
    app = Page(Feed(args.config), token).app()
    serve(Guard(app, hosts=[*args.host, address.host], writes=token is not None), listener)
    return 0


def read_token(path: Path) -> str:
    """What stands in the file. TokenError where others may read it too, or where it is short enough to be guessed."""
    try:
        others = others_may_read(path, path.stat().st_mode)
        token = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise TokenError(f"{path}: cannot be read ({error.strerror}); write a long random word into it") from None
    except UnicodeDecodeError:
        raise TokenError(f"{path}: is not plain ASCII; write letters and digits") from None
    if others:
        raise TokenError(f"{path}: others may read it; chmod 600 {path}")
    if len(token) < _TOKEN_LEAST:
        raise TokenError(f"{path}: {len(token)} characters can be guessed; write at least {_TOKEN_LEAST}")
    return token
