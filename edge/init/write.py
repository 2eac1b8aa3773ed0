"""Answers and devices → the text of a configuration, with a comment where somebody will look. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from edge.init.answers import Answers, DeviceAnswer, LaneAnswer, meaning_of

DIGITISERS = ("labjack_t7", "dataq_cdc")
_INPUT_MODULES = ("moxa_e1200", "adam_6000")
_OF_THE_COMPUTER = ("gpsd", "chrony")
_NOTES = {
    "site": "Who publishes: the authority's code of the port, and the time zone by which its days count.",
    "wim": "The array. Check every distance with a tape measure, then calibrate: docs/commissioning.md.",
    "sensor": "Positions in metres in the direction of travel; gain_n: newtons for one count.",
    "point": "In the order in which a vehicle passes; arriving at `booth` ends the wait. x_m in metres.",
    "identity": "The secret of the pseudonyms. All computers of one crossing share it, and nobody else has it.",
    "collector": "Where messages go. `share` says which kinds; vehicles are left out unless they are named.",
    "store": "The journal: what no collector has yet is kept here.",
}


def configuration(answers: Answers, devices: Sequence[DeviceAnswer]) -> str:
    """TOML. Each of `devices` has its driver; a digitiser without a lane serves the next lane without one."""
    devices = _placed(answers, devices)
    site = {"country": answers.country, "port": answers.port, "name": answers.name, "timezone": answers.timezone}
    parts = [f"# {_NOTES['site']}", _table("[site]", site)]
    for lane in answers.lanes:
        parts += _lane(answers, lane, devices)
    parts.append(f"# {_NOTES['point']}")
    for point in answers.points:
        place = {} if point.x_m is None else {"x_m": point.x_m}
        parts.append(_table("[[point]]", {"name": point.name} | place))
    names: dict[str, int] = {}
    for device in devices:
        parts += _device(answers, device, _name(device, names))
    parts += [f"# {_NOTES['identity']}", _table("[identity]", {"key_file": answers.key_file})]
    if answers.collector is not None:
        table: dict[str, Any] = {"name": "collector", "url": answers.collector, "protocol": answers.protocol}
        table["share"] = ["vehicle", "wait", "flow", "status", "alarm"]
        parts += [f"# {_NOTES['collector']}", _table("[[collector]]", table | answers.files)]
    parts += [f"# {_NOTES['store']}", _table("[store]", {"path": answers.store})]
    return "\n".join(parts)


def _placed(answers: Answers, devices: Sequence[DeviceAnswer]) -> list[DeviceAnswer]:
    """Lane and point where they follow: a digitiser stands at `wim`, the only lane is everybody's."""
    free = [lane.id for lane in answers.lanes if not any(_weighs(d) and d.lane == lane.id for d in devices)]
    only = answers.lanes[0].id if len(answers.lanes) == 1 else None
    made = []
    for device in devices:
        lane, point = device.lane, device.point
        if _weighs(device):
            lane, point = lane or (free.pop(0) if free else None), point or "wim"
        elif device.driver not in _OF_THE_COMPUTER:
            lane = lane or only
        made.append(DeviceAnswer(device.url, device.driver, lane, point, device.options))
    return made


def _weighs(device: DeviceAnswer) -> bool:
    return device.driver in DIGITISERS


def _lane(answers: Answers, lane: LaneAnswer, devices: Sequence[DeviceAnswer]) -> list[str]:
    table = {"id": lane.id, "traffic": lane.traffic, "program": lane.program, "direction": lane.direction}
    parts = [_table("[[lane]]", table)]
    names: dict[str, int] = {}
    named = [(_name(device, names), device) for device in devices]
    weigher = next((name for name, device in named if _weighs(device) and device.lane == lane.id), None)
    if answers.array is None or weigher is None:
        return parts
    wim = {
        "device": weigher,
        "sample_rate_hz": answers.array.rate_hz,
        "mode": "loop" if answers.array.loop else "gap",
        "temperature_c": 20.0,
    }
    parts += [f"# {_NOTES['wim']}", _table("[lane.wim]", wim), f"# {_NOTES['sensor']}"]
    return [*parts, *(_table("[[lane.wim.sensor]]", sensor) for sensor in answers.array.sensors())]


def _device(answers: Answers, device: DeviceAnswer, name: str) -> list[str]:
    table: dict[str, Any] = {"name": name, "driver": device.driver, "url": device.url}
    points = [point.name for point in answers.points]
    if device.lane is not None:
        table["lane"] = device.lane
    if device.point is not None and device.driver not in _INPUT_MODULES:
        table["point"] = device.point
    parts = [_table("[[device]]", table)]
    if device.driver in _INPUT_MODULES:
        lanes = [lane.id for lane in answers.lanes]
        meanings = [meaning_of(given, lanes, points, device.lane) for given in device.options.get("inputs", ())]
        if not any(meanings):
            hint = "# An input module answers there. Name its inputs in `inputs` and give each its meaning, like"
            example = '# [[device.input]] name = "booth-loop", signal = "loop", point = "booth"; then take the # away.'
            body = [*parts, _table("[device.options]", device.options)]
            return [hint, example, *("".join(f"# {line}\n" for line in part.rstrip().split("\n")) for part in body)]
        for given, means in zip(device.options["inputs"], meanings, strict=True):
            if means is not None:
                said = {"name": given, "signal": means.signal, "lane": means.lane, "point": means.point}
                parts.append(_table("[[device.input]]", {key: value for key, value in said.items() if value}))
    if device.options:
        parts.append(_table("[device.options]", device.options))
    return parts


def _name(device: DeviceAnswer, taken: dict[str, int]) -> str:
    """`daq-c03`, `plate-c03-booth`, `io-2`: short, and each once."""
    kind = "daq" if _weighs(device) else "io" if device.driver in _INPUT_MODULES else str(device.driver).split("_")[0]
    places = () if _weighs(device) or device.driver in _INPUT_MODULES else (device.point,)
    base = "-".join(part.lower() for part in (kind, device.lane, *places) if part)
    taken[base] = taken.get(base, 0) + 1
    return base if taken[base] == 1 else f"{base}-{taken[base]}"


def _table(head: str, entries: Mapping[str, Any]) -> str:
    return "\n".join([head, *(f"{key} = {_value(value)}" for key, value in entries.items()), ""])


def _value(value: Any) -> str:
    """A value as TOML, which writes texts, numbers, truths and lists as JSON does."""
    return json.dumps(value, ensure_ascii=False)
