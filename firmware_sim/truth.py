"""What really happened, as JSON lines: world events and turns of faults in, plain tables out; used by `serve.py`.

Every line has `kind` and `time` (UTC). `vehicle` lines have the keys of a `vehicle` message with static loads, and
`time` is when the first axle's centre crossed x = 0; `sighting` lines have the identifier in clear, as read.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from firmware_sim.events import (
    BoothChanged,
    PlatePassed,
    PointPassed,
    TagPassed,
    VehicleTruth,
    WaitTruth,
    WorldEvent,
)
from firmware_sim.faults import Turn
from firmware_sim.scenario import utc_text


def event_line(event: WorldEvent, origin_ns: int) -> dict[str, Any] | None:
    """The line for an event, or None for one that is no part of the truth. `origin_ns` is world time 0 as UTC."""

    def at(time_s: float) -> str:
        return utc_text(origin_ns + round(time_s * 1e9))

    match event:
        case VehicleTruth():
            table = asdict(event)
            done_s, crossed_s = table.pop("time_s"), table.pop("crossed_s")
            flags = [flag for flag, is_so in (("stopped", event.stopped), ("reversed", event.reversed)) if is_so]
            del table["stopped"], table["reversed"]
            return {"kind": "vehicle", "time": at(crossed_s), "left": at(done_s)} | table | {"flags": flags}
        case WaitTruth():
            return _line("wait", event, at(event.time_s))
        case TagPassed():
            return _line("sighting", event, at(event.time_s)) | {"medium": "rfid"}
        case PlatePassed():
            return _line("sighting", event, at(event.time_s)) | {"medium": "plate"}
        case PointPassed():
            return _line("point", event, at(event.time_s))
        case BoothChanged():
            return _line("booth", event, at(event.time_s))
    return None


def _line(kind: str, event: WorldEvent, time: str) -> dict[str, Any]:
    table = asdict(event)
    del table["time_s"]
    return {"kind": kind, "time": time} | table


def fault_line(turn: Turn, time: str) -> dict[str, Any]:
    """The line for a fault that begins or ends."""
    state = "begin" if turn.begins else "end"
    line: dict[str, Any] = {"kind": "fault", "time": time, "device": turn.fault.device, "fault": turn.fault.kind}
    return line | {"state": state, "options": turn.fault.options}
