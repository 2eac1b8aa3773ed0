"""What happens in the world: plain immutable events, made by `crossing.py`, taken by emulators and `record.py`.

`time_s` is world time: seconds since the scenario's `start`. `vehicle` is the number of a vehicle, in the order of
arrival over the whole crossing; no device may tell it, truth does.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware_sim.scenario import Program


@dataclass(frozen=True, slots=True)
class TagPassed:
    """A tag was in the field of reader `device` and was read."""

    time_s: float
    lane: str
    point: str
    device: str
    tag: str
    vehicle: int


@dataclass(frozen=True, slots=True)
class PlatePassed:
    """A plate reader took a picture; `plate` is what it made of it, misreadings included."""

    time_s: float
    lane: str
    point: str
    device: str
    plate: str
    country: str
    confidence: float
    vehicle: int


@dataclass(frozen=True, slots=True)
class InputChanged:
    """A digital input of `device` changed (also sent once for each input at time 0)."""

    time_s: float
    device: str
    input: str
    on: bool


@dataclass(frozen=True, slots=True)
class BoothChanged:
    """A booth opened, closed or changed its program."""

    time_s: float
    lane: str
    booth: int
    open: bool
    program: Program


@dataclass(frozen=True, slots=True)
class PointPassed:
    """A vehicle passed a point with its front; at the booth: it stopped there and service began."""

    time_s: float
    lane: str
    point: str
    vehicle: int


@dataclass(frozen=True, slots=True)
class AxleTruth:
    """An axle on the road; loads are static. `position_m` counts backwards from the first one."""

    position_m: float
    load_kg: float
    left_kg: float | None  # None for the single wheel of a cycle
    right_kg: float | None
    dual_tyres: bool
    group: int


@dataclass(frozen=True, slots=True)
class VehicleTruth:
    """A vehicle as it really is; emitted at `time_s`, when its end has left the array.

    `crossed_s` is when the centre of its first axle crossed x = 0 of the array (the first time, if it rolled back).
    `speed_mps` is the mean speed between first axle at x = 0 and last axle at the last sensor, standing time included;
    `first_speed_mps` that at `crossed_s`.
    """

    time_s: float
    lane: str
    vehicle: int
    crossed_s: float
    last_axle_s: float  # when the last axle's centre passed the last sensor
    kind: str
    fhwa_class: int
    speed_mps: float
    first_speed_mps: float
    length_m: float
    wheelbase_m: float
    gross_kg: float
    axles: tuple[AxleTruth, ...]
    stopped: bool
    reversed: bool
    tag: str | None
    plate: str


@dataclass(frozen=True, slots=True)
class WaitTruth:
    """A vehicle arrived at the booth: how long that took from each point; None where it passed it before time 0."""

    time_s: float
    lane: str
    vehicle: int
    program: Program
    wait_s: float | None
    wim_to_booth_s: float | None


WorldEvent = TagPassed | PlatePassed | InputChanged | BoothChanged | PointPassed | VehicleTruth | WaitTruth
