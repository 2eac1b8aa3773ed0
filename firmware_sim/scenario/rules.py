"""What types alone cannot say about a scenario: names that agree, an order that makes sense; used by `file.py`
and, for faults that come while it runs, by `world/crossing.py`."""

from __future__ import annotations

from collections import Counter
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from firmware_sim.scenario import Fault, Lane, Scenario
from firmware_sim.scenario.catalogue import TYPES

_ENDPOINTS = ("tcp://", "rtu+tcp://", "serial://", "http://")


def problems(scenario: Scenario) -> list[str]:
    """What types alone cannot say; each line begins with the key."""
    found: list[str] = []
    lanes = {lane.id for lane in scenario.lane}
    points = {point.name for point in scenario.point}
    if scenario.start.tzinfo is None:
        found.append("start: give it an offset from UTC, for example a trailing Z")
    try:
        ZoneInfo(scenario.site.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        found.append(f"site.timezone: {scenario.site.timezone!r} is no zone of the tz database")
    for key, names in (
        ("lane", [lane.id for lane in scenario.lane]),
        ("point", [point.name for point in scenario.point]),
        ("device", [device.name for device in scenario.device]),
    ):
        found += [
            f"{key}: {name!r} is there {n} times; names must differ" for name, n in Counter(names).items() if n > 1
        ]
    places = [point.x_m for point in scenario.point]
    if places != sorted(places):
        found.append("point: list the points in the order of x_m")
    for needed in ("approach", "booth", "exit"):
        if needed not in points:
            found.append(f"point: there must be one named {needed!r}")
    if "wim" not in points and any(lane.wim for lane in scenario.lane):
        found.append("point: there must be one named 'wim' where a lane has a wim array")
    if not scenario.lane:
        found.append("lane: there must be at least one")
    for i, lane in enumerate(scenario.lane):
        found += [f"lane[{i}].{text}" for text in _lane_problems(lane)]
    for i, device in enumerate(scenario.device):
        if device.lane is not None and device.lane not in lanes:
            found.append(f"device[{i}].lane: no lane {device.lane!r}; there are {', '.join(sorted(lanes))}")
        if device.point is not None and device.point not in points:
            found.append(f"device[{i}].point: no point {device.point!r}; there are {', '.join(sorted(points))}")
        if device.is_reader and (device.lane is None or device.point is None):
            found.append(f"device[{i}]: a reader needs lane and point")
        if device.endpoint not in ("pty", "tcp", "rtu+tcp") and not device.endpoint.startswith(_ENDPOINTS):
            found.append(
                f"device[{i}].endpoint: {device.endpoint!r}; allowed: pty, tcp, rtu+tcp, tcp://HOST:PORT, "
                "serial:///dev/..."
            )
        for k, line in enumerate(device.inputs):
            if line.lane not in lanes:
                found.append(f"device[{i}].inputs[{k}].lane: no lane {line.lane!r}")
            if line.point not in points:
                found.append(f"device[{i}].inputs[{k}].point: no point {line.point!r}")
    for i, fault in enumerate(scenario.fault):
        problem = fault_problem(scenario, fault)
        if problem:
            found.append(f"fault[{i}]{problem}")
    return found


def fault_problem(scenario: Scenario, fault: Fault) -> str | None:
    """What is wrong with a fault, beginning with what follows its key; None if nothing is."""
    device = next((device for device in scenario.device if device.name == fault.device), None)
    if device is None:
        names = ", ".join(sorted(device.name for device in scenario.device))
        return f".device: no device {fault.device!r}; there are {names}"
    if fault.at_s < 0 or fault.for_s < 0:
        return ": at_s and for_s must not be negative"
    lane = next((lane for lane in scenario.lane if lane.id == device.lane), None)
    if lane is not None and lane.wim is not None and device.point == "wim":
        most = len(lane.wim.sensor) - 1
        named = fault.options.get("channels", [fault.options.get("channel", 0)])
        if not isinstance(named, list) or not all(isinstance(n, int) and 0 <= n <= most for n in named):
            return f".channel: {named} is no channel of lane {lane.id}; there are 0 .. {most}"
    names_of_inputs = [line.name for line in device.inputs]
    if "input" in fault.options and fault.options["input"] not in names_of_inputs:
        return (
            f".input: {fault.options['input']!r} is no input of {device.name}; there are {', '.join(names_of_inputs)}"
        )
    return None


def _lane_problems(lane: Lane) -> list[str]:
    found: list[str] = []
    if len(lane.flow.per_hour) not in (1, 24):
        found.append(f"flow.per_hour: {len(lane.flow.per_hour)} values; give one, or 24")
    unknown = sorted(set(lane.flow.mix) - set(TYPES))
    if unknown:
        found.append(f"flow.mix: no vehicle type {unknown[0]!r}; there are {', '.join(sorted(TYPES))}")
    first = lane.flow.first
    if first is not None:
        if first.kind is not None and first.kind not in TYPES:
            found.append(f"flow.first.kind: no vehicle type {first.kind!r}; there are {', '.join(sorted(TYPES))}")
        if first.speed_mps <= 0:
            found.append("flow.first.speed_mps: must be positive")
        if lane.flow.initial < 1:
            found.append("flow.first: is one of the initial ones; give initial = 1 or more")
    low, high = lane.flow.speed_mps
    if not 0 < low <= high:
        found.append("flow.speed_mps: [low, high] with 0 < low <= high")
    if lane.wim is not None:
        channels = [sensor.channel for sensor in lane.wim.sensor]
        if not channels:
            found.append("wim: give either layout or sensor")
        if sorted(channels) != list(range(len(channels))):
            found.append("wim.sensor: channels must be 0, 1, 2, ... without a gap, each once")
        if lane.wim.sample_rate_hz <= 0:
            found.append("wim.sample_rate_hz: must be positive")
    return found
