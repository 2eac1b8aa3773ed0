"""What a central operator sees: messages in, tables for a terminal out. Used by `watch` and `demo`.

Nothing here knows where messages come from; `truth` is filled by the demo alone, from the simulator.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edge.commands.status import age
from edge.messages import KINDS, parse_utc
from edge.words.alarms import said
from edge.words.values import word

_TRUTH_WITHIN_S = 1.5  # a measured vehicle and a true one are the same when their first axles cross x = 0 this near
_ROWS = 12


@dataclass(slots=True)
class CrossingView:
    """The last word of each topic, and the latest vehicles."""

    vehicles: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_ROWS))
    truths: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=200))
    waits: dict[tuple[str, str, str, str], dict[str, Any]] = field(default_factory=dict)
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    alarms: dict[tuple[str, str, str, str], dict[str, Any]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    language: str = "en"
    clock: Callable[[], float] = time.time

    def take(self, topic: str, message: dict[str, Any]) -> None:
        """A message has arrived on a topic `borderflow/v1/{country}/{port}/{source}/{lane}/{kind}`."""
        kind = topic.rsplit("/", 1)[-1]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind == "vehicle":
            self.vehicles.append(message)
        elif kind == "wait":
            direction, traffic, program = (message.get(key) or "" for key in ("direction", "traffic", "program"))
            self.waits[(topic, direction, traffic, program)] = message
        elif kind == "status":
            self.statuses[topic] = message
            self._hold(topic, message)
        elif kind == "alarm":
            key = (topic, str(message.get("code")), str(message.get("device")), str(message.get("sensor")))
            if message.get("state") == "begin":
                self.alarms[key] = message
            else:
                self.alarms.pop(key, None)

    def _hold(self, topic: str, status: dict[str, Any]) -> None:
        """A status says what holds at its computer, also to those who came later; the last will does not know."""
        if (said := status.get("alarms")) is None:
            return
        root = topic.rsplit("/", 2)[0]
        held = {
            (f"{root}/{alarm['lane']}/alarm", alarm["code"], str(alarm["device"]), str(alarm.get("sensor"))): alarm
            for alarm in said
        }
        for key, alarm in list(self.alarms.items()):
            over = alarm.get("time", "") <= status["time"] and "gap" not in alarm  # what explains a gap never ends
            if key not in held and key[0].startswith(f"{root}/") and over:
                del self.alarms[key]
        self.alarms |= held

    def truth_of(self, vehicle: dict[str, Any]) -> dict[str, Any] | None:
        """The simulator's vehicle that this message is about, or None."""
        at = _seconds(vehicle["time"])
        near = [truth for truth in self.truths if truth.get("lane") == vehicle["lane"]]
        best = min(near, key=lambda truth: abs(_seconds(truth["time"]) - at), default=None)
        return best if best is not None and abs(_seconds(best["time"]) - at) <= _TRUTH_WITHIN_S else None

    def line(self, topic: str, message: dict[str, Any]) -> str:
        """A message as one line of text, for a pipe; a vehicle beside its truth, where that is known."""
        kind, at = topic.rsplit("/", 1)[-1], message["time"][11:21]
        if kind == "vehicle":
            _, lane, code, speed, axles, gross, sigma, flags = vehicle_cells(message)
            text = f"{lane:>4} class {code:>2} {speed:>5} km/h  {gross} ± {sigma} t"
            if self.truths:
                true_gross, error = truth_cells(message, self.truth_of(message))
                text += f", true {true_gross} t ({error})"
            text += f"  axles {axles} {flags}"
        elif kind == "wait":
            lane, direction, traffic, program, experienced, expected, interval, waiting, _, method = wait_cells(message)
            text = f"{lane:>4} {direction} {traffic} {program:<8} experienced {experienced}, expected {expected} "
            text += f"({interval}), "
            text += f"queue {waiting}, {method}"
        elif kind == "alarm":
            text = f"{message['state']} {message['code']} {message.get('device') or ''}: {said(message, self.language)}"
        elif kind == "flow":
            of = " ".join(message[key] for key in ("direction", "traffic") if message.get(key))
            text = f"{message['lane']:>4} {of} {message['interval_s']} s: {message['count']} vehicles"
        elif kind == "status":
            devices = ", ".join(f"{name} {device['state']}" for name, device in message.get("devices", {}).items())
            text = f"{message['source']} {'online' if message['online'] else 'offline'}: {devices}"
        else:
            text = f"{message['lane']:>4} {message.get('point', '')} {message.get('medium', '')}"
        return f"{kind:<8} {at} {text}".rstrip()

    def render(self) -> RenderableType:
        return Group(self._alarm_table(), self._waits_table(), self._vehicles_table(), self._devices_table())

    def _alarm_table(self) -> RenderableType:
        """What is worst comes first; of the same severity what is newest."""
        if not self.alarms:
            return Text(self._word("no_alarm"), style="green")
        table = self._table("alarms", "severity", "age", "lane", "code", "says")
        ranks = ("critical", "warning", "info")
        held = sorted(self.alarms.items(), key=lambda item: _begun(item[1]), reverse=True)
        for (topic, *_), alarm in sorted(held, key=lambda item: ranks.index(item[1]["severity"])):
            severity = word(self.language, "severity", alarm["severity"])
            style = {"critical": "bold red", "warning": "yellow"}.get(alarm["severity"], "")
            place = f"{_source(topic)} {alarm['lane']}"
            _row(
                table, Text(severity, style), self._age(_begun(alarm)), place, alarm["code"], said(alarm, self.language)
            )
        return table

    def _vehicles_table(self) -> Table:
        table = self._table("vehicles")
        for name, justify in (
            ("age", "right"), ("lane", "left"), ("klass", "right"), ("km/h", "right"), ("axles", "left"),
            ("gross", "right"), ("± t", "right"), ("flags", "left"),
        ):  # fmt: skip
            table.add_column(self._word(name), justify=justify, no_wrap=name != "axles")  # type: ignore[arg-type]
        if self.truths:
            table.add_column(self._word("true_gross"), justify="right")
            table.add_column(self._word("error"), justify="right")
        for vehicle in reversed(self.vehicles):
            _, *cells, flags = vehicle_cells(vehicle)
            flags = ", ".join(word(self.language, "flag", flag) for flag in flags.split(",") if flag)
            true = truth_cells(vehicle, self.truth_of(vehicle)) if self.truths else ()
            _row(table, self._age(vehicle["time"]), *cells, flags, *true)
        return table

    def _waits_table(self) -> Table:
        table = self._table("waits")
        words = ("lane", "direction", "traffic", "program", "method")
        for name in (*words[:4], "experienced", "expected", "band", "queue", "per_hour", "method", "age"):
            table.add_column(self._word(name), justify="left" if name in words else "right")
        for wait in sorted(self.waits.values(), key=_wait_order):
            lane, direction, traffic, *rest = wait_cells(wait)
            _row(
                table,
                self._word("all_lanes") if wait["lane"] == "_" else lane,
                word(self.language, "direction", direction), word(self.language, "traffic", traffic), *rest,
                self._age(wait["time"]),
            )  # fmt: skip
        return table

    def _devices_table(self) -> Table:
        table = self._table("devices", "computer", "device", "state", "age", "says")
        for topic, status in sorted(self.statuses.items()):
            online = "online" if status.get("online") else "offline"
            _row(table, _source(topic), "", self._state(online), self._age(status.get("since", "")), "")
            for name, device in sorted(status.get("devices", {}).items()):
                _row(table, "", name, self._state(device["state"]), self._age(device["since"]), device.get("text", ""))
        return table

    def _table(self, title: str, *columns: str) -> Table:
        table = Table(title=self._word(title), title_justify="left", expand=True)
        for name in columns:
            table.add_column(self._word(name))
        return table

    def _word(self, name: str) -> str:
        return word(self.language, "watch", name)

    def _state(self, state: str) -> Text:
        style = {"online": "green", "connecting": "yellow"}.get(state, "bold red")
        return Text(word(self.language, "state", state), style=style)

    def _age(self, utc: str) -> str:
        """How long ago that was; empty where there is no such time."""
        try:
            return age(self.clock() - _seconds(utc))
        except (ValueError, OverflowError):
            return ""


def is_message(topic: str, message: dict[str, Any]) -> bool:
    """It has the keys of its kind; anybody can publish anything, and a table shows nothing but messages."""
    kind = KINDS.get(topic.rsplit("/", 1)[-1])
    try:
        return kind is not None and msgspec.convert(message, kind) is not None
    except msgspec.ValidationError:
        return False


def _seconds(utc: str) -> float:
    return parse_utc(utc) / 1e9


def _row(table: Table, *cells: str | Text) -> None:
    """What came from others is shown as it stands: brackets in it are no orders to the terminal."""
    table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))


def _source(topic: str) -> str:
    """The computer of a topic."""
    return topic.split("/")[4] if topic.count("/") >= 4 else topic


def _begun(alarm: dict[str, Any]) -> str:
    """Since when it holds: a message of the beginning says `time`, an entry of a status `since`."""
    return str(alarm.get("since") or alarm.get("time") or "")


def _tonnes(kg: float | None) -> str:
    return "–" if kg is None else f"{kg / 1000:.2f}"


def _minutes(seconds: float | None) -> str:
    return "–" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def vehicle_cells(vehicle: dict[str, Any]) -> tuple[str, ...]:
    """Cells of a vehicle: time, lane, class, speed, axle loads, gross weight, its sigma, flags."""
    speed = vehicle.get("speed_mps")
    return (
        vehicle["time"][11:21],
        vehicle["lane"],
        vehicle["class"]["code"],
        "–" if speed is None else f"{speed * 3.6:.1f}",
        " ".join(_tonnes(axle["load_kg"]) for axle in vehicle["axles"]),
        _tonnes(vehicle["gross_kg"]),
        _tonnes(vehicle["gross_sigma_kg"]),
        ",".join(vehicle.get("flags", ())),
    )


def truth_cells(vehicle: dict[str, Any], truth: dict[str, Any] | None) -> tuple[str, str]:
    """True gross weight and the measurement's relative error."""
    if truth is None:
        return "–", "–"
    gross = truth["gross_kg"]
    return _tonnes(gross), f"{100 * (vehicle['gross_kg'] / gross - 1):+.1f} %"


def _wait_order(wait: dict[str, Any]) -> tuple[str, str, str, bool, str, str]:
    """One direction and kind of traffic after another: its lanes, its programs, all of it."""
    site, lane = wait["site"], wait["lane"]
    words = [wait.get(key) or "" for key in ("direction", "traffic", "program")]
    crossing = f"{site['country']} {site['port']} {wait['source']}"
    return crossing, words[0], words[1], lane == "_", lane, words[2] or "~"


def wait_cells(wait: dict[str, Any]) -> tuple[str, ...]:
    """Cells of a wait: lane, direction, traffic, program, experienced, expected, interval, queue, per hour, method."""
    experienced = wait["experienced"]
    queue, per_hour = wait.get("queue_vehicles"), wait.get("throughput_per_h")
    bound = "≥ " if wait.get("lower_bound") else ""
    return (
        "all" if wait["lane"] == "_" else wait["lane"],
        wait.get("direction") or "",
        wait.get("traffic") or "",
        wait.get("program") or "",
        f"{_minutes(experienced['median_s'])} ({experienced['count']})",
        bound + _minutes(wait.get("expected_s")),
        f"{_minutes(wait.get('low_s'))} – {_minutes(wait.get('high_s'))}",
        "–" if queue is None else f"{queue:.0f}",
        "–" if per_hour is None else f"{per_hour:.0f}",
        wait.get("method") or "–",
    )
