"""Recordings of waveforms on disk: SigMF pairs (`NAME.sigmf-meta`, `NAME.sigmf-data`) in and out.

`read_meta` and `blocks` serve `replay` and `calibrate`; `Writer` serves `record`. Datatype `ri16_le`, channels
interleaved (SigMF 1.x; `core:num_channels`, `core:sample_rate`, `captures[].core:datetime`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.messages import parse_utc, utc_text
from edge.weighing.repeated_scans import copies

_BLOCK_SCANS = 1 << 15
_LATEST_NS = parse_utc("9000-01-01T00:00:00Z")  # a recording from after it runs beyond the last year


class RecordingError(Exception):
    """A recording cannot be read; the text names the file, what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Capture:
    """A stretch of a recording without a gap: `first_scan` in the file, `time_ns` of that scan."""

    first_scan: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that was found readable. `lane` is set where the recording says which lane it was made in."""

    meta_path: Path
    data_path: Path
    channels: int
    rate_hz: float
    scans: int
    captures: tuple[Capture, ...]
    lane: str | None
    damage: str | None  # what is wrong with it, where it can be read all the same

    def time_ns(self, scan: int) -> int:
        """UTC of a scan, by the capture that it is in."""
        capture = max((c for c in self.captures if c.first_scan <= scan), key=lambda c: c.first_scan)
        return capture.time_ns + round((scan - capture.first_scan) / self.rate_hz * 1e9)

    @property
    def name(self) -> str:
        return self.meta_path.name.removesuffix(".sigmf-meta")


def open_recording(path: Path) -> Recording:
    """Look at a recording, given by its meta file, its data file or its name without ending.

    Raises RecordingError when it cannot be read.
    """
    base = path.with_name(path.name.removesuffix(".sigmf-meta").removesuffix(".sigmf-data"))
    meta_path, data_path = base.with_name(base.name + ".sigmf-meta"), base.with_name(base.name + ".sigmf-data")
    try:
        meta = json.loads(meta_path.read_bytes())
        size = data_path.stat().st_size
        data_path.open("rb").close()
    except OSError as error:
        missing = error.filename or meta_path
        raise RecordingError(
            f"{missing}: cannot be read ({error.strerror}); a recording is a pair of .sigmf-meta and .sigmf-data"
        ) from None
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{meta_path}: is not JSON ({error}); record again, or mend it") from None
    facts = _object(_object(meta, "the file", meta_path).get("global"), "global", meta_path)
    datatype = facts.get("core:datatype")
    if datatype != "ri16_le":
        raise RecordingError(f"{meta_path}: core:datatype is {datatype!r}; only ri16_le (16-bit integers) can be read")
    channels = facts.get("core:num_channels", 1)
    if not isinstance(channels, int) or not 1 <= channels <= 128:
        raise RecordingError(f"{meta_path}: core:num_channels is {channels!r}; it must be 1 .. 128")
    rate_hz = facts.get("core:sample_rate")
    if not isinstance(rate_hz, int | float) or not 5 <= rate_hz <= 1e6:
        raise RecordingError(f"{meta_path}: core:sample_rate is {rate_hz!r}; it must be 5 .. 1000000 Hz")
    scans, rest = divmod(size, 2 * channels)
    if scans == 0:
        raise RecordingError(f"{data_path}: holds no whole scan of {channels} channels ({size} bytes); record again")
    lane = facts.get("borderflow:lane")
    damage = None
    if rest:
        damage = (
            f"{data_path}: is cut short, {rest} bytes are left after {scans} scans of {channels} channels; "
            "what is whole was used, copy the file again"
        )
    return Recording(
        meta_path=meta_path,
        data_path=data_path,
        channels=channels,
        rate_hz=float(rate_hz),
        scans=scans,
        captures=_captures(meta.get("captures"), scans, meta_path),
        lane=lane if isinstance(lane, str) else None,
        damage=damage,
    )


def _object(value: Any, what: str, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RecordingError(f"{path}: {what} is no JSON object; it is not a SigMF file")
    return value


def _captures(value: Any, scans: int, path: Path) -> tuple[Capture, ...]:
    if not isinstance(value, list) or not value:
        raise RecordingError(f"{path}: captures is empty; the start of the recording is not known")
    captures: list[Capture] = []
    for i, item in enumerate(value):
        capture = _object(item, f"captures[{i}]", path)
        first, when = capture.get("core:sample_start", 0), capture.get("core:datetime")
        if not isinstance(first, int) or first < 0:
            raise RecordingError(f"{path}: captures[{i}] core:sample_start is {first!r}; it must be a scan number")
        if capture.get("core:header_bytes"):
            raise RecordingError(f"{path}: captures[{i}] has core:header_bytes; only plain samples can be read")
        try:
            time_ns = parse_utc(str(when))
            if time_ns > _LATEST_NS:
                raise ValueError("no time of a recording")
        except (TypeError, ValueError):
            raise RecordingError(
                f"{path}: captures[{i}] core:datetime is {when!r}; write the start as 2026-11-24T05:22:17.123456Z"
            ) from None
        if captures and (first <= captures[-1].first_scan or time_ns <= captures[-1].time_ns):
            raise RecordingError(f"{path}: captures[{i}] begins before the one ahead of it; time goes back")
        if first < scans:
            captures.append(Capture(first, time_ns))
    if not captures:
        raise RecordingError(
            f"{path}: captures[0] begins after the {scans} scans that there are; copy both files again, or mend it"
        )
    return tuple(captures)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Scans [first_scan, end_scan) of a recording that belong together; `why` says what stands before them."""

    first_scan: int
    end_scan: int
    time_ns: int
    why: str | None


def stretches(recording: Recording) -> list[Stretch]:
    """What a recording holds without gaps and without copies of itself, in order."""
    data = _data(recording)
    found: list[Stretch] = []
    ends = [capture.first_scan for capture in recording.captures[1:]] + [recording.scans]
    for i, (capture, end) in enumerate(zip(recording.captures, ends, strict=True)):
        first, why = capture.first_scan, None
        if i == 0 and first > 0:
            why = f"the {first} scans before captures[0] have no time and were left out"
        elif i > 0:
            missing_s = (capture.time_ns - recording.time_ns(first - 1)) / 1e9 - 1 / recording.rate_hz
            if missing_s > 0.5 / recording.rate_hz:
                why = f"captures[{i}] begins after a gap of {missing_s:.3f} s"
        for copy, after in copies(data, first, end):
            if copy > first:
                found.append(Stretch(first, copy, recording.time_ns(first), why))
            why = f"scans {copy} to {after - 1} are a copy of scans before them and were left out"
            first = after
        if first < end:
            found.append(Stretch(first, end, recording.time_ns(first), why))
    return found


def blocks(recording: Recording) -> Iterator[tuple[Stretch, npt.NDArray[np.int16]]]:
    """The samples in order, each with its stretch: int16 arrays of shape (scans, channels), read-only."""
    data = _data(recording)
    for stretch in stretches(recording):
        for first in range(stretch.first_scan, stretch.end_scan, _BLOCK_SCANS):
            yield stretch, data[first : min(first + _BLOCK_SCANS, stretch.end_scan)]


def _data(recording: Recording) -> npt.NDArray[np.int16]:
    return np.memmap(recording.data_path, "<i2", "r", shape=(recording.scans, recording.channels))


class Writer:
    """Writes a recording while it is made; the meta file is there from the first moment."""

    def __init__(self, base: Path, *, channels: int, rate_hz: float, lane: str, description: str = "") -> None:
        self._meta_path = base.with_name(base.name + ".sigmf-meta")
        self._data = base.with_name(base.name + ".sigmf-data").open("xb")
        self._channels, self._rate_hz = channels, rate_hz
        self._scans = 0
        self._captures: list[dict[str, Any]] = []
        self._global = {
            "core:version": "1.2.0",
            "core:datatype": "ri16_le",
            "core:num_channels": channels,
            "core:sample_rate": rate_hz,
            "core:description": description,
            "core:extensions": [{"name": "borderflow", "version": "1.0.0", "optional": True}],
            "borderflow:lane": lane,
        }

    def capture(self, time_ns: int) -> None:
        """A stretch without a gap begins with the next scan, at `time_ns`."""
        self._captures.append({"core:sample_start": self._scans, "core:datetime": utc_text(time_ns)})
        self._write_meta()

    def write(self, samples: npt.NDArray[np.int16]) -> None:
        """Append scans, int16 of shape (scans, channels)."""
        self._data.write(np.ascontiguousarray(samples, "<i2").tobytes())
        self._scans += len(samples)

    def close(self) -> None:
        self._data.flush()
        os.fsync(self._data.fileno())
        self._data.close()
        self._write_meta()

    def _write_meta(self) -> None:
        meta = {"global": self._global, "captures": self._captures, "annotations": []}
        self._meta_path.write_text(json.dumps(meta, indent=2) + "\n")
