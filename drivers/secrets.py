"""Where a secret file is: as systemd hands it over (LoadCredential), else where the configuration says.

Called by all who read a key or a password, so that one configuration works by hand and under systemd, where the files
stay readable by root alone. Passwords are read at the start of each session, so that a changed one needs no restart;
they stand in no text.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from drivers.base import DeviceError

ETC = Path("/etc/borderflow")
HANDED_AS = "etc"  # the unit has LoadCredential=etc:/etc/borderflow; systemd puts _ between the parts of a name


def credential_file(path: Path | str) -> Path:
    """The file among those that systemd handed over, by its own name or by its place in /etc/borderflow; where it is
    not among them the file itself."""
    path = Path(path)
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory:
        names = [path.name]
        if path.is_relative_to(ETC):
            names.append("_".join((HANDED_AS, *path.relative_to(ETC).parts)))
        for handed in (Path(directory) / name for name in names):
            if handed.is_file():
                return handed
    return path


def others_may_read(path: Path, mode: int) -> bool:
    """Whether a secret file with this mode is open to others than its owner. What systemd handed over lies in a closed
    directory, and its group's bit may stand for the one user whom an access list names (systemd 257 shows 0440)."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    handed = bool(directory) and path.parent == Path(str(directory))
    return bool(stat.S_IMODE(mode) & (0o007 if handed else 0o077))


def check_account(username: str, password_file: str) -> None:
    """Options that name one of the two only are a slip. Raises ValueError."""
    if bool(username) != bool(password_file):
        raise ValueError(f"{'password_file' if username else 'username'} is missing: the two go together")


def password(url: str, file: str) -> str:
    """What stands in the file, without blanks around it; empty where no file is given. Raises DeviceError."""
    if not file:
        return ""
    try:
        return credential_file(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise DeviceError(f"{url}: password_file {file} cannot be used ({reason}); give a file with it alone") from None
