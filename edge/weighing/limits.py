"""Weight limits: the axles of a vehicle in, the limits that it exceeds out, each with how sure that is.

Called by the lane pipeline for every vehicle. The limits are data, one table for each jurisdiction with its source
and whether it was compared with it: edge/weighing/tables/{us_federal_bridge, ca_mou, mx_nom012, eu_96_53}.toml.
Nothing here is evidence: a violation says what to look at, and its probability comes from the sigma of the
measurement alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal

from msgspec import Struct

from edge.messages import Axle, Violation
from edge.weighing.axle_groups import axle_groups, group_code
from edge.weighing.table_files import About, TableFile, load_table

LIMIT_TABLES: Final = ("us_federal_bridge", "ca_mou", "mx_nom012", "eu_96_53")

_NORMAL = NormalDist()


class GrossRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rule: str
    limit: float
    sum_of_axles: bool = False


class AxleRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit of an axle group, or of any consecutive axles; `extent_m` is from above the first up to the second."""

    rule: str
    scope: Literal["subset", "group"]
    axles: tuple[int, int]
    limit: float
    extent_m: tuple[float, float] = (-1.0, math.inf)
    place: Literal["any", "first", "behind", "drive", "trailer"] = "any"
    classes: tuple[str, ...] | None = None  # FHWA classes; None: all


class ConfigurationRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Gross weight of a configuration, known by its axle-group codes or its number of axles."""

    code: str
    limit: float
    groups: tuple[str, ...] | None = None
    axles: tuple[int, int] = (1, 99)


class BridgeRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """W = factor (L N / (N - 1) + per_axle N + constant), L in `unit_m` over N consecutive axles."""

    rule: str
    beyond_m: float
    unit_m: float
    factor: float
    per_axle: float
    constant: float
    rounding: float
    tandem_pair_limit: float
    tandem_pair_length: float
    tandem_m: float


class LimitTable(TableFile, frozen=True, kw_only=True):
    countries: tuple[str, ...]
    unit_kg: float
    tolerance_m: float
    gross: GrossRow | None = None
    axle: tuple[AxleRow, ...] = ()
    configuration: tuple[ConfigurationRow, ...] = ()
    bridge: BridgeRow | None = None


@dataclass(frozen=True, slots=True)
class _Span:
    """Consecutive axles first..last (inclusive, from 0), what they carry and how far the extreme ones are apart."""

    first: int
    last: int
    load_kg: float
    sigma_kg: float
    extent_m: float

    @property
    def axles(self) -> int:
        return self.last - self.first + 1

    @property
    def label(self) -> str:
        return f"axle {self.first + 1}" if self.axles == 1 else f"axles {self.first + 1}-{self.last + 1}"


class Limits:
    """The limits of one country; a country without a table has none, and `about` is None."""

    def __init__(self, country: str) -> None:
        """`country` is an ISO 3166-1 alpha-2 code."""
        tables = (load_table(name, LimitTable) for name in LIMIT_TABLES)
        self._table: Final = next((table for table in tables if country in table.countries), None)
        self._country: Final = country

    @property
    def about(self) -> About | None:
        """Source and status of the table."""
        return self._table.about if self._table else None

    def violations(
        self, axles: Sequence[Axle], *, gross_kg: float, gross_sigma_kg: float, fhwa_class: str
    ) -> tuple[Violation, ...]:
        """Every limit that the measured loads exceed; of the bridge formula only the axles that exceed it most.

        `probability` is that of the true load being above the limit. The errors of the axles are taken as correlated so
        far as `gross_sigma_kg` says that they are.
        """
        table = self._table
        if table is None or not axles:
            return ()
        vehicle = _Vehicle(axles, gross_kg, gross_sigma_kg, self._country, fhwa_class)
        found = [*self._axle_violations(table, vehicle), *self._gross_violations(table, vehicle)]
        bridge = table.bridge
        if bridge is not None:
            spans = (span for span in vehicle.spans() if span.extent_m > bridge.beyond_m)
            limits = ((span, bridge_limit(bridge, axles, span.first, span.last) * table.unit_kg) for span in spans)
            worst = max(limits, key=lambda pair: pair[0].load_kg / pair[1], default=None)
            if worst is not None:
                limit_sigma_kg = bridge_limit_sigma(bridge, axles, worst[0].first, worst[0].last) * table.unit_kg
                found.extend(_exceeded(bridge.rule, worst[0], worst[1], limit_sigma_kg=limit_sigma_kg))
        return tuple(found)

    def _axle_violations(self, table: LimitTable, vehicle: _Vehicle) -> Iterator[Violation]:
        for span in vehicle.spans():
            rows = [row for row in table.axle if row.scope == "subset" and _fits(row, span, 0.0)]
            for row in rows:
                yield from _exceeded(row.rule, span, row.limit * table.unit_kg)
        for span, limit in vehicle.group_limits(table):
            if limit is not None:
                yield from _exceeded(limit.rule, span, limit.limit * table.unit_kg)

    def _gross_violations(self, table: LimitTable, vehicle: _Vehicle) -> Iterator[Violation]:
        whole = vehicle.whole()
        if table.gross is not None:
            limit_kg = table.gross.limit * table.unit_kg
            if table.gross.sum_of_axles:
                parts = [row for _, row in vehicle.group_limits(table)]
                if all(row is not None for row in parts):
                    limit_kg = min(limit_kg, sum(row.limit for row in parts if row) * table.unit_kg)
            yield from _exceeded(table.gross.rule, whole, limit_kg, where="")
        for row in table.configuration:
            known = row.groups is None or vehicle.code in row.groups
            if known and row.axles[0] <= whole.axles <= row.axles[1]:
                rule = f"{table.about.name} gross weight, {row.code}"
                yield from _exceeded(rule, whole, row.limit * table.unit_kg, where="")
                return


class _Vehicle:
    """The axles with what the rules ask of them: groups, code, loads of consecutive axles with their sigma."""

    def __init__(
        self, axles: Sequence[Axle], gross_kg: float, gross_sigma_kg: float, country: str, fhwa_class: str
    ) -> None:
        self.positions_m = [axle.position_m for axle in axles]
        self.axles = axles
        self.gross_kg, self.gross_sigma_kg = gross_kg, gross_sigma_kg
        self.groups = axle_groups(self.positions_m, country)
        self.code = group_code(self.groups)
        self.fhwa_class = fhwa_class
        variance = sum(axle.sigma_kg**2 for axle in axles)
        shared = sum(axle.sigma_kg for axle in axles) ** 2 - variance
        self._correlation = min(max((gross_sigma_kg**2 - variance) / shared, 0.0), 1.0) if shared > 0 else 0.0

    def span(self, first: int, last: int) -> _Span:
        part = self.axles[first : last + 1]
        variance = sum(axle.sigma_kg**2 for axle in part)
        shared = sum(axle.sigma_kg for axle in part) ** 2 - variance
        sigma_kg = math.sqrt(variance + self._correlation * shared)
        extent_m = self.positions_m[last] - self.positions_m[first]
        return _Span(first, last, sum(axle.load_kg for axle in part), sigma_kg, extent_m)

    def spans(self) -> Iterator[_Span]:
        for first in range(len(self.axles)):
            for last in range(first, len(self.axles)):
                yield self.span(first, last)

    def whole(self) -> _Span:
        extent_m = self.positions_m[-1] - self.positions_m[0]
        return _Span(0, len(self.axles) - 1, self.gross_kg, self.gross_sigma_kg, extent_m)

    def group_limits(self, table: LimitTable) -> Iterator[tuple[_Span, AxleRow | None]]:
        """Each axle group with its limit; of the rows within the tolerance the most generous."""
        for index in range(self.groups[-1] + 1):
            first = self.groups.index(index)
            span = self.span(first, first + self.groups.count(index) - 1)
            rows = [
                row
                for row in table.axle
                if row.scope == "group"
                and (row.classes is None or self.fhwa_class in row.classes)
                and row.place in _places(index)
                and _fits(row, span, table.tolerance_m)
            ]
            yield span, max(rows, key=lambda row: row.limit, default=None)


def _places(index: int) -> tuple[str, ...]:
    """What a group may be called: the second one is the driven one, as far as axles can tell."""
    if index == 0:
        return ("any", "first")
    return ("any", "behind", "drive") if index == 1 else ("any", "behind", "trailer")


def _fits(row: AxleRow, span: _Span, tolerance_m: float) -> bool:
    low_m, high_m = row.extent_m
    return row.axles[0] <= span.axles <= row.axles[1] and low_m - tolerance_m < span.extent_m <= high_m + tolerance_m


def _exceeded(
    rule: str, span: _Span, limit_kg: float, where: str | None = None, *, limit_sigma_kg: float = 0.0
) -> Iterator[Violation]:
    if span.load_kg <= limit_kg:
        return
    sigma_kg = math.hypot(span.sigma_kg, limit_sigma_kg)
    over = (span.load_kg - limit_kg) / sigma_kg if sigma_kg > 0 else math.inf
    where = span.label if where is None else where
    yield Violation(
        rule=f"{rule}, {where}" if where else rule,
        limit_kg=round(limit_kg, 1),
        value_kg=round(span.load_kg, 1),
        probability=round(_NORMAL.cdf(over), 4),
    )


def bridge_limit(bridge: BridgeRow, axles: Sequence[Axle], first: int, last: int) -> float:
    """Limit, in the table's unit of weight, of the consecutive axles first..last (from 0, at least two) together.

    Length to the nearest unit (a tie upwards), weight to the nearest `rounding` (a tie downwards); two consecutive
    tandems far enough apart may carry `tandem_pair_limit`.
    """
    count = last - first + 1
    length = max(math.floor((axles[last].position_m - axles[first].position_m) / bridge.unit_m + 0.5), 0)
    weight = bridge.factor * (length * count / (count - 1) + bridge.per_axle * count + bridge.constant)
    weight = math.ceil(weight / bridge.rounding - 0.5) * bridge.rounding
    if count == 4 and length >= bridge.tandem_pair_length:
        positions_m = [axle.position_m for axle in axles[first : last + 1]]
        if max(positions_m[1] - positions_m[0], positions_m[3] - positions_m[2]) <= bridge.tandem_m:
            return max(weight, bridge.tandem_pair_limit)
    return weight


def bridge_limit_sigma(bridge: BridgeRow, axles: Sequence[Axle], first: int, last: int) -> float:
    """How far that limit may be off, in the table's unit, by what is not known of the distance from axle to axle."""
    count = last - first + 1
    ahead, behind = axles[first].position_sigma_m or 0.0, axles[last].position_sigma_m or 0.0
    extent_sigma_m = math.sqrt(max(0.0, behind**2 - ahead**2))
    return bridge.factor * count / (count - 1) * extent_sigma_m / bridge.unit_m
