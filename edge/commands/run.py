"""`borderflow run`: the daemon, as systemd starts it.

Called by edge/cli.py. Exit 0 on SIGTERM; 78 where the configuration is wrong, 73 where the disk has no room to begin.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
from pathlib import Path

from edge.config import ConfigError
from edge.config.admission import Admission
from edge.core import CoreError
from edge.daemon.daemon import Daemon
from edge.delivery.entry import JournalError
from edge.delivery.identity import IdentityError
from edge.exit_codes import EXIT_CANNOT_WRITE
from edge.machine import logs, memory
from edge.machine.restart import begin_anew, is_started_anew

log = logging.getLogger("daemon")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="configuration of this computer")
    parser.add_argument(
        "--trust", type=Path, metavar="KEYS",
        help="take only what one of these public keys signed; default: trust/config.pub beside FILE, if it exists",
    )  # fmt: skip
    parser.add_argument("--verbose", action="store_true", help="log what is usual too")


def run(args: argparse.Namespace) -> int:
    logs.to_stderr(logging.DEBUG if args.verbose else logging.INFO)
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))  # memory holds plates: a crash must not put them on the disk
    memory.keep_small()
    admitted = Admission(args.config, args.trust)
    config = admitted.load()
    try:
        daemon = Daemon(config, admitted)
    except (IdentityError, CoreError) as error:
        raise ConfigError([f"{args.config}: {error}"]) from None
    except JournalError as error:
        if error.cause == "disk_full":  # passes: the service manager starts it again until there is room
            log.critical("%s", error)
            return EXIT_CANNOT_WRITE
        raise ConfigError([f"{args.config}: store.path: {error}"]) from None
    admitted.keep(config)
    for doubt in admitted.found.doubts:
        log.warning("%s", doubt)
    ended = asyncio.run(daemon.main())
    if daemon.needs_new_process and not is_started_anew(os.environ):
        begin_anew()
    return ended
