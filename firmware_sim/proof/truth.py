"""What really happened, as JSON lines: world events and turns of faults in, plain tables out.

Used by `serve.py`, whose lines all have `kind` (vehicle, sighting, wait, point, booth, fault) and `time` (UTC), and by
`record.py`, whose files have one kind each. Identifiers are in clear, for this is the simulator's own knowledge.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from firmware_sim.scenario import Scenario, utc_text
from firmware_sim.wires.faults import Turn
from firmware_sim.world.events import (
    BoothChanged,
    InputChanged,
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
    return {"kind": kind, "time": _utc(scenario, table.pop("time_s"))} | table


def fault_line(turn: Turn, scenario: Scenario) -> dict[str, Any]:
    """The line for a fault that begins or ends."""
    return {
        "kind": "fault",
        "time": _utc(scenario, turn.at_s),
        "device": turn.fault.device,
        "fault": turn.fault.kind,
        "state": "begin" if turn.begins else "end",
        "options": turn.fault.options,
    }


def vehicle_line(event: VehicleTruth, scenario: Scenario) -> dict[str, Any]:
    """A vehicle in the keys of a `vehicle` message, with static loads; `truth` holds what no message may tell."""
    return {
        "schema": "borderflow/vehicle/1",
        "time": _utc(scenario, event.crossed_s),
        "site": {"country": scenario.site.country, "port": scenario.site.port},
        "lane": event.lane,
        "source": "truth",
        "speed_mps": round(event.speed_mps, 4),
        "length_m": round(event.length_m, 3),
        "wheelbase_m": round(event.wheelbase_m, 4),
        "gross_kg": round(event.gross_kg, 2),
        "axles": [
            {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(axle).items()}
            for axle in event.axles
        ],
        "class": {"scheme": "fhwa", "code": str(event.fhwa_class)},
        "truth": {
            "vehicle": event.vehicle,
            "kind": event.kind,
            "left": _utc(scenario, event.time_s),
            "first_speed_mps": round(event.first_speed_mps, 4),
            "stopped_on_sensor": event.stopped,
            "reversed": event.reversed,
            "tag": event.tag,
            "plate": event.plate,
        },
    }


def wait_line(event: WaitTruth, scenario: Scenario) -> dict[str, Any]:
    """What one vehicle really waited."""
    return {
        "time": _utc(scenario, event.time_s),
        "lane": event.lane,
        "program": event.program,
        "vehicle": event.vehicle,
        "wait_s": None if event.wait_s is None else round(event.wait_s, 3),
        "wim_to_booth_s": None if event.wim_to_booth_s is None else round(event.wim_to_booth_s, 3),
    }


def sighting_line(event: WorldEvent, scenario: Scenario) -> dict[str, Any] | None:
    """The line of `sightings.jsonl` for an event; None for what is no sighting."""
    match event:
        case TagPassed():
            return _seen(scenario, event.time_s, event.lane, event.point, "rfid", id=event.tag, confidence=1.0)
        case PlatePassed():
            read = {"id": event.plate, "confidence": event.confidence}
            return _seen(scenario, event.time_s, event.lane, event.point, "plate", **read)
        case InputChanged(on=True):
            for device in scenario.device:
                for line in device.inputs if device.name == event.device else ():
                    if line.name == event.input and line.signal == "loop":
                        return _seen(scenario, event.time_s, line.lane, line.point, "loop", confidence=1.0)
        case BoothChanged():
            turn = {"open": event.open, "program": event.program}
            return _seen(scenario, event.time_s, event.lane, "booth", "booth", **turn)
    return None


def _seen(
    scenario: Scenario, time_s: float, lane: str | None, point: str | None, medium: str, **what: Any
) -> dict[str, Any]:
    return {"time": _utc(scenario, time_s), "lane": lane, "point": point, "medium": medium} | what


def _utc(scenario: Scenario, time_s: float) -> str:
    return utc_text(scenario.start_ns + round(time_s * 1e9))
