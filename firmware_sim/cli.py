"""`borderflow-sim`: the simulated hardware and its recordings. Each command lives in a file of its own."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from firmware_sim import record, verify


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    arguments = _parser()[0].parse_args(argv)
    status: int = arguments.run(arguments)
    return status


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, for the manual."""
    return _parser()[1]


def _parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(prog="borderflow-sim", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_serve(commands.add_parser("serve", help="run the devices of a scenario on ptys, serial ports and TCP"))
    recording = commands.add_parser("record", help="write the world to recordings, with the truth beside them")
    record.add_arguments(recording)
    recording.set_defaults(run=record.run)
    checking = commands.add_parser("verify", help="compare truth with what arrives over MQTT")
    verify.add_arguments(checking)
    checking.set_defaults(run=verify.run)
    return parser, dict(commands.choices)


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenario", required=True, metavar="FILE|NAME", help="a file, or a scenario of the package")
    parser.add_argument(
        "--bind",
        nargs="+",
        action="extend",
        default=[],
        metavar="DEVICE=URL",
        help="put a device on pty, tcp://HOST:PORT, /dev/ttyX or serial:///dev/ttyX?baud=N",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="instead of the scenario's seed")
    parser.add_argument("--for", dest="for_s", type=float, metavar="SECONDS", help="end after this much world time")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="world seconds in a second (default 1)")
    parser.add_argument("--config-out", type=Path, metavar="FILE", help="write a configuration of the daemon")
    parser.add_argument("--collector", metavar="URL", help="MQTT collector to put into that configuration")
    parser.add_argument("--truth", metavar="FILE|-", default="-", help="where truth goes (default: standard output)")
    parser.add_argument("--control", action="store_true", help="take faults as JSON lines from standard input")
    parser.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    from firmware_sim.scenario import ScenarioError
    from firmware_sim.scenario.file import load
    from firmware_sim.serve import Settings, serve
    from firmware_sim.world.crossing import World

    bind = dict(pair.partition("=")[::2] for pair in arguments.bind)
    settings = Settings(
        bind=bind,
        for_s=arguments.for_s,
        speed=arguments.speed,
        config_out=arguments.config_out,
        collector=arguments.collector,
        truth=None if arguments.truth == "-" else Path(arguments.truth),
        control=arguments.control,
    )
    try:
        scenario = load(arguments.scenario)
        return asyncio.run(serve(scenario, World(scenario, arguments.seed), settings))
    except ScenarioError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
