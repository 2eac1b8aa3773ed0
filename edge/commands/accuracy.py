"""`borderflow accuracy`: a file of truths and a file of measurements in, a conformity table out.

Called by edge/cli.py. Exit 0 when the comparison was made, whatever it says; 65 for input that cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

import msgspec

from edge.exit_codes import EXIT_DATA
from edge.weighing.conformity.cost323 import Environment, Plan
from edge.weighing.conformity.page import page
from edge.weighing.conformity.pairing import BY_HAND_WINDOW_S, WINDOW_S, Pairing, clock_hint, clock_shift_s, pair
from edge.weighing.conformity.records import SIMULATED_SOURCE, InputError, read_references, read_vehicles
from edge.weighing.conformity.report import Options, Standard, make_report, text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--truth",
        type=Path,
        required=True,
        metavar="FILE",
        help="reference vehicles, a JSON line each: time, axles with load_kg (position_m if known) or gross_kg alone",
    )
    parser.add_argument(
        "--measured", type=Path, required=True, metavar="FILE", help="what replay or the daemon printed"
    )
    parser.add_argument("--standard", choices=get_args(Standard), help="only this one; without it all three")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--page", type=Path, metavar="FILE", help="also write a page of plots (HTML)")
    parser.add_argument(
        "--static-scale",
        metavar="NAME",
        help="the reference loads were weighed on this static scale; without it the report names none",
    )
    parser.add_argument("--plan", choices=get_args(Plan), default="R2", help="COST 323 test plan (default R2)")
    parser.add_argument(
        "--environment", choices=get_args(Environment), default="I", help="COST 323 environmental condition (default I)"
    )
    parser.add_argument(
        "--initial", action="store_true", help="initial verification: tolerances narrower than in service"
    )
    parser.add_argument(
        "--scale-interval-kg", type=positive, default=20.0, metavar="D", help="OIML scale interval d (default 20)"
    )
    parser.add_argument(
        "--window-s",
        type=positive,
        metavar="S",
        help=f"largest time between the two (default {WINDOW_S:g}, with --static-scale {BY_HAND_WINDOW_S:g})",
    )
    parser.add_argument("--only-clean", action="store_true", help="leave out measured vehicles with any flag")


def positive(text_: str) -> float:
    """A number above 0, as an option."""
    value = float(text_)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text_} is not above 0")
    return value


def run(args: argparse.Namespace) -> int:
    """Compare and print; gives the exit code."""
    try:
        truth, measured = read_references(args.truth), read_vehicles(args.measured)
    except InputError as error:
        print(f"borderflow accuracy: {error}", file=sys.stderr)
        return EXIT_DATA
    window_s = args.window_s or (WINDOW_S if args.static_scale is None else BY_HAND_WINDOW_S)
    pairing = pair(truth, measured, window_s=window_s)
    if 2 * len(pairing.pairs) < len(truth) and (shift_s := clock_shift_s(pairing.missed, measured)) is not None:
        print(f"borderflow accuracy: {args.truth}: {clock_hint(shift_s)}", file=sys.stderr)
    if args.only_clean:
        clean = tuple(item for item in pairing.pairs if not item.measured.flags)
        pairing = Pairing(clean, pairing.missed, pairing.invented)
    options = Options(
        standards=(args.standard,) if args.standard else get_args(Standard),
        scale=args.static_scale,
        simulated=any(vehicle.source == SIMULATED_SOURCE for vehicle in truth),
        plan=args.plan,
        environment=args.environment,
        initial=args.initial,
        scale_interval_kg=args.scale_interval_kg,
    )
    report = make_report(pairing, options)
    if args.page is not None:
        try:
            args.page.write_text(page(pairing.pairs, report), encoding="utf-8")
        except OSError as error:
            print(f"borderflow accuracy: {args.page}: cannot be written ({error.strerror})", file=sys.stderr)
            return EXIT_DATA
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        print(text(report))
    return 0
