"""Messages of an inbox to whoever looks: a screen on a terminal, lines into a pipe. Called by `watch` and `demo`."""

from __future__ import annotations

import importlib.util
import queue
import sys
from collections.abc import Callable

from edge.watch import plain
from edge.watch.inbox import TRUTH, Inbox, into
from edge.watch.view import CrossingView

_LOOK_EVERY_S = 0.2


def show(
    inbox: Inbox,
    view: CrossingView,
    *,
    title: str = "",
    first: str = "waits",
    ended: Callable[[], bool] = lambda: False,
) -> None:
    """Fill the view and show it until `ended`, or until somebody ends it: KeyboardInterrupt, or a key of the screen."""
    if not sys.stdout.isatty():
        _lines(inbox, view, ended)
    elif importlib.util.find_spec("textual") is None:
        plain.show(inbox, view, title=title, ended=ended)
    else:
        from edge.watch.app import WatchApp

        WatchApp(inbox, view, title=title, first=first, ended=ended).run()


def _lines(inbox: Inbox, view: CrossingView, ended: Callable[[], bool]) -> None:
    while not ended():
        try:
            topic, message = inbox.get(_LOOK_EVERY_S)
        except queue.Empty:
            continue
        into(view, topic, message)
        if topic != TRUTH:
            print(view.line(topic, message), flush=True)
