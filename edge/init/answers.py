"""What somebody who commissions a lane answers, as typed values: from flags or from a terminal. Words in, no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, get_args

from edge.init.array import Array
from edge.messages import Program, Traffic

DIRECTIONS = ("inbound", "outbound")
_SPEC = re.compile(
    r"^(?:(?P<driver>[a-z][a-z0-9_]*)=)?(?P<url>[a-z][a-z0-9+.-]*://[^;@\s]+|/[^;@\s]+)"
    r"(?:@(?P<lane>[^;/\s]*)(?:/(?P<point>[^;\s]+))?)?(?P<options>(?:;[a-z_]+=[^;]*)*)$"
)
_LOOPS, _LAMPS = ("loop", "detector"), ("open", "lamp")


@dataclass(frozen=True, slots=True)
class LaneAnswer:
    """`C03 commercial FAST inbound`; all but the name may be left out."""

    id: str
    traffic: str = "commercial"
    program: str = "standard"
    direction: str = "inbound"

    @staticmethod
    def of(text: str) -> LaneAnswer:
        """ValueError says which word is none of a lane."""
        name, *words = text.split() or [""]
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise ValueError(
                f"lane {text!r}: begin with its name of letters, digits, _ and -, like: C03 commercial FAST"
            )
        kinds = {"traffic": get_args(Traffic), "program": get_args(Program), "direction": DIRECTIONS}
        found: dict[str, str] = {}
        for word in words:
            kind = next((kind for kind, allowed in kinds.items() if word.lower() in map(str.lower, allowed)), None)
            if kind is None:
                allowed = ", ".join(word for words in kinds.values() for word in words)
                raise ValueError(f"lane {text!r}: {word!r} is none of {allowed}")
            found[kind] = next(allowed for allowed in kinds[kind] if allowed.lower() == word.lower())
        return LaneAnswer(name, **found)


@dataclass(frozen=True, slots=True)
class DeviceAnswer:
    """`[DRIVER=]URL[@LANE[/POINT]][;option=value...]`: only the URL must be said, the rest is found or asked."""

    url: str
    driver: str | None = None
    lane: str | None = None
    point: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(text: str) -> DeviceAnswer:
        """ValueError says what does not fit."""
        found = _SPEC.match(text.strip())
        if found is None:
            raise ValueError(
                f"device {text!r} does not fit; write [DRIVER=]URL[@LANE[/POINT]], like "
                "transcore_encompass=serial:///dev/ttyUSB0?baud=9600@C03/approach"
            )
        url = found["url"] if "://" in found["url"] else f"serial://{found['url']}"
        options = dict(part.split("=", 1) for part in found["options"].split(";") if part)
        return DeviceAnswer(
            url, found["driver"], found["lane"] or None, found["point"],
            {name: _value(text) for name, text in options.items()},
        )  # fmt: skip


def _value(text: str) -> Any:
    """A number where it is one, a list where it has commas, else text."""
    if "," in text:
        return [part.strip() for part in text.split(",") if part.strip()]
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?\d+\.\d+", text) else text


@dataclass(frozen=True, slots=True)
class PointAnswer:
    name: str
    x_m: float | None = None


def points_of(text: str) -> list[PointAnswer]:
    """`approach 0, wim 250, booth 300`: names in the order in which a vehicle passes, places in metres where known."""
    made = []
    for part in text.split(","):
        name, _, place = part.strip().partition(" ")
        if not name or (place.strip() and not re.fullmatch(r"-?\d+(\.\d+)?", place.strip())):
            raise ValueError(
                f"points {text!r}: {part.strip()!r} is none; write them like: approach 0, wim 250, booth 300"
            )
        made.append(PointAnswer(name, float(place) if place.strip() else None))
    return made


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a digital input means."""

    name: str
    signal: str
    lane: str | None
    point: str | None


def meaning_of(name: str, lanes: list[str], points: list[str], lane: str | None) -> Meaning | None:
    """From how an input is called: `c01-approach-loop`, `booth-open`; None where its name says nothing.

    Its lane is the one that it names, else that of the device, else the only one.
    """
    words = _words(name)
    signal = "loop" if words[-1] in _LOOPS else "booth_open" if words[-1] in _LAMPS else None
    if signal is None:
        return None
    called = [one for one in lanes if f"-{'-'.join(_words(one))}-" in f"-{'-'.join(words)}-"]
    named = max(called, key=len, default=lane or (lanes[0] if len(lanes) == 1 else None))
    point = next((one for one in points if one.lower() in words), "booth" if signal == "booth_open" else None)
    return Meaning(name, signal, named, point) if point is not None else None


def _words(name: str) -> list[str]:
    return name.lower().replace("_", "-").split("-")


@dataclass(frozen=True, slots=True)
class Answers:
    """All that a first configuration is made of."""

    country: str
    port: str
    lanes: tuple[LaneAnswer, ...]
    name: str = ""
    timezone: str = "UTC"
    array: Array | None = None
    arrays: dict[str, Array] = field(default_factory=dict)  # of lanes that have one of their own
    points: tuple[PointAnswer, ...] = (PointAnswer("approach", 0.0), PointAnswer("wim"), PointAnswer("booth"))
    collector: str | None = None
    protocol: int = 5
    files: dict[str, str] = field(default_factory=dict)  # ca_file, cert_file, key_file of the collector
    key_file: str = "identity.key"
    store: str = "/var/lib/borderflow"

    def array_of(self, lane: str | None) -> Array | None:
        """What weighs there."""
        return self.arrays.get(lane or "", self.array)

    def every_array(self) -> list[Array]:
        """Each that was told, once."""
        return [array for array in (self.array, *self.arrays.values()) if array is not None]

    def has_array(self, lane: LaneAnswer) -> bool:
        return self.array_of(lane.id) is not None
