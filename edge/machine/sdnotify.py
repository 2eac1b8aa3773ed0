"""Tells systemd how the daemon is (sd_notify(3)): READY=1, WATCHDOG=1, STOPPING=1, STATUS=… A no-op elsewhere."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(*lines: str) -> None:
    """Send the lines to the socket that systemd named in the environment; trouble with it is nobody's business."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)
        channel.send("\n".join(lines).encode())
