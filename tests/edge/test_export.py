"""The shapes of the two public feeds: the words and strings of the authorities, and never 0 for unknown."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.centre.arrival import Row
from edge.centre.arrival import read as read_arrival
from edge.centre.sqlite_store import SqliteStore
from edge.cli import main as borderflow
from edge.config import Config, Device, Lane, Point
from edge.config import Site as SiteTable
from edge.messages import Experienced, Program, Site, Traffic, Wait, encode, parse_utc, stamped, topic_of, utc_text
from edge.reports import cbp as export_cbp
from edge.reports import cbsa as export_cbsa
from edge.reports.feeds import Board, Group, board_of

NOW_NS = parse_utc("2026-06-29T17:22:40Z")  # 13:22:40 in Detroit
MINUTE_NS = 60_000_000_000


def config_of(country: str = "US", **site: Any) -> Config:
    facts: dict[str, Any] = {"port": "380001", "name": "Detroit - Ambassador Bridge", "timezone": "America/Detroit"}
    lane = {"traffic": "commercial", "direction": "inbound"}
    return Config(
        site=SiteTable(country=country, **(facts | site)),
        lane=(
            Lane(id="C1", program="standard", booths=3, **lane),
            Lane(id="C2", program="standard", booths=2, **lane),
            Lane(id="C3", program="FAST", **lane),
            Lane(id="P1", traffic="passenger", program="standard", booths=8),
            Lane(id="P2", traffic="passenger", program="NEXUS"),
        ),
        point=(Point(name="approach", x_m=0.0), Point(name="booth", x_m=720.0)),
        device=(Device(name="tags", driver="transcore_encompass", url="tcp://192.0.2.1:1"),),
    )


def wait(
    lane: str = "_",
    traffic: Traffic | None = "commercial",
    program: Program | None = "standard",
    *,
    age_min: float = 1.0,
    expected_s: float | None = None,
    median_s: float | None = None,
    booths_open: int | None = None,
    country: str = "US",
    port: str = "380001",
    direction: str | None = None,
) -> Wait:
    return Wait(
        time=utc_text(NOW_NS - round(age_min * MINUTE_NS)),
        site=Site(country, port),
        lane=lane,
        source="edge-1",
        direction=direction,
        traffic=traffic,
        program=program,
        from_point="approach",
        to_point="booth",
        interval_s=60,
        experienced=Experienced(count=1, median_s=median_s, p10_s=None, p90_s=None, p95_s=None),
        expected_s=expected_s,
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
        booths_open=booths_open,
    )


def cbp(*waits: Wait, config: Config | None = None) -> Any:
    entry = json.loads(export_cbp.feed([board_of(config or config_of(), waits)], NOW_NS))[0]
    return entry


NOTHING = {"update_time": "", "delay_minutes": "", "lanes_open": ""}


def test_an_entry_has_the_keys_of_the_feed_and_strings_alone() -> None:
    entry = cbp(wait(expected_s=1860.0, booths_open=4), wait(traffic="passenger", program="NEXUS", expected_s=100.0))
    assert list(entry) == [
        *("port_number", "border", "port_name", "crossing_name", "hours", "date", "time", "port_status"),
        *("commercial_vehicle_lanes", "passenger_vehicle_lanes", "pedestrian_lanes"),
        *("construction_notice", "automation", "automation_enabled"),
    ]
    commercial, passenger, pedestrian = (
        entry[key] for key in ("commercial_vehicle_lanes", "passenger_vehicle_lanes", "pedestrian_lanes")
    )
    assert list(commercial) == [
        *("maximum_lanes", "cv_automation_type", "cv_segment_from", "cv_segment_to"),
        *("cv_standard_tolerance", "cv_fast_tolerance", "standard_lanes", "FAST_lanes"),
    ]
    assert list(passenger) == [
        *("maximum_lanes", "pv_automation_type", "pv_segment_from", "pv_segment_to", "pv_standard_tolerance"),
        *("pv_nexus_sentri_tolerance", "pv_ready_tolerance", "standard_lanes", "NEXUS_SENTRI_lanes", "ready_lanes"),
    ]
    assert list(pedestrian) == [
        *("maximum_lanes", "ped_automation_type", "ped_segment_from", "ped_segment_to"),
        *("ped_standard_tolerance", "ped_ready_tolerance", "standard_lanes", "ready_lanes"),
    ]
    assert all(isinstance(value, str) for value in _leaves(entry))
    assert entry["border"] == "Canadian Border"
    assert (entry["date"], entry["time"]) == ("6/29/2026", "13:22:40")
    assert (entry["port_name"], entry["crossing_name"]) == ("Detroit", "Ambassador Bridge")
    assert (commercial["maximum_lanes"], passenger["maximum_lanes"], pedestrian["maximum_lanes"]) == ("6", "9", "N/A")
    assert (commercial["cv_automation_type"], commercial["cv_segment_from"]) == ("RFID", "approach")
    assert commercial["standard_lanes"] == {
        "update_time": "At 1:21 pm EDT",
        "operational_status": "delay",
        "delay_minutes": "30",  # 31 minutes from the approach, one of which is the drive
        "lanes_open": "4",
    }
    assert passenger["NEXUS_SENTRI_lanes"]["operational_status"] == "no delay"
    assert passenger["NEXUS_SENTRI_lanes"]["delay_minutes"] == "1"
    assert passenger["NEXUS_SENTRI_lanes"]["lanes_open"] == ""  # nobody said how many
    assert passenger["standard_lanes"] == NOTHING | {"operational_status": "Update Pending"}
    assert passenger["ready_lanes"] == pedestrian["standard_lanes"] == NOTHING | {"operational_status": "N/A"}


def _leaves(value: Any) -> list[Any]:
    return [leaf for item in value.values() for leaf in _leaves(item)] if isinstance(value, dict) else [value]


@pytest.mark.parametrize(
    ("utc", "zone", "text"),
    [
        ("2022-06-29T17:00:00Z", "America/Los_Angeles", "At 10:00 am PDT"),
        ("2022-06-29T16:00:00Z", "America/New_York", "At Noon EDT"),
        ("2022-06-29T17:00:00Z", "America/Phoenix", "At 10:00 am MST"),
        ("2022-06-29T17:22:59Z", "America/New_York", "At 1:22 pm EDT"),
        ("2022-01-01T06:00:00Z", "America/Chicago", "At Midnight CST"),
        ("2022-01-01T06:30:00Z", "America/Chicago", "At 12:30 am CST"),
    ],
)
def test_times_are_those_of_the_port(utc: str, zone: str, text: str) -> None:
    assert export_cbp.update_time(parse_utc(utc), ZoneInfo(zone)) == text


@pytest.mark.parametrize(
    ("wait_s", "minutes", "word"),
    [
        (0.0, "0", "no delay"),
        (29.9, "0", "no delay"),
        (30.0, "1", "no delay"),
        (450.0, "8", "no delay"),
        (569.0, "9", "no delay"),
        (570.0, "10", "delay"),
        (8400.0, "140", "delay"),
    ],
)
def test_minutes_are_rounded_and_named(wait_s: float, minutes: str, word: str) -> None:
    found = export_cbp.lane_object(Group("known", wait_s, 2, NOW_NS), ZoneInfo("America/Detroit"))
    assert (found["delay_minutes"], found["operational_status"]) == (minutes, word)


def test_stale_expired_closed_and_unknown_are_words_and_never_0() -> None:
    def standard(*waits: Wait) -> dict[str, str]:
        found: dict[str, str] = cbp(*waits)["commercial_vehicle_lanes"]["standard_lanes"]
        return found

    pending = NOTHING | {"operational_status": "Update Pending"}
    assert standard(wait(expected_s=0.0, age_min=14.9))["delay_minutes"] == "0"
    for silent in (
        wait(expected_s=0.0, age_min=15.1),
        wait(expected_s=0.0, age_min=121.0),
        wait(expected_s=0.0, age_min=-10.0),
        wait(expected_s=None),
    ):
        assert standard(silent) == pending
    assert standard(wait(expected_s=600.0, age_min=30.0), wait(expected_s=None, age_min=1.0)) == pending
    assert standard(wait(expected_s=None, median_s=1260.0))["delay_minutes"] == "20"
    assert standard(wait(booths_open=0)) == NOTHING | {"operational_status": "Lanes Closed"}
    assert standard(wait(booths_open=0, age_min=20.0)) == pending
    closed = [wait(traffic=t, program=p, booths_open=0) for t, p in _ROWS]
    assert cbp(*closed)["port_status"] == "Closed"
    assert cbp(*closed[:-1])["port_status"] == "Open"


_ROWS: list[tuple[Traffic, Program]] = [
    ("commercial", "standard"),
    ("commercial", "FAST"),
    ("passenger", "standard"),
    ("passenger", "NEXUS"),
]


def test_the_latest_message_counts_whatever_the_order() -> None:
    waits = [wait(expected_s=60.0 * minutes, age_min=age) for minutes, age in ((11, 3), (31, 1), (21, 2))]
    for order in (waits, waits[::-1]):
        assert cbp(*order)["commercial_vehicle_lanes"]["standard_lanes"]["delay_minutes"] == "30"


def test_the_other_direction_does_not_count() -> None:
    config = config_of()
    out = msgspec.structs.replace(config.lane[1], direction="outbound")
    lanes = (config.lane[0], out, *config.lane[2:])
    config = msgspec.structs.replace(config, lane=lanes)
    bound = (wait(direction="inbound", expected_s=660.0), wait(direction="outbound", expected_s=6660.0))
    for each in (bound, bound[::-1]):
        assert cbp(*each, config=config)["commercial_vehicle_lanes"]["standard_lanes"]["delay_minutes"] == "10"
        assert export_cbsa.row(board_of(config, each), NOW_NS)[3:5] == ["110 minutes", "10 minutes"]
    both = (wait(expected_s=3660.0), wait("C1", expected_s=660.0), wait("C2", expected_s=6660.0))
    assert cbp(*both, config=config)["commercial_vehicle_lanes"]["standard_lanes"]["delay_minutes"] == "10"
    assert export_cbsa.row(board_of(config, both), NOW_NS)[3:5] == ["110 minutes", "10 minutes"]


def test_the_border_is_told_or_asked_for() -> None:
    assert export_cbp.border_of(config_of("CA")) == "Canadian Border"
    ready = Config(
        site=SiteTable(country="US", port="250401"), lane=(Lane(id="1", traffic="passenger", program="READY"),)
    )
    assert export_cbp.border_of(ready) == "Mexican Border"
    plain = msgspec.structs.replace(ready, lane=(Lane(id="1", traffic="passenger"),))
    with pytest.raises(ValueError, match="--border"):
        export_cbp.border_of(plain)


HEADER = (
    "Customs Office;; Location;; Last updated;; Commercial Flow - Canada bound;; Commercial Flow - U.S. bound;; "
    "Travellers Flow - Canada bound;; Travellers Flow - U.S. bound;;"
)


def test_the_cbsa_file() -> None:
    config = config_of("CA", port="0453", name="Ambassador Bridge", location="Windsor, ON/Detroit, MI")
    at = {"country": "CA", "port": "0453"}
    board = board_of(
        config,
        [wait(expected_s=120.0, age_min=2.0, **at), wait(traffic="passenger", expected_s=1620.0, **at)],
    )
    text = export_cbsa.feed([board], NOW_NS)
    assert text.encode().startswith(b"\xef\xbb\xbfCustoms Office;; ")
    head, line, rest = text.removeprefix("\ufeff").split("\n")
    assert head == HEADER
    assert line == (
        "Ambassador Bridge;; Windsor, ON/Detroit, MI;; 2026-06-29 13:21 EDT;; 1 minute;; Not Applicable;; "
        "26 minutes;; Not Applicable;; "
    )
    assert rest == ""


def test_the_words_of_cbsa() -> None:
    def say(*waits: Wait) -> list[str]:
        return export_cbsa.row(board_of(config_of("CA"), waits), NOW_NS)[2:]

    here = {"country": "CA"}
    assert say() == ["--", "--", "Not Applicable", "--", "Not Applicable"]
    assert say(wait(expected_s=60.0, **here))[1] == "No Delay"
    assert say(wait(booths_open=0, **here))[1] == "Closed"
    assert say(wait(expected_s=60.0, age_min=16.0, **here))[:2] == ["2026-06-29 13:06 EDT", "--"]
    assert say(wait(expected_s=60.0, age_min=125.0, **here))[:2] == ["--", "--"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(_ROWS),
            st.none() | st.floats(0, 1e5),
            st.none() | st.floats(0, 1e5),
            st.floats(-10, 200),
            st.none() | st.integers(0, 20),
        ),
        max_size=8,
    )
)
def test_whatever_comes_the_words_are_those_of_the_feeds(
    rows: list[tuple[tuple[Traffic, Program], float | None, float | None, float, int | None]],
) -> None:
    board = Board(config_of())
    for (traffic, program), expected_s, median_s, age_min, booths in rows:
        board.take(
            wait("_", traffic, program, expected_s=expected_s, median_s=median_s, age_min=age_min, booths_open=booths)
        )
    entry = json.loads(export_cbp.feed([board], NOW_NS))[0]
    for group in ("commercial_vehicle_lanes", "passenger_vehicle_lanes", "pedestrian_lanes"):
        for lane in entry[group].values():
            if isinstance(lane, dict):
                word = lane["operational_status"]
                assert word in {"no delay", "delay", "N/A", "Lanes Closed", "Update Pending"}
                known = word in {"no delay", "delay"}
                assert known == lane["delay_minutes"].isdecimal() == lane["update_time"].startswith("At ")
    for value in export_cbsa.row(board, NOW_NS)[3:]:
        assert (
            value in {"No Delay", "Closed", "Not Applicable", "--", "1 minute"}
            or int(value.removesuffix(" minutes")) > 1
        )


# ---- the command -------------------------------------------------------------------------------------------------

TOML = """
[site]
country = "US"
port = "380001"
name = "Detroit - Ambassador Bridge"
timezone = "America/Detroit"
hours = "24 hrs/day"
[[lane]]
id = "C1"
traffic = "commercial"
"""
AT = ["--at", "2026-06-29T17:22:40Z"]


@pytest.fixture
def config_file(tmp_path: Path) -> str:
    file = tmp_path / "borderflow.toml"
    file.write_text(TOML)
    return str(file)


def test_the_command_reads_a_file_or_standard_input(
    config_file: str, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = b"\n".join([encode(wait(expected_s=1200.0)), b'{"schema": "borderflow/flow/1"}', b""])
    file = tmp_path / "waits.jsonl"
    file.write_bytes(lines)
    base = ["export", "--config", config_file, *AT]
    assert borderflow([*base, "--format", "cbp", "--border", "canadian", str(file)]) == 0
    from_file = capsysbinary.readouterr().out
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(lines)))
    assert borderflow([*base, "--format", "cbp", "--border", "canadian"]) == 0
    assert capsysbinary.readouterr().out == from_file
    entry = json.loads(from_file)[0]
    assert entry["commercial_vehicle_lanes"]["standard_lanes"]["delay_minutes"] == "20"
    assert entry["hours"] == "24 hrs/day"
    assert borderflow([*base, "--format", "cbsa", str(file)]) == 0
    assert capsysbinary.readouterr().out.startswith(b"\xef\xbb\xbf")


def test_bad_input_is_named(config_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["export", "--config", config_file, "--format", "cbsa"]
    file = tmp_path / "waits.jsonl"
    file.write_bytes(b"\xff\n[]\n{}\n" + b"[" * 5000 + b"\n" + encode(wait(expected_s=1.0, port="9")) + b"\n")
    assert borderflow([*base, str(file)]) == 65
    err = capsys.readouterr().err
    assert all(f"line {n}: is no wait message" in err for n in (1, 2, 3, 4))
    assert "1 messages are of other crossings" in err
    assert "holds no wait message of this crossing" in err
    assert borderflow([*base, str(tmp_path / "none")]) == 65
    assert borderflow([*base, "--at", "noon", str(file)]) == 2
    file.write_bytes(encode(wait(expected_s=1.0)) + b"\n")
    assert borderflow(["export", "--config", config_file, "--format", "cbp", str(file)]) == 2
    assert "give --border" in capsys.readouterr().err


def test_cbsa_in_french_says_what_the_french_file_says() -> None:
    config = config_of("CA", name="Pont Ambassador", location="Windsor, ON/Detroit, MI")
    board = board_of(config, [wait(country="CA", expected_s=1560.0), wait("_", "passenger", "NEXUS", country="CA")])
    head, line = export_cbsa.feed([board], NOW_NS, "fr").splitlines()
    assert head.startswith(
        "\ufeffBureau de l'ASFC;; Emplacement;; Mis à jour;; Débit / Expéditions commerciales - Vers le"
    )
    assert line.startswith(
        "Pont Ambassador;; Windsor, ON/Detroit, MI;; 2026-06-29 13:21 HAE;; 25 minutes;; Ne s'applique pas;;"
    )


@pytest.mark.parametrize(
    ("state", "words"),
    [(Group("none"), "Ne s'applique pas"), (Group("closed"), "Fermé"), (Group("known", 10.0), "Aucun délai"),
     (Group("known", 60.0), "1 minute"), (Group("unknown"), "--")],
)  # fmt: skip
def test_the_words_of_the_french_file(state: Group, words: str) -> None:
    assert export_cbsa.value(state, "fr") == words


@pytest.mark.parametrize(
    ("zone", "time", "name"),
    [("America/Halifax", "2026-06-29T12:00Z", "HAA"), ("America/Winnipeg", "2026-01-29T12:00Z", "HNC"),
     ("America/Edmonton", "2026-06-29T12:00Z", "HAR"), ("UTC", "2026-06-29T12:00Z", "UTC")],
)  # fmt: skip
def test_time_zones_in_french(zone: str, time: str, name: str) -> None:
    board = board_of(config_of("CA", timezone=zone), [wait(country="CA", expected_s=60.0)])
    board_time = parse_utc(time)
    moved = msgspec.structs.replace(wait(country="CA", expected_s=60.0), time=utc_text(board_time))
    board.take(moved)
    assert export_cbsa.row(board_of(board.config, [moved]), board_time, "fr")[2].endswith(f" {name}")


def test_a_feed_from_the_database_of_the_centre(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        '[site]\ncountry = "US"\nport = "3004"\nname = "Blaine - Pacific Highway"\ntimezone = "America/Los_Angeles"\n'
        '[[lane]]\nid = "C1"\ntraffic = "commercial"\n'
    )
    store, made = SqliteStore(tmp_path / "c.db"), wait(port="3004", expected_s=1320.0, direction="inbound")
    row = read_arrival(topic_of(made), encode(stamped(made, id="1", epoch="e", seq=1)), NOW_NS)
    assert isinstance(row, Row)
    store.write([row], [], utc_text(NOW_NS))
    store.close()
    at = utc_text(NOW_NS)
    args = [
        "export",
        "--config",
        str(config),
        "--format",
        "cbp",
        "--border",
        "canadian",
        "--database",
        str(tmp_path / "c.db"),
    ]
    assert borderflow([*args, "--at", at]) == 0
    (entry,) = json.loads(capsysbinary.readouterr().out)
    assert entry["commercial_vehicle_lanes"]["standard_lanes"]["delay_minutes"] == "22"
    assert borderflow([*args, "--at", "2026-06-30T12:00:00Z"]) == 65
