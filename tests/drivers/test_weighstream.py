"""weighstream: weights as samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.weighstream import PollStream, PushStream, counts

BEGIN_NS = 1_790_000_000_000_000_000


@given(st.lists(st.floats(-1e9, 1e9)), st.floats(0.01, 1000))
def test_counts_round_and_stay_within_16_bits(values: list[float], per_count: float) -> None:
    samples = counts(values, per_count)
    assert samples.dtype == np.int16
    assert samples.shape == (len(values), 1)
    for value, sample in zip(values, samples[:, 0].tolist(), strict=True):
        if abs(value / per_count) < 32767:
            assert abs(sample - value / per_count) <= 0.5 + 1e-6
        else:
            assert sample in (-32768, -32767, 32767)


def test_pushed_blocks_follow_one_another() -> None:
    stream = PushStream("plate", 2.0)
    stream.begin(100.0)
    first = stream.block([10.0, 12.0], BEGIN_NS)
    second = stream.block([14.0], BEGIN_NS + 40_000_000, lost=3)
    assert (first.first_scan, first.lost_scans, first.samples.tolist()) == (0, 0, [[5], [6]])
    assert (second.first_scan, second.lost_scans, second.samples.tolist()) == (5, 3, [[7]])
    assert second.time_ns - first.time_ns == 50_000_000
    stream.begin(100.0)
    third = stream.block([1.0], BEGIN_NS)
    assert (third.stream, third.first_scan) == (2, 0)


def test_polled_blocks_count_the_polls_that_were_missed() -> None:
    stream = PollStream("scale", 1.0, 10.0)
    stream.begin(BEGIN_NS)
    blocks = [stream.block(7.0, BEGIN_NS + ms * 1_000_000) for ms in (2, 101, 899, 910, 1000)]
    assert [(b.first_scan, b.lost_scans) if b else None for b in blocks] == [(0, 0), (1, 0), (9, 7), None, (10, 0)]


def test_a_clock_set_back_begins_a_new_stream() -> None:
    stream = PollStream("scale", 1.0, 10.0)
    stream.begin(BEGIN_NS)
    stream.block(7.0, BEGIN_NS + 10**10)
    block = stream.block(7.0, BEGIN_NS - 10**12)
    assert block is not None
    assert (block.stream, block.first_scan, block.lost_scans) == (2, 0, 0)


def test_a_late_poll_is_bridged() -> None:
    stream = PollStream("scale", 1.0, 10.0)
    stream.begin(BEGIN_NS)
    stream.block(10.0, BEGIN_NS)
    block = stream.block(40.0, BEGIN_NS + 300_000_000)
    assert block is not None
    assert (block.first_scan, block.lost_scans, block.samples[:, 0].tolist()) == (1, 0, [20, 30, 40])
    assert block.time_ns == BEGIN_NS + 100_000_000


def test_contacts_are_further_channels() -> None:
    stream = PushStream("plate", 2.0)
    stream.begin(100.0)
    block = stream.block([10.0, 12.0], BEGIN_NS, contacts=[[True, False], [False, False]])
    assert block.samples.tolist() == [[5, 1, 0], [6, 0, 0]]


def test_a_device_that_sends_at_another_rate_gets_a_new_stream_with_the_true_one() -> None:
    stream = PushStream("pad", 1.0)
    stream.begin(10.0)
    blocks = [stream.block([float(n)], round((1000 + n / 20) * 1e9)) for n in range(1, 200)]
    assert {block.stream for block in blocks} == {1, 2}
    assert {round(block.rate_hz, 1) for block in blocks if block.stream == 2} == {20.0}
    stream.begin(10.0)  # the next session
    assert stream.block([0.0], 0).rate_hz == pytest.approx(20.0, rel=0.01)
