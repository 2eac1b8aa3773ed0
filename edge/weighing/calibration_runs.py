"""Reference runs to changes of the configuration: recordings and known static loads in, changes with their grounds out.

Called by edge/commands/calibrate.py. The recordings go through the same core as the daemon; what it weighed is
paired with the references, and edge/weighing/calibration.py finds the factor of each sensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from edge import config as cfg
from edge.core import Wim, WimVehicle
from edge.messages import utc_text
from edge.weighing.calibration import CalibrationError, Floats, LineFit, fit_line
from edge.weighing.conformity.pairing import BY_HAND_WINDOW_S, Pair, clock_hint, clock_shift_s, pair
from edge.weighing.conformity.records import AxleRecord, VehicleRecord
from edge.weighing.recording import Recording, RecordingError, Stretch, blocks, open_recording

_NAN: Final = float("nan")
_SURE: Final = 2.0  # a factor that differs from 1 by fewer standard deviations changes nothing
_SAME_LINE_M: Final = 0.02
_MOST_NAMED: Final = 5  # references without a passage, by their times
_HARMLESS: Final = {"unequal_lines", "spacing_uncertain"}
"""Flags that say nothing against the loads: gains that are off look like the first, distances are no weights."""
_PLAUSIBLE: Final = (0.5, 2.0)  # a factor outside means a wrong channel, unit or reference, not a calibration


@dataclass(frozen=True, slots=True)
class Unit:
    """Sensors that get one factor; `index` is the place of a single sensor in the table, None for several."""

    name: str
    sensors: tuple[str, ...]
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One key of one sensor. `note` says what it rests on."""

    lane: str
    sensor: str
    key: str
    old: float
    new: float
    note: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What the runs say of one unit of one lane."""

    lane: str
    unit: Unit
    factor: float
    sigma: float
    fit: LineFit

    @property
    def significant(self) -> bool:
        return abs(self.factor - 1.0) > _SURE * self.sigma

    @property
    def text(self) -> str:
        verdict = "" if self.significant else "; unchanged, within its uncertainty"
        return (
            f"lane {self.lane} {self.unit.name}: factor {self.factor:.4f} ± {2 * self.sigma:.4f} (2 sigma), "
            f"{self.fit.rows} axles of {self.fit.runs} runs, scatter {100 * self.fit.scatter:.1f} %{verdict}"
        )


@dataclass(frozen=True, slots=True)
class Runs:
    """What the recordings of a lane hold of the reference vehicles; `measured` are all vehicles in them."""

    pairs: list[Pair]
    measured: list[VehicleRecord]


def without_passage(references: Sequence[VehicleRecord], runs_of_lane: dict[str, Runs]) -> list[VehicleRecord]:
    """The references that no recording holds."""
    paired = {id(item.truth) for runs in runs_of_lane.values() for item in runs.pairs}
    return [vehicle for vehicle in references if id(vehicle) not in paired]


def references_found(references: Sequence[VehicleRecord], runs_of_lane: dict[str, Runs]) -> str:
    """How many references found their passage, which did not, and what their clock may have to do with it."""
    missed = without_passage(references, runs_of_lane)
    text = f"{len(references) - len(missed)} of {len(references)} references found their passage"
    if not missed:
        return text
    named = ", ".join(f"{vehicle.time} ({vehicle.lane or 'any lane'})" for vehicle in missed[:_MOST_NAMED])
    more = f" and {len(missed) - _MOST_NAMED} more" if len(missed) > _MOST_NAMED else ""
    text += f", {len(missed)} found none: {named}{more}; compare their times, lanes and zones"
    if 2 * len(missed) <= len(references):
        return text
    for lane, runs in runs_of_lane.items():
        mine = [vehicle for vehicle in missed if vehicle.lane in (None, lane)]
        shift_s = clock_shift_s(mine, runs.measured)
        if shift_s is not None:
            return f"{text}; lane {lane}: {clock_hint(shift_s)}"
    return text


def from_reference(
    config: cfg.Config, pairs_of_lane: dict[str, list[Pair]], found: str | None = None
) -> tuple[list[str], list[Change]]:
    """Notes and changes for each lane with runs; `found` is what `references_found` says.

    CalibrationError when the runs do not suffice.
    """
    notes: list[str] = [found] if found is not None else []
    changes: list[Change] = []
    if not any(pairs_of_lane.values()):
        raise CalibrationError(
            f"no reference vehicle was found in the recordings{'' if found is None else f': {found}'}"
        )
    for lane_id, pairs in pairs_of_lane.items():
        lane: cfg.Lane = cfg.named(config.lane, lane_id)
        if not pairs or lane.wim is None:
            continue
        if spoiled := sum(not _usable(item) for item in pairs):
            notes.append(
                f"lane {lane_id}: {spoiled} of {len(pairs)} passages left out: flagged, or with other axles than their "
                "reference"
            )
        every = all(axle.sensors_kg is not None for item in pairs for axle in item.measured.axles)
        for units in by_line(lane.wim) if every else by_side(lane.wim):
            try:
                fit = fit_units(units, pairs, lane.wim)
            except CalibrationError as error:
                raise CalibrationError(f"lane {lane_id} {', '.join(unit.name for unit in units)}: {error}") from None
            for k, unit in enumerate(units):
                finding = Finding(lane_id, unit, float(fit.factor[k]), float(fit.sigma[k]), fit)
                notes.append(finding.text)
                changes.extend(_gain_changes(finding, lane.wim))
            changes.extend(_temperature_changes(lane_id, units, lane.wim, fit, notes))
    return notes, changes


def by_line(wim: cfg.Wim) -> list[tuple[Unit, ...]]:
    """Every sensor a unit of its own, those that stand on one line together, from left to right."""
    scales = [(index, sensor) for index, sensor in enumerate(wim.sensor) if sensor.type != "loop"]
    scales.sort(key=lambda item: item[1].x_m)
    lines: list[list[tuple[int, cfg.Sensor]]] = []
    for index, sensor in scales:
        if lines and sensor.x_m - lines[-1][-1][1].x_m < _SAME_LINE_M:
            lines[-1].append((index, sensor))
        else:
            lines.append([(index, sensor)])
    return [
        tuple(Unit(s.name, (s.name,), index) for index, s in sorted(line, key=lambda item: item[1].y_m or (0.0, 0.0)))
        for line in lines
    ]


def by_side(wim: cfg.Wim) -> list[tuple[Unit, ...]]:
    """All left halves one unit and all right halves the other; without halves all sensors one.

    For runs that do not say what each sensor weighed: the two sides of an axle are means over the lines.
    """
    scales = [sensor for sensor in wim.sensor if sensor.type != "loop"]
    spans = [sensor.y_m for sensor in scales]
    known = [span for span in spans if span is not None]
    if len(known) < len(spans):
        return [(Unit("whole width", tuple(sensor.name for sensor in scales)),)]
    middle = (min(low for low, _ in known) + max(high for _, high in known)) / 2
    left = tuple(s.name for s, (low, high) in zip(scales, known, strict=True) if high <= middle + 0.05)
    right = tuple(s.name for s, (low, high) in zip(scales, known, strict=True) if low >= middle - 0.05)
    if len(left) + len(right) != len(scales) or not left or not right:
        return [(Unit("whole width", tuple(sensor.name for sensor in scales)),)]
    return [(Unit("left", left), Unit("right", right))]


def fit_units(units: Sequence[Unit], pairs: Sequence[Pair], wim: cfg.Wim) -> LineFit:
    """Fit one line from the pairs of its lane. CalibrationError when they do not suffice."""
    loads: list[list[float]] = []
    reference: list[float] = []
    wheels: list[list[float]] = []
    runs: list[int] = []
    degrees: list[float] = []
    for index, item in enumerate(pairs):
        if not _usable(item):
            continue
        seen = [_seen_kg(axle, units) for axle in item.measured.axles]
        if item.truth.axles:
            loads += seen
            reference += [axle.load_kg for axle in item.truth.axles]
            wheels += [_sides_kg(axle, units) for axle in item.truth.axles]
        else:
            loads.append([sum(column) for column in zip(*seen, strict=True)])
            reference.append(item.truth.weight_kg)
            wheels.append([_NAN] * len(units))
        runs += [index] * (len(loads) - len(runs))
        temperature_c = item.truth.temperature_c
        degrees += [_NAN if temperature_c is None else temperature_c] * (len(loads) - len(degrees))
    if not loads:
        raise CalibrationError(
            f"none of {len(pairs)} runs is usable: each has a flag or another number of axles than its reference"
        )
    temperature = np.array(degrees, dtype=np.float64)
    wheel_reference: Floats = np.array(wheels, dtype=np.float64)
    return fit_line(
        np.array(loads, dtype=np.float64),
        np.array(reference, dtype=np.float64),
        np.array(runs, dtype=np.int64),
        wheel_reference_kg=wheel_reference if np.isfinite(wheel_reference).all() else None,
        temperature_c=temperature if np.isfinite(temperature).all() else None,
        reference_temperature_c=_first_scale(wim).reference_temperature_c,
    )


def _usable(item: Pair) -> bool:
    return not set(item.measured.flags) - _HARMLESS and (item.same_axles or not item.truth.axles)


def _seen_kg(axle: AxleRecord, units: Sequence[Unit]) -> list[float]:
    """What each unit weighed of an axle; NaN where it did not."""
    if axle.sensors_kg is not None and all(unit.index is not None for unit in units):
        found = [axle.sensors_kg[unit.index] for unit in units if unit.index is not None]
        return [_NAN if load_kg is None else load_kg for load_kg in found]
    return [axle.load_kg] if len(units) == 1 else _sides_kg(axle, units)


def _sides_kg(axle: AxleRecord, units: Sequence[Unit]) -> list[float]:
    """Left and right load where there are two units and both are known; else NaN."""
    if len(units) != 2 or axle.left_kg is None or axle.right_kg is None:
        return [_NAN] * len(units)
    return [axle.left_kg, axle.right_kg]


def _first_scale(wim: cfg.Wim) -> cfg.Sensor:
    return next(sensor for sensor in wim.sensor if sensor.type != "loop")


def _gain_changes(finding: Finding, wim: cfg.Wim) -> Iterator[Change]:
    if not _PLAUSIBLE[0] <= finding.factor <= _PLAUSIBLE[1]:
        raise CalibrationError(
            f"lane {finding.lane} {finding.unit.name}: the factor would be {finding.factor:.3f}; that is no "
            "calibration: check channels, gain_n, units and that the reference belongs to these runs"
        )
    if not finding.significant:
        return
    for name in finding.unit.sensors:
        sensor: cfg.Sensor = cfg.named(wim.sensor, name)
        assert sensor.gain_n is not None
        new = float(f"{sensor.gain_n * finding.factor:.6g}")
        yield Change(finding.lane, name, "gain_n", sensor.gain_n, new, finding.text)


def _temperature_changes(
    lane: str, units: Sequence[Unit], wim: cfg.Wim, fit: LineFit, notes: list[str]
) -> Iterator[Change]:
    if fit.temp_coeff is None or fit.temp_sigma is None:
        return
    sure = abs(fit.temp_coeff) > _SURE * fit.temp_sigma
    note = (
        f"lane {lane} {', '.join(unit.name for unit in units)}: sensitivity changes by {100 * fit.temp_coeff:+.3f} ± "
        f"{200 * fit.temp_sigma:.3f} % for one degree beyond what is configured"
        f"{'' if sure else '; unchanged, within its uncertainty'}"
    )
    notes.append(note)
    if sure:
        for unit in units:
            for name in unit.sensors:
                sensor: cfg.Sensor = cfg.named(wim.sensor, name)
                old = sensor.temp_coeff_per_c
                yield Change(lane, name, "temp_coeff_per_c", old, float(f"{old + fit.temp_coeff:.4g}"), note)


def weighing_lanes(config: cfg.Config) -> list[str]:
    """Lanes with sensors."""
    return [lane.id for lane in config.lane if lane.wim is not None]


def weigh_runs(
    config: cfg.Config,
    lane_id: str,
    paths: Sequence[Path],
    references: Sequence[VehicleRecord],
    *,
    window_s: float = BY_HAND_WINDOW_S,
) -> Runs:
    """Weigh the recordings of a lane and pair what was found with the references."""
    lane: cfg.Lane = cfg.named(config.lane, lane_id)
    lanes = weighing_lanes(config)
    measured: list[VehicleRecord] = []
    for path in paths:
        recording = open_recording(path)
        if len(lanes) > 1 and recording.lane is None:
            raise RecordingError(f"{recording.meta_path}: does not say its lane (borderflow:lane); calibrate one lane")
        if recording.lane in (None, lane_id):
            measured.extend(_weigh(lane, recording, references))
    mine = [vehicle for vehicle in references if vehicle.lane in (None, lane_id)]
    return Runs(list(pair(mine, measured, window_s=window_s).pairs), measured)


def _weigh(lane: cfg.Lane, recording: Recording, references: Sequence[VehicleRecord]) -> Iterator[VehicleRecord]:
    """Vehicles of a recording, weighed at the temperature that the references give for its time."""
    assert lane.wim is not None
    table = msgspec.structs.replace(lane.wim, sample_rate_hz=recording.rate_hz)  # what the digitiser's clock truly made
    wim: Wim | None = None
    current: Stretch | None = None
    start_ns = 0
    for stretch, samples in blocks(recording):
        if stretch is not current:
            if wim is not None:
                yield from (_record(found, start_ns, recording.rate_hz, lane.id) for found in wim.finish())
            wim, current, start_ns = Wim(table), stretch, stretch.time_ns
            wim.set_temperature(_temperature(table, start_ns, references))
        assert wim is not None
        yield from (_record(found, start_ns, recording.rate_hz, lane.id) for found in wim.push(samples))
    if wim is not None:
        yield from (_record(found, start_ns, recording.rate_hz, lane.id) for found in wim.finish())


def _temperature(wim: cfg.Wim, start_ns: int, references: Sequence[VehicleRecord]) -> float:
    """Temperature of the first reference at or after the start; the configured one where none is given."""
    later = [v for v in references if v.temperature_c is not None and v.time_ns >= start_ns]
    first = min(later, key=lambda vehicle: vehicle.time_ns, default=None)
    return wim.temperature_c if first is None or first.temperature_c is None else first.temperature_c


def _record(found: WimVehicle, start_ns: int, rate_hz: float, lane: str) -> VehicleRecord:
    axles = tuple(
        AxleRecord(
            position_m=a.position_m,
            load_kg=a.load_kg,
            sigma_kg=a.sigma_kg,
            left_kg=a.left_kg,
            right_kg=a.right_kg,
            sensors_kg=a.sensor_kg or None,
        )
        for a in found.axles
    )
    time = utc_text(start_ns + round(found.first_axle_scan / rate_hz * 1e9))
    return VehicleRecord(time=time, axles=axles, lane=lane, flags=found.flags)
