"""An array in one line of words: `0 1.2 2.9 4.1 halves loop 2.0x2.0`, or `plate 0.8` → a table for each sensor.

Positions are those of the lines in metres in the direction of travel; `halves` (left and right) or `whole`; `loop` with
the place of its middle and its length. Channels count on line by line, left before right, the loop last. A plate is
whole, at 0, with its extent in the direction of travel. Several lanes: `C05: 0 1.2 2.9 4.1; P11: 0 1.0`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_LOOP = re.compile(r"\bloop\s+(-?[\d.]+)\s*x\s*([\d.]+)")
_PLATE = re.compile(r"\bplate\s+(\d+(?:\.\d+)?)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?$")
_LINES_MOST = 16
_LENGTH_MOST_M = 40.0


@dataclass(frozen=True, slots=True)
class Array:
    """Lines of strips across a lane, or a plate. Lengths in metres."""

    lines_m: tuple[float, ...]
    halves: bool = True
    loop: tuple[float, float] | None = None  # middle, length
    plate_m: float | None = None  # extent of a plate; then there are no lines
    first_channel: int = 0
    width_m: float = 0.053
    gain_n: float = 4.0
    lane_width_m: float = 3.5
    rate_hz: float = 5000.0

    @staticmethod
    def of(text: str, **more: Any) -> Array:
        """From words; ValueError says which does not fit."""
        words = text.replace(",", " ").lower()
        found = _LOOP.search(words)
        loop = (float(found[1]), float(found[2])) if found else None
        plate = _PLATE.search(words)
        rest = _LOOP.sub(" ", _PLATE.sub(" ", words)).split()
        if plate and not rest:
            return Array(lines_m=(0.0,), halves=False, loop=loop, plate_m=float(plate[1]), **more)
        halves = "whole" not in rest
        numbers = [word for word in rest if word not in ("halves", "whole")]
        wrong = next((word for word in numbers if not _NUMBER.match(word)), None)
        if wrong is not None or not numbers or plate:
            raise ValueError(
                f"array {text!r}: {wrong or 'it'} is no position in metres; write it like: "
                "0 1.2 2.9 4.1 halves loop 2.0x2.0, or plate 0.8 loop 0x2.0"
            )
        lines_m = tuple(float(word) for word in numbers)
        if list(lines_m) != sorted(set(lines_m)):
            raise ValueError(f"array {text!r}: the positions of the lines grow in the direction of travel, in metres")
        if len(lines_m) > _LINES_MOST or lines_m[-1] - lines_m[0] > _LENGTH_MOST_M:
            raise ValueError(
                f"array {text!r}: at most {_LINES_MOST} lines within {_LENGTH_MOST_M:g} m; were they meant in metres?"
            )
        return Array(lines_m=lines_m, halves=halves, loop=loop, **more)

    @property
    def strips(self) -> int:
        return len(self.lines_m) * (2 if self.halves else 1)

    def scan_list(self) -> list[str]:
        """Channels of a LabJack in the order of the sensors."""
        names = [f"AIN{n}" for n in range(self.first_channel, self.first_channel + self.strips)]
        return [*names, *(["FIO0"] if self.loop else [])]

    def sensors(self) -> list[dict[str, Any]]:
        """The tables [[lane.wim.sensor]]."""
        if self.plate_m is not None:
            return self._plate(self.plate_m)
        half = round(self.lane_width_m / 2, 3)
        parts = (
            (("left", [0.0, half]), ("right", [half, self.lane_width_m]))
            if self.halves
            else (("", [0.0, self.lane_width_m]),)
        )
        made: list[dict[str, Any]] = []
        for n, x_m in enumerate(self.lines_m, 1):
            for side, y_m in parts:
                made.append(
                    {
                        "name": f"line{n}-{side}" if side else f"line{n}", "type": "strip", "channel": len(made),
                        "x_m": x_m, "y_m": y_m, "width_m": self.width_m, "gain_n": self.gain_n,
                    }
                )  # fmt: skip
        return [*made, *self._loop(len(made))]

    def _plate(self, width_m: float) -> list[dict[str, Any]]:
        plate = {
            "name": "plate", "type": "plate", "channel": 0, "x_m": 0.0, "y_m": [0.0, self.lane_width_m],
            "width_m": width_m, "gain_n": self.gain_n,
        }  # fmt: skip
        return [plate, *self._loop(1)]

    def _loop(self, channel: int) -> list[dict[str, Any]]:
        if self.loop is None:
            return []
        x_m, length_m = self.loop
        return [
            {
                "name": "loop", "type": "loop", "channel": channel, "x_m": x_m, "width_m": length_m,
                "threshold_counts": 0.5,
            }
        ]  # fmt: skip


def arrays_of(text: str, **more: Any) -> dict[str, Array]:
    """By lane; "" is that of all lanes without one of their own. ValueError says what does not fit."""
    made: dict[str, Array] = {}
    for part in text.split(";"):
        lane, colon, words = part.rpartition(":")
        if colon and not re.fullmatch(r"\s*[A-Za-z0-9_-]+\s*", lane):
            raise ValueError(f"array {part.strip()!r}: {lane.strip()!r} is no lane; write it like: C05: 0 1.2 2.9 4.1")
        made[lane.strip()] = Array.of(words, **more)
    return made
