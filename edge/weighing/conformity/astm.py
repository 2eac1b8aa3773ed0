"""ASTM E1318: for each type of system the share of errors outside the tolerance of each quantity.

Called by edge/commands/accuracy.py with the errors of a test. At most 5 % of the results of each quantity may lie
outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from edge.weighing.conformity.errors import Error, Quantity, numbers
from edge.weighing.table_files import About, TableFile, load_table

_KMH: Final = 3.6


class Tolerances(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one type; None: the type does not ask for the quantity."""

    axle_percent: float
    group_percent: float
    gross_percent: float
    wheel_percent: float | None = None
    speed_kmh: float
    spacing_m: float


class Share(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    outside_percent: float


class AstmTable(TableFile, frozen=True, kw_only=True):
    limits: Share
    type: dict[str, Tolerances]


class AstmItem(Struct, frozen=True, kw_only=True):
    """A quantity of a type: `tolerance` in percent, km/h or m; `within` is None without values."""

    quantity: Quantity
    unit: str
    tolerance: float
    count: int
    outside: int
    outside_percent: float | None
    within: bool | None


class AstmType(Struct, frozen=True, kw_only=True):
    """`within`: every quantity with values is within its tolerance; None where none has values."""

    type: str
    items: tuple[AstmItem, ...]
    within: bool | None


class AstmResult(Struct, frozen=True, kw_only=True):
    about: About
    types: tuple[AstmType, ...]


def evaluate(errors: Sequence[Error]) -> AstmResult:
    """All types of the table, strictest last as printed."""
    table = load_table("astm_e1318", AstmTable)
    return AstmResult(
        about=table.about,
        types=tuple(_type(errors, name, row, table.limits.outside_percent) for name, row in table.type.items()),
    )


def _type(errors: Sequence[Error], name: str, row: Tolerances, allowed: float) -> AstmType:
    rows: list[tuple[Quantity, str, float | None, float]] = [
        ("wheel", "%", row.wheel_percent, 1.0),
        ("axle", "%", row.axle_percent, 1.0),
        ("group", "%", row.group_percent, 1.0),
        ("gross", "%", row.gross_percent, 1.0),
        ("speed", "km/h", row.speed_kmh, _KMH),
        ("spacing", "m", row.spacing_m, 1.0),
    ]
    items = []
    for quantity, unit, tolerance, scale in rows:
        if tolerance is None:
            continue
        sizes = [abs(value) * scale for value in numbers(errors, quantity)]
        outside = sum(size > tolerance for size in sizes)
        percent = 100.0 * outside / len(sizes) if sizes else None
        items.append(
            AstmItem(
                quantity=quantity,
                unit=unit,
                tolerance=tolerance,
                count=len(sizes),
                outside=outside,
                outside_percent=percent,
                within=None if percent is None else percent <= allowed,
            )
        )
    verdicts = [item.within for item in items if item.within is not None]
    return AstmType(type=name, items=tuple(items), within=all(verdicts) if verdicts else None)
