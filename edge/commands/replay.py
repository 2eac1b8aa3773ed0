"""`borderflow replay`: recordings in, `vehicle` messages out, through the same pipeline as the daemon.

One message a line on standard output, in the order of time. Exit 65 when a recording cannot be read, or can only be
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
from edge.config_file import load
from edge.core import CoreError
from edge.messages import Vehicle, encode
from edge.recording import Recording, RecordingError, blocks, open_recording
from edge.weighing.lane import LanePipeline, constant_blocks

EXIT_DATA = 65  # EX_DATAERR of sysexits.h
_SAME_RATE = 1e-3  # relative difference up to which the configured and the recorded rate count as one


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
    streams = [_lane_vehicles(config, lane_id, recordings, faults) for lane_id, recordings in by_lane.items()]
    for vehicle in heapq.merge(*streams, key=lambda vehicle: vehicle.time):
        sys.stdout.buffer.write(encode(vehicle) + b"\n")
    sys.stdout.buffer.flush()
    for fault in faults:
        print(f"borderflow replay: {fault}", file=sys.stderr)
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


@dataclass(slots=True)
class _Run:
    """Plays the recordings of one lane; those that follow each other without a gap are one stream."""

    config: cfg.Config
    lane: cfg.Lane
    pipeline: LanePipeline | None = None
    end_ns: int = 0
    stream: int = field(default=0)

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
            print(
                f"borderflow replay: {recording.meta_path}: was made at {rate_hz:g} Hz, the configuration says "
                f"{wim.sample_rate_hz:g}; the recording's rate is used",
                file=sys.stderr,
            )
        first_in_capture, current = 0, -1
        for index, samples in blocks(recording):
            start_ns = recording.captures[index].time_ns
            if index != current:
                yield from self._begin(start_ns, rate_hz, recording)
                first_in_capture, current = 0, index
            assert self.pipeline is not None
            yield from self.pipeline.samples(
                constant_blocks(
                    samples, first_scan=first_in_capture, start_ns=start_ns, rate_hz=rate_hz, stream=self.stream
                )
            )
            first_in_capture += len(samples)
            self.end_ns = start_ns + round(first_in_capture / rate_hz * 1e9)

    def _begin(self, start_ns: int, rate_hz: float, recording: Recording) -> Iterator[Vehicle]:
        """Go on with the running stream if this one follows it at once, else end that and begin anew."""
        if self.pipeline is not None:
            if start_ns < self.end_ns - round(1e9 / rate_hz):
                raise RecordingError(
                    f"{recording.meta_path}: begins before the one ahead of it ends; time goes back, replay it alone"
                )
            if start_ns - self.end_ns < 1.5e9 / rate_hz:
                self.stream += 1
                return
            yield from self.finish()
        assert self.lane.wim is not None
        wim = msgspec.structs.replace(self.lane.wim, sample_rate_hz=rate_hz)
        lane = msgspec.structs.replace(self.lane, wim=wim)
        self.pipeline = LanePipeline(self.config, lane, source=self.config.site.source or "replay")

    def finish(self) -> Iterator[Vehicle]:
        if self.pipeline is not None:
            yield from self.pipeline.finish()
            self.pipeline = None
