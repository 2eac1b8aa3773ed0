"""The table `gap` and the table `span`: what numbers that arrive do to them. The same SQL in both databases.

In: spans of numbers that came, and what explains or ends a gap; out: rows of `gap`. Called by the stores inside a
transaction of theirs; `execute` runs one statement with `?` for its values and gives its rows, `many` runs one for each
row of values. What changes is reckoned here and written at once: a backlog in any order changes thousands of rows.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from edge.centre.spans import Span, common, joined, missing
from edge.centre.store import OpenGap, Place

Execute = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
Many = Callable[[str, Sequence[Sequence[Any]]], object]

_COLUMNS = "topic, epoch, from_seq, to_seq, found, asked, asked_times, state, ended, reason"
_NEAR = "topic = ? AND epoch = ? AND from_seq <= ? AND to_seq >= ?"
_DELETE = "DELETE FROM gap WHERE topic = ? AND epoch = ? AND from_seq = ? AND to_seq = ?"
_INSERT = f"""
    INSERT INTO gap ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (topic, epoch, from_seq, to_seq) DO UPDATE SET
        found = excluded.found, asked = excluded.asked, asked_times = excluded.asked_times,
        state = excluded.state, ended = excluded.ended, reason = excluded.reason
"""
_STILL_MISSING = ("open", "lost")  # what was given up may still come, with a computer's backlog of weeks


class GapTable:
    """See the head of this file."""

    def __init__(self, execute: Execute, many: Many) -> None:
        self._execute, self._many = execute, many

    def held(self, place: Place) -> list[Span]:
        """What is here of a place."""
        query = "SELECT first_seq, last_seq FROM span WHERE topic = ? AND epoch = ? ORDER BY first_seq"
        return [(first, last) for first, last in self._execute(query, place)]

    def arrive(
        self, held: Mapping[Place, list[Span]], arrived: Mapping[Place, list[Span]], at: str
    ) -> dict[Place, list[Span]]:
        """Numbers have come where `held` was here; gives what is here now.

        What is missing behind `held`, or from 1 on, is a gap from now on: what a computer made before the collector
        began is asked for too, and comes as far back as the computer keeps it.
        """
        here = {place: joined(held.get(place, []), came) for place, came in arrived.items()}
        before: list[OpenGap] = []
        after: list[OpenGap] = []
        for place, now in here.items():
            was, came = held.get(place, []), arrived[place]
            if now != was:
                if missing(was, 1, came[-1][1]):
                    near = self._near(place, (came[0][0], came[-1][1]))
                    before += near
                    after += _ended(near, came, "filled", None, at)
                known_until = was[-1][1] if was else 0
                after += [_opened(place, span, at) for span in missing(now, known_until + 1, now[-1][1])]
        self._write(before, after)
        self._hold(held, here)
        return here

    def reopen(self, place: Place, held: list[Span], here: list[Span], at: str) -> None:
        """Rows are gone though their numbers came: `here` is what there is of `held`. The rest is missing anew."""
        self._write([], [_opened(place, span, at) for span_ in held for span in missing(here, *span_)])
        self._hold({place: held}, {place: here})

    def end(self, place: Place, span: Span, state: str, reason: str, at: str) -> int:
        """What is missing of `span` ends as `explained` or `lost`; how many numbers that were."""
        which = _STILL_MISSING if state == "explained" else ("open",)
        gaps = [gap for gap in self._near(place, span) if gap.state in which]
        self._write(gaps, _ended(gaps, [span], state, reason, at))
        gone = [common([(gap.from_seq, gap.to_seq)], [span]) for gap in gaps]
        return sum(last - first + 1 for spans in gone for first, last in spans)

    def asked(self, gaps: Iterable[OpenGap], at: str) -> None:
        """Their computers were asked for them."""
        statement = (
            "UPDATE gap SET asked = ?, asked_times = asked_times + 1 "
            "WHERE topic = ? AND epoch = ? AND from_seq = ? AND to_seq = ?"
        )
        self._many(statement, [(at, *_key(gap)) for gap in gaps])

    def open(self) -> list[OpenGap]:
        """All that is missing and may still be asked for."""
        return self._gaps("state = 'open'", ())

    # Rows

    def _near(self, place: Place, span: Span) -> list[OpenGap]:
        """What there is of `span`, and beside it."""
        return self._gaps(_NEAR, (*place, span[1] + 1, span[0] - 1))

    def _gaps(self, where: str, values: Sequence[Any]) -> list[OpenGap]:
        query = f"SELECT {_COLUMNS} FROM gap WHERE {where} ORDER BY topic, epoch, from_seq"
        return [OpenGap(*row) for row in self._execute(query, values)]

    def _write(self, before: list[OpenGap], after: list[OpenGap]) -> None:
        was, now = set(before), set(after)
        self._many(_DELETE, [_key(gap) for gap in before if gap not in now])
        self._many(_INSERT, [gap for gap in after if gap not in was])

    def _hold(self, before: Mapping[Place, list[Span]], now: Mapping[Place, list[Span]]) -> None:
        gone: list[tuple[Any, ...]] = []
        new: list[tuple[Any, ...]] = []
        for place, spans in now.items():
            was, is_ = set(before.get(place, ())), set(spans)
            gone += [(*place, first) for first, _ in was - is_]
            new += [(*place, *span) for span in is_ - was]
        self._many("DELETE FROM span WHERE topic = ? AND epoch = ? AND first_seq = ?", gone)
        self._many("INSERT INTO span VALUES (?, ?, ?, ?)", new)


def _key(gap: OpenGap) -> tuple[Any, ...]:
    return (gap.topic, gap.epoch, gap.from_seq, gap.to_seq)


def _opened(place: Place, span: Span, at: str) -> OpenGap:
    return OpenGap(*place, *span, found=at, asked=None, asked_times=0)


def _ended(gaps: list[OpenGap], spans: list[Span], state: str, reason: str | None, at: str) -> list[OpenGap]:
    """`gaps` of one place, where what `spans` cover of the missing ones has ended; the rest stays as it was, with the
    times of the whole."""
    found: list[OpenGap] = []
    for gap in gaps:
        whole = (gap.from_seq, gap.to_seq)
        around = spans[max(bisect_left(spans, (whole[0],)) - 1, 0) : bisect_right(spans, (whole[1], whole[1]))]
        gone = common([whole], around) if gap.state in _STILL_MISSING else []
        if not gone:
            found.append(gap)
            continue
        ended = gap._replace(state=state, ended=at, reason=reason)
        found += [ended._replace(from_seq=first, to_seq=last) for first, last in gone]
        found += [gap._replace(from_seq=first, to_seq=last) for first, last in missing(gone, *whole)]
    return _joined(sorted(found, key=lambda gap: gap.from_seq))


def _joined(gaps: list[OpenGap]) -> list[OpenGap]:
    """What ended side by side in the same way is one row: also a gap that is filled one message after the other."""
    found: list[OpenGap] = []
    for gap in gaps:
        before = found[-1] if found else None
        if (
            before is not None
            and gap.state not in _STILL_MISSING
            and before.to_seq == gap.from_seq - 1
            and (before.found, before.state, before.reason) == (gap.found, gap.state, gap.reason)
        ):
            newer = max(before, gap, key=lambda one: one.ended or "")
            found[-1] = newer._replace(from_seq=before.from_seq, to_seq=gap.to_seq)
        else:
            found.append(gap)
    return found
