"""Between the broker's thread and a screen: messages and the state of the link, taken out when the screen is drawn.

The broker's thread puts, a timer takes. A full inbox holds the broker's thread up, and so the broker: nothing grows.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable
from typing import Any

from edge.watch.view import CrossingView

TRUTH = "truth"  # the topic of what the simulator of the demo says
_MOST = 10_000


class Inbox:
    """`lost_at_s` and `last_at_s` are UNIX times or None: since when the link is gone, when the last message came."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.lost_at_s: float | None = None
        self.last_at_s: float | None = None
        self._queue: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue(_MOST)
        self._closed = False

    def put(self, topic: str, message: dict[str, Any]) -> None:
        """Waits while the inbox is full, until it is closed."""
        while not self._closed:
            with contextlib.suppress(queue.Full):
                self._queue.put((topic, message), timeout=0.2)
                return

    def close(self) -> None:
        """Nobody looks any more: who waits to put something goes on, and it is dropped."""
        self._closed = True

    def linked(self, up: bool) -> None:
        """The link is there (again), or gone."""
        if up:
            self.lost_at_s = None
        elif self.lost_at_s is None:
            self.lost_at_s = self.clock()

    def get(self, timeout_s: float | None = None) -> tuple[str, dict[str, Any]]:
        """The next message; queue.Empty after the timeout."""
        topic, message = self._queue.get(timeout=timeout_s)
        if topic != TRUTH:
            self.last_at_s = self.clock()
        return topic, message

    def drain(self, view: CrossingView) -> None:
        """All that has come into the view, at most what the inbox holds: a flood must not stop the drawing."""
        for _ in range(min(self._queue.qsize(), _MOST)):
            into(view, *self.get())


def into(view: CrossingView, topic: str, message: dict[str, Any]) -> None:
    """A message, or what the simulator says of it, into the view."""
    if topic != TRUTH:
        view.take(topic, message)
    elif message.get("kind") == "vehicle":
        view.truths.append(message)
