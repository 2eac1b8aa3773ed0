"""Lanes without a loop, cut by a laser scanner: its presence plays the loop's part, however late it is told."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from drivers.events import DeviceState, InputChange, LinkState, Measurement, SampleBlock
from edge import config as cfg
from edge.config.file import ConfigError, load
from edge.crossing import Crossing
from edge.messages import Vehicle
from edge.weighing.lane import LanePipeline
from edge.weighing.recording import blocks, open_recording
from firmware_sim.cli import main as simulate

RATE_HZ = 5000.0
START_NS = 1_795_500_000_000_000_000


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[cfg.Config, cfg.Lane, npt.NDArray[np.int16]]:
    """A lane whose last channel is a loop as short as a scanner's plane."""
    folder = tmp_path_factory.mktemp("plane")
    scenario = folder / "scenario.toml"
    text = files("firmware_sim").joinpath("scenarios/fast-and-standard.toml").read_text()
    scenario.write_text(text.replace("loop_length_m = 2.0", "loop_length_m = 0.1"))
    assert simulate(["record", "--scenario", str(scenario), "--out", str(folder / "rec"), "--for", "60"]) == 0
    config = load(folder / "rec" / "borderflow.toml")
    lane = cfg.named(config.lane, "C02")
    return config, lane, np.concatenate([block for _, block in blocks(open_recording(folder / "rec" / "C02"))])


def with_scanner(lane: cfg.Lane) -> tuple[cfg.Lane, cfg.Sensor]:
    """The same lane without its loop, and the loop that it had."""
    assert lane.wim is not None
    loop = next(sensor for sensor in lane.wim.sensor if sensor.type == "loop")
    wim = msgspec.structs.replace(
        lane.wim,
        mode="scanner",
        scanner=cfg.Scanner(device="lms", x_m=loop.x_m),
        sensor=tuple(sensor for sensor in lane.wim.sensor if sensor.type != "loop"),
    )
    return msgspec.structs.replace(lane, wim=wim), loop


def run(
    pipeline: LanePipeline,
    samples: npt.NDArray[np.int16],
    *,
    told: list[tuple[int, bool]] | None = None,
    late_s: float = 0.0,
    step: int = 500,
) -> list[Vehicle]:
    """`told`: at which scan the scanner saw a vehicle come or go; each is heard of `late_s` after."""
    found: list[Vehicle] = []
    waiting = list(told or ())
    for first in range(0, len(samples), step):
        end = first + step
        while waiting and waiting[0][0] + late_s * RATE_HZ <= end:
            scan, on = waiting.pop(0)
            time_ns = START_NS + round(scan / RATE_HZ * 1e9)
            pipeline.presence(on, time_ns)
            if not on:
                pipeline.height(3.5 + 0.1 * len(waiting), time_ns)
        block = np.ascontiguousarray(samples[first:end])
        time_ns = START_NS + round(first / RATE_HZ * 1e9)
        found += pipeline.samples(SampleBlock("daq", time_ns, RATE_HZ, 1, first, 0, block))
    return found + pipeline.finish()


def presences(samples: npt.NDArray[np.int16], loop: cfg.Sensor) -> list[tuple[int, bool]]:
    on = samples[:, loop.channel] > (loop.threshold_counts or 0.0)
    edges = np.flatnonzero(on[1:] != on[:-1]) + 1
    return [(int(edge), bool(on[edge])) for edge in edges]


@pytest.mark.parametrize("late_s", [0.0, 0.25])
def test_a_scanner_cuts_like_the_loop_and_tells_heights(
    recorded: tuple[cfg.Config, cfg.Lane, npt.NDArray[np.int16]], late_s: float
) -> None:
    config, lane, samples = recorded
    scanned, loop = with_scanner(lane)
    by_loop = run(LanePipeline(config, lane, source="t"), samples)
    told = presences(samples, loop)
    by_scanner = run(LanePipeline(config, scanned, source="t"), samples[:, : loop.channel], told=told, late_s=late_s)
    whole = [vehicle for vehicle in by_loop if not vehicle.flags]
    assert len(whole) > 2
    assert len(by_scanner) == len(by_loop)
    for vehicle, other in zip(by_loop, by_scanner, strict=True):
        assert len(vehicle.axles) == len(other.axles)
        assert other.gross_kg == pytest.approx(vehicle.gross_kg, rel=0.02)
        assert vehicle.height_m is msgspec.UNSET
    heights = [vehicle.height_m for vehicle in by_scanner if not vehicle.flags]
    assert all(height is not None and height is not msgspec.UNSET for height in heights)
    assert len(set(heights)) == len(heights), "each vehicle has its own"


def test_without_a_word_of_the_scanner_vehicles_are_cut_as_without_it(
    recorded: tuple[cfg.Config, cfg.Lane, npt.NDArray[np.int16]],
) -> None:
    config, lane, samples = recorded
    scanned, loop = with_scanner(lane)
    assert scanned.wim is not None
    gap = msgspec.structs.replace(scanned, wim=msgspec.structs.replace(scanned.wim, mode="gap"))
    blind = run(LanePipeline(config, scanned, source="t"), samples[:, : loop.channel])
    by_gap = run(LanePipeline(config, gap, source="t"), samples[:, : loop.channel])
    assert [(v.time, len(v.axles)) for v in blind] == [(v.time, len(v.axles)) for v in by_gap]
    assert all(vehicle.height_m is None for vehicle in blind)


def test_a_scanner_mode_without_a_scanner_is_a_fault(crossing: Path, tmp_path: Path) -> None:
    text = (crossing / "borderflow.toml").read_text().replace('mode = "loop"', 'mode = "scanner"', 1)
    file = tmp_path / "borderflow.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"\[lane\.wim\.scanner\]"):
        load(file)


def configured(crossing: Path, tmp_path: Path, device: str) -> Path:
    """The recorded crossing with a scanner on C01."""
    text = (crossing / "borderflow.toml").read_text()
    text = text.replace('mode = "loop"', f'mode = "scanner"\nscanner = {{ device = "{device}", x_m = 2.0 }}', 1)
    text += '\n[[device]]\nname = "lms"\ndriver = "sick_lms"\nurl = "tcp://192.0.2.30:2111"\nlane = "C01"\n'
    text += "options = { height_m = 6.0 }\n"
    text += '\n[[device]]\nname = "io"\ndriver = "adam_6000"\nurl = "tcp://192.0.2.31:502"\nlane = "C01"\n'
    text += 'options = { inputs = ["door"] }\n'
    file = tmp_path / "borderflow.toml"
    file.write_text(text)
    return file


def test_what_the_scanner_says_reaches_its_lane_alone(crossing: Path, tmp_path: Path) -> None:
    here = Crossing(load(configured(crossing, tmp_path, "lms")), source="t", pseudonyms=None)
    scanner = here.lanes["C01"]._scanner
    assert scanner is not None
    assert here.lanes["C02"]._scanner is None
    assert not scanner.works
    here.event(InputChange("lms", START_NS, "presence", True))
    here.event(InputChange("lms", START_NS + 2, "presence", False))
    here.event(Measurement("lms", START_NS + 2, "height", 3.9, "_m"))
    assert scanner.works
    assert scanner.height_m(START_NS, START_NS + 5) == 3.9
    assert scanner.height_m(START_NS + 10, START_NS + 15) is None
    here.event(DeviceState("lms", START_NS + 3, LinkState.DOWN, "unplugged"))
    assert not scanner.works


@pytest.mark.parametrize(("device", "words"), [("io", "tells no presence"), ("lsm", "there is no .* named 'lsm'")])
def test_a_scanner_that_is_none_is_named(crossing: Path, tmp_path: Path, device: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(configured(crossing, tmp_path, device), live=True)
