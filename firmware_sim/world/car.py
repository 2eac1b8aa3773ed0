"""A vehicle on its way through a lane: its state, which `driving.py` moves and `wheels.py` and `array.py` look at."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from firmware_sim.world.events import AxleTruth, VehicleTruth
from firmware_sim.world.motion import Motion
from firmware_sim.world.vehicles import Vehicle

# where the front end is when something happens, what kind of thing, and to whom
Mark = tuple[float, str, object]


class Car:
    """A vehicle on its way: where it is, what it is going to do, and what it has passed."""

    __slots__ = (
        "a",
        "arrived",
        "booth",
        "crossed_mps",
        "crossed_s",
        "done",
        "hold_until_s",
        "last_s",
        "leaves",
        "marks",
        "motion",
        "next_mark",
        "passed",
        "places",
        "released",
        "reversed",
        "rng",
        "roll",
        "stands_s",
        "stands_since_s",
        "start_at_s",
        "stop_x_m",
        "stopped",
        "target_mps",
        "target_until_s",
        "tracked",
        "tracked_s",
        "v",
        "vehicle",
        "x",
    )

    def __init__(self, vehicle: Vehicle, x_m: float, v_mps: float, rng: np.random.Generator) -> None:
        self.vehicle = vehicle
        self.x, self.v, self.a = x_m, v_mps, 0.0
        self.rng = rng
        self.motion = Motion()
        self.tracked = False
        self.tracked_s = math.inf  # since when its motion is kept
        self.marks: list[Mark] = []
        self.places: list[float] = []
        self.next_mark = 0
        self.passed: dict[str, float] = {}
        self.booth: int | None = None
        self.arrived = self.released = self.done = self.leaves = False
        self.hold_until_s = 0.0
        self.start_at_s: float | None = None
        self.stands_since_s: float | None = 0.0 if v_mps == 0 else None
        self.roll: deque[tuple[int, float]] = deque()  # ticks and acceleration still to come of a roll-back
        self.stop_x_m: float | None = None
        self.target_mps = vehicle.wish_mps
        self.target_until_s = -1.0
        self.crossed_s: float | None = None
        self.crossed_mps = 0.0
        self.last_s = 0.0
        self.stopped = self.reversed = False
        self.stands_s: list[float] = []  # when it came to a stand on the array: suspensions settle anew

    @property
    def rear_m(self) -> float:
        return self.x - self.vehicle.length_m

    def truth(self, time_s: float, array_m: float) -> VehicleTruth:
        """What the vehicle really is, told when it has left an array of that length."""
        vehicle = self.vehicle
        assert self.crossed_s is not None
        axles = tuple(
            AxleTruth(
                axle.position_m,
                axle.load_kg,
                axle.wheels[0].load_kg if len(axle.wheels) == 2 else None,
                axle.wheels[1].load_kg if len(axle.wheels) == 2 else None,
                axle.dual,
                axle.group,
            )
            for axle in vehicle.axles
        )
        return VehicleTruth(
            time_s=time_s,
            lane=vehicle.lane,
            vehicle=vehicle.number,
            crossed_s=self.crossed_s,
            last_axle_s=self.last_s,
            kind=vehicle.kind,
            fhwa_class=vehicle.type.fhwa_class,
            speed_mps=(vehicle.wheelbase_m + array_m) / (self.last_s - self.crossed_s),
            first_speed_mps=self.crossed_mps,
            length_m=vehicle.length_m,
            wheelbase_m=vehicle.wheelbase_m,
            gross_kg=vehicle.gross_kg,
            axles=axles,
            stopped=self.stopped,
            reversed=self.reversed,
            tag=vehicle.tag,
            plate=vehicle.plate,
        )
