"""Truck weight records: lines that are known to be right, days of 23 and 25 hours, hours without a vehicle, sums."""

from __future__ import annotations

from pathlib import Path

import lane_messages as messages
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.centre.arrival import Row, read
from edge.centre.local_day import HOUR_NS
from edge.centre.publish.day import Weighed
from edge.centre.publish.tmg import LB_PER_KG, TENTHS_OF_FT_PER_M, record
from edge.centre.sqlite_store import SqliteStore
from edge.centre.upkeep import Upkeep
from edge.cli import main
from edge.messages import Axle, Message, topic_of, utc_text

HEAD = "W17018115312012110716"
NOV_1_NS = 1_793_505_600 * 1_000_000_000  # 2026-11-01T04:00Z, midnight in Toronto, of a day of 25 hours
AT = "2026-11-27T12:00:00.000000Z"


def weighed(code: str, loads_lb: list[int], spacings: list[int]) -> Weighed:
    places = [0.0]
    for tenths in spacings:
        places.append(places[-1] + tenths / TENTHS_OF_FT_PER_M)
    axles = tuple((place, lb / LB_PER_KG, None) for place, lb in zip(places, loads_lb, strict=True))
    return Weighed(0, "C01", None, "edge-1", None, sum(loads_lb) / LB_PER_KG, None, "fhwa", code, 1.0, (), 0, axles)


def test_a_published_record_comes_out_byte_for_byte() -> None:
    """A line of class 9 that FHWA's own reader is tested with."""
    line = record(HEAD, weighed("9", [11210, 12300, 13730, 9815, 10831], [151, 45, 214, 48]))
    assert line == f"{HEAD}09   0578860511210015112300004513730021409815004810831".ljust(147)


@given(st.lists(st.integers(500, 45_000), min_size=1, max_size=13))
def test_the_gross_weight_is_the_sum_of_what_stands_in_the_line(loads_lb: list[int]) -> None:
    line = record(HEAD, weighed("9", loads_lb, [120] * (len(loads_lb) - 1)))
    axles = int(line[32:34])
    assert axles == len(loads_lb)
    assert int(line[26:32]) == sum(int(line[34 + 9 * n : 39 + 9 * n]) for n in range(axles))


def store_of(path: Path, made: list[Message]) -> None:
    store = SqliteStore(path)
    numbers: dict[str, int] = {}
    rows = []
    for message in made:
        seq = numbers[topic_of(message)] = numbers.get(topic_of(message), 0) + 1
        got = read(*messages.sent(message, seq), NOV_1_NS + 10**18)
        assert isinstance(got, Row)
        rows.append(got)
    store.write(rows, [], AT)
    Upkeep(store).run(NOV_1_NS + 26 * HOUR_NS)
    store.close()


def at(message: Message, hour: float) -> Message:
    return msgspec.structs.replace(message, time=utc_text(NOV_1_NS + int(hour * HOUR_NS)))


def day_of_flow(hours: range) -> list[Message]:
    return [messages.flow(NOV_1_NS + h * HOUR_NS + (m + 1) * 60 * 10**9, 0) for h in hours for m in range(60)]


def test_a_day_of_25_hours_has_a_line_for_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zone = msgspec.structs.replace(messages.status(0), timezone="America/Toronto")
    whole, half = messages.vehicle(0), msgspec.structs.replace(messages.vehicle(0), flags=("partial",))
    store_of(tmp_path / "c.db", [zone, *day_of_flow(range(5)), at(whole, 1.5), at(whole, 2.5), at(half, 3.5)])
    command = [
        "publish",
        str(tmp_path / "c.db"),
        "--day",
        "2026-11-01",
        "--format",
        "tmg",
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "1 vehicles left out" in said.err
    assert "give --stations FILE" in said.err
    (path,) = (tmp_path / "o").iterdir()
    assert said.out.strip() == str(path)
    lines = path.read_bytes().decode("ascii").split("\r\n")[:-1]
    assert [line[19:21] for line in lines[:4]] == ["00", "01", "01", "02"]
    assert [line[21:23] for line in lines[:6]] == [" d", "06", "06", " d", " d", " m"]
    assert len(lines) == 25
    assert all(len(line) == 147 for line in lines)
    first = path.read_bytes()
    assert main(command) == 0
    assert path.read_bytes() == first


def test_the_operator_names_station_and_lane(tmp_path: Path) -> None:
    store_of(tmp_path / "c.db", [at(messages.vehicle(0), 30.0), *day_of_flow(range(3))])
    stations = tmp_path / "stations.toml"
    stations.write_text(
        '[[station]]\ncountry = "CA"\nport = "0453"\nstate = "26"\nid = "1234"\n'
        "lane.C03 = { direction = 5, lane = 2 }\n"
    )
    out = tmp_path / "o"
    base = ["publish", str(tmp_path / "c.db"), "--format", "tmg", "--out", str(out), "--stations", str(stations)]
    assert main([*base, "--day", "2026-11-01", "--timezone", "America/Toronto"]) == 0
    line = (out / "26001234_20261101.wgt").read_text().splitlines()[0]
    assert line[:21] == "W26001234522026110100"
    stations.write_text('[[station]]\ncountry = "CA"\nport = "0453"\nstate = "Michigan"\nid = "1234"\n')
    assert main([*base, "--day", "2026-11-01"]) == 2
    assert main([*base[:2], "--day", "2025-01-01", *base[2:6]]) == 65


def test_what_is_no_database_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.db").write_text("not one, but long enough to look like something")
    for name in ("x.db", "none.db"):
        args = ["publish", str(tmp_path / name), "--day", "2026-11-01", "--format", "tmg", "--out", str(tmp_path / "o")]
        assert main(args) == 73
        assert name in capsys.readouterr().err


def test_an_axle_too_many_or_too_heavy_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    axles = tuple(Axle(position_m=1.3 * n, load_kg=5000.0, sigma_kg=1.0, group=n) for n in range(14))
    heavy = (Axle(position_m=0.0, load_kg=60_000.0, sigma_kg=1.0, group=0),)
    made = [at(msgspec.structs.replace(messages.vehicle(0), axles=a), 1.5) for a in (axles, heavy)]
    store_of(tmp_path / "c.db", [*made, *day_of_flow(range(3))])
    args = ["publish", str(tmp_path / "c.db"), "--day", "2026-11-01", "--format", "tmg", "--out", str(tmp_path / "o")]
    assert main(args) == 0
    said = capsys.readouterr().err
    assert "more than 13" in said
    assert "five digits of pounds" in said
