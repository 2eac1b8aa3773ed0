"""Tyres on sensors: a wheel in, the response of each strip and plate against the wheel's distance from it out.

Called by `array.py` once for each vehicle, and by `calibration.py`. The response is made from the pressure along each
tyre's patch, the place of the tyre across the lane, the sensor's sensitivity along its length, its angle, and the dip
that the road makes around a wheel.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from firmware_sim.scenario import Effects, Sensor
from firmware_sim.world.vehicles import Patch, Wheel

POINTS = 801  # of a response
_BOW_M = 0.5  # reach of the road's own deflection
_BOW_SHARE = 0.01  # of the largest response

Floats = npt.NDArray[np.float64]


class Contact:
    """What wheels do to the sensors of one array."""

    def __init__(
        self,
        sensors: list[Sensor],
        lane_width_m: float,
        effects: Effects,
        nonuniformity: float,
        rng: np.random.Generator,
    ) -> None:
        self._sensors, self._middle_m, self._effects = sensors, lane_width_m / 2, effects
        size = nonuniformity if effects.nonuniformity else 0.0
        self._along = [
            _Along(size * rng.standard_normal(5) * math.sqrt(2 / 5), rng.uniform(0, 2 * math.pi, 5)) for _ in sensors
        ]

    def responses(self, wheel: Wheel, lateral_m: float) -> dict[int, tuple[float, Floats]]:
        """By channel: reach in metres, and the counts-free response to 1 N on [-reach, reach].

        `lateral_m` is the vehicle's middle line from that of the lane. Channels that the wheel misses are left out.
        The integral of a response is the sensor's width, times the part of the wheel that is on the sensor.
        """
        found: dict[int, tuple[float, Floats]] = {}
        for channel, sensor in enumerate(self._sensors):
            if sensor.type == "loop":
                continue
            slope = math.tan(math.radians(sensor.angle_deg))
            reach = sensor.width_m / 2 + max(patch.length_m for patch in wheel.patches) / 2 + 0.06
            reach += (_BOW_M if self._effects.bow_wave else 0.0) + abs(slope) * (sensor.y_m[1] - sensor.y_m[0]) / 2
            s = np.linspace(-reach, reach, POINTS)
            total = np.zeros(POINTS)
            for patch in wheel.patches:
                caught = self.caught(channel, patch, lateral_m)
                if caught > 0:
                    y = self._middle_m + lateral_m + patch.y_m
                    ahead = slope * (y - (sensor.y_m[0] + sensor.y_m[1]) / 2)
                    total += patch.share * caught * self._pressed(patch, sensor, s - ahead)
            if np.any(total):
                found[channel] = (reach, total)
        return found

    def caught(self, channel: int, patch: Patch, lateral_m: float, *, nominal: bool = False) -> float:
        """Part of a tyre's width that is on the sensor, weighted with its sensitivity there (`nominal`: without)."""
        y_m = self._sensors[channel].y_m
        left = self._middle_m + lateral_m + patch.y_m - patch.width_m / 2
        low, high = max(left, y_m[0]), min(left + patch.width_m, y_m[1])
        if high <= low:
            return 0.0
        part = (high - low) / patch.width_m
        return part if nominal else part * float(np.mean(self._along[channel](np.linspace(low, high, 9))))

    def _pressed(self, patch: Patch, sensor: Sensor, s: Floats) -> Floats:
        """Share of a tyre's load that lies on the sensor; its integral over the contact is the sensor's width.

        Before and behind the contact the road bends and unloads the sensor a little: whoever integrates further than
        the contact, or takes that dip for the baseline, is wrong by a few per cent.
        """
        half = sensor.width_m / 2
        share = _pressure_before(patch, s + half) - _pressure_before(patch, s - half)
        share *= sensor.width_m / (float(share.sum()) * float(s[1] - s[0]))
        if self._effects.bow_wave:
            span = patch.length_m / 2 + half
            outside = np.clip(np.abs(s) - span, 0, None)
            dip = np.where(np.abs(s) > span, outside / 0.1 * np.exp(1 - outside / 0.1), 0.0)
            share -= _BOW_SHARE * float(share.max()) * dip * np.where(s < 0, 1.0, 0.7)
        return np.asarray(share)


class _Along:
    """Sensitivity of a strip along its length: 1 and a few waves."""

    def __init__(self, sizes: Floats, phases: Floats) -> None:
        self._sizes, self._phases = sizes, phases

    def __call__(self, y_m: Floats) -> Floats:
        waves = np.arange(1, self._sizes.size + 1)
        angle = np.outer(y_m, waves) * (2 * math.pi / 1.9) + self._phases
        return np.asarray(1 + np.cos(angle) @ self._sizes)


def _pressure_before(patch: Patch, s: Floats) -> Floats:
    """Share of a tyre's load that lies before the place s along its patch (0 at its start, 1 at its end).

    Pressure falls from the middle to the ends as 1 - |u|^p, u from -1 to 1, and is tilted by the factor 1 + skew u.
    """
    u = np.clip(2 * s / patch.length_m, -1.0, 1.0)
    p = patch.flatness
    size = np.abs(u)
    even = u - np.sign(u) * size ** (p + 1) / (p + 1)
    odd = u * u / 2 - size ** (p + 2) / (p + 2)
    whole = 2 * p / (p + 1)
    at_start = -p / (p + 1) + patch.skew * (0.5 - 1 / (p + 2))
    return np.asarray((even + patch.skew * odd - at_start) / whole)
