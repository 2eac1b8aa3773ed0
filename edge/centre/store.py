"""What a database of the centre does, whichever it is: rows in, gaps out. Called by `collect`; `sqlite_store` and
`postgres_store` do it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from edge.centre.arrival import Rejected, Row
from edge.centre.columns import AXLE_COLUMNS, KIND_COLUMNS, Column
from edge.centre.spans import Span, spans_of
from edge.messages import TOPIC_ROOT

Place = tuple[str, str]  # topic, epoch

REJECTED_KEPT = 10_000  # rows of what was no message; the oldest go

# Gaps that an alarm of their own computer explains: an alarm speaks of the topics of its computer alone. What was given
# up is explained too, where the alarm comes later. Two statements, for the index of each.
EXPLAINED = tuple(
    f"""
    SELECT DISTINCT gap_topic, gap_epoch, gap_from_seq, gap_to_seq, code FROM gap JOIN alarm
    ON gap_topic = gap.topic AND gap_epoch = gap.epoch AND gap_from_seq <= to_seq AND gap_to_seq >= from_seq
    WHERE gap.state = '{state}' AND code IN ('journal_dropped', 'journal_damaged')
    AND substr(gap.topic, 1, length(alarm.topic) - length(lane) - 6)
      = '{TOPIC_ROOT}/' || country || '/' || port || '/' || source || '/'
    """
    for state in ("open", "lost")
)

# A status counts where it is the newest; a last will when it comes: it was made when the connection began.
NEWER_PRESENCE = """
    INSERT INTO presence VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (topic) DO UPDATE SET
        online = excluded.online, time = excluded.time, received = excluded.received, body = excluded.body
    WHERE excluded.time >= presence.time
"""
LAST_WILL = """
    INSERT INTO presence VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (topic) DO UPDATE SET
        online = excluded.online, received = excluded.received, body = excluded.body,
        time = CASE WHEN excluded.time > presence.time THEN excluded.time ELSE presence.time END
"""


class StoreError(Exception):
    """The database cannot do what was asked; the text names it and what to do. Nothing of the batch was written."""


@dataclass(frozen=True, slots=True)
class Written:
    """What one batch was: new rows, repeats of rows that were there, and what was no message."""

    new: int
    repeated: int
    rejected: int


class OpenGap(NamedTuple):
    """Numbers that are missing, both ends included, and when and how often their computer was asked for them.

    One that was given up (`state` is `lost`, with `ended` and `reason`) may still be filled.
    """

    topic: str
    epoch: str
    from_seq: int
    to_seq: int
    found: str
    asked: str | None
    asked_times: int
    state: str = "open"
    ended: str | None = None
    reason: str | None = None


class Store(Protocol):
    """A batch is one transaction: what `write` has returned for is durable, and may be acknowledged to the broker.

    Of several collectors on one database one `leads`: it alone looks after the gaps (`settle` and what follows).
    """

    def write(self, rows: Sequence[Row], rejected: Sequence[Rejected], received: str) -> Written: ...
    def leads(self) -> bool: ...
    def settle(self, at: str) -> None:
        """Count what came, open and fill gaps, end those that an alarm explains."""

    def audit(self, at: str) -> None:
        """Look for rows that are gone though their numbers came: somebody removed them. They are missing from then."""

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a statement with `?` for its values; times and JSON are texts."""

    def replace(self, deletes: str, which: Sequence[Any], inserts: str, rows: Iterable[Sequence[Any]]) -> None:
        """Rows of a derived table anew, in one transaction."""

    def open_gaps(self) -> list[OpenGap]: ...
    def asked(self, gaps: Iterable[OpenGap], at: str) -> None: ...
    def close_gaps(self, place: Place, span: Span, state: str, reason: str, at: str) -> int: ...
    def drop_before(self, month: str) -> list[str]:
        """Remove what is of the months before `month` (`2026-11`), and give its names; their numbers stay known."""

    def beside(self) -> Store:
        """To be used by another thread at the same time."""

    def close(self) -> None: ...


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
    """The rows of a vehicle's axles: `AXLE_KEY`, then `AXLE_COLUMNS`."""
    return [
        (row.topic, row.epoch, row.seq, n, row.time, *(column.of(axle) for column in AXLE_COLUMNS))
        for n, axle in enumerate(row.message["axles"])
    ]


def presences_of(rows: Iterable[Row], received: str) -> list[tuple[str, tuple[Any, ...]]]:
    """The last word of each computer of a batch, by topic: `NEWER_PRESENCE` or `LAST_WILL`, and its row."""
    last: dict[str, tuple[str, Row, str]] = {}
    for row in rows:
        if row.kind == "status":
            _, _, known = last.get(row.topic, ("", row, ""))
            if row.seq == 0:
                last[row.topic] = (LAST_WILL, row, max(known, row.time))
            elif row.time >= known:
                last[row.topic] = (NEWER_PRESENCE, row, row.time)
    return [(statement, _presence(row, at, received)) for _, (statement, row, at) in sorted(last.items())]


def _presence(row: Row, at: str, received: str) -> tuple[Any, ...]:
    said = row.message
    site = said["site"]
    return (row.topic, site["country"], site["port"], said["source"], said["online"], at, received, row.body)


def numbers_by_place(rows: Iterable[Row]) -> dict[Place, list[Span]]:
    """The numbers that came, by place, as spans."""
    found: dict[Place, list[int]] = defaultdict(list)
    for row in rows:
        found[row.topic, row.epoch].append(row.seq)
    return {place: spans_of(numbers) for place, numbers in found.items()}


def by_kind(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by kind."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.kind].append(row)
    return found
