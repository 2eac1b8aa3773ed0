"""The report of a comparison: pairs in, one typed result out, and its text.

Called by edge/commands/accuracy.py. The report never claims conformity: it says with which tolerances data was
evaluated, of what origin the data is, and which tables nobody has compared with the printed standard yet.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final, Literal, get_args

from msgspec import Struct

from edge.weighing.conformity import astm, cost323, oiml
from edge.weighing.conformity.astm import AstmResult
from edge.weighing.conformity.cost323 import CostResult
from edge.weighing.conformity.errors import Found, Quantity, Summary, errors_of, found, summary
from edge.weighing.conformity.oiml import OimlItem, OimlResult
from edge.weighing.conformity.pairing import Pairing
from edge.weighing.table_files import About

Standard = Literal["astm", "cost323", "oiml"]

NAMES: Final[dict[Quantity, str]] = {
    "gross": "gross weight",
    "group": "axle group",
    "single": "single axle",
    "axle_of_group": "axle of a group",
    "axle": "any axle",
    "wheel": "wheel",
    "speed": "speed",
    "spacing": "axle spacing",
}
_COLUMNS: Final = 110
UNITS: Final[dict[Quantity, str]] = {"speed": "m/s", "spacing": "m"}


class Report(Struct, frozen=True, kw_only=True):
    """All results; a standard that was not asked for is None."""

    origin: str | None  # name of the static scale, "simulated", or null where nobody said
    found: Found
    errors: tuple[Summary, ...]
    astm: AstmResult | None
    cost323: CostResult | None
    oiml: OimlResult | None
    statements: tuple[str, ...]


class Options(Struct, frozen=True, kw_only=True):
    """What the standards' procedures need to know. `scale` names the static scale, where one is named; `simulated`
    says that the references are a simulator's own."""

    standards: tuple[Standard, ...] = get_args(Standard)
    scale: str | None = None
    simulated: bool = False
    plan: cost323.Plan = "R2"
    environment: cost323.Environment = "I"
    initial: bool = False
    scale_interval_kg: float = 20.0


def make_report(pairing: Pairing, options: Options) -> Report:
    """Evaluate the pairs with the standards asked for."""
    errors = errors_of(pairing.pairs)
    summaries = (summary(errors, quantity) for quantity in get_args(Quantity))
    by_astm = astm.evaluate(errors) if "astm" in options.standards else None
    by_cost = by_oiml = None
    if "cost323" in options.standards:
        by_cost = cost323.evaluate(errors, plan=options.plan, environment=options.environment, initial=options.initial)
    if "oiml" in options.standards:
        by_oiml = oiml.evaluate(pairing.pairs, initial=options.initial, scale_interval_kg=options.scale_interval_kg)
    abouts = [result.about for result in (by_astm, by_cost, by_oiml) if result is not None]
    return Report(
        origin=options.scale or ("simulated" if options.simulated else None),
        found=found(pairing),
        errors=tuple(item for item in summaries if item is not None),
        astm=by_astm,
        cost323=by_cost,
        oiml=by_oiml,
        statements=tuple(line for about in abouts for line in _statements(about, options)),
    )


def _statements(about: About, options: Options) -> Iterator[str]:
    """What the numbers are worth."""
    if options.scale is not None:
        yield (
            f"Evaluated with {about.name} on vehicles weighed at {options.scale}; whether the test followed the "
            "procedure of the standard is not checked, so this is no statement of conformity."
        )
    elif options.simulated:
        yield f"Evaluated with {about.name} on simulated data; this is no statement of conformity."
    else:
        yield (
            f"Evaluated with {about.name} on references of which nobody said where they were weighed (--static-scale), "
            "so they may be simulated; this is no statement of conformity."
        )
    if about.caution is not None:
        yield f"{about.caution[0].upper()}{about.caution[1:]} ({about.source}). {about.note}"


def text(report: Report) -> str:
    """The report for a terminal."""
    parts = (
        _found(report.found),
        ("",),
        _errors(report.errors),
        _astm(report.astm),
        _cost(report.cost323),
        _oiml(report.oiml),
        ("",),
        (line for statement in report.statements for line in textwrap.wrap(statement, _COLUMNS)),
    )
    return "\n".join(line for part in parts for line in part)


def _share(part: int, whole: int) -> str:
    return f"{part} ({100 * part / whole:.1f} %)" if whole else f"{part}"


def _found(item: Found) -> Iterator[str]:
    yield f"reference vehicles  {item.reference_vehicles}"
    yield f"found               {_share(item.paired, item.reference_vehicles)}"
    yield f"missed              {item.missed}"
    yield f"invented            {item.invented}"
    yield f"axle count right    {_of_those(item.axles_right, item.axles_compared, 'axles')}"
    yield f"class right         {_of_those(item.classes_right, item.classes_compared, 'a class of the same scheme')}"
    yield f"flagged             {_share(item.flagged, item.paired)}"


def _of_those(right: int | None, compared: int, what: str) -> str:
    return f"- (no reference has {what})" if right is None else _share(right, compared)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _errors(summaries: Sequence[Summary]) -> Iterator[str]:
    yield f"{'error':<18}{'':>4}{'n':>7}{'mean':>9}{'sd':>9}{'95 % in':>9}{'largest':>9}{'in 2 sigma':>12}"
    for item in summaries:
        inside = "-" if item.in_two_sigma is None else f"{100 * item.in_two_sigma:.1f} %"
        yield (
            f"{NAMES[item.quantity]:<18}{UNITS.get(item.quantity, '%'):>4}{item.count:>7}{item.mean:>+9.3f}"
            f"{_number(item.sd, '.3f'):>9}{item.within_95:>9.3f}{item.largest:>9.3f}{inside:>12}"
        )


def _astm(result: AstmResult | None) -> Iterator[str]:
    if result is None:
        return
    yield from ("", result.about.name)
    yield f"{'type':<6}{'quantity':<18}{'tolerance':>12}{'n':>7}{'outside':>9}{'%':>7}  5 % allowed"
    for kind in result.types:
        for item in kind.items:
            verdict = {None: "no data", True: "within", False: "outside"}[item.within]
            tolerance = f"{item.tolerance:g} {item.unit}"
            yield (
                f"{kind.type:<6}{NAMES[item.quantity]:<18}{tolerance:>12}{item.count:>7}{item.outside:>9}"
                f"{_number(item.outside_percent, '.1f'):>7}  {verdict}"
            )
        verdict = {None: "no data", True: "all within", False: "not all within"}[kind.within]
        if kind.within and any(item.within is None for item in kind.items):
            verdict = "within, so far as there is data"
        yield f"{kind.type:<6}together: {verdict}"


def _cost(result: CostResult | None) -> Iterator[str]:
    if result is None:
        return
    when = "initial verification" if result.initial else "in service"
    yield from ("", f"{result.about.name}, plan {result.plan}, environment {result.environment}, {when}")
    heads = f"{'n':>7}{'mean %':>9}{'sd %':>9}{'pi0 %':>8}{'least d':>9}{'class':>8}{'d %':>7}{'pi %':>7}"
    yield f"{'criterion':<18}{heads}"
    for item in result.criteria:
        name = item.class_ or ("none" if item.sd is not None else "no data")
        yield (
            f"{NAMES[item.quantity]:<18}{item.count:>7}{_number(item.mean, '+.2f'):>9}{_number(item.sd, '.2f'):>9}"
            f"{_number(item.required, '.1f'):>8}{_number(item.least_width, '.2f'):>9}{name:>8}"
            f"{_number(item.width, '.1f'):>7}{_number(item.confidence, '.1f'):>7}"
        )
    yield f"class together: {result.class_ or 'none'}"


def _oiml(result: OimlResult | None) -> Iterator[str]:
    if result is None:
        return
    when = "initial verification" if result.initial else "in service"
    yield from ("", f"{result.about.name}, {when}, d = {result.scale_interval_kg:g} kg; every result must be within")
    for item in (result.mass, result.rigid_axles, result.other_axles):
        yield f"{item.what:<60}{item.count:>7}{_number(item.largest_percent, '.2f'):>9} %  {_class(item)}"


def _class(item: OimlItem) -> str:
    if item.count == 0:
        return "no data"
    return f"class {item.class_}" if item.class_ else "no class"
