"""Readers that die are known by the passages that they miss."""

from __future__ import annotations

import random

import pytest

from edge.waiting.alive import Alive


@pytest.mark.parametrize(("share", "most"), [(0.99, 3), (0.85, 6), (0.1, 70)])
def test_a_reader_that_misses_more_than_usual_is_dead(share: float, most: int) -> None:
    reader, rng = Alive(), random.Random(3)
    assert not reader.works
    working = 0
    for _ in range(600):
        reader.note(rng.random() < share)
        working += reader.works
    assert reader.share == pytest.approx(share, abs=0.12)
    assert working > 0.85 * 600
    reader.note(True)
    misses = 0
    while reader.works:
        reader.note(False)
        misses += 1
    assert 1 < misses <= most
    assert reader.misses == misses
    assert reader.note(True)
    assert reader.works
