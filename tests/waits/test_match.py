"""Plates and axle signatures: what is alike scores higher, whatever bytes come in."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import core
from edge.config import PlateReader
from edge.waiting.plate_formats import FORMATS, patterns, table


class AxleModel:
    """What the core learns of axle signatures."""

    def __init__(self) -> None:
        self.of = core.ffi.new("bf_axle_model *")
        core.lib.bf_axle_model_init(self.of)

    def compare(self, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        llr = np.empty(len(rows), np.float32)
        status = core.lib.bf_axle_model_compare(self.of, *map(_floats, (query, rows)), len(rows), _floats(llr))
        assert status == core.lib.BF_OK
        return llr

    def note(self, row: np.ndarray) -> None:
        core.lib.bf_axle_model_note(self.of, _floats(row))

    def learn(self, upstream: np.ndarray, downstream: np.ndarray) -> None:
        core.lib.bf_axle_model_learn(self.of, _floats(upstream), _floats(downstream))


def _floats(row: np.ndarray) -> object:
    return core.ffi.from_buffer("float[]", row)


def signature(positions_m: tuple[float, ...], loads_kg: tuple[float, ...]) -> np.ndarray:
    row = np.empty(core.AXLE_FEATURES, np.float32)
    core.lib.bf_axle_signature(len(positions_m), positions_m, loads_kg, _floats(row))
    return row


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
    plates = core.PlateTable(formats=patterns())
    q = np.frombuffer(query, np.uint8)
    r = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), 16)
    if q[15] > 15:
        with pytest.raises(core.CoreError):
            plates.compare(q, r)
        return
    assert np.isfinite(plates.compare(q, r)).all()
    assert len(plates.find(q, r, len(r), -1e9)) <= len(r)
    for row in r:
        if row[15] <= 15:
            plates.learn(row, q)
    assert np.isfinite(plates.compare(q, r)).all()


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
    assert model.of.scale == pytest.approx(1.1, rel=0.02)
    assert model.of.load_sd < 0.05


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
    assert np.isfinite([model.of.scale, model.of.load_sd, model.of.spacing_sd]).all()


def test_reads_learn_who_carries_a_tag() -> None:
    """Tags that are read at both points or at neither: an untagged vehicle is not the one whose tag was read."""
    model = core.ffi.new("bf_reads *")
    core.lib.bf_reads_init(model, -6.0)
    for i in range(200):
        core.lib.bf_reads_learn(model, i % 5 < 3, i % 5 < 3)
    neither, down, up, both = model.evidence
    assert down < -2.0
    assert up < -2.0
    assert neither > 0.5
    assert both == -6.0  # two readings that differ


def _table(**reader: object) -> core.PlateTable:
    usual = PlateReader()
    return table(usual, msgspec.convert({"error": 0.012, **reader}, PlateReader))


def _ratio(plates: core.PlateTable, a: str, b: str) -> float:
    return float(plates.compare(core.encode_plate(b), core.encode_plate(a)[None, :])[0])


@pytest.mark.parametrize(
    ("plate", "misread"),
    [("ABC1034", "ABC1O34"), ("CKTB123", "CKT8123"), ("PB12345", "PBI2345"), ("AB12034", "AB12O34")],
)
def test_a_letter_where_only_a_digit_can_stand_is_no_error(plate: str, misread: str) -> None:
    """As the formats of the region have it; without them the same pair is weak evidence."""
    with_formats, without = core.PlateTable(formats=patterns(), fleet=0.0), core.PlateTable(fleet=0.0)
    same, confused = _ratio(with_formats, plate, plate), _ratio(with_formats, plate, misread)
    assert confused > 10.0
    assert same - confused < 0.5 * (_ratio(without, plate, plate) - _ratio(without, plate, misread))


def test_a_reader_may_be_said_to_mistake_what_nobody_else_does() -> None:
    usual, told = _table(), _table(confusion={"H": {"W": 0.9}})
    assert _ratio(told, "A12BCH", "A12BCW") > _ratio(usual, "A12BCH", "A12BCW") + 1.0
    assert _ratio(told, "ABC1234", "ABC1234") == pytest.approx(_ratio(usual, "ABC1234", "ABC1234"), abs=0.2)


def test_confusions_are_learned_and_told_within_bounds() -> None:
    rng = random.Random(8)
    plates = _table()
    before = _ratio(plates, "A12BCH", "A12BCW")
    for _ in range(4000):
        text = "".join(rng.choice("ABCHKL") for _ in range(3)) + f"{rng.randrange(10_000):04d}"
        read = text.replace("H", "W") if rng.random() < 0.3 else text
        plates.learn(core.encode_plate(text), core.encode_plate(read))
    learned = plates.learned()
    assert learned.pairs[0][0] == "HW"
    assert 0.01 < learned.errors / learned.characters < 0.1
    assert learned.characters <= 36 * 8001
    assert _ratio(plates, "A12BCH", "A12BCW") > before + 1.5
    assert _ratio(plates, "ABC1234", "ZKT4432") < -5.0


def test_find_gives_what_compare_gives() -> None:
    rng = random.Random(2)
    texts = [f"AB{rng.randrange(100_000):05d}" for _ in range(300)]
    rows = np.stack([core.encode_plate(text) for text in texts])
    plates, query = _table(), core.encode_plate("AB01234")
    scores = plates.compare(query, rows)
    found = plates.find(query, rows, len(rows), -8.0)
    assert found == [(i, pytest.approx(float(score))) for i, score in enumerate(scores) if score > -8.0][:256]
    assert plates.find(query, rows, 0, -1e9) == []


def test_formats_have_each_country() -> None:
    assert set(FORMATS) == {"CA", "US", "MX"}
    assert len(set(patterns())) == len(patterns()) <= 128
    assert all(set(pattern) <= {"A", "9"} and 5 <= len(pattern) <= 7 for pattern in patterns())


@given(st.integers(0, 10_000), st.sampled_from([-8.0, -3.0, -2.0, 0.0, 5.0]))
@settings(max_examples=60, deadline=None)
def test_what_is_left_out_early_is_below_the_least(seed: int, least: float) -> None:
    rng = random.Random(seed)
    plates = _table(error=rng.choice([0.012, 0.3]), confusion={"8": {"B": rng.random()}})
    letters = "ABCDEFGH01234578?"
    texts = ["".join(rng.choice(letters) for _ in range(rng.choice([2, 5, 6, 7, 7, 7, 8]))) for _ in range(200)]
    texts += ["".join(c if rng.random() < 0.8 else rng.choice(letters) for c in texts[0]) for _ in range(50)]
    rows = np.stack([core.encode_plate(text) for text in texts])
    scores = plates.compare(rows[0], rows)
    assert plates.find(rows[0], rows, len(rows), least) == [
        (i, float(score)) for i, score in enumerate(scores) if score > least
    ]
