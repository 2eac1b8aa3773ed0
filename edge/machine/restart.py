"""A new process in place of this one, where no service manager makes one: same pid, program, arguments and directory.

Called by `borderflow run` after a change of the configuration that only a new process takes. systemd makes the new one
itself, and hands over the keys and certificates anew with it (credentials are copied when a service starts).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from typing import NoReturn


def is_started_anew(environment: Mapping[str, str]) -> bool:
    """Whether somebody waits for this process to end: a unit of Type=notify has a socket to tell (sd_notify(3))."""
    return "NOTIFY_SOCKET" in environment


def begin_anew() -> NoReturn:
    """Call with every file flushed and no loop running: nothing of this process goes on, its descriptors close."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # one who reloads just now means the file that is read next
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
