"""Spans against sets of numbers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge.centre.spans import Span, common, joined, missing, spans_of

NUMBERS = st.sets(st.integers(1, 40))


def numbers(spans: list[Span]) -> set[int]:
    for (_, last), (first, _) in pairwise(spans):
        assert last + 1 < first, "spans touch"
    return {n for first, last in spans for n in range(first, last + 1)}


@given(NUMBERS, NUMBERS)
def test_joined_and_common(one: set[int], other: set[int]) -> None:
    a, b = spans_of(one), spans_of(other)
    assert numbers(a) == one
    assert numbers(joined(a, b)) == one | other
    assert numbers(common(a, b)) == one & other


@given(NUMBERS, st.integers(1, 40), st.integers(0, 40))
def test_missing(held: set[int], first: int, length: int) -> None:
    wanted = set(range(first, first + length))
    assert numbers(missing(spans_of(held), first, first + length - 1)) == wanted - held
