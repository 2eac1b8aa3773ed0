"""What plate readers make of plates."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.world.reading import CONFUSIONS, read_plate

PLATES = st.text("ABCDEFGHJKLMNPRSTVWXYZ0123456789", min_size=1, max_size=10)


@given(PLATES, st.integers(0, 2**32))
def test_without_errors_the_plate_is_read(plate: str, seed: int) -> None:
    text, confidence = read_plate(plate, 0.0, np.random.default_rng(seed))
    assert text == plate
    assert 0.3 <= confidence <= 0.99


@given(PLATES, st.floats(0, 1), st.integers(0, 2**32))
def test_errors_are_lost_or_confused_characters(plate: str, char_error: float, seed: int) -> None:
    text, confidence = read_plate(plate, char_error, np.random.default_rng(seed))
    assert 1 <= len(text) <= len(plate)
    assert 0.3 <= confidence <= 0.99
    allowed = set(plate).union(*(CONFUSIONS.get(character, character) for character in plate))
    assert set(text) <= allowed


def test_share_of_wrong_characters_is_as_asked() -> None:
    rng = np.random.default_rng(1)
    plate = "AB12345"
    reads = [read_plate(plate, 0.05, rng)[0] for _ in range(4000)]
    right = sum(read == plate for read in reads) / len(reads)
    assert abs(right - 0.95**7) < 0.03
