"""`borderflow replay`: recordings in, `vehicle` messages out, through the same pipeline as the daemon.

One message a line on standard output, in the order of time. Gaps, copied scans and channels at fault are named on
standard error. Exit 65 when a recording cannot be read, or can only be
read in part; what could be read has been printed then.
"""

from __future__ import annotations

import argparse
import heapq
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edge import config as cfg
from edge.alarms.texts import text_of
from edge.config.file import load
from edge.core import CoreError
from edge.exit_codes import EXIT_DATA
from edge.messages import Vehicle, encode, utc_text
from edge.weighing.lane import BRIDGED_S, LanePipeline, constant_blocks
from edge.weighing.recording import Recording, RecordingError, Stretch, blocks, open_recording

_SAME_RATE = 1e-3  # relative difference up to which the configured and the recorded rate count as one
_HELD = 64  # vehicles of a lane that wait for an earlier one
_MOST_GAP_NS = 3600 * 1_000_000_000  # after a longer one baselines and noise are learned anew


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="configuration with the lane's sensors"
    )
    parser.add_argument("recording", type=Path, nargs="+", help="recording: NAME.sigmf-meta, NAME.sigmf-data or NAME")


def run(args: argparse.Namespace) -> int:
    config = load(args.config)
    faults: list[str] = []
    by_lane: dict[str, list[Recording]] = {}
    for path in args.recording:
        try:
            recording = open_recording(path)
            by_lane.setdefault(_lane_of(recording, config).id, []).append(recording)
        except RecordingError as error:
            faults.append(str(error))
    streams = [
        _in_order(_lane_vehicles(config, lane_id, recordings, faults)) for lane_id, recordings in by_lane.items()
    ]
    for vehicle in heapq.merge(*streams, key=lambda vehicle: vehicle.time):
        sys.stdout.buffer.write(encode(vehicle) + b"\n")
    sys.stdout.buffer.flush()
    for fault in faults:
        _warn(fault)
    return EXIT_DATA if faults else 0


def _lane_of(recording: Recording, config: cfg.Config) -> cfg.Lane:
    """The lane in which a recording was made: it says so itself, its name does, or there is one lane only."""
    lanes = [lane for lane in config.lane if lane.wim is not None]
    if not lanes:
        raise RecordingError(f"{recording.meta_path}: no lane of the configuration has sensors; add [lane.wim]")
    said = [lane for lane in lanes if lane.id == recording.lane]
    named = [lane for lane in lanes if f"{recording.name}-".replace("_", "-").startswith(f"{lane.id}-")]
    chosen = said or named or lanes
    if len(chosen) != 1:
        raise RecordingError(
            f"{recording.meta_path}: is from one of the lanes {', '.join(lane.id for lane in lanes)}, but which? "
            'name the file LANE-….sigmf-meta, or write "borderflow:lane" into its global object'
        )
    if recording.lane is not None and not said:
        _warn(
            f"{recording.meta_path}: says that it is from lane {recording.lane!r}, which the configuration has not; "
            f"the sensors of {chosen[0].id} are used"
        )
    return chosen[0]


def _lane_vehicles(
    config: cfg.Config, lane_id: str, recordings: list[Recording], faults: list[str]
) -> Iterator[Vehicle]:
    """Vehicles of one lane in the order of time; faults of a recording are noted, the others go on."""
    lane: cfg.Lane = cfg.named(config.lane, lane_id)
    run = _Run(config, lane)
    for recording in sorted(recordings, key=lambda recording: recording.captures[0].time_ns):
        try:
            yield from run.play(recording)
        except (RecordingError, CoreError) as error:
            faults.append(str(error) if isinstance(error, RecordingError) else f"{recording.meta_path}: {error}")
        if recording.damage:
            faults.append(recording.damage)
    yield from run.finish()
    for (sensor, state), time_ns in run.channel_states.items():
        text = text_of("sensor_fault", {"lane": lane_id, "sensor": sensor, "case": state})
        _warn(f"{text} ({state}, seen at {utc_text(time_ns)})")


def _in_order(vehicles: Iterator[Vehicle]) -> Iterator[Vehicle]:
    """By their time. They leave the array in that order, but for what broken sensors make of them."""
    held: list[tuple[str, int, Vehicle]] = []
    for number, vehicle in enumerate(vehicles):
        heapq.heappush(held, (vehicle.time, number, vehicle))
        if len(held) > _HELD:
            yield heapq.heappop(held)[2]
    while held:
        yield heapq.heappop(held)[2]


def _warn(text: str) -> None:
    print(f"borderflow replay: {text}", file=sys.stderr)


@dataclass(slots=True)
class _Run:
    """Plays the recordings of one lane; those that follow each other without a gap are one stream."""

    config: cfg.Config
    lane: cfg.Lane
    pipeline: LanePipeline | None = None
    rate_hz: float = 0.0
    channels: int = 0
    end_ns: int = 0
    stream: int = 0
    channel_states: dict[tuple[str, str], int] = field(default_factory=dict)  # when a channel was first in that state

    def play(self, recording: Recording) -> Iterator[Vehicle]:
        wim = self.lane.wim
        assert wim is not None
        for sensor in wim.sensor:
            if sensor.channel >= recording.channels:
                raise RecordingError(
                    f"{recording.meta_path}: lane {self.lane.id}, sensor {sensor.name!r} is on channel "
                    f"{sensor.channel}, but the recording has channels 0 .. {recording.channels - 1} only"
                )
        rate_hz = recording.rate_hz
        if abs(rate_hz / wim.sample_rate_hz - 1) > _SAME_RATE:
            _warn(
                f"{recording.meta_path}: was made at {rate_hz:g} Hz, the configuration says {wim.sample_rate_hz:g}; "
                "the recording's rate is used"
            )
        current: Stretch | None = None
        done = bridged = 0
        for stretch, samples in blocks(recording):
            if stretch is not current:
                if self._bridges(stretch, rate_hz):
                    bridged += 1
                elif stretch.why is not None:
                    _warn(f"{recording.meta_path}: {stretch.why}; vehicles over the array there are marked partial")
                yield from self._begin(stretch, recording)
                current, done = stretch, 0
            assert self.pipeline is not None
            yield from self.pipeline.samples(
                constant_blocks(samples, first_scan=done, start_ns=stretch.time_ns, rate_hz=rate_hz, stream=self.stream)
            )
            done += len(samples)
            self.end_ns = stretch.time_ns + round(done / rate_hz * 1e9)
            for channel in self.pipeline.channels():
                if channel.state != "ok":
                    self.channel_states.setdefault((channel.name, channel.state), self.end_ns)

        if bridged:
            _warn(
                f"{recording.meta_path}: {bridged} gaps of up to {BRIDGED_S * 1e3:g} ms were bridged by straight lines"
            )

    def _bridges(self, stretch: Stretch, rate_hz: float) -> bool:
        return self.pipeline is not None and 0.5 / rate_hz < (stretch.time_ns - self.end_ns) / 1e9 <= BRIDGED_S

    def _begin(self, stretch: Stretch, recording: Recording) -> Iterator[Vehicle]:
        """Go on with the running stream, over a gap too, if this one is not long after it; else begin anew."""
        rate_hz = recording.rate_hz
        if self.pipeline is not None:
            gap_ns = stretch.time_ns - self.end_ns
            if gap_ns < -round(1e9 / rate_hz):
                raise RecordingError(
                    f"{recording.meta_path}: from scan {stretch.first_scan} on ({utc_text(stretch.time_ns)}) time goes "
                    f"back: what is ahead of it ends at {utc_text(self.end_ns)}; mend core:datetime, or replay it alone"
                )
            if gap_ns < _MOST_GAP_NS and (rate_hz, recording.channels) == (self.rate_hz, self.channels):
                self.stream += 1
                return
            yield from self.finish()
        assert self.lane.wim is not None
        wim = msgspec.structs.replace(self.lane.wim, sample_rate_hz=rate_hz)
        lane = msgspec.structs.replace(self.lane, wim=wim)
        self.rate_hz, self.channels = rate_hz, recording.channels
        self.pipeline = LanePipeline(self.config, lane, source=self.config.site.source or "replay")

    def finish(self) -> Iterator[Vehicle]:
        if self.pipeline is not None:
            yield from self.pipeline.finish()
            self.pipeline = None
