"""Where a secret file is: as systemd hands it over (LoadCredential), else where the configuration says.

Called by all who read a key, so that one configuration works by hand and under systemd, where the keys stay readable by
root alone.
"""

from __future__ import annotations

import os
from pathlib import Path


def credential_file(path: Path | str) -> Path:
    """The file of the same name among those that systemd handed over, where there is one, else the file itself."""
    path = Path(path)
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory:
        handed = Path(directory) / path.name
        if handed.is_file():
            return handed
    return path
