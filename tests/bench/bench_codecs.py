"""Bytes a second that each codec parses, against reading the same bytes and only splitting them.

bench_codecs.py             a table
bench_codecs.py --hostile [BYTES]    hostile bytes into each codec (default 10 000 000), counted and timed; the status
                                     is 1 where one held too much or was not back in step after two good frames
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from driver_codecs import SUBJECTS, buffered, hostile, is_good

from drivers.base import ProtocolError

_CHUNK = 512  # what one read of a busy serial line or socket gives
_SECONDS = 0.5
_MOST_HELD_BYTES = 2_200_000  # a part of a multipart stream may have 1 MiB, an LLRP message 256 KiB


def speed() -> None:
    print(f"{'codec':26}{'MB/s':>8}{'frames/s':>12}{'us/frame':>10}{'split only MB/s':>17}")
    for name, subject in SUBJECTS.items():
        frames = subject.frames(2000)
        data = b"".join(frames)
        chunks = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
        chunks = frames if subject.whole else chunks
        passes, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < _SECONDS:
            codec = subject.make()
            for chunk in chunks:
                codec.feed(chunk, 0)
            passes += 1
        ends = frames[0][-1:]
        split_passes, began = 0, time.perf_counter()
        while (split_spent := time.perf_counter() - began) < _SECONDS / 5:
            for chunk in chunks:
                chunk.split(ends)
            split_passes += 1
        rate = passes * len(frames) / spent
        print(
            f"{name:26}{passes * len(data) / spent / 1e6:8.2f}{rate:12.0f}{1e6 / rate:10.2f}"
            f"{split_passes * len(data) / split_spent / 1e6:17.0f}"
        )


def under_attack(size: int) -> bool:
    """Whether all codecs stood it: any exception but the named one ends the run."""
    stood = True
    heads = f"{'bytes':>12}{'records':>10}{'rejected':>10}{'named errors':>14}{'most held':>11}{'late':>6}{'s':>7}"
    print(f"{'codec':26}{heads}")
    for name, subject in SUBJECTS.items():
        rng = random.Random(name)
        frames = subject.frames(40)
        codec = subject.make()
        fed = records = rejected = errors = held = late = 0
        began = time.perf_counter()
        while fed < size:
            data = hostile(rng, frames, 4000)
            fed += len(data)
            try:
                out = codec.feed(data, 0)
            except ProtocolError:
                errors += 1
                codec = subject.make()
                out = []
            if not getattr(codec, "in_step", True):
                codec = subject.make()
            good = sum(map(is_good, out))
            records += good
            rejected += len(out) - good
            held = max(held, buffered(codec))
            if subject.resyncs:
                one, two, three = subject.frames(3)
                codec.feed(one + two, 0)
                late += not any(map(is_good, codec.feed(three, 0)))
        spent = time.perf_counter() - began
        stood = stood and held <= _MOST_HELD_BYTES and not late
        print(f"{name:26}{fed:12}{records:10}{rejected:10}{errors:14}{held:11}{late:6}{spent:7.1f}", flush=True)
    return stood


if __name__ == "__main__":
    if sys.argv[1:2] == ["--hostile"]:
        sys.exit(0 if under_attack(int(sys.argv[2]) if len(sys.argv) > 2 else 10_000_000) else 1)
    else:
        speed()
