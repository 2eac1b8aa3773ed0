"""Calibration factors from reference runs: loads by sensor with known static loads in, factors with their sigma out.

Called by edge/commands/calibrate.py. Pure: arrays in, numbers out. A line of sensors (a left and a right half, or
one across the lane) must carry the whole axle, so for each axle the loads of its sensors times their factors add up
to the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edge.weighing.conformity.student import quantile

Floats = npt.NDArray[np.float64]

LEAST_ROWS: Final = 3
LEAST_SPAN_C: Final = 8.0  # temperatures nearer together say nothing about the coefficient
_HALVES_SD: Final = 0.05  # how far the factors of two halves of a line usually differ: decides where data cannot
_HUBER: Final = 2.0  # residuals beyond this many deviations count less: a wheel that bounced or half missed the line
_ROUNDS: Final = 20
_NEWTON_STEPS: Final = 4
_LARGEST_COEFF: Final = 0.015  # for one kelvin; no sensor in use strays further


class CalibrationError(ValueError):
    """Reference runs do not suffice; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class LineFit:
    """Result for one line; `factor[k]` multiplies what sensor k weighed, and its `gain_n`.

    `temp_coeff` is to be added to `temp_coeff_per_c` of the line's sensors, None where the runs do not span enough
    degrees; the factors then hold at the mean temperature of the runs, else at the reference temperature.
    `scatter` is the robust relative deviation of one axle.
    """

    factor: Floats
    sigma: Floats
    temp_coeff: float | None
    temp_sigma: float | None
    scatter: float
    rows: int
    runs: int


def fit_line(
    loads_kg: Floats,
    reference_kg: Floats,
    run: npt.NDArray[np.int64],
    *,
    wheel_reference_kg: Floats | None = None,
    temperature_c: Floats | None = None,
    reference_temperature_c: float = 20.0,
) -> LineFit:
    """Factors of the sensors of one line by robust least squares on relative errors.

    `loads_kg` is (rows, sensors): what each sensor weighed of an axle (or of a vehicle, where only gross weight is
    known); `reference_kg` (rows,) the static load; `run` (rows,) which run a row is from: errors within a run are taken
    as one, so that five axles of one run are not five runs. `wheel_reference_kg` (rows, sensors), where known, is the
    static load on each sensor's side. Rows with a NaN or without load are left out.

    Raises CalibrationError with fewer than LEAST_ROWS rows or two runs.
    """
    good = np.isfinite(loads_kg).all(axis=1) & (loads_kg > 0).all(axis=1) & (reference_kg > 0)
    if temperature_c is not None:
        good &= np.isfinite(temperature_c)
    loads_kg, reference_kg, run = loads_kg[good], reference_kg[good], run[good]
    runs = len(np.unique(run))
    if len(loads_kg) < LEAST_ROWS or runs < 2:
        raise CalibrationError(
            f"{len(loads_kg)} usable axles of {runs} runs; at least {LEAST_ROWS} axles of 2 runs are needed"
        )
    warmth = None
    if temperature_c is not None and np.ptp(temperature_c[good]) >= LEAST_SPAN_C:
        warmth = temperature_c[good] - reference_temperature_c
    wheels = None if wheel_reference_kg is None else wheel_reference_kg[good]
    lean: float | None = _HALVES_SD
    design, rows = loads_kg / reference_kg[:, None], len(loads_kg)
    if wheels is not None and np.isfinite(wheels).all() and (wheels > 0).all():
        design, run = _by_wheel(loads_kg / wheels, run)
        lean = None
    if warmth is None:
        factor, sigma, scatter = _robust(design, run, loads_kg.shape[1], lean)
        return LineFit(factor, sigma, None, None, scatter, rows, runs)
    # reference = c load / (1 + d (T - Tref)): linear in c and, step by step, in the error d of the coefficient
    warmth = np.repeat(warmth, len(design) // rows)
    sensors, error = loads_kg.shape[1], 0.0
    for _ in range(_NEWTON_STEPS):
        level = design / (1.0 + error * warmth)[:, None]
        slope = -level.sum(axis=1) * warmth / (1.0 + error * warmth)
        solution, sigma, scatter = _robust(np.column_stack([level, slope]), run, sensors, lean)
        mean = float(solution[:sensors].mean())
        error = min(max(error + float(solution[-1]) / mean, -_LARGEST_COEFF), _LARGEST_COEFF)
    temp_sigma = float(sigma[-1]) / mean
    return LineFit(solution[:sensors], sigma[:sensors], error, temp_sigma, scatter, rows, runs)


def _by_wheel(ratio: Floats, run: npt.NDArray[np.int64]) -> tuple[Floats, npt.NDArray[np.int64]]:
    """One equation for each wheel instead of one for each axle."""
    rows, sensors = ratio.shape
    design = np.zeros((rows * sensors, sensors))
    for k in range(sensors):
        design[k::sensors, k] = ratio[:, k]
    return design, np.repeat(run, sensors)


def _robust(
    design: Floats, run: npt.NDArray[np.int64], sensors: int, lean: float | None
) -> tuple[Floats, Floats, float]:
    """Solve design @ x = 1 with Huber weights; `lean` draws the sensors' factors together. Also sigma and scatter."""
    columns = design.shape[1]
    between = np.zeros((0, columns))
    if lean is not None and sensors > 1:
        between = np.zeros((sensors, columns))
        between[:, :sensors] = np.eye(sensors) - 1.0 / sensors
    weight = np.ones(len(design))
    scatter = 0.0
    for _ in range(_ROUNDS):
        pull = between * (max(scatter, 1e-4) / (lean or 1.0))
        normal = (design * weight[:, None]).T @ design + pull.T @ pull
        inverse = np.linalg.pinv(normal)
        solution = inverse @ (design * weight[:, None]).sum(axis=0)
        residual = 1.0 - design @ solution
        scatter = float(1.4826 * np.median(np.abs(residual - np.median(residual))))
        bound = _HUBER * max(scatter, 1e-6)
        weight = np.minimum(1.0, bound / np.maximum(np.abs(residual), 1e-12))
    # Sandwich covariance with the runs as clusters; equations beyond the bound do not stiffen the solution. Few runs
    # make it too small: the quantile of Student's t instead of the normal one makes up for that.
    stiff = np.where(weight < 1.0, 0.0, 1.0)
    bread = np.linalg.pinv((design * stiff[:, None]).T @ design + pull.T @ pull)
    pushes = np.array([(design[run == r] * (weight * residual)[run == r, None]).sum(axis=0) for r in np.unique(run)])
    runs = len(pushes)
    widening = runs / (runs - 1) * (quantile(0.975, runs - 1) / 1.96) ** 2
    clustered = bread @ (pushes.T @ pushes) @ bread * widening
    freedom = max(len(design) - columns, 1)
    classical = inverse * float((weight * residual**2).sum() / freedom)
    sigma = np.sqrt(np.maximum(np.diag(clustered), np.diag(classical)))
    return np.asarray(solution, dtype=np.float64), np.asarray(sigma, dtype=np.float64), scatter
