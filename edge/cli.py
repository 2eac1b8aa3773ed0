"""`borderflow`: finds the command and runs it.

Standard output carries results alone, standard error everything else.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from importlib.metadata import version

from edge.config import EXIT_CONFIG, ConfigError

# command: (module with add_arguments and run, one line of help)
COMMANDS = {
    "demo": ("edge.commands.demo", "the whole system on this machine: simulated crossing, daemon, broker, live view"),
    "run": ("edge.daemon", "the daemon, as systemd starts it"),
    "check": ("edge.commands.check", "validate a configuration without touching hardware"),
    "doctor": ("edge.commands.doctor", "try each device, the clock, the disk and each collector once"),
    "record": ("edge.commands.record", "record raw waveforms and device bytes from live hardware"),
    "replay": ("edge.commands.replay", "run recordings through the pipeline; prints vehicle messages"),
    "wait": ("edge.commands.wait", "run a file of sightings through the wait-time code; prints wait messages"),
    "export": ("edge.commands.export", "wait messages in the shape of an authority's public feed"),
    "accuracy": ("edge.commands.accuracy", "compare measured vehicles with reference weighings"),
    "calibrate": ("edge.commands.calibrate", "calibration factors from reference runs"),
    "watch": ("edge.commands.watch", "what a central operator sees: a live table from MQTT"),
    "verify": ("edge.commands.verify", "prove that a collector's copy of the messages is whole and unchanged"),
    "drivers": ("edge.commands.drivers", "list the drivers, or the options of one"),
    "sign": ("edge.commands.sign", "sign a configuration, for computers that take nothing else"),
    "key": ("edge.commands.key", "make the secret of the pseudonyms, or a key that signs"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; gives its exit code."""
    parser = argparse.ArgumentParser(prog="borderflow", description="Weighs, times and counts at border lanes.")
    parser.add_argument("--version", action="version", version=f"borderflow {version('borderflow')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    words = sys.argv[1:] if argv is None else argv
    wanted = next((word for word in words if word in COMMANDS), None)
    for name, (module_name, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name == wanted:  # only the wanted command is loaded: `--help` stays quick on a small computer
            module = importlib.import_module(module_name)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    args = parser.parse_args(words)
    try:
        return int(args.run(args))
    except ConfigError as error:
        for fault in error.faults:
            print(f"borderflow {args.command}: {fault}", file=sys.stderr)
        return EXIT_CONFIG
    except BrokenPipeError:  # the reader of our output has gone: nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
