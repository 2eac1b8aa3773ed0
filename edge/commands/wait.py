"""`borderflow wait`: a file of sightings in, `wait` messages out, through the same code as the daemon."""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path

from edge.config.file import load
from edge.exit_codes import EXIT_CANNOT_WRITE, EXIT_DATA
from edge.messages import encode
from edge.waiting.file import run_file
from edge.waiting.sightings import SightingError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="lanes and points")
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="write a page with plots too")
    parser.add_argument(
        "--public", action="store_true", help="the page is for the public: no lanes, nothing of fewer than 5 vehicles"
    )
    parser.add_argument("sightings", type=Path, metavar="SIGHTINGS", help="file of sightings, a JSON object a line")


def run(args: argparse.Namespace) -> int:
    if args.public and args.report is None:
        _complain("--public is about the page; name it with --report FILE.html")
        return 2
    config = load(args.config, sensors=False)
    if not config.point:
        _complain(f"{args.config}: point: there is none, so no wait can be told; name them in the order of passing")
    gc.freeze()  # what was loaded stays, and hardly anything else refers in a circle: the default looks too often
    gc.set_threshold(50_000, 20, 50)
    report = None
    if args.report is not None:
        from edge.reports.waits import WaitReport

        report = WaitReport(config, public=args.public)
    try:
        for wait in run_file(config, args.sightings, complain=_complain):
            sys.stdout.buffer.write(encode(wait) + b"\n")
            if report is not None:
                report.take(wait)
    except SightingError as error:
        print(f"borderflow wait: {error}", file=sys.stderr)
        return EXIT_DATA
    finally:
        sys.stdout.buffer.flush()
    if report is not None:
        try:
            args.report.write_text(report.page(), encoding="utf-8")
        except OSError as error:
            print(f"borderflow wait: {args.report}: cannot be written ({error.strerror})", file=sys.stderr)
            return EXIT_CANNOT_WRITE
    return 0


def _complain(text: str) -> None:
    print(f"borderflow wait: {text}", file=sys.stderr)
