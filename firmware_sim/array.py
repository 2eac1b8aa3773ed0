"""One sensor array: vehicles near it in, 16-bit samples out, block by block. Called by `world.py`.

A strip sees the part of each tyre's pressure that lies on it: for each wheel and sensor a table of the response against
the wheel's distance is made once, from the shape of the footprint, the place of the tyre across the lane and the
strip's sensitivity along its length. Then come amplifier and digitiser. All is worked out only while a wheel is within
reach; an idle block is baseline and noise. Noise and spikes are seeded by block, so how samples are asked for makes no
difference.
"""

from __future__ import annotations

import math
from collections import deque
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from firmware_sim.driving import Car, LaneTraffic
from firmware_sim.road import profile
from firmware_sim.scenario import Effects, Fault, Scenario, Sensor
from firmware_sim.vehicles import Patch, Vehicle, Wheel
from firmware_sim.wheels import AHEAD_S, WheelForces

BLOCK_S = 0.2
HISTORY_S = 60.0
_TABLE = 801
_BOW_M = 0.5  # reach of the road's own deflection
_BOW_SHARE = 0.012  # of the largest response
_SPIKE_S = 0.004

Floats = npt.NDArray[np.float64]
Samples = npt.NDArray[np.int16]


class _Guest:
    """A vehicle near the array, with what each of its wheels does to each sensor."""

    __slots__ = ("car", "forces", "tables")

    def __init__(self, car: Car, forces: WheelForces, tables: list[dict[int, tuple[float, Floats]]]) -> None:
        self.car = car
        self.forces = forces
        self.tables = tables  # for each wheel: channel -> (reach in metres, response on [-reach, reach])


class Array:
    """The array of one lane. `render(until_s)` makes whole blocks; `samples` serves them."""

    def __init__(self, scenario: Scenario, lane_index: int, seed: int, traffic: LaneTraffic) -> None:
        lane = scenario.lane[lane_index]
        assert lane.wim is not None
        self._scenario, self._lane, self._wim, self._seed, self._index = scenario, lane, lane.wim, seed, lane_index
        self._traffic = traffic
        self._effects: Effects = scenario.effects
        self._origin_m = scenario.point_x_m("wim")
        self._sensors: list[Sensor] = sorted(lane.wim.sensor, key=lambda sensor: sensor.channel)
        self.channels = len(self._sensors)
        self.rate_hz = lane.wim.sample_rate_hz * (1 + lane.wim.electronics.clock_ppm * 1e-6)
        self.block = max(16, round(BLOCK_S * lane.wim.sample_rate_hz))
        rng = np.random.default_rng([seed, lane_index, 10])
        length_m = max(sensor.x_m for sensor in self._sensors)
        self._road = profile(scenario.road, -70.0, length_m + 40.0, rng)
        self._along = [self._nonuniformity(rng) for _ in self._sensors]
        self._drift = self._drift_waves(rng)
        self._hum_phase = rng.uniform(0, 2 * math.pi, self.channels)
        self._hum_size = rng.uniform(0.5, 1.0, self.channels)
        self._weighs = np.array([sensor.type != "loop" for sensor in self._sensors])
        self._digital = np.array([s.type == "loop" and s.loop_counts is None for s in self._sensors])
        self._guests: dict[int, _Guest] = {}
        self._leak = np.zeros(self.channels)  # state of each high-pass, in counts
        self._taps = self._low_pass_taps()
        self._tail = np.zeros((len(self._taps) - 1, self.channels)) if self._taps is not None else None
        self._tail_live = False
        self._spikes: list[tuple[float, int, float]] = []
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
        active = self._add_vehicles(times, signal)
        electronics, effects = self._wim.electronics, self._effects
        if active.any() and electronics.crosstalk:
            self._cross(signal)
        self._high_pass(signal, active)
        if self._taps is not None:
            self._low_pass(signal, active)
        rng = np.random.Generator(np.random.Philox(key=self._seed * 1_000_003 + self._index, counter=number << 64))
        out = np.zeros((self.block, self.channels), dtype=np.float32)
        if effects.noise and electronics.noise_counts > 0:
            rng.standard_normal(out=out, dtype=np.float32)
            out *= self._noise_sizes(times[0])
        if signal.any():
            out += signal.astype(np.float32)
        ends = self._baseline(np.array([times[0], times[-1]]))
        ramp = np.linspace(0, 1, self.block, dtype=np.float32)[:, None]
        out += ends[0].astype(np.float32) + ramp * (ends[1] - ends[0]).astype(np.float32)
        if effects.hum and electronics.hum_counts > 0:
            angle = 2 * math.pi * electronics.mains_hz * times
            shape = np.sin(angle) + 0.2 * np.sin(3 * angle + 0.7)
            quarter = np.cos(angle)
            size = electronics.hum_counts * self._hum_size * self._weighs
            out += (
                np.outer(shape, size * np.cos(self._hum_phase)) + np.outer(quarter, size * np.sin(self._hum_phase))
            ).astype(np.float32)
        if effects.spikes and electronics.spikes_per_h > 0:
            self._add_spikes(out, times, rng)
        if self._digital.any():
            out[:, self._digital] = signal[:, self._digital]
        self._break(out, times)
        limit = min(electronics.full_scale_counts, 32767.0)
        np.rint(out, out=out)
        np.clip(out, -limit - 1 if limit == 32767.0 else -limit, limit, out=out)
        return out.astype(np.int16)

    def _add_vehicles(self, times: Floats, signal: Floats) -> npt.NDArray[np.bool_]:
        """Add what wheels and bodies do to the sensors; tells which channels were touched."""
        active = np.zeros(self.channels, dtype=np.bool_)
        near = self._traffic.near_array
        for gone in [number for number in self._guests if all(car.vehicle.number != number for car in near)]:
            del self._guests[gone]
        temperature = temperature_c(self._scenario, float(times[0]))
        for car in near:
            if car.tracked_s >= times[-1]:
                continue
            guest = self._guests.get(car.vehicle.number)
            if guest is None:
                guest = self._guests[car.vehicle.number] = self._guest(car)
            guest.forces.keep_up(float(times[0]), float(times[-1]))
            x, _, _ = car.motion.at(times)
            low = min(float(x[0]), float(x[-1])) - self._origin_m - 0.6
            high = max(float(x[0]), float(x[-1])) - self._origin_m + 0.6
            if high < -2.5 or low - car.vehicle.length_m > self._sensors_end_m() + 2.0:
                continue
            present = times >= car.tracked_s
            self._add_wheels(guest, times, x - self._origin_m, present, temperature, signal, active)
            self._add_body(car.vehicle, x - self._origin_m, present, signal, active)
        if self._digital.any():
            np.minimum(signal, 1.0, out=signal, where=self._digital)
        return active

    def _sensors_end_m(self) -> float:
        return max(sensor.x_m for sensor in self._sensors)

    def _add_wheels(
        self,
        guest: _Guest,
        times: Floats,
        front: Floats,
        present: npt.NDArray[np.bool_],
        temperature_c: float,
        signal: Floats,
        active: npt.NDArray[np.bool_],
    ) -> None:
        vehicle = guest.car.vehicle
        wheel_number = -1
        for axle in vehicle.axles:
            place = front - vehicle.front_m - axle.position_m
            low, high = float(place.min()), float(place.max())
            for _ in axle.wheels:
                wheel_number += 1
                force_n = None
                for channel, (reach, table) in guest.tables[wheel_number].items():
                    sensor = self._sensors[channel]
                    if high < sensor.x_m - reach or low > sensor.x_m + reach:
                        continue
                    distance = place - sensor.x_m
                    rows = np.flatnonzero((np.abs(distance) < reach) & present)
                    if rows.size == 0:
                        continue
                    at = (distance[rows] + reach) * ((_TABLE - 1) / (2 * reach))
                    whole = at.astype(np.int64)
                    np.minimum(whole, _TABLE - 2, out=whole)
                    response = table[whole] + (at - whole) * (table[whole + 1] - table[whole])
                    warm = 1 + sensor.temp_coeff_per_c * (temperature_c - sensor.reference_temperature_c)
                    scale = (1 + sensor.gain_error) * warm / sensor.gain_n
                    if force_n is None:
                        force_n = guest.forces.at(wheel_number, times)
                    signal[rows, channel] += force_n[rows] * response * scale
                    active[channel] = True

    def _add_body(
        self,
        vehicle: Vehicle,
        front: Floats,
        present: npt.NDArray[np.bool_],
        signal: Floats,
        active: npt.NDArray[np.bool_],
    ) -> None:
        for channel, sensor in enumerate(self._sensors):
            if sensor.type != "loop":
                continue
            start, end = sensor.x_m - sensor.width_m / 2, sensor.x_m + sensor.width_m / 2
            covered = (
                np.clip(np.minimum(front, end) - np.maximum(front - vehicle.length_m, start), 0, None) / sensor.width_m
            )
            if not np.any(covered > 0):
                continue
            if sensor.loop_counts is None:
                signal[:, channel] += (covered > 0.2) & present
            else:
                signal[:, channel] += sensor.loop_counts * vehicle.type.steel_height * covered * present
                active[channel] = True

    # --- what a wheel does to a sensor

    def _guest(self, car: Car) -> _Guest:
        rng = np.random.default_rng([self._seed, 6, car.vehicle.number])
        forces = WheelForces(car, self._lane, self._effects, self._origin_m, self._road, rng)
        tables: list[dict[int, tuple[float, Floats]]] = []
        middle = self._lane.width_m / 2 + car.vehicle.lateral_m
        for axle in car.vehicle.axles:
            for wheel in axle.wheels:
                tables.append(self._tables(wheel, middle))
        return _Guest(car, forces, tables)

    def _tables(self, wheel: Wheel, middle_m: float) -> dict[int, tuple[float, Floats]]:
        """Response of each weighing sensor to 1 N of this wheel against its distance from the sensor's centre."""
        tables: dict[int, tuple[float, Floats]] = {}
        for channel, sensor in enumerate(self._sensors):
            if sensor.type == "loop":
                continue
            reach = sensor.width_m / 2 + max(patch.length_m for patch in wheel.patches) / 2 + 0.06
            if self._effects.bow_wave:
                reach += _BOW_M
            reach += abs(math.tan(math.radians(sensor.angle_deg))) * (sensor.y_m[1] - sensor.y_m[0]) / 2
            s = np.linspace(-reach, reach, _TABLE)
            total = np.zeros(_TABLE)
            for patch in wheel.patches:
                y = middle_m + patch.y_m
                caught = self._caught(channel, sensor, y - patch.width_m / 2, y + patch.width_m / 2)
                if caught > 0:
                    skewed = math.tan(math.radians(sensor.angle_deg)) * (y - (sensor.y_m[0] + sensor.y_m[1]) / 2)
                    total += patch.share * caught * self._pressed(patch, sensor, s - skewed)
            if np.any(total):
                tables[channel] = (reach, total)
        return tables

    def _pressed(self, patch: Patch, sensor: Sensor, s: Floats) -> Floats:
        """Share of a tyre's load that lies on the sensor; its integral over s is the sensor's width."""
        half = sensor.width_m / 2
        share = _pressure_before(patch, s + half) - _pressure_before(patch, s - half)
        if self._effects.bow_wave:
            span = patch.length_m / 2 + half
            outside = np.clip(np.abs(s) - span, 0, None)
            dip = np.where(np.abs(s) > span, outside / 0.1 * np.exp(1 - outside / 0.1), 0.0)
            share = share - _BOW_SHARE * float(share.max()) * dip * np.where(s < 0, 1.0, 0.7)
        area = float(share.sum()) * float(s[1] - s[0])
        return share * (sensor.width_m / area)

    def _caught(self, channel: int, sensor: Sensor, left: float, right: float) -> float:
        """Part of a tyre's width that is on the sensor, weighted with the sensor's sensitivity there."""
        low, high = max(left, sensor.y_m[0]), min(right, sensor.y_m[1])
        if high <= low:
            return 0.0
        part = (high - low) / (right - left)
        return part * float(np.mean(self._along[channel](np.linspace(low, high, 9))))

    def _nonuniformity(self, rng: np.random.Generator) -> _Along:
        size = self._wim.electronics.nonuniformity if self._effects.nonuniformity else 0.0
        return _Along(size * rng.standard_normal(5) * math.sqrt(2 / 5), rng.uniform(0, 2 * math.pi, 5))

    # --- electronics

    def _high_pass(self, signal: Floats, active: npt.NDArray[np.bool_]) -> None:
        """First-order coupling of charge amplifiers: subtract what has leaked into the slow state."""
        for channel, sensor in enumerate(self._sensors):
            tau = sensor.coupling_tau_s
            if tau <= 0 or not (active[channel] or self._leak[channel]):
                continue
            rho = math.exp(-1 / (tau * self.rate_hz))
            column = signal[:, channel]
            rho_n = rho ** np.arange(1, self.block + 1)
            leaked = rho_n * (self._leak[channel] + np.cumsum((1 - rho) * column / rho_n))
            column -= np.concatenate([[self._leak[channel]], leaked[:-1]])
            self._leak[channel] = leaked[-1] if active[channel] or abs(leaked[-1]) > 0.01 else 0.0

    def _low_pass_taps(self) -> Floats | None:
        """Two equal poles at the corner frequency, as a short FIR with gain 1 at 0 Hz."""
        corner = self._wim.electronics.low_pass_hz
        if not self._effects.low_pass or corner <= 0:
            return None
        rho = math.exp(-2 * math.pi * corner / self.rate_hz)
        n = np.arange(max(4, min(64, math.ceil(12 / max(1e-3, -math.log(rho))))))
        taps = (n + 1) * rho**n
        return np.asarray(taps / taps.sum())

    def _low_pass(self, signal: Floats, active: npt.NDArray[np.bool_]) -> None:
        assert self._taps is not None
        assert self._tail is not None
        live = bool(active.any()) or bool(np.any(self._leak))
        if not live and not self._tail_live:
            return
        for channel in np.flatnonzero(self._weighs):
            extended = np.concatenate([self._tail[:, channel], signal[:, channel]])
            self._tail[:, channel] = extended[-len(self._tail) :]
            signal[:, channel] = np.convolve(extended, self._taps, mode="valid")
        self._tail_live = live

    def _cross(self, signal: Floats) -> None:
        """Neighbouring strips of one line hear each other."""
        share = self._wim.electronics.crosstalk
        for a, first in enumerate(self._sensors):
            for b in range(a + 1, self.channels):
                if self._weighs[a] and self._weighs[b] and abs(first.x_m - self._sensors[b].x_m) < 0.02:
                    left, right = signal[:, a].copy(), signal[:, b].copy()
                    signal[:, a] += share * right
                    signal[:, b] += share * left

    def _drift_waves(self, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
        """Offset, and amplitudes, angular frequencies and phases (channels, waves) of a slow wander."""
        electronics = self._wim.electronics
        periods = np.array([47.0, 131.0, 389.0, 1201.0, 4801.0]) * rng.uniform(0.8, 1.25, (self.channels, 5))
        slope = electronics.drift_counts_per_min / 60
        amplitude = slope * periods / (2 * math.pi) * math.sqrt(2 / 5)
        amplitude *= self._effects.drift
        offset = rng.uniform(-1, 1, self.channels) * electronics.baseline_counts * self._effects.drift
        phases = rng.uniform(0, 2 * math.pi, (self.channels, 5))
        keep = np.where(self._is_strip(), 1.0, 0.0)
        return offset * keep, amplitude * keep[:, None], 2 * math.pi / periods, phases

    def _is_strip(self) -> npt.NDArray[np.bool_]:
        return np.array([sensor.type != "loop" for sensor in self._sensors])

    def _baseline(self, times: Floats) -> Floats:
        offset, amplitude, omega, phase = self._drift
        waves = amplitude[None] * np.sin(omega[None] * times[:, None, None] + phase[None])
        return np.asarray(offset + waves.sum(axis=2))

    def _noise_sizes(self, time_s: float) -> npt.NDArray[np.float32]:
        sizes = np.full(self.channels, self._wim.electronics.noise_counts, dtype=np.float32)
        for fault in self._faults:
            if fault.kind == "noisy_channel" and fault.at_s <= time_s < fault.at_s + fault.for_s:
                sizes[int(fault.options.get("channel", 0))] *= float(fault.options.get("factor", 4.0))
        return sizes

    def _add_spikes(self, out: npt.NDArray[np.float32], times: Floats, rng: np.random.Generator) -> None:
        """Short pulses with a fast front and an exponential tail, on one channel or on all, of either sign."""
        electronics = self._wim.electronics
        span = self.block / self.rate_hz
        for _ in range(int(rng.poisson(electronics.spikes_per_h * span / 3600))):
            channel = -1 if rng.random() < 0.3 else int(rng.integers(self.channels))
            size = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 1.0)) * electronics.spike_counts
            self._spikes.append((float(times[0] + rng.random() * span), channel, size))
        for at_s, channel, size in self._spikes:
            rows = np.flatnonzero((times >= at_s) & (times < at_s + _SPIKE_S))
            pulse = (size * np.exp(-(times[rows] - at_s) / 0.0008)).astype(np.float32)
            if channel >= 0:
                out[rows, channel] += pulse
            else:
                out[rows] += pulse[:, None]
        self._spikes = [spike for spike in self._spikes if spike[0] + _SPIKE_S > times[-1]]

    def _break(self, out: npt.NDArray[np.float32], times: Floats) -> None:
        """Apply the faults of sensors that the scenario has for this array."""
        for fault in self._faults:
            rows = (times >= fault.at_s) & (times < fault.at_s + fault.for_s)
            if not rows.any():
                continue
            options = fault.options
            channel = int(options.get("channel", 0))
            if fault.kind == "dead_channel":
                out[rows, channel] = float(options.get("counts", 0.0))
            elif fault.kind == "saturated_channel":
                out[rows, channel] = self._wim.electronics.full_scale_counts
            elif fault.kind == "reversed_channel":
                out[rows, channel] *= -1
            elif fault.kind == "swapped_channels":
                a, b = options.get("channels", [0, 1])
                swapped = out[rows][:, [b, a]]
                out[np.ix_(rows, [a, b])] = swapped
            elif fault.kind in ("loop_stuck_on", "loop_stuck_off", "loop_chatter") and "channel" in options:
                top = self._sensors[channel].loop_counts or 1.0
                value = {"loop_stuck_on": top, "loop_stuck_off": 0.0}.get(fault.kind)
                if value is None:
                    out[rows, channel] = top * (np.sin(2 * math.pi * float(options.get("hz", 7.0)) * times[rows]) > 0)
                else:
                    out[rows, channel] = value


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


def temperature_c(scenario: Scenario, time_s: float) -> float:
    """Pavement temperature: a daily wave around the mean, warmest at 15 h local time."""
    weather = scenario.weather
    if weather.swing_c == 0:
        return weather.temperature_c
    start = scenario.start.astimezone(ZoneInfo(scenario.site.timezone))
    hour = start.hour + start.minute / 60 + start.second / 3600 + time_s / 3600
    return weather.temperature_c + weather.swing_c * math.cos(2 * math.pi * (hour - 15) / 24)
