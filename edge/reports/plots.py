"""Plain SVG plots for report pages: numbers in, text out; a page is one file that needs nothing else.

Used by `edge.weighing.conformity.page` (errors) and `edge.reports.waits` (waits over time). Colours follow the
reader's light or dark setting.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #222; --dot: #0b6bcb; --two: #c2570c; --faint: #bbb; --paper: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ddd; --dot: #6cb4ff; --two: #ffa257; --faint: #555; --paper: #181818 } }
body { font: 15px/1.4 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 1.5rem auto;
  max-width: 62rem; padding: 0 1rem }
pre { font-size: 13px; overflow-x: auto; white-space: pre-wrap }
table { border-collapse: collapse } td, th { padding: 0.15rem 0.7rem; text-align: right }
td:first-child, th:first-child { text-align: left } th { border-bottom: 1px solid var(--faint) }
svg { width: 100%; max-width: 30rem; height: auto } svg.wide { max-width: none }
svg text { fill: var(--ink); font: 11px system-ui, sans-serif }
svg line { stroke: var(--faint) } svg line.zero { stroke: var(--ink) } svg line.band { stroke-dasharray: 4 3 }
svg circle { fill: var(--dot); fill-opacity: 0.45 } svg circle.two { fill: var(--two); fill-opacity: 0.8 }
svg path { fill: none; stroke: var(--dot); stroke-width: 1.4 } svg path.two { stroke: var(--two) }
svg path.area { fill: var(--dot); fill-opacity: 0.18; stroke: none }
.dot { color: var(--dot) } .two { color: var(--two) }
"""
_MOST_POINTS = 2000  # of a line; a screen has no more
_STEPS_S = (60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 7 * 86_400)


def html_page(title: str, body: str) -> str:
    """A whole page; `body` is HTML."""
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{STYLE}</style>\n<h1>{escape(title)}</h1>\n{body}\n</html>\n"
    )


def ticks(low: float, high: float) -> list[float]:
    """Three to ten round numbers that reach over low..high."""
    span = max(high - low, 1e-6 * max(abs(low), abs(high)), 1e-9)
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 8)
    first, last = math.floor(low / step), math.ceil(high / step)
    if first == last:
        last += 1
    return [round(i * step, 12) + 0.0 for i in range(first, last + 1)]


Point = tuple[float, float | None]  # seconds since 1970, and a value or a gap


@dataclass(frozen=True, slots=True)
class Curve:
    """Values over time: a line with gaps, or `dots`."""

    points: Sequence[Point]
    second: bool = False  # in the second colour
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """The area between two values over time."""

    points: Sequence[tuple[float, float | None, float | None]]


_WIDTH, _HEIGHT = 900, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 26, 24


def over_time(
    title: str, curves: Iterable[Curve], *, band: Band | None = None, level: float | None = None, zone: tzinfo = UTC
) -> str:
    """One plot over time as SVG, from 0 upwards; `level` is a dashed line across. Times are shown in `zone`."""
    curves = list(curves)
    head = (
        f'<svg class="wide" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<text x="{_LEFT}" y="16">{escape(title)}</text>'
    )
    values = [y for curve in curves for _, y in curve.points if y is not None]
    if not values:
        return f'{head}<text x="{_LEFT}" y="{_HEIGHT // 2}">no data</text></svg>'
    times = [t for curve in curves for t, _ in curve.points]
    first, last = min(times), max(max(times), min(times) + 60.0)
    edges = [high for _, _, high in band.points if high is not None] if band is not None else []
    y_ticks = ticks(0.0, max(*values, *edges, level or 0.0, 1e-3))

    def across(t: float) -> float:
        return _LEFT + (t - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def down(y: float) -> float:
        return _TOP + (y_ticks[-1] - y) / (y_ticks[-1] - y_ticks[0]) * (_HEIGHT - _TOP - _BOTTOM)

    def line(y: float, style: str) -> str:
        return f'<line class="{style}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{down(y):.1f}" y2="{down(y):.1f}"/>'

    parts = [head]
    for y in y_ticks:
        parts.append(line(y, "zero" if y == 0 else "grid"))
        parts.append(f'<text x="{_LEFT - 6}" y="{down(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
    for t, text in _clock(first, last, zone):
        parts.append(f'<text x="{across(t):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{text}</text>')
    if band is not None:
        for low, high in _areas(band):
            path = [f"{across(t):.1f} {down(y):.1f}" for t, y in [*high, *reversed(low)]]
            parts.append(f'<path class="area" d="M{" L".join(path)}Z"/>')
    if level is not None:
        parts.append(line(level, "band"))
    for curve in curves:
        style = ' class="two"' if curve.second else ""
        if curve.dots:
            seen = [(t, y) for t, y in _thinned(curve.points) if y is not None]
            parts += [f'<circle{style} cx="{across(t):.1f}" cy="{down(y):.1f}" r="1.6"/>' for t, y in seen]
            continue
        for stretch in _stretches(_thinned(curve.points)):
            path = [f"{across(t):.1f} {down(y):.1f}" for t, y in stretch]
            parts.append(f'<path{style} d="M{" L".join(path)}"/>')
    return "".join(parts) + "</svg>"


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    return points[:: -(-len(points) // _MOST_POINTS)] if len(points) > _MOST_POINTS else points


def _stretches(points: Iterable[Point]) -> list[list[tuple[float, float]]]:
    """The parts of a line between its gaps."""
    out: list[list[tuple[float, float]]] = [[]]
    for t, y in points:
        if y is not None:
            out[-1].append((t, y))
        elif out[-1]:
            out.append([])
    return [stretch for stretch in out if stretch]


def _areas(band: Band) -> list[tuple[list[tuple[float, float]], list[tuple[float, float]]]]:
    points = band.points[:: max(1, -(-len(band.points) // _MOST_POINTS))]
    known = [(t, low if high is not None else None) for t, low, high in points]
    tops = [(t, high if low is not None else None) for t, low, high in points]
    return list(zip(_stretches(known), _stretches(tops), strict=True))


def _clock(first: float, last: float, zone: tzinfo) -> Iterable[tuple[float, str]]:
    """At most ten round times of the day, the date at midnight."""
    step = next((step for step in _STEPS_S if (last - first) / step <= 10), (last - first) / 8)
    offset = datetime.fromtimestamp(first, UTC).astimezone(zone).utcoffset()
    shift = offset.total_seconds() if offset is not None else 0.0
    t = math.ceil((first + shift) / step) * step - shift
    while t <= last:
        local = datetime.fromtimestamp(t, UTC).astimezone(zone)
        yield t, f"{local:%d %b}" if (local.hour, local.minute) == (0, 0) else f"{local:%H:%M}"
        t += step
