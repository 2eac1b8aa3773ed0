"""`borderflow check`: what goes wrong quietly at a lane is named with its line, and its healthy neighbour is not."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from certificates import Authority
from hypothesis import given
from hypothesis import strategies as st

from drivers import registry
from drivers.base import Offer
from drivers.events import InputChange, SampleBlock
from edge.cli import main
from edge.commands.doctor import _disk, _Heard
from edge.config.file import load
from edge.config.lines import Lines, label
from edge.crossing import Crossing
from edge.delivery.identity import new_key
from edge.messages import Alarm

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "deploy/example.toml").read_text()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The shipped example with a key and without the certificates that nobody has here."""
    new_key(tmp_path / "identity.key")
    text = EXAMPLE.replace("/etc/borderflow/identity.key", str(tmp_path / "identity.key"))
    kept = [line for line in text.split("\n") if not line.startswith(("ca_file", "cert_file", 'key_file = "/etc'))]
    path = tmp_path / "lane.toml"
    path.write_text("\n".join(kept).replace("mqtts://collector", "mqtt://collector"))
    return path


def check(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status of `borderflow check` and all that it said."""
    status = main(["check", "--config", str(path)])
    said = capsys.readouterr()
    return status, said.out + said.err


def changed(path: Path, old: str, new: str) -> int:
    """Replace what stands once in the file; gives the line where it stands."""
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))
    return text[: text.index(old)].count("\n") + 1


def test_the_shipped_example_is_good(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = check(site, capsys)
    assert status == 0, said
    assert "good; 1 lane, 4 devices, 1 collector" in said
    assert [line.split(": ")[2] for line in said.splitlines() if line.startswith("borderflow check")] == ["point[exit]"]


@pytest.mark.parametrize(
    ("most_bytes", "disk_bytes", "exit_code"),
    [(100_000_000, 6_000_000, 78), (100_000_000, 200_000_000, 0), (8_000_000_000, 6_000_000, 0)],
    ids=["larger than its disk", "smaller than its disk", "nobody wrote it"],
)
def test_a_journal_that_its_disk_cannot_hold_is_told(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    most_bytes: int, disk_bytes: int, exit_code: int,
) -> None:  # fmt: skip
    changed(site, "max_bytes = 8_000_000_000", f"max_bytes = {most_bytes}")
    monkeypatch.setattr("edge.machine.disk.shutil.disk_usage", lambda path: SimpleNamespace(total=disk_bytes))
    status, said = check(site, capsys)
    assert status == exit_code
    assert ("store.max_bytes" in said and f"give at most {disk_bytes * 9 // 10}" in said) == (disk_bytes < most_bytes)


@pytest.mark.parametrize(("free", "result", "remedy"), [(30, "good", "ms"), (4, "fails", "make room")])
def test_doctor_says_what_is_wrong_with_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, result: str, remedy: str
) -> None:
    monkeypatch.setattr("edge.commands.doctor._SLOW_SYNC_S", 60.0)
    monkeypatch.setattr("edge.commands.doctor.shutil.disk_usage", lambda path: SimpleNamespace(total=100, free=free))
    _, said, text = _disk(tmp_path)
    assert said == result
    assert text.endswith(remedy)


def test_the_disk_of_another_computer_is_not_asked_for(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(site, "/var/lib/borderflow", str(site.parent / "not here"))
    status, said = check(site, capsys)
    assert (status, "store.max_bytes" in said) == (0, False)


WIM = "lane[C03].wim"
RIGHT, OF_LOOP = f"{WIM}.sensor[line2-right]", f"{WIM}.sensor[loop]"
LINE2 = 'name = "line2-right"\ntype = "strip"\nchannel = 3\nx_m = 1.2\ny_m = [1.75, 3.5]\nwidth_m = 0.053\ngain_n = 4.0'
LOOP = "channel = 4\nx_m = 0.6\nwidth_m = 2.0                   # its length along the lane\nthreshold_counts = 0 "
RATES = 'device = "daq"\nsample_rate_hz = 5000.0'
SCANS = 'scan_list = ["AIN0", "AIN1", "AIN2", "AIN3", "FIO0"]\nscan_rate_hz = 5000.0'
TAG = 'name = "tag-approach"\ndriver = "transcore_encompass"\nurl = "serial:///dev/serial/by-path/platform-port1?baud=9600"'
BROKER = 'url = "mqtt://collector.example:8883"'
PLATE = "serial:///dev/serial/by-path/platform-port2?baud=9600"


def turned(text: str, old: str, new: str) -> tuple[str, str, int]:
    """A change of `text`, and how many lines below its first one the changed one stands."""
    assert old in text
    return text, text.replace(old, new, 1), text[: text.index(old)].count("\n")


@pytest.mark.parametrize(
    ("change", "key", "cure"),
    [
        (turned(LINE2, "channel = 3", "channel = 5"), f"{RIGHT}.channel", "beyond the 5 channels"),
        (turned(LINE2, "channel = 3", "channel = 2"), f"{RIGHT}.channel", "used by 'line2-left'"),
        (turned(LINE2, "x_m = 1.2", "x_m = 120"), f"{RIGHT}.x_m", "not centimetres"),
        (turned(LINE2, "[1.75, 3.5]", "[175, 350]"), f"{RIGHT}.y_m", "not centimetres"),
        (turned(LINE2, "[1.75, 3.5]", "[1,75, 3,5]"), f"{RIGHT}.y_m", "a point, not a comma"),
        (turned(LINE2, "0.053", "5.3"), f"{RIGHT}.width_m", "not centimetres"),
        (turned(LINE2, "0.053", "53"), f"{RIGHT}.width_m", "or millimetres"),
        (turned(LINE2, "gain_n = 4.0", "gain_n = 40.0"), f"{RIGHT}.gain_n", "point in its place"),
        (turned(LINE2, "gain_n = 4.0", "gain_n = '4,0'"), f"{RIGHT}.gain_n", "without quotes"),
        (turned(LINE2, "channel = 3", "chanel = 3"), f"{RIGHT}.chanel", "`channel`?"),
        (turned(LOOP, "x_m = 0.6", "x_m = 60"), f"{OF_LOOP}.x_m", "from the lines"),
        (turned(LOOP, "x_m = 0.6", "x_m = -12.0"), f"{OF_LOOP}.x_m", "from the lines"),
        (turned(LOOP, "width_m = 2.0", "width_m = 200"), f"{OF_LOOP}.width_m", "not centimetres"),
        (turned(LOOP, "threshold_counts = 0", "threshold_counts = 500"), f"{OF_LOOP}.threshold_counts", "0"),
        (turned(LOOP, "channel = 4", "channel = 5"), f"{OF_LOOP}.channel", "beyond the 5 channels"),
        (turned(RATES, "5000.0", "5.0"), f"{WIM}.sample_rate_hz", "in hertz it may be 5000"),
        (turned(RATES, "5000.0", "4000.0"), f"{WIM}.sample_rate_hz", "5000 Hz"),
        (turned(RATES, '"daq"', '"dac"'), f"{WIM}.device", "did you mean 'daq'?"),
        (turned(RATES, '"daq"', '"io"'), f"{WIM}.device", "sends no samples"),
        (turned(RATES, "\n", '\ntemperature_device = "io"\n'), f"{WIM}.temperature_device", "no temperature"),
        (turned(SCANS, "scan_rate_hz", "scan_rat_hz"), "device[daq].options.scan_rat_hz", "`scan_rate_hz`?"),
        (turned(SCANS, '"FIO0"', '"AIN0"'), "device[daq].options.scan_list", "twice"),
        (turned(TAG, "platform-port1?", "platform-port2?"), "device[plate-booth].url", "by-path"),
        (turned(TAG, "transcore_encompass", "transcor_encompass"), "device[tag-approach].driver", "did you mean"),
        (turned('name = "booth-loop"', "booth-loop", "both-loop"), "device[io].input[both-loop].name", "'booth-loop'?"),
        (turned("url = \"tcp://192.0.2.20:502\"", "192.0.2.20", "${IO_HOST}"), "device[io].url", "${IO_HOST}"),
        (turned(BROKER, "collector.example", "${BROKER}"), "collector[national-ca].url", "${BROKER}"),
        (turned(BROKER, "collector.example", "<broker>"), "collector[national-ca].url", "<broker> was not filled in"),
        (turned('"America/Toronto"', "Toronto", "Detriot"), "site.timezone", "IANA"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_line(
    site: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str, int], key: str, cure: str
) -> None:
    old, new, below = change
    line = changed(site, old, new) + below
    if key == "device[plate-booth].url":
        line = site.read_text()[: site.read_text().rindex(PLATE)].count("\n") + 1
    if "\ntemperature" in new:
        line += 1
    status, said = check(site, capsys)
    assert status == 78, said
    told = [text for text in said.splitlines() if f"{site}:{line}: {key}: " in text]
    assert told, said
    assert cure in told[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("channel = 4\n", "channel = 4 # the last\n"),
        ("x_m = 0.6\n", "x_m = 3.5\n"),
        ("sample_rate_hz = 5000.0\n", "sample_rate_hz = 5000\n"),
        ("gain_n = 4.0\n[[lane.wim.sensor]]\nname = \"loop\"", "gain_n = -4.4\n[[lane.wim.sensor]]\nname = \"loop\""),
        ("threshold_counts = 0 ", "threshold_counts = 0.5 "),
        ('"booth-loop", "booth-open"]', '"booth-loop", "booth-open", "door"]'),
        ('url = "tcp://192.0.2.20:502"', 'url = "tcp://192.0.2.10:503"'),
        ("mode = \"loop\"  ", "temperature_device = \"thermometer\"\nmode = \"loop\"  "),
    ],
)  # fmt: skip
def test_the_healthy_neighbour_raises_nothing(
    site: Path, capsys: pytest.CaptureFixture[str], old: str, new: str
) -> None:
    changed(site, old, new)
    site.write_text(site.read_text() + THERMOMETER)
    status, said = check(site, capsys)
    expected = 78 if "temperature_device" not in new else 0  # else nothing uses the thermometer
    assert status == expected, said
    assert len([line for line in said.splitlines() if "device[thermometer]: nothing uses it" in line]) == (
        expected == 78
    )


THERMOMETER = """
[[device]]
name = "thermometer"
driver = "moxa_e1200"
url = "tcp://192.0.2.30"
options = { temperatures_c = ["pavement"] }
"""


@pytest.mark.parametrize(
    ("old", "new", "below", "cure"),
    [
        ("x_m = 0.6\n", "x_m = 0,6\n", 0, "decimal comma; TOML writes a point: 0.6"),
        ('port = "0453"', "port = 0453", 0, 'write a code in quotes: "0453"'),
        ('country = "CA"', "country = CA", 0, "without quotes"),
        ('country = "CA"', "country = \u201cCA\u201d", 0, "straight ones"),
        ('name = "Ambassador Bridge"', 'name = "Ambassador Bridge', 0, "second quote"),
        ("x_m = 0.6\n", "x_m = 0.6 m\n", 0, "write 0.6 alone"),
        ('mode = "loop" ', 'mode: "loop" ', 0, "colon"),
        ("[[device]]\nname = \"io\"", "[device]\nname = \"io\"", 0, "[[name]]"),
        ("x_m = 0.6\n", "x_m = 0.6\nx_m = 0.7\n", 1, "remove one of the two"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_toml_is_told_with_its_cure(
    site: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, below: int, cure: str
) -> None:
    line = changed(site, old, new) + below
    status, said = check(site, capsys)
    assert status == 78
    assert f"{site}:{line}: " in said, said
    assert cure in said


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_named(site: Path, capsys: pytest.CaptureFixture[str], encoding: str) -> None:
    site.write_bytes(site.read_text().encode(encoding))
    status, said = check(site, capsys)
    assert status == 78
    assert "byte-order mark; save it as UTF-8 without one" in said


def test_windows_line_ends_are_good_and_count_as_lines(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.write_bytes(site.read_bytes().replace(b"\n", b"\r\n"))
    assert check(site, capsys)[0] == 0
    site.write_bytes(site.read_bytes().replace(b"channel = 3\r\n", b"channel = 9\r\n"))
    assert f"{site}:{EXAMPLE[: EXAMPLE.index('channel = 3')].count(chr(10)) + 1}: lane" in check(site, capsys)[1]


# ---- lines that devices share -----------------------------------------------------------------------------------

SCALES = """
[site]
country = "CA"
port = "0453"
[[lane]]
id = "C03"
traffic = "commercial"
[lane.wim]
device = "one"
sample_rate_hz = 20.0
[[lane.wim.sensor]]
name = "plate"
type = "plate"
channel = 0
x_m = 0.0
width_m = 0.6
gain_n = 4.0
[[lane]]
id = "C04"
traffic = "commercial"
[lane.wim]
device = "two"
sample_rate_hz = 20.0
[[lane.wim.sensor]]
name = "plate"
type = "plate"
channel = 0
x_m = 0.0
width_m = 0.6
gain_n = 4.0
[[device]]
name = "one"
driver = "laumas_tlb"
url = "serial:///dev/serial/by-id/usb-485?baud=9600"
lane = "C03"
point = "wim"
options = { unit_id = 1 }
[[device]]
name = "two"
driver = "laumas_tlb"
url = "serial:///dev/serial/by-id/usb-485?baud=9600"
lane = "C04"
point = "wim"
options = { unit_id = 2 }
[[point]]
name = "wim"
"""


@pytest.fixture
def scales(tmp_path: Path) -> Path:
    path = tmp_path / "scales.toml"
    path.write_text(SCALES)
    new_key(tmp_path / "key")
    path.write_text(SCALES + f'[identity]\nkey_file = "{tmp_path}/key"\n')
    return path


def test_units_of_one_modbus_share_a_line(scales: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(scales, capsys)[0] == 0


def test_units_of_one_modbus_have_numbers_of_their_own(scales: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(scales, "unit_id = 2", "unit_id = 1")
    status, said = check(scales, capsys)
    assert status == 78
    assert "device[two].options.unit_id: 1 on /dev/serial/by-id/usb-485 is 'one' already" in said


def test_one_line_under_two_names_is_one(scales: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ttyUSB0").touch()
    for name in ("by-id", "by-path"):
        os.symlink(tmp_path / "ttyUSB0", tmp_path / name)
    text = scales.read_text()
    both = text.replace("/dev/serial/by-id/usb-485", f"{tmp_path}/by-id", 1)
    both = both.replace("/dev/serial/by-id/usb-485", f"{tmp_path}/by-path", 1)
    scales.write_text(both)
    status, said = check(scales, capsys)
    assert status == 78
    assert "device[two].url: is the line of 'one' under another name or setting; write path, baud, parity" in said
    scales.write_text(both.replace("laumas_tlb", "toledo_continuous").replace("unit_id = 1", "rate_hz = 20.0").replace(
        "unit_id = 2", "rate_hz = 20.0"))  # fmt: skip
    status, said = check(scales, capsys)
    assert status == 78
    assert f"({tmp_path}/by-id and {tmp_path}/by-path are one)" in said


def test_one_digitiser_for_two_lanes(scales: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(scales, 'device = "two"', 'device = "one"')
    status, said = check(scales, capsys)
    assert status == 78
    assert "lane[C04].wim.device: 'one' is the device of lane C03 already" in said


CAMERA = """
[[device]]
name = "{name}"
driver = "hikvision_isapi"
url = "http://0.0.0.0:8080/{path}"
lane = "C03"
point = "booth"
options = {{ cameras = [{cameras}] }}
"""


@pytest.mark.parametrize(
    ("second", "cameras", "status"),
    [
        ("b", ("", ""), 0),
        ("a", ('"192.0.2.1"', '"192.0.2.2"'), 0),
        ("a", ("", '"192.0.2.2"'), 78),
        ("a", ("", ""), 78),
        ("a/", ("", ""), 78),
    ],
)
def test_cameras_that_post_to_one_port(
    site: Path, capsys: pytest.CaptureFixture[str], second: str, cameras: tuple[str, str], status: int
) -> None:
    one = CAMERA.format(name="cam-1", path="a", cameras=cameras[0])
    two = CAMERA.format(name="cam-2", path=second, cameras=cameras[1])
    site.write_text(site.read_text() + one + two)
    got, said = check(site, capsys)
    assert got == status, said
    assert ("device[cam-2].url: http://0.0.0.0:8080/a is that of 'cam-1' already" in said) == (status == 78)


# ---- what nothing feeds, and what nobody gets --------------------------------------------------------------------


def without(text: str, begin: str) -> str:
    """The text without the [[device]] table whose name line is `begin`."""
    tables = text.split("\n[[device]]\n")
    return "\n[[device]]\n".join(table for table in tables if not table.startswith(begin))


def test_a_booth_that_nothing_feeds(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = site.read_text().replace(
        'name = "booth-loop"\nsignal = "loop"\npoint = "booth"', 'name = "booth-loop"\npoint = "exit"'
    )
    site.write_text(text)
    assert check(site, capsys)[0] == 0  # the plate reader is there
    head, tail = text.split('\n[[device]]\nname = "plate-booth"')
    site.write_text(head + tail[tail.index("\n# In the order") :])
    status, said = check(site, capsys)
    assert status == 78
    assert "point[booth]: no reader, no loop of a [[device.input]] and no digitiser stands there" in said


def test_a_point_that_nothing_feeds(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(site, '[[point]]\nname = "booth"', '[[point]]\nname = "scanner"\n[[point]]\nname = "booth"')
    status, said = check(site, capsys)
    assert status == 78
    assert "point[scanner]: " in said


def test_other_computers_may_stand_at_a_point(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(site, '[[point]]\nname = "booth"', '[[point]]\nname = "scanner"\n[[point]]\nname = "booth"')
    site.write_text(site.read_text() + '\n[site_exchange]\nrole = "match"\nurl = "mqtt://192.0.2.1"\n')
    assert check(site, capsys)[0] == 0


def test_the_daemon_starts_with_what_is_only_doubtful(site: Path) -> None:
    changed(site, '[[point]]\nname = "booth"', '[[point]]\nname = "scanner"\n[[point]]\nname = "booth"')
    assert load(site, live=True).point[2].name == "scanner"


def test_a_collector_without_vehicles_is_told_and_good(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = changed(site, 'share = ["vehicle", "wait", "flow", "status", "alarm"]', "")
    status, said = check(site, capsys)
    assert status == 0
    assert "collector[national-ca].share: gets no vehicles" in said
    changed(site, "protocol = 5", 'share = ["vehicle", "wait"]\nprotocol = 5')
    assert "gets no vehicles" not in check(site, capsys)[1]
    assert line > 1


def test_an_unusual_direction_is_told_and_good(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ".direction" not in check(site, capsys)[1]
    changed(site, 'direction = "inbound"', 'direction = "inbond"')
    status, said = check(site, capsys)
    assert status == 0
    assert "lane[C03].direction: 'inbond' is not inbound or outbound" in said


def test_a_loop_that_cuts_nothing_is_told_and_good(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(site, 'mode = "loop" ', 'mode = "gap" ')
    status, said = check(site, capsys)
    assert status == 0
    assert 'lane[C03].wim.mode: is "gap": vehicles are cut without the loop' in said


def test_more_lamps_than_booths(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(site, '"booth-open"]', '"booth-open", "booth-2-open"]')
    changed(
        site,
        'signal = "booth_open"\n',
        'signal = "booth_open"\n[[device.input]]\nname = "booth-2-open"\nsignal = "booth_open"\n',
    )
    status, said = check(site, capsys)
    assert status == 78
    assert "lane[C03].booths: is 1, but 2 inputs" in said
    changed(site, "booths = 1 ", "booths = 2 ")
    assert check(site, capsys)[0] == 0


def test_a_reader_without_a_lane(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(
        site, 'lane = "C03"\npoint = "booth"\n[device.options]\npreset', 'point = "booth"\n[device.options]\npreset'
    )
    status, said = check(site, capsys)
    assert status == 78
    assert "device[plate-booth].lane: is missing" in said


# ---- lines of keys ----------------------------------------------------------------------------------------------


def test_every_key_of_the_example_has_the_line_that_it_stands_in() -> None:
    lines = Lines(EXAMPLE, tomllib.loads(EXAMPLE))
    rows = EXAMPLE.split("\n")
    for key, wanted in {
        "site.port": 'port = "0453"',
        f"{WIM}.sensor[line2-left].x_m": "x_m = 1.2",
        f"{WIM}.sensor[line2-left].gain_n.none": "gain_n = 4.0",
        "device[io].options.inputs[#2]": "inputs = [",
        "device[io].input[booth-open].point": "[[device.input]]",
        "wait.baseline.FAST": "baseline =",
        "store.max_bytes": "max_bytes",
    }.items():
        line = lines.of(key)
        assert line is not None
        assert rows[line - 1].startswith(wanted), key
    assert lines.of("identities") is None


def test_names_and_keys_of_any_form() -> None:
    rows = [
        'a."b c".d = 1', "[x]", 'y = """', "[z]", '"""', "w = [", '  {name = "one", v = [1, 2,', " 3]},", "]",
        "[[p]]", 'id = "q.r"', "[p.s]", "t = 1979-05-27 07:32:00",
    ]  # fmt: skip
    text = "\n".join(rows)
    lines = Lines(text, tomllib.loads(text))
    wanted = {"a.b c.d": 1, "x.y": 3, "x.w[one].v[#3]": 8, "p[q.r].s.t": 13, "p[q.r].u": 10}
    assert {key: lines.of(key) for key in wanted} == wanted


VALUES = st.recursive(
    st.sampled_from(["1", "-2.5", "true", '"a # b"', "'c, ]'", '"""d\n"e" """', "'''f\n'''", "1979-05-27"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ",\n ".join(items) + "]")
        | st.lists(inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"k{i} = {v}" for i, v in enumerate(items)) + "}"
        )
    ),
    max_leaves=6,
)


@given(st.lists(st.tuples(st.sampled_from(["", "[t{}]\n", "[[u]]\n", "# x = 1\n", "\n"]), VALUES), max_size=6))
def test_a_key_is_found_where_it_stands_in_any_toml(parts: list[tuple[str, str]]) -> None:
    text, wanted = "", []
    for number, (head, value) in enumerate(parts):
        text += head.format(number)
        wanted.append((f"key{number}", text.count("\n") + 1))
        text += f"key{number} = {value}\n"
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # an inline table over several lines
    lines = Lines(text, table)
    for key, line in wanted:
        places = [path for path in _paths(table, "") if path == key or path.endswith(f".{key}")]
        assert [lines.of(path) for path in places] == [line]


def _paths(table: object, ahead: str) -> list[str]:
    if isinstance(table, dict):
        below = [(f"{ahead}.{name}" if ahead else name, item) for name, item in table.items()]
    elif isinstance(table, list):
        below = [(f"{ahead}[{label(item, index)}]", item) for index, item in enumerate(table)]
    else:
        return []
    return [path for key, item in below for path in (key, *_paths(item, key))]


# ---- what drivers say -------------------------------------------------------------------------------------------

NEEDED: dict[str, dict[str, Any]] = {
    "labjack_t7": {"scan_list": ["AIN0", "FIO1"], "scan_rate_hz": 2000.0},
    "dataq_cdc": {"scan_list": ["AIN0", "DI1"], "scan_rate_hz": 2000.0},
    "moxa_e1200": {"inputs": ["a", "", "b"], "relays": ["r"]},
    "adam_6000": {"inputs": ["a"], "outputs": ["o"]},
    "thingmagic_mercury": {"region": "NA"},
    "json_events": {"preset": "axis_lpv"},
    "camera_stream": {"maker": "dahua"},
    "sick_lms": {"height_m": 6.0},
}


@pytest.mark.parametrize("name", [name for name in registry.names() if name != "acme_rt1"])
def test_every_driver_of_ours_says_what_it_sends(name: str) -> None:
    driver = registry.find(name)
    url = {
        "serial": "/dev/ttyS0",
        "tcp": "tcp://192.0.2.1:9",
        "http": "http://0.0.0.0:80/",
        "chrony": "chrony://localhost",
    }
    offer = registry.create(name, "d", url[driver.schemes[0]], NEEDED.get(name, {})).offer()
    assert offer != Offer()
    assert offer.channels is not None
    assert (offer.rate_hz is not None) == (offer.channels > 0)
    assert offer.inputs is None or driver.reports <= offer.inputs
    if name in ("labjack_t7", "dataq_cdc"):
        assert (offer.channels, offer.digital, offer.rate_hz) == (2, frozenset({1}), 2000.0)
    if name == "moxa_e1200":
        assert offer.inputs == frozenset({"a", "b", "r"})


# ---- and where the device itself sends less ----------------------------------------------------------------------


def test_a_device_with_too_few_channels_is_an_alarm_and_nothing_worse(site: Path) -> None:
    crossing = Crossing(load(site), source="here", pseudonyms=None)

    def block(first_scan: int, channels: int) -> SampleBlock:
        samples = np.zeros((500, channels), np.int16)
        return SampleBlock("daq", first_scan * 200_000, 5000.0, 1, first_scan, 0, samples)

    told = [message for message in crossing.event(block(0, 4)) if isinstance(message, Alarm)]
    assert [(alarm.code, alarm.state, alarm.device, alarm.lane) for alarm in told] == [
        ("channels_missing", "begin", "daq", "C03")
    ]
    assert "daq: sends 4 channels, a sensor has channel 4" in told[0].text
    assert crossing.event(block(500, 4)) == []
    assert crossing.event(block(1000, 5)) == []
    ended = crossing.advance(31_000_000_000)
    assert [(alarm.code, alarm.state) for alarm in ended if isinstance(alarm, Alarm)] == [("channels_missing", "end")]


@pytest.mark.parametrize(
    ("inputs", "channels", "rate_hz", "said"),
    [
        ({"approach-loop", "booth-loop", "booth-open"}, 5, 5003.0, []),
        (set(), 5, 5000.0, []),
        (
            {"approach-loop", "booth-open"},
            5,
            5000.0,
            ["there is no input 'booth-loop'; it has approach-loop, booth-open"],
        ),
        (set(), 4, 5000.0, ["sends 4 channels, sensor 'loop' of lane C03 has channel 4"]),
        (set(), 5, 2500.0, ["samples at 2500 Hz, lane C03 says 5000 Hz"]),
    ],
)
def test_doctor_holds_the_configuration_against_what_a_device_says(
    site: Path, inputs: set[str], channels: int, rate_hz: float, said: list[str]
) -> None:
    config, heard = load(site), _Heard()
    for name in inputs:
        heard.take(InputChange("io", 0, name, False))
    heard.take(SampleBlock("daq", 0, rate_hz, 1, 0, 0, np.zeros((10, channels), np.int16)))
    devices = {device.name: device for device in config.device}
    assert [*heard.against(config, devices["io"]), *heard.against(config, devices["daq"])] == said


# ---- keys and certificates ---------------------------------------------------------------------------------------


@pytest.fixture
def secure(site: Path, tmp_path: Path) -> tuple[Path, Authority]:
    """The example with certificates, of a computer named lane-c03."""
    authority = Authority(tmp_path / "ca")
    made = authority.issue("lane-c03", valid_s=90 * 86_400.0)
    files = f'ca_file = "{authority.ca_file}"\ncert_file = "{made.cert_file}"\nkey_file = "{made.key_file}"\n'
    site.write_text(
        site.read_text()
        .replace("mqtt://collector", "mqtts://collector")
        .replace("protocol = 5", f"{files}protocol = 5")
    )
    return site, authority


def test_good_certificates_are_good(secure: tuple[Path, Authority], capsys: pytest.CaptureFixture[str]) -> None:
    status, said = check(secure[0], capsys)
    assert status == 0, said
    assert "cert_file" not in said


@pytest.mark.parametrize(("valid_s", "status", "said"), [(-3600.0, 78, "expired on"), (86_400.0 * 7, 0, "expires on")])
def test_the_end_of_a_certificate_is_told(
    secure: tuple[Path, Authority], capsys: pytest.CaptureFixture[str], valid_s: float, status: int, said: str
) -> None:
    path, authority = secure
    made = authority.issue("lane-c03", valid_s=valid_s, file="again")
    text = re.sub(r"cert_file = .*", f'cert_file = "{made.cert_file}"', path.read_text())
    path.write_text(re.sub(r"key_file = .*ca/.*", f'key_file = "{made.key_file}"', text))
    found, told = check(path, capsys)
    assert found == status, told
    assert f"collector[national-ca].cert_file: {made.cert_file} {said}" in told


def test_keys_that_cannot_be_used_are_named(secure: tuple[Path, Authority], capsys: pytest.CaptureFixture[str]) -> None:
    path, authority = secure
    other = authority.issue("lane-c03", valid_s=86_400.0 * 90, file="other")
    path.write_text(re.sub(r"key_file = .*ca/.*", f'key_file = "{other.key_file}"', path.read_text()))
    (path.parent / "identity.key").chmod(0o644)
    status, told = check(path, capsys)
    assert status == 78
    assert "collector[national-ca]: key_file" in told
    assert "does not belong to cert_file" in told
    assert "identity.key_file" in told
    assert "chmod 600" in told


def test_certificates_beside_a_url_without_tls(
    secure: tuple[Path, Authority], capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = secure
    changed(path, "mqtts://collector", "mqtt://collector")
    status, told = check(path, capsys)
    assert status == 78
    assert "collector[national-ca].url: is mqtt://, which uses no certificates" in told


def test_faults_come_in_the_order_of_the_file(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(site, 'country = "CA"', 'country = "Canada"')
    changed(site, LINE2, LINE2.replace("channel = 3", "channel = 9"))
    changed(site, "max_bytes = 8_000_000_000", "max_bytes = 1")
    lines = [int(text.split(":")[2]) for text in check(site, capsys)[1].splitlines()]
    assert len(lines) == 3
    assert lines == sorted(lines)
