"""`borderflow check`: says every fault of a configuration, or that it has none."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge.config import ConfigError, digest
from edge.config.admission import Admission
from edge.core import CoreError, Wim
from edge.machine.disk import check_disk
from edge.machine.keys import check_keys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="configuration to check")
    parser.add_argument("--trust", type=Path, metavar="KEYS", help="as of `run`: it must be signed by one of these")


def run(args: argparse.Namespace) -> int:
    admitted = Admission(args.config, args.trust)
    config = admitted.load()
    found = admitted.found
    check_keys(config, found)
    check_disk(config, found)
    for lane in config.lane:
        if lane.wim is not None:
            try:
                Wim(lane.wim)
            except CoreError as error:
                found.add(f"lane[{lane.id}].wim", str(error))
    if found.all_wrong:
        raise ConfigError(found.all_wrong)
    for note in found.notes:
        print(f"borderflow check: {note}", file=sys.stderr)
    tables = (("lane", config.lane), ("device", config.device), ("collector", config.collector))
    counted = ", ".join(f"{len(items)} {name}{'' if len(items) == 1 else 's'}" for name, items in tables)
    print(
        f"{args.config}: good; {counted}, digest {digest(config)}"
        f"{'' if admitted.version is None else f', signed as version {admitted.version}'}"
    )
    return 0
