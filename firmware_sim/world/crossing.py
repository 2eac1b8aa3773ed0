"""The simulated crossing as a function of world time: a scenario in, events and raw samples out.

Emulators call `advance` and `samples` in small steps in real time, `record.py` in large ones; the answer does not
depend on the steps: the same scenario and seed give the same bytes. Nothing here knows a driver or the daemon.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

import msgspec
import numpy as np
import numpy.typing as npt

from firmware_sim.scenario import INPUT_DEVICES, Device, Fault, Input, Scenario, temperature_c
from firmware_sim.scenario.rules import fault_problem
from firmware_sim.world.array import HISTORY_S, Array
from firmware_sim.world.car import Mark
from firmware_sim.world.driving import LaneTraffic
from firmware_sim.world.events import InputChanged, PlatePassed, TagPassed, WorldEvent
from firmware_sim.world.reading import read_plate
from firmware_sim.world.vehicles import Vehicle
from firmware_sim.world.wheels import AHEAD_S

# Faults that the world applies itself (device: the digitiser, input module or reader); the emulators do all others.
# options: channel (dead_channel, reversed_channel, saturated_channel, noisy_channel with factor), channels = [a, b]
# (swapped_channels), input or channel (loop_stuck_on, loop_stuck_off, loop_chatter), char_error (misread), read_share
# (missed_reads).
SENSOR_FAULTS = frozenset(
    {
        "dead_channel",
        "reversed_channel",
        "swapped_channels",
        "noisy_channel",
        "saturated_channel",
        "loop_stuck_on",
        "loop_stuck_off",
        "loop_chatter",
        "misread",
        "missed_reads",
    }
)
_BEFORE_BOOTH_M = 0.8  # vehicles stop that much short of the booth at most, so readers there look further out
_CHATTER_S = 0.07


@dataclass(frozen=True, slots=True)
class _Stuck:
    """From `time_s` on an input shows `on` whatever is true; `on` None: the truth again."""

    time_s: float
    device: str
    input: str
    on: bool | None


__all__ = ["HISTORY_S", "SENSOR_FAULTS", "World"]


class World:
    """A running crossing. Not thread-safe: one thread or loop owns it (or the caller locks around every call).

    With `waveforms` False no samples are made (for recordings of sightings alone).
    """

    def __init__(self, scenario: Scenario, seed: int | None = None, *, waveforms: bool = True) -> None:
        self.scenario = scenario
        self.seed = scenario.seed if seed is None else seed
        self._now_s = 0.0
        self._held: list[tuple[float, int, WorldEvent | _Stuck]] = []  # events later than `now_s`
        self._counter = 0
        self._covered: dict[tuple[str, str], int] = {}  # vehicles over a loop, by device and input
        self._true: dict[tuple[str, str], bool] = {}
        self._shown: dict[tuple[str, str], bool] = {}
        self._stuck: dict[tuple[str, str], bool] = {}
        self._input_modules = [device for device in scenario.device if device.kind in INPUT_DEVICES]
        first: list[WorldEvent] = []
        for device in self._input_modules:
            for line in device.inputs:
                on = line.signal == "booth_open" and self._booth_open(line)
                key = (device.name, line.name)
                self._true[key] = self._shown[key] = on
                self._covered[key] = 0
                first.append(InputChanged(0.0, *key, on))
        self._hold(first)
        self._hold(self._booth_inputs())
        self._hold(self._input_faults(scenario.fault))
        self._lanes = [
            LaneTraffic(scenario, i, self.seed, self._marks_of, self._on_mark) for i in range(len(scenario.lane))
        ]
        self._arrays: dict[str, Array] = {}
        for i, lane in enumerate(scenario.lane):
            if lane.wim is not None and waveforms:
                self._arrays[lane.id] = Array(scenario, i, self.seed, self._lanes[i])

    @property
    def now_s(self) -> float:
        """World time that `advance` has reached."""
        return self._now_s

    def advance(self, until_s: float) -> list[WorldEvent]:
        """Run to world time `until_s`; the events after the last call up to and including it, in order of time."""
        if until_s < self._now_s:
            raise ValueError(f"world time cannot go back from {self._now_s} to {until_s}")
        horizon = max([until_s + AHEAD_S, *(array.horizon_s(until_s) for array in self._arrays.values())])
        for lane in self._lanes:
            lane.run(horizon)
            self._hold(lane.events)
            lane.events = []
        for array in self._arrays.values():
            array.render(until_s)
        self._now_s = until_s
        self._held.sort(key=itemgetter(0, 1))
        due = 0
        while due < len(self._held) and self._held[due][0] <= until_s:
            due += 1
        events = [shown for _, _, event in self._held[:due] if (shown := self._show(event)) is not None]
        del self._held[:due]
        return events

    def add_fault(self, fault: Fault) -> None:
        """One more of SENSOR_FAULTS while the world runs; samples of a block that is made already stay as they are.

        ValueError says what is wrong with the fault.
        """
        problem = fault_problem(self.scenario, fault)
        if problem:
            raise ValueError(f"fault{problem}")
        self.scenario = msgspec.structs.replace(self.scenario, fault=(*self.scenario.fault, fault))
        for array in self._arrays.values():
            array.add_fault(fault)
        self._hold(self._input_faults([fault]))

    def channels(self, lane_id: str) -> int:
        """Number of channels of a lane's array. KeyError: no such lane, or no array."""
        return self._arrays[lane_id].channels

    def scan_rate_hz(self, lane_id: str) -> float:
        """True rate of the digitiser: nominal rate times its clock error. Scan k is taken at k / rate seconds."""
        return self._arrays[lane_id].rate_hz

    def scans_ready(self, lane_id: str) -> int:
        """Number of scans taken up to `now_s`: `samples` serves scans below this."""
        return math.floor(self._now_s * self._arrays[lane_id].rate_hz + 1e-9)

    def samples(self, lane_id: str, first_scan: int, count: int) -> npt.NDArray[np.int16]:
        """Scans first_scan .. first_scan + count - 1, int16, shape (count, channels), C-contiguous.

        Channels stand in the order of the scenario's sensors by `channel`. ValueError for scans not taken yet or
        more than `HISTORY_S` old.
        """
        if first_scan < 0 or count < 0 or first_scan + count > self.scans_ready(lane_id):
            raise ValueError(f"lane {lane_id}: scans {first_scan} + {count}, but {self.scans_ready(lane_id)} are taken")
        return self._arrays[lane_id].samples(first_scan, count)

    def unfinished(self, before_s: float) -> int:
        """Vehicles whose last axle passed the last sensor before that time, and whose truth is not out yet."""
        return sum(lane.unfinished(before_s) for lane in self._lanes)

    def input_state(self, device: str) -> dict[str, bool]:
        """Digital inputs of an input module at `now_s`, by name in the scenario's order."""
        return {name: on for (of, name), on in self._shown.items() if of == device}

    def temperature_c(self, time_s: float) -> float:
        """Temperature of pavement and sensors."""
        return temperature_c(self.scenario, time_s)

    # --- what stands beside the lane

    def _hold(self, events: Sequence[WorldEvent | _Stuck]) -> None:
        for event in events:
            self._held.append((event.time_s, self._counter, event))
            self._counter += 1

    def _show(self, event: WorldEvent | _Stuck) -> WorldEvent | None:
        """The event as devices see it: nothing where an input does not change, or is stuck."""
        if not isinstance(event, InputChanged | _Stuck):
            return event
        key = (event.device, event.input)
        if isinstance(event, InputChanged):
            self._true[key] = event.on
        elif event.on is None:
            self._stuck.pop(key, None)
        else:
            self._stuck[key] = event.on
        on = self._stuck.get(key, self._true[key])
        if on == self._shown[key] and event.time_s > 0:
            return None
        self._shown[key] = on
        return InputChanged(event.time_s, *key, on)

    def _marks_of(self, vehicle: Vehicle) -> list[Mark]:
        """Where the front of a vehicle is when a reader or a loop of its lane notices it."""
        marks: list[Mark] = []
        for device in self.scenario.device:
            if device.lane == vehicle.lane and device.is_reader and device.point:
                marks.append((self._place(device.point) + device.offset_m, "reader", device))
        for device in self._input_modules:
            for line in device.inputs:
                if line.signal == "loop" and line.lane == vehicle.lane:
                    at = line.x_m
                    if at is None:
                        at = self._place(line.point)
                    marks.append((at, "loop_on", (device, line)))
                    marks.append((at + line.length_m + vehicle.length_m, "loop_off", (device, line)))
        return marks

    def _place(self, point: str) -> float:
        return self.scenario.point_x_m(point) - (_BEFORE_BOOTH_M if point == "booth" else 0.0)

    def _on_mark(self, time_s: float, vehicle: Vehicle, kind: str, what: object, forwards: bool) -> list[WorldEvent]:
        if kind == "reader":
            assert isinstance(what, Device)
            return self._read(time_s, vehicle, what) if forwards else []
        assert isinstance(what, tuple)
        device, line = what
        return self._loop(time_s, device.name, line.name, 1 if (kind == "loop_on") == forwards else -1)

    def _loop(self, time_s: float, device: str, name: str, change: int) -> list[WorldEvent]:
        key = (device, name)
        self._covered[key] += change
        on = self._covered[key] > 0
        was = self._covered[key] - change > 0
        return [InputChanged(time_s, device, name, on)] if on != was else []

    def _read(self, time_s: float, vehicle: Vehicle, device: Device) -> list[WorldEvent]:
        assert device.lane is not None
        assert device.point is not None
        index = self.scenario.device.index(device)
        rng = np.random.default_rng([self.seed, 7, index, vehicle.number])
        share, char_error = device.read_share, device.char_error
        for fault in self.scenario.fault:
            if fault.device == device.name and fault.at_s <= time_s < fault.at_s + fault.for_s:
                if fault.kind == "missed_reads":
                    share = float(fault.options.get("read_share", 0.3))
                elif fault.kind == "misread":
                    char_error = float(fault.options.get("char_error", 0.2))
        if rng.random() >= share:
            return []
        number = vehicle.number
        if device.reads_tags:
            if vehicle.tag is None:
                return []
            return [TagPassed(time_s, device.lane, device.point, device.name, vehicle.tag, number)]
        plate, confidence = read_plate(vehicle.plate, char_error, rng)
        return [PlatePassed(time_s, device.lane, device.point, device.name, plate, vehicle.country, confidence, number)]

    # --- inputs that do not come from vehicles

    def _booth_open(self, line: Input) -> bool:
        booths = self.scenario.lane_of(line.lane).booth
        return line.booth < len(booths) and booths[line.booth].open

    def _booth_inputs(self) -> list[WorldEvent]:
        """Changes of booth signals, known beforehand from the scenario's timeline."""
        events: list[WorldEvent] = []
        for device in self._input_modules:
            for line in device.inputs:
                booths = self.scenario.lane_of(line.lane).booth
                if line.signal == "booth_open" and line.booth < len(booths):
                    events += [InputChanged(c.at_s, device.name, line.name, c.open) for c in booths[line.booth].change]
        return events

    def _input_faults(self, faults: Sequence[Fault]) -> list[_Stuck]:
        edges: list[_Stuck] = []
        for fault in faults:
            key = (fault.device, str(fault.options.get("input")))
            if fault.kind not in ("loop_stuck_on", "loop_stuck_off", "loop_chatter") or key not in self._true:
                continue
            if fault.kind == "loop_chatter":
                times = fault.at_s + np.arange(0.0, fault.for_s, _CHATTER_S)
                edges += [_Stuck(float(t), *key, i % 2 == 0) for i, t in enumerate(times)]
            else:
                edges.append(_Stuck(fault.at_s, *key, fault.kind == "loop_stuck_on"))
            edges.append(_Stuck(fault.at_s + fault.for_s, *key, None))
        return edges
