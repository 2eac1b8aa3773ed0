"""A leap of the system clock is told from time that passes, from slewing and from standing still."""

from __future__ import annotations

import pytest

from edge.clock_steps import ClockSteps

S = 1_000_000_000
NOW = 1_795_000_000 * S


@pytest.mark.parametrize(
    ("now_s", "steady_s", "said"),
    [
        (0.25, 0.25, None),
        (30.0, 0.25, None),  # small: borne by those who reckon with times
        (-30.0, 0.25, None),
        (0.27, 0.25, None),  # slewing
        (3600.25, 0.25, "the system clock went forward by 3600 s"),
        (-3599.75, 0.25, "the system clock went back by 3600 s"),
        (1.6e8, 0.0, "the system clock went forward by 160000000 s"),
        (600.0, 600.0, "this computer stood still for 600 s"),
        (7200.0, 600.0, "the system clock went forward by 6600 s"),
    ],
)
def test_what_happened_is_told_once(now_s: float, steady_s: float, said: str | None) -> None:
    steps = ClockSteps(NOW, 5 * S)
    now_ns, steady_ns = NOW + round(now_s * S), 5 * S + round(steady_s * S)
    assert steps.look(now_ns, steady_ns) == said
    assert steps.look(now_ns + S // 4, steady_ns + S // 4) is None
