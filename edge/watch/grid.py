"""A part of a sheet as a table that fits: rows and columns from a corner on. Called by the screens.

A column is as wide as what stands in it. What does not fit is left out whole, and an arrow says so: half a figure would
be another figure.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from edge.watch.rows import Row, Sheet
from edge.watch.words import Words

_LEAST_TEXT = 12  # the last column of a screen may be cut to this


@dataclass(frozen=True, slots=True)
class Corner:
    """Which row and column stand first, and which row is marked (None: none)."""

    top: int = 0
    left: int = 0
    marked: int | None = None


def grid(sheet: Sheet, rows: tuple[Row, ...], words: Words, size: tuple[int, int], corner: Corner) -> RenderableType:
    """`rows` of the sheet in `size` (width, height), one line a row below the line of heads."""
    if not rows:
        return Text(words["none_fits"] if sheet.rows else sheet.empty, style="italic")
    width, height = size
    shown = [row.cells() for row in rows[corner.top : corner.top + max(1, height - 1)]]
    heads = [words[f"col_{name}"] for name in sheet.columns]
    widths = [
        max(Text(head).cell_len + 1, *(cells[n].cell_len for cells in shown)) for n, head in enumerate(heads)
    ]  # fmt: skip
    fitting = _fitting(widths, corner.left, width)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, expand=True, header_style="bold underline")
    for n in fitting:
        more = n == fitting[-1] and n + 1 < len(heads)
        last = n == len(heads) - 1
        table.add_column(
            heads[n] + ("→" if more else ""),
            justify="right" if sheet.columns[n] in sheet.right else "left",
            no_wrap=True,
            width=None if last else widths[n],
            ratio=1 if last else None,
        )
    if fitting[-1] != len(heads) - 1:
        table.add_column("", ratio=1)  # takes the rest, so that columns stand still
    for number, cells in enumerate(shown, corner.top):
        table.add_row(*(cells[n] for n in fitting), style="reverse" if number == corner.marked else None)
    return table


def _fitting(widths: list[int], left: int, room: int) -> list[int]:
    """Columns from `left` on that fit into `room`; the first always."""
    taken, used = [left], widths[left] + 1
    for n in range(left + 1, len(widths)):
        need = widths[n] + 1
        if n == len(widths) - 1:
            need = min(need, _LEAST_TEXT)
        if used + need > room:
            break
        taken.append(n)
        used += need
    return taken
