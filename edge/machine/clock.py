"""How good this computer's clock is, from the kernel's own clock discipline (adjtimex(2)).

Called by `doctor`. The daemon learns the same from the drivers `chrony` and `gpsd`, as alarms.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5


class _Timex(ctypes.Structure):
    """struct timex of <sys/timex.h>; only the first fields are read."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 40),
    )


@dataclass(frozen=True, slots=True)
class ClockState:
    """`estimated_error_s` is the kernel's own estimate; it means little while not synchronised."""

    synchronised: bool
    estimated_error_s: float
    text: str


def clock_state() -> ClockState | None:
    """The state of the system clock; None where the kernel does not tell."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    timex = _Timex()
    answer = adjtimex(ctypes.byref(timex))
    if answer < 0:
        return None
    synchronised = answer != _TIME_ERROR and not timex.status & _STA_UNSYNC
    error_s = timex.esterror / 1e6
    if synchronised:
        return ClockState(True, error_s, f"synchronised, estimated error {1000 * error_s:.1f} ms")
    return ClockState(False, error_s, "not synchronised; start chrony and let it reach a time server")
