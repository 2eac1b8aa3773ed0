"""`borderflow status`: asks the daemon of this computer how things are; no broker, no device, no waiting.

Exit 0; 1 where an alarm is critical; 69 where no daemon answers.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from edge.exit_codes import EXIT_CONFIG, EXIT_UNREACHABLE
from edge.eyes.client import NoDaemon, PlaceError, find
from edge.words.ages import age

_age = partial(age, fine=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="of the daemon meant; default: the installed one")
    parser.add_argument("--json", action="store_true", help="print the state as one JSON object")


def run(args: argparse.Namespace) -> int:
    try:
        _, state = find(args.config)
    except PlaceError as error:
        print(f"borderflow status: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except NoDaemon as error:
        print(f"borderflow status: {error}", file=sys.stderr)
        return EXIT_UNREACHABLE
    if state.get("clock") is None:  # systemd forbids the daemon to look
        state["clock"] = _clock()
    print(json.dumps(state, ensure_ascii=False) if args.json else "\n".join(_lines(state)))
    return 1 if any(alarm["severity"] == "critical" for alarm in state["alarms"]) else 0


def _clock() -> dict[str, Any] | None:
    from edge.machine.clock import clock_state

    found = clock_state()
    if found is None:
        return None
    return {"synchronised": found.synchronised, "estimated_error_s": found.estimated_error_s, "text": found.text}


def _lines(state: dict[str, Any]) -> list[str]:
    """For a person: what is wrong comes first."""
    site = state["site"]
    head = f"{site['name'] or 'crossing'} ({site['country']}/{site['port']}), computer {state['source']}"
    lines = [f"{head}, borderflow {state['versions']['borderflow']}, up {_age(state['up_s'])}", ""]
    if not state["alarms"]:
        lines.append("no alarm holds")
    for alarm in state["alarms"]:
        lines.append(f"{alarm['severity'].upper():<8} {alarm['code']} for {_age(alarm['age_s'])}: {alarm['text']}")
    lines += ["", *_lanes(state), "", *_devices(state), "", *_collectors(state), *_computer(state)]
    return lines


def _lanes(state: dict[str, Any]) -> list[str]:
    rows = []
    for lane in state["lanes"]:
        last = lane["last_vehicle_age_s"]
        passed = count(lane["vehicles"], "vehicle")
        weighed = "no vehicle yet" if last is None else f"{passed}, the last {_age(last)} ago"
        bad = [f"{sensor['name']} {sensor['state']}" for sensor in lane["sensors"] if sensor["state"] != "ok"]
        sensors = f"; {', '.join(bad)}" if bad else ""
        how = f"{weighed}{', one over the array' if lane['occupied'] else ''}" if lane["digitiser"] else "not weighed"
        rows.append(
            f"lane   {lane['id']:<12} {lane['direction']} {lane['traffic']} {lane['program']}: {how}{sensors}"
            f"{_wait(state, lane['id'])}"
        )
    return rows


def _wait(state: dict[str, Any], lane: str) -> str:
    found = next((wait for wait in state["waits"] if wait["lane"] == lane), None)
    if found is None or found["expected_s"] is None:
        return "; wait not known"
    more = ", and more before the first point, which the queue reaches" if found["lower_bound"] else ""
    return f"; wait {minutes(found['expected_s'])} ({minutes(found['low_s'])} to {minutes(found['high_s'])}){more}"


def _devices(state: dict[str, Any]) -> list[str]:
    width = max((20, *map(len, state["devices"])))
    return [
        f"device {name:<{width}} {device['state']}"
        f"{'' if device['age_s'] is None else ' for ' + _age(device['age_s'])}{_after(': ', device['text'])}"
        for name, device in state["devices"].items()
    ]


def _collectors(state: dict[str, Any]) -> list[str]:
    rows = []
    for name, link in state["collectors"].items():
        oldest = link["oldest_age_s"]
        behind = "" if oldest is None else f", the oldest for {_age(oldest)}"
        text = _after(": ", link.get("text", ""))
        backlog = count(link["backlog"], "message")
        rows.append(f"collector {name:<17} {link.get('state', '?')}, {backlog} to send{behind}{text}")
    return rows


def _computer(state: dict[str, Any]) -> list[str]:
    disk, journal, clock = state["disk"], state["journal"], state["clock"]
    free = "no answer" if disk["free_bytes"] is None else f"{disk['free_bytes'] / 1e9:.1f} GB free"
    held = "" if disk["journal_bytes"] is None else f", journal {disk['journal_bytes'] / 1e6:.0f} MB"
    rows = [f"disk   {disk['path']}: {free}{held} of at most {disk['journal_most_bytes'] / 1e9:.1f} GB"]
    if journal["refusal"] is not None:
        rows.append(f"journal refuses: {journal['refusal']}; {journal['waiting']} messages wait in memory")
    return [*rows, f"clock  {'not known' if clock is None else clock['text']}"]


def _after(sign: str, text: str) -> str:
    return f"{sign}{text}" if text else ""


def count(number: int, what: str) -> str:
    """`1 vehicle`, `2 vehicles`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def minutes(seconds: float | None) -> str:
    return "?" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"
