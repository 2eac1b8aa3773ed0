"""Readers that die are known by the passages that they miss."""

from __future__ import annotations

import random

import pytest

from edge.core import ffi, lib


@pytest.mark.parametrize(("share", "most"), [(0.99, 3), (0.85, 6), (0.1, 70)])
def test_a_reader_that_misses_more_than_usual_is_dead(share: float, most: int) -> None:
    reader, rng = ffi.new("bf_alive *"), random.Random(3)
    lib.bf_alive_init(reader)
    assert not reader.works
    working = 0
    for _ in range(600):
        lib.bf_alive_note(reader, rng.random() < share)
        working += reader.works
    assert reader.share == pytest.approx(share, abs=0.12)
    assert working > 0.85 * 600
    lib.bf_alive_note(reader, True)
    misses = 0
    while reader.works:
        lib.bf_alive_note(reader, False)
        misses += 1
    assert 1 < misses <= most
    assert reader.misses == misses
    assert lib.bf_alive_note(reader, True)
    assert reader.works
