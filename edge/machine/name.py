"""The name of this computer in topics: the configured one, that of a certificate, or one of its own.

Called by the daemon and the commands. Two computers of one name would number their messages on the same topics, so one
that nobody named gets a name of its own, the same after each start.
"""

from __future__ import annotations

import hmac
import socket
from pathlib import Path
from typing import Final

from edge.config import Config
from edge.delivery.identity import computer_name

_MACHINE_ID: Final = Path("/etc/machine-id")  # machine-id(5): not to be shown as it is, but hashed with a key of ours


def source_name(config: Config) -> str:
    """The configured one, else the common name of the first client certificate, else one of its own."""
    if config.site.source is not None:
        return config.site.source
    for collector in config.collector:
        if collector.cert_file is not None:
            return computer_name(collector.cert_file)
    return machine_name()


def machine_name(machine_id: Path = _MACHINE_ID, host: str = "") -> str:
    """`lane-` and eight hex digits, of the machine's id; of the host's name where it has none."""
    try:
        own = machine_id.read_text(errors="replace").strip()
    except OSError:
        own = ""
    own = own or host or socket.gethostname()
    return f"lane-{hmac.digest(own.encode(), b'borderflow source', 'sha256').hex()[:8]}"
