"""Scenarios: those shipped load, and what is wrong with others is said with file and key."""

from __future__ import annotations

import re

import pytest

from firmware_sim.scenario import ScenarioError
from firmware_sim.scenario.file import load, parse, shipped

GOOD = """
[site]
country = "CA"
port = "0453"
[[point]]
name = "approach"
x_m = 0
[[point]]
name = "wim"
x_m = 50
[[point]]
name = "booth"
x_m = 90
[[point]]
name = "exit"
x_m = 110
[[lane]]
id = "A"
[lane.wim]
layout = { lines_x_m = [0.0, 1.0], loop_x_m = 0.5 }
[[device]]
name = "lpr"
kind = "lpr_frame"
endpoint = "pty"
lane = "A"
point = "booth"
[[device]]
name = "daq"
kind = "labjack_t7"
endpoint = "tcp"
lane = "A"
point = "wim"
[[fault]]
at_s = 10
for_s = 5
device = "lpr"
kind = "bit_flips"
rate = 0.1
"""


@pytest.mark.parametrize("name", shipped())
def test_shipped_scenarios_load(name: str) -> None:
    scenario = load(name)
    assert scenario.name == name
    assert scenario.lane


def test_layout_is_written_out_and_fault_options_are_gathered() -> None:
    scenario = parse(GOOD)
    wim = scenario.lane[0].wim
    assert wim is not None
    assert [sensor.name for sensor in wim.sensor] == [
        "line1-left", "line1-right", "line2-left", "line2-right", "loop",
    ]  # fmt: skip
    assert [sensor.channel for sensor in wim.sensor] == [0, 1, 2, 3, 4]
    assert scenario.fault[0].options == {"rate": 0.1}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('country = "CA"', "country = 3", r"my\.toml: site\.country: .*str"),
        ('id = "A"', 'id = "A"\ncolour = "red"', r"my\.toml: lane\[0\]: .*colour"),
        ('kind = "lpr_frame"', 'kind = "camera"', r"my\.toml: device\[0\]\.kind"),
        ('point = "booth"', 'point = "both"', r"my\.toml: device\[0\]\.point: no point 'both'; there are"),
        ('lane = "A"', 'lane = "B"', r"my\.toml: device\[0\]\.lane: no lane 'B'"),
        ('name = "exit"', 'name = "booth"', r"my\.toml: point: 'booth' is there 2 times"),
        ("x_m = 110", "x_m = 10", r"my\.toml: point: list the points in the order of x_m"),
        ('device = "lpr"', 'device = "rpl"', r"my\.toml: fault\[0\]\.device: no device 'rpl'; there are daq, lpr"),
        ("at_s = 10", "at_s = -10", r"my\.toml: fault\[0\]: at_s"),
        ('device = "lpr"', 'device = "lpr"\ninput = "x"', r"my\.toml: fault\[0\]\.input: 'x' is no input of lpr"),
        (
            'device = "lpr"',
            'device = "daq"\nchannel = 9',
            r"my\.toml: fault\[0\]\.channel: \[9\] is no channel of lane A; there are 0 \.\. 4",
        ),
        ('endpoint = "pty"', 'endpoint = "usb"', r"my\.toml: device\[0\]\.endpoint: 'usb'; allowed"),
        ('id = "A"', 'id = "A"\nflow = { mix = { lorry = 1.0 } }', r"my\.toml: lane\[0\]\.flow\.mix: .*'lorry'"),
        (
            'id = "A"',
            'id = "A"\nflow = { initial = 1, first = { x_m = 1.0, speed_mps = 5.0, kind = "lorry" } }',
            r"lane\[0\]\.flow\.first\.kind: .*'lorry'",
        ),
        (
            'id = "A"',
            'id = "A"\nflow = { first = { x_m = 1.0, speed_mps = 5.0 } }',
            r"lane\[0\]\.flow\.first: is one of the initial ones",
        ),
        ('id = "A"', 'id = "A"\nflow = { per_hour = [1.0, 2.0] }', r"lane\[0\]\.flow\.per_hour: 2 values"),
        ("lines_x_m = [0.0, 1.0], loop_x_m = 0.5", "lines_x_m = []", r"lane\[0\]\.wim: give either layout or sensor"),
        ("[site]", "[site", r"my\.toml: not valid TOML"),
    ],
)
def test_faults_name_file_and_key(old: str, new: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(ScenarioError) as caught:
        parse(GOOD.replace(old, new), "my.toml")
    assert re.search(says, str(caught.value)), caught.value


def test_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(ScenarioError, match="fast-and-standard"):
        load("no-such-thing")
