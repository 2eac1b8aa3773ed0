"""`borderflow`: finds the command and runs it.

Standard output carries results alone, standard error everything else. Little is imported here, and what else is needed
where an interruption is caught: loading takes a while on a small computer.
"""

from __future__ import annotations

import os
import signal
import sys

from edge.exit_codes import EXIT_CANNOT_WRITE, EXIT_CONFIG, EXIT_INTERRUPTED

# command: (module with add_arguments and run, one line of help)
COMMANDS = {
    "demo": ("edge.commands.demo", "the whole system on this machine: simulated crossing, daemon, broker, live view"),
    "run": ("edge.commands.run", "the daemon, as systemd starts it"),
    "status": (
        "edge.commands.status",
        "how this computer is, from its daemon: lanes, alarms, devices, collectors",
    ),
    "page": ("edge.commands.page", "the lane's page for a browser, and metrics for Prometheus"),
    "bundle": ("edge.commands.bundle", "one file for a supporter: state, log, configuration without secrets, versions"),
    "init": ("edge.commands.init", "make a first configuration: asks, or takes flags, and finds devices that answer"),
    "reload": ("edge.commands.reload", "tell the daemon of this computer to take its changed configuration"),
    "check": ("edge.commands.check", "validate a configuration without touching hardware"),
    "doctor": ("edge.commands.doctor", "try each device, the clock, the disk and each collector once"),
    "record": ("edge.commands.record", "record raw waveforms and device bytes from live hardware"),
    "replay": ("edge.commands.replay", "run recordings through the pipeline; prints vehicle messages"),
    "wait": ("edge.commands.wait", "run a file of sightings through the wait-time code; prints wait messages"),
    "collect": ("edge.commands.collect", "the collector: MQTT brokers into a database, for the centre"),
    "board": ("edge.commands.board", "wait board for the public and operators, from the centre's database"),
    "publish": ("edge.commands.publish", "one day of the centre's database, as authorities deliver and publish it"),
    "export": ("edge.commands.export", "wait messages in the shape of an authority's public feed"),
    "accuracy": ("edge.commands.accuracy", "compare measured vehicles with reference weighings"),
    "calibrate": ("edge.commands.calibrate", "calibration factors from reference runs"),
    "watch": ("edge.commands.watch", "what a central operator sees: a live table from MQTT"),
    "verify": ("edge.commands.verify", "prove that a collector's copy of the messages is whole and unchanged"),
    "drivers": ("edge.commands.drivers", "list the drivers, or the options of one"),
    "sign": ("edge.commands.sign", "sign a configuration, for computers that take nothing else"),
    "key": ("edge.commands.key", "make the secret of the pseudonyms, or a key that signs"),
}


# These go on until somebody ends them, so Ctrl-C and SIGTERM are their usual end, at any moment.
ENDLESS = {"demo", "run", "record", "watch", "page", "board", "collect"}


def main(argv: list[str] | None = None) -> int:
    """Run one command; gives its exit code."""
    words = sys.argv[1:] if argv is None else argv
    wanted = next((word for word in words if word in COMMANDS), None)
    if sys.stdout is None:  # closed by who called us; nothing else may get its number
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    try:
        if wanted in ENDLESS:
            signal.signal(signal.SIGTERM, _interrupt)
        return _run(words, wanted)
    except BrokenPipeError:  # the reader of our output has gone: nothing is left to say
        _forget_output()
        return 0
    except OSError as error:
        _forget_output()
        print(f"borderflow {wanted}: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        return EXIT_CANNOT_WRITE
    except KeyboardInterrupt:
        if wanted in ENDLESS:
            return 0
        print(f"borderflow {wanted}: interrupted; what it printed is not the whole", file=sys.stderr)
        return EXIT_INTERRUPTED


def _run(words: list[str], wanted: str | None) -> int:
    import argparse
    import importlib

    from edge.config import ConfigError
    from edge.machine.time_zones import take_newest

    parser = argparse.ArgumentParser(prog="borderflow", description="Weighs, times and counts at border lanes.")
    if wanted is None or "--version" in words:  # finding it out takes as long as loading a command
        from importlib.metadata import version

        parser.add_argument("--version", action="version", version=f"borderflow {version('borderflow')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    known = words[0] if words and words[0] in COMMANDS else None
    for name, (module_name, text) in COMMANDS.items():
        if known not in (name, None):
            continue  # the others are only for the help, and for a slip in the name
        command = commands.add_parser(name, help=text, description=text)
        if name == wanted:  # only the wanted command is loaded: `--help` stays quick on a small computer
            module = importlib.import_module(module_name)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    args = parser.parse_args(words)
    take_newest()
    try:
        status = int(args.run(args))
    except ConfigError as error:
        for fault in error.faults:
            print(f"borderflow {wanted}: {fault}", file=sys.stderr)
        return EXIT_CONFIG
    sys.stdout.flush()
    return status


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _forget_output() -> None:
    """What still waits to be written must not fail again at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
