"""The chain of the core from sightings to matches: what is put in goes through in order, or is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import core

S = 1_000_000_000
LANES, POINTS = 2, 3


def _matcher() -> core.Matcher:
    matcher = core.Matcher(LANES, POINTS, 4, counts_only=False)
    for ends in ((0, 2), (0, 1), (1, 2)):
        queues = [
            core.QueueFilter(capacity=1024, free_flow_s=60.0, free_flow_sd_ln=0.9, cycle_s=60.0) for _ in range(LANES)
        ]
        matcher.way(ends, [0, 1], queues, core.PlateTable(), main=ends == (0, 2))
    return matcher


_DATA = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([b"", b"E200 1", b"ABC8017", b"\xff" * 40, bytes(16 * 24)]),
    st.lists(st.floats(), min_size=4, max_size=24).map(lambda xs: core.array("d", xs[: len(xs) // 2 * 2]).tobytes()),
    st.integers(1, 15).map(lambda n: bytes(8) + n.to_bytes(4, "little") + bytes(4) + bytes(range(8 * (2 + 2 * n)))),
)
_SIGHTINGS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 600 * S), st.integers(-(1 << 62), 1 << 62)),
        st.integers(-1, LANES * POINTS),
        st.integers(-1, 6),
        _DATA,
    ),
    max_size=60,
)


@given(_SIGHTINGS)
@settings(max_examples=150, deadline=None)
def test_whatever_is_put_in_comes_out_in_order_or_is_refused(sightings: list[tuple[int, int, int, bytes]]) -> None:
    order, matcher, put = core.Order(), _matcher(), []
    for time_ns, place, kind, data in sightings:
        try:
            order.put(time_ns, place, kind, data)
        except core.CoreError:
            continue
        put.append(time_ns)
        if place == LANES * POINTS:
            return  # nobody knows that place; the chain says so below
    entered: list[int] = []
    try:
        for _ in range(1000):
            why, _time_ns, events = matcher.run(order, 1 << 62, 1 << 62, everything=True)
            entered += [event[4] for event in events if event[0] == core.ENTERED]
            if why == core.STOP_DONE:
                break
        again = True
        while again:
            again, _events = matcher.settle(1 << 62)
    except core.CoreError:
        assert max(put) - min(put) > 300 * 86400 * S  # times too far apart for one queue
        return
    assert why == core.STOP_DONE
    assert entered == sorted(entered)
    assert matcher.last_ns == max(put, default=matcher.last_ns)
    assert all(number >= 0 for number in matcher.counters().values())


def test_a_place_that_nobody_knows_is_refused() -> None:
    order, matcher = core.Order(), _matcher()
    order.put(S, LANES * POINTS, core.SEEN_LOOP, b"")
    with pytest.raises(core.CoreError, match="sightings"):
        matcher.run(order, 1 << 62, 1 << 62, everything=True)
