"""Waits in the shape of CBP's public feed (https://bwt.cbp.gov/api/bwtnew): an array with an entry for each crossing.

All values are strings, as there. Known of the feed (the response of 2022-06-29 that WSDOT publishes in
WSDOT-GIS/border-crossings): `no delay` was said up to 7 minutes and `delay` from 10 on; a lane that does not exist,
that is closed or that waits for an update has no time, minutes or lanes; times are those of the port, noon is a word.
Called by `edge.commands.export`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from edge.config import Config
from edge.messages import Program, Traffic
from edge.reports.feeds import NO_LANES, Board, Group, towards

DELAY_FROM_MIN = 10
Border = Literal["Canadian Border", "Mexican Border"]
_TAG_READERS = {"transcore_encompass", "thingmagic_mercury", "llrp"}
_STANDARD: tuple[Program, ...] = ("standard",)
_GROUPS: tuple[tuple[str, str, Traffic | None, dict[str, tuple[Program, ...]]], ...] = (
    ("commercial_vehicle_lanes", "cv", "commercial", {"standard_lanes": _STANDARD, "FAST_lanes": ("FAST",)}),
    (
        "passenger_vehicle_lanes",
        "pv",
        "passenger",
        {"standard_lanes": _STANDARD, "NEXUS_SENTRI_lanes": ("NEXUS", "SENTRI"), "ready_lanes": ("READY",)},
    ),
    ("pedestrian_lanes", "ped", None, {"standard_lanes": _STANDARD, "ready_lanes": ("READY",)}),
)
_TOLERANCES = {"cv": ("standard", "fast"), "pv": ("standard", "nexus_sentri", "ready"), "ped": ("standard", "ready")}

_Strings = dict[str, "str | _Strings"]


def feed(boards: Sequence[Board], now_ns: int, border: Border | None = None) -> str:
    """The feed as JSON text; ValueError where the border of a crossing cannot be told."""
    return json.dumps([crossing(board, now_ns, border) for board in boards], indent=2, ensure_ascii=False) + "\n"


def crossing(board: Board, now_ns: int, border: Border | None = None) -> _Strings:
    """The entry of one crossing."""
    config = board.config
    site, zone = config.site, ZoneInfo(config.site.timezone)
    now = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).astimezone(zone)
    direction = towards("US", config)
    port_name, _, crossing_name = site.name.partition(" - ")
    groups: _Strings = {}
    states: set[str] = set()
    for key, prefix, traffic, programs in _GROUPS:
        found = {
            name: board.group(traffic, wanted, direction, now_ns) if traffic is not None else NO_LANES
            for name, wanted in programs.items()
        }
        states |= {group.state for group in found.values()}
        groups[key] = _group(config, prefix, traffic, direction, found, zone)
    open_ = states - {"none"} != {"closed"}
    return {
        "port_number": site.port,
        "border": border or border_of(config),
        "port_name": port_name,
        "crossing_name": crossing_name,
        "hours": site.hours,
        "date": f"{now.month}/{now.day}/{now.year}",
        "time": f"{now:%H:%M:%S}",
        "port_status": "Open" if open_ else "Closed",
        **groups,
        "construction_notice": "",
        "automation": "1",
        "automation_enabled": "1",
    }


def _group(
    config: Config, prefix: str, traffic: Traffic | None, direction: str, lanes: dict[str, Group], zone: ZoneInfo
) -> _Strings:
    booths = sum(lane.booths for lane in config.lane if (lane.traffic, lane.direction) == (traffic, direction))
    points = next(((g.from_point, g.to_point) for g in lanes.values() if g.from_point), ("", ""))
    return {
        "maximum_lanes": str(booths) if booths else "N/A",
        f"{prefix}_automation_type": automation_of(config) if booths else "Manual",
        f"{prefix}_segment_from": points[0],
        f"{prefix}_segment_to": points[1],
        **{f"{prefix}_{name}_tolerance": "" for name in _TOLERANCES[prefix]},
        **{name: lane_object(group, zone) for name, group in lanes.items()},
    }


def lane_object(group: Group, zone: ZoneInfo) -> _Strings:
    """What the feed says of one kind of lane."""
    minutes = group.minutes
    if group.state != "known" or minutes is None or group.time_ns is None:
        word = {"none": "N/A", "closed": "Lanes Closed"}.get(group.state, "Update Pending")
        return {"update_time": "", "operational_status": word, "delay_minutes": "", "lanes_open": ""}
    return {
        "update_time": update_time(group.time_ns, zone),
        "operational_status": "delay" if minutes >= DELAY_FROM_MIN else "no delay",
        "delay_minutes": str(minutes),
        "lanes_open": "" if group.booths_open is None else str(group.booths_open),
    }


def update_time(time_ns: int, zone: ZoneInfo) -> str:
    """`At 10:00 am PDT`, `At Noon EDT`, in the time of the port."""
    local = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).astimezone(zone)
    if (local.hour % 12, local.minute) == (0, 0):
        return f"At {'Noon' if local.hour else 'Midnight'} {local:%Z}"
    half = "am" if local.hour < 12 else "pm"
    return f"At {local.hour % 12 or 12}:{local.minute:02d} {half} {local:%Z}"


def automation_of(config: Config) -> str:
    """`RFID` where tags are read; the feed has no word for plates, so they and loops are named as what they are."""
    drivers = {device.driver for device in config.device}
    if not drivers or drivers & _TAG_READERS:
        return "RFID"
    return "LPR" if drivers & {"lpr_frame", "hikvision_isapi", "json_events", "camera_stream"} else "Loop"


def border_of(config: Config) -> Border:
    """From the country on the other side, or from the program that exists at one border alone."""
    programs = {lane.program for lane in config.lane}
    if config.site.country == "CA" or "NEXUS" in programs:
        return "Canadian Border"
    if config.site.country == "MX" or programs & {"SENTRI", "READY"}:
        return "Mexican Border"
    raise ValueError(f"which border {config.site.name or config.site.port} lies at cannot be told; give --border")
