"""One sensor array: vehicles near it in, 16-bit samples out, block by block. Called by `crossing.py`.

For each vehicle the forces of its wheels (`wheels.py`) meet the responses of the sensors (`contact.py`); the sum goes
through the electronics (`electronics.py`). All is worked out only while a wheel is within reach; an idle block is
baseline and noise. Blocks have a fixed length and place in time, so how samples are asked for makes no difference.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import numpy.typing as npt

from firmware_sim.scenario import Fault, Scenario, Sensor, temperature_c
from firmware_sim.world.calibration import commissioned
from firmware_sim.world.car import Car
from firmware_sim.world.contact import POINTS, Contact
from firmware_sim.world.driving import LaneTraffic
from firmware_sim.world.electronics import Front
from firmware_sim.world.road import profile
from firmware_sim.world.vehicles import Vehicle
from firmware_sim.world.wheels import AHEAD_S, WheelForces

BLOCK_S = 0.2
HISTORY_S = 60.0
_LOOP_SHARE = 0.2  # of a digital loop has to be covered

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Samples = npt.NDArray[np.int16]


class _Guest:
    """A vehicle near the array, with what each of its wheels does to each sensor."""

    __slots__ = ("car", "forces", "responses")

    def __init__(self, car: Car, forces: WheelForces, responses: list[dict[int, tuple[float, Floats]]]) -> None:
        self.car = car
        self.forces = forces
        self.responses = responses  # of each wheel: channel -> (reach in metres, response on [-reach, reach])


class Array:
    """The array of one lane. `render(until_s)` makes whole blocks; `samples` serves them."""

    def __init__(self, scenario: Scenario, lane_index: int, seed: int, traffic: LaneTraffic) -> None:
        lane = scenario.lane[lane_index]
        assert lane.wim is not None
        self._scenario, self._lane, self._seed, self._traffic = scenario, lane, seed, traffic
        electronics, effects = lane.wim.electronics, scenario.effects
        self._origin_m = scenario.point_x_m("wim")
        self._sensors: list[Sensor] = sorted(lane.wim.sensor, key=lambda sensor: sensor.channel)
        self._end_m = max(sensor.x_m for sensor in self._sensors)
        self.channels = len(self._sensors)
        self.rate_hz = lane.wim.sample_rate_hz * (1 + electronics.clock_ppm * 1e-6)
        self.block = max(16, round(BLOCK_S * lane.wim.sample_rate_hz))
        rng = np.random.default_rng([seed, lane_index, 10])
        self._road = profile(scenario.road, -70.0, self._end_m + 40.0, rng)
        self._contact = Contact(self._sensors, lane.width_m, effects, electronics.nonuniformity, rng)
        self._front = Front(self._sensors, electronics, effects, self.rate_hz, seed * 1_000_003 + lane_index, rng)
        self._factor = np.ones(self.channels)
        if lane.wim.calibrated:
            self._factor = commissioned(lane, self._sensors, self._contact, effects, self._road, seed)
        self._guests: dict[int, _Guest] = {}
        self._blocks: deque[Samples] = deque(maxlen=max(2, math.ceil(HISTORY_S / BLOCK_S)))
        self._made = 0  # blocks
        self._digitisers = {d.name for d in scenario.device if d.lane == lane.id and d.point == "wim"}
        self._faults: list[Fault] = [f for f in scenario.fault if f.device in self._digitisers]

    # --- what is asked for

    def add_fault(self, fault: Fault) -> None:
        """Break a sensor of this array, if the fault is one of its digitiser, in the blocks still to be made."""
        if fault.device in self._digitisers:
            self._faults.append(fault)

    def made_s(self) -> float:
        """World time up to which blocks exist."""
        return self._made * self.block / self.rate_hz

    def horizon_s(self, until_s: float) -> float:
        """How far the traffic must have run before `render(until_s)`: a little past the block that holds it."""
        return (math.floor(until_s * self.rate_hz / self.block) + 1) * self.block / self.rate_hz + AHEAD_S

    def render(self, until_s: float) -> None:
        """Make all blocks up to the one that holds `until_s`; the traffic must have run to `horizon_s(until_s)`."""
        while self.made_s() <= until_s:
            self._blocks.append(self._make(self._made))
            self._made += 1
        self._traffic.release_tracks(self.made_s())

    def samples(self, first: int, count: int) -> Samples:
        """Scans first .. first + count - 1; ValueError for those not made yet or not kept any more."""
        oldest = (self._made - len(self._blocks)) * self.block
        if first < oldest or first + count > self._made * self.block:
            raise ValueError(
                f"lane {self._lane.id}: scans {first}..{first + count - 1} asked for, "
                f"{oldest}..{self._made * self.block - 1} are kept"
            )
        out = np.empty((count, self.channels), dtype=np.int16)
        done = 0
        while done < count:
            number, inside = divmod(first + done, self.block)
            part = self._blocks[number - (self._made - len(self._blocks))][inside : inside + count - done]
            out[done : done + len(part)] = part
            done += len(part)
        return out

    # --- one block

    def _make(self, number: int) -> Samples:
        times = (number * self.block + np.arange(self.block)) / self.rate_hz
        signal = np.zeros((self.block, self.channels))
        active = np.zeros(self.channels, dtype=np.bool_)
        scale = self._counts_per_n(float(times[0]))
        near = self._traffic.near_array
        for gone in self._guests.keys() - {car.vehicle.number for car in near}:
            del self._guests[gone]
        for car in near:
            if car.tracked_s >= times[-1]:
                continue
            guest = self._guests.get(car.vehicle.number)
            if guest is None:
                guest = self._guests[car.vehicle.number] = self._guest(car)
            guest.forces.keep_up(float(times[0]), float(times[-1]))
            front = car.motion.at(times)[0] - self._origin_m
            low, high = min(float(front[0]), float(front[-1])), max(float(front[0]), float(front[-1]))
            if high < -3.0 or low - car.vehicle.length_m > self._end_m + 3.0:
                continue
            present = times >= car.tracked_s
            self._add_wheels(guest, times, front, present, scale, signal, active)
            self._add_body(car.vehicle, front, present, signal, active)
        return self._front.digitise(number, times, signal, active, self._faults)

    def _guest(self, car: Car) -> _Guest:
        rng = np.random.default_rng([self._seed, 6, car.vehicle.number])
        forces = WheelForces(car, self._lane, self._scenario.effects, self._origin_m, self._road, rng)
        lateral_m = car.vehicle.lateral_m
        responses = [self._contact.responses(wheel, lateral_m) for axle in car.vehicle.axles for wheel in axle.wheels]
        return _Guest(car, forces, responses)

    def _counts_per_n(self, time_s: float) -> Floats:
        """True sensitivity of each sensor now."""
        now_c = temperature_c(self._scenario, time_s)
        nominal = [
            (1 + s.gain_error) * (1 + s.temp_coeff_per_c * (now_c - s.reference_temperature_c)) / s.gain_n
            for s in self._sensors
        ]
        return np.array(nominal) * self._factor

    def _add_wheels(
        self,
        guest: _Guest,
        times: Floats,
        front: Floats,
        present: Flags,
        scale: Floats,
        signal: Floats,
        active: Flags,
    ) -> None:
        vehicle = guest.car.vehicle
        wheel_number = -1
        for axle in vehicle.axles:
            place = front - vehicle.front_m - axle.position_m
            low, high = float(place.min()), float(place.max())
            for _ in axle.wheels:
                wheel_number += 1
                force_n = None
                for channel, (reach, response) in guest.responses[wheel_number].items():
                    x_m = self._sensors[channel].x_m
                    if high < x_m - reach or low > x_m + reach:
                        continue
                    distance = place - x_m
                    rows = np.flatnonzero((np.abs(distance) < reach) & present)
                    if rows.size == 0:
                        continue
                    at = (distance[rows] + reach) * ((POINTS - 1) / (2 * reach))
                    whole = np.minimum(at.astype(np.int64), POINTS - 2)
                    share = response[whole] + (at - whole) * (response[whole + 1] - response[whole])
                    if force_n is None:
                        force_n = guest.forces.at(wheel_number, times)
                    signal[rows, channel] += force_n[rows] * share * scale[channel]
                    active[channel] = True

    def _add_body(self, vehicle: Vehicle, front: Floats, present: Flags, signal: Floats, active: Flags) -> None:
        """What a vehicle's body does to loops; a digital one has the value 0 or 1."""
        for channel, sensor in enumerate(self._sensors):
            if sensor.type != "loop":
                continue
            start, end = sensor.x_m - sensor.width_m / 2, sensor.x_m + sensor.width_m / 2
            over = np.minimum(front, end) - np.maximum(front - vehicle.length_m, start)
            covered = np.where(present, np.clip(over / sensor.width_m, 0.0, None), 0.0)
            if not covered.any():
                continue
            if sensor.loop_counts is None:
                np.maximum(signal[:, channel], covered > _LOOP_SHARE, out=signal[:, channel])
            else:
                signal[:, channel] += sensor.loop_counts * vehicle.type.steel_height * covered
                active[channel] = True
