"""The one door to the C core (csrc/): NumPy buffers in, plain Python values out.

Called by the lane pipeline (`Wim`) and by the waits (`Matcher`, `QueueFilter`). Nothing else touches cffi.
"""

from __future__ import annotations

from edge import _core

ffi, lib = _core.ffi, _core.lib


class CoreError(ValueError):
    """The core refused an argument; the text says which and why."""


def _check(status: int, detail: str = "") -> None:
    if status != lib.BF_OK:
        text = ffi.string(lib.bf_strerror(status)).decode()
        raise CoreError(f"{detail}: {text}" if detail else text)
