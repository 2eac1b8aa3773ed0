"""All codecs under hostile bytes: no exception but the named one, nothing grows, back in step within two good frames.

`make hostile` does the same with ten million bytes each.
"""

from __future__ import annotations

import random

import pytest
from driver_codecs import SUBJECTS, buffered, hostile, is_good

from drivers.base import ProtocolError

_MOST_BUFFERED = 64 * 1024
# Framed by length alone, or one answer: nonsense ends the session with ProtocolError.
_NAMED = ("llrp", "http posts", "modbus tcp", "chrony")


@pytest.mark.parametrize("name", SUBJECTS)
def test_hostile_bytes(name: str) -> None:
    subject = SUBJECTS[name]
    rng = random.Random(name)
    frames = subject.frames(40)
    codec = subject.make()
    for _ in range(40):
        try:
            codec.feed(hostile(rng, frames, 1500), 0)
        except ProtocolError:
            assert name in _NAMED
            codec = subject.make()
        assert buffered(codec) <= _MOST_BUFFERED
        if subject.resyncs:
            good = subject.frames(3)
            codec.feed(good[0] + good[1], 0)
            assert any(is_good(record) for record in codec.feed(good[2], 0)), "not back in step after two good frames"
