"""Vehicle classes: axle positions and loads in, a class with its confidence out.

Called by the lane pipeline for every vehicle. Schemes: `fhwa` (13 classes by the LTPP rules, 15 = unclassified),
`eu` (axle-group code such as "113") and `cost323` (the European categories). The rules are data:
edge/weighing/tables/fhwa_ltpp.toml and eu_axle_groups.toml, with their sources.

The class is what the rules say of the measured values, as anyone with the table would find it. The confidence is the
probability that they would say the same of the true values, from the standard deviations of what was measured.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Final, Literal

from msgspec import Struct

from edge.messages import VehicleClass
from edge.weighing.axle_groups import axle_groups, group_code, group_spacing_m
from edge.weighing.table_files import About, TableFile, load_table

M_PER_FT: Final = 0.3048
KG_PER_KIP: Final = 453.59237
UNCLASSIFIED: Final = "15"

Scheme = Literal["fhwa", "eu", "cost323"]

_HALF_DIGIT = 0.005  # the rules hold for values rounded to 0.01, so an interval reaches half a digit further
_NEGLIGIBLE = 1e-3  # probability below which a cell of the rules' space is not looked at
_LEAST_SIGMA = 1e-9
_USUAL_APART_SIGMA_M = 0.042  # of a distance between axles
_NORMAL = NormalDist()


class RuleRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"class_": "class"}):
    """One rule as printed."""

    class_: str
    name: str
    spacing_ft: tuple[tuple[float, float], ...]
    gross_kip: tuple[float, ...]
    steer_min_kip: float = 0.0
    first: bool = False  # of extensions: asked before the rules of the source


class RuleTable(TableFile, frozen=True, kw_only=True):
    rule: tuple[RuleRow, ...]
    extension: tuple[RuleRow, ...] = ()


class CategoryRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: str
    name: str
    groups: tuple[str, ...] | None = None  # None: whatever the axle groups
    gross_max_kg: float | None = None


class CategoryTable(TableFile, frozen=True, kw_only=True):
    category: tuple[CategoryRow, ...]


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule as a box: half-open intervals in metres (spacings), then kilograms (gross, first axle)."""

    code: str
    box: tuple[tuple[float, float], ...]


class Classifier:
    """Classifies vehicles by one scheme. `extended` adds the border rules that the LTPP table lacks."""

    def __init__(self, scheme: Scheme = "fhwa", *, country: str = "", extended: bool = True) -> None:
        """`country` decides the axle groups of the European schemes. ValueError for an unknown scheme."""
        if scheme not in ("fhwa", "eu", "cost323"):
            raise ValueError(f"scheme {scheme!r} is not known; it is one of fhwa, eu, cost323")
        self.scheme: Final = scheme
        self._country = country
        self._rules: dict[int, tuple[_Rule, ...]] = {}
        self._categories: tuple[CategoryRow, ...] = ()
        if scheme == "fhwa":
            table = load_table("fhwa_ltpp", RuleTable)
            self.about: About = table.about
            self._rules = _by_axles(table, extended)
        else:
            categories = load_table("eu_axle_groups", CategoryTable)
            self.about = categories.about
            self._categories = categories.category

    def classify(
        self,
        positions_m: Sequence[float],
        loads_kg: Sequence[float],
        *,
        position_sigma_m: Sequence[float] = (),
        load_sigma_kg: Sequence[float] | None = None,
        gross_sigma_kg: float | None = None,
        whole: float = 1.0,
    ) -> VehicleClass:
        """The class of a vehicle with these axles, first axle first.

        `position_sigma_m` grows from axle to axle as the distances between them are known; without it each is known to
        4 cm. Without `load_sigma_kg` the loads count as exact; without `gross_sigma_kg` their errors as independent.
        `whole` is the probability that these are all axles of one vehicle: what is half of one has no sure class.
        Axles in the wrong order fit no rule. ValueError if the sequences differ in length.
        """
        if len(positions_m) != len(loads_kg):
            raise ValueError(f"{len(positions_m)} positions but {len(loads_kg)} loads")
        apart_sigma_m = _apart(position_sigma_m, len(positions_m))
        sigmas = [0.0] * len(loads_kg) if load_sigma_kg is None else list(load_sigma_kg)
        if gross_sigma_kg is None:
            gross_sigma_kg = sum(sigma**2 for sigma in sigmas) ** 0.5
        gross_kg = sum(loads_kg)
        if self.scheme == "fhwa":
            spacings = [b - a for a, b in pairwise(positions_m)]
            values = [*spacings, gross_kg, loads_kg[0] if loads_kg else 0.0]
            spreads = [*apart_sigma_m, gross_sigma_kg, sigmas[0] if sigmas else 0.0]
            code, confidence = self._by_rules(len(loads_kg), values, spreads)
        else:
            code, confidence = self._by_groups(positions_m, apart_sigma_m, gross_kg, gross_sigma_kg)
        return VehicleClass(scheme=self.scheme, code=code, confidence=round(min(confidence, 1.0) * whole, 3))

    def _by_rules(self, axles: int, values: list[float], spreads: list[float]) -> tuple[str, float]:
        rules = self._rules.get(axles, ())
        code = _first_match(rules, values)
        mass: dict[str, float] = {}
        _spread_mass(rules, values, spreads, 0, 1.0, mass)
        total = sum(mass.values())
        return code, mass.get(code, 0.0) / total if total > 0 else 0.0

    def _by_groups(
        self, positions_m: Sequence[float], apart_sigma_m: Sequence[float], gross_kg: float, gross_sigma_kg: float
    ) -> tuple[str, float]:
        code = group_code(axle_groups(positions_m, self._country))
        limit_m = group_spacing_m(self._country)
        confidence = 1.0
        for (ahead_m, position_m), sigma_m in zip(pairwise(positions_m), apart_sigma_m, strict=True):
            distance = abs(position_m - ahead_m - limit_m)
            confidence *= _NORMAL.cdf(distance / max(sigma_m, _LEAST_SIGMA))
        if self.scheme == "eu":
            return code, confidence
        for category in self._categories:
            limit_kg = category.gross_max_kg
            if limit_kg is not None:
                sure = _NORMAL.cdf(abs(gross_kg - limit_kg) / max(gross_sigma_kg, _LEAST_SIGMA))
                if gross_kg < limit_kg:
                    return category.code, sure
                confidence *= sure
            elif category.groups is None or code in category.groups:
                return category.code, confidence
        raise AssertionError("the last category takes every vehicle")


def _apart(position_sigma_m: Sequence[float], axles: int) -> list[float]:
    """Standard deviations of the distances between neighbours, where those of the positions add up from the first."""
    if len(position_sigma_m) != axles:
        return [_USUAL_APART_SIGMA_M] * max(axles - 1, 0)
    return [max(0.0, behind**2 - ahead**2) ** 0.5 for ahead, behind in pairwise(position_sigma_m)]


def _by_axles(table: RuleTable, extended: bool) -> dict[int, tuple[_Rule, ...]]:
    rows = list(table.rule)
    if extended:
        ahead = [row for row in table.extension if row.first]
        rows = [*ahead, *rows, *(row for row in table.extension if not row.first)]
    rules: dict[int, list[_Rule]] = {}
    for row in rows:
        box = [_interval(bounds, M_PER_FT) for bounds in row.spacing_ft]
        box.append(_interval(row.gross_kip, KG_PER_KIP))
        box.append(_interval((row.steer_min_kip,), KG_PER_KIP))
        rules.setdefault(len(row.spacing_ft) + 1, []).append(_Rule(row.class_, tuple(box)))
    return {axles: tuple(boxes) for axles, boxes in rules.items()}


def _interval(bounds: tuple[float, ...], unit: float) -> tuple[float, float]:
    """Half-open interval in SI of printed bounds: [least, most] or [least]."""
    high = (bounds[1] + _HALF_DIGIT) * unit if len(bounds) > 1 else float("inf")
    return (bounds[0] - _HALF_DIGIT) * unit if bounds[0] > 0 else float("-inf"), high


def _first_match(rules: Sequence[_Rule], values: Sequence[float]) -> str:
    for rule in rules:
        if all(low <= value < high for value, (low, high) in zip(values, rule.box, strict=True)):
            return rule.code
    return UNCLASSIFIED


def _spread_mass(
    rules: Sequence[_Rule],
    values: Sequence[float],
    spreads: Sequence[float],
    axis: int,
    mass: float,
    by_code: dict[str, float],
) -> None:
    """Add to `by_code` the probability of each class, over the cells that the rules' bounds cut out of each axis.

    `rules` are those that the cells of the axes before `axis` leave, `mass` the probability of these cells.
    """
    if not rules or axis == len(values):
        code = rules[0].code if rules else UNCLASSIFIED
        by_code[code] = by_code.get(code, 0.0) + mass
        return
    normal = NormalDist(values[axis], max(spreads[axis], _LEAST_SIGMA))
    edges = sorted({bound for rule in rules for bound in rule.box[axis] if abs(bound) != float("inf")})
    here = bisect_right(edges, values[axis])
    below = [0.0, *(normal.cdf(edge) for edge in edges), 1.0]
    for cell in range(len(edges) + 1):
        share = below[cell + 1] - below[cell]
        if mass * share < _NEGLIGIBLE:
            continue
        # any value stands for its cell; the lower bound does, as intervals are half-open
        inside = values[axis] if cell == here else edges[cell - 1] if cell else edges[0] - 1.0
        alive = [rule for rule in rules if rule.box[axis][0] <= inside < rule.box[axis][1]]
        _spread_mass(alive, values, spreads, axis + 1, mass * share, by_code)
