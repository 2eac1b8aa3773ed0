"""How the log of a service looks: with priorities for systemd's journal, with times for a person at a terminal.

Set up once by `borderflow run` and `borderflow collect`. The journal stamps lines itself; a priority in front of a line
(sd-daemon(3)) lets `journalctl -p warning` find it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Final, TextIO

_PRIORITIES: Final = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
    (logging.DEBUG, 7),
)


class JournalFormatter(logging.Formatter):
    """`<4>name: text`, with the priority in front of every line of the text."""

    def __init__(self) -> None:
        super().__init__("%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def formatter(stream: TextIO, environment: Mapping[str, str]) -> logging.Formatter:
    """The formatter for a log that goes to `stream`: that of the journal where systemd started us and reads it."""
    if ("JOURNAL_STREAM" in environment or "INVOCATION_ID" in environment) and not stream.isatty():
        return JournalFormatter()
    return logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")


def to_stderr(level: int) -> None:
    """Log to standard error from `level` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(sys.stderr, os.environ))
    logging.basicConfig(level=level, handlers=[handler])
