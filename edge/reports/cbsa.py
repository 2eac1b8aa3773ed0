"""Waits in the shape of CBSA's public file (www.cbsa-asfc.gc.ca/bwt-taf/bwt-eng.csv): a line for each office.

Fields end with `;;` and a space, the text begins with a byte order mark. A value is `No Delay`, `1 minute`,
`N minutes`, `Closed`, `Not Applicable` where there is no such lane, or `--` where nothing is known. The file has one
value for each direction and kind of traffic: that of the standard lanes, or where there are none, of the others.
Called by `edge.commands.export`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from edge.config import Config
from edge.messages import Program, Traffic
from edge.reports.feeds import Board, Group, towards

COLUMNS = (
    "Customs Office",
    "Location",
    "Last updated",
    "Commercial Flow - Canada bound",
    "Commercial Flow - U.S. bound",
    "Travellers Flow - Canada bound",
    "Travellers Flow - U.S. bound",
)
_BOM = "\ufeff"
_FLOWS: tuple[tuple[Traffic, tuple[Program, ...]], ...] = (
    ("commercial", ("standard", "FAST")),
    ("passenger", ("standard", "NEXUS", "READY", "SENTRI")),
)


def feed(boards: Sequence[Board], now_ns: int) -> str:
    """The file as text, byte order mark included."""
    lines = [";; ".join(COLUMNS) + ";;"]
    lines += [";; ".join(row(board, now_ns)) + ";; " for board in boards]
    return _BOM + "\n".join(lines) + "\n"


def row(board: Board, now_ns: int) -> list[str]:
    """The seven values of one office."""
    config = board.config
    groups = [
        board.group(traffic, programs, towards(country, config), now_ns)
        for traffic, programs in _FLOWS
        for country in ("CA", "US")
    ]
    return [
        _text(config.site.name or config.site.port),
        _text(config.site.location),
        _updated(groups, config),
        *(value(group) for group in groups),
    ]


def value(group: Group) -> str:
    """`No Delay`, `1 minute`, `N minutes`, `Closed`, `Not Applicable`, `--`."""
    if group.state != "known":
        return {"none": "Not Applicable", "closed": "Closed"}.get(group.state, "--")
    minutes = group.minutes
    if not minutes:
        return "No Delay" if minutes == 0 else "--"
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


def _updated(groups: Sequence[Group], config: Config) -> str:
    """When the newest figure was made, in the time of the office: `2026-10-03 13:20 EDT`."""
    times = [group.time_ns for group in groups if group.time_ns is not None]
    if not times:
        return "--"
    local = datetime.fromtimestamp(max(times) // 1_000_000_000, UTC).astimezone(ZoneInfo(config.site.timezone))
    return f"{local:%Y-%m-%d %H:%M %Z}"


def _text(text: str) -> str:
    return " ".join(text.replace(";;", ",").split())
