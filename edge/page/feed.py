"""What the page knows of the daemon: its socket in, the state of a moment and a scope for each lane out.

Called by the page's answers, from several threads. All readers of a second share one question to the daemon; a lane's
waveforms are followed only while somebody looks at it.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from edge.eyes.client import NoDaemon, find
from edge.page.scope import LaneScope

FRESH_S = 1.0
LINGER_S = 120.0  # a scope that nobody has asked for so long ends, and what it held is gone


class Feed:
    def __init__(self, config: Path | None) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._state: dict[str, Any] | None = None
        self._path: Path | None = None
        self._trouble = ""
        self._asked_at = -FRESH_S
        self._scopes: dict[str, LaneScope] = {}

    def state(self) -> dict[str, Any]:
        """The daemon's state, at most `FRESH_S` old. NoDaemon where it does not answer."""
        with self._lock:
            if time.monotonic() - self._asked_at >= FRESH_S:
                try:
                    self._path, self._state = find(self._config)
                except NoDaemon as error:
                    self._state, self._trouble = None, str(error)
                self._asked_at = time.monotonic()
            self._end_unused()
            if self._state is None:
                raise NoDaemon(self._trouble)
            return self._state

    def scope(self, lane: str) -> LaneScope:
        """The waveforms of a lane, which are followed from now on."""
        state = self.state()
        with self._lock:
            scope = self._scopes.get(lane)
            if scope is None or scope.ended:
                assert self._path is not None
                row = next(row for row in state["lanes"] if row["id"] == lane)
                scope = self._scopes[lane] = LaneScope(self._path, row)
            scope.wanted_at = time.monotonic()
            return scope

    def _end_unused(self) -> None:
        for lane, scope in list(self._scopes.items()):
            if scope.ended or time.monotonic() - scope.wanted_at > LINGER_S:
                scope.end()
                del self._scopes[lane]
