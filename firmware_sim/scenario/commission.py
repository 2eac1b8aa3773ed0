"""A scenario in, the text of the daemon's configuration (TOML) out; called by `record`, by `serve` and by tests.

This is what an engineer would write on site: what is known of the crossing, and nothing of the truth (gain errors,
clock errors and weather stay in the simulator).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from firmware_sim.scenario import (
    DIGITISERS,
    INPUT_DEVICES,
    TRANSMITTERS,
    Device,
    Lane,
    Scenario,
    Sensor,
    temperature_c,
    transmitters,
)


def configuration(
    scenario: Scenario,
    *,
    endpoints: Mapping[str, tuple[str, Mapping[str, Any]]] | None = None,
    collectors: tuple[Mapping[str, Any], ...] = (),
    identity_key_file: Path | None = None,
    store_path: Path | None = None,
) -> str:
    """TOML text of a configuration for `scenario`.

    `endpoints` maps a device's name to (url, options of its driver); a device that is not in it is left out, and
    without it all are (that is what `replay` and `wait` need).
    """
    devices = [device for device in scenario.device if endpoints is not None and device.name in endpoints]
    parts = [f"# {scenario.name}: written from the simulator's scenario"]
    parts.append(_table("[site]", _site(scenario)))
    for lane in scenario.lane:
        parts += _lane(scenario, lane, {device.name for device in devices})
    for point in scenario.point:
        parts.append(_table("[[point]]", {"name": point.name, "x_m": point.x_m}))
    parts.append(_table("[wait]", {"interval_s": scenario.wait_interval_s, "baseline": scenario.wait_baseline}))
    for device in devices:
        assert endpoints is not None
        parts += _device(scenario, device, *endpoints[device.name])
    if identity_key_file is not None:
        parts.append(_table("[identity]", {"key_file": str(identity_key_file)}))
    for collector in collectors:
        parts.append(_table("[[collector]]", collector))
    if store_path is not None:
        parts.append(_table("[store]", {"path": str(store_path)}))
    return "\n".join(parts)


def _site(scenario: Scenario) -> dict[str, Any]:
    site = scenario.site
    return {"country": site.country, "port": site.port, "name": site.name, "timezone": site.timezone, "source": "sim"}


def _lane(scenario: Scenario, lane: Lane, devices: set[str]) -> Iterable[str]:
    yield _table(
        "[[lane]]",
        {
            "id": lane.id,
            "traffic": lane.traffic,
            "program": lane.program,
            "direction": lane.direction,
            "booths": max(1, len(lane.booth)),
        },
    )
    if lane.wim is None:
        return
    digitiser = _digitiser(scenario, lane)
    rate_hz, sensors = lane.wim.sample_rate_hz, sorted(lane.wim.sensor, key=lambda sensor: sensor.channel)
    weighs = digitiser is not None and digitiser.name in devices
    if digitiser is not None and weighs and digitiser.kind in TRANSMITTERS:
        rate_hz, sensors = transmitters.sample_rate_hz(digitiser), transmitters.sensors(lane, digitiser)
    has_loop = any(sensor.type == "loop" for sensor in sensors)
    mode = lane.wim.mode if has_loop or lane.wim.mode != "loop" else "gap"
    table: dict[str, Any] = {
        "sample_rate_hz": rate_hz,
        "mode": mode or ("loop" if has_loop else "gap"),
        "temperature_c": temperature_told_c(scenario, lane),
    }
    if digitiser is not None and weighs:
        table = {"device": digitiser.name} | table
    thermometer = next((d.name for d in scenario.device if d.lane == lane.id and "temperatures_c" in d.options), None)
    if thermometer in devices:
        table["temperature_device"] = thermometer
    yield _table("[lane.wim]", table)
    for sensor in sensors:
        yield _table("[[lane.wim.sensor]]", _sensor(sensor))


def temperature_told_c(scenario: Scenario, lane: Lane) -> float:
    """The pavement temperature that the daemon is told: that of the start, or 20 where nobody has measured it."""
    if lane.wim is not None and not lane.wim.temperature_known:
        return 20.0
    return round(temperature_c(scenario, 0.0), 1)


def _sensor(sensor: Sensor) -> dict[str, Any]:
    table: dict[str, Any] = {
        "name": sensor.name,
        "type": sensor.type,
        "channel": sensor.channel,
        "x_m": sensor.x_m,
        "y_m": list(sensor.y_m),
        "width_m": sensor.width_m,
    }
    if sensor.type == "loop":
        return table | {"threshold_counts": sensor.threshold_counts}
    table["gain_n"] = sensor.gain_n
    defaults = {"temp_coeff_per_c": 0.0, "reference_temperature_c": 20.0, "coupling_tau_s": 0.0, "angle_deg": 0.0}
    return table | {key: getattr(sensor, key) for key, usual in defaults.items() if getattr(sensor, key) != usual}


def _digitiser(scenario: Scenario, lane: Lane) -> Device | None:
    """The device that weighs on a lane: its digitiser, else the weight transmitter of its plates."""
    for device in scenario.device:
        if device.kind in DIGITISERS and device.lane == lane.id:
            return device
    return transmitters.transmitter_of(scenario, lane)


def _device(scenario: Scenario, device: Device, url: str, options: Mapping[str, Any]) -> Iterable[str]:
    table: dict[str, Any] = {"name": device.name, "driver": device.kind, "url": url}
    if device.lane is not None:
        table["lane"] = device.lane
    if device.point is not None:
        table["point"] = device.point
    yield _table("[[device]]", table)
    if device.kind in INPUT_DEVICES:
        for line in device.inputs:
            if line.signal == "free":
                continue
            entry: dict[str, Any] = {"name": line.name, "signal": line.signal, "lane": line.lane}
            yield _table("[[device.input]]", entry | {"point": line.point})
    chosen = driver_options(scenario, device) | device.options | dict(options)
    if chosen:
        yield _table("[device.options]", chosen)


def driver_options(scenario: Scenario, device: Device) -> dict[str, Any]:
    """Options of the driver that follow from the scenario."""
    if device.kind in DIGITISERS and device.lane is not None:
        wim = scenario.lane_of(device.lane).wim
        if wim is None:
            return {}
        names: list[str] = []
        line = "FIO" if device.kind == "labjack_t7" else "DI"
        analogue = digital = 0
        for sensor in sorted(wim.sensor, key=lambda sensor: sensor.channel):
            if sensor.type == "loop" and sensor.loop_counts is None:
                names.append(f"{line}{digital}")
                digital += 1
            else:
                names.append(f"AIN{analogue}")
                analogue += 1
        return {"scan_list": names, "scan_rate_hz": wim.sample_rate_hz, "range_v": 10.0}
    if device.kind in TRANSMITTERS and device.lane is not None:
        lane = scenario.lane_of(device.lane)
        return transmitters.driver_options(lane, device) if _digitiser(scenario, lane) is device else {}
    if device.kind in INPUT_DEVICES and device.kind != "sick_lms":  # a scanner has one input, and it is named
        return {"inputs": [line.name for line in device.inputs]}
    if device.kind == "lpr_frame":
        return {"preset": "nedap_raw"}
    return {}


def _table(head: str, entries: Mapping[str, Any]) -> str:
    return "\n".join([head, *(f"{key} = {_value(value)}" for key, value in entries.items()), ""])


def _value(value: Any) -> str:
    """A value as TOML. Strings of TOML and JSON are written alike, but for DEL, which no scenario holds."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    return "[" + ", ".join(_value(item) for item in value) + "]"
