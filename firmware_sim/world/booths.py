"""The booths at the end of a lane: who is served where, since when and for how long. Called by `driving.py`.

A lane with one booth leads straight to it. A lane with several opens out `FAN_M` before them: the first vehicle there
takes the first open booth that is free. An inspection that has begun is finished, also when the booth closes.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from firmware_sim.scenario import Lane, Program
from firmware_sim.world.car import Car
from firmware_sim.world.events import BoothChanged, PointPassed, WaitTruth, WorldEvent

FAN_M = 22.0
_NEAR_M = 0.6  # a vehicle that stands nearer than this to the booth has arrived


class _State:
    def __init__(self, open_: bool, program: Program) -> None:
        self.open = open_
        self.program: Program = program
        self.car: Car | None = None
        self.release_s = 0.0


class Booths:
    """The booths of one lane at `x_m`; `events` is where what happens is told."""

    def __init__(self, lane: Lane, x_m: float, first_point: str, seed: int, events: list[WorldEvent]) -> None:
        self._lane, self.x_m, self._first_point, self._seed = lane, x_m, first_point, seed
        self._states = [_State(booth.open, booth.program or lane.program) for booth in lane.booth]
        changes = [(change.at_s, i, change) for i, booth in enumerate(lane.booth) for change in booth.change]
        self._changes = deque(sorted(changes, key=lambda item: item[:2]))
        for i, state in enumerate(self._states):
            events.append(BoothChanged(0.0, lane.id, i, state.open, state.program))

    def __len__(self) -> int:
        return len(self._states)

    def advance(self, now_s: float, cars: list[Car], events: list[WorldEvent]) -> None:
        """Open and close by the timeline, and send the vehicles at the fan to free booths."""
        while self._changes and self._changes[0][0] <= now_s:
            at_s, i, change = self._changes.popleft()
            state = self._states[i]
            state.open = change.open
            state.program = change.program or state.program
            events.append(BoothChanged(at_s, self._lane.id, i, state.open, state.program))
        if len(self._states) > 1:
            self._assign(cars)

    def stop_x_m(self, car: Car) -> float:
        """Where a vehicle has to stop for its inspection; infinity when it is over, or there is none."""
        if not self._states or car.released:
            return math.inf
        return self.x_m if car.booth is not None else self.x_m - FAN_M

    def apart(self, ahead: Car, car: Car) -> bool:
        """Whether `ahead` is in another branch of the fan and out of the way."""
        return ahead.booth is not None and ahead.booth != car.booth and ahead.rear_m > self.x_m - FAN_M

    def serve(self, car: Car, now_s: float, tick_s: float, events: list[WorldEvent]) -> None:
        """A vehicle stands: begin its inspection if it stands at its booth, end it when its time is over."""
        if car.booth is None or car.released:
            return
        state = self._states[car.booth]
        if car.arrived:
            if now_s >= state.release_s:
                car.released = True
                state.car = None
            return
        if self.x_m - car.x > _NEAR_M or not state.open or (state.car is not None and state.car is not car):
            return
        arrived_s = now_s - tick_s if car.stands_since_s is None else max(car.stands_since_s, now_s - tick_s)
        car.arrived = True
        state.car = car
        state.release_s = arrived_s + self._service_s(car)
        first, wim = car.passed.get(self._first_point), car.passed.get("wim")
        events.append(PointPassed(arrived_s, self._lane.id, "booth", car.vehicle.number))
        events.append(
            WaitTruth(
                time_s=arrived_s,
                lane=self._lane.id,
                vehicle=car.vehicle.number,
                program=state.program,
                wait_s=None if first is None else arrived_s - first,
                wim_to_booth_s=None if wim is None else arrived_s - wim,
            )
        )

    def _assign(self, cars: list[Car]) -> None:
        for car in cars:
            if car.booth is not None:
                continue
            if car.x < self.x_m - FAN_M - 15.0:
                return
            for i, state in enumerate(self._states):
                if state.open and state.car is None:
                    car.booth, state.car = i, car
                    break
            else:
                return

    def _service_s(self, car: Car) -> float:
        assert car.booth is not None
        plan = self._lane.booth[car.booth]
        rng = np.random.default_rng([self._seed, 5, car.vehicle.number])
        if rng.random() < plan.long_share:
            return float(rng.uniform(*plan.long_s))
        spread = math.sqrt(math.log1p(plan.service_cv**2))
        return max(0.5, float(rng.lognormal(math.log(plan.service_s) - spread**2 / 2, spread)))
