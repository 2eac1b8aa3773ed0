"""What really happened, as JSON lines: world events and turns of faults in, plain tables out; used by `serve.py`.

Every line has `kind` (vehicle, sighting, wait, point, booth, fault) and `time` (UTC). `vehicle` and `sighting` lines
have the keys of recordings (`record.py`); identifiers are in clear, for this is the simulator's own knowledge.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from firmware_sim.record import sighting_line, vehicle_line
from firmware_sim.scenario import Scenario, utc_text
from firmware_sim.wires.faults import Turn
from firmware_sim.world.events import (
    BoothChanged,
    PlatePassed,
    PointPassed,
    TagPassed,
    VehicleTruth,
    WaitTruth,
    WorldEvent,
)


def event_line(event: WorldEvent, scenario: Scenario) -> dict[str, Any] | None:
    """The line for an event, or None for one that is no part of the truth. World time 0 is `scenario.start`."""
    match event:
        case VehicleTruth():
            return {"kind": "vehicle"} | vehicle_line(event, scenario)
        case TagPassed() | PlatePassed():
            line = sighting_line(event, scenario) or {}
            return {"kind": "sighting"} | line | {"device": event.device, "vehicle": event.vehicle}
        case WaitTruth():
            return _line("wait", event, scenario)
        case PointPassed():
            return _line("point", event, scenario)
        case BoothChanged():
            return _line("booth", event, scenario)
    return None


def _line(kind: str, event: WorldEvent, scenario: Scenario) -> dict[str, Any]:
    table = asdict(event)
    time = utc_text(scenario.start_ns + round(table.pop("time_s") * 1e9))
    return {"kind": kind, "time": time} | table


def fault_line(turn: Turn, scenario: Scenario) -> dict[str, Any]:
    """The line for a fault that begins or ends."""
    return {
        "kind": "fault",
        "time": utc_text(scenario.start_ns + round(turn.at_s * 1e9)),
        "device": turn.fault.device,
        "fault": turn.fault.kind,
        "state": "begin" if turn.begins else "end",
        "options": turn.fault.options,
    }
