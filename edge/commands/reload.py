"""`borderflow reload`: tells the daemon of this computer to take its configuration as it is now, and says how it went.

Called by edge/cli.py, and by systemd for `systemctl reload borderflow`. Exit 0 where it was taken, 78 where it was
refused and the daemon goes on as before, 69 where no daemon answers.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from edge.exit_codes import EXIT_CONFIG, EXIT_UNREACHABLE
from edge.eyes.client import NoDaemon, PlaceError, find

_LOOK_S = 0.2
_WITHIN_S = 75.0  # a vehicle over an array is waited for, and collectors are told


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="of the daemon meant; default: the installed one")


def run(args: argparse.Namespace) -> int:
    try:
        _, before = find(args.config)
        process: int = before["process"]["pid"]
        os.kill(process, signal.SIGHUP)
    except (NoDaemon, PlaceError, ProcessLookupError) as error:
        return _failed(str(error))
    except PermissionError:
        return _failed("the daemon takes orders from its own user and root alone")
    end = time.monotonic() + _WITHIN_S
    while time.monotonic() < end:
        time.sleep(_LOOK_S)
        now = _state(args.config)
        if now is None and not _runs(process):
            print("the daemon ended, to be started anew by its service manager; without one: borderflow run")
            return 0
        if now is not None and now["since"] != before["since"]:
            print(f"the daemon began anew (process {now['process']['pid']}), configuration {now['config']}")
            return 0
        if now is not None and now["reload"]["count"] > before["reload"]["count"]:
            return _told(now)
    return _failed(f"the daemon (process {process}) does not say how it went: journalctl -u borderflow")


def _told(state: dict[str, Any]) -> int:
    reload = state["reload"]
    if reload["taken"]:
        print("\n".join([f"reloaded, configuration {state['config']}", *reload["said"]]))
        return 0
    for fault in reload["said"]:
        print(f"borderflow reload: {fault}", file=sys.stderr)
    print("borderflow reload: refused; the daemon goes on as before", file=sys.stderr)
    return EXIT_CONFIG


def _failed(text: str) -> int:
    print(f"borderflow reload: {text}", file=sys.stderr)
    return EXIT_UNREACHABLE


def _state(config: Path | None) -> dict[str, Any] | None:
    """Looked for anew each time: the store may be another one."""
    try:
        return find(config)[1]
    except (NoDaemon, PlaceError):
        return None


def _runs(process: int) -> bool:
    """proc(5): the state stands behind the name, which is in brackets; Z is one that has ended."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"
