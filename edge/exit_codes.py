"""Exit statuses beyond 0 and 1, as sysexits.h of BSD names them, and how a command ends that somebody ended."""

from __future__ import annotations

from typing import Final

EXIT_DATA: Final = 65  # EX_DATAERR: input that cannot be read
EXIT_UNREACHABLE: Final = 69  # EX_UNAVAILABLE: a broker or daemon that does not answer
EXIT_CANNOT_WRITE: Final = 73  # EX_CANTCREAT, EX_IOERR: output that cannot be written
EXIT_CONFIG: Final = 78  # EX_CONFIG: a configuration with faults
EXIT_INTERRUPTED: Final = 130  # as a shell says it of SIGINT: what was printed is not the whole
