"""A scenario to what drivers would say of it, faster than real time: for tests of what follows from events.

No wire, no driver and no clock: blocks of samples, reads and inputs come in the order of world time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from drivers.events import DeviceState, Event, InputChange, LinkState, PlateRead, SampleBlock, TagRead
from edge.config.file import load
from edge.crossing import Crossing
from edge.messages import Alarm, Message
from firmware_sim.scenario import Scenario
from firmware_sim.scenario.commission import configuration
from firmware_sim.world.crossing import World
from firmware_sim.world.events import InputChanged, PlatePassed, TagPassed

STEP_S = 0.1


def crossing_of(scenario: Scenario, directory: Path) -> Crossing:
    """A crossing configured for the scenario; the devices' addresses lead nowhere."""
    path = directory / "world.toml"
    endpoints = {device.name: ("tcp://127.0.0.1:1", device.options) for device in scenario.device}
    path.write_text(configuration(scenario, endpoints=endpoints))
    return Crossing(load(path), source="lane-1", pseudonyms=None)


def events(scenario: Scenario, for_s: float) -> Iterator[tuple[int, list[Event]]]:
    """Time (UTC, ns) and the events of each step."""
    world = World(scenario)
    lanes = {device.name: device.lane for device in scenario.device if device.point == "wim" and device.lane}
    lanes = {name: lane for name, lane in lanes.items() if scenario.lane_of(lane).wim is not None}
    taken = dict.fromkeys(lanes, 0)

    def ns(time_s: float) -> int:
        return scenario.start_ns + round(time_s * 1e9)

    yield ns(0.0), [DeviceState(device.name, ns(0.0), LinkState.ONLINE) for device in scenario.device]
    for step in range(1, round(for_s / STEP_S) + 1):
        said: list[Event] = []
        for event in world.advance(step * STEP_S):
            match event:
                case TagPassed():
                    said.append(TagRead(event.device, ns(event.time_s), event.tag))
                case PlatePassed():
                    said.append(PlateRead(event.device, ns(event.time_s), event.plate, event.country, event.confidence))
                case InputChanged():
                    said.append(InputChange(event.device, ns(event.time_s), event.input, event.on))
        for name, lane in lanes.items():
            first, last, hz = taken[name], world.scans_ready(lane), world.scan_rate_hz(lane)
            samples = np.ascontiguousarray(world.samples(lane, first, last - first))
            said.append(SampleBlock(name, ns(first / hz), hz, 1, first, 0, samples))
            taken[name] = last
        yield ns(step * STEP_S), said


def alarms(scenario: Scenario, for_s: float, directory: Path) -> list[Alarm]:
    """The alarms of a crossing that sees the scenario."""
    crossing = crossing_of(scenario, directory)
    messages: list[Message] = []
    for now_ns, said in events(scenario, for_s):
        for event in said:
            messages += crossing.event(event)
        messages += crossing.advance(now_ns)
    return [message for message in messages if isinstance(message, Alarm)]
