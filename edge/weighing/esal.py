"""Equivalent standard axle loads: what a vehicle does to the pavement, counted in passes of one standard axle.

Called by the lane pipeline (`esal` of a vehicle). Axle loads and their groups in, a number out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

KG_PER_KIP: Final = 453.59237
STANDARD_AXLE_KG: Final = 18 * KG_PER_KIP  # 18,000 lb

_LARGEST_GROUP = 3  # AASHTO knows single, tandem and tridem axles


def aashto_flexible(
    loads_kg: Sequence[float], groups: Sequence[int], *, terminal: float = 2.5, structural_number: float = 5.0
) -> float:
    """ESAL of a vehicle on flexible pavement, by AASHTO Guide for Design of Pavement Structures, 1993, appendix MM.

    `groups` is the axle group of each load; a group of more than three axles counts as a tridem and the rest.
    `terminal` is the terminal serviceability pt (below 4.2), `structural_number` is SN. ValueError for unequal lengths.
    """
    if len(loads_kg) != len(groups):
        raise ValueError(f"{len(loads_kg)} loads but {len(groups)} group indices")
    total = 0.0
    for index in sorted(set(groups)):
        part = [load for load, group in zip(loads_kg, groups, strict=True) if group == index]
        for start in range(0, len(part), _LARGEST_GROUP):
            axles = part[start : start + _LARGEST_GROUP]
            total += group_factor(sum(axles) / KG_PER_KIP, len(axles), terminal, structural_number)
    return total


def group_factor(load_kip: float, axles: int, terminal: float = 2.5, structural_number: float = 5.0) -> float:
    """Load equivalency factor of one group of 1 to 3 axles that carries `load_kip`; 0 without load."""
    if load_kip <= 0:
        return 0.0
    loss = math.log10((4.2 - terminal) / 2.7)
    passes = (
        4.79 * math.log10(18 + 1)
        - 4.79 * math.log10(load_kip + axles)
        + 4.33 * math.log10(axles)
        + loss / _beta(load_kip, axles, structural_number)
        - loss / _beta(18.0, 1, structural_number)
    )
    return math.pow(10.0, -passes)


def _beta(load_kip: float, axles: int, structural_number: float) -> float:
    stress = 0.081 * math.pow(load_kip + axles, 3.23)
    return 0.40 + stress / (math.pow(structural_number + 1, 5.19) * math.pow(axles, 3.23))


def power_law(loads_kg: Sequence[float], *, reference_kg: float = STANDARD_AXLE_KG, power: float = 4.0) -> float:
    """Sum of (load / reference) ** power over the axles: the simple law, by default the fourth power of 18,000 lb."""
    return sum(math.pow(max(load, 0.0) / reference_kg, power) for load in loads_kg)
