"""What a database of the centre does, whichever it is: rows in, gaps out. Called by `collect`; `sqlite_store` and
`postgres_store` do it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edge.centre.arrival import Rejected, Row
from edge.centre.columns import AXLE_COLUMNS, KIND_COLUMNS, Column
from edge.centre.spans import Span, common, joined, missing, spans_of

Place = tuple[str, str]  # topic, epoch


class StoreError(Exception):
    """The database cannot do what was asked; the text names it and what to do. Nothing of the batch was written."""


@dataclass(frozen=True, slots=True)
class Written:
    """What one batch was: new rows, repeats of rows that were there, and what was no message."""

    new: int
    repeated: int
    rejected: int


@dataclass(frozen=True, slots=True)
class OpenGap:
    """Numbers that are missing, both ends included, and when and how often their computer was asked for them."""

    topic: str
    epoch: str
    from_seq: int
    to_seq: int
    found: str
    asked: str | None
    asked_times: int


class Store(Protocol):
    """A batch is one transaction: what `write` has returned for is durable, and may be acknowledged to the broker."""

    def write(self, rows: Sequence[Row], rejected: Sequence[Rejected], received: str) -> Written: ...
    def audit(self, at: str) -> None: ...
    def explain_gaps(self, at: str) -> None: ...
    def open_gaps(self) -> list[OpenGap]: ...
    def asked(self, gaps: Iterable[OpenGap], at: str) -> None: ...
    def close_gaps(self, place: Place, span: Span, state: str, reason: str, at: str) -> int: ...
    def close(self) -> None: ...


# Rows of a table


def kept(value: Any, column: Column) -> Any:
    """A value as the databases take it: JSON for lists and maps. Null stays null."""
    return value if value is None or not column.json else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def values_of(row: Row, received: str) -> tuple[Any, ...]:
    """The columns of a message's row, in the order of `COMMON` and then of its kind."""
    said = row.message
    site = said["site"]
    return (
        row.topic, row.epoch, row.seq, said.get("id"), row.time, site["country"], site["port"], said["source"],
        said["lane"], said.get("config"), said.get("calibration"), received, row.body,
        *(kept(column.of(said), column) for column in KIND_COLUMNS[row.kind]),
    )  # fmt: skip


def axles_of(row: Row) -> list[tuple[Any, ...]]:
    """The rows of a vehicle's axles: topic, epoch, seq, n, then `AXLE_COLUMNS`."""
    return [
        (row.topic, row.epoch, row.seq, n, *(column.of(axle) for column in AXLE_COLUMNS))
        for n, axle in enumerate(row.message["axles"])
    ]


# Gaps


@dataclass(frozen=True, slots=True)
class GapChange:
    """What arriving numbers do to the gaps of one place: runs that are no longer open (with what of them was filled),
    and the runs that are open in their place."""

    closed: list[OpenGap]
    filled: list[Span]
    opened: list[tuple[Span, OpenGap | None]]  # with the gap that it is the rest of


def gap_change(held: list[Span], arrived: list[Span], gaps: Sequence[OpenGap]) -> GapChange:
    """`held` before `arrived` came; `gaps` are those that are open now.

    New gaps lie between what is held, or 0, and what came behind it: `seq` counts from 1. What a computer made before
    the collector began is asked for too, and comes as far back as the computer keeps it.
    """
    closed: list[OpenGap] = []
    filled: list[Span] = []
    opened: list[tuple[Span, OpenGap | None]] = []
    for gap in gaps:
        here = common([(gap.from_seq, gap.to_seq)], arrived)
        if here:
            closed.append(gap)
            filled += here
            opened += [(span, gap) for span in missing(here, gap.from_seq, gap.to_seq)]
    if arrived:
        known_until = held[-1][1] if held else 0
        new_until = arrived[-1][1]
        if new_until > known_until:
            opened += [(span, None) for span in missing(joined(held, arrived), known_until + 1, new_until)]
    return GapChange(closed, filled, opened)


def numbers_by_place(rows: Iterable[Row]) -> dict[Place, list[Span]]:
    """The numbers that came, by place, as spans."""
    found: dict[Place, list[int]] = defaultdict(list)
    for row in rows:
        found[row.topic, row.epoch].append(row.seq)
    return {place: spans_of(numbers) for place, numbers in found.items()}


def by_kind(rows: Iterable[Row], take: Callable[[Row], bool]) -> dict[str, list[Row]]:
    """Rows that `take` wants, by kind."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if take(row):
            found[row.kind].append(row)
    return found
