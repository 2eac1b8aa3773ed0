"""One lane in motion: arrivals in, the motion of every vehicle and what it passes out. Called by `crossing.py`.

Drivers follow the vehicle ahead with a safe speed (after Krauss: the speed from which braking still ends behind the
leader), limited in acceleration and jerk; they stand with gaps of their own, start after a delay, wait until moving up
is worth while, roll back at some starts, and stop where the scenario says so. Time advances in ticks of fixed length;
whatever happens inside a tick (a stand, a front passing a loop) gets its exact time.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable

import numpy as np

from firmware_sim.scenario import Scenario
from firmware_sim.world.booths import Booths
from firmware_sim.world.car import Car, Mark
from firmware_sim.world.events import PointPassed, WorldEvent
from firmware_sim.world.kinematics import first_zero_s, safe_speed_mps, time_at_s
from firmware_sim.world.traffic import Traffic
from firmware_sim.world.vehicles import Vehicle

TICK_S = 0.1
_SPAWN_M = 80.0  # before the first point
_TRACK_BEFORE_M = 4.0  # of the array: from here on the motion is kept, ...
_TRACK_BEFORE_S = 2.2  # ... and so long before, so that wheels have settled on the road
_TRACK_AFTER_M = 3.0
_REACTION_S = 0.8  # behind a vehicle
_AIM_S = 0.3  # before a place that is known beforehand


class LaneTraffic:
    """The traffic of one lane. `run(until_s)` appends to `events`; `near_array` holds what wheels may feel."""

    def __init__(
        self,
        scenario: Scenario,
        lane_index: int,
        seed: int,
        marks_of: Callable[[Vehicle], list[Mark]],
        on_mark: Callable[[float, Vehicle, str, object, bool], list[WorldEvent]],
    ) -> None:
        """`marks_of` gives further places (front end) for `on_mark(time, vehicle, kind, what, forwards)`."""
        self.lane = scenario.lane[lane_index]
        self._scenario = scenario
        self._seed = seed
        self._index = lane_index
        self._marks_of = marks_of
        self._on_mark = on_mark
        self._traffic = Traffic(scenario, lane_index, seed)
        self._tick = 0
        self.time_s = 0.0
        self.events: list[WorldEvent] = []
        self.cars: list[Car] = []
        self.near_array: list[Car] = []
        self._outside: deque[Vehicle] = deque()  # vehicles for which there is no room yet
        self._exit_x_m = scenario.point_x_m("exit")
        self._first_x_m = scenario.point[0].x_m
        self._spawn_x_m = self._first_x_m - _SPAWN_M
        self._wim_x_m: float | None = None
        self._array_m = 0.0
        if self.lane.wim is not None:
            self._wim_x_m = scenario.point_x_m("wim")
            self._array_m = max(sensor.x_m for sensor in self.lane.wim.sensor)
            self._strips = sorted({s.x_m for s in self.lane.wim.sensor if s.type != "loop"})
        first_point = scenario.point[0].name
        self._booths = Booths(self.lane, scenario.point_x_m("booth"), first_point, seed, self.events)
        self._place_initial()

    def run(self, until_s: float) -> None:
        """Advance in whole ticks until `time_s` is at least `until_s`."""
        while self.time_s < until_s:
            self._one_tick()
            self._tick += 1
            self.time_s = self._tick * TICK_S

    # --- vehicles come and go

    def _place_initial(self) -> None:
        flow = self.lane.flow
        x = self._first_x_m - 5.0 if flow.initial_head_x_m is None else flow.initial_head_x_m
        if flow.first is not None:
            self._new_car(self._traffic.standing(flow.first), flow.first.x_m, flow.first.speed_mps, 0.0)
        for _ in range(flow.initial - (flow.first is not None)):
            vehicle = self._traffic.standing()
            car = self._new_car(vehicle, x, 0.0, 0.0)
            car.hold_until_s = flow.initial_hold_s
            x -= vehicle.length_m + vehicle.gap_m
            self._spawn_x_m = min(self._spawn_x_m, x - 40.0)

    def _new_car(self, vehicle: Vehicle, x_m: float, v_mps: float, time_s: float) -> Car:
        rng = np.random.default_rng([self._seed, 4, vehicle.number])
        car = Car(vehicle, x_m, v_mps, rng)
        if len(self._booths) == 1:
            car.booth = 0
        marks: list[Mark] = list(self._marks_of(vehicle))
        for point in self._scenario.point:
            if point.name != "booth" or not len(self._booths):
                marks.append((point.x_m, "point", point.name))
        flow = self.lane.flow
        if self._wim_x_m is not None:
            origin = self._wim_x_m + vehicle.front_m
            marks.append((origin, "cross", None))
            marks.append((origin + vehicle.wheelbase_m + self._array_m, "last", None))
            marks.append((origin + vehicle.wheelbase_m + self._array_m + 1.0, "done", None))
            if rng.random() < flow.stops.probability:
                axle = vehicle.axles[int(rng.integers(len(vehicle.axles)))].position_m
                strip = self._strips[int(rng.integers(len(self._strips)))]
                car.stop_x_m = origin + axle + strip + float(rng.uniform(-0.2, 0.2))
        if rng.random() < flow.leave_share:
            middle = 0.5 * (self._first_x_m + (self._booths.x_m if self._wim_x_m is None else self._wim_x_m - 15.0))
            marks.append((middle, "leave", None))
        marks.append((self._exit_x_m + vehicle.length_m + 10.0, "gone", None))
        marks.sort(key=lambda mark: mark[0])
        car.marks = marks
        car.places = [mark[0] for mark in marks]
        car.next_mark = bisect_right(car.places, x_m)
        for _, kind, what in marks[: car.next_mark]:
            if kind in ("loop_on", "loop_off"):
                self.events += self._on_mark(time_s, vehicle, kind, what, True)
        if x_m > (self._wim_x_m or 0.0) + vehicle.length_m + self._array_m:
            car.done = True
        self.cars.append(car)
        self._track(car, time_s)
        return car

    def _arrivals(self, now_s: float) -> None:
        while self._traffic.next_s <= now_s:
            self._outside.append(self._traffic.take())
        while self._outside:
            vehicle = self._outside[0]
            room = math.inf
            speed = vehicle.wish_mps
            if self.cars:
                last = self.cars[-1]
                room = last.rear_m - self._spawn_x_m - vehicle.gap_m
                speed = min(speed, safe_speed_mps(room, last.v, vehicle.type.brake_mps2, _REACTION_S))
            if room < 1.0:
                return
            self._outside.popleft()
            self._new_car(vehicle, self._spawn_x_m, max(speed, 0.0), now_s)

    def _track(self, car: Car, now_s: float) -> None:
        """Begin to keep the motion of a vehicle that comes near the array."""
        if self._wim_x_m is None or car.tracked or car.done:
            return
        first_axle = car.x - car.vehicle.front_m - self._wim_x_m
        if first_axle > -_TRACK_BEFORE_M - _TRACK_BEFORE_S * car.v:
            car.tracked = True
            car.tracked_s = now_s
            car.motion.add(now_s, car.x, car.v, car.a, 0.0)
            self.near_array.append(car)

    # --- one tick

    def _one_tick(self) -> None:
        now_s = self.time_s
        self._arrivals(now_s)
        self._booths.advance(now_s, self.cars, self.events)
        gone = False
        for i, car in enumerate(self.cars):
            self._drive(car, self._leader(i, car), now_s)
            gone = gone or car.leaves
        if gone:
            self.cars = [car for car in self.cars if not car.leaves]

    def _leader(self, i: int, car: Car) -> Car | None:
        if i == 0:
            return None
        if len(self._booths) <= 1:
            return self.cars[i - 1]
        return next((other for other in reversed(self.cars[:i]) if not self._booths.apart(other, car)), None)

    def _stop_ahead(self, car: Car) -> float:
        """Distance to the next place where the vehicle has to stop for itself; infinity if there is none."""
        stop_m = self._booths.stop_x_m(car)
        return (stop_m if car.stop_x_m is None else min(stop_m, car.stop_x_m)) - car.x

    def _drive(self, car: Car, leader: Car | None, now_s: float) -> None:
        if car.v == 0.0 and not car.roll:
            self._stand(car, leader, now_s)
            return
        vehicle = car.vehicle
        if car.roll:
            ticks, acceleration = car.roll[0]
            car.a = acceleration
            self._move(car, now_s, TICK_S, 0.0, rolling=True)
            if ticks == 1:
                car.roll.popleft()
                if not car.roll:
                    car.v = car.a = 0.0
                    car.start_at_s = now_s
                    if car.tracked:
                        car.motion.add(now_s + TICK_S, car.x, 0.0, 0.0, 0.0)
            else:
                car.roll[0] = (ticks - 1, acceleration)
            return
        brake = vehicle.type.brake_mps2
        wish = self._wish(car, now_s)
        urgent = False
        if leader is not None:
            gap = leader.rear_m - car.x - vehicle.gap_m
            wish = min(wish, safe_speed_mps(gap, max(leader.v, 0.0), brake, _REACTION_S))
            urgent = gap < 0.3 * car.v
        ahead = self._stop_ahead(car)
        if ahead < 60.0:
            wish = min(wish, safe_speed_mps(ahead - _AIM_S * car.v, 0.0, brake, _AIM_S))
            urgent = urgent or ahead < 0.3 * car.v
        if wish < 0.12 and car.v < 0.15:
            target = -0.35
        else:
            hardest = 4.5 if urgent else 1.4 * brake
            target = min(max((wish - car.v) / 0.45, -hardest), vehicle.type.accel_mps2)
        change = target - car.a
        limit = (12.0 if urgent else 3.0) * TICK_S
        change = min(max(change, -limit), (12.0 if urgent else 1.8) * TICK_S)
        self._move(car, now_s, TICK_S, change / TICK_S)

    def _wish(self, car: Car, now_s: float) -> float:
        wander = self.lane.flow.wander
        if wander is None:
            return car.vehicle.wish_mps
        if now_s >= car.target_until_s:
            car.target_until_s = now_s + wander.every_s * float(car.rng.uniform(0.5, 1.5))
            car.target_mps = float(car.rng.uniform(wander.low_mps, wander.high_mps))
        return car.target_mps

    # --- standing

    def _stand(self, car: Car, leader: Car | None, now_s: float) -> None:
        if car.stands_since_s is None:
            car.stands_since_s = now_s
        ahead = self._stop_ahead(car)
        if car.stop_x_m is not None and car.stop_x_m - car.x < 0.4:
            car.stop_x_m = None
            car.hold_until_s = now_s + float(car.rng.uniform(*self.lane.flow.stops.duration_s))
            if car.rng.random() < self.lane.flow.stops.roll_back_probability:
                self._plan_roll_back(car, 0.5)
        self._booths.serve(car, now_s, TICK_S, self.events)
        if car.hold_until_s > now_s or (car.arrived and not car.released):
            return
        gap = math.inf if leader is None else leader.rear_m - car.x - car.vehicle.gap_m
        if ahead < 0.3 or gap < 0.2:
            car.start_at_s = None
            return
        if car.start_at_s is None:
            if gap > car.vehicle.move_up_m or (leader is not None and leader.v > 1.0 and gap > 0.5):
                car.start_at_s = now_s + car.vehicle.start_delay_s * float(car.rng.uniform(0.7, 1.4))
            return
        if now_s < car.start_at_s:
            return
        car.start_at_s = None
        if car.rng.random() < self.lane.flow.roll_back_probability:
            self._plan_roll_back(car, float(car.rng.uniform(0.05, 0.45)))
            if car.roll:
                return
        car.stands_since_s = None
        self._move(car, now_s, TICK_S, 1.2)

    def _plan_roll_back(self, car: Car, most_m: float) -> None:
        """Roll back by up to `most_m`, as far as the vehicle behind leaves room."""
        place = self.cars.index(car)
        if place + 1 < len(self.cars):
            most_m = min(most_m, car.rear_m - self.cars[place + 1].x - 0.35)
        if most_m < 0.05:
            return
        ticks = max(3, round(math.sqrt(most_m / 0.45) / TICK_S))
        acceleration = most_m / (ticks * TICK_S) ** 2
        car.roll = deque([(ticks, -acceleration), (ticks, acceleration)])

    # --- moving

    def _move(self, car: Car, now_s: float, dt: float, jerk: float, *, rolling: bool = False) -> None:
        """Advance by a piece of constant jerk, cut short where the vehicle comes to a stand."""
        v, a = car.v, car.a
        stand_s = None if rolling else first_zero_s(v, a, jerk, dt)
        moving_s = dt if stand_s is None else stand_s
        if car.tracked:
            car.motion.add(now_s, car.x, v, a, jerk)
        before = car.x
        after = before + (v + (0.5 * a + jerk * moving_s / 6) * moving_s) * moving_s
        if after != before:
            self._passings(car, now_s, before, v, a, jerk, moving_s, after)
        car.x = after
        if stand_s is None:
            car.v = v + (a + 0.5 * jerk * dt) * dt
            car.a = a if rolling else a + jerk * dt
            if rolling:
                self._note_on_array(car, reverse=car.v < 0)
        else:
            car.v = car.a = 0.0
            car.stands_since_s = now_s + stand_s
            self._note_on_array(car, stand_s=now_s + stand_s)
            if car.tracked:
                car.motion.add(now_s + stand_s, after, 0.0, 0.0, 0.0)
        self._track(car, now_s + dt)

    def _note_on_array(self, car: Car, *, stand_s: float | None = None, reverse: bool = False) -> None:
        if self._wim_x_m is None or car.done:
            return
        first = car.x - car.vehicle.front_m - self._wim_x_m
        if first < -0.5 or first - car.vehicle.wheelbase_m > self._array_m + 0.5:
            return
        if reverse:
            car.reversed = True
        if stand_s is not None:
            car.stands_s.append(stand_s)
            on_strip = any(
                abs(first - axle.position_m - strip) < 0.16 for axle in car.vehicle.axles for strip in self._strips
            )
            car.stopped = car.stopped or on_strip

    def _passings(
        self, car: Car, now_s: float, x: float, v: float, a: float, jerk: float, span_s: float, after: float
    ) -> None:
        if after > x:
            while car.next_mark < len(car.places) and car.places[car.next_mark] <= after:
                place, kind, what = car.marks[car.next_mark]
                car.next_mark += 1
                t = time_at_s(place - x, v, a, jerk, span_s)
                self._pass(car, now_s + t, v + (a + 0.5 * jerk * t) * t, kind, what, True)
        else:
            while car.next_mark > 0 and car.places[car.next_mark - 1] > after:
                place, kind, what = car.marks[car.next_mark - 1]
                car.next_mark -= 1
                t = time_at_s(place - x, v, a, jerk, span_s)
                self._pass(car, now_s + t, v, kind, what, False)

    def _pass(self, car: Car, time_s: float, v: float, kind: str, what: object, forwards: bool) -> None:
        vehicle = car.vehicle
        if kind == "point":
            name = str(what)
            if forwards and name not in car.passed:
                car.passed[name] = time_s
                self.events.append(PointPassed(time_s, self.lane.id, name, vehicle.number))
        elif kind == "cross":
            if forwards and car.crossed_s is None:
                car.crossed_s, car.crossed_mps = time_s, v
        elif kind == "last":
            car.last_s = time_s if forwards else 0.0
        elif kind == "done":
            if forwards and not car.done:
                car.done = True
                if car.crossed_s is not None:
                    self.events.append(car.truth(time_s, self._array_m))
        elif kind in ("gone", "leave"):
            car.leaves = forwards
        else:
            self.events += self._on_mark(time_s, vehicle, kind, what, forwards)

    def unfinished(self, before_s: float) -> int:
        """Vehicles that passed the array before that time, and whose truth is not out because they might roll back."""
        return sum(1 for car in self.cars if 0 < car.last_s < before_s and not car.done)

    def release_tracks(self, before_s: float) -> None:
        """Forget motion that nobody needs any more: `before_s` is where samples have been made up to."""
        still = []
        for car in self.near_array:
            if self._wim_x_m is not None and car.rear_m < self._wim_x_m + self._array_m + _TRACK_AFTER_M:
                still.append(car)
            elif car.motion.left_s is None:
                car.motion.left_s = self.time_s
                still.append(car)
            elif car.motion.left_s > before_s:
                still.append(car)
            else:
                car.tracked = False
                continue
            car.motion.forget(before_s)
        self.near_array = still
