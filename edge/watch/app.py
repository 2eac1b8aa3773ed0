"""The screen of `watch` and `demo` where textual is installed: alarms above, one sheet below, drawn on a timer.

Alone here textual is imported; edge/watch/plain.py is the screen without it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import ClassVar

from rich.console import RenderableType
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, Static

from edge.watch.grid import Corner, grid
from edge.watch.head import headline
from edge.watch.inbox import Inbox
from edge.watch.rows import SHEETS, Row, Sheet, alarms, sheet
from edge.watch.view import CrossingView
from edge.watch.words import Words

DRAW_EVERY_S = 0.5
_ALARM_LINES = 7  # with their head; more are reached by scrolling


class Grid(Widget, can_focus=True):
    """A sheet with a marked row; shows what fits, moves with the keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
        Binding("home", "move(-1000000)", show=False),
        Binding("end", "move(1000000)", show=False),
        Binding("left", "sideways(-1)", show=False),
        Binding("right", "sideways(1)", show=False),
    ]
    marked = reactive(0)
    left = reactive(0)

    def __init__(self, words: Words, id: str) -> None:
        super().__init__(id=id)
        self._words = words
        self._sheet = Sheet((), frozenset(), (), "")
        self.rows: tuple[Row, ...] = ()
        self._top = 0

    def show(self, sheet: Sheet, needle: str = "") -> None:
        if sheet.columns != self._sheet.columns:
            self.left = 0
        self._sheet, self.rows = sheet, sheet.holding(needle)
        self.marked = self._within(self.marked)
        self.refresh()

    def detail(self) -> str:
        """All of the marked row, also what did not fit."""
        if not self.rows:
            return ""
        cells = self.rows[self._within(self.marked)].cells()
        heads = (self._words[f"col_{name}"] for name in self._sheet.columns)
        return "  ".join(f"{head}: {cell.plain}" for head, cell in zip(heads, cells, strict=True) if cell.plain)

    def action_move(self, by: int) -> None:
        self.marked = self._within(self.marked + by)

    def action_page(self, by: int) -> None:
        self.action_move(by * max(1, self.size.height - 2))

    def action_sideways(self, by: int) -> None:
        self.left = min(max(0, self.left + by), max(0, len(self._sheet.columns) - 1))

    def on_mouse_scroll_up(self) -> None:
        self.action_move(-3)

    def on_mouse_scroll_down(self) -> None:
        self.action_move(3)

    def render(self) -> RenderableType:
        lines = max(1, self.size.height - 1)
        self._top = min(max(self._top, self.marked - lines + 1), self.marked)
        corner = Corner(self._top, self.left, self.marked if self.has_focus else None)
        return grid(self._sheet, self.rows, self._words, (self.size.width, self.size.height), corner)

    def _within(self, row: int) -> int:
        return min(max(0, row), max(0, len(self.rows) - 1))


class WatchApp(App[None]):
    """`ended` is asked at each drawing whether to go; `title` stands first in the
    first line, `first` is the sheet (of SHEETS) that is shown until a key takes another."""

    CSS = """
    Screen { layout: vertical; }
    #head, #what, #kept, #help { height: 1; }
    #head { background: $panel; }
    #what, #kept { text-style: bold; }
    #alarms { height: auto; }
    #sheet { height: 1fr; }
    #detail { height: auto; max-height: 3; color: $text-muted; }
    #filter { height: 1; border: none; padding: 0; display: none; }
    #filter.open { display: block; }
    #help { background: $panel; color: $text-muted; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(n), f"sheet('{name}')", show=False) for n, name in enumerate(SHEETS, 1)),
        Binding("slash", "filter", show=False),
        Binding("escape", "drop_filter", show=False),
        Binding("q,ctrl+c,ctrl+q", "quit", show=False, priority=False),
    ]

    def __init__(
        self,
        inbox: Inbox,
        view: CrossingView,
        *,
        title: str = "",
        first: str = "waits",
        ended: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__()
        self.view = view
        self.words = Words(view.language)
        self.needle = ""
        self._inbox = inbox
        self._title = title or f"borderflow · {self.words['title']}"
        self._ended = ended
        self._shown = first

    def compose(self) -> ComposeResult:
        yield Static(id="head", markup=False)
        yield Static(id="what", markup=False)
        yield Grid(self.words, id="alarms")
        yield Static(id="kept", markup=False)
        yield Grid(self.words, id="sheet")
        yield Static(id="detail", markup=False)
        yield Input(placeholder=self.words["filter_hint"], id="filter", compact=True)
        yield Static(self.words["help"], id="help", markup=False)

    def on_mount(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit)
        self.query_one("#sheet", Grid).focus()
        self.set_interval(DRAW_EVERY_S, self.draw)
        self.draw()

    def draw(self) -> None:
        """Take what has come and show it; the only place that does."""
        self._inbox.drain(self.view)
        now_s = self._inbox.clock()
        self.query_one("#head", Static).update(headline(self._title, self._inbox, self.view, self.words))
        held = alarms(self.view, self.words, now_s)
        upper, lower = self.query_one("#alarms", Grid), self.query_one("#sheet", Grid)
        upper.show(held, self.needle)
        upper.styles.height = min(_ALARM_LINES, len(upper.rows) + 1)
        title = self.words["alarms"].format(count=len(held.rows))
        self.query_one("#what", Static).update(title)
        lower.show(sheet(self._shown, self.view, self.words, now_s), self.needle)
        kept = "  ".join(
            f"[{self.words[name]}]" if name == self._shown else f" {n} {self.words[name]} "
            for n, name in enumerate(SHEETS, 1)
        )
        if self.needle:
            kept += "  " + self.words["filter"].format(text=self.needle)
        self.query_one("#kept", Static).update(kept)
        self._detail()
        if self._ended():
            self.exit()

    def _detail(self) -> None:
        marked = self.query_one("#alarms" if self.query_one("#alarms").has_focus else "#sheet", Grid)
        self.query_one("#detail", Static).update(marked.detail())

    def on_key(self) -> None:
        self.call_after_refresh(self._detail)  # the marked row has moved

    def action_sheet(self, name: str) -> None:
        self._shown = name
        lower = self.query_one("#sheet", Grid)
        lower.marked = 0
        lower.focus()
        self.draw()

    def action_filter(self) -> None:
        box = self.query_one("#filter", Input)
        box.add_class("open")
        box.focus()

    def action_drop_filter(self) -> None:
        self.query_one("#filter", Input).value = ""
        self._close_filter()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.needle = event.value
        self.draw()

    def on_input_submitted(self) -> None:
        self._close_filter()

    def _close_filter(self) -> None:
        self.query_one("#filter", Input).remove_class("open")
        self.query_one("#sheet", Grid).focus()
