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
:root { color-scheme: light dark; --ink: #222; --dot: #0b6bcb; --two: #c2570c; --faint: #ccc; --soft: #666;
  --paper: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ddd; --dot: #6cb4ff; --two: #ffa257; --faint: #444; --soft: #999; --paper: #181818 } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 1.5rem auto;
  max-width: 62rem; padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: 0.2rem } h2 { font-size: 1.2rem; margin: 2rem 0 0.4rem;
  border-bottom: 1px solid var(--faint) } h3 { font-size: 1rem; margin: 0.8rem 0 0.2rem }
p.note, figcaption, summary { color: var(--soft); font-size: 13px }
pre { font-size: 13px; overflow-x: auto; white-space: pre-wrap }
div.scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px }
td, th { padding: 0.15rem 0.45rem; text-align: right; font-weight: normal } td { white-space: nowrap }
th { color: var(--soft); vertical-align: bottom; border-bottom: 1px solid var(--faint) }
td:first-child, th:first-child { text-align: left; white-space: nowrap }
figure { margin: 0.4rem 0 1rem } div.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(24rem, 1fr));
  column-gap: 1.5rem } div.grid figure { margin-bottom: 0.3rem }
svg { width: 100%; max-width: 30rem; height: auto } svg.wide { max-width: none } svg.half { max-width: 34rem }
svg text { fill: var(--ink); font: 11px system-ui, sans-serif } svg text.soft { fill: var(--soft) }
svg line { stroke: var(--faint) } svg line.zero { stroke: var(--ink) } svg line.band { stroke-dasharray: 4 3;
  stroke: var(--soft) }
svg circle { fill: var(--dot); fill-opacity: 0.45 } svg circle.two { fill: var(--two); fill-opacity: 0.8 }
svg path { fill: none; stroke: var(--dot); stroke-width: 1.4; stroke-linejoin: round }
svg path.two { stroke: var(--two) }
svg path.area { fill: var(--dot); fill-opacity: 0.18; stroke: none } svg path.area.second { fill: var(--two) }
.dot { color: var(--dot) } .two { color: var(--two) }
@media print {
  :root { color-scheme: light; --ink: #000; --dot: #0b5cad; --two: #b34d05; --faint: #bbb; --soft: #444; --paper: #fff }
  @page { size: A4; margin: 15mm } body { margin: 0; max-width: none; padding: 0; font-size: 10pt }
  svg, table { print-color-adjust: exact; -webkit-print-color-adjust: exact }
  figure, table, h2, h3 { break-inside: avoid } h2, h3 { break-after: avoid } details:not([open]) { display: none }
  div.grid { grid-template-columns: 1fr 1fr } table { font-size: 7.5pt } td, th { padding: 0.1rem 0.25rem }
  div.scroll { overflow: visible } }
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
    """The area between two values over time, in the colour of the line that it belongs to."""

    points: Sequence[tuple[float, float | None, float | None]]
    second: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """A dashed line across, with its name beside it."""

    y: float
    name: str


_WIDE, _HALF, _HEIGHT = 900, 440, 220
_TOP, _BOTTOM, _RIGHT = 26, 24, 12
_CHARACTER = 6.4  # width of one at the size of the labels


def over_time(
    title: str,
    curves: Iterable[Curve],
    *,
    band: Band | None = None,
    level: Level | None = None,
    zone: tzinfo = UTC,
    half: bool = False,
    most: float | None = None,
) -> str:
    """One plot over time as SVG, from 0 upwards, up to `most` at least; times are shown in `zone`.

    `half`: of two that stand side by side.
    """
    curves, width = list(curves), _HALF if half else _WIDE
    values = [y for curve in curves for _, y in curve.points if y is not None]
    times = [t for curve in curves for t, _ in curve.points]
    edges = [high for _, _, high in band.points if high is not None] if band is not None else []
    y_ticks = ticks(0.0, max(*values, *edges, level.y if level is not None else 0.0, most or 0.0, 1e-3, 0.0))
    labels = [f"{y:g}" for y in y_ticks]
    left = max(30.0, 12.0 + _CHARACTER * max(map(len, labels)))
    head = (
        f'<svg class="{"half" if half else "wide"}" viewBox="0 0 {width} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}"><text x="{left:.0f}" y="16">{escape(title)}</text>'
    )
    if not values:
        return f'{head}<text x="{left:.0f}" y="{_HEIGHT // 2}">no data</text></svg>'
    first, last = min(times), max(max(times), min(times) + 60.0)

    def across(t: float) -> float:
        return left + (t - first) / (last - first) * (width - left - _RIGHT)

    def down(y: float) -> float:
        return _TOP + (y_ticks[-1] - y) / (y_ticks[-1] - y_ticks[0]) * (_HEIGHT - _TOP - _BOTTOM)

    def line(y: float, style: str) -> str:
        return f'<line class="{style}" x1="{left:.1f}" x2="{width - _RIGHT}" y1="{down(y):.1f}" y2="{down(y):.1f}"/>'

    parts = [head]
    for y, label in zip(y_ticks, labels, strict=True):
        parts.append(line(y, "zero" if y == 0 else "grid"))
        parts.append(f'<text x="{left - 6:.1f}" y="{down(y) + 4:.1f}" text-anchor="end">{label}</text>')
    for t, text in _clock(first, last, zone, 5 if half else 10):
        parts.append(_below(across(t), text, left, width))
    if band is not None:
        for low, high in _areas(band):
            path = [f"{across(t):.1f} {down(y):.1f}" for t, y in [*high, *reversed(low)]]
            parts.append(f'<path class="area{" second" if band.second else ""}" d="M{" L".join(path)}Z"/>')
    if level is not None:
        parts.append(line(level.y, "band"))
        parts.append(
            f'<text class="soft" x="{width - _RIGHT}" y="{down(level.y) - 4:.1f}" text-anchor="end">'
            f"{escape(level.name)}</text>"
        )
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


def _below(x: float, text: str, left: float, width: int) -> str:
    """A label of the time axis: in the middle under its time, or as near to it as it fits."""
    reach = 0.5 * _CHARACTER * len(text)
    x = min(max(x, left + reach), width - 2.0 - reach)
    return f'<text x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{text}</text>'


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


def _clock(first: float, last: float, zone: tzinfo, most: int) -> Iterable[tuple[float, str]]:
    """At most so many round times of the day, the date at midnight."""
    step = next((step for step in _STEPS_S if (last - first) / step <= most), (last - first) / most)
    offset = datetime.fromtimestamp(first, UTC).astimezone(zone).utcoffset()
    shift = offset.total_seconds() if offset is not None else 0.0
    t = math.ceil((first + shift) / step) * step - shift
    while t <= last:
        local = datetime.fromtimestamp(t, UTC).astimezone(zone)
        yield t, f"{local:%d %b}" if (local.hour, local.minute) == (0, 0) else f"{local:%H:%M}"
        t += step
