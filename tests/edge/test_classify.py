"""Classes: golden records, every rule of the table, confidence at the bounds, and hostile input."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.messages import VehicleClass
from edge.weighing.axle_groups import axle_groups, group_code
from edge.weighing.classify import KG_PER_KIP, M_PER_FT, UNCLASSIFIED, Classifier, RuleRow, RuleTable
from edge.weighing.table_files import load_table

LB = KG_PER_KIP / 1000
RULES = load_table("fhwa_ltpp", RuleTable)


def positions(spacings_ft: list[float]) -> list[float]:
    result = [0.0]
    for spacing in spacings_ft:
        result.append(result[-1] + spacing * M_PER_FT)
    return result


def fhwa(
    spacings_ft: list[float], loads_lb: list[float], *, extended: bool = True, sigma_kg: float = 0.0
) -> VehicleClass:
    classifier = Classifier("fhwa", extended=extended)
    loads = [load * LB for load in loads_lb]
    return classifier.classify(positions(spacings_ft), loads, load_sigma_kg=[sigma_kg] * len(loads))


def parse_w(record: str) -> tuple[str, int, list[float], list[float]]:
    """Class, gross, axle weights in lb and spacings in ft of a weight record (FHWA Traffic Monitoring Guide 2013)."""
    axles = int(record[32:34])
    fields = record[34:]
    weights = [float(fields[9 * i : 9 * i + 5]) for i in range(axles)]
    spacings = [int(fields[9 * i + 5 : 9 * i + 9]) / 10 for i in range(axles - 1)]
    return str(int(record[21:23])), int(record[26:32]), weights, spacings


@pytest.mark.parametrize(
    "record",
    [
        "W1701811531201211071609   0578860511210015112300004513730021409815004810831",
        "W1701811531201211071604   0183510208522025209829",
    ],
)
def test_published_weight_records_get_their_class(record: str) -> None:
    code, gross, weights, spacings = parse_w(record)
    assert sum(weights) == gross
    for extended in (False, True):
        assert fhwa(spacings, weights, extended=extended).code == code


def test_record_with_a_misprinted_axle_still_shows_it() -> None:
    """A published record whose axle 2 reads 91,025 lb: the class stands, the sum does not."""
    code, gross, weights, spacings = parse_w("W1701811531201211071606   0472890309818013191025004618346")
    assert sum(weights) != gross
    assert fhwa(spacings, weights).code == code == "6"


def middle(row: RuleRow) -> tuple[list[float], list[float]]:
    """A vehicle in the middle of a rule: spacings in ft and axle loads in kip."""
    spacings = [(low + high) / 2 for low, high in row.spacing_ft]
    gross = row.gross_kip[0] * 1.5 if len(row.gross_kip) == 1 else sum(row.gross_kip) / 2
    axles = len(spacings) + 1
    steer = max(gross / axles, row.steer_min_kip * 1.2)
    return spacings, [steer, *[(gross - steer) / (axles - 1)] * (axles - 1)]


@pytest.mark.parametrize("row", RULES.rule, ids=lambda row: f"{row.class_}: {row.name}")
def test_middle_of_each_rule_gives_its_class(row: RuleRow) -> None:
    spacings, loads = middle(row)
    earlier = [
        other
        for other in RULES.rule[: RULES.rule.index(row)]
        if len(other.spacing_ft) == len(spacings)
        and all(low <= s <= high for s, (low, high) in zip(spacings, other.spacing_ft, strict=True))
        and other.gross_kip[0] <= sum(loads) <= (other.gross_kip[1] if len(other.gross_kip) > 1 else math.inf)
        and loads[0] >= other.steer_min_kip
    ]
    expected = earlier[0].class_ if earlier else row.class_
    assert fhwa(spacings, [load * 1000 for load in loads], extended=False).code == expected


@pytest.mark.parametrize(
    ("spacings", "loads", "ltpp", "extended"),
    [
        ([5.0, 14.0, 4.5], [14000, 14000, 17000, 17000], UNCLASSIFIED, "7"),  # twin steer
        ([17.0, 4.3, 30.0, 4.0, 4.0, 4.0], [11000] + [9000] * 6, "13", "10"),  # 3S4 by definition one trailer
        ([17.0, 4.3, 20.0, 4.0, 4.0, 18.0, 4.0], [11000] + [14000] * 7, "13", "13"),  # B-train
        ([17.0, 4.3, 22.0, 4.0, 9.0, 4.0, 22.0, 4.0], [11000] + [15000] * 8, "13", "13"),  # T3-S2-R4
        ([12.5, 18.0, 4.3, 4.3], [15000, 22000, 16000, 16000, 16000], UNCLASSIFIED, "9"),  # T2S3
        ([15.0, 4.3, 4.3, 4.3, 4.3], [14000] * 6, UNCLASSIFIED, "7"),  # 6-axle single unit
    ],
)
def test_border_vehicles(spacings: list[float], loads: list[float], ltpp: str, extended: str) -> None:
    assert fhwa(spacings, loads, extended=False).code == ltpp
    assert fhwa(spacings, loads, extended=True).code == extended


def test_printed_digits_leave_no_gap() -> None:
    """10.10 and 10.11 ft belong to different rules; what lies between is rounded, not lost."""
    assert [fhwa([ft], [1500, 1500]).code for ft in (10.10, 10.104, 10.106, 10.11)] == ["2", "2", "3", "3"]
    assert [fhwa([ft, 20.0], [1500, 1500, 500]).code for ft in (10.104, 10.106)] == ["2", "3"]
    assert [fhwa([15.0], [lb, lb]).code for lb in (3995, 3999)] == ["3", "5"]


def test_confidence_falls_at_a_bound_and_counts_every_rule_of_the_class() -> None:
    assert fhwa([10.105], [1500, 1500]).confidence == pytest.approx(0.5, abs=0.01)
    assert fhwa([8.0], [1500, 1500]).confidence == 1.0
    # 27.0 ft as last spacing separates the two rules of class 9, not the class
    assert fhwa([17.0, 4.3, 30.0, 11.995], [11000, 16000, 16000, 16000, 16000]).confidence == pytest.approx(
        1.0, abs=0.01
    )
    # 8 kip gross separates class 3 from class 5: a sigma of 100 kg for each of two axles is about 0.31 kip
    near = fhwa([15.0], [3900, 3900], sigma_kg=100.0)
    expected = 0.5 * (1 + math.erf((7.995 - 7.8) * KG_PER_KIP / (100 * math.sqrt(2)) / math.sqrt(2)))
    assert near.code == "3"
    assert near.confidence == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("positions_m", "gross_kg", "code", "category"),
    [
        ([0, 3.7, 9.3, 10.6, 11.9], 39000, "113", "5"),
        ([0, 4.8], 18000, "11", "2"),
        ([0, 2.7], 1500, "11", "1"),
        ([0, 4.8, 6.1, 11.0, 12.3], 40000, "122", "4"),
        ([0, 4.8, 6.2, 10.9, 16.0], 40000, "1211", "6"),
    ],
)
def test_european_schemes(positions_m: list[float], gross_kg: float, code: str, category: str) -> None:
    loads = [gross_kg / len(positions_m)] * len(positions_m)
    by_code = Classifier("eu", country="SI").classify(positions_m, loads)
    assert (by_code.scheme, by_code.code, by_code.confidence) == ("eu", code, pytest.approx(1.0, abs=0.05))
    assert Classifier("cost323", country="SI").classify(positions_m, loads).code == category


def test_axle_groups_differ_by_country() -> None:
    split = [0.0, 5.0, 6.3, 16.0, 18.2]
    assert axle_groups(split, "US") == (0, 1, 1, 2, 2)
    assert axle_groups(split, "CA") == (0, 1, 1, 2, 3)
    assert axle_groups([], "US") == ()
    assert group_code(axle_groups(split, "US")) == "122"


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="2 positions but 1 loads"):
        Classifier().classify([0.0, 1.0], [1.0])
    with pytest.raises(ValueError, match="scheme 'x' is not known"):
        Classifier("x")  # type: ignore[arg-type]


@given(
    st.lists(st.floats(-0.5, 25.0), max_size=11),
    st.floats(100.0, 15000.0),
    st.floats(0.0, 3000.0),
    st.floats(0.0, 1.0),
)
def test_every_vehicle_gets_one_class(spacings_m: list[float], load_kg: float, sigma_kg: float, sigma_m: float) -> None:
    positions_m = [0.0]
    for spacing in spacings_m:
        positions_m.append(positions_m[-1] + spacing)
    loads = [load_kg] * len(positions_m)
    result = Classifier().classify(
        positions_m,
        loads,
        position_sigma_m=[sigma_m * i**0.5 for i in range(len(loads))],
        load_sigma_kg=[sigma_kg] * len(loads),
    )
    assert result.code in {str(code) for code in range(1, 14)} | {UNCLASSIFIED}
    assert 0.0 <= result.confidence <= 1.0
    groups = axle_groups(positions_m, "US")
    assert sorted(groups) == list(groups)
    assert sum(int(digit) for digit in group_code(groups)) == len(positions_m) or "10" in group_code(groups)


@given(st.floats(6.0, 30.0), st.floats(2.5, 6.2), st.floats(6.4, 60.0), st.floats(2.5, 11.9), st.floats(4000, 17000))
def test_exact_measurement_is_certain(s1: float, s2: float, s3: float, s4: float, load: float) -> None:
    spacings = [s1, s2, s3, s4]
    assume(all(abs(s * 100 - round(s * 100)) < 0.45 for s in spacings))
    result = Classifier().classify(positions(spacings), [load] * 5, position_sigma_m=[0.0] * 5)
    assert result.confidence == 1.0


def test_what_may_be_half_a_vehicle_has_half_a_class() -> None:
    spacings = [17.0, 4.3, 33.0, 4.1]
    whole = Classifier().classify(positions(spacings), [6000.0] * 5, position_sigma_m=[0.0] * 5)
    half = Classifier().classify(positions(spacings), [6000.0] * 5, position_sigma_m=[0.0] * 5, whole=0.5)
    assert half.code == whole.code
    assert half.confidence == pytest.approx(0.5 * whole.confidence)
