"""The motion of one vehicle as pieces of constant jerk; made by `driving.py`, read by `wheels.py` and `array.py`.

A piece holds from its time until the next one's; place, speed and acceleration are polynomials of the time since then.
Place and speed are continuous; acceleration jumps only where a vehicle comes to a stand, as it really does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Motion:
    """A growing list of pieces. Times are world time, places those of the front end along the lane."""

    def __init__(self) -> None:
        self._pieces: list[tuple[float, float, float, float, float]] = []
        self.left_s: float | None = None  # when the vehicle was out of reach of the array

    def add(self, time_s: float, x_m: float, v_mps: float, a_mps2: float, jerk_mps3: float) -> None:
        """The piece from `time_s` on; times must not fall."""
        if self._pieces and self._pieces[-1][2:] == (0.0, 0.0, 0.0) == (v_mps, a_mps2, jerk_mps3):
            return  # still standing
        self._pieces.append((time_s, x_m, v_mps, a_mps2, jerk_mps3))

    def forget(self, before_s: float) -> None:
        """Drop pieces that ended before that time."""
        keep = 0
        while keep + 1 < len(self._pieces) and self._pieces[keep + 1][0] <= before_s:
            keep += 1
        if keep:
            del self._pieces[:keep]

    def stands(self, from_s: float, until_s: float) -> bool:
        """Whether the vehicle stands all that time."""
        last = len(self._pieces) - 1
        while last > 0 and self._pieces[last][0] >= until_s:
            last -= 1
        return self._pieces[last][0] <= from_s and self._pieces[last][2:] == (0.0, 0.0, 0.0)

    def at(self, times_s: Floats) -> tuple[Floats, Floats, Floats]:
        """Place, speed and acceleration at ascending times. Before the first piece: as at its start, standing."""
        first, last = float(times_s[0]), float(times_s[-1])
        begin, end = 0, len(self._pieces)
        while begin + 1 < end and self._pieces[begin + 1][0] <= first:
            begin += 1
        while end - 1 > begin and self._pieces[end - 1][0] > last:
            end -= 1
        if end - begin == 1:
            time_s, x, v, a, j = self._pieces[begin]
            dt = np.maximum(times_s - time_s, 0.0)
        else:
            table = np.array(self._pieces[begin:end])
            row = np.maximum(np.searchsorted(table[:, 0], times_s, side="right") - 1, 0)
            time_r, x, v, a, j = table[row].T
            dt = np.maximum(times_s - time_r, 0.0)
        acceleration = a + j * dt
        speed = v + (a + 0.5 * j * dt) * dt
        return x + (v + (0.5 * a + j * dt / 6) * dt) * dt, speed, acceleration
