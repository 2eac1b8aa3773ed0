"""The waits against the truth of an independent simulation: half a day with a peak, four lanes, all rows of sensors.

Bounds are those the project set itself for waits (docs/waits.md); the full days are `make waits-accuracy`.
"""

from __future__ import annotations

import statistics

import pytest

from tests.waits.score import ROWS, Score, run, score
from tests.waits.traffic import Scenario, World, simulate


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(Scenario(seed=11, hours=13.0))


@pytest.mark.parametrize("row", list(ROWS))
def test_waits_are_as_good_as_promised(world: World, row: str) -> None:
    readers, exp_rel, exp_s, rel, bound_s = ROWS[row]
    waits, _, _ = run(world, readers)
    lanes = [spec.id for spec in world.scenario.lanes]
    scores: dict[str, Score] = {lane: score(world, waits, lane, exp_rel, exp_s, rel, bound_s) for lane in [*lanes, "_"]}
    outside = statistics.fmean(scores[lane].experienced_bad for lane in lanes)
    assert outside <= 0.05, "experienced medians of lanes outside the bound"
    for lane, s in scores.items():
        assert s.within >= 0.5, f"{lane}: the median expected wait is outside the bound"
        assert s.missing < 0.05
        assert s.expected_s < s.last_s, f"{lane}: the last completed wait does better"
        assert s.expected_s < s.mean15_s, f"{lane}: the mean of 15 minutes does better"
    covered = statistics.fmean(s.covered[0] for s in scores.values())
    assert 0.70 <= covered <= 0.90
