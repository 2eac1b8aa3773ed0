"""Limits: golden values of the bridge formula, each jurisdiction's rules at their edges, and probabilities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.messages import Axle, Violation
from edge.weighing.axle_groups import axle_groups
from edge.weighing.esal import aashto_flexible, group_factor, power_law
from edge.weighing.limits import LIMIT_TABLES, Limits, LimitTable, bridge_limit
from edge.weighing.table_files import load_table

LB = 0.45359237
FT = 0.3048
BRIDGE = load_table("us_federal_bridge", LimitTable).bridge


def make(positions_m: list[float], loads_kg: list[float], country: str, sigma_kg: float = 100.0) -> list[Axle]:
    groups = axle_groups(positions_m, country)
    return [
        Axle(position_m=p, load_kg=w, sigma_kg=sigma_kg, group=g)
        for p, w, g in zip(positions_m, loads_kg, groups, strict=True)
    ]


def check(
    axles: list[Axle], country: str, fhwa_class: str = "9", gross_sigma_kg: float = 250.0
) -> tuple[Violation, ...]:
    gross = sum(axle.load_kg for axle in axles)
    return Limits(country).violations(axles, gross_kg=gross, gross_sigma_kg=gross_sigma_kg, fhwa_class=fhwa_class)


def five_axles(loads_lb: list[float]) -> list[Axle]:
    positions = [p * FT for p in (0.0, 15.0, 19.3, 47.0, 51.0)]
    return make(positions, [load * LB for load in loads_lb], "US")


@pytest.mark.parametrize(
    ("length_ft", "count", "limit"),
    [(4, 2, 34000), (10, 2, 40000), (36, 4, 66000), (51, 5, 80000), (36, 3, 63000), (51, 6, 84500), (50, 5, 79000)],
)
def test_bridge_formula_golden_values(length_ft: float, count: int, limit: float) -> None:
    assert BRIDGE is not None
    step = length_ft * FT / (count - 1)
    axles = make([i * step for i in range(count)], [1000.0] * count, "US")
    assert bridge_limit(BRIDGE, axles, 0, count - 1) == limit


def test_two_tandems_far_enough_apart_may_carry_68000_lb() -> None:
    assert BRIDGE is not None
    for outer_ft, limit in ((36.0, 68000), (35.0, 65500)):
        positions = [0.0, 15.0, 19.0, 15.0 + outer_ft - 4.0, 15.0 + outer_ft]
        axles = make([p * FT for p in positions], [1000.0] * 5, "US")
        assert bridge_limit(BRIDGE, axles, 1, 4) == limit


def test_legal_us_truck_has_no_violation() -> None:
    assert check(five_axles([12000, 17000, 17000, 17000, 17000]), "US") == ()


def test_us_overload_is_found_by_axle_tandem_bridge_and_gross() -> None:
    found = check(five_axles([12000, 21000, 17000, 16000, 16000]), "US")
    by_rule = {violation.rule: violation for violation in found}
    assert set(by_rule) == {
        "US federal single axle, axle 2",
        "US federal tandem axle, axles 2-3",
        "US federal gross weight",
        "US federal bridge formula, axles 2-5",  # 70,000 lb where two tandems 36 ft apart may carry 68,000
    }
    tandem = by_rule["US federal tandem axle, axles 2-3"]
    assert tandem.limit_kg == pytest.approx(34000 * LB, abs=0.1)
    assert tandem.value_kg == pytest.approx(38000 * LB, abs=0.1)
    assert tandem.probability > 0.999


def test_short_truck_breaks_the_bridge_formula_alone() -> None:
    positions = [p * FT for p in (0.0, 10.0, 14.0, 24.0, 28.0)]
    axles = make(positions, [load * LB for load in (10000, 16500, 16500, 16500, 16500)], "US")
    found = check(axles, "US")
    assert [violation.rule for violation in found] == ["US federal bridge formula, axles 2-5"]
    assert found[0].limit_kg == pytest.approx(54000 * LB, abs=0.1)


def test_probability_is_that_of_the_true_load_above_the_limit() -> None:
    axles = make([0.0, 5.0], [4000.0, 20000 * LB + 100.0], "US", sigma_kg=100.0)
    (violation,) = check(axles, "US", "5", gross_sigma_kg=math.sqrt(2) * 100)
    assert violation.probability == pytest.approx(0.8413, abs=1e-4)
    certain = check(make([0.0, 5.0], [4000.0, 20000 * LB + 0.5], "US", sigma_kg=0.0), "US", "5", gross_sigma_kg=0.0)
    assert certain[0].probability == 1.0


def test_shared_error_widens_a_group() -> None:
    """With gross sigma as large as the sum of the axles' sigmas the errors are one; a tandem then has their sum."""
    loads = [12000, 17000, 17000, 17200, 17200]
    independent = check(five_axles(loads), "US", gross_sigma_kg=math.sqrt(5) * 100)
    shared = check(five_axles(loads), "US", gross_sigma_kg=500.0)
    over_kg = 400 * LB
    for found, sigma in ((independent, math.sqrt(2) * 100), (shared, 200.0)):
        tandem = next(v for v in found if v.rule == "US federal tandem axle, axles 4-5")
        assert tandem.probability == pytest.approx(0.5 * (1 + math.erf(over_kg / sigma / math.sqrt(2))), abs=2e-4)


@pytest.mark.parametrize(
    ("spread_m", "limit_kg"), [(2.5, 21000.0), (2.94, 21000.0), (2.96, 23000.0), (3.3, 23000.0), (3.58, 24000.0)]
)
def test_canadian_tridem_by_spread(spread_m: float, limit_kg: float) -> None:
    positions = [0.0, 4.5, 5.85, 12.0, 12.0 + spread_m / 2, 12.0 + spread_m]
    axles = make(positions, [5000.0, 8000.0, 8000.0, 9000.0, 9000.0, 9000.0], "CA")
    tridem = [v for v in check(axles, "CA", "10") if "tridem" in v.rule]
    assert [v.limit_kg for v in tridem] == [limit_kg]


def test_canadian_gross_is_the_sum_of_the_axle_limits() -> None:
    positions = [0.0, 5.0, 6.3, 16.0, 17.3]
    legal = make(positions, [5500.0, 8500.0, 8500.0, 8500.0, 8500.0], "CA")
    assert check(legal, "CA") == ()
    found = check(make(positions, [5600.0, 8500.0, 8500.0, 8500.0, 8500.0], "CA"), "CA")
    assert {v.rule: v.limit_kg for v in found} == {
        "Canadian MoU steering axle, tractor, axle 1": 5500.0,
        "Canadian MoU gross weight": 39500.0,
    }


def test_canadian_b_train_carries_63500_kg() -> None:
    positions = [0.0, 5.0, 6.3, 13.0, 14.8, 16.6, 23.0, 24.3]
    loads = [5500.0, *[8500.0] * 2, *[8000.0] * 3, *[8500.0] * 2]
    assert check(make(positions, loads, "CA"), "CA", "13") == ()


@pytest.mark.parametrize(
    ("positions_m", "loads_t", "rule", "limit_t"),
    [
        ([0, 5, 6.3, 16, 17.3], [6, 10, 10, 10.5, 10.5], "NOM-012-SCT-2-2017 gross weight, T3-S2", 46.5),
        ([0, 5, 6.3], [6.4, 10.8, 10.8], "NOM-012-SCT-2-2017 gross weight, C3", 27.5),
        (
            [0, 5, 6.3, 14, 15.2, 19, 20.2, 28, 29.2],
            [6, *[7.6] * 8],
            "NOM-012-SCT-2-2017 gross weight, T3-S2-R4",
            66.5,
        ),
    ],
)
def test_mexican_gross_by_configuration(
    positions_m: list[float], loads_t: list[float], rule: str, limit_t: float
) -> None:
    found = check(make(positions_m, [1000.0 * load for load in loads_t], "MX"), "MX")
    assert {v.rule: v.limit_kg for v in found}[rule] == 1000.0 * limit_t


def test_mexican_gross_weights_are_the_sums_of_their_axle_limits() -> None:
    """The reading of the table that the axle limits rest on: group limits add up to the gross weight."""
    table = load_table("mx_nom012", LimitTable)
    limit = {(row.place, row.axles[0]): row.limit for row in table.axle}
    for row in table.configuration:
        if not row.code.startswith("T") or "R" in row.code:
            continue  # full trailers have their own dolly limits
        assert row.groups is not None
        sizes = [int(digit) for digit in row.groups[0]]
        parts = [limit["first", sizes[0]], limit["drive", sizes[1]]]
        parts += [limit.get(("trailer", size), limit.get(("any", size), 0.0)) for size in sizes[2:]]
        assert sum(parts) == row.limit, row.code


def test_european_limits() -> None:
    positions = [0.0, 3.7, 9.3, 10.61, 11.92]
    assert check(make(positions, [7000.0, 11000.0, 7000.0, 7000.0, 7000.0], "SI"), "SI") == ()
    found = check(make(positions, [7000.0, 12000.0, 7500.0, 7500.0, 7500.0], "SI"), "SI")
    assert {v.rule for v in found} == {
        "96/53/EC drive axle, axle 2",
        "Directive 96/53/EC, annex I gross weight, combination of five and more axles",
    }


def test_country_without_a_table_has_no_limits() -> None:
    assert Limits("JP").about is None
    assert check(make([0.0, 5.0], [50000.0, 50000.0], "JP"), "JP") == ()


@pytest.mark.parametrize("name", LIMIT_TABLES)
def test_every_table_names_its_source_and_is_not_called_verified_unread(name: str) -> None:
    about = load_table(name, LimitTable).about
    assert about.source
    assert about.caution is None or "printed source" in about.caution
    assert about.status == "verified" or about.note


@given(
    st.lists(st.tuples(st.floats(-0.5, 15.0), st.floats(0.0, 30000.0)), min_size=1, max_size=12),
    st.sampled_from(["US", "CA", "MX", "FR", "ZZ"]),
    st.floats(0.0, 2000.0),
)
def test_violations_are_above_their_limit(
    vehicle: list[tuple[float, float]], country: str, gross_sigma_kg: float
) -> None:
    positions, at = [], 0.0
    for spacing, _ in vehicle:
        positions.append(at)
        at += spacing
    axles = make(positions, [load for _, load in vehicle], country)
    for violation in check(axles, country, "15", gross_sigma_kg):
        assert violation.value_kg >= violation.limit_kg > 0
        assert 0.5 <= violation.probability <= 1.0


@pytest.mark.parametrize(
    ("kip", "axles", "factor"),
    [
        (18, 1, 1.0),
        (12, 1, 0.1891),
        (20, 1, 1.5125),
        (30, 1, 6.9707),
        (34, 2, 1.0947),
        (40, 2, 2.0805),
        (50, 3, 1.2181),
    ],
)
def test_aashto_golden_factors(kip: float, axles: int, factor: float) -> None:
    assert group_factor(kip, axles) == pytest.approx(factor, abs=5e-5)


def test_esal_of_a_vehicle_adds_its_groups() -> None:
    kg = [12000 * LB, *[17000 * LB] * 4]
    assert aashto_flexible(kg, [0, 1, 1, 2, 2]) == pytest.approx(0.1891 + 2 * 1.0947, abs=2e-4)
    assert aashto_flexible([0.0, 0.0], [0, 1]) == 0.0
    assert power_law([18000 * LB, 36000 * LB]) == pytest.approx(17.0)
    with pytest.raises(ValueError, match="1 loads but 2 group"):
        aashto_flexible([1.0], [0, 1])


@given(st.lists(st.floats(1000.0, 15000.0), min_size=1, max_size=6))
def test_esal_grows_with_every_load(loads: list[float]) -> None:
    groups = list(range(len(loads)))
    heavier = [loads[0] * 1.1, *loads[1:]]
    assert aashto_flexible(heavier, groups) > aashto_flexible(loads, groups)
    assert power_law(heavier) > power_law(loads)
