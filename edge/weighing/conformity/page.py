"""A page of plots: pairs and report in, one HTML file without any other file out.

Called by edge/commands/accuracy.py for `--page`. The plots are plain SVG: error against weight, speed, temperature
and by line of sensors; a plot without data says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from edge.reports.plots import html_page, ticks
from edge.weighing.conformity.errors import errors_of
from edge.weighing.conformity.pairing import Pair
from edge.weighing.conformity.report import Report, text

_WIDTH, _HEIGHT = 460, 260
_ABSURD = 1e12
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 26, 38


def page(pairs: Sequence[Pair], report: Report) -> str:
    """The page as HTML."""
    gross = [(error, pairs[error.vehicle]) for error in errors_of(pairs) if error.quantity == "gross"]
    axle = [error for error in errors_of(pairs) if error.quantity == "axle"]
    plots = [
        scatter("Gross weight error by weight", "t", [(e.reference / 1000, e.percent) for e, _ in gross]),
        scatter("Axle load error by load", "t", [(e.reference / 1000, e.percent) for e in axle]),
        scatter("Gross weight error by speed", "km/h", [(v * 3.6, e.percent) for e, p in gross for v in _speed(p)]),
        scatter("Gross weight error by temperature", "°C", [(t, e.percent) for e, p in gross for t in _temperature(p)]),
        scatter("Axle load error by line of sensors", "line", list(_by_line(pairs))),
    ]
    return html_page("Weighing accuracy", f"{''.join(plots)}\n<h2>Figures</h2>\n<pre>{escape(text(report))}</pre>")


def _speed(pair: Pair) -> list[float]:
    speed_mps = pair.truth.speed_mps if pair.truth.speed_mps is not None else pair.measured.speed_mps
    return [] if speed_mps is None else [speed_mps]


def _temperature(pair: Pair) -> list[float]:
    for vehicle in (pair.measured, pair.truth):
        if vehicle.temperature_c is not None:
            return [vehicle.temperature_c]
    return []


def _by_line(pairs: Sequence[Pair]) -> Iterator[tuple[float, float]]:
    for pair in pairs:
        if not pair.same_axles:
            continue
        for axle, seen in zip(pair.truth.axles, pair.measured.axles, strict=True):
            for line, load_kg in enumerate(seen.lines_kg or (), 1):
                if load_kg is not None and axle.load_kg > 0:
                    yield float(line), 100 * (load_kg - axle.load_kg) / axle.load_kg


def scatter(title: str, unit: str, points: Sequence[tuple[float, float]]) -> str:
    """One plot as SVG: errors in percent over `unit`, with the band that holds 95 % of them."""
    head = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<text x="{_LEFT}" y="16">{escape(title)}</text>'
    )
    points = [(x, y) for x, y in points if abs(x) < _ABSURD and abs(y) < _ABSURD]  # leaves NaN out too
    if not points:
        return f'{head}<text x="{_LEFT}" y="{_HEIGHT // 2}">no data</text></svg>'
    sizes = sorted(abs(y) for _, y in points)
    band = sizes[math.ceil(0.95 * len(sizes)) - 1]
    x_ticks = ticks(min(x for x, _ in points), max(x for x, _ in points))
    y_ticks = ticks(-sizes[-1], sizes[-1])

    def across(x: float) -> float:
        return _LEFT + (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * (_WIDTH - _LEFT - _RIGHT)

    def down(y: float) -> float:
        return _TOP + (y_ticks[-1] - y) / (y_ticks[-1] - y_ticks[0]) * (_HEIGHT - _TOP - _BOTTOM)

    def level(y: float, style: str) -> str:
        return f'<line class="{style}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{down(y):.1f}" y2="{down(y):.1f}"/>'

    parts = [head]
    for y in y_ticks:
        parts.append(level(y, "zero" if y == 0 else "grid"))
        parts.append(f'<text x="{_LEFT - 6}" y="{down(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
    for x in x_ticks:
        parts.append(f'<text x="{across(x):.1f}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="middle">{x:g}</text>')
    parts += [level(band, "band"), level(-band, "band")]
    parts += [f'<circle cx="{across(x):.1f}" cy="{down(y):.1f}" r="2.5"/>' for x, y in points]
    parts.append(
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 6}" text-anchor="end">{escape(unit)}; error in %, '
        f"n = {len(points)}, 95 % within ±{band:.2f} %</text></svg>"
    )
    return "".join(parts)
