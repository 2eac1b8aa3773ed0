"""An array as it is handed over: reference runs in, a factor for the true sensitivity of each sensor out.

Whoever commissions an array drives trucks of known weight over it and sets the gains so that they come out right. What
repeats at that place, the dynamic force over this very road and the mean sensitivity of a strip, is in the gains then;
what differs from vehicle to vehicle stays. Called by `array.py`, unless the scenario says that it was not calibrated.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firmware_sim.scenario import Effects, Lane, Sensor
from firmware_sim.world.car import Car
from firmware_sim.world.contact import Contact
from firmware_sim.world.vehicles import draw
from firmware_sim.world.wheels import AHEAD_S, WheelForces

Floats = npt.NDArray[np.float64]
_RUNS = (("semi_3s2", 0.15), ("semi_3s2", 0.5), ("semi_3s2", 0.85), ("truck3", 0.3), ("truck3", 0.7))


def commissioned(
    lane: Lane, sensors: list[Sensor], contact: Contact, effects: Effects, road: tuple[Floats, Floats], seed: int
) -> Floats:
    """Factor for each channel by which its signal has to be multiplied so that the reference runs are weighed right.

    `_RUNS` holds vehicle type and place in the range of the lane's speeds.
    """
    seen = np.zeros(len(sensors))
    true = np.zeros(len(sensors))
    flow = lane.flow
    low, high = flow.speed_mps if flow.wander is None else (flow.wander.low_mps, flow.wander.high_mps)
    for run, (kind, place) in enumerate(_RUNS):
        rng = np.random.default_rng([seed, 8, run])
        vehicle = draw(
            rng,
            number=0,
            lane=lane.id,
            kind=kind,
            imbalance=effects.imbalance,
            lateral=effects.lateral,
            shaped=effects.footprint_shape,
            speed_mps=(1.0, 1.0),
            gap_m=(1.0, 1.0),
            tag=None,
            plate="",
            country="",
        )
        speed_mps = low + place * (high - low)
        car = Car(vehicle, -20.0, speed_mps, rng)
        car.tracked_s = 0.0
        car.motion.add(0.0, -20.0, speed_mps, 0.0, 0.0)
        forces = WheelForces(car, lane, effects, 0.0, road, rng)
        end_s = (20.0 + vehicle.length_m + max(sensor.x_m for sensor in sensors)) / speed_mps
        forces.keep_up(0.0, end_s + AHEAD_S)
        number = -1
        for axle in vehicle.axles:
            for wheel in axle.wheels:
                number += 1
                for channel, sensor in enumerate(sensors):
                    if sensor.type == "loop":
                        continue
                    at_s = (20.0 + vehicle.front_m + axle.position_m + sensor.x_m) / speed_mps
                    force_n = float(forces.at(number, np.array([at_s]))[0])
                    for patch in wheel.patches:
                        load_n = wheel.load_kg * 9.81 * patch.share
                        true[channel] += load_n * contact.caught(channel, patch, vehicle.lateral_m, nominal=True)
                        seen[channel] += force_n * patch.share * contact.caught(channel, patch, vehicle.lateral_m)
    return np.where(seen > 0, true / np.where(seen > 0, seen, 1.0), 1.0)
