"""Axle groups: axle positions in, the index of each axle's group out.

Called by the lane pipeline (the `group` of an axle), by the classes and by the limits. How close axles must stand is a
matter of the country: edge/weighing/tables/axle_groups.toml.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from edge.weighing.table_files import TableFile, load_table

_RESOLUTION_M = 0.005  # a spacing is compared as it is printed, to a centimetre


class GroupSpacing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The largest spacing of neighbouring axles of one group."""

    spacing_m: float
    source: str


class GroupTable(TableFile, frozen=True, kw_only=True):
    default: GroupSpacing
    country: dict[str, GroupSpacing]


def group_spacing_m(country: str) -> float:
    """Largest spacing of neighbouring axles of one group in that country (ISO 3166-1 alpha-2), in metres."""
    table = load_table("axle_groups", GroupTable)
    return table.country.get(country, table.default).spacing_m


def axle_groups(positions_m: Sequence[float], country: str) -> tuple[int, ...]:
    """Index of the axle group of each axle, counted from 0 at the front.

    `positions_m` counts from the first axle backwards, as in `messages.Axle`. Axles that a bad measurement put in the
    wrong order count as near each other: whatever was measured gets its groups.
    """
    limit_m = group_spacing_m(country) + _RESOLUTION_M
    groups = [0] if positions_m else []
    for ahead_m, position_m in pairwise(positions_m):
        groups.append(groups[-1] + (position_m - ahead_m > limit_m))
    return tuple(groups)


def group_code(groups: Sequence[int]) -> str:
    """Number of axles of each group in turn: "113" for a tractor of two axles with a tridem semitrailer."""
    return "".join(str(groups.count(index)) for index in sorted(set(groups)))
