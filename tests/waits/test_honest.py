"""The interval that is published: how often the truth lies in it, whatever the model behind it got wrong."""

from __future__ import annotations

import random
import statistics
from collections import Counter, deque

import pytest

from edge.config import Lane
from edge.waiting.honest import Factors, Honesty, Interval, Told
from edge.waiting.lane import LaneState
from edge.waiting.match import Match
from edge.waiting.trials import Trials

_SD_S = 100.0
_LONG = 20.0  # booth cycles: well inside one kind of waits


def _forecast(sd_s: float, median_s: float = 1000.0) -> Interval:
    """An 80 % interval of a normal distribution."""
    half_s = 1.2816 * sd_s
    return Interval(median_s - half_s, median_s, median_s + half_s, cycle_s=1.0, cycles_n=_LONG)


def _covered(
    honesty: Honesty, rng: random.Random, *, moments: int, late: int, model_sd_s: float, known_sd_s: float
) -> list[bool]:
    """Truths come `late` moments after what was told of them, and are then known to `known_sd_s`."""
    waiting: deque[tuple[Told, float]] = deque()
    covered = []
    for at in range(moments):
        told = honesty.tell(at, _forecast(model_sd_s))
        truth_s = rng.gauss(1000.0, _SD_S)
        covered.append(told.low_s <= truth_s <= told.high_s)
        waiting.append((told, truth_s))
        if len(waiting) > late:
            past, truth_s = waiting.popleft()
            honesty.observe(past, (truth_s + rng.gauss(0.0, known_sd_s),), known_sd_s)
    return covered


@pytest.mark.parametrize("model_sd_s", [30.0, 100.0, 300.0])
@pytest.mark.parametrize("late", [0, 60])
def test_four_fifths_of_the_truths_lie_in_what_was_published(model_sd_s: float, late: int) -> None:
    covered = _covered(
        Honesty(), random.Random(1), moments=4000, late=late, model_sd_s=model_sd_s, known_sd_s=0.0
    )  # fmt: skip
    assert statistics.fmean(covered[1000:]) == pytest.approx(0.8, abs=0.02)


def test_what_is_known_of_a_wait_only_roughly_widens_by_as_much() -> None:
    sure = _covered(Honesty(), random.Random(2), moments=4000, late=0, model_sd_s=100.0, known_sd_s=0.0)
    rough = _covered(Honesty(), random.Random(2), moments=4000, late=0, model_sd_s=100.0, known_sd_s=40.0)
    assert statistics.fmean(sure[1000:]) <= statistics.fmean(rough[1000:]) < 0.9


def test_a_lane_begins_with_what_lanes_like_it_have_learned() -> None:
    factors = Factors()
    busy, fresh, other = Honesty(factors), Honesty(factors), Honesty()
    _covered(busy, random.Random(3), moments=400, late=10, model_sd_s=30.0, known_sd_s=0.0)
    widths = [told.high_s - told.low_s for told in (row.tell(0, _forecast(30.0)) for row in (busy, fresh, other))]
    assert widths[1] > 1.5 * widths[2]
    assert widths[1] == pytest.approx(2.5632 * _SD_S, rel=0.35)


def test_nothing_is_told_below_the_free_journey() -> None:
    raw = Interval(90.0, 100.0, 130.0, cycle_s=40.0, cycles_n=0.2, least_s=95.0)
    assert Honesty().tell(0, raw).low_s == 95.0


@pytest.mark.parametrize("matched_n", [0, 5])
def test_by_counts_alone_the_best_guess_of_a_wait_is_what_counts(matched_n: int) -> None:
    """It lies well inside; only where identities bound who it was does its deviation say it was perhaps outside."""
    lane = LaneState(Lane(id="L0", traffic="commercial"), Counter())
    lane.matched_n = matched_n
    trials, before = Trials(), lane.series.honesty.tell(0, _forecast(100.0))
    lane.series.forecasts.append(before)
    trials.entered((0, 1), [lane.series])
    guess = Match(
        10**12, (0, 1), 0, None, 1000.0, 500.0, 0.3,
        sure=False, by_identity=False, phantom=False, detour=False, readable=False, busy=True,
    )  # fmt: skip
    trials.arrived(lane, guess)
    after = lane.series.honesty.tell(1, _forecast(100.0))
    assert (after.high_s - after.low_s < before.high_s - before.low_s) == (matched_n == 0)
