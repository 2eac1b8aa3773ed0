"""A scenario: the typed description of a simulated crossing, every key with its default.

Made by `file.py` from a TOML file; read by the world (`world/`), by the emulators, and by `commission.py`,
which turns it into the configuration of the daemon.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

Traffic = Literal["commercial", "passenger", "bus"]
Program = Literal["standard", "FAST", "NEXUS", "SENTRI", "READY"]
DeviceKind = Literal[
    "labjack_t7",
    "dataq_cdc",
    "moxa_e1200",
    "adam_6000",
    "transcore_encompass",
    "thingmagic_mercury",
    "llrp",
    "lpr_frame",
    "hikvision_isapi",
    "json_events",
    "camera_stream",
    "scaime_enod4",
    "hbm_aed",
    "laumas_tlb",
    "toledo_continuous",
    "sma_scale",
    "mt_sics",
    "sick_lms",
    "gpsd",
    "chrony",
]
PLATE_READERS = ("lpr_frame", "hikvision_isapi", "camera_stream")
TAG_READERS = ("transcore_encompass", "thingmagic_mercury", "llrp")
TAG_PRESETS = ("impinj_r700", "zebra_iotc")  # of json_events; its others are plates
DIGITISERS = ("labjack_t7", "dataq_cdc")
TRANSMITTERS = ("scaime_enod4", "hbm_aed", "laumas_tlb", "toledo_continuous", "sma_scale", "mt_sics")
INPUT_DEVICES = ("moxa_e1200", "adam_6000", "sick_lms")  # a scanner tells of vehicles as a loop does


class ScenarioError(ValueError):
    """A scenario that cannot work; the text has a line for each fault: file, key, what is wrong, what is allowed."""


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file: its fields are the only keys allowed in it."""


class Site(Table, frozen=True, kw_only=True):
    country: str
    port: str
    name: str = ""
    timezone: str = "UTC"


class Point(Table, frozen=True, kw_only=True):
    """A place along every lane, in the order in which a vehicle passes; `wim` is x = 0 of the sensor array."""

    name: str
    x_m: float


class Sensor(Table, frozen=True, kw_only=True):
    """A sensor as the configuration of the daemon describes it, and below that what only the simulator knows."""

    name: str
    type: Literal["strip", "plate", "loop"]
    channel: int
    x_m: float  # centre, from the point `wim`
    y_m: tuple[float, float] = (0.0, 3.5)  # from the left edge of the lane
    width_m: float = 0.053  # extent along the lane
    gain_n: float = 4.0
    temp_coeff_per_c: float = 0.0
    reference_temperature_c: float = 20.0
    coupling_tau_s: float = 0.0
    threshold_counts: float = 0.5  # of a loop
    angle_deg: float = 0.0
    # --- known to the simulator alone
    gain_error: float = 0.0  # the true sensitivity is (1 + gain_error) times the configured one
    loop_counts: float | None = None  # amplitude of an analogue loop signal; without it the channel is 0 or 1


class Layout(Table, frozen=True, kw_only=True):
    """Short form of a strip array: lines at `lines_x_m`, each of two halves, and a loop, in that order of channels."""

    lines_x_m: tuple[float, ...]
    halves: bool = True
    width_m: float = 0.053
    gain_n: float = 4.0
    temp_coeff_per_c: float = 0.0
    coupling_tau_s: float = 0.0
    gain_errors: tuple[float, ...] = ()  # of each strip, in the order of channels; missing ones are 0
    loop_x_m: float | None = None  # centre of the loop; without it there is none
    loop_length_m: float = 2.0
    loop_counts: float | None = None


class Electronics(Table, frozen=True, kw_only=True):
    """Amplifier and digitiser of one array. Amplitudes in counts."""

    noise_counts: float = 6.0  # white, standard deviation
    drift_counts_per_min: float = 20.0  # typical slope of the wandering baseline
    baseline_counts: float = 300.0  # largest offset of a channel at the start
    hum_counts: float = 0.0
    mains_hz: float = 60.0
    spikes_per_h: float = 0.0
    spike_counts: float = 8000.0
    low_pass_hz: float = 1500.0
    full_scale_counts: float = 32767.0
    clock_ppm: float = 0.0  # how much faster than nominal the device's clock runs
    nonuniformity: float = 0.01  # standard deviation of a strip's sensitivity along its length
    crosstalk: float = 0.0  # share of a strip's signal that its neighbour in the same line sees


class Wim(Table, frozen=True, kw_only=True):
    sample_rate_hz: float = 5000.0
    mode: Literal["loop", "gap"] | None = None  # for the daemon; without it: loop if there is a loop
    layout: Layout | None = None
    sensor: tuple[Sensor, ...] = ()  # filled from `layout` where that is given
    electronics: Electronics = Electronics()
    calibrated: bool = True  # the gains were set on this road with reference runs; False: as delivered
    temperature_known: bool = True  # False: the daemon is told 20 degrees whatever the pavement has


class Stops(Table, frozen=True, kw_only=True):
    """Vehicles that stop on the array without a reason that sensors could see."""

    probability: float = 0.0
    duration_s: tuple[float, float] = (2.0, 12.0)
    roll_back_probability: float = 0.0


class Wander(Table, frozen=True, kw_only=True):
    """Speed that changes all the time: a new target between `low_mps` and `high_mps` about every `every_s`."""

    low_mps: float
    high_mps: float
    every_s: float = 3.0


class First(Table, frozen=True, kw_only=True):
    """The first of the vehicles that are there at the start, where it does not stand with them but is on its way to
    the array: who looks on sees one weighed soon."""

    x_m: float  # its front
    speed_mps: float  # also its wished speed
    kind: str | None = None  # vehicle type; without it drawn like the others


class Flow(Table, frozen=True, kw_only=True):
    """Arrivals and drivers of a lane."""

    per_hour: tuple[float, ...] = (60.0,)  # one value, or 24: by hour of the local day
    mix: dict[str, float] = {}  # share by vehicle type (names in vehicles.py); default by the traffic of the lane
    speed_mps: tuple[float, float] = (6.0, 9.0)  # wished speed
    gap_m: tuple[float, float] = (0.8, 2.5)  # kept when standing
    initial: int = 0  # vehicles that stand in the lane at the start
    initial_head_x_m: float | None = None  # where the first of them stands; without it 5 m before the first point
    initial_hold_s: float = 3.0  # before the first of them moves
    first: First | None = None
    min_headway_s: float = 2.0
    platoon: float = 1.0  # mean number of vehicles that arrive together
    tag_share: float = 0.3
    fleet_share: float = 0.3  # of trucks: plates of a fleet, which differ in their last two places
    roll_back_probability: float = 0.05  # at a start
    leave_share: float = 0.0  # leaves between approach and array (turns back, parks): no wait
    stops: Stops = Stops()
    wander: Wander | None = None
    limit: int | None = None  # no more vehicles than this


class BoothChange(Table, frozen=True, kw_only=True):
    at_s: float
    open: bool
    program: Program | None = None  # without it: unchanged


class Booth(Table, frozen=True, kw_only=True):
    service_s: float = 60.0  # mean
    service_cv: float = 0.6  # lognormal
    long_share: float = 0.02  # of inspections that take between `long_s`
    long_s: tuple[float, float] = (180.0, 600.0)
    open: bool = True  # at the start
    program: Program | None = None  # without it that of the lane
    change: tuple[BoothChange, ...] = ()


class Lane(Table, frozen=True, kw_only=True):
    id: str
    traffic: Traffic = "commercial"
    program: Program = "standard"
    direction: str = "inbound"
    width_m: float = 3.5
    grade: float = 0.0  # rise over run
    cross_fall: float = 0.0  # fall towards the right edge
    curve_radius_m: float = 0.0  # 0: straight; positive: bends to the left
    wim: Wim | None = None
    flow: Flow = Flow()
    booth: tuple[Booth, ...] = ()  # none: vehicles drive through


class Input(Table, frozen=True, kw_only=True):
    """A digital input of an input module. A loop covers `length_m` from `x_m` on (default: its point's place,
    at a booth a little before the place where vehicles stop)."""

    name: str
    signal: Literal["loop", "booth_open", "free"]
    lane: str
    point: str = "booth"
    x_m: float | None = None
    length_m: float = 2.0
    booth: int = 0  # which booth of the lane, for `booth_open`


class Device(Table, frozen=True, kw_only=True):
    """A device with its place and its endpoint: `pty`, `tcp` (loopback, any free port), `tcp://HOST:PORT`,
    or `serial:///dev/...`. `options` are the driver's, handed on to the daemon's configuration unchanged; `setup` is
    how the emulated device itself is set up (its emulator says what there is)."""

    name: str
    kind: DeviceKind
    endpoint: str
    lane: str | None = None
    point: str | None = None
    offset_m: float = 0.0  # of a reader's spot from its point
    read_share: float = 0.95  # of tags or plates that are seen at all
    char_error: float = 0.02  # of a plate reader: wrong or missing characters, each
    inputs: tuple[Input, ...] = ()
    options: dict[str, Any] = {}
    setup: dict[str, Any] = {}

    @property
    def is_reader(self) -> bool:
        """Whether it reads tags or plates of vehicles that pass."""
        return self.kind in (*PLATE_READERS, *TAG_READERS, "json_events")

    @property
    def reads_tags(self) -> bool:
        return self.kind in TAG_READERS or self.options.get("preset") in TAG_PRESETS


class Weather(Table, frozen=True, kw_only=True):
    temperature_c: float = 20.0  # mean of the pavement
    swing_c: float = 0.0  # half the difference between day and night, warmest at 15 h


class Road(Table, frozen=True, kw_only=True):
    """Unevenness by ISO 8608: G(n0) at n0 = 0.1 cycles/m by class (geometric means), and a step at the array."""

    iso_class: Literal["A", "B", "C", "D"] = "A"
    roughness_m3: float | None = None  # G(n0) itself, in place of the class
    step_m: float = 0.0  # height of a joint 0.5 m before the array


class Effects(Table, frozen=True, kw_only=True):
    """Each physical effect can be switched off, so that an error of the estimator and physics can be told apart."""

    dynamics: bool = True  # body bounce and axle hop over the road profile
    load_transfer: bool = True  # by acceleration, braking and grade
    side_slope: bool = True  # cross fall and bends
    imbalance: bool = True  # left and right of an axle differ
    friction: bool = True  # of suspensions: loads inside a group stay shifted after each stop
    footprint_shape: bool = True  # asymmetric, load dependent pressure; otherwise uniform
    nonuniformity: bool = True  # of a strip along its length
    bow_wave: bool = True
    low_pass: bool = True
    noise: bool = True
    drift: bool = True
    hum: bool = True
    spikes: bool = True
    lateral: bool = True  # vehicles off the middle of the lane


class Fault(Table, frozen=True, kw_only=True):
    """Something breaks at `at_s` for `for_s` seconds. `kind` and `options` (all further keys of the table) are read by
    the emulators, but for those in `world.SENSOR_FAULTS`, which the world itself applies to the samples."""

    at_s: float
    for_s: float
    kind: str
    device: str
    options: dict[str, Any] = {}


class Scenario(Table, frozen=True, kw_only=True):
    site: Site
    point: tuple[Point, ...]
    lane: tuple[Lane, ...]
    name: str = "unnamed"
    seed: int = 1
    start: datetime = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
    duration_s: float = 3600.0  # what `record` writes without `--for`
    wait_interval_s: int = 60
    wait_baseline: dict[str, float] = {}
    device: tuple[Device, ...] = ()
    weather: Weather = Weather()
    road: Road = Road()
    effects: Effects = Effects()
    fault: tuple[Fault, ...] = ()

    @property
    def start_ns(self) -> int:
        """World time 0 as UTC nanoseconds since 1970."""
        delta = self.start - datetime(1970, 1, 1, tzinfo=UTC)
        return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1000

    def point_x_m(self, name: str) -> float:
        """Place of a point along the lanes; KeyError if there is none of that name."""
        for point in self.point:
            if point.name == name:
                return point.x_m
        raise KeyError(name)

    def lane_of(self, lane_id: str) -> Lane:
        for lane in self.lane:
            if lane.id == lane_id:
                return lane
        raise KeyError(lane_id)


def utc_text(time_ns: int) -> str:
    """RFC 3339 in UTC with microseconds."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def layout_sensors(layout: Layout, lane_width_m: float) -> tuple[Sensor, ...]:
    """Sensors of a layout: line by line, left before right, the loop last."""
    middle = lane_width_m / 2
    parts = (
        [("-left", (0.0, middle)), ("-right", (middle, lane_width_m))] if layout.halves else [("", (0.0, lane_width_m))]
    )
    sensors: list[Sensor] = []
    for number, x_m in enumerate(layout.lines_x_m, start=1):
        for suffix, y_m in parts:
            channel = len(sensors)
            error = layout.gain_errors[channel] if channel < len(layout.gain_errors) else 0.0
            sensors.append(
                Sensor(
                    name=f"line{number}{suffix}",
                    type="strip",
                    channel=channel,
                    x_m=x_m,
                    y_m=y_m,
                    width_m=layout.width_m,
                    gain_n=layout.gain_n,
                    temp_coeff_per_c=layout.temp_coeff_per_c,
                    coupling_tau_s=layout.coupling_tau_s,
                    gain_error=error,
                )
            )
    if layout.loop_x_m is not None:
        sensors.append(
            Sensor(
                name="loop",
                type="loop",
                channel=len(sensors),
                x_m=layout.loop_x_m,
                y_m=(0.0, lane_width_m),
                width_m=layout.loop_length_m,
                threshold_counts=0.5 if layout.loop_counts is None else layout.loop_counts / 3,
                loop_counts=layout.loop_counts,
            )
        )
    return tuple(sensors)


def temperature_c(scenario: Scenario, time_s: float) -> float:
    """Pavement temperature: a daily wave around the mean, warmest at 15 h local time."""
    weather = scenario.weather
    if weather.swing_c == 0:
        return weather.temperature_c
    start = scenario.start.astimezone(ZoneInfo(scenario.site.timezone))
    hour = start.hour + start.minute / 60 + start.second / 3600 + time_s / 3600
    return weather.temperature_c + weather.swing_c * math.cos(2 * math.pi * (hour - 15) / 24)
