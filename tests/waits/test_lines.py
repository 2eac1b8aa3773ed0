"""Plain lines of a file, which the core reads by itself, give what the same lines give one by one."""

from __future__ import annotations

import json
import random
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.messages import encode, utc_text
from edge.waiting.file import run_file
from edge.waiting.sightings import LineReader, Sighting, SightingError, line_of, parse
from edge.waiting.waits import CrossingWaits
from tests.waits.score import config_of
from tests.waits.traffic import START_NS, LaneSpec, Readers, Scenario, sightings, simulate

SCENARIO = Scenario(seed=5, hours=5.0, lanes=(LaneSpec("L0"), LaneSpec("L1", program="FAST")))
CONFIG = config_of(SCENARIO)
S = 1_000_000_000


def _one_by_one(lines: list[bytes]) -> tuple[list[bytes], dict[str, int], int]:
    waits = CrossingWaits(CONFIG, source="local")
    bad = 0
    for line in lines:
        try:
            waits.feed(parse(line))
        except SightingError:
            bad += bool(line.strip())
    return [encode(wait) for wait in waits.finish()], waits.stats(), bad


def _as_file(lines: list[bytes]) -> tuple[list[bytes], dict[str, int], int]:
    waits = CrossingWaits(CONFIG, source="local")
    reader = LineReader(Path("day"), lambda _: None)
    chunk, at = b"".join(lines), 0
    while at < len(chunk):
        at, taken = waits.feed_lines(chunk, at)
        reader.taken(taken)
        if at < len(chunk):
            end = chunk.find(b"\n", at) + 1 or len(chunk)
            sighting = reader.sighting(chunk[at:end])
            if sighting is not None:
                waits.feed(sighting)
            at = end
    return [encode(wait) for wait in waits.finish()], waits.stats(), reader.bad


def _day(readers: Readers, disorder_s: float = 1.0) -> list[Sighting]:
    return sightings(simulate(SCENARIO), readers, disorder_s=disorder_s)


def test_a_day_out_of_order_among_other_lines_is_the_same() -> None:
    rng = random.Random(4)
    lines = []
    for sighting in _day(Readers(tag_rate=0.6, plate_rate=0.6, axles=True), disorder_s=25.0):
        line = line_of(sighting) + b"\n"
        lines.append(line)
        if rng.random() < 0.05:  # what is no plain line, or none at all
            lines.append(
                rng.choice(
                    [b"\n", b"{}\n", line.replace(b'"L', b'"\\u004c'), line.replace(b"L0", b"L7"), line[:40] + b"\n",
                     line.replace(b"Z", b"+00:00"), line.replace(b"Z", b"1234Z"), line.replace(b'{"', b'{ "x":1,"'),
                     b'{"time":"%s","lane":"L0","medium":"booth","open":true}\n' % utc_text(sighting.time_ns).encode(),
                     line_of(type(sighting)(sighting.time_ns - 1000 * S, *_rest(sighting))) + b"\n",
                     line_of(type(sighting)(sighting.time_ns + 3000 * S, *_rest(sighting))) + b"\n"]
                )
            )  # fmt: skip
    one_by_one = _one_by_one(lines)
    assert one_by_one[1]["late"] > 0
    assert one_by_one[1]["too_late"] > 0
    assert _as_file(lines) == one_by_one


def _rest(sighting: Sighting) -> list[object]:
    return [getattr(sighting, name) for name in sighting.__struct_fields__[1:]]


def test_a_file_gives_what_its_lines_give(tmp_path: Path) -> None:
    lines = [line_of(sighting) + b"\n" for sighting in _day(Readers(tag_rate=0.5, plate_rate=0.5))]
    path = tmp_path / "day.jsonl"
    path.write_bytes(b"".join(lines))
    assert [encode(wait) for wait in run_file(CONFIG, path, complain=lambda _: None)] == _one_by_one(lines)[0]


_TIMES = st.one_of(
    st.integers(0, 3600 * 10**6).map(lambda us: utc_text(START_NS + 1000 * us)),
    st.builds("20{:02d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}{}".format, *[st.integers(0, 61)] * 6,
              st.sampled_from(["Z", ".5Z", ".123Z", ".123456789Z", "+01:00", "", ".Z", "z"])),
    st.text(max_size=24),
)  # fmt: skip
_LINES = st.fixed_dictionaries(
    {"time": _TIMES, "lane": st.sampled_from(["L0", "L1", "L9", ""]), "point": st.sampled_from(["approach", "booth"])},
    optional={
        "medium": st.sampled_from(["loop", "rfid", "plate", "booth", "axles", "x"]),
        "id": st.one_of(st.sampled_from(["E1", "AB 12", " A", "", "Ä1", 'A"B', "x" * 65]), st.integers(), st.none()),
        "confidence": st.one_of(st.floats(), st.integers(-3, 100), st.none()),
    },
)
_BYTES = st.one_of(
    _LINES.map(lambda line: json.dumps(line, separators=(",", ":"))),
    _LINES.map(json.dumps),
    st.builds(json.dumps, _LINES).map(lambda text: text.replace('"L0"', '"L0","lane":"L1"')),
    st.text(max_size=40).map(lambda text: text.replace("\n", "").replace("\r", "")),
).map(lambda text: text.encode("utf-8", "surrogatepass"))  # fmt: skip


@given(st.lists(st.tuples(_BYTES, st.sampled_from([b"\n", b"\r\n", b" \n"])), max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_lines_are_taken_as_they_are_one_by_one(lines: list[tuple[bytes, bytes]]) -> None:
    start = b'{"time":"%s","lane":"L0","point":"booth","medium":"loop"}\n'
    first = [start % utc_text(START_NS + i * S).encode() for i in range(5)]  # until the clock is believed
    first += [line.replace(b"booth", b"approach") for line in first]
    day = [*first, *[line + end for line, end in lines]]
    assert _as_file(day) == _one_by_one(day)
