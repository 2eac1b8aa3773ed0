"""Files of sightings: every line is a record or a named fault."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.waiting.sightings import (
    AxleSighting,
    BoothChange,
    LineReader,
    LoopCount,
    PlateSighting,
    Sighting,
    SightingError,
    TagSighting,
    line_of,
    parse,
)


def read(path: Path, complain: Callable[[str], None]) -> list[Sighting]:
    reader = LineReader(path, complain)
    found = [reader.sighting(line) for chunk in reader.chunks() for line in chunk.splitlines(keepends=True)]
    return [sighting for sighting in found if sighting is not None]


GOOD = (
    b'{"time":"2026-11-24T05:22:17.123456Z","lane":"C03","point":"booth","medium":"rfid","id":"E200 1","confidence":1}'
)
_US = 1_000
_time = st.integers(0, 4_000_000_000_000_000).map(lambda us: us * _US)
_name = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
_id = _name.map(str.strip).filter(bool)
_number = st.floats(-1e5, 1e5)
_any = st.one_of(
    st.builds(TagSighting, _time, _name, _name, _id, st.one_of(st.none(), st.floats(0, 1))),
    st.builds(PlateSighting, _time, _name, _name, _id, st.one_of(st.none(), st.floats(0, 1))),
    st.builds(LoopCount, _time, _name, _name),
    st.lists(st.tuples(_number, _number), min_size=1, max_size=9).flatmap(
        lambda rows: st.builds(
            AxleSighting,
            _time,
            _name,
            _name,
            st.just(tuple(x for x, _ in rows)),
            st.just(tuple(load for _, load in rows)),
        )
    ),
    st.builds(
        BoothChange, _time, _name, _name, st.booleans(), st.one_of(st.none(), _name), st.one_of(st.none(), _name)
    ),
)


@given(_any)
def test_a_line_comes_back_as_it_was(sighting: object) -> None:
    assert parse(line_of(sighting)) == sighting  # type: ignore[arg-type]


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_a_record_or_a_fault(line: bytes) -> None:
    with contextlib.suppress(SightingError):
        assert parse(line).time_ns is not None


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), st.lists, max_leaves=4
)


@given(st.sampled_from(["time", "lane", "point", "medium", "id", "confidence", "axles", "open"]), _values)
def test_any_value_of_any_key_is_a_record_or_a_fault(key: str, value: object) -> None:
    line = json.loads(GOOD) | {key: value}
    with contextlib.suppress(SightingError):
        assert parse(json.dumps(line).encode()).lane is not None


def test_identities_stay_out_of_repr_and_of_faults() -> None:
    assert "E200" not in repr(parse(GOOD))
    long = json.loads(GOOD) | {"id": "SECRET" * 30}
    with pytest.raises(SightingError) as caught:
        parse(json.dumps(long).encode())
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"time": "yesterday"}, "RFC 3339"),
        ({"time": "2026-11-24T05:22:17"}, "RFC 3339"),
        ({"medium": "smell"}, "medium"),
        ({"point": None}, "point"),
        ({"medium": "axles"}, "axles"),
        ({"medium": "axles", "axles": [{"position_m": 1e300, "load_kg": 1}]}, "sensible"),
        ({"medium": "booth"}, "open"),
    ],
)
def test_faults_say_what_to_do(change: dict[str, object], word: str) -> None:
    with pytest.raises(SightingError, match=word):
        parse(json.dumps(json.loads(GOOD) | change).encode())


def test_a_bad_line_is_named_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    path.write_bytes(GOOD + b"\n{broken\n\n" + GOOD + b"\n")
    said: list[str] = []
    assert len(list(read(path, said.append))) == 2
    assert len(said) == 1
    assert f"{path}: line 2" in said[0]


def test_of_a_file_full_of_rubbish_some_lines_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    path.write_bytes(GOOD + b"\n" + b"rubbish\n" * 500)
    said: list[str] = []
    assert len(read(path, said.append)) == 1
    assert len(said) == 21
    assert said[-1] == f"{path}: 480 more lines are bad"


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    path.write_bytes(b"\n\n")
    said: list[str] = []
    assert read(path, said.append) == []
    assert [str(path) in text and "no line" in text for text in said] == [True]


def test_a_file_without_a_sighting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"\xff\xd8\xff\n\x00\x01\n")
    with pytest.raises(SightingError, match="none of its"):
        list(read(path, lambda _: None))
    with pytest.raises(SightingError, match="cannot be read"):
        list(read(tmp_path / "missing", lambda _: None))
    assert list(read(Path("/dev/null"), lambda _: None)) == []
