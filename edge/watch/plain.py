"""The screen of `watch` and `demo` without textual: the same tables, drawn on a timer, without keys."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from edge.watch.grid import Corner, grid
from edge.watch.head import headline
from edge.watch.inbox import Inbox
from edge.watch.rows import SHEETS, alarms, sheet
from edge.watch.view import CrossingView
from edge.watch.words import Words

_DRAW_EVERY_S = 0.5


def draw(title: str, inbox: Inbox, view: CrossingView, words: Words, size: tuple[int, int]) -> RenderableType:
    """All sheets below each other in `size` (width, height): alarms first, the rest share the room."""
    now_s, (width, height) = inbox.clock(), size
    held = alarms(view, words, now_s)
    upper = min(len(held.rows) + 1, max(2, height // 4))
    parts: list[RenderableType] = [
        headline(title, inbox, view, words),
        grid(held, held.rows, words, (width, upper), Corner()),
    ]
    room = max(3, (height - 1 - upper) // len(SHEETS) - 1)
    for name in SHEETS:
        of = sheet(name, view, words, now_s)
        parts += [Text(words[name], "bold"), grid(of, of.rows, words, (width, room), Corner())]
    return Group(*parts)


def show(inbox: Inbox, view: CrossingView, *, title: str, ended: Callable[[], bool]) -> None:
    """Until `ended`, or KeyboardInterrupt."""
    console, words = Console(), Words(view.language)
    name = title or f"borderflow · {words['title']}"
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while not ended():
            inbox.drain(view)
            live.update(draw(name, inbox, view, words, console.size), refresh=True)
            time.sleep(_DRAW_EVERY_S)
