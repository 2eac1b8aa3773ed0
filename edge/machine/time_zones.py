"""The newest rules of local time on this computer: the system's, or those of the Python package `tzdata`.

Called by the command line before a command runs. Python takes the system's files first, however old they are (PEP 615),
and a computer at a lane is seldom updated: in November 2026 a Debian 12 of 2025 has Vancouver and Winnipeg an hour off,
while the package beside it knows better.
"""

from __future__ import annotations

import os
import zoneinfo
from datetime import datetime
from pathlib import Path
from typing import Final

_taken: str | None = None  # the release in force, where it is known
_SYSTEM: Final = Path("/usr/share/zoneinfo/tzdata.zi")  # its first line: "# version 2026f"


def take_newest(system: Path = _SYSTEM) -> str | None:
    """Lets `zoneinfo` pass over the system's rules where the package's are newer; gives the release that it then takes.

    A path that somebody chose (PYTHONTZPATH) stays, and so does a system that does not tell its release: None.
    """
    global _taken
    _taken = _newest(system)
    return _taken


def local_time(zone: str) -> str:
    """What the clock on the wall says there now by the rules in force: "11:04, UTC-0600 (rules of 2026f)"."""
    rules = "" if _taken is None else f" (rules of {_taken})"
    return f"{datetime.now(zoneinfo.ZoneInfo(zone)):%H:%M, UTC%z}{rules}"


def _newest(system: Path) -> str | None:
    if "PYTHONTZPATH" in os.environ:
        return None
    try:
        import tzdata

        with system.open(encoding="utf-8", errors="replace") as file:
            words = file.readline().split()
    except (ImportError, OSError):
        return None
    if words[:2] != ["#", "version"] or len(words) < 3:
        return None
    installed, packaged = words[2], str(tzdata.IANA_VERSION)
    if packaged <= installed:  # year and letter
        return installed
    zoneinfo.reset_tzpath(())
    zoneinfo.ZoneInfo.clear_cache()
    return packaged
