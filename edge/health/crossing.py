"""All watches of one computer: events in, conditions that hold or do not out. Called by edge/crossing/.

It knows from the configuration which reader and which loop stand at one place, and which sensors make a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from drivers import registry
from drivers.events import DeviceState, Heard, LinkState, Rejected, SampleBlock
from drivers.remedies import connection
from edge import config as cfg
from edge.alarms import Condition
from edge.core import ChannelHealth, WimVehicle
from edge.health.links import LostScansWatch, RejectWatch, SampleRateWatch
from edge.health.loops import ChatterWatch, LoopSignal, StuckLoopWatch
from edge.health.readers import (
    ConfidenceWatch,
    ReaderTimeWatch,
    SameIdentity,
    SilentReaderWatch,
    StuckIdentityWatch,
    TwiceWatch,
)
from edge.health.sensors import (
    ChannelWatch,
    DriftWatch,
    Fit,
    LineLoads,
    ProposalWatch,
    SideLeans,
    SwapWatch,
    others_median,
    side_ratios,
)
from edge.health.watch import SECOND_NS, Watch
from edge.messages import Args, Severity, Vehicle
from edge.weighing.steering import SteeringWatch

_W = TypeVar("_W", bound=Watch)
_SAME_LINE_M = 0.02
_CAREFUL_NS = 60 * SECOND_NS  # after a leap of the clock, times of devices are taken for about now
_REJECTS_OF_A_TALKER = 3  # devices that talk all the time; a single bad frame among thousands is weather
# Vehicles that follow closely keep a loop on together, but hardly three of eight axles; a high trailer hides a few.
_AXLES_WHILE_ON, _AXLES_WHILE_OFF = 24, 6
_READS_WHILE_ON, _READS_WHILE_OFF = 5, 3  # vehicles that follow closely may keep a loop on
_UNCLEAR = frozenset({"partial", "off_lane", "reversed", "stopped_on_sensor", "saturated", "cut_uncertain"})


@dataclass(frozen=True, slots=True)
class Found:
    """A condition that holds (`args` say where and what to do) or does not."""

    condition: Condition
    holds: bool
    severity: Severity
    args: Args


class _Reader:
    """The watches of a plate or tag reader."""

    def __init__(self, where: Args, *, cars: bool) -> None:
        self.silent = SilentReaderWatch(where)
        self.stuck = StuckIdentityWatch(where, others=2 if cars else 1)  # tags of cars follow each other closely
        self.twice = TwiceWatch(where)
        self.sure = ConfidenceWatch(where)
        self.time = ReaderTimeWatch(where)


class _Loop:
    """The watches of a loop that is an input of a device."""

    def __init__(self, where: Args) -> None:
        self.chatter = ChatterWatch(where)
        self.stuck = StuckLoopWatch(where, "identities", while_on=_READS_WHILE_ON, while_off=_READS_WHILE_OFF)
        self.last_identity = ""
        self.blind = False  # its device does not speak, so nobody knows how it stands


class _WimLoop:
    """A loop among the samples."""

    def __init__(self, where: Args, sensor: cfg.Sensor) -> None:
        self.channel = sensor.channel
        self.signal = LoopSignal(sensor.threshold_counts or 0.0)
        self.chatter = ChatterWatch(where)
        self.stuck = StuckLoopWatch(where, "axles", while_on=_AXLES_WHILE_ON, while_off=_AXLES_WHILE_OFF)


class _Array:
    """The watches of a lane's sensors."""

    def __init__(self, lane: cfg.Lane, wim: cfg.Wim, country: str) -> None:
        self.register = since = _Register()
        self._axles_seen: int | None = None
        device = wim.device
        scales = [(index, sensor) for index, sensor in enumerate(wim.sensor) if sensor.type != "loop"]
        self._channels = {
            sensor.name: since.add(
                Condition("sensor_fault", device, lane.id, sensor.name),
                ChannelWatch({"channel": sensor.channel}),
            )
            for _, sensor in scales
        }
        lines: list[list[tuple[int, cfg.Sensor]]] = []
        for index, sensor in sorted(scales, key=lambda item: item[1].x_m):
            if lines and sensor.x_m - lines[-1][-1][1].x_m < _SAME_LINE_M:
                lines[-1].append((index, sensor))
            else:
                lines.append([(index, sensor)])
        names = [", ".join(sensor.name for _, sensor in line) for line in lines]
        self._sensors_of_lines = [[sensor.name for _, sensor in line] for line in lines]
        self._first_line = [sensor.name for _, sensor in lines[0]]
        self._halves = [_halves(line) for line in lines]
        self._leans = SideLeans(len(lines))
        self._swaps = [since.add(Condition("channels_swapped", device, lane.id, name), SwapWatch({})) for name in names]
        drifts = [since.add(Condition("line_drift", device, lane.id, name), DriftWatch({})) for name in names]
        self._loads = LineLoads([[index for index, _ in line] for line in lines], drifts)
        self._proposal = since.add(
            Condition("calibration_proposed", device, lane.id), ProposalWatch({}, SteeringWatch(country))
        )
        self.loops = [_WimLoop({"channel": sensor.channel}, sensor) for sensor in wim.sensor if sensor.type == "loop"]
        for loop, sensor in zip(self.loops, [s for s in wim.sensor if s.type == "loop"], strict=True):
            since.add(Condition("loop_chatter", device, lane.id, sensor.name), loop.chatter)
            since.add(Condition("loop_stuck", device, lane.id, sensor.name), loop.stuck)

    def channels(self, channels: Iterable[ChannelHealth]) -> None:
        axles = 0
        for health in channels:
            watch = self._channels.get(health.name)
            if watch is not None:
                watch.state(health)
            if health.name in self._first_line:
                axles = max(axles, health.footprints)
        if self._axles_seen is not None:
            for loop in self.loops:
                loop.stuck.passed(max(0, axles - self._axles_seen))
        self._axles_seen = axles

    def samples(self, time_ns: int, block: SampleBlock) -> None:
        for loop in self.loops:
            changes = loop.signal.take(block.samples[:, loop.channel])
            loop.chatter.changes(time_ns, changes)
            loop.stuck.state(loop.signal.on, changed=changes > 0)

    def weighed(self, found: WimVehicle) -> None:
        flags = _UNCLEAR.intersection(found.flags)
        if flags - {"stopped_on_sensor"}:
            return
        if not flags and "sensor_fault" not in found.flags:
            for axle in found.axles:
                self._loads.axle(axle.sensor_kg)
        axles = [self._leans.take(side_ratios(self._halves, axle.sensor_kg)) for axle in found.axles]
        for index, swap in enumerate(self._swaps):
            pairs = [(leans[index], others_median(leans, index)) for leans in axles]
            swap.vehicle([(here, other) for here, other in pairs if here is not None and other is not None])

    def calibration(self) -> tuple[Fit, dict[str, float | None]]:
        deviations = zip(self._sensors_of_lines, self._loads.deviations(), strict=True)
        return self._proposal.fit(), {name: deviation for names, deviation in deviations for name in names}

    def vehicle(self, vehicle: Vehicle) -> None:
        first = vehicle.axles[0]
        self._proposal.vehicle(
            [axle.load_kg for axle in vehicle.axles],
            [axle.group for axle in vehicle.axles],
            first.left_kg,
            first.right_kg,
            not vehicle.flags,
        )


def _halves(line: Sequence[tuple[int, cfg.Sensor]]) -> tuple[list[int], list[int]]:
    """Indices of the left and the right sensors of a line; none where it has no halves."""
    spans = [(index, sensor.y_m) for index, sensor in line if sensor.y_m is not None]
    if len(spans) != len(line) or len(line) < 2:
        return [], []
    middle = (min(span[0] for _, span in spans) + max(span[1] for _, span in spans)) / 2
    left = [index for index, span in spans if sum(span) / 2 < middle]
    return left, [index for index, _ in spans if index not in left]


class _Register:
    """Every watch with its condition."""

    def __init__(self) -> None:
        self.watches: list[tuple[Condition, Watch]] = []

    def add(self, condition: Condition, watch: _W) -> _W:
        self.watches.append((condition, watch))
        return watch


class Health:
    """All watches. `judge` gives every condition with its state; whoever keeps the alarms knows what is news."""

    def __init__(self, config: cfg.Config, before: Health | None = None) -> None:
        """`before`: what watched until now, under another configuration; of what did not change all is known on."""
        self._register = _Register()
        self._config = config
        self._stepped_ns: int = before._stepped_ns if before is not None else 0  # all leaps of the clock so far
        self._now_ns: int = before._now_ns if before is not None else 0  # steady
        self._careful_until_ns: int = before._careful_until_ns if before is not None else 0
        places_m: dict[str, tuple[str, float | None]] = {}
        self._rejects: dict[str, RejectWatch] = {}
        self._readers: dict[str, _Reader] = {}
        self._readers_at: dict[tuple[str, str], list[_Reader]] = {}
        self._loops: dict[tuple[str, str], _Loop] = {}
        self._loops_at: dict[tuple[str, str], list[_Loop]] = {}
        self._lost: dict[str, LostScansWatch] = {}
        self._rates: dict[str, SampleRateWatch] = {}
        for device in config.device:
            lane = device.lane or "_"
            where: Args = {"point": device.point} if device.point else {}
            driver = registry.find(device.driver)
            reads = driver.reads_identifiers
            kept = before if before is not None and before._watches_device(device, config) else None
            self._rejects[device.name] = self._register.add(
                Condition("frames_rejected", device.name, lane),
                kept._rejects[device.name]
                if kept is not None
                else RejectWatch(where, connection(driver, device.url), least=1 if reads else _REJECTS_OF_A_TALKER),
            )
            if reads and device.lane and device.point:
                point: cfg.Point | None = cfg.named(config.point, device.point)
                places_m[device.name] = (device.lane, point.x_m if point is not None else None)
                cars = cfg.named(config.lane, device.lane).traffic == "passenger"
                reader = kept._readers[device.name] if kept is not None else _Reader(where, cars=cars)
                self._readers[device.name] = reader
                self._readers_at.setdefault((device.lane, device.point), []).append(reader)
                for watch in (reader.silent, reader.stuck, reader.twice, reader.sure, reader.time):
                    self._register.add(Condition(watch.code, device.name, lane), watch)
            for line in device.input:
                place = line.lane or device.lane
                if line.signal == "loop" and line.point and place:
                    loop = kept._loops[device.name, line.name] if kept is not None else _Loop({"point": line.point})
                    self._loops[device.name, line.name] = loop
                    self._loops_at.setdefault((place, line.point), []).append(loop)
                    for part in (loop.chatter, loop.stuck):
                        self._register.add(Condition(part.code, device.name, place, line.name), part)
        self._same = SameIdentity(places_m)
        self._arrays: dict[str, _Array] = {}
        for entry in config.lane:
            if entry.wim is None:
                continue
            same = before if before is not None and cfg.named(before._config.lane, entry.id) == entry else None
            array = same._arrays[entry.id] if same is not None else _Array(entry, entry.wim, config.site.country)
            self._arrays[entry.id] = array
            self._register.watches += array.register.watches
            if entry.wim.device:
                at = entry.wim.device
                lost = same._lost[at] if same is not None else LostScansWatch({})
                rate = same._rates[at] if same is not None else SampleRateWatch({}, entry.wim.sample_rate_hz)
                self._lost[at] = self._register.add(Condition("samples_lost", at, entry.id), lost)
                self._rates[at] = self._register.add(Condition("sample_rate", at, entry.id), rate)

    @property
    def conditions(self) -> set[Condition]:
        """All that is watched."""
        return {condition for condition, _ in self._register.watches}

    def _watches_device(self, device: cfg.Device, config: cfg.Config) -> bool:
        """Whether this device, and what its lane is, are the same here as under that configuration."""
        lanes = [cfg.named(under.lane, device.lane) if device.lane else None for under in (self._config, config)]
        traffic = [lane.traffic if lane is not None else None for lane in lanes]
        return bool(cfg.named(self._config.device, device.name) == device and traffic[0] == traffic[1])

    # ---- what happened ----------------------------------------------------------------------------------------

    def clock_stepped(self, by_ns: int) -> None:
        """The clock leapt. Watches reckon with a time that goes on as before, and keep what they know."""
        self._stepped_ns += by_ns
        self._careful_until_ns = self._now_ns + _CAREFUL_NS

    def _steady(self, time_ns: int) -> int:
        """Time for the watches: without the leaps of the clock."""
        steady_ns = time_ns - self._stepped_ns
        if self._now_ns < self._careful_until_ns:  # devices may still stamp as before
            return min(max(steady_ns, self._now_ns), self._careful_until_ns)
        return steady_ns

    def rejected(self, rejected: Rejected) -> None:
        if rejected.reason.startswith("odd_"):
            return  # nothing of worth was lost
        self._rejects[rejected.device].rejected(self._steady(rejected.time_ns), rejected.reason, rejected.count)
        if rejected.reason == "frame_missing" and rejected.device in self._readers:
            self._readers[rejected.device].silent.excuse(rejected.count)

    def heard(self, heard: Heard) -> None:
        self._rejects[heard.device].heard()

    def state(self, state: DeviceState) -> None:
        reader = self._readers.get(state.device)
        if reader is not None and state.state is not LinkState.ONLINE:
            reader.silent.forgive()
        if state.state in (LinkState.DOWN, LinkState.SILENT):
            for (device, _), loop in self._loops.items():
                loop.blind = loop.blind or device == state.device

    def read(
        self, device: str, time_ns: int, identifier: str, confidence: float | None, reader_ns: int | None = None
    ) -> None:
        """A tag or plate was read; `reader_ns` is what the reader's own clock showed."""
        reader = self._readers.get(device)
        if reader is None:
            return
        time_ns = self._steady(time_ns)
        reader.silent.read(time_ns)
        reader.stuck.read(time_ns, identifier)
        if confidence is not None:
            reader.sure.read(identifier, confidence)
        if reader_ns is not None:
            reader.time.read(time_ns, reader_ns)
        other = self._same.read(device, time_ns, identifier)
        reader.twice.read(other)
        if other is not None:
            self._readers[other].twice.read(device)
        place = self._place_of(device)
        for loop in self._loops_at.get(place, ()):
            if loop.last_identity != identifier and not loop.blind:
                loop.last_identity = identifier
                loop.stuck.passed()

    def input(self, device: str, name: str, time_ns: int, *, on: bool, pulses: int, first: bool) -> None:
        """An input changed, or is seen for the `first` time; `pulses`: how often it came on since the last time."""
        loop = self._loops.get((device, name))
        if loop is None:
            return
        time_ns = self._steady(time_ns)
        seen_again, loop.blind = loop.blind, False  # what it counted meanwhile it did not count just now
        loop.stuck.state(on, changed=not first)
        if first or seen_again:
            return
        loop.chatter.changes(time_ns, max(1, 2 * pulses - 1))
        if loop.chatter.holds(time_ns):
            return
        meaning = cfg.named(cfg.named(self._config.device, device).input, name)
        lane = meaning.lane or cfg.named(self._config.device, device).lane
        for reader in self._readers_at.get((lane, meaning.point), ()):
            reader.stuck.loop(time_ns, on)
            for _ in range(pulses):
                reader.silent.passed(time_ns)

    def chatters(self, device: str, name: str, time_ns: int) -> bool:
        """Whether an input is not to be counted."""
        loop = self._loops.get((device, name))
        return loop is not None and loop.chatter.holds(self._steady(time_ns))

    def calibration(self, lane: str) -> tuple[Fit, dict[str, float | None]]:
        """What steering axles say of the lane's gains, and how far the line of each sensor is off its neighbours."""
        return self._arrays[lane].calibration()

    def samples(self, lane: str, block: SampleBlock) -> None:
        time_ns = self._steady(block.time_ns)
        self._lost[block.device].block(time_ns, block.lost_scans)
        self._rates[block.device].block(time_ns, block.stream, block.rate_hz, block.first_scan)
        self._arrays[lane].samples(time_ns, block)

    def rate_error(self, digitiser: str) -> float:
        """By what share the digitiser's rate is not the configured one."""
        return self._rates[digitiser].error

    def held_back(self, digitiser: str) -> None:
        """A vehicle was not published, because of that."""
        self._rates[digitiser].held_back += 1

    def weighed(self, lane: str, found: WimVehicle) -> None:
        """What the core says of a vehicle, sensor by sensor."""
        self._arrays[lane].weighed(found)

    def vehicle(self, vehicle: Vehicle) -> None:
        self._arrays[vehicle.lane].vehicle(vehicle)

    def channels(self, lane: str, channels: Iterable[ChannelHealth]) -> None:
        self._arrays[lane].channels(channels)

    # ---- what follows -----------------------------------------------------------------------------------------

    def loops_at_fault(self, lane: str, now_ns: int) -> bool:
        """Whether the lane's loop cuts no vehicles for now."""
        now_ns = self._steady(now_ns)
        return any(loop.chatter.holds(now_ns) or loop.stuck.holds for loop in self._arrays[lane].loops)

    def judge(self, now_ns: int) -> Iterator[Found]:
        """Every condition, whether it holds or not."""
        self._now_ns = self._steady(now_ns)
        for condition, watch in self._register.watches:
            args = watch.judge(self._now_ns)
            yield Found(condition, args is not None, watch.severity, args or {})

    def _place_of(self, device: str) -> tuple[str, str]:
        found: cfg.Device = cfg.named(self._config.device, device)
        return found.lane or "_", found.point or ""
