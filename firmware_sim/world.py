"""The simulated crossing as a function of world time: a scenario in, events and raw samples out.

Emulators call `advance` and `samples` in small steps in real time, `record.py` in large ones; the answer does not depend
on the steps: the same scenario and seed give the same bytes. Nothing here knows a driver or the daemon.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firmware_sim.events import WorldEvent
from firmware_sim.scenario import Scenario

# Faults that the world applies itself (device: the digitiser or input module); all others are for the emulators.
# options: channel (dead_channel, reversed_channel, noisy_channel with factor), channels = [a, b] (swapped_channels),
# input (loop_stuck_on, loop_stuck_off, loop_chatter), char_error (misread), read_share (missed_reads).
SENSOR_FAULTS = frozenset(
    {
        "dead_channel",
        "reversed_channel",
        "swapped_channels",
        "noisy_channel",
        "loop_stuck_on",
        "loop_stuck_off",
        "loop_chatter",
        "misread",
        "missed_reads",
    }
)


class World:
    """A running crossing. Not thread-safe: one thread or loop owns it (or the caller locks around every call)."""

    def __init__(self, scenario: Scenario, seed: int | None = None) -> None:
        self.scenario = scenario
        self.seed = scenario.seed if seed is None else seed

    @property
    def now_s(self) -> float:
        """World time that `advance` has reached."""
        raise NotImplementedError

    def advance(self, until_s: float) -> list[WorldEvent]:
        """Run to world time `until_s`; the events after the last call up to and including it, in order of time."""
        raise NotImplementedError

    def channels(self, lane_id: str) -> int:
        """Number of channels of a lane's array. KeyError: no such lane, or no array."""
        raise NotImplementedError

    def scan_rate_hz(self, lane_id: str) -> float:
        """True rate of the digitiser: nominal rate times its clock error. Scan k is taken at k / rate seconds."""
        raise NotImplementedError

    def scans_ready(self, lane_id: str) -> int:
        """Number of scans taken up to `now_s`: `samples` serves scans below this."""
        raise NotImplementedError

    def samples(self, lane_id: str, first_scan: int, count: int) -> npt.NDArray[np.int16]:
        """Scans first_scan .. first_scan + count - 1, int16, shape (count, channels), C-contiguous.

        Channels stand in the order of the scenario's sensors by `channel`. ValueError for scans not taken yet or
        more than `HISTORY_S` old.
        """
        raise NotImplementedError

    def input_state(self, device: str) -> dict[str, bool]:
        """Digital inputs of an input module at `now_s`, by name in the scenario's order."""
        raise NotImplementedError

    def temperature_c(self, time_s: float) -> float:
        """Temperature of pavement and sensors."""
        raise NotImplementedError
