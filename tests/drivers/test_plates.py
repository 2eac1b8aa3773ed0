"""Words that mean "no plate", and letters that look alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import ProtocolError
from drivers.plates import Plates, one_alphabet


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "--", "-", "—", "?", "???", "***", "_", "unlicensed", "Unlicensed", "Not defined", "NOT_DEFINED",
        "noPlate", "NO PLATE", "no-plate", "无车牌", "无牌", "null", "NULL", "unknown", "UNKNOWN", "N/A", "none",
        "undefined", "без номера", "sin placa", "00000000",
    ],
)  # fmt: skip
def test_words_that_mean_no_plate(text: str) -> None:
    assert Plates().read(text) is None


@pytest.mark.parametrize(
    ("text", "plate"),
    [
        ("46HVR9", "46HVR9"),
        ("46-hvr-9", "46-hvr-9"),
        ("а123вс77", "a123bc77"),
        ("京A12345", "京A12345"),
        ("А123ВС77", "A123BC77"),  # Cyrillic
        ("A123BC77", "A123BC77"),
        ("ΥΧΖ 4567", "YXZ 4567"),  # Greek
        ("ABC１２３", "ABC123"),  # full width
        ("ب ١٢٣٤", "ب 1234"),
        ("AB  1234", "AB 1234"),
        ("N", "N"),
        ("NA 100", "NA 100"),
        ("NOPLATE1", "NOPLATE1"),
        ("000", "000"),
    ],
)
def test_plates(text: str, plate: str) -> None:
    assert Plates().read(text) == plate


@pytest.mark.parametrize("text", ["12345678901234567", "A_B", "A--B", "<b>", "AB12?"])
def test_what_is_neither(text: str) -> None:
    with pytest.raises(ProtocolError) as error:
        Plates().read(text)
    assert error.value.reason == "bad_plate"


def test_words_can_be_added_and_taken_away() -> None:
    plates = Plates(("kein", "-NULL"))
    assert plates.read("Kein") is None
    assert plates.read("NULL") == "NULL"
    assert plates.read("unknown") is None


@given(st.text(max_size=30))
def test_anything_is_a_plate_none_or_a_named_error(text: str) -> None:
    try:
        plate = Plates().read(text)
    except ProtocolError:
        return
    assert plate is None or one_alphabet(plate) == plate or not plate.isascii()
