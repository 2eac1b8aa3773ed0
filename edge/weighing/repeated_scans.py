"""Finds stretches of a recording that were delivered twice: a buffer read again, a block written twice.

In: all scans of one capture; out: where the copies are. Called by `recording.py`. Real samples carry noise and never
repeat themselves scan for scan. The search is by content: scans whose bytes say so are landmarks, the hash of some
scans up to there is its name, and two landmarks of one name are compared scan by scan.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
_Words = npt.NDArray[np.uint64]

SAME_SCANS: Final = 48  # so many in a row make a copy
_LEAST_CHANGES: Final = 24  # from scan to scan within them: a stream that stands still repeats nothing
_NAMED_BY: Final = (0, 1, 2, 3, 5, 8, 13, 21, 34, SAME_SCANS - 1)  # scans back from a landmark whose hash is its name
_BACK_SCANS: Final = 1 << 17  # further back than this no original is looked for
_CHUNK_SCANS: Final = 1 << 20
_LANDMARK: Final = np.uint64(2**64 // 64)  # words below this are landmarks: one in 64
_BY_NATURE: Final = 0.05  # share of landmarks that are there twice: the signal is periodic or has no noise
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


def copies(data: Samples, begin: int, end: int) -> list[tuple[int, int]]:
    """Stretches [first, end) of `data`, shape (scans, channels), in [begin, end) that are copies of scans before."""
    found: list[tuple[int, int]] = []
    for first in range(begin, end, _CHUNK_SCANS):
        back = max(begin, first - _BACK_SCANS)
        for start, stop in _in_chunk(data[back : min(first + _CHUNK_SCANS, end)]):
            start, stop = back + start, back + stop
            if found and start <= found[-1][1]:  # told by the chunk before as well, or cut by its end
                found[-1] = (found[-1][0], max(stop, found[-1][1]))
            elif stop > first:
                found.append((start, stop))
    return found


def _in_chunk(data: Samples) -> list[tuple[int, int]]:
    if len(data) <= SAME_SCANS:
        return []
    words = _words(data)
    marks = np.flatnonzero(words < _LANDMARK)
    marks = marks[marks >= SAME_SCANS]
    names = np.zeros(len(marks), np.uint64)
    for k in _NAMED_BY:
        names = names * _MIX + words[marks - k]
    order = np.argsort(names, kind="stable")
    again = np.flatnonzero(names[order][1:] == names[order][:-1])
    if len(again) > _BY_NATURE * len(marks) + 64:
        return []
    found: list[tuple[int, int]] = []
    for earlier, later in sorted(
        zip(marks[order[again]], marks[order[again + 1]], strict=True), key=lambda pair: pair[1]
    ):
        if found and later < found[-1][1]:
            continue
        lag = int(later - earlier)
        stop = int(later) + _run(data[later:], data[earlier:])
        start = int(later) - _run(data[later - 1 :: -1], data[earlier - 1 :: -1])
        changes = np.count_nonzero(words[start + 1 : stop] != words[start : stop - 1])
        if SAME_SCANS <= stop - start <= lag and changes >= _LEAST_CHANGES:  # longer than its lag: periodic
            found.append((start, stop))
    return found


def _run(a: Samples, b: Samples) -> int:
    """So many scans at the beginning of both are the same."""
    n = min(len(a), len(b))
    for first in range(0, n, 4096):
        differs = np.any(a[first : min(first + 4096, n)] != b[first : min(first + 4096, n)], axis=1)
        if differs.any():
            return first + int(differs.argmax())
    return n


def _words(data: Samples) -> _Words:
    """A word of up to eight of the channels for each scan."""
    channels = data.shape[1]
    words: _Words = np.zeros(len(data), np.uint64)
    if channels < 4:
        for column in data.T:
            words = (words ^ column.astype(np.uint16)) * _MIX
        return words
    rows = np.ascontiguousarray(data)
    for channel in {0, channels - 4}:
        four: _Words = np.ndarray(len(rows), "<u8", rows, offset=2 * channel, strides=(2 * channels,))
        words ^= four
        words *= _MIX
    return words
