"""A leap of the system clock is told from time that passes, from slewing and from standing still."""

from __future__ import annotations

from typing import Literal

import pytest

from edge.machine.clock_steps import ClockSteps, Leap

Kind = Literal["forward", "back", "still"]
S = 1_000_000_000
NOW = 1_795_000_000 * S


@pytest.mark.parametrize(
    ("now_s", "steady_s", "said"),
    [
        (0.25, 0.25, None),
        (30.0, 0.25, None),  # small: borne by those who reckon with times
        (-30.0, 0.25, None),
        (0.27, 0.25, None),  # slewing
        (3600.25, 0.25, ("forward", 3600)),
        (-3599.75, 0.25, ("back", -3600)),
        (1.6e8, 0.0, ("forward", 160_000_000)),
        (600.0, 600.0, ("still", 600)),
        (7200.0, 600.0, ("forward", 6600)),
    ],
)
def test_what_happened_is_told_once(now_s: float, steady_s: float, said: tuple[Kind, int] | None) -> None:
    steps = ClockSteps(NOW, 5 * S)
    now_ns, steady_ns = NOW + round(now_s * S), 5 * S + round(steady_s * S)
    assert steps.look(now_ns, steady_ns) == (None if said is None else Leap(said[0], said[1] * S))
    assert steps.look(now_ns + S // 4, steady_ns + S // 4) is None
