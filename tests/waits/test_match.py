"""Plates and axle signatures: what is alike scores higher, whatever bytes come in."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import core
from edge.waiting.readings import AxleModel, ReadModel, signature


def _score(a: str, b: str) -> float:
    return float(core.PlateTable().compare(core.encode_plate(a), core.encode_plate(b)[None, :])[0])


def test_equal_plates_beat_confusions_beat_errors_beat_strangers() -> None:
    same, confused, error, stranger = (
        _score("ABC8017", plate) for plate in ("ABC8017", "ABCB017", "ABCX017", "ZKT4432")
    )
    assert same > confused > error > stranger
    assert same > 5 > -5 > stranger


def test_missing_and_added_characters_are_found_anywhere() -> None:
    for i in range(7):
        plate = "KLM3920"
        assert _score(plate, plate[:i] + plate[i + 1 :]) > 0
        assert _score(plate, plate[:i] + "7" + plate[i:]) > 0
    assert _score("KLM3920", "LM392") > _score("KLM3920", "QRST9")


def test_punctuation_case_and_blanks_do_not_count() -> None:
    assert _score("ab-12 345", "AB12345") == _score("AB12345", "AB12345")


def test_a_fleet_mate_is_no_proof() -> None:
    """Plates in sequence differ in the last digits: much less evidence than one misread letter elsewhere."""
    assert _score("ABC1234", "ABC1235") < _score("ABC1234", "AXC1234")
    assert _score("ABC1234", "ABC1235") < 3.0
    assert _score("ABC1234", "ABC1234") > 5.0


def test_no_plate_scores_nothing() -> None:
    assert _score("", "ABC1234") == pytest.approx(-1e9)
    assert _score("---", "ABC1234") == pytest.approx(-1e9)


@given(st.binary(min_size=16, max_size=16), st.lists(st.binary(min_size=16, max_size=16), max_size=20))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_number(query: bytes, rows: list[bytes]) -> None:
    table = core.PlateTable()
    q = np.frombuffer(query, np.uint8)
    r = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), 16)
    if q[15] > 15:
        with pytest.raises(core.CoreError):
            table.compare(q, r)
        return
    assert np.isfinite(table.compare(q, r)).all()


@given(st.text(max_size=80))
def test_any_text_encodes(text: str) -> None:
    row = core.encode_plate(text)
    assert row[15] <= 15
    assert (row[: row[15]] <= 36).all()


def _truck(rng: random.Random) -> tuple[tuple[float, ...], tuple[float, ...]]:
    positions = (0.0, 3.9 * rng.gauss(1, 0.03), 5.2, 15.0 + rng.gauss(0, 0.3), 16.3)
    return positions, tuple(load * rng.gauss(1, 0.15) for load in (5300.0, 7000.0, 6900.0, 6000.0, 5900.0))


def test_axles_find_the_same_truck_among_its_kind() -> None:
    rng = random.Random(3)
    trucks = [_truck(rng) for _ in range(60)]
    model = AxleModel()
    for truck in trucks:
        model.note(signature(*truck))

    def measured(truck: tuple[tuple[float, ...], tuple[float, ...]]) -> np.ndarray:
        positions, loads = truck
        return signature(
            tuple(x * rng.gauss(1, 0.005) for x in positions), tuple(load * rng.gauss(1, 0.03) for load in loads)
        )

    rows = np.stack([measured(truck) for truck in trucks])
    right = sum(int(np.argmax(model.compare(measured(truck), rows))) == i for i, truck in enumerate(trucks))
    assert right >= 50  # of sixty trucks of one type; order in the queue does the rest


def test_axles_learn_scale_and_noise() -> None:
    rng = random.Random(5)
    model = AxleModel()
    for _ in range(400):
        positions, loads = _truck(rng)
        down = tuple(1.1 * load * rng.gauss(1, 0.02) for load in loads)
        model.learn(signature(positions, loads), signature(positions, down))
    assert model.scale == pytest.approx(1.1, rel=0.02)
    assert model.load_sd < 0.05


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=14).flatmap(
        lambda xs: st.tuples(st.just(tuple(xs)), st.tuples(*[st.floats(-1e6, 1e6) for _ in xs]))
    )
)
@settings(max_examples=200, deadline=None)
def test_any_axles_give_a_number(axles: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
    model = AxleModel()
    row = signature(*axles)
    rows = np.stack([row, signature((0.0, 3.0), (1000.0, 2000.0))])
    assert np.isfinite(model.compare(row, rows)).all()
    model.learn(row, row)
    assert np.isfinite([model.scale, model.load_sd, model.spacing_sd]).all()


def test_reads_learn_who_carries_a_tag() -> None:
    """Tags that are read at both points or at neither: an untagged vehicle is not the one whose tag was read."""
    model = ReadModel(-6.0)
    for i in range(200):
        model.learn(i % 5 < 3, i % 5 < 3)
    assert model.evidence(False, True) < -2.0
    assert model.evidence(True, False) < -2.0
    assert model.evidence(False, False) > 0.5
