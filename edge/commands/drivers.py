"""`borderflow drivers [NAME]`: lists the drivers, or the options of one with units and defaults."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.table import Table

from drivers import registry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="a driver, to see its options")


def run(args: argparse.Namespace) -> int:
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    if args.name is None:
        table = Table("driver", "url", "what it reads", "package")
        for entry in registry.catalogue():
            table.add_row(entry.name, " ".join(entry.schemes), entry.summary or entry.error, entry.package)
        console.print(table)
        return 0
    try:
        options, manual = registry.describe(args.name), registry.manual(args.name)
    except LookupError as error:
        print(f"borderflow drivers: {error}", file=sys.stderr)
        return 1
    console.print(manual, markup=False)
    table = Table("option", "type", "default", "unit", "meaning", title="[device.options]", title_justify="left")
    for option in options:
        table.add_row(option.name, option.type, option.default, option.unit, option.text)
    console.print(table)
    return 0
