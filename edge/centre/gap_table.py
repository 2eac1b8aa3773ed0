"""The table `gap` and the table `span`: what numbers that arrive do to them. The same SQL in both databases.

In: spans of numbers that came, and what explains or ends a gap; out: rows of `gap`. Called by the stores inside a
transaction of theirs; `execute` runs one statement with `?` for its values, and gives its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from edge.centre.spans import Span, common, joined, missing
from edge.centre.store import OpenGap, Place

Execute = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

_OF_PLACE = {state: f"topic = ? AND epoch = ? AND state = '{state}'" for state in ("open", "lost")}


class GapTable:
    """See the head of this file."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def held(self, place: Place) -> list[Span]:
        """What is here of a place."""
        query = "SELECT first_seq, last_seq FROM span WHERE topic = ? AND epoch = ? ORDER BY first_seq"
        return [(first, last) for first, last in self._execute(query, place)]

    def arrive(self, place: Place, held: list[Span], arrived: list[Span], at: str) -> list[Span]:
        """Numbers have come where `held` was here; gives what is here now.

        What is missing behind `held`, or from 1 on, is a gap from now on: what a computer made before the collector
        began is asked for too, and comes as far back as the computer keeps it.
        """
        now = joined(held, arrived)
        if now == held:
            return held
        for gap in self._missing(place):
            self._end(gap, arrived, "filled", None, at)
        known_until = held[-1][1] if held else 0
        for span in missing(now, known_until + 1, now[-1][1]):
            self._add(place, span, at, "open")
        self._hold(place, held, now)
        return now

    def reopen(self, place: Place, held: list[Span], here: list[Span], at: str) -> None:
        """Rows are gone though their numbers came: `here` is what there is of `held`. The rest is missing anew."""
        for first, last in held:
            for span in missing(here, first, last):
                self._end_nothing_of(place, span)
                self._add(place, span, at, "open")
        self._hold(place, held, here)

    def end(self, place: Place, span: Span, state: str, reason: str, at: str) -> int:
        """What is missing of `span` ends as `explained` or `lost`; how many numbers that were."""
        missing_ = self._missing(place) if state == "explained" else self.open(_OF_PLACE["open"], place)
        return sum(self._end(gap, [span], state, reason, at) for gap in missing_)

    def asked(self, gaps: Iterable[OpenGap], at: str) -> None:
        """Their computers were asked for them."""
        for gap in gaps:
            self._execute(
                "UPDATE gap SET asked = ?, asked_times = asked_times + 1 "
                "WHERE topic = ? AND epoch = ? AND from_seq = ? AND to_seq = ?",
                (at, gap.topic, gap.epoch, gap.from_seq, gap.to_seq),
            )

    def open(self, where: str = "state = 'open'", values: Sequence[Any] = ()) -> list[OpenGap]:
        """All that is missing and may still come."""
        query = "SELECT topic, epoch, from_seq, to_seq, found, asked, asked_times, state, ended, reason FROM gap WHERE "
        return [OpenGap(*row) for row in self._execute(f"{query}{where} ORDER BY topic, epoch, from_seq", values)]

    # Rows

    def _missing(self, place: Place) -> list[OpenGap]:
        """What is open or was given up: also that may come, with a computer's backlog of weeks."""
        return [gap for where in _OF_PLACE.values() for gap in self.open(where, place)]

    def _end(self, gap: OpenGap, spans: list[Span], state: str, reason: str | None, at: str) -> int:
        """What `spans` cover of a gap ends; the rest stays as it was, with the times of the whole."""
        place, whole = (gap.topic, gap.epoch), (gap.from_seq, gap.to_seq)
        gone = common([whole], spans)
        if not gone:
            return 0
        self._execute("DELETE FROM gap WHERE topic = ? AND epoch = ? AND from_seq = ? AND to_seq = ?", (*place, *whole))
        for span in gone:
            span = self._with_neighbours(place, span, gap.found, state, reason)
            self._add(place, span, gap.found, state, gap.asked, gap.asked_times, at, reason)
        for span in missing(gone, *whole):
            self._add(place, span, gap.found, gap.state, gap.asked, gap.asked_times, gap.ended, gap.reason)
        return sum(last - first + 1 for first, last in gone)

    def _with_neighbours(self, place: Place, span: Span, found: str, state: str, reason: str | None) -> Span:
        """`span` and what ended beside it in the same way, which is taken out: a gap that is filled one message after
        the other is one row in the end."""
        taken = self._execute(
            "DELETE FROM gap WHERE topic = ? AND epoch = ? AND found = ? AND state = ? "
            "AND reason IS NOT DISTINCT FROM ? AND (to_seq = ? OR from_seq = ?) RETURNING from_seq, to_seq",
            (*place, found, state, reason, span[0] - 1, span[1] + 1),
        )
        return joined([span], [(first, last) for first, last in taken])[0]

    def _end_nothing_of(self, place: Place, span: Span) -> None:
        """Forget what ended inside `span`: it is missing anew."""
        self._execute(
            "DELETE FROM gap WHERE topic = ? AND epoch = ? AND state <> 'open' AND from_seq = ? AND to_seq = ?",
            (*place, *span),
        )

    def _add(
        self, place: Place, span: Span, found: str, state: str, asked: str | None = None, asked_times: int = 0,
        ended: str | None = None, reason: str | None = None,
    ) -> None:  # fmt: skip
        self._execute(
            "INSERT INTO gap (topic, epoch, from_seq, to_seq, found, asked, asked_times, state, ended, reason) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (topic, epoch, from_seq, to_seq) DO UPDATE SET "
            "found = excluded.found, asked = excluded.asked, asked_times = excluded.asked_times, "
            "state = excluded.state, ended = excluded.ended, reason = excluded.reason",
            (*place, *span, found, asked, asked_times, state, ended, reason),
        )

    def _hold(self, place: Place, before: list[Span], now: list[Span]) -> None:
        for first, _ in set(before) - set(now):
            self._execute("DELETE FROM span WHERE topic = ? AND epoch = ? AND first_seq = ?", (*place, first))
        for span in set(now) - set(before):
            self._execute("INSERT INTO span VALUES (?, ?, ?, ?)", (*place, *span))
