"""The board's plots as SVG: today's curve over the usual one, and weights by class. Numbers in, markup out.

A plot has its own colours from board.css, its axis from 0, labels inside its frame, and the same figures in a table
beside it (the template's). Nothing is drawn where a value is not known.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from edge.centre.board.waits import SLOT_S, Curve
from edge.centre.board.words import clock
from edge.reports.plots import ticks

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 40, 34
_LEAST_S = 1200.0  # an axis of less than 20 minutes would make a mountain of nothing


def of_day(curve: Curve, zone: str, *, title: str, axis: str, today: str, usual: str) -> str:
    """Expected waits of a day in minutes, over the usual ones."""
    known = [y for points in (curve.today, curve.usual) for _, y in points if y is not None]
    steps = ticks(0.0, max([*known, _LEAST_S]) / 60)
    top = steps[-1]

    def across(at_s: float) -> float:
        return _LEFT + (at_s - curve.start_s) / (curve.end_s - curve.start_s) * (_WIDTH - _LEFT - _RIGHT)

    def down(seconds: float) -> float:
        return _TOP + (1 - seconds / 60 / top) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">']
    for minutes in steps:
        y = down(minutes * 60)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{minutes:g}</text>')
    parts.append(f'<text x="4" y="18">{escape(axis)}</text>')
    for at_s in range(curve.start_s, curve.end_s + 1, 4 * 3600):
        anchor = "end" if across(at_s) > _WIDTH - 40 else "middle"
        parts.append(
            f'<text x="{across(at_s):.1f}" y="{_HEIGHT - 12}" text-anchor="{anchor}">{clock(at_s, zone)}</text>'
        )
    for name, points in (("usual", curve.usual), ("today", curve.today)):
        for stretch in _stretches(points):
            path = " L".join(f"{across(at + SLOT_S / 2):.1f} {down(y):.1f}" for at, y in stretch)
            parts.append(f'<path class="{name}" d="M{path}"/>')
            if len(stretch) == 1:
                at, y = stretch[0]
                parts.append(f'<circle class="{name}" cx="{across(at + SLOT_S / 2):.1f}" cy="{down(y):.1f}" r="2.5"/>')
    for n, (name, text) in enumerate((("today", today), ("usual", usual))):
        x, y = _WIDTH - _RIGHT - 340 + 150 * n, 14
        parts.append(f'<line class="{name}" x1="{x}" x2="{x + 22}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{x + 28}" y="{y + 4}">{escape(text)}</text>')
    return "".join(parts) + "</svg>"


def _stretches(points: Iterable[tuple[int, float | None]]) -> list[list[tuple[int, float]]]:
    """The parts of a line between its gaps."""
    found: list[list[tuple[int, float]]] = [[]]
    for at, y in points:
        if y is not None:
            found[-1].append((at, y))
        elif found[-1]:
            found.append([])
    return [stretch for stretch in found if stretch]


def bars(rows: Iterable[tuple[str, int, int]], *, title: str) -> str:
    """A bar for each class: vehicles, and of these those over a limit."""
    rows = list(rows)
    most = max((count for _, count, _ in rows), default=0) or 1
    height = 24 * len(rows) + 8
    parts = [f'<svg class="plot" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">']
    for n, (name, count, over) in enumerate(rows):
        y, width = 24 * n + 4, (_WIDTH - 200) / most
        parts.append(f'<text x="60" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect class="bar" x="70" y="{y}" width="{width * count:.1f}" height="18"/>')
        parts.append(f'<rect class="over" x="70" y="{y}" width="{width * over:.1f}" height="18"/>')
        text = f"{count} ({over} over)" if over else str(count)
        parts.append(f'<text x="{78 + width * count:.1f}" y="{y + 14}">{escape(text)}</text>')
    return "".join(parts) + "</svg>"
