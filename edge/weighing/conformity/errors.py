"""Errors of each quantity: pairs in, lists of errors and their statistics out.

Called by the standards, the report and the page. Quantities: `gross`, `group` (two axles and more), `single` (an axle
alone), `axle_of_group`, `axle` (every axle), `wheel`, `speed`, `spacing`. Axles, groups and wheels are compared only
where the number of axles is right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from msgspec import Struct

from edge.weighing.conformity.pairing import Pair, Pairing
from edge.weighing.conformity.records import VehicleRecord

Quantity = Literal["gross", "group", "single", "axle_of_group", "axle", "wheel", "speed", "spacing"]
LOADS: Final[tuple[Quantity, ...]] = ("gross", "group", "single", "axle_of_group", "axle", "wheel")


class Error(Struct, frozen=True, kw_only=True):
    """One comparison. `value` and `reference` are kg, m/s or m; `sigma` is what the measurement said of itself."""

    quantity: Quantity
    reference: float
    value: float
    sigma: float | None = None
    vehicle: int  # index of the pair

    @property
    def percent(self) -> float:
        """Relative error; only for loads, whose references are above zero."""
        return 100.0 * (self.value - self.reference) / self.reference


class Summary(Struct, frozen=True, kw_only=True):
    """Statistics of a quantity; loads in percent of the reference, speed in m/s, spacing in m."""

    quantity: Quantity
    count: int
    mean: float
    sd: float | None
    within_95: float  # 95 % of the errors are not larger than this
    largest: float
    in_two_sigma: float | None  # share of the references within 2 sigma of the value


class Found(Struct, frozen=True, kw_only=True):
    """Vehicles, axles and classes found; None where there is nothing to compare with.

    Axles are compared where the reference has some, classes where both sides name one of the same scheme.
    """

    reference_vehicles: int
    paired: int
    missed: int
    invented: int
    axles_compared: int
    axles_right: int | None
    flagged: int
    classes_compared: int
    classes_right: int | None


def errors_of(pairs: Sequence[Pair]) -> list[Error]:
    """All errors of all pairs; loads with a reference of zero are left out."""
    return [error for index, pair in enumerate(pairs) for error in _of_pair(pair, index)]


def _of_pair(pair: Pair, index: int) -> Iterator[Error]:
    truth, measured = pair.truth, pair.measured

    def load(quantity: Quantity, reference: float, value: float, sigma: float | None = None) -> Iterator[Error]:
        if reference > 0:
            yield Error(quantity=quantity, reference=reference, value=value, sigma=sigma, vehicle=index)

    yield from load("gross", truth.weight_kg, measured.weight_kg, measured.gross_sigma_kg)
    if truth.speed_mps is not None and measured.speed_mps is not None:
        yield Error(quantity="speed", reference=truth.speed_mps, value=measured.speed_mps, vehicle=index)
    if not pair.same_axles:
        return
    groups = pair.groups
    for group in sorted(set(groups)):
        members = [i for i, of in enumerate(groups) if of == group]
        reference = sum(truth.axles[i].load_kg for i in members)
        value = sum(measured.axles[i].load_kg for i in members)
        if len(members) > 1:
            yield from load("group", reference, value)
        for i in members:
            mine, yours = truth.axles[i], measured.axles[i]
            yield from load(
                "single" if len(members) == 1 else "axle_of_group", mine.load_kg, yours.load_kg, yours.sigma_kg
            )
            yield from load("axle", mine.load_kg, yours.load_kg, yours.sigma_kg)
            for side in ("left_kg", "right_kg"):
                wheel, seen = getattr(mine, side), getattr(yours, side)
                if wheel is not None and seen is not None:
                    yield from load("wheel", wheel, seen)
    for i in range(1, len(groups)):
        true_m, seen_m = _spacing_m(truth, i), _spacing_m(measured, i)
        if true_m is not None and seen_m is not None:
            yield Error(quantity="spacing", reference=true_m, value=seen_m, vehicle=index)


def _spacing_m(vehicle: VehicleRecord, axle: int) -> float | None:
    """Distance of an axle from the one before it."""
    ahead_m, here_m = vehicle.axles[axle - 1].position_m, vehicle.axles[axle].position_m
    return here_m - ahead_m if here_m is not None and ahead_m is not None else None


def numbers(errors: Sequence[Error], quantity: Quantity) -> list[float]:
    """The errors of a quantity as numbers: percent for loads, else in its own unit."""
    chosen = (error for error in errors if error.quantity == quantity)
    return [error.percent if quantity in LOADS else error.value - error.reference for error in chosen]


def mean_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (None below two values)."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def summary(errors: Sequence[Error], quantity: Quantity) -> Summary | None:
    """Statistics of a quantity; None without errors of it."""
    values = numbers(errors, quantity)
    if not values:
        return None
    mean, sd = mean_sd(values)
    sizes = sorted(abs(value) for value in values)
    judged = [e for e in errors if e.quantity == quantity and e.sigma is not None]
    inside = sum(abs(e.value - e.reference) <= 2 * (e.sigma or 0.0) for e in judged)
    return Summary(
        quantity=quantity,
        count=len(values),
        mean=mean,
        sd=sd,
        within_95=sizes[math.ceil(0.95 * len(sizes)) - 1],
        largest=sizes[-1],
        in_two_sigma=inside / len(judged) if judged else None,
    )


def found(pairing: Pairing) -> Found:
    """How many vehicles were found and how many of them with the right number of axles."""
    classes = [
        (pair.truth.class_.code, pair.measured.class_.code)
        for pair in pairing.pairs
        if pair.truth.class_ and pair.measured.class_ and pair.truth.class_.scheme == pair.measured.class_.scheme
    ]
    with_axles = [pair for pair in pairing.pairs if pair.truth.axles]
    return Found(
        reference_vehicles=len(pairing.pairs) + len(pairing.missed),
        paired=len(pairing.pairs),
        missed=len(pairing.missed),
        invented=len(pairing.invented),
        axles_compared=len(with_axles),
        axles_right=sum(pair.same_axles for pair in with_axles) if with_axles else None,
        flagged=sum(bool(pair.measured.flags) for pair in pairing.pairs),
        classes_compared=len(classes),
        classes_right=sum(mine == yours for mine, yours in classes) if classes else None,
    )
