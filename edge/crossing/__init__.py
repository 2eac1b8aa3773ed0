"""The whole crossing on this computer: driver events in, messages out.

It knows where each device stands and what each input means, and hands events on: samples to the lane pipelines,
identities and counts to the waits and the flow, states to the alarms. Called by the daemon; without I/O, so that a test
can drive it with events alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from drivers.events import (
    DeviceState,
    Event,
    Heard,
    InputChange,
    LinkState,
    Measurement,
    PlateRead,
    Rejected,
    SampleBlock,
    TagRead,
)
from edge import config as cfg
from edge.alarms import Alarms, Condition
from edge.core import WimVehicle
from edge.crossing.devices import Devices
from edge.delivery.identity import Pseudonyms
from edge.delivery.sealing import Sealer
from edge.health.crossing import Found, Health
from edge.health.sensors import Fit
from edge.machine.clock_steps import Leap
from edge.messages import (
    DeviceStatus,
    Identity,
    Medium,
    Message,
    Sighting,
    Site,
    Vehicle,
    parse_utc,
    utc_text,
)
from edge.waiting.flow import FlowCounter
from edge.waiting.memory import Recalled
from edge.waiting.sightings import AxleSighting, BoothChange, LoopCount, PlateSighting, TagSighting
from edge.waiting.sightings import Sighting as Seen
from edge.waiting.timeline import LIVE_REORDER_NS, REORDER_NS
from edge.waiting.waits import CrossingWaits
from edge.weighing.lane import LanePipeline
from edge.weighing.rate_doubt import RIGHT, doubted

_CHANNELS_EVERY_NS = 1_000_000_000
_UNUSED_PATIENCE_S = 0.2


class Scope(Protocol):
    """Somebody who looks at the lanes as they are (edge.eyes.scopes)."""

    def samples(self, lane: str, block: SampleBlock, end_scan: int) -> None: ...
    def weighed(self, lane: str, found: WimVehicle) -> None: ...


class Crossing:
    """Everything this computer knows of its lanes. Not thread-safe: the daemon's loop owns it.

    `carry` says what the waits take of a sighting, where it is shared with other computers (edge.exchange.link) or
    kept; `note` is told what they took (edge.waiting.memory).
    """

    def __init__(
        self,
        config: cfg.Config,
        *,
        source: str,
        pseudonyms: Pseudonyms | None,
        carry: Callable[[Seen], Iterable[Seen]] | None = None,
        sealers: Sequence[Sealer] = (),
        note: Callable[[Seen], None] | None = None,
    ) -> None:
        self._carry = carry
        self._note = note
        self._site = Site(config.site.country, config.site.port)
        self._source = source
        self._pseudonyms = pseudonyms
        self._sealers = sealers
        self.alarms = Alarms(self._site, source)
        self._waits = self._new_waits(config)
        self._flow = FlowCounter(config, source=source)
        self._health = Health(config)
        self.lanes: dict[str, LanePipeline] = {}
        self.lanes = self.new_lanes(config)
        self.scope: Scope | None = None
        self._devices = Devices()
        self._take(config)
        self._channels_looked_at_ns = 0
        self._handlers: dict[type[Event], Callable[..., list[Message]]] = {
            SampleBlock: self._samples,
            TagRead: self._tag,
            PlateRead: self._plate,
            InputChange: self._input,
            Measurement: self._measurement,
            DeviceState: self._state,
            Rejected: self._rejected,
            Heard: self._heard,
        }

    def _new_waits(self, config: cfg.Config) -> CrossingWaits:
        # Other computers' sightings come over the site's broker, later than what stands here.
        reorder_ns = REORDER_NS if config.site_exchange is not None else LIVE_REORDER_NS
        return CrossingWaits(config, source=self._source, reorder_ns=reorder_ns)

    def _take(self, config: cfg.Config) -> None:
        """What stands where."""
        self.config = config
        self._lane_of_device = {lane.wim.device: lane.id for lane in config.lane if lane.wim and lane.wim.device}
        self._channels_needed = {
            lane.id: 1 + max(sensor.channel for sensor in lane.wim.sensor) for lane in config.lane if lane.wim
        }
        self._devices.take(config.device)

    # ---- another configuration --------------------------------------------------------------------------------

    def new_lanes(self, config: cfg.Config) -> dict[str, LanePipeline]:
        """Pipelines of the lanes whose sensors are not those of now; CoreError where they cannot work."""
        return {
            lane.id: LanePipeline(config, lane, source=self._source, on_weighed=partial(self._weighed, lane.id))
            for lane in config.lane
            if lane.wim is not None and (lane.id not in self.lanes or self.lanes[lane.id].lane.wim != lane.wim)
        }

    def renew(
        self,
        config: cfg.Config,
        lanes: dict[str, LanePipeline],
        *,
        carry: Callable[[Seen], Iterable[Seen]] | None,
        sealers: Sequence[Sealer],
        recalled: Callable[[], Recalled],
        now_ns: int,
    ) -> list[Message]:
        """Go on under another configuration of the same site and identity; `lanes` as `new_lanes` gave them.

        What is the same goes on as if nothing had happened: vehicles over an array, queues, intervals, watches, alarms.
        Where the waits count otherwise, `recalled` gives them what was seen in the last hours. A vehicle over an array
        whose sensors change is finished as it stands.
        """
        messages: list[Message] = []
        for lane_id, pipeline in self.lanes.items():
            if lane_id in lanes or getattr(cfg.named(config.lane, lane_id), "wim", None) is None:
                messages += self._publish(pipeline.finish())
        kept = {lane.id: self.lanes[lane.id] for lane in config.lane if lane.wim is not None and lane.id not in lanes}
        for lane_id, pipeline in kept.items():
            pipeline.renew(config, cfg.named(config.lane, lane_id))
        before, watched = self.config, self._health.conditions
        self.lanes = {lane.id: {**kept, **lanes}[lane.id] for lane in config.lane if lane.wim is not None}
        self._carry, self._sealers = carry, sealers
        self._health = Health(config, self._health)
        self._take(config)
        messages += self._flow.renew(config)
        same_senders = (before.site_exchange is None) == (config.site_exchange is None)
        if same_senders and self._waits.fits(config):
            self._waits.renew(config)
        else:
            self._waits = self._new_waits(config)
            messages += self.recall(recalled(), now_ns)
        self._let_go(before, watched - self._health.conditions, now_ns)
        return messages

    def _let_go(self, before: cfg.Config, unwatched: set[Condition], now_ns: int) -> None:
        """Alarms of what the configuration no longer has, or has otherwise, end unless it is found again."""
        now = self.config
        changed = {device.name for device in before.device if cfg.named(now.device, device.name) != device}
        changed |= {of.name for of in before.collector if cfg.named(now.collector, of.name) != of}
        if before.site_exchange != now.site_exchange:
            changed.add("site_exchange")
        lanes = {"_", *(lane.id for lane in now.lane)}

        def gone(condition: Condition) -> bool:
            return condition in unwatched or condition.device in changed or condition.lane not in lanes

        self.alarms.let_go(gone, now_ns)

    def event(self, event: Event) -> list[Message]:
        """Take what a driver said; gives the messages that follow from it."""
        return self._handlers[type(event)](event)

    def patience_s(self, device: str) -> float:
        """For how many seconds the samples of that device may be gathered."""
        lane_id = self._lane_of_device.get(device)
        return self.lanes[lane_id].patience_s if lane_id is not None else _UNUSED_PATIENCE_S

    def sighting(self, seen: Seen) -> None:
        """Take what another computer of this crossing saw."""
        self._waits.feed(seen)
        if self._note is not None:
            self._note(seen)

    def recall(self, kept: Recalled, now_ns: int) -> list[Message]:
        """Take what was seen before a restart; gives the messages of intervals that were over and not yet told."""
        messages: list[Message] = []
        if kept.sightings and kept.last_ns is not None:
            waits = self._waits.recall(kept.sightings, min(kept.last_ns, now_ns), now_ns)
            messages += [wait for wait in waits if parse_utc(wait.time) > (kept.told_ns or 0)]
        for text in kept.trouble:
            said = Condition("waits_anew")
            messages += self.alarms.set(said, True, now_ns, args={"reason": text})
            messages += self.alarms.set(said, False, now_ns)
        return messages

    def _saw(self, seen: Seen) -> None:
        """Something was seen here that counts for the waits."""
        for taken in (seen,) if self._carry is None else self._carry(seen):
            self.sighting(taken)

    def advance(self, now_ns: int) -> list[Message]:
        """The clock has come to `now_ns`: intervals that are over become messages."""
        messages: list[Message] = [*self._waits.advance(now_ns), *self._flow.advance(now_ns)]
        if now_ns - self._channels_looked_at_ns >= _CHANNELS_EVERY_NS:
            self._channels_looked_at_ns = now_ns
            for lane_id, lane in self.lanes.items():
                self._health.channels(lane_id, lane.channels())
                lane.ignore_loops(self._health.loops_at_fault(lane_id, now_ns))
        messages += self._alarms_of(self._health.judge(now_ns), now_ns)
        messages += self.alarms.advance(now_ns)
        return messages

    def clock_stepped(self, now_ns: int, leap: Leap) -> list[Message]:
        """The clock leapt to `now_ns`, or nobody looked for long: what counts by intervals begins anew."""
        self._waits.restart()
        self._health.clock_stepped(leap.by_ns)
        self.alarms.clock_stepped(leap.by_ns)
        self._channels_looked_at_ns = 0
        said = Condition("clock_stepped")
        return [
            *self._flow.restart(),
            *self.alarms.set(said, True, now_ns, args={"case": leap.kind, "step_s": round(abs(leap.by_ns) / 1e9)}),
            *self.alarms.set(said, False, now_ns),
        ]

    def calibration(self, lane: str) -> tuple[Fit, dict[str, float | None]]:
        """See edge.health.crossing."""
        return self._health.calibration(lane)

    def devices(self) -> dict[str, DeviceStatus]:
        """State of each device, for `status`."""
        return self._devices.statuses()

    # ---- what drivers say -------------------------------------------------------------------------------------

    def _samples(self, block: SampleBlock) -> list[Message]:
        lane_id = self._lane_of_device.get(block.device)
        if lane_id is None:
            return []
        needed, width = self._channels_needed[lane_id], block.samples.shape[1]
        missing = Found(
            Condition("channels_missing", block.device, lane_id), width < needed, "critical",
            {"channels": width, "highest": needed - 1},
        )  # fmt: skip
        messages = self._alarms_of([missing], block.time_ns)
        if missing.holds:
            return messages
        self._health.samples(lane_id, block)
        weighed = self.lanes[lane_id].samples(block)
        if self.scope is not None:
            self.scope.samples(lane_id, block, self.lanes[lane_id].scans)
        return messages + self._publish(weighed)

    def _publish(self, weighed: list[Vehicle]) -> list[Message]:
        """Vehicles of a lane: what can be believed counts, and becomes a message."""
        messages: list[Message] = []
        for vehicle in weighed:
            digitiser: str = self.lanes[vehicle.lane].lane.wim.device  # type: ignore
            fit = doubted(vehicle, self._health.rate_error(digitiser))
            if fit is None:
                self._health.held_back(digitiser)
                continue
            messages.append(fit)
            self._passed(fit)
        return messages

    def _weighed(self, lane_id: str, found: WimVehicle) -> None:
        if self.scope is not None:
            self.scope.weighed(lane_id, found)
        wim = cfg.named(self.config.lane, lane_id).wim
        if wim.device is None or abs(self._health.rate_error(wim.device)) <= RIGHT:
            self._health.weighed(lane_id, found)

    def _passed(self, vehicle: Vehicle) -> None:
        """A vehicle has been weighed: it counts, and its axles are an identity of a kind."""
        self._flow.vehicle(vehicle)
        self._health.vehicle(vehicle)
        point = self._wim_point(vehicle.lane)
        if point is not None:
            positions_m = tuple(axle.position_m for axle in vehicle.axles)
            loads_kg = tuple(axle.load_kg for axle in vehicle.axles)
            self._saw(AxleSighting(parse_utc(vehicle.time), vehicle.lane, point, positions_m, loads_kg))

    def _wim_point(self, lane_id: str) -> str | None:
        lane = cfg.named(self.config.lane, lane_id)
        device = cfg.named(self.config.device, lane.wim.device)
        return device.point if device is not None else None

    def _tag(self, read: TagRead) -> list[Message]:
        return self._identity(read.device, read.time_ns, "rfid", read.tag, None, None)

    def _plate(self, read: PlateRead) -> list[Message]:
        return self._identity(read.device, read.time_ns, "plate", read.plate, read.confidence, read.reader_ns)

    def _identity(
        self,
        device_name: str,
        time_ns: int,
        medium: Medium,
        identifier: str,
        confidence: float | None,
        reader_ns: int | None,
    ) -> list[Message]:
        device = self._devices[device_name].config
        if device.lane is None or device.point is None or not identifier:
            return []
        self._health.read(device_name, time_ns, identifier, confidence, reader_ns)
        sighting = TagSighting if medium == "rfid" else PlateSighting
        self._saw(sighting(time_ns, device.lane, device.point, identifier, confidence))
        if self._pseudonyms is None:
            return []
        pseudonym = self._pseudonyms.of(medium, identifier, time_ns)
        if device.lane in self.lanes and device.point == self._wim_point(device.lane):
            self.lanes[device.lane].identity(Identity(medium=medium, pseudonym=pseudonym), time_ns)
        self._flow.identified(device.lane, time_ns)
        seen = Sighting(
            time=utc_text(time_ns),
            site=self._site,
            lane=device.lane,
            source=self._source,
            point=device.point,
            medium=medium,
            pseudonym=pseudonym,
            confidence=confidence,
        )
        return [seen, *(sealer.seal(identifier, seen) for sealer in self._sealers)]

    def _input(self, change: InputChange) -> list[Message]:
        device = self._devices[change.device]
        if change.name == "presence":
            for scanned in self._scanned(change.device):
                scanned.presence(change.on, change.time_ns)
        first = change.name not in device.inputs
        pulses = device.new_pulses(change)
        if change.name in device.reports:
            return self._alarms_of([device.reported(change)], change.time_ns)
        meaning: cfg.Input | None = cfg.named(device.config.input, change.name)
        lane_id = meaning.lane or device.config.lane if meaning else None
        if meaning is None or lane_id is None:
            return []
        if meaning.signal == "booth_open":
            program = cfg.named(self.config.lane, lane_id).program
            self._saw(BoothChange(change.time_ns, lane_id, meaning.point or "booth", change.on, program, meaning.name))
        elif meaning.point is not None:
            self._health.input(change.device, change.name, change.time_ns, on=change.on, pulses=pulses, first=first)
            if self._health.chatters(change.device, change.name, change.time_ns):
                return []  # a loop that comes and goes by itself counts no vehicles
            for _ in range(pulses):
                self._saw(LoopCount(change.time_ns, lane_id, meaning.point))
                self._flow.loop(lane_id, meaning.point, change.time_ns)
        return []

    def _scanned(self, device: str) -> list[LanePipeline]:
        """The lanes that this scanner tells the vehicles of."""
        wims = ((lane, lane.lane.wim) for lane in self.lanes.values())
        return [
            lane for lane, wim in wims if wim is not None and wim.scanner is not None and wim.scanner.device == device
        ]

    def _measurement(self, measurement: Measurement) -> list[Message]:
        if measurement.name == "height" and measurement.unit == "_m":
            for lane in self._scanned(measurement.device):
                lane.height(measurement.value, measurement.time_ns)
        if measurement.unit == "_c":
            for lane in self.lanes.values():  # one thermometer may serve them all
                if lane.lane.wim is not None and lane.lane.wim.temperature_device == measurement.device:
                    lane.set_temperature(measurement.value)
        return []

    def _rejected(self, rejected: Rejected) -> list[Message]:
        self._devices.rejected(rejected)
        self._health.rejected(rejected)
        return []

    def _heard(self, heard: Heard) -> list[Message]:
        self._health.heard(heard)
        return []

    def _state(self, state: DeviceState) -> list[Message]:
        self._health.state(state)
        if state.state is not LinkState.ONLINE:
            for scanned in self._scanned(state.device):
                scanned.scanner_lost()
        return self._alarms_of(self._devices[state.device].is_now(state), state.time_ns)

    def _alarms_of(self, found: Iterable[Found], time_ns: int) -> list[Message]:
        messages: list[Message] = []
        for one in found:
            messages += self.alarms.set(one.condition, one.holds, time_ns, severity=one.severity, args=one.args)
        return messages
