"""A report page of waits: `wait` messages in, one HTML file with plots out.

For each direction and kind of traffic the crossing, its programs and its lanes: experienced and expected wait against
time with the 80 % interval, the queue, and the figures that authorities compare; where the delay arises. A table stands
behind each plot. A page for the public shows no lanes, and nothing of fewer than five vehicles. Called by
`borderflow wait --report`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from zoneinfo import ZoneInfo

from edge.config import Config
from edge.messages import Wait, parse_utc
from edge.reports.bins import Bin, binned
from edge.reports.plots import Band, Curve, Level, html_page, over_time

FEW = 5  # vehicles of which nothing is shown to the public
_Row = tuple[str, str, str, str]  # lane, direction, traffic, program
_FLAT = 0.5  # minutes, or vehicles: a curve that moves less is told in words

_LEGEND = (
    '<p class="note"><span class="dot">●</span> experienced: median of the vehicles that arrived in the interval. '
    '<span class="two">—</span> expected: of a vehicle that joins then, with its 80 % interval. '
    "Dashed: the authority's reference. A gap means that nothing is known; it is no 0.</p>"
)


class WaitReport:
    """Collects messages and makes the page; memory grows with the messages."""

    def __init__(self, config: Config, *, public: bool = False) -> None:
        self._config = config
        self._public = public
        self._zone = ZoneInfo(config.site.timezone)
        self._clock = "%H:%M:%S" if config.wait.interval_s % 60 else "%H:%M"
        self._rows: dict[_Row, list[Wait]] = defaultdict(list)

    def take(self, wait: Wait) -> None:
        """Take a message, in the order of time."""
        if not (self._public and wait.lane != "_"):
            self._rows[wait.lane, wait.direction or "", wait.traffic or "", wait.program or ""].append(wait)

    def page(self) -> str:
        """The page as HTML."""
        site = self._config.site
        title = f"Waits at {site.name or f'{site.country}/{site.port}'}"
        streams: dict[tuple[str, str], list[tuple[_Row, list[Wait]]]] = defaultdict(list)
        for row, waits in sorted(self._rows.items(), key=lambda item: (_rank(item[0]), item[0])):
            streams[row[1:3]].append((row, waits))
        if not streams:
            return html_page(title, "<p>no data</p>")
        waits = max(self._rows.values(), key=len)
        few = f'<p class="note">Nothing is shown of fewer than {FEW} vehicles.</p>' if self._public else ""
        body = [f"<p>{self._span(waits)}</p>", _LEGEND, few]
        for (direction, traffic), rows in sorted(streams.items()):
            words = " ".join(word for word in (direction, traffic) if word)
            body.append(f"<h2>{escape(words[:1].upper() + words[1:]) or 'The crossing'}</h2>")
            body += [_table(rows, self._public), *_gains(rows, self._public)]
            body += self._figures(rows)
        body.append(_NOTES)
        return html_page(title, "\n".join(body))

    def _span(self, waits: Sequence[Wait]) -> str:
        from_point, to_point = escape(waits[-1].from_point), escape(waits[-1].to_point)
        first, last = (self._local(parse_utc(wait.time) / 1e9) for wait in (waits[0], waits[-1]))
        until = f"{last:{self._clock}}" if first.date() == last.date() else f"{last:%-d %B %Y, {self._clock}}"
        return (
            f"{first:%-d %B %Y, {self._clock}} to {until}, intervals of {waits[-1].interval_s} s. All times are local "
            f"({escape(self._config.site.timezone)}). Wait from <em>{from_point}</em> to <em>{to_point}</em>, free "
            "travel included."
        )

    def _local(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(seconds, UTC).astimezone(self._zone)

    def _figures(self, rows: Sequence[tuple[_Row, list[Wait]]]) -> list[str]:
        """The crossing and its programs below one another, the lanes side by side, all of them to one scale."""
        shown = {row: self._bins(waits) for row, waits in rows}
        most_min = max((b.most_min for bins in shown.values() for b in bins), default=0.0)
        most_n = max((b.queue or 0.0 for row, bins in shown.items() if _rank(row) == 2 for b in bins), default=0.0)
        one = sum(_rank(row) == 1 for row, _ in rows) == 1
        out: list[str] = []
        lanes: list[str] = []
        for row, waits in rows:
            if _rank(row) == 0 and one:
                continue  # of one program: the same curves
            half = _rank(row) == 2
            figure = [f"<h3>{escape(_name(row))}</h3>", *self._plots(waits, shown[row], half, most_min, most_n)]
            (lanes if half else out).append("<div>" + "\n".join(figure) + "</div>")
        out += [line for row, waits in rows if _rank(row) == 0 for line in self._bottleneck(waits)]
        return [*out, *(['<div class="grid">', *lanes, "</div>"] if lanes else [])]

    def _bins(self, waits: Sequence[Wait]) -> list[Bin]:
        return binned(waits, least_vehicles=FEW if self._public else 1)

    def _plots(
        self, waits: Sequence[Wait], bins: Sequence[Bin], half: bool, most_min: float, most_n: float
    ) -> list[str]:
        reference_s = next((wait.reference_s for wait in reversed(waits) if wait.reference_s is not None), None)
        level = Level(reference_s / 60.0, f"reference {reference_s / 60.0:.1f}") if reference_s is not None else None
        dots = [(b.at, b.experienced_min) for b in bins]
        line = [(b.at, b.expected_min) for b in bins]
        band = Band([(b.at, b.low_min, b.high_min) for b in bins], second=True)
        queue = [(b.at, None if self._public and (b.queue or 0.0) < FEW else b.queue) for b in bins]
        drawn = [y for _, y in [*dots, *line] if y is not None]
        known = [n for _, n in queue if n is not None]
        hidden = any(b.queue is not None and shown is None for b, (_, shown) in zip(bins, queue, strict=True))
        words, plots = [], []
        if _moves(drawn):
            curves = [Curve(dots, dots=True), Curve(line, second=True)]
            plots.append(
                over_time("wait, min", curves, band=band, level=level, zone=self._zone, half=half, most=most_min)
            )
        else:
            words.append(_constant("wait", drawn, "min"))
        if _moves(known):
            most = most_n if half else None
            plots.append(
                over_time("queue, vehicles", [Curve(queue, second=True)], zone=self._zone, half=half, most=most)
            )
        else:
            words.append(
                f"queue: fewer than {FEW} vehicles{', or not known' if None in [b.queue for b in bins] else ''}"
                if hidden and not known
                else _constant("queue", known, "vehicles") + (f", or fewer than {FEW}" if hidden else "")
            )
        out = [f"<figure>{''.join(plots)}{self._behind(bins)}</figure>"] if plots else []
        return [*(f"<p>{text}</p>" for text in words), *out]

    def _behind(self, bins: Sequence[Bin]) -> str:
        """The table behind the plots of a row: at most a hundred lines of the same figures."""
        lines = []
        step = max(1, -(-len(bins) // 100))
        for at in range(0, len(bins), step):
            some = Bin.of(bins[at : at + step])
            lines.append([
                f"{self._local(some.at):%d %b {self._clock}}", _count(some.vehicles, self._public),
                _text(some.experienced_min), _text(some.expected_min),
                "–" if some.low_min is None else f"{_text(some.low_min)} – {_text(some.high_min)}",
                _count(some.queue, self._public) if some.queue is not None else "–",
            ])  # fmt: skip
        return _figures(("until", "vehicles", "experienced, min", "expected, min", "80 %, min", "queue"), lines)

    def _bottleneck(self, waits: Sequence[Wait]) -> list[str]:
        """Where the delay arises, in words; a plot only where its share moves."""
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
        at = [parse_utc(wait.time) / 1e9 for wait in waits]
        found = [wait.bottleneck for wait in waits]
        for pair in sorted({(b.from_point, b.to_point) for b in found if b is not None}):
            mine = [b if b is not None and (b.from_point, b.to_point) == pair else None for b in found]
            vehicles = sum(w.experienced.count for w, b in zip(waits, mine, strict=True) if b is not None)
            if self._public and vehicles < FEW:
                continue
            delays_s = [b.delay_s for b in mine if b is not None]
            out.append(
                f"<p>Bottleneck {escape(pair[0])} to {escape(pair[1])}: in {len(delays_s)} of {len(waits)} intervals, "
                f"mean delay {sum(delays_s) / len(delays_s) / 60:.1f} min</p>"
            )
            share = [(t, None if b is None else 100.0 * b.share) for t, b in zip(at, mine, strict=True)]
            if not self._public and _moves([y for _, y in share if y is not None]):  # an interval may be one vehicle
                plot = over_time("its share of the whole delay, %", [Curve(share)], zone=self._zone)
                known = [(t, y) for t, y in share if y is not None]
                lines = [
                    [f"{self._local(t):%d %b {self._clock}}", f"{y:.0f}"] for t, y in known[:: -(-len(known) // 100)]
                ]
                out.append(f"<figure>{plot}{_figures(('at', 'share, %'), lines)}</figure>")
        return out


_NOTES = (
    '<p class="note">Median and 95th percentile of the tables are those of the medians of the intervals, each weighted '
    "by its vehicles. Buffer time is the 95th percentile less the mean, the buffer index its share of the mean, the "
    "planning time index the 95th percentile as a multiple of the reference (FHWA).</p>"
)


def _figures(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table that opens below a plot."""
    return f"<details><summary>the figures</summary>{_table_of(heads, lines)}</details>"


def _table_of(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
    return f'<div class="scroll"><table><tr>{head}</tr>\n{body}</table></div>'


def _rank(row: _Row) -> int:
    """The crossing first, then programs, then lanes."""
    lane, *_, program = row
    return 2 if lane != "_" else 1 if program else 0


def _name(row: _Row) -> str:
    lane, *_, program = row
    if _rank(row) == 0:
        return "The crossing"
    return f"Program {program}" if lane == "_" else f"Lane {lane}" + (f" ({program})" if program else "")


def _moves(values: Sequence[float]) -> bool:
    """Whether a plot would show more than one straight line."""
    return bool(values) and max(values) - min(values) >= _FLAT


def _constant(what: str, values: Sequence[float], unit: str) -> str:
    if not values:
        return f"{what}: no data"
    least, most = f"{min(values):.1f}", f"{max(values):.1f}"
    return f"{what}: always {most} {unit}" if least == most else f"{what}: always between {least} and {most} {unit}"


def _table(rows: Sequence[tuple[_Row, Sequence[Wait]]], public: bool) -> str:
    heads = [
        *("", "vehicles", "median, min", "95th, min", "buffer time, min", "buffer index"),
        *("reference, min", "change", "planning time index"),
        *("longest queue", "intervals without forecast", "lower bounds"),
    ]
    one = sum(_rank(row) == 1 for row, _ in rows) == 1  # program: the same figures as all together
    lines = [_cells(row, waits, public) for row, waits in rows if not (one and _rank(row) == 0)]
    told = [at for at in range(len(heads)) if at < 2 or any(line[at] not in ("–", "0") for line in lines)]
    return _table_of([heads[at] for at in told], [[line[at] for at in told] for line in lines])


def _gains(rows: Sequence[tuple[_Row, Sequence[Wait]]], public: bool) -> list[str]:
    """What each program of a direction and traffic saves against the standard one, by the medians of the whole time."""
    medians = {}
    for row, waits in rows:
        if _rank(row) == 1:
            seen = _seen(waits)
            if sum(n for _, n in seen) >= (FEW if public else 1):
                medians[row[3]] = _quantile(seen, 0.5)
    standard_s = medians.pop("standard", None)
    out = []
    for program, median_s in medians.items():
        if median_s is not None and standard_s is not None:
            gain_s = standard_s - median_s
            word = "shorter" if gain_s >= 0.0 else "longer"
            share = f" ({gain_s / standard_s:.0%} saved)" if standard_s and gain_s > 0.0 else ""
            out.append(
                f"<p>{escape(program)}: the median wait is {abs(gain_s) / 60:.1f} min {word} than in the standard "
                f"program{share}.</p>"
            )
    return out


def _seen(waits: Sequence[Wait]) -> list[tuple[float, int]]:
    return [(w.experienced.median_s, w.experienced.count) for w in waits if w.experienced.median_s is not None]


def _cells(row: _Row, waits: Sequence[Wait], public: bool) -> list[str]:
    seen = _seen(waits)
    count = sum(n for _, n in seen)
    if public and count < FEW:
        seen = []
    median_s, p95_s = _quantile(seen, 0.5), _quantile(seen, 0.95)
    mean_s = sum(s * n for s, n in seen) / count if seen and count else None
    buffer_s = max(0.0, p95_s - mean_s) if p95_s is not None and mean_s is not None else None
    reference_s = next((w.reference_s for w in reversed(waits) if w.reference_s is not None), None)
    change = (median_s - reference_s) / reference_s if median_s is not None and reference_s else None
    queues = [w.queue_vehicles for w in waits if w.queue_vehicles is not None]
    return [
        _name(row),
        _count(count, public),
        _text(_minutes(median_s)),
        _text(_minutes(p95_s)),
        _text(_minutes(buffer_s)),
        _text(buffer_s / mean_s if buffer_s is not None and mean_s else None, "{:.0%}"),
        _text(_minutes(reference_s)),
        _text(change, "{:+.0%}"),
        _text(p95_s / reference_s if p95_s is not None and reference_s else None, "{:.2f}"),
        _count(max(queues), public) if queues else "–",
        str(sum(w.expected_s is None for w in waits)),
        str(sum(w.lower_bound for w in waits)),
    ]


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 60.0


def _count(number: float, public: bool) -> str:
    return f"< {FEW}" if public and 0 < round(number) < FEW else f"{number:.0f}"


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
