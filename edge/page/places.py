"""Whether sensors lie where the configuration says: excursions of vehicles in, how far each sensor is off out.

Called by the scope. The motion that weighs a vehicle may bend, and so hides a wrong distance. Here a vehicle has one
acceleration, and all its axles pass all sensors with it: x_j + d_j = a + b t + c t² - p_k for axle k over sensor j.
What is of the vehicle (a, b, c, p) is eliminated, what is of the array (d) is summed over vehicles (least squares by
blocks). The d are known up to a shift and a stretch of the whole array (one that shrinks it to a point would fit any
motion), so these are left out of the fit; of all that differ by them that one is told with most sensors right.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.page.footprints import Print

_NEAR_M = 0.35  # an excursion this near to where an axle should be is its own: less than half a wheelbase of a group
_UNEVEN_M = 0.02  # a vehicle that fits worse than this did not have one acceleration
_LEAST_VEHICLES = 5  # simulated with motions that swing: with 3 in 60 arrays one was told wrong, with 5 none
_LEAST_PLACES = 4  # with three, nothing tells which of them is wrong
_FLOOR_M = 0.003  # no vehicle is believed more than this

Passage = tuple[int, int, float]  # sensor, axle, scan


def paired(passes: Sequence[Sequence[tuple[int, float, float]]], found: Sequence[Sequence[Print]]) -> list[Passage]:
    """The excursion of each axle at each sensor. `passes` of a sensor: axle, scan and way of one scan (m) there."""
    made = []
    for sensor, (mine, seen) in enumerate(zip(passes, found, strict=True)):
        for axle, scan, step_m in mine:
            best = min(seen, key=lambda item: abs(item.centroid - scan), default=None)
            if best is not None and abs((best.centroid - scan) * step_m) < _NEAR_M:
                made.append((sensor, axle, best.centroid))
    return made


class Places:
    """See the head of this file. `x_m` of each sensor of the array, loops included (which no axle passes)."""

    def __init__(self, x_m: Sequence[float]) -> None:
        self._x = np.array(x_m)
        self._normal = np.zeros((len(x_m), len(x_m)))
        self._right = np.zeros(len(x_m))
        self.vehicles = 0

    def vehicle(self, passages: Sequence[Passage], rate_hz: float) -> None:
        """One vehicle that was wholly seen and went one way."""
        axles = sorted({axle for _, axle, _ in passages})
        seen = np.unique([sensor for sensor, _, _ in passages])
        free = len(passages) - 3 - (len(axles) - 1) - (len(seen) - 2)
        if free < 1 or len(np.unique(self._x[seen])) < 3:
            return
        sensors = np.array([sensor for sensor, _, _ in passages])
        seconds = np.array([scan for _, _, scan in passages]) / rate_hz
        seconds = (seconds - seconds.mean()) / max(float(np.ptp(seconds)), 1e-6)
        of_axle = np.array([[axle == other for other in axles[1:]] for _, axle, _ in passages], float)
        own = np.column_stack([np.ones_like(seconds), seconds, seconds**2, of_axle.reshape(len(passages), -1)])
        basis, _ = np.linalg.qr(own)

        def without(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return np.asarray(values - basis @ (basis.T @ values))

        design = without(np.eye(len(self._x))[sensors])
        place = without(self._x[sensors])
        bent = design[:, seen] @ _bends(self._x[seen])
        alone, *_ = np.linalg.lstsq(bent, -place, rcond=1e-6)
        uneven = float(np.sqrt(np.sum((place + bent @ alone) ** 2) / free))
        if uneven > _UNEVEN_M:
            return
        weight = 1.0 / (uneven**2 + _FLOOR_M**2)
        self._normal += weight * design.T @ design
        self._right -= weight * design.T @ place
        self.vehicles += 1

    def off_m(self) -> list[float | None]:
        """How far (m) beyond its `x_m` each sensor lies; None while that is not known."""
        known = np.flatnonzero(np.diag(self._normal) > 0)
        if self.vehicles < _LEAST_VEHICLES or len(np.unique(self._x[known])) < _LEAST_PLACES:
            return [None] * len(self._x)
        bends = _bends(self._x[known])
        normal = bends.T @ self._normal[np.ix_(known, known)] @ bends
        found = bends @ (np.linalg.pinv(normal, rcond=1e-4, hermitian=True) @ (bends.T @ self._right[known]))
        off = _least(found, self._x[known])
        by_sensor = dict(zip(known.tolist(), off.tolist(), strict=True))
        return [by_sensor.get(sensor) for sensor in range(len(self._x))]


def _bends(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A basis of all displacements of sensors at `x` but a shift and a stretch of all."""
    whole, _ = np.linalg.qr(np.column_stack([np.ones_like(x), x - x.mean()]), mode="complete")
    return np.asarray(whole[:, 2:])


def _least(off: npt.NDArray[np.float64], x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of all shifts and stretches the one that leaves fewest sensors off, by the sum of the roots of |off|: it goes
    through two of the points. Roots, since the sum of |off| itself is the same where the last sensor is off and where
    all those in the middle are."""
    best = off
    for i, j in itertools.combinations(range(len(x)), 2):
        if abs(x[i] - x[j]) > 1e-6:
            stretch = (off[i] - off[j]) / (x[i] - x[j])
            rest = off - off[i] - stretch * (x - x[i])
            if best is off or np.sqrt(np.abs(rest)).sum() < np.sqrt(np.abs(best)).sum():
                best = rest
    return best
