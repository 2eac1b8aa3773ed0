"""What an integrator types, and the configuration that comes of it."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config.file import load
from edge.delivery.identity import new_key
from edge.init.answers import Answers, DeviceAnswer, LaneAnswer, meaning_of, points_of
from edge.init.array import Array, arrays_of
from edge.init.write import configuration


def test_a_line_of_strips_is_one_answer() -> None:
    array = Array.of("0 1.2, 2.9 4.1 halves loop 2.0x2.4")
    sensors = array.sensors()
    assert [(s["name"], s["channel"], s["x_m"]) for s in sensors[:3]] == [
        ("line1-left", 0, 0.0), ("line1-right", 1, 0.0), ("line2-left", 2, 1.2)
    ]  # fmt: skip
    assert (len(sensors), sensors[-1]["x_m"], sensors[-1]["width_m"]) == (9, 2.0, 2.4)
    assert array.scan_list() == [*(f"AIN{n}" for n in range(8)), "FIO0"]
    assert [s["y_m"] for s in Array.of("0 1 whole").sensors()] == [[0.0, 3.5]] * 2


@pytest.mark.parametrize("text", ["", "left right", "1.2 0", "0 0", "0 120 290 410", "0 1,2x", "loop 2x2"])
def test_what_is_no_array_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="array"):
        Array.of(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("C03", LaneAnswer("C03")),
        ("C03 fast OUTBOUND", LaneAnswer("C03", program="FAST", direction="outbound")),
        ("P1 passenger nexus", LaneAnswer("P1", "passenger", "NEXUS")),
    ],
)
def test_lanes(text: str, wanted: LaneAnswer) -> None:
    assert LaneAnswer.of(text) == wanted


@pytest.mark.parametrize("text", ["", "C.03", "C03 truck", "C 03 x"])
def test_what_is_no_lane_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="lane"):
        LaneAnswer.of(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("tcp://192.0.2.1:502", DeviceAnswer("tcp://192.0.2.1:502")),
        ("/dev/ttyUSB0", DeviceAnswer("serial:///dev/ttyUSB0")),
        ("llrp=tcp://r@C03/booth", DeviceAnswer("tcp://r", "llrp", "C03", "booth")),
        (
            "serial:///dev/ttyUSB0?baud=9600@C03/approach",
            DeviceAnswer("serial:///dev/ttyUSB0?baud=9600", None, "C03", "approach"),
        ),
        (
            "tcp://h;inputs=a,b;unit_id=3;poll_hz=2.5;x=y",
            DeviceAnswer("tcp://h", options={"inputs": ["a", "b"], "unit_id": 3, "poll_hz": 2.5, "x": "y"}),
        ),
    ],
)  # fmt: skip
def test_devices(text: str, wanted: DeviceAnswer) -> None:
    assert DeviceAnswer.of(text) == wanted


@given(st.text())
def test_any_word_is_a_device_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert DeviceAnswer.of(text).url


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("c02-approach-loop", ("loop", "C02", "approach")),
        ("booth-open", ("booth_open", "C01", "booth")),
        ("C02_lamp", ("booth_open", "C02", "booth")),
        ("us-c1-booth-loop", ("loop", "US-C1", "booth")),  # not the shorter C1
        ("c1-booth-loop", ("loop", "C1", "booth")),
        ("input3", None),
        ("door-loop", None),
    ],
)
def test_what_an_input_means_follows_from_its_name(name: str, wanted: tuple[str, str, str] | None) -> None:
    found = meaning_of(name, ["C01", "C02", "C1", "US-C1"], ["approach", "booth"], "C01")
    assert (found and (found.signal, found.lane, found.point)) == wanted


def test_points() -> None:
    assert [(p.name, p.x_m) for p in points_of("approach 0, wim 250.5, booth")] == [
        ("approach", 0.0), ("wim", 250.5), ("booth", None)
    ]  # fmt: skip
    with pytest.raises(ValueError, match="points"):
        points_of("approach zero")


def written(tmp_path: Path, *devices: DeviceAnswer, **more: object) -> Path:
    new_key(tmp_path / "identity.key")
    told = Answers(
        country="CA", port="0453", lanes=(LaneAnswer("C01"), LaneAnswer("C02", program="FAST")), name='Bridge "A"',
        array=Array.of("0 1.2 2.9 4.1 halves loop 2.0x2.0"), key_file=str(tmp_path / "identity.key"),
        collector="mqtt://localhost", store=str(tmp_path), **more,
    )  # type: ignore[arg-type]  # fmt: skip
    path = tmp_path / "borderflow.toml"
    path.write_text(configuration(told, devices))
    return path


def test_the_file_is_good_and_says_why(tmp_path: Path) -> None:
    weigh = {"scan_list": Array.of("0 1.2 2.9 4.1 halves loop 2.0x2.0").scan_list(), "scan_rate_hz": 5000.0}
    path = written(
        tmp_path,
        DeviceAnswer("tcp://192.0.2.1", "labjack_t7", options=weigh),
        DeviceAnswer("tcp://192.0.2.2", "labjack_t7", options=weigh),
        DeviceAnswer(
            "tcp://192.0.2.3", "moxa_e1200", options={"inputs": ["c01-approach-loop", "c01-booth-open", "spare"]}
        ),
        DeviceAnswer("serial:///dev/ttyUSB0", "transcore_encompass", "C02", "approach"),
        DeviceAnswer("serial:///dev/ttyUSB1", "transcore_encompass", "C02", "booth"),
        DeviceAnswer("tcp://127.0.0.1:2947", "gpsd"),
    )
    config = load(path, live=True)
    assert [lane.wim.device for lane in config.lane if lane.wim] == ["daq-c01", "daq-c02"]
    io = next(device for device in config.device if device.driver == "moxa_e1200")
    assert [(i.name, i.signal, i.lane, i.point) for i in io.input] == [
        ("c01-approach-loop", "loop", "C01", "approach"), ("c01-booth-open", "booth_open", "C01", "booth")
    ]  # fmt: skip
    assert len({device.name for device in config.device}) == len(config.device)
    assert config.site.name == 'Bridge "A"'
    text = path.read_text()
    assert all(word in text for word in ("# The array.", "# The secret of the pseudonyms", "# In the order"))


def test_lanes_may_have_an_array_of_their_own_and_two_booths(tmp_path: Path) -> None:
    new_key(tmp_path / "identity.key")
    arrays = arrays_of("C05: 0 1.0 2.6 3.9 halves loop 1.9x2.2; P11: 0 1.0 whole; P1: plate 0.8 loop 0x2.0")
    told = Answers(
        country="US", port="2304", lanes=tuple(map(LaneAnswer, ("C05", "P11", "P1", "C06"))), arrays=arrays,
        key_file=str(tmp_path / "identity.key"), store=str(tmp_path),
    )  # fmt: skip
    guess = {"scan_list": arrays["C05"].scan_list(), "scan_rate_hz": 5000.0}
    lamps = {"inputs": ["c06-booth0-open", "c06-booth1-open"]}
    devices = [
        DeviceAnswer("tcp://192.0.2.1", "labjack_t7", options=guess),
        DeviceAnswer("tcp://192.0.2.2", "labjack_t7", "P11", options=guess),
        DeviceAnswer("serial:///dev/ttyS1?baud=115200", "scaime_enod4", "P1", options={"rate_hz": 800.0}),
        DeviceAnswer("tcp://192.0.2.3", "moxa_e1200", options=lamps),
    ]
    path = tmp_path / "borderflow.toml"
    path.write_text(configuration(told, devices))
    config = load(path, live=True)
    weighed = {lane.id: lane.wim for lane in config.lane}
    assert weighed["C06"] is None
    assert config.lane[3].booths == 2
    strips, whole, plate = weighed["C05"], weighed["P11"], weighed["P1"]
    assert strips is not None
    assert whole is not None
    assert plate is not None
    assert (len(strips.sensor), strips.mode) == (9, "loop")
    assert (len(whole.sensor), whole.mode) == (2, "gap")
    assert [(s.type, s.channel, s.width_m) for s in plate.sensor] == [("plate", 0, 0.8), ("loop", 1, 2.0)]
    assert (plate.device, plate.sample_rate_hz, plate.sensor[0].gain_n) == ("daq-p1", 800.0, 9.80665)


@pytest.mark.parametrize("text", ["C 5: 0 1", "C05: plate", "C05: plate 0.8 1.2", "C05: ; P1: 0 1"])
def test_what_is_no_array_of_a_lane_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="array"):
        arrays_of(text)


def test_an_input_module_without_a_meaning_waits_as_a_comment(tmp_path: Path) -> None:
    path = written(tmp_path, DeviceAnswer("tcp://192.0.2.3", "moxa_e1200", options={"inputs": ["input0", "input1"]}))
    assert load(path, live=True).device == ()
    commented = [
        line[2:] for line in path.read_text().splitlines() if line.startswith("# ") and ("=" in line or "[[" in line)
    ]
    assert tomllib.loads("\n".join(line for line in commented if "Name its" not in line and "take the #" not in line))
