"""What emulator tests share: a lane with known samples, a clock, and bytes of Modbus TCP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

START = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)


def clock(now_s: float) -> datetime:
    return START + timedelta(seconds=now_s)


class Ramp:
    """A lane whose channel c shows (scan * 10 + c) modulo 20000 at scan `scan`; channel `contact` is 1 in odd scans."""

    def __init__(self, channels: int = 3, rate_hz: float = 1000.0, contact: int | None = None) -> None:
        self.channels, self.rate_hz, self.nominal_hz, self.contact = channels, rate_hz, rate_hz, contact
        self.now_s = 0.0

    def ready(self) -> int:
        return int(self.now_s * self.rate_hz)

    def take(self, first: int, count: int) -> npt.NDArray[np.int16]:
        assert first + count <= self.ready()
        scans = np.arange(first, first + count)
        table = ((scans[:, None] * 10 + np.arange(self.channels)) % 20000).astype(np.int16)
        if self.contact is not None:
            table[:, self.contact] = scans % 2
        return table
