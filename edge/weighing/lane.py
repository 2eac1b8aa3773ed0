"""The pipeline of one lane: sample blocks and identities in, `vehicle` messages out.

Called by the daemon with live blocks and by `replay` with blocks of a recording; both give the same bytes, because
time comes in with the blocks and nothing here looks at a clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, UnsetType

from drivers.events import SampleBlock
from edge import config as cfg
from edge.core import ChannelHealth, Wim, WimVehicle
from edge.messages import Axle, Flag, Identity, Site, Vehicle, utc_text
from edge.weighing.axle_groups import axle_groups
from edge.weighing.classify import Classifier
from edge.weighing.esal import aashto_flexible
from edge.weighing.limits import Limits
from edge.weighing.scanner import ScannerLoop
from edge.weighing.sensor_doubt import doubted

_IDENTITY_BEFORE_NS = 5_000_000_000  # a tag or plate may be read this long before the first axle crosses x = 0
_ANCHOR_NS = 1_000  # a device clock that strays less than this from its line needs no new anchor
_MOST_LOST_SCANS = 1 << 40
BRIDGED_S = 0.002  # a lorry at 90 km/h moves on by 5 cm, a fifth of a tyre's print: a straight line is near enough
_SETTLES_S = 0.25  # for so long at least no vehicle is finished that left the loop
_PATIENCE_S = 0.2  # at the pace of a queue, a vehicle that left the loop is finished 0.3 s later and more


class ScanClock:
    """Maps scan numbers to UTC: piecewise linear through the anchors that the blocks bring."""

    def __init__(self) -> None:
        self._anchors: deque[tuple[int, int, float]] = deque(maxlen=4096)

    def note(self, scan: int, time_ns: int, rate_hz: float) -> None:
        """The scan of that number was taken at `time_ns`; from here on `rate_hz` holds."""
        if self._anchors:
            _, _, last_rate_hz = self._anchors[-1]
            if abs(self.time_ns(scan) - time_ns) < _ANCHOR_NS and last_rate_hz == rate_hz:
                return
        self._anchors.append((scan, time_ns, rate_hz))

    def time_ns(self, scan: float) -> int:
        """UTC of a scan, which may be fractional or before the first anchor."""
        chosen = self._anchors[0]
        for anchor in reversed(self._anchors):
            if anchor[0] <= scan:
                chosen = anchor
                break
        first, time_ns, rate_hz = chosen
        return time_ns + round((scan - first) / rate_hz * 1e9)


@dataclass(slots=True)
class _Loop:
    """What the last block said of a loop."""

    channel: int
    threshold_counts: float
    on: bool = False

    def look(self, samples: npt.NDArray[np.int16]) -> int | None:
        """How many scans before the block's end a vehicle left it last; None where none did in this block."""
        above = np.empty(len(samples) + 1, np.bool_)
        above[0] = self.on
        np.greater(samples[:, self.channel], self.threshold_counts, out=above[1:])
        self.on = bool(above[-1])
        left = np.flatnonzero(above[:-1] > above[1:])
        return len(samples) - int(left[-1]) if len(left) else None


@dataclass(frozen=True, slots=True)
class _Read:
    time_ns: int
    identity: Identity


class LanePipeline:
    """One lane's weighing, from samples to `vehicle` messages.

    Raises edge.core.CoreError at creation when the sensor table cannot work.
    """

    def __init__(
        self,
        config: cfg.Config,
        lane: cfg.Lane,
        *,
        source: str,
        on_weighed: Callable[[WimVehicle], None] | None = None,
    ) -> None:
        assert lane.wim is not None
        self.lane = lane
        self._site = Site(config.site.country, config.site.port)
        self._source = source
        self._config_digest = cfg.digest(config)
        self._calibration_digest = cfg.digest(lane.wim.sensor)
        self._scanner = ScannerLoop(lane.wim) if lane.wim.mode == "scanner" and lane.wim.scanner is not None else None
        table = self._scanner.table if self._scanner is not None else lane.wim
        self._sensors = table.sensor  # the scanner's is among them
        self._wim = Wim(table)
        self._clock = ScanClock()
        self._classifier = Classifier("fhwa", country=config.site.country)
        self._limits = Limits(config.site.country)
        self._country = config.site.country
        self._on_weighed = on_weighed
        self._reads: deque[_Read] = deque(maxlen=64)
        self._stream: int | None = None
        self._last_scan: npt.NDArray[np.float64] | None = None
        self._loops = [
            _Loop(sensor.channel, sensor.threshold_counts or 0.0)
            for sensor in table.sensor
            if sensor.type == "loop" and table.mode == "loop"
        ]
        self._left_loop_scan = 0
        self._rate_hz = lane.wim.sample_rate_hz
        self._loops_at_fault = False
        self.ignore_loops(False)

    def samples(self, block: SampleBlock) -> list[Vehicle]:
        """Take the next block; returns the vehicles that are finished with it."""
        if self._scanner is None:
            return self._samples(block)
        return [vehicle for ripe in self._scanner.take(block) for vehicle in self._samples(ripe)]

    def _samples(self, block: SampleBlock) -> list[Vehicle]:
        found: list[WimVehicle] = []
        lost = block.lost_scans
        if self._stream is not None and block.stream != self._stream:
            # A new stream numbers its scans afresh: only the clock says how much is missing.
            expected_ns = self._clock.time_ns(self._wim.scans)
            lost = max(0, min(_MOST_LOST_SCANS, round((block.time_ns - expected_ns) * block.rate_hz / 1e9)))
        self._stream = block.stream
        if lost:
            found += self._lost(lost, block.samples)
        if len(block.samples):
            self._last_scan = block.samples[-1].astype(np.float64)
        self._clock.note(self._wim.scans, block.time_ns, block.rate_hz)
        found += self._wim.push(block.samples)
        for loop in self._loops:
            if (ago := loop.look(block.samples)) is not None:
                self._left_loop_scan = self._wim.scans - ago
        return [self._message(vehicle) for vehicle in found]

    def _lost(self, scans: int, after: npt.NDArray[np.int16]) -> list[WimVehicle]:
        """Scans were lost ahead of `after`: some are bridged by a straight line, many are a gap in the stream."""
        before = self._last_scan
        if before is None or not len(after) or before.shape != after[0].shape or scans > BRIDGED_S * self._rate_hz:
            return self._wim.gap(scans)
        return self._wim.push(np.rint(np.linspace(before, after[0], scans + 2)[1:-1]).astype(np.int16))

    @property
    def scans(self) -> int:
        """Scans of the lane's stream so far, lost ones included."""
        return self._wim.scans

    @property
    def occupied(self) -> bool:
        """Whether a vehicle is over the array that is not finished."""
        return self._wim.open_since is not None

    @property
    def patience_s(self) -> float:
        """For how many seconds of scans a message can be waited for, because none of them can finish a vehicle.

        None is finished that still has to come; none that stands over the loop, and some time passes after it left.
        """
        since = self._wim.open_since
        if since is None:
            return _PATIENCE_S
        if self._left_loop_scan <= since:
            return _PATIENCE_S if any(loop.on for loop in self._loops) else 0.0
        left_s = (self._wim.scans - self._left_loop_scan) / self._rate_hz
        return min(_PATIENCE_S, max(0.0, _SETTLES_S - left_s))

    def finish(self) -> list[Vehicle]:
        """The stream has ended: what is still open is finished as it stands."""
        rest = self._scanner.rest() if self._scanner is not None else []
        found = [vehicle for block in rest for vehicle in self._samples(block)]
        return found + [self._message(vehicle) for vehicle in self._wim.finish()]

    def identity(self, identity: Identity, time_ns: int) -> None:
        """A tag or plate was read at the array; it goes into the message of the vehicle that was there."""
        self._reads.append(_Read(time_ns, identity))

    def renew(self, config: cfg.Config, lane: cfg.Lane) -> None:
        """Another configuration, with the same sensors in this lane."""
        assert lane.wim == self.lane.wim
        self.lane = lane
        self._config_digest = cfg.digest(config)

    def set_temperature(self, temperature_c: float) -> None:
        self._wim.set_temperature(temperature_c)

    def ignore_loops(self, ignore: bool) -> None:
        """The loops are stuck or chatter: until told otherwise vehicles are cut as without them."""
        self._loops_at_fault = ignore
        scanner_is_blind = self._scanner is not None and not self._scanner.works
        self._wim.ignore_loops(ignore or scanner_is_blind)

    def presence(self, on: bool, time_ns: int) -> None:
        """The lane's scanner sees a vehicle, or sees it no longer."""
        if self._scanner is not None:
            self._scanner.presence(on, time_ns)
            self.ignore_loops(self._loops_at_fault)

    def height(self, height_m: float, time_ns: int) -> None:
        """The vehicle that left the scanner's plane at that time was so high."""
        if self._scanner is not None:
            self._scanner.height(height_m, time_ns)

    def scanner_lost(self) -> None:
        """The scanner does not work: until it says anything, vehicles are cut as without it."""
        if self._scanner is not None:
            self._scanner.works = False
            self.ignore_loops(self._loops_at_fault)

    def channels(self) -> list[ChannelHealth]:
        """Health of each sensor's channel."""
        return self._wim.channels()

    def _message(self, found: WimVehicle) -> Vehicle:
        if self._on_weighed is not None:
            self._on_weighed(found)
        time_ns = self._clock.time_ns(found.first_axle_scan)
        positions_m = [axle.position_m for axle in found.axles]
        loads_kg = [axle.load_kg for axle in found.axles]
        groups = axle_groups(positions_m, self._country)
        axles = tuple(
            Axle(
                position_m=round(axle.position_m, 3),
                position_sigma_m=round(axle.position_sigma_m, 3),
                load_kg=round(axle.load_kg, 1),
                sigma_kg=round(axle.sigma_kg, 1),
                left_kg=_rounded(axle.left_kg, 1),
                right_kg=_rounded(axle.right_kg, 1),
                dual_tyres=axle.dual_tyres,
                group=group,
            )
            for axle, group in zip(found.axles, groups, strict=True)
        )
        vehicle_class = self._classifier.classify(
            positions_m,
            loads_kg,
            position_sigma_m=[axle.position_sigma_m for axle in found.axles],
            load_sigma_kg=[axle.sigma_kg for axle in found.axles],
            gross_sigma_kg=found.gross_sigma_kg,
            whole=found.whole,
        )
        vehicle = Vehicle(
            time=utc_text(time_ns),
            site=self._site,
            lane=self.lane.id,
            source=self._source,
            config=self._config_digest,
            calibration=self._calibration_digest,
            direction=self.lane.direction,
            speed_mps=_rounded(found.speed_mps, 3),
            length_m=_rounded(found.length_m, 2),
            wheelbase_m=round(found.wheelbase_m, 3),
            lateral_m=_rounded(found.lateral_m, 3),
            height_m=self._height_m(time_ns, found),
            gross_kg=round(found.gross_kg, 1),
            gross_sigma_kg=round(found.gross_sigma_kg, 1),
            axles=axles,
            class_=vehicle_class,
            flags=cast("tuple[Flag, ...]", found.flags) or UNSET,
            identities=self._identities(time_ns, self._clock.time_ns(found.exit_scan)),
            violations=self._limits.violations(
                axles,
                gross_kg=found.gross_kg,
                gross_sigma_kg=found.gross_sigma_kg,
                fhwa_class=vehicle_class.code,
            ),
            esal=round(aashto_flexible(loads_kg, groups), 4),
        )
        return doubted(vehicle, self._scales)

    def _scales(self) -> list[ChannelHealth]:
        """Health of the channels that weigh."""
        told = zip(self._sensors, self._wim.channels(), strict=True)
        return [health for sensor, health in told if sensor.type != "loop"]

    def _height_m(self, first_axle_ns: int, found: WimVehicle) -> float | UnsetType | None:
        if self._scanner is None:
            return UNSET
        return self._scanner.height_m(first_axle_ns, self._clock.time_ns(found.exit_scan))

    def _identities(self, first_axle_ns: int, exit_ns: int) -> tuple[Identity, ...]:
        """Takes the reads that belong to a vehicle over the array in that time; each read serves one vehicle."""
        mine = [read for read in self._reads if first_axle_ns - _IDENTITY_BEFORE_NS <= read.time_ns <= exit_ns]
        for read in mine:
            self._reads.remove(read)
        return tuple(dict.fromkeys(read.identity for read in mine))


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def constant_blocks(
    samples: npt.NDArray[np.int16], *, first_scan: int, start_ns: int, rate_hz: float, stream: int
) -> SampleBlock:
    """A block of a recording: the scan numbers alone say the time."""
    return SampleBlock(
        device="recording",
        time_ns=start_ns + round(first_scan / rate_hz * 1e9),
        rate_hz=rate_hz,
        stream=stream,
        first_scan=first_scan,
        lost_scans=0,
        samples=samples,
    )
