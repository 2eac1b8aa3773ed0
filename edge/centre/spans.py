"""Which numbers of a topic are there, and which are missing. Arithmetic alone; called by the stores.

Numbers are held as spans (first, last), both included, sorted, never touching each other: memory follows the gaps, not
the messages.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

Span = tuple[int, int]


def spans_of(numbers: Iterable[int]) -> list[Span]:
    """Sorted spans of numbers in any order, repeats allowed."""
    found: list[Span] = []
    for n in sorted(set(numbers)):
        if found and found[-1][1] == n - 1:
            found[-1] = (found[-1][0], n)
        else:
            found.append((n, n))
    return found


def joined(held: list[Span], more: Iterable[Span]) -> list[Span]:
    """Both together; spans that touch are one."""
    found: list[Span] = []
    for first, last in sorted([*held, *more]):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def missing(held: list[Span], first: int, last: int) -> list[Span]:
    """What of first..last no span of `held` has."""
    found: list[Span] = []
    at = first
    for begin, end in held[max(bisect_right(held, (first, first)) - 1, 0) :]:
        if begin > last:
            break
        if begin > at:
            found.append((at, begin - 1))
        at = max(at, end + 1)
    if at <= last:
        found.append((at, last))
    return found


def common(one: list[Span], other: list[Span]) -> list[Span]:
    """What both have."""
    found: list[Span] = []
    i = j = 0
    while i < len(one) and j < len(other):
        first, last = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if first <= last:
            found.append((first, last))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return found
