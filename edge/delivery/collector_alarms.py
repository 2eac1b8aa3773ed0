"""What is wrong with one collector, in words: each alarm begins once and ends when it is over.

Called by `edge.delivery.publisher`; the daemon makes messages of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from edge.config import Collector
from edge.delivery.endpoint import LinkError, Trouble
from edge.delivery.entry import Entry, Severity

OnAlarm = Callable[[str, str, Literal["begin", "end"], Severity, str], None]  # collector, code, state, severity, text

_OF_TROUBLE: Final[dict[Trouble, tuple[str, Severity]]] = {
    "configuration": ("collector_configuration", "critical"),
    "unreachable": ("collector_unreachable", "warning"),
    "certificate": ("collector_certificate", "critical"),
    "refused": ("collector_refused", "critical"),
    "duplicate": ("duplicate_identity", "critical"),
    "quota": ("collector_quota", "warning"),
    "protocol": ("collector_protocol", "warning"),
    "silent": ("collector_unreachable", "warning"),
    "lost": ("collector_unreachable", "warning"),
    "unheard": ("collector_unheard", "critical"),
}
_OF_CODE: Final = {0x87: "collector_refused", 0x97: "collector_quota"}  # of a PUBACK: not authorized, quota exceeded
_NO_REPLAY, _NO_READER = "collector_no_replay", "collector_no_reader"  # a good connection does not end them


class CollectorAlarms:
    """Those that hold."""

    def __init__(self, collector: Collector, on_alarm: OnAlarm) -> None:
        self._name, self._url = collector.name, collector.url
        self._on_alarm = on_alarm
        self._holding: set[str] = set()

    def not_connected(self, error: LinkError) -> None:
        self._begin(*_OF_TROUBLE[error.trouble], str(error))

    def connected(self) -> None:
        """The connection is good, and every kind goes."""
        for code in self._holding - {_NO_REPLAY, _NO_READER}:
            self._end(code, f"connected to {self._url}")

    def refuses(self, entry: Entry, code: int, reason: str) -> None:
        """A PUBACK that says no."""
        alarm = _OF_CODE.get(code, "collector_refuses_message")
        self._waits(entry, alarm, f"{reason} (0x{code:02X})", "rights and quotas")

    def closes_for(self, entry: Entry) -> None:
        """No word, but the connection ends each time."""
        self._waits(entry, "collector_refused", "it closes the connection each time", "rights")

    def _waits(self, entry: Entry, alarm: str, reason: str, what: str) -> None:
        self._begin(
            alarm,
            "critical",
            f"{self._url} refuses {entry.topic}: {reason}; {entry.kind} messages wait in the journal; "
            f"have the {what} of this computer mended there",
        )

    def too_large(self, entry: Entry, size: int, most: int) -> None:
        self._begin(
            "collector_size",
            "critical",
            f"{self._url} takes packets of {most} bytes; {entry.topic} seq {entry.seq} needs {size}: "
            f"{entry.kind} messages wait in the journal; have its limit raised",
        )

    def replay_granted(self, topic: str, yes: bool) -> None:
        """The server's answer to who wants to read what collectors ask for."""
        if yes:
            self._end(_NO_REPLAY, f"{self._url} lets {topic} be read")
            return
        self._begin(
            _NO_REPLAY,
            "warning",
            f"{self._url} refuses to let this computer read {topic}: messages that a collector misses "
            "cannot be asked for again; have the right to read it given",
        )

    def has_readers(self, yes: bool) -> None:
        if yes:
            self._end(_NO_READER, f"{self._url} has readers again")
            return
        self._begin(
            _NO_READER,
            "warning",
            f"{self._url} takes every message and has nobody who reads it (no matching subscribers, "
            "0x10), so it forgets them at once; who should read there can ask again for as long as the journal "
            "keeps them",
        )

    def _begin(self, code: str, severity: Severity, text: str) -> None:
        if code not in self._holding:
            self._holding.add(code)
            self._on_alarm(self._name, code, "begin", severity, text)

    def _end(self, code: str, text: str) -> None:
        if code in self._holding:
            self._holding.remove(code)
            self._on_alarm(self._name, code, "end", "info", text)
