"""The password of a device, from its file: as systemd hands it over (LoadCredential), else where the options say.

Read at the start of each session, so that a changed password needs no restart; it stands in no text.
"""

from __future__ import annotations

import os
from pathlib import Path

from drivers.base import DeviceError


def check_account(username: str, password_file: str) -> None:
    """Options that name one of the two only are a slip. Raises ValueError."""
    if bool(username) != bool(password_file):
        raise ValueError(f"{'password_file' if username else 'username'} is missing: the two go together")


def password(url: str, file: str) -> str:
    """What stands in the file, without blanks around it; empty where no file is given. Raises DeviceError."""
    if not file:
        return ""
    path = Path(file)
    handed = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / path.name
    try:
        return (handed if handed.is_file() else path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise DeviceError(f"{url}: password_file {file} cannot be used ({reason}); give a file with it alone") from None
