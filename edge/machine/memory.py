"""Keeps the daemon small: what it frees goes back to the system. Called by `run` before the daemon begins.

The C library keeps freed blocks for later, in a heap for each thread, and lets its bounds grow with what it sees:
blocks of samples come and go all day, so it would keep the most that it ever needed. Bounds that were set do not grow
(mallopt(3)). With another C library than glibc nothing happens.
"""

from __future__ import annotations

import ctypes

# Names and numbers of <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_BLOCK_BYTES = 128 * 1024  # glibc's own first bounds


def keep_small() -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for name, value in ((_M_ARENA_MAX, 1), (_M_TRIM_THRESHOLD, _BLOCK_BYTES), (_M_MMAP_THRESHOLD, _BLOCK_BYTES)):
        mallopt(ctypes.c_int(name), ctypes.c_int(value))
