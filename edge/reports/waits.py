"""A report page of waits: `wait` messages in, one HTML file with plots out.

For the crossing, each program and each lane: experienced and expected wait against time with the 80 % interval, the
queue, and the figures that authorities compare; for the crossing where the delay arises. Called by
`borderflow wait --report`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from html import escape
from zoneinfo import ZoneInfo

from edge.config import Config
from edge.messages import Wait, parse_utc
from edge.reports.plots import Band, Curve, html_page, over_time

_Row = tuple[str, str, str, str]  # lane, direction, traffic, program

_LEGEND = (
    '<p><span class="dot">● experienced</span> (median of those that arrived in the interval), '
    '<span class="two">— expected</span> (of a vehicle that joins then) with its 80 % interval; '
    "dashed: reference. A gap means that nothing is known.</p>"
)


class WaitReport:
    """Collects messages and makes the page; memory grows with the messages."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._zone = ZoneInfo(config.site.timezone)
        self._rows: dict[_Row, list[Wait]] = defaultdict(list)

    def take(self, wait: Wait) -> None:
        self._rows[wait.lane, wait.direction or "", wait.traffic or "", wait.program or ""].append(wait)

    def page(self) -> str:
        """The page as HTML."""
        site = self._config.site
        rows = sorted(self._rows.items(), key=lambda item: (_rank(item[0]), item[0]))
        title = f"Waits at {site.name or f'{site.country}/{site.port}'}"
        if not rows:
            return html_page(title, "<p>no data</p>")
        body = [f"<p>{self._span(rows[0][1])}</p>", _table(rows), *_gains(rows), _LEGEND]
        for row, waits in rows:
            body.append(f"<h2>{escape(_name(row))}</h2>")
            body += self._plots(waits)
            if _rank(row) == 0:
                body += self._bottleneck(waits)
        return html_page(title, "\n".join(body))

    def _span(self, waits: Sequence[Wait]) -> str:
        from_point, to_point = escape(waits[-1].from_point), escape(waits[-1].to_point)
        return (
            f"From {escape(waits[0].time)} to {escape(waits[-1].time)} in intervals of {waits[-1].interval_s} s; times "
            f"of the plots in {escape(self._config.site.timezone)}. Wait from <em>{from_point}</em> to "
            f"<em>{to_point}</em>, free travel included."
        )

    def _plots(self, waits: Sequence[Wait]) -> list[str]:
        at = [parse_utc(wait.time) / 1e9 for wait in waits]
        reference_s = next((wait.reference_s for wait in reversed(waits) if wait.reference_s is not None), None)
        experienced = [(t, _minutes(wait.experienced.median_s)) for t, wait in zip(at, waits, strict=True)]
        expected = [(t, _minutes(wait.expected_s)) for t, wait in zip(at, waits, strict=True)]
        interval = [(t, _minutes(wait.low_s), _minutes(wait.high_s)) for t, wait in zip(at, waits, strict=True)]
        queue = [(t, wait.queue_vehicles) for t, wait in zip(at, waits, strict=True)]
        return [
            over_time(
                "wait, min",
                [Curve(experienced, dots=True), Curve(expected, second=True)],
                band=Band(interval),
                level=_minutes(reference_s),
                zone=self._zone,
            ),
            over_time("queue, vehicles", [Curve(queue)], zone=self._zone),
        ]

    def _bottleneck(self, waits: Sequence[Wait]) -> list[str]:
        """Where the delay arises: the share of the bottleneck, a plot for each pair of points that ever was one."""
        at = [parse_utc(wait.time) / 1e9 for wait in waits]
        found = [wait.bottleneck for wait in waits]
        pairs = sorted({(b.from_point, b.to_point) for b in found if b is not None})
        out = []
        saved_s = [
            w.expected_s - w.one_more_booth_s
            for w in waits
            if w.one_more_booth_s is not None and w.expected_s is not None and (w.queue_vehicles or 0.0) >= 1.0
        ]
        if saved_s:
            out.append(
                f"<p>One more booth, where it helps most, would have shortened the expected wait by "
                f"{sum(saved_s) / len(saved_s) / 60:.1f} min on average while there was a queue, by "
                f"{max(saved_s) / 60:.1f} min at most.</p>"
            )
        for pair in pairs:
            mine = [b if b is not None and (b.from_point, b.to_point) == pair else None for b in found]
            delays_s = [b.delay_s for b in mine if b is not None]
            out.append(
                f"<p>Bottleneck {escape(pair[0])} to {escape(pair[1])}: in {len(delays_s)} of {len(waits)} intervals, "
                f"mean delay {sum(delays_s) / len(delays_s) / 60:.1f} min</p>"
            )
            share = [(t, None if b is None else 100.0 * b.share) for t, b in zip(at, mine, strict=True)]
            out.append(over_time("its share of the whole delay, %", [Curve(share)], zone=self._zone))
        return out


def _rank(row: _Row) -> int:
    """The crossing first, then programs, then lanes."""
    lane, _, _, program = row
    return 2 if lane != "_" else 1 if program else 0


def _name(row: _Row) -> str:
    lane, *rest = row
    words = " ".join(word for word in rest if word)
    if _rank(row) == 0:
        return f"The crossing, {words}" if words else "The crossing"
    return f"Lane {lane} ({words})" if lane != "_" else f"Program {words}"


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 60.0


def _table(rows: Sequence[tuple[_Row, Sequence[Wait]]]) -> str:
    heads = (
        *("", "vehicles", "median, min", "95th, min", "buffer time, min", "buffer index"),
        *("reference, min", "change", "planning time index"),
        *("longest queue", "intervals without an expected wait", "lower bounds"),
    )
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in _cells(row, w))}</tr>\n" for row, w in rows)
    notes = (
        "<p>Median and 95th percentile are those of the medians of the intervals, each weighted by its vehicles. "
        "Buffer time is the 95th percentile less the mean, the buffer index its share of the mean, the planning time "
        "index the 95th percentile as a multiple of the reference (FHWA).</p>"
    )
    return f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>\n{body}</table>\n{notes}"


def _gains(rows: Sequence[tuple[_Row, Sequence[Wait]]]) -> list[str]:
    """What each program saves against the standard one, by the medians of the whole time."""
    medians = {}
    for (lane, direction, traffic, program), waits in rows:
        if lane == "_" and program:
            seen = [(w.experienced.median_s, w.experienced.count) for w in waits if w.experienced.median_s is not None]
            medians[direction, traffic, program] = _quantile(seen, 0.5)
    out = []
    for (direction, traffic, program), median_s in medians.items():
        standard_s = medians.get((direction, traffic, "standard"))
        if program != "standard" and median_s is not None and standard_s is not None:
            gain_s = standard_s - median_s
            word = "shorter" if gain_s >= 0.0 else "longer"
            share = f", {gain_s / standard_s:+.0%} saved" if standard_s else ""
            out.append(
                f"<p>{escape(f'{direction} {traffic} {program}'.strip())}: the median wait is "
                f"{abs(gain_s) / 60:.1f} min {word} than in the standard program{share}.</p>"
            )
    return out


def _cells(row: _Row, waits: Sequence[Wait]) -> list[str]:
    seen = [(w.experienced.median_s, w.experienced.count) for w in waits if w.experienced.median_s is not None]
    median_s, p95_s = _quantile(seen, 0.5), _quantile(seen, 0.95)
    count = sum(n for _, n in seen)
    mean_s = sum(s * n for s, n in seen) / count if count else None
    buffer_s = p95_s - mean_s if p95_s is not None and mean_s is not None else None
    reference_s = next((w.reference_s for w in reversed(waits) if w.reference_s is not None), None)
    change = (median_s - reference_s) / reference_s if median_s is not None and reference_s else None
    queues = [w.queue_vehicles for w in waits if w.queue_vehicles is not None]
    return [
        _name(row),
        str(count),
        _text(_minutes(median_s)),
        _text(_minutes(p95_s)),
        _text(_minutes(buffer_s)),
        _text(buffer_s / mean_s if buffer_s is not None and mean_s else None, "{:.0%}"),
        _text(_minutes(reference_s)),
        _text(change, "{:+.0%}"),
        _text(p95_s / reference_s if p95_s is not None and reference_s else None, "{:.2f}"),
        _text(max(queues, default=None), "{:.0f}"),
        f"{sum(w.expected_s is None for w in waits)} of {len(waits)}",
        str(sum(w.lower_bound for w in waits)),
    ]


def _text(value: float | None, form: str = "{:.1f}") -> str:
    return "–" if value is None or not math.isfinite(value) else form.format(value)


def _quantile(weighted: Iterable[tuple[float, int]], q: float) -> float | None:
    ordered = sorted(weighted)
    total = sum(n for _, n in ordered)
    reached = 0
    for value, n in ordered:
        reached += n
        if reached >= q * total:
            return value
    return None
