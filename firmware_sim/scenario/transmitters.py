"""A lane that a weight transmitter weighs: its device in; the sample rate and the sensors of the configuration out.

`commission.py` calls it where a lane has plates and no digitiser. A transmitter adds up the plates that are wired to
it, so its stream has one channel; an eNod4 also samples two inputs, to which loops can be wired.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from firmware_sim.scenario import TRANSMITTERS, Device, Lane, Scenario, Sensor

STANDARD_GRAVITY = 9.80665
_AED_RATES_HZ = {
    "ad104": (100.0, 50.0, 25.0, 12.0, 6.0, 3.0, 2.0, 1.0),
    "ad101b": (600.0, 300.0, 150.0, 75.0, 37.5, 18.75, 9.4, 4.7),
}
_AED_AT_NOMINAL = {"ascii": 1_000_000.0, "binary": 5_120_000.0}
_AED_NOMINAL_KG = 20_000.0


def transmitter_of(scenario: Scenario, lane: Lane) -> Device | None:
    """The first weight transmitter at the point `wim` of a lane; None where its plates are not one scale."""
    for device in scenario.device:
        if device.kind in TRANSMITTERS and device.lane == lane.id and device.point == "wim":
            return device if _plates(lane, device) else None
    return None


def sample_rate_hz(device: Device) -> float:
    """Values a second that its driver is set to."""
    options = device.options
    match device.kind:
        case "scaime_enod4":
            return float(options.get("rate_hz", 400.0))
        case "hbm_aed":
            return _AED_RATES_HZ[str(options.get("model", "ad104")).lower()][int(options.get("rate_index", 0))]
        case "laumas_tlb":
            return float(options.get("poll_hz", 20.0))
    return float(options.get("rate_hz", 10.0))


def driver_options(lane: Lane, device: Device) -> dict[str, Any]:
    """Options of its driver that follow from the lane: an eNod4 samples loops that are wired to its inputs."""
    return {"loop_channels": True} if _loops(lane, device) else {}


def sensors(lane: Lane, device: Device) -> list[Sensor]:
    """The plates of a transmitter as one sensor on channel 0, with `gain_n` the force of one count of its stream; and
    the loops that it samples, on the channels behind."""
    plates = _plates(lane, device)
    plate = msgspec.structs.replace(
        plates[0],
        name="plate",
        channel=0,
        y_m=(min(plate.y_m[0] for plate in plates), max(plate.y_m[1] for plate in plates)),
        gain_n=round(kg_per_count(device.kind, device.options, device.setup) * STANDARD_GRAVITY, 6),
    )
    loops = [msgspec.structs.replace(loop, channel=n) for n, loop in enumerate(_loops(lane, device), start=1)]
    return [plate, *loops]


def kg_per_count(kind: str, options: Mapping[str, Any], setup: Mapping[str, Any]) -> float:
    """What one count of the driver's sample stream weighs."""
    if kind == "hbm_aed":
        nominal_kg = float(setup.get("nominal_kg", _AED_NOMINAL_KG))
        at_nominal = _AED_AT_NOMINAL[str(options.get("format", "ascii"))]
        return float(options.get("per_count", 256.0)) * nominal_kg / at_nominal
    return float(options.get("per_count", 1.0 if kind == "scaime_enod4" else 2.0))


def _plates(lane: Lane, device: Device) -> list[Sensor]:
    """The plates that it feels, where all are one line across the lane; else none."""
    sensors = lane.wim.sensor if lane.wim is not None else ()
    channels = device.setup.get("channels")
    plates = [s for s in sensors if (s.type == "plate" if channels is None else s.channel in channels)]
    one_line = len({(plate.type, plate.x_m, plate.width_m) for plate in plates}) == 1
    return plates if one_line and plates[0].type == "plate" else []


def _loops(lane: Lane, device: Device) -> list[Sensor]:
    if device.kind != "scaime_enod4" or device.options.get("protocol", "fast") != "fast" or lane.wim is None:
        return []
    contacts = [s for s in lane.wim.sensor if s.type == "loop" and s.loop_counts is None]
    return sorted(contacts, key=lambda sensor: sensor.channel)[:2]
