"""OIML R 134-1: the best mass class and axle class whose permissible errors hold every single result.

Called by edge/commands/accuracy.py with the pairs of a test. Mass: against the reference mass. Axles of two-axle
vehicles: against their static load. Axles and groups of other vehicles: against their corrected mean over the runs
of the same vehicle with the same load, which needs repeated runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from edge.weighing.conformity.pairing import Pair
from edge.weighing.table_files import About, TableFile, load_table

LEAST_RUNS: Final = 3  # below, a mean says too little to measure a deviation from it


class MassRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"class_": "class"}):
    class_: str
    initial_percent: float
    in_service_percent: float
    largest_d_kg: float


class AxleRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"class_": "class"}):
    class_: str
    rigid_initial_percent: float
    rigid_in_service_percent: float
    other_initial_percent: float
    other_in_service_percent: float


class OimlTable(TableFile, frozen=True, kw_only=True):
    mass: tuple[MassRow, ...]
    axle: tuple[AxleRow, ...]


class OimlItem(Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """`class_` is None where no class holds every result, or where `count` is 0."""

    what: str
    count: int
    largest_percent: float | None
    class_: str | None


class OimlResult(Struct, frozen=True, kw_only=True):
    about: About
    initial: bool
    scale_interval_kg: float
    mass: OimlItem
    rigid_axles: OimlItem
    other_axles: OimlItem


class _Deviation(Struct, frozen=True):
    value_kg: float
    reference_kg: float
    axles: int

    @property
    def size_kg(self) -> float:
        return abs(self.value_kg - self.reference_kg)

    @property
    def percent(self) -> float:
        return 100.0 * self.size_kg / self.reference_kg


def evaluate(pairs: Sequence[Pair], *, initial: bool = False, scale_interval_kg: float = 20.0) -> OimlResult:
    """Classes with the errors of initial verification, or else those in service.

    `scale_interval_kg` is d, at most the largest that a class admits.
    """
    table = load_table("oiml_r134", OimlTable)
    whole = [
        _Deviation(pair.measured.weight_kg, pair.truth.weight_kg, len(pair.truth.axles or pair.measured.axles))
        for pair in pairs
        if pair.truth.weight_kg > 0
    ]
    same = [pair for pair in pairs if pair.same_axles]
    rigid = [
        _Deviation(seen.load_kg, axle.load_kg, 1)
        for pair in same
        if len(pair.truth.axles) == 2
        for axle, seen in zip(pair.truth.axles, pair.measured.axles, strict=True)
        if axle.load_kg > 0
    ]

    def mass_holds(row: MassRow) -> Callable[[_Deviation], bool]:
        d_kg = min(scale_interval_kg, row.largest_d_kg)
        percent = row.initial_percent if initial else row.in_service_percent
        floor = (1.0 if initial else 2.0) * d_kg
        return lambda dev: dev.size_kg <= max(round(percent / 100 * dev.reference_kg / d_kg) * d_kg, floor * dev.axles)

    def axle_holds(percent: float) -> Callable[[_Deviation], bool]:
        return lambda dev: dev.percent <= percent

    masses = [(row.class_, mass_holds(row)) for row in table.mass]
    rigids = [
        (row.class_, axle_holds(row.rigid_initial_percent if initial else row.rigid_in_service_percent))
        for row in table.axle
    ]
    others = [
        (row.class_, axle_holds(row.other_initial_percent if initial else row.other_in_service_percent))
        for row in table.axle
    ]
    return OimlResult(
        about=table.about,
        initial=initial,
        scale_interval_kg=scale_interval_kg,
        mass=_item("vehicle mass", whole, masses),
        rigid_axles=_item("axles of two-axle vehicles, against the static load", rigid, rigids),
        other_axles=_item("axles and groups of other vehicles, against their mean", _from_mean(same), others),
    )


def _item(
    what: str, deviations: Sequence[_Deviation], classes: Sequence[tuple[str, Callable[[_Deviation], bool]]]
) -> OimlItem:
    best = None
    if deviations:
        best = next((name for name, holds in classes if all(holds(dev) for dev in deviations)), None)
    largest = max((dev.percent for dev in deviations), default=None)
    return OimlItem(what=what, count=len(deviations), largest_percent=largest, class_=best)


def _from_mean(pairs: Sequence[Pair]) -> list[_Deviation]:
    """Deviations of axles, or groups where axles form one, of vehicles with three axles and more from their mean.

    Runs of one vehicle are those with the same static loads, to a kilogram. The mean is corrected by the ratio of the
    reference mass to the mean measured mass.
    """
    runs: dict[tuple[int, ...], list[Pair]] = {}
    for pair in pairs:
        if len(pair.truth.axles) > 2 and pair.truth.weight_kg > 0:
            runs.setdefault(tuple(round(axle.load_kg) for axle in pair.truth.axles), []).append(pair)
    found: list[_Deviation] = []
    for same in runs.values():
        if len(same) < LEAST_RUNS:
            continue
        groups = same[0].groups
        mean_mass = sum(pair.measured.weight_kg for pair in same) / len(same)
        for group in sorted(set(groups)):
            loads = [
                sum(axle.load_kg for axle, of in zip(pair.measured.axles, groups, strict=True) if of == group)
                for pair in same
            ]
            mean = sum(loads) / len(loads) * same[0].truth.weight_kg / mean_mass if mean_mass > 0 else 0.0
            if mean > 0:
                found.extend(_Deviation(load, mean, 1) for load in loads)
    return found
