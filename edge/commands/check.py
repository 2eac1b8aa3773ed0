"""`borderflow check`: says every fault of a configuration, or that it has none."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.config import ConfigError, digest
from edge.config_file import load
from edge.core import CoreError, Wim


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="configuration to check")


def run(args: argparse.Namespace) -> int:
    config = load(args.config, live=True)
    for lane in config.lane:
        if lane.wim is not None:
            try:
                Wim(lane.wim)
            except CoreError as error:
                raise ConfigError([f"{args.config}: lane[{lane.id}].wim: {error}"]) from None
    print(
        f"{args.config}: good; {len(config.lane)} lanes, {len(config.device)} devices, "
        f"{len(config.collector)} collectors, digest {digest(config)}"
    )
    return 0
