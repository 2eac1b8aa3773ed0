"""The report page: one file whatever the messages hold; its curves are the numbers, and gaps stay gaps."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cli import main as borderflow
from edge.config import Config, Lane, Point
from edge.config import Site as SiteTable
from edge.messages import Bottleneck, Experienced, Site, Wait, parse_utc, utc_text
from edge.reports.plots import Band, Curve, Level, over_time, ticks
from edge.reports.waits import WaitReport

START_NS = parse_utc("2026-11-24T05:00:00Z")


def config_of(name: str = "Ambassador Bridge") -> Config:
    return Config(
        site=SiteTable(country="CA", port="0453", name=name, timezone="America/Toronto"),
        lane=(Lane(id="C1", traffic="commercial"), Lane(id="C2", traffic="commercial", program="FAST")),
        point=(Point(name="approach"), Point(name="booth")),
    )


def wait(minute: int, lane: str = "_", **facts: Any) -> Wait:
    blank = Wait(
        time=utc_text(START_NS + minute * 60_000_000_000),
        site=Site("CA", "0453"),
        lane=lane,
        source="edge-1",
        traffic="commercial",
        program=None,
        from_point="approach",
        to_point="booth",
        interval_s=60,
        experienced=Experienced(count=0, median_s=None, p10_s=None, p90_s=None, p95_s=None),
        expected_s=None,
        low_s=None,
        high_s=None,
        queue_vehicles=None,
        throughput_per_h=None,
        lower_bound=False,
        method=None,
        match_rate=None,
        reference_s=None,
        change=None,
        bottleneck=None,
    )
    return msgspec.structs.replace(blank, **facts)


def experienced(median_s: float, count: int = 1) -> Experienced:
    return Experienced(count=count, median_s=median_s, p10_s=None, p90_s=None, p95_s=None)


def page_of(*waits: Wait, name: str = "Ambassador Bridge") -> str:
    report = WaitReport(config_of(name))
    for one in waits:
        report.take(one)
    return report.page()


def plots(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def test_a_page_needs_nothing_else_and_hides_no_markup() -> None:
    page = page_of(wait(1, expected_s=600.0), name="<script>&")
    assert page.startswith("<!doctype html>")
    assert "<script" not in page
    assert not re.search(r"(src|href)\s*=|url\(|@import", page)
    parser = HTMLParser()
    parser.feed(page)
    parser.close()


def test_the_curves_are_the_numbers() -> None:
    waits = [
        wait(
            n, expected_s=600.0 + 60.0 * n, low_s=300.0, high_s=1200.0, experienced=experienced(480.0), queue_vehicles=n
        )
        for n in range(11)
    ]
    waits_plot, queue_plot = plots(page_of(*waits))
    (expected,) = [p for p in waits_plot.iter("path") if p.get("class") == "two"]
    points = [tuple(map(float, point.split())) for point in str(expected.get("d"))[1:].split(" L")]
    assert len(points) == 11
    level = {
        float(str(t.text)): float(str(t.get("y"))) - 4 for t in waits_plot.iter("text") if t.get("text-anchor") == "end"
    }
    low, high = min(level), max(level)
    per_minute = (level[low] - level[high]) / (high - low)
    for n, (_, y) in enumerate(points):
        assert (level[low] - y) / per_minute == pytest.approx(10.0 + n, abs=0.1)
    assert len(list(waits_plot.iter("circle"))) == 11
    assert len([p for p in waits_plot.iter("path") if p.get("class") == "area second"]) == 1
    assert len(list(queue_plot.iter("path"))) == 1


def test_a_gap_is_a_gap_and_no_0() -> None:
    waits = [wait(n, expected_s=None if 3 <= n < 6 else 600.0 + 30.0 * n, queue_vehicles=None) for n in range(10)]
    page = page_of(*waits)
    (waits_plot,) = plots(page)
    assert len([p for p in waits_plot.iter("path") if p.get("class") == "two"]) == 2
    assert "queue: no data" in page


def test_a_constant_is_told_in_words_and_not_drawn() -> None:
    page = page_of(*(wait(n, expected_s=600.0, queue_vehicles=0.1) for n in range(10)))
    assert plots(page) == []
    assert "wait: always 10.0 min" in page
    assert "queue: always 0.1 vehicles" in page


def test_a_band_has_the_colour_of_its_line() -> None:
    waits = [wait(n, expected_s=600.0 + 60.0 * n, low_s=300.0, high_s=1200.0) for n in range(11)]
    (plot,) = plots(page_of(*waits))
    (area,) = [p for p in plot.iter("path") if "area" in str(p.get("class"))]
    assert area.get("class") == "area second"
    assert "second { fill: var(--two) }" in page_of(*waits)


def test_a_table_of_the_figures_stands_behind_each_plot() -> None:
    waits = [wait(n, expected_s=600.0 + 60.0 * n, low_s=300.0, high_s=1200.0, queue_vehicles=n) for n in range(250)]
    page = page_of(*waits)
    (details,) = re.findall("<details>(.*?)</details>", page, re.DOTALL)
    rows = re.findall("<tr><td>(.*?)</tr>", details)
    assert 50 <= len(rows) <= 100
    assert rows[0].startswith("24 Nov 00:02</td><td>0</td><td>–</td><td>11.0</td><td>5.0 – 20.0</td>")


def test_directions_and_kinds_of_traffic_have_parts_of_their_own() -> None:
    page = page_of(
        wait(1, direction="inbound", experienced=experienced(900.0, 9)),
        wait(1, direction="outbound", experienced=experienced(60.0, 9)),
        wait(1, direction="outbound", traffic="bus", experienced=experienced(120.0, 9)),
    )
    assert re.findall("<h2>(.*?)</h2>", page) == ["Inbound commercial", "Outbound bus", "Outbound commercial"]
    assert "saved" not in page


def test_a_page_for_the_public_shows_nothing_of_few_vehicles() -> None:
    report = WaitReport(config_of(), public=True)
    for n in range(40):
        report.take(
            wait(n, experienced=experienced(600.0 + 60.0 * n, 1), expected_s=500.0 + 60.0 * n, queue_vehicles=n)
        )
        report.take(wait(n, "C1", program="standard", experienced=experienced(7777.0, 9), expected_s=600.0))
    report.take(wait(40, direction="outbound", experienced=experienced(5555.0, 3)))
    page = report.page()
    assert "C1" not in page
    assert "129.6" not in page, "a lane"
    assert "92.6" not in page, "three vehicles"
    assert "&lt; 5" in page
    waits_plot, queue_plot = plots(page)
    assert len(list(waits_plot.iter("circle"))) == 8
    (line,) = list(queue_plot.iter("path"))
    assert len(str(line.get("d")).split(" L")) <= 8


def test_a_short_queue_is_told_to_the_public_as_short_and_not_as_unknown() -> None:
    report = WaitReport(config_of(), public=True)
    for n in range(40):
        report.take(wait(n, experienced=experienced(600.0, 2), expected_s=600.0, queue_vehicles=3.0))
    assert "queue: fewer than 5 vehicles<" in report.page()


@pytest.mark.parametrize(("public", "told"), [(True, ["approach"]), (False, ["approach", "wim"])])
def test_a_delay_of_few_vehicles_is_told_to_operators_alone(public: bool, told: list[str]) -> None:
    report = WaitReport(config_of(), public=public)
    for n in range(40):
        arose = "wim" if n == 7 else "approach"
        found = Bottleneck(from_point=arose, to_point="booth", delay_s=60.0 * n, share=0.5 + 0.01 * n)
        report.take(wait(n, experienced=experienced(600.0, 1), bottleneck=found))
    page = report.page()
    assert re.findall("Bottleneck ([a-z]+) to booth", page) == told
    assert ("its share of the whole delay" in page) is not public


def test_a_page_for_the_public_needs_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert borderflow(["wait", "--config", "lane.toml", "--public", "day.jsonl"]) == 2
    assert "--report" in capsys.readouterr().err


@given(st.integers(1, 400_000), st.floats(1.0, 1e6), st.booleans(), st.sampled_from(["UTC", "America/Toronto"]))
def test_no_label_is_clipped(minutes: int, most: float, half: bool, zone: str) -> None:
    start = START_NS / 1e9
    curve = Curve([(start, 0.0), (start + 60.0 * minutes, most)])
    level = Level(0.3 * most, "reference 15.0")
    svg = ElementTree.fromstring(over_time("wait, min", [curve], level=level, half=half, zone=ZoneInfo(zone)))
    width = float(str(svg.get("viewBox")).split()[2])
    for text in svg.iter("text"):
        x, reach = float(str(text.get("x"))), 6.0 * len(str(text.text))
        anchor = text.get("text-anchor")
        left = x - reach if anchor == "end" else x - reach / 2 if anchor == "middle" else x
        assert left >= 0.0, text.text
        assert left + reach <= width, text.text


def test_rows_come_crossing_first_with_their_figures() -> None:
    page = page_of(
        wait(1, "C1", program="standard", experienced=experienced(1200.0, 19), reference_s=1500.0),
        wait(2, "C1", program="standard", experienced=experienced(2400.0, 1), reference_s=1500.0, lower_bound=True),
        wait(1, program="FAST", expected_s=60.0),
        wait(1, bottleneck=Bottleneck(from_point="wim", to_point="booth", delay_s=900.0, share=0.75)),
    )
    assert re.findall("<h2>(.*?)</h2>", page) == ["Commercial"]
    assert re.findall("<h3>(.*?)</h3>", page) == ["Program FAST", "Lane C1 (standard)"]
    rows = [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", page)]
    lane = next(row for row in rows if row and row[0].startswith("Lane C1"))
    assert lane == [
        *(
            "Lane C1 (standard)",
            "20",
            "20.0",
            "20.0",
            "0.0",
            "0%",
            "25.0",
            "-20%",
            "0.80",
            "2",
            "1",
        )
    ]
    assert "Bottleneck wim to booth: in 1 of 1 intervals, mean delay 15.0 min" in page
    assert "no data" in page_of()


def test_times_are_those_of_the_port() -> None:
    curve = Curve([(START_NS / 1e9 + 60.0 * n, 1.0) for n in range(600)])
    texts = [
        t.text for t in ElementTree.fromstring(over_time("t", [curve], zone=ZoneInfo("America/Toronto"))).iter("text")
    ]
    assert {"24 Nov", "02:00", "09:00"} <= set(texts)  # 05:00 UTC is midnight in Toronto


@given(
    st.lists(st.tuples(st.floats(0, 4e9), st.none() | st.floats(0, 1e9)), max_size=40),
    st.none() | st.floats(0, 1e6),
)
def test_any_curve_is_drawn_inside_its_frame(points: list[tuple[float, float | None]], level: float | None) -> None:
    points.sort(key=lambda point: point[0])
    band = Band([(t, y, None if y is None else 2 * y) for t, y in points])
    svg = ElementTree.fromstring(
        over_time(
            "any & all",
            [Curve(points), Curve(points, dots=True)],
            band=band,
            level=None if level is None else Level(level, "reference"),
        )
    )
    for path in svg.iter("path"):
        for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", str(path.get("d"))):
            assert 30 <= float(x) <= 900
            assert 20 <= float(y) <= 210


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_ticks_reach_over_what_is_shown(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert found[0] <= low + 1e-6 * abs(low)
    assert found[-1] >= low + span - 1e-6 * abs(low + span)
    assert 2 <= len(found) <= 11


def test_the_command_writes_the_page_beside_its_messages(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    config = tmp_path / "borderflow.toml"
    config.write_text(
        '[site]\ncountry = "CA"\nport = "0453"\n[[lane]]\nid = "C1"\ntraffic = "commercial"\n'
        '[[point]]\nname = "approach"\n[[point]]\nname = "booth"\n'
    )
    lines = []
    for number in range(60):
        for point, delay_s in (("approach", 0), ("booth", 300)):
            at = utc_text(START_NS + (number * 60 + delay_s) * 1_000_000_000)
            lines.append({"time": at, "lane": "C1", "point": point, "medium": "rfid", "id": f"E28{number:09d}"})
    lines.sort(key=lambda line: line["time"])
    file, page = tmp_path / "day.jsonl", tmp_path / "day.html"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    assert borderflow(["wait", "--config", str(config), str(file)]) == 0
    alone = capsysbinary.readouterr().out
    assert borderflow(["wait", "--config", str(config), "--report", str(page), str(file)]) == 0
    assert capsysbinary.readouterr().out == alone
    text = page.read_text(encoding="utf-8")
    assert "Inbound commercial" in text
    assert "Lane C1 (standard)" in text
    assert "E28" not in text
    assert borderflow(["wait", "--config", str(config), "--report", str(tmp_path / "no" / "x.html"), str(file)]) == 73
