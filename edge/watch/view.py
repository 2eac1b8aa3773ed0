"""The last word of each topic, the latest vehicles, the alarms that hold: messages in, what the screens show out.

Called by edge/watch's screens, `watch` and `demo`. Nothing here knows where messages come from; `truth` is filled by
the demo alone, from the simulator.
"""

from __future__ import annotations

from collections import deque
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, TypeVar

import msgspec

from edge.messages import KINDS, parse_utc
from edge.watch.harmless import harmless
from edge.words.alarms import said

_TRUTH_WITHIN_S = 1.5  # a measured vehicle and a true one are the same when their first axles cross x = 0 this near
_VEHICLES = 200
_MOST = 20_000  # topics and alarms that are kept; beyond, the one that was silent longest goes

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(slots=True)
class CrossingView:
    """The last word of each topic, and the latest vehicles."""

    vehicles: deque[tuple[str, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=_VEHICLES))
    truths: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=200))
    waits: dict[tuple[str, str, str, str], dict[str, Any]] = field(default_factory=dict)
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    alarms: dict[tuple[str, str, str, str], dict[str, Any]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    language: str = "en"

    def take(self, topic: str, message: dict[str, Any]) -> None:
        """A message has arrived on a topic `borderflow/v1/{country}/{port}/{source}/{lane}/{kind}`."""
        kind = topic.rsplit("/", 1)[-1]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind == "vehicle":
            self.vehicles.append((topic, message))
        elif kind == "wait":
            direction, traffic, program = (message.get(key) or "" for key in ("direction", "traffic", "program"))
            _keep(self.waits, (topic, direction, traffic, program), message)
        elif kind == "status":
            _keep(self.statuses, topic, message)
            self._hold(topic, message)
        elif kind == "alarm":
            key = (topic, str(message.get("code")), str(message.get("device")), str(message.get("sensor")))
            if message.get("state") == "begin":
                _keep(self.alarms, key, message)
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
        for key, alarm in held.items():
            _keep(self.alarms, key, alarm)

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
        return harmless(f"{kind:<8} {at} {text}").rstrip()


def _keep(held: MutableMapping[_Key, _Value], key: _Key, value: _Value) -> None:
    """The newest last; a bound, since anybody can publish on ever new topics."""
    held.pop(key, None)
    held[key] = value
    if len(held) > _MOST:
        del held[next(iter(held))]


def is_message(topic: str, message: dict[str, Any]) -> bool:
    """It has the keys of its kind; anybody can publish anything, and a table shows nothing but messages."""
    kind = KINDS.get(topic.rsplit("/", 1)[-1])
    try:
        return kind is not None and msgspec.convert(message, kind) is not None
    except msgspec.ValidationError:
        return False


def _seconds(utc: str) -> float:
    return parse_utc(utc) / 1e9


def _tonnes(kg: float | None) -> str:
    return "–" if kg is None or not isfinite(kg) else f"{kg / 1000:.2f}"


def _minutes(seconds: float | None) -> str:
    if seconds is None or not isfinite(seconds):
        return "–"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


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
