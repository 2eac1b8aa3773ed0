"""COST 323: the accuracy class of a test by the statistical procedure of the European specification.

Called by edge/commands/accuracy.py with the errors of a test. For each criterion: the confidence pi that an error
is inside the width of a class, estimated on the safe side, must reach the confidence pi0 that the test plan asks
for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final, Literal

from msgspec import Struct

from edge.weighing.conformity.errors import Error, Quantity, mean_sd
from edge.weighing.conformity.student import quantile, tail
from edge.weighing.table_files import About, TableFile, load_table

Plan = Literal["r1", "r2", "R1", "R2"]
Environment = Literal["I", "II", "III"]
CRITERIA: Final[tuple[Quantity, ...]] = ("gross", "group", "single", "axle_of_group")
_INITIAL: Final = 0.8  # width at initial verification, where the data calibrated the system

_NORMAL = NormalDist()


class Classes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    widths: tuple[float, ...]
    names: tuple[str, ...]


class CostTable(TableFile, frozen=True, kw_only=True):
    plan: dict[str, float]
    environment: dict[str, float]
    least_kg: dict[str, float]
    classes: Classes


class Criterion(Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """Result of one criterion; everything but `count` is None with fewer than two values."""

    quantity: Quantity
    count: int
    mean: float | None
    sd: float | None
    required: float | None  # pi0, %
    least_width: float | None  # smallest half-width with pi >= pi0, %
    class_: str | None  # None: worse than the last class
    width: float | None  # of that class, %
    confidence: float | None  # pi of that class, %


class CostResult(Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """`class_` is the worst of the criteria; None where one is worse than every class or nothing could be judged."""

    about: About
    plan: Plan
    environment: Environment
    initial: bool
    criteria: tuple[Criterion, ...]
    class_: str | None


def class_width(quantity: Quantity, k: float) -> float:
    """Half-width in percent of a class of index `k` (5 for A(5), 7 for B+(7), ...) for a criterion."""
    if quantity == "gross":
        return k
    if quantity == "group":
        return k / 0.7 if k < 7 else k + 3 if k < 30 else 1.1 * k
    if quantity == "single":
        return k * (85 - k) / 50 if k < 10 else k + 5 if k < 25 else 1.2 * k
    if quantity == "axle_of_group":
        return 2 * k if k < 10 else k + 10 if k < 25 else 1.2 * k + 5
    raise ValueError(f"{quantity} is no criterion of COST 323")


def required_confidence(count: int, plan: Plan, environment: Environment) -> float:
    """pi0 in percent for a test of `count` (at least 2) values."""
    table = load_table("cost323", CostTable)
    ratio = table.plan[plan] / table.environment[environment]
    return 100.0 * (2.0 * _NORMAL.cdf(ratio - quantile(0.975, count - 1) / math.sqrt(count)) - 1.0)


def confidence(count: int, mean: float, sd: float, width: float) -> float:
    """pi in percent: the lower bound of the share of errors within `width`, all in percent of the reference."""
    if sd == 0:
        return 100.0 if abs(mean) <= width else 0.0
    margin = quantile(0.975, count - 1) / math.sqrt(count)
    above = tail((width - mean) / sd - margin, count - 1)
    below = tail((width + mean) / sd - margin, count - 1)
    return 100.0 * (1.0 - above - below)


def least_width(count: int, mean: float, sd: float, required: float) -> float:
    """The smallest half-width in percent for which `confidence` reaches `required`."""
    low, high = 0.0, abs(mean) + max(sd, 1e-9)
    while confidence(count, mean, sd, high) < required:
        high *= 2.0
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if confidence(count, mean, sd, middle) >= required else (middle, high)
    return high


def evaluate(
    errors: Sequence[Error], *, plan: Plan = "R2", environment: Environment = "I", initial: bool = False
) -> CostResult:
    """The class of a test; `initial` narrows the widths, for data that also calibrated the system."""
    table = load_table("cost323", CostTable)
    criteria = tuple(_criterion(table, errors, quantity, plan, environment, initial) for quantity in CRITERIA)
    judged = [criterion for criterion in criteria if criterion.sd is not None]
    names = [criterion.class_ for criterion in judged]
    known = [table.classes.names.index(name) for name in names if name is not None]
    worst = table.classes.names[max(known)] if known and len(known) == len(judged) else None
    return CostResult(
        about=table.about, plan=plan, environment=environment, initial=initial, criteria=criteria, class_=worst
    )


def _criterion(
    table: CostTable, errors: Sequence[Error], quantity: Quantity, plan: Plan, environment: Environment, initial: bool
) -> Criterion:
    values = [e.percent for e in errors if e.quantity == quantity and e.reference > table.least_kg[quantity]]
    mean, sd = mean_sd(values) if values else (None, None)
    if mean is None or sd is None:
        return Criterion(
            quantity=quantity,
            count=len(values),
            mean=mean,
            sd=None,
            required=None,
            least_width=None,
            class_=None,
            width=None,
            confidence=None,
        )
    required = required_confidence(len(values), plan, environment)
    factor = _INITIAL if initial else 1.0
    name = width = reached = None
    for candidate, k in zip(table.classes.names, table.classes.widths, strict=True):
        half_width = factor * class_width(quantity, k)
        pi = confidence(len(values), mean, sd, half_width)
        if pi >= required:
            name, width, reached = candidate, half_width, pi
            break
    return Criterion(
        quantity=quantity,
        count=len(values),
        mean=mean,
        sd=sd,
        required=required,
        least_width=least_width(len(values), mean, sd, required),
        class_=name,
        width=width,
        confidence=reached,
    )
