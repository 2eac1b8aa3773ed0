"""What is known of the crossings → rows of text for a screen, in a language, with ages. Called by edge/watch's screens.

A row is made only when it is shown: there may be thousands. Crossing, computer and lane are those of the topic, which a
broker holds each computer to, not those that a message claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from edge.watch.harmless import harmless
from edge.watch.view import CrossingView, truth_cells, vehicle_cells, wait_cells
from edge.watch.words import Words, seconds_since
from edge.words.alarms import said

SHEETS = ("waits", "vehicles", "devices")
_RANK = {"critical": 0, "warning": 1, "info": 2}
_STYLE = {
    "critical": "bold red", "warning": "yellow", "info": "cyan",
    "online": "green", "connected": "green", "connecting": "yellow", "waiting": "yellow",
}  # fmt: skip
_OLD_S = 300.0  # a wait of an interval that ended longer ago is no news: dimmed


@dataclass(frozen=True, slots=True)
class Row:
    """`found_by` is what a filter looks at, without case."""

    found_by: str
    cells: Callable[[], tuple[Text, ...]]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: keys of its columns, which of them stand to the right, its rows, what to say when there is none."""

    columns: tuple[str, ...]
    right: frozenset[str]
    rows: tuple[Row, ...]
    empty: str

    def holding(self, needle: str) -> tuple[Row, ...]:
        """The rows in which every word of the filter is found."""
        wanted = needle.casefold().split()
        return tuple(row for row in self.rows if all(part in row.found_by for part in wanted)) if wanted else self.rows


def alarms(view: CrossingView, words: Words, now_s: float) -> Sheet:
    """Computers that are offline, then what holds: the worst first, of those the newest."""

    def order(item: tuple[tuple[str, ...], dict[str, Any]]) -> tuple[int, float]:
        since = seconds_since(_began(item[1]), now_s)
        return _RANK.get(item[1]["severity"], 3), since if since is not None else 1e12

    rows = [_offline(topic, status, words, now_s) for topic, status in sorted(view.statuses.items()) if _gone(status)]
    for (topic, *_), alarm in sorted(view.alarms.items(), key=order):
        crossing, computer, lane = place(topic)

        def cells(
            alarm: dict[str, Any] = alarm, crossing: str = crossing, computer: str = computer, lane: str = lane
        ) -> tuple[Text, ...]:
            severity = alarm["severity"]
            return (
                _cell(words.of("severity", severity), _STYLE.get(severity, "")),
                _cell(words.age(seconds_since(_began(alarm), now_s))),
                _cell(crossing), _cell(computer), _lane(lane, words),
                _cell(alarm["code"]), _cell(said(alarm, words.language)),
            )  # fmt: skip

        rows.append(Row(_found(topic, alarm["code"], alarm.get("device"), alarm["severity"], alarm["text"]), cells))
    columns = ("severity", "age", "crossing", "computer", "lane", "code", "text")
    return Sheet(columns, frozenset({"age"}), tuple(rows), words["no_alarm"])


def _gone(status: dict[str, Any]) -> bool:
    return status.get("online") is False


def _offline(topic: str, status: dict[str, Any], words: Words, now_s: float) -> Row:
    """In no alarm, as nobody is there to give one; and the alarms of such a computer are those of then."""
    crossing, computer, _ = place(topic)
    cause = status.get("cause") or ""

    def cells() -> tuple[Text, ...]:
        return (
            _cell(words.of("severity", "critical"), _STYLE["critical"]),
            _cell(words.age(seconds_since(status.get("since") or status.get("time"), now_s))),
            _cell(crossing), _cell(computer), _lane("_", words),
            _cell(words.of("state", "offline"), _STYLE["critical"]),
            _cell(f"{cause}: {words['offline']}" if cause else words["offline"]),
        )  # fmt: skip

    return Row(_found(topic, "offline", "critical", cause), cells)


def sheet(name: str, view: CrossingView, words: Words, now_s: float) -> Sheet:
    """One of SHEETS."""
    return {"waits": _waits, "vehicles": _vehicles, "devices": _devices}[name](view, words, now_s)


def place(topic: str) -> tuple[str, str, str]:
    """Crossing, computer and lane of a topic."""
    parts = topic.split("/")
    return (f"{parts[2]}/{parts[3]}", parts[4], parts[5]) if len(parts) == 7 else ("", "", topic)


def _waits(view: CrossingView, words: Words, now_s: float) -> Sheet:
    """One direction and kind of traffic after another: its lanes, its programs, all of it."""

    def order(item: tuple[tuple[str, str, str, str], Any]) -> tuple[Any, ...]:
        topic, direction, traffic, program = item[0]
        crossing, computer, lane = place(topic)
        return crossing, computer, direction, traffic, lane == "_", lane, program or "~"

    rows = []
    for (topic, *of_what), wait in sorted(view.waits.items(), key=order):

        def cells(topic: str = topic, wait: dict[str, Any] = wait) -> tuple[Text, ...]:
            crossing, computer, lane = place(topic)
            since = seconds_since(wait["time"], now_s)
            style = "dim" if since is None or since > _OLD_S else ""
            _, direction, traffic, program, lately, expected, band, *rest = wait_cells(wait)
            of = (words.of("direction", direction), words.of("traffic", traffic), program)
            texts = (crossing, computer, lane if lane != "_" else words["all"], *of, expected, band, lately, *rest)
            return (_cell(words.age(since), style), *(_cell(text, style) for text in texts))

        rows.append(Row(_found(topic, *of_what), cells))
    columns = (
        "age", "crossing", "computer", "lane", "direction", "traffic", "program", "expected", "band", "lately",
        "queue", "per_hour", "method",
    )  # fmt: skip
    right = frozenset({"age", "expected", "band", "lately", "queue", "per_hour"})
    return Sheet(columns, right, tuple(rows), words["empty_waits"])


def _vehicles(view: CrossingView, words: Words, now_s: float) -> Sheet:
    """The last ones first; beside the truth where that is known."""
    rows = []
    for topic, vehicle in reversed(view.vehicles):

        def cells(topic: str = topic, vehicle: dict[str, Any] = vehicle) -> tuple[Text, ...]:
            crossing, computer, lane = place(topic)
            _, _, code, speed, axles, gross, sigma, _ = vehicle_cells(vehicle)
            flags = ", ".join(words.of("flag", flag) for flag in vehicle.get("flags", ()))
            texts = (
                words.age(seconds_since(vehicle["time"], now_s)), crossing, computer, lane,
                words.of("direction", vehicle.get("direction")), code, speed, gross, sigma,
                *(truth_cells(vehicle, view.truth_of(vehicle)) if view.truths else ()), axles, flags,
            )  # fmt: skip
            return tuple(_cell(text) for text in texts)

        rows.append(Row(_found(topic, vehicle.get("direction"), *vehicle.get("flags", ())), cells))
    truth = ("true", "error") if view.truths else ()
    where = ("age", "crossing", "computer", "lane", "direction")
    columns = (*where, "class", "speed", "gross", "sigma", *truth, "axles", "flags")
    right = frozenset({"age", "class", "speed", "gross", "sigma", *truth})
    return Sheet(columns, right, tuple(rows), words["empty_vehicles"])


def _devices(view: CrossingView, words: Words, now_s: float) -> Sheet:
    """Each computer, its devices, its collectors; since when it is so."""
    rows = []
    for topic, status in sorted(view.statuses.items()):
        online = "online" if status.get("online") else "offline"
        parts = [("", "state", online, status.get("since"), status.get("cause") or "")]
        parts += [
            (name, "state", device["state"], device["since"], device.get("text", ""))
            for name, device in sorted(status.get("devices", {}).items())
        ]
        parts += [
            (f"→ {name}", "link", link["state"], _oldest(status, name), link.get("text", ""))
            for name, link in sorted((status.get("collectors") or {}).items())
        ]
        for name, kind, state, since, text in parts:

            def cells(
                topic: str = topic,
                name: str = name,
                kind: str = kind,
                state: str = state,
                since: object = since,
                text: str = text,
            ) -> tuple[Text, ...]:
                crossing, computer, _ = place(topic)
                shown = _cell(words.of(kind, state), _STYLE.get(state, "bold red"))
                aged = _cell(words.age(seconds_since(since, now_s)))
                return aged, _cell(crossing), _cell(computer), _cell(name), shown, _cell(text)

            rows.append(Row(_found(topic, name, state, text), cells))
    columns = ("age", "crossing", "computer", "device", "state", "text")
    return Sheet(columns, frozenset({"age"}), tuple(rows), words["empty_devices"])


def _oldest(status: dict[str, Any], collector: str) -> object:
    """Since when a collector's oldest message waits; nothing where none does."""
    return (status.get("backlog", {}).get(collector) or {}).get("oldest")


def _began(alarm: dict[str, Any]) -> object:
    return alarm.get("since") or alarm.get("time")


def _found(*parts: object) -> str:
    return _joined(parts).casefold()


def _joined(parts: Iterable[object]) -> str:
    return " ".join(str(part) for part in parts if part)


def _cell(text: object, style: str = "") -> Text:
    """`Text`, never markup: `[red]` from a stranger stays those five letters."""
    return Text(harmless(text), style=style, no_wrap=True, overflow="ellipsis")


def _lane(lane: str, words: Words) -> Text:
    return _cell(words["all"] if lane == "_" else lane)
