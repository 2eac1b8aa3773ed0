"""Every shipped scenario can be served: its devices exist, its faults are ones that they can have, its bytes repeat."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import get_args

import pytest

from firmware_sim.emulators import create
from firmware_sim.emulators.base import Emulator, Output, Send
from firmware_sim.scenario import DeviceKind, Scenario
from firmware_sim.scenario.file import load, parse, shipped
from firmware_sim.serve import LaneSamples
from firmware_sim.wires.faults import Timeline, Wire, unknown_faults
from firmware_sim.world.crossing import SENSOR_FAULTS, World

from .bench import clock
from .test_labjack_t7 import Bench

EVERY_DEVICE = Path(__file__).parent / "every_device.toml"


def emulators(scenario: Scenario, world: World) -> dict[str, Emulator]:
    return {
        device.name: create(
            device,
            scenario,
            clock=clock,
            temperature_c=world.temperature_c,
            samples=lambda lane: LaneSamples(world, lane),
        )
        for device in scenario.device
    }


@pytest.mark.parametrize("name", shipped())
def test_devices_and_faults_of_shipped_scenarios(name: str) -> None:
    scenario = load(name)
    made = emulators(scenario, World(scenario))
    assert len(made) == len(scenario.device)
    assert unknown_faults(scenario, made) == []


def test_there_is_an_emulator_for_every_kind_but_chrony() -> None:
    """chrony is a program on the daemon's own machine, not a device on a wire."""
    scenario = load(EVERY_DEVICE)
    kinds = {device.kind for device in scenario.device}
    assert kinds | {"labjack_t7", "chrony"} == set(get_args(DeviceKind))
    said = bytes_of(scenario, 20.0, 0.02)
    unasked = {"toledo", "lprbin", "ecp", "hik"}
    assert {name for name, data in said.items() if data} >= unasked


def bytes_of(scenario: Scenario, seconds: float, step_s: float) -> dict[str, bytes]:
    """What each device says in the first seconds, its wire's faults included, with the T7s streaming."""
    world = World(scenario)
    made = emulators(scenario, world)
    wires = {name: Wire(Random(name)) for name in made}
    timeline = Timeline(tuple(fault for fault in scenario.fault if fault.kind not in SENSOR_FAULTS))
    said = dict.fromkeys(made, b"")

    def put(name: str, output: Output, now_s: float) -> None:
        for item in output:
            if isinstance(item, Send):
                said[name] += b"".join(send.data for send in wires[name].to_host(item, now_s))

    for emulator in made.values():
        if "stream" in emulator.ports:
            bench = Bench()
            bench.t7 = emulator  # type: ignore[assignment]
            emulator.connected("main", 1, 0.0)
            bench.configure([0, 2, 2580], rate_hz=5000.0, per_packet=510)
            bench.start()
    for step in range(1, round(seconds / step_s) + 1):
        now_s = step * step_s
        for turn in timeline.due(now_s):
            wire = wires[turn.fault.device]
            (wire.begin(turn.fault.kind, turn.fault.options) if turn.begins else wire.end(turn.fault.kind))
        events = world.advance(now_s)
        for name, emulator in made.items():
            for event in events:
                if getattr(event, "device", None) == name:
                    put(name, emulator.happened(event, now_s), now_s)
            put(name, emulator.tick(now_s), now_s)
    return said


def test_same_seed_same_bytes() -> None:
    scenario = load("everything-breaks")
    first, again = bytes_of(scenario, 12.0, 0.02), bytes_of(scenario, 12.0, 0.02)
    assert first == again
    assert len(first["daq-c01"]) > 12 * 5000 * 3 * 2 * 0.9
    assert sum(bool(data) for data in first.values()) >= 4


def test_the_stream_does_not_depend_on_how_often_the_loop_runs() -> None:
    scenario = load("fast-and-standard")
    fine, coarse = bytes_of(scenario, 3.0, 0.01), bytes_of(scenario, 3.0, 0.1)
    assert len(fine["daq-c01"]) > 80_000
    short = min(len(fine["daq-c01"]), len(coarse["daq-c01"]))

    def samples(data: bytes) -> bytes:
        return b"".join(data[at + 16 : at + 1036] for at in range(0, short // 1036 * 1036, 1036))

    assert samples(fine["daq-c01"]) == samples(coarse["daq-c01"])


def test_devices_that_cannot_be_are_named() -> None:
    text = """
    [site]
    country = "CA"
    port = "1"
    [[point]]
    name = "approach"
    x_m = 0.0
    [[point]]
    name = "booth"
    x_m = 50.0
    [[point]]
    name = "exit"
    x_m = 60.0
    [[lane]]
    id = "C01"
    [[device]]
    name = "daq"
    kind = "KIND"
    endpoint = "tcp"
    lane = "C01"
    [device.setup]
    strange = 1
    """
    for kind, word in (("labjack_t7", "wim array"), ("moxa_e1200", "strange"), ("scaime_enod4", "wim array")):
        scenario = parse(text.replace("KIND", kind))
        with pytest.raises(ValueError, match=f"'daq'.*{word}"):
            emulators(scenario, World(scenario))
