"""What the package's upgrade (deploy/debian/upgrade.py) left for the daemon: why the version before runs again.

Called by the daemon at its start. The note lies in the store until a next upgrade; whatever is wrong with it is no
reason not to start.
"""

from __future__ import annotations

import json
from pathlib import Path

NOTE = "upgrade-undone.json"
_MOST = 500  # characters of the reason


def why_undone(store: Path) -> str:
    """The reason, empty where no upgrade was undone."""
    try:
        found = json.loads((store / NOTE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError):
        return "the note of it cannot be read"
    reason = found.get("reason") if isinstance(found, dict) else None
    return str(reason or "no reason was noted")[:_MOST]
