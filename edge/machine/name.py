"""A name for a computer that nobody named: its own, and the same after each start.

Called by the daemon where the configuration gives no `source` and no certificate has one. Two computers of one name
would number their messages on the same topics.
"""

from __future__ import annotations

import hmac
import socket
from pathlib import Path
from typing import Final

_MACHINE_ID: Final = Path("/etc/machine-id")  # machine-id(5): not to be shown as it is, but hashed with a key of ours


def machine_name(machine_id: Path = _MACHINE_ID, host: str = "") -> str:
    """`lane-` and eight hex digits, of the machine's id; of the host's name where it has none."""
    try:
        own = machine_id.read_text(errors="replace").strip()
    except OSError:
        own = ""
    own = own or host or socket.gethostname()
    return f"lane-{hmac.digest(own.encode(), b'borderflow source', 'sha256').hex()[:8]}"
