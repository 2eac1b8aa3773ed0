"""A weighed vehicle as a drawing of its axles: a `vehicle` message in, the numbers of an SVG out. Called by templates.

Its front is on the right: it drives towards larger x. A bar above each wheel is its load; one above a limit is marked,
and the limits themselves stand beside the drawing in words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_PX_M = 24.0
_FRONT_M, _REAR_M = 1.2, 1.0
_BAR_TOP, _GROUND, _WHEEL = 8.0, 92.0, 9.0
_FULL_KG = 12_000.0  # as high as a bar becomes
_AXLE_OF = re.compile(r"axles? (\d+)(?:\s*(?:-|to|–)\s*(\d+))?", re.I)


@dataclass(frozen=True, slots=True)
class DrawnAxle:
    x: float
    bar_y: float
    bar_height: float
    spread: float  # half the height that two sigma are
    over: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    width: float
    height: float
    ground: float
    wheel: float
    body_x: float
    body_width: float
    axles: tuple[DrawnAxle, ...]
    groups: tuple[tuple[float, float], ...]  # x of a group's first and last axle


def drawing(vehicle: dict[str, Any]) -> Drawing:
    """See the head of this file."""
    axles = vehicle["axles"]
    wheelbase_m = axles[-1]["position_m"]
    length_m = max(vehicle.get("length_m") or 0.0, wheelbase_m + _FRONT_M + _REAR_M)
    width = length_m * _PX_M + 16
    front = width - 8 - _FRONT_M * _PX_M
    over = _over(vehicle)
    drawn = []
    for n, axle in enumerate(axles):
        height = min(axle["load_kg"] / _FULL_KG, 1.0) * (_GROUND - 2 * _WHEEL - _BAR_TOP - 14)
        drawn.append(
            DrawnAxle(
                x=round(front - axle["position_m"] * _PX_M, 1), bar_y=round(_GROUND - 2 * _WHEEL - 14 - height, 1),
                bar_height=round(height, 1), spread=round(2 * axle["sigma_kg"] / _FULL_KG * 60, 1), over=n in over,
            )
        )  # fmt: skip
    groups: dict[int, list[float]] = {}
    for axle, shape in zip(axles, drawn, strict=True):
        groups.setdefault(axle["group"], []).append(shape.x)
    return Drawing(
        width=round(width, 1), height=_GROUND + 12, ground=_GROUND, wheel=_WHEEL, body_x=8.0,
        body_width=round(width - 16, 1), axles=tuple(drawn),
        groups=tuple((min(xs), max(xs)) for xs in groups.values() if len(xs) > 1),
    )  # fmt: skip


def _over(vehicle: dict[str, Any]) -> set[int]:
    """Indices of the axles that a violated rule names."""
    found: set[int] = set()
    for violation in vehicle.get("violations", ()):
        for first, last in _AXLE_OF.findall(violation["rule"]):
            found.update(range(int(first) - 1, int(last or first)))
    return found
