"""Answers and devices → the text of a configuration, with a comment where somebody will look. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from drivers import registry
from edge.init.answers import Answers, DeviceAnswer, LaneAnswer, Meaning, meaning_of
from edge.init.array import Array

DIGITISERS = ("labjack_t7", "dataq_cdc")
_INPUT_MODULES = ("moxa_e1200", "adam_6000")
_STANDARD_GRAVITY = 9.80665  # newtons for a kilogram
_IN_DIGITS = ("hbm_aed",)  # what a digit is there only a calibration tells
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
        parts += _device(answers, device, _name(answers, device, names))
    parts += [f"# {_NOTES['identity']}", _table("[identity]", {"key_file": answers.key_file})]
    if answers.collector is not None:
        table: dict[str, Any] = {"name": "collector", "url": answers.collector, "protocol": answers.protocol}
        table["share"] = ["vehicle", "wait", "flow", "status", "alarm"]
        parts += [f"# {_NOTES['collector']}", _table("[[collector]]", table | answers.files)]
    parts += [f"# {_NOTES['store']}", _table("[store]", {"path": answers.store})]
    return "\n".join(parts)


def weighs(answers: Answers, device: DeviceAnswer) -> bool:
    """Whether an array hangs on it: strips on a digitiser, a plate on a weight transmitter."""
    if device.driver in DIGITISERS:
        return True
    return any(array.plate_m for array in answers.every_array()) and "per_count" in _options_of(device)


def _options_of(device: DeviceAnswer) -> dict[str, str]:
    """Names and defaults."""
    return {option.name: option.default for option in registry.describe(str(device.driver))}


def _placed(answers: Answers, devices: Sequence[DeviceAnswer]) -> list[DeviceAnswer]:
    """Lane and point where they follow: what weighs stands at `wim`, the only lane is everybody's."""
    taken = {device.lane for device in devices if weighs(answers, device)}
    free = [lane.id for lane in answers.lanes if lane.id not in taken]
    only = answers.lanes[0].id if len(answers.lanes) == 1 else None
    made = []
    for device in devices:
        lane, point, options = device.lane, device.point, device.options
        if weighs(answers, device):
            lane, point = lane or (free.pop(0) if free else None), point or "wim"
            options = _fitting(answers, device, lane)
        elif device.driver not in _OF_THE_COMPUTER:
            lane = lane or only
        made.append(DeviceAnswer(device.url, device.driver, lane, point, options))
    return made


def _fitting(answers: Answers, device: DeviceAnswer, lane: str | None) -> dict[str, Any]:
    """Its options for the array of its lane, which may be another one than that with which it was found."""
    array, options = answers.array_of(lane), dict(device.options)
    if array is None:
        return options
    guessed = [one.scan_list() for one in answers.every_array()]
    if options.get("scan_list") in guessed:
        options["scan_list"] = array.scan_list()
    if array.plate_m and array.loop and "loop_channels" in _options_of(device):
        options["loop_channels"] = True
    return options


def _lane(answers: Answers, lane: LaneAnswer, devices: Sequence[DeviceAnswer]) -> list[str]:
    table: dict[str, Any] = {"id": lane.id, "traffic": lane.traffic, "program": lane.program}
    table["direction"] = lane.direction
    if (lamps := _lamps(answers, lane, devices)) > 1:
        table["booths"] = lamps
    parts = [_table("[[lane]]", table)]
    names: dict[str, int] = {}
    named = [(_name(answers, device, names), device) for device in devices]
    weigher = next(((name, one) for name, one in named if weighs(answers, one) and one.lane == lane.id), None)
    array = answers.array_of(lane.id)
    if array is None or weigher is None:
        return parts
    rate_hz, sensors = _stream(array, weigher[1])
    wim = {
        "device": weigher[0],
        "sample_rate_hz": rate_hz,
        "mode": "loop" if any(sensor["type"] == "loop" for sensor in sensors) else "gap",
        "temperature_c": 20.0,
    }
    parts += [f"# {_NOTES['wim']}", _table("[lane.wim]", wim), f"# {_NOTES['sensor']}"]
    return [*parts, *(_table("[[lane.wim.sensor]]", sensor) for sensor in sensors)]


def _lamps(answers: Answers, lane: LaneAnswer, devices: Sequence[DeviceAnswer]) -> int:
    """Inputs that say of a booth of the lane that it is open."""
    modules = [device for device in devices if device.driver in _INPUT_MODULES]
    meant = [one for device in modules for one in _meanings(answers, device) if one is not None]
    return sum(one.signal == "booth_open" and one.lane == lane.id for one in meant)


def _meanings(answers: Answers, module: DeviceAnswer) -> list[Meaning | None]:
    lanes, points = [lane.id for lane in answers.lanes], [point.name for point in answers.points]
    return [meaning_of(name, lanes, points, module.lane) for name in module.options.get("inputs", ())]


def _stream(array: Array, weigher: DeviceAnswer) -> tuple[float, list[dict[str, Any]]]:
    """Samples a second, and the sensors. A transmitter has its own rate and weighs in kilograms, and a loop is seen
    where it has a contact for it."""
    sensors = array.sensors()
    if not array.plate_m:
        return array.rate_hz, sensors
    offer = registry.create(str(weigher.driver), "probe", weigher.url, weigher.options).offer()
    per_count = float(weigher.options.get("per_count") or _options_of(weigher)["per_count"])
    if weigher.driver not in _IN_DIGITS:
        sensors[0]["gain_n"] = round(per_count * _STANDARD_GRAVITY, 6)
    seen = [sensor for sensor in sensors if sensor["type"] != "loop" or sensor["channel"] in offer.digital]
    return offer.rate_hz or array.rate_hz, seen


def _device(answers: Answers, device: DeviceAnswer, name: str) -> list[str]:
    table: dict[str, Any] = {"name": name, "driver": device.driver, "url": device.url}
    if device.lane is not None:
        table["lane"] = device.lane
    if device.point is not None and device.driver not in _INPUT_MODULES:
        table["point"] = device.point
    parts = [_table("[[device]]", table)]
    if device.driver in _INPUT_MODULES:
        meanings = _meanings(answers, device)
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


def _name(answers: Answers, device: DeviceAnswer, taken: dict[str, int]) -> str:
    """`daq-c03`, `plate-c03-booth`, `io-2`: short, and each once."""
    weighing, inputs = weighs(answers, device), device.driver in _INPUT_MODULES
    kind = "daq" if weighing else "io" if inputs else str(device.driver).split("_")[0]
    places = () if weighing or inputs else (device.point,)
    base = "-".join(part.lower() for part in (kind, device.lane, *places) if part)
    taken[base] = taken.get(base, 0) + 1
    return base if taken[base] == 1 else f"{base}-{taken[base]}"


def _table(head: str, entries: Mapping[str, Any]) -> str:
    return "\n".join([head, *(f"{key} = {_value(value)}" for key, value in entries.items()), ""])


def _value(value: Any) -> str:
    """A value as TOML, which writes texts, numbers, truths and lists as JSON does."""
    return json.dumps(value, ensure_ascii=False)
