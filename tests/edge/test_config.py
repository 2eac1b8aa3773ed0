"""Configurations: a good one is taken, every fault of a bad one is told with its key and a remedy."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import Config, ConfigError
from edge.config.file import load, load_trusted

GOOD = """
[site]
country = "CA"
port = "0453"
timezone = "America/Toronto"

[[lane]]
id = "C03"
traffic = "commercial"
[lane.wim]
sample_rate_hz = 5000
[[lane.wim.sensor]]
name = "line1"
type = "strip"
channel = 0
x_m = 0.0
width_m = 0.053
gain_n = 4.0
[[lane.wim.sensor]]
name = "line2"
type = "strip"
channel = 1
x_m = 1.0
width_m = 0.053
gain_n = 4.0

[[point]]
name = "approach"
[[point]]
name = "booth"
"""


def loop(threshold: float) -> str:
    """A loop over the lines, ahead of the first point."""
    return (
        '[[lane.wim.sensor]]\nname = "loop"\ntype = "loop"\nchannel = 2\nx_m = 0.5\nwidth_m = 2.0\n'
        f"threshold_counts = {threshold}\n\n[[point]]"
    )


def read(tmp_path: Path, text: str, *, live: bool = False) -> Config:
    path = tmp_path / "lane.toml"
    path.write_text(text)
    return load(path, live=live)


def faults(tmp_path: Path, text: str, *, live: bool = False) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, live=live)
    assert all(str(tmp_path / "lane.toml") in fault for fault in caught.value.faults)
    return caught.value.faults


def test_a_good_configuration_is_taken(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD)
    assert config.lane[0].wim is not None
    assert [sensor.channel for sensor in config.lane[0].wim.sensor] == [0, 1]
    assert config.lane[0].program == "standard"
    assert config.wait.interval_s == 60


@pytest.mark.parametrize(
    ("change", "key", "remedy"),
    [
        (("port =", "prt ="), "site.prt", "did you mean `port`?"),
        (("port =", "prt ="), "site.port", "is missing"),
        (('"commercial"', '"trucks"'), "lane[C03].traffic", "'commercial' or 'passenger' or 'bus'"),
        (("channel = 1", "channel = 0"), "lane[C03].wim.sensor[line2].channel", "give each sensor its own"),
        (("x_m = 1.0", "x_m = 0.005"), "lane[C03].wim.sensor[line2].x_m", "same place as 'line1'"),
        (("x_m = 1.0", "x_m = 0.052"), "lane[C03].wim.sensor[line2].x_m", "same place as 'line1'"),
        (("width_m = 0.053", "width_m = 0"), "lane[C03].wim.sensor[line1].width_m", "extent along the lane"),
        (("gain_n = 4.0", "gain_n = 0.0"), "lane[C03].wim.sensor[line1].gain_n", "newtons of one count"),
        (("gain_n = 4.0", "gain_n = 4e6"), "lane[C03].wim.sensor[line1].gain_n", "newtons of one count"),
        (("gain_n = 4.0", "gain_n = -4e-6"), "lane[C03].wim.sensor[line1].gain_n", "newtons of one count"),
        (("gain_n = 4.0", "gain_n = 4\ncoupling_tau_s = 1e-9"), "lane[C03].wim.sensor[line1].coupling_tau_s", "0.01"),
        (("[[point]]", loop(32767)), "lane[C03].wim.sensor[loop].threshold_counts", "-32768 .. 32767"),
        (("[[point]]", loop(-32769)), "lane[C03].wim.sensor[loop].threshold_counts", "-32768 .. 32767"),
        (("sample_rate_hz = 5000", 'sample_rate_hz = 5000\nmode = "loop"'), "lane[C03].wim.mode", "gap"),
        (("America/Toronto", "America/Winsor"), "site.timezone", "IANA"),
        (('country = "CA"', 'country = "Canada"'), "site.country", "CA, US or MX"),
        (('name = "booth"', 'name = "approach"'), "point[approach]", "two of this name"),
        (("[site]", "[wait]\ninterval_s = 7\n[site]"), "wait.interval_s", "60 or 300"),
        (
            ('name = "booth"', 'name = "booth"\nplates.error = 0.9'),
            "point[booth].plates.error",
            "share of characters misread",
        ),
        (
            ('name = "booth"', 'name = "booth"\nplates.confusion = { 8 = { B = 0.7, 3 = 0.4 } }'),
            "point[booth].plates.confusion.8",
            "more than 1",
        ),
        (
            ('name = "booth"', 'name = "booth"\nplates.confusion = { 88 = { B = 0.7 } }'),
            "point[booth].plates.confusion",
            "A-Z and 0-9",
        ),
        (
            ('name = "booth"', 'name = "booth"\nplates.confusion = { B = { B = 0.7 } }'),
            "point[booth].plates.confusion.B",
            "mistaken for",
        ),
        (("[site]", "this is no TOML [site]"), "", "not valid TOML"),
    ],
)
def test_a_fault_names_key_and_remedy(tmp_path: Path, change: tuple[str, str], key: str, remedy: str) -> None:
    told = faults(tmp_path, GOOD.replace(*change, 1))
    assert any(f": {key}" in fault and remedy in fault for fault in told), told


def test_what_is_rare_but_right_is_taken(tmp_path: Path) -> None:
    turned = GOOD.replace("gain_n = 4.0", "gain_n = -4.0\ncoupling_tau_s = 0.05").replace("x_m = 1.0", "x_m = 0.053")
    config = read(tmp_path, turned.replace("[[point]]", loop(-500.0), 1))
    assert config.lane[0].wim is not None
    assert config.lane[0].wim.sensor[2].threshold_counts == -500.0


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("port =", "prt =").replace("channel = 1", "channel = 0").replace("x_m = 1.0", 'x_m = "one"')
    told = "\n".join(faults(tmp_path, text))
    assert "site.prt" in told
    assert "site.port" in told
    assert "sensor[line2].x_m" in told


def test_a_missing_key_file_is_a_fault_of_the_daemon_alone(tmp_path: Path) -> None:
    text = GOOD + f'\n[identity]\nkey_file = "{tmp_path}/none.key"\n'
    read(tmp_path, text)
    told = faults(tmp_path, text, live=True)
    assert any("identity.key_file" in fault and "borderflow key" in fault for fault in told)


def test_a_device_must_exist_have_a_driver_and_a_place(tmp_path: Path) -> None:
    text = GOOD.replace("[lane.wim]", '[lane.wim]\ndevice = "daq"')
    text += '\n[[device]]\nname = "io"\ndriver = "moxa_e12000"\nurl = "tcp://127.0.0.1"\nlane = "C3"\npoint = "boot"\n'
    told = "\n".join(faults(tmp_path, text, live=True))
    assert "lane[C03].wim.device" in told
    assert "device[io].driver" in told
    assert "device[io].lane" in told
    assert "device[io].point" in told


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml")


@given(st.binary(max_size=200))
def test_any_bytes_give_a_configuration_or_faults(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("config") / "x.toml"
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        load(path)


@pytest.mark.parametrize("name", ["lane.bridge", "lane 3", "C03/x", "$SYS", "étage", "3+"])
@pytest.mark.parametrize(
    ("line", "key"), [('port = "0453"', "site.port"), ('timezone = "America/Toronto"', "site.source"), ('"C03"', "id")]
)
def test_a_name_that_a_broker_changes_is_refused_with_the_reason(
    tmp_path: Path, line: str, key: str, name: str
) -> None:
    changed = {
        "site.port": f'port = "{name}"', "site.source": f'{line}\nsource = "{name}"', "id": f'"{name}"'
    }[key]  # fmt: skip
    told = faults(tmp_path, GOOD.replace(line, changed))
    assert any(key in fault and "cannot stand in a topic" in fault and "dot" in fault for fault in told), told


def test_a_name_of_letters_digits_underscore_and_hyphen_is_taken(tmp_path: Path) -> None:
    text = GOOD.replace('port = "0453"', 'port = "0453-a_B"\nsource = "edge_1-N"').replace('"C03"', '"C_0-3"')
    assert read(tmp_path, text).site.source == "edge_1-N"


def test_what_follows_from_a_faulty_lane_is_not_told_as_well(tmp_path: Path) -> None:
    device = '[[device]]\nname = "tag"\ndriver = "transcore_encompass"\nurl = "serial:///dev/ttyUSB0"\nlane = "{}"\n'
    told = faults(tmp_path, GOOD.replace('traffic = "commercial"\n', "") + device.format("C03"))
    assert len(told) == 1
    assert "lane[C03].traffic" in told[0]
    told = faults(tmp_path, GOOD.replace('traffic = "commercial"\n', "") + device.format("C0"))
    assert len(told) == 2
    assert "no [[lane]] with id 'C0'" in told[1]


def test_a_site_that_only_weighs_needs_no_points(tmp_path: Path) -> None:
    weighs = GOOD[: GOOD.index("[[point]]")].replace("[lane.wim]", '[lane.wim]\ndevice = "daq"', 1)
    device = (
        '[[device]]\nname = "daq"\ndriver = "labjack_t7"\nurl = "tcp://127.0.0.1:502"\nlane = "C03"\n'
        '[device.options]\nscan_list = ["AIN0", "AIN1"]\nscan_rate_hz = 5000.0\n'
    )
    assert not read(tmp_path, weighs + device, live=True).point
    named = device.replace("[device.options]", 'point = "wim"\n[device.options]')
    assert any("point: there is none" in fault for fault in faults(tmp_path, weighs + named, live=True))


def test_halves_that_a_slip_put_on_two_lines_are_told(tmp_path: Path) -> None:
    left, right = "x_m = 0.0\ny_m = [0.0, 1.75]\n", "x_m = 0.05\ny_m = [1.75, 3.5]\n"
    halves = GOOD.replace("x_m = 0.0\n", left).replace("x_m = 1.0\n", right)
    path = tmp_path / "lane.toml"
    path.write_text(halves)
    assert any(
        "lane[C03].wim.sensor[line2].x_m: 0.05, and 0.0 of 'line1'" in note
        for note in load_trusted(path, None)[2].notes
    )
