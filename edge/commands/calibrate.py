"""`borderflow calibrate`: reference runs in, a change of the configuration out, as a diff for a person to review.

Called by edge/cli.py. Two ways: recordings of vehicles with known static loads (`--reference`), or the steering axles
of trucks that the lane has weighed in operation (`--steering`). Nothing is written without `--write`. Exit 65 for
input that cannot be read or does not suffice.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomlkit

from edge import config as cfg
from edge.commands.accuracy import positive
from edge.config.file import load
from edge.config.signature import signature_file
from edge.core import CoreError
from edge.exit_codes import EXIT_DATA
from edge.weighing.axle_groups import axle_groups
from edge.weighing.calibration import CalibrationError
from edge.weighing.calibration_runs import (
    Change,
    from_reference,
    references_found,
    weigh_runs,
    weighing_lanes,
    without_passage,
)
from edge.weighing.conformity.pairing import BY_HAND_WINDOW_S
from edge.weighing.conformity.records import InputError, VehicleRecord, read_references, read_vehicles
from edge.weighing.recording import RecordingError
from edge.weighing.steering import LEAST_VEHICLES, SteeringWatch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="configuration to calibrate")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help="vehicles with known static loads, a JSON line each: time, lane, axles with load_kg (left_kg, right_kg), "
        "or gross_kg alone, as a static scale gives them; temperature_c where known",
    )
    source.add_argument(
        "--steering",
        type=Path,
        metavar="FILE",
        help="vehicle messages of normal traffic: propose a factor from the steering axles of tractor-semitrailers",
    )
    parser.add_argument("recording", type=Path, nargs="*", help="recordings of the reference runs")
    parser.add_argument(
        "--window-s",
        type=positive,
        default=BY_HAND_WINDOW_S,
        metavar="S",
        help=f"largest time between a reference and its passage (default {BY_HAND_WINDOW_S:g})",
    )
    parser.add_argument("--write", action="store_true", help="apply the change to the configuration file")
    parser.add_argument("--json", action="store_true", help="print JSON instead of notes and a diff")


def run(args: argparse.Namespace) -> int:
    config = load(args.config)
    facts: dict[str, Any] = {}
    try:
        if args.steering is not None:
            notes, changes = from_steering(config, read_vehicles(args.steering))
        else:
            if not args.recording:
                raise InputError("no recording is given; name the recordings of the reference runs")
            references = read_references(args.reference)
            runs = {
                lane: weigh_runs(config, lane, args.recording, references, window_s=args.window_s)
                for lane in weighing_lanes(config)
            }
            found = references_found(references, runs)
            missed = [vehicle.time for vehicle in without_passage(references, runs)]
            facts["references"] = {"given": len(references), "found": len(references) - len(missed), "missed": missed}
            notes, changes = from_reference(config, {lane: of_lane.pairs for lane, of_lane in runs.items()}, found)
    except (InputError, RecordingError, CalibrationError, CoreError) as error:
        print(f"borderflow calibrate: {error}", file=sys.stderr)
        return EXIT_DATA
    before = args.config.read_text(encoding="utf-8")
    after = changed(before, changes)
    if args.json:
        rows = [{name: getattr(change, name) for name in Change.__slots__} for change in changes]
        print(json.dumps(facts | {"notes": notes, "changes": rows}, indent=2))
    else:
        sys.stdout.write("".join(f"# {note}\n" for note in notes))
        name = str(args.config)
        sys.stdout.writelines(difflib.unified_diff(before.splitlines(True), after.splitlines(True), name, name))
    if not changes:
        print("borderflow calibrate: nothing to change", file=sys.stderr)
    elif args.write:
        _replace(args.config, after)
        signed = signature_file(args.config).exists()
        print(
            f"borderflow calibrate: written to {args.config}; "
            f"{'sign it again, for its signature no longer fits; then ' if signed else ''}"
            "`borderflow reload` (systemctl reload borderflow) gives it to the daemon",
            file=sys.stderr,
        )
    else:
        print("borderflow calibrate: not written; review the change, then add --write", file=sys.stderr)
    return 0


# ---- from operation -----------------------------------------------------------------------------


def from_steering(config: cfg.Config, vehicles: Sequence[VehicleRecord]) -> tuple[list[str], list[Change]]:
    """Notes and changes from vehicles weighed in operation, in the order of time; without a lane they count for all."""
    notes: list[str] = []
    changes: list[Change] = []
    for lane in config.lane:
        if lane.wim is None:
            continue
        mine = [vehicle for vehicle in vehicles if vehicle.lane in (None, lane.id)]
        watch = SteeringWatch(config.site.country, window=max(len(mine), LEAST_VEHICLES))
        proposal = None
        for vehicle in mine:
            loads_kg = [axle.load_kg for axle in vehicle.axles]
            positions_m = [axle.position_m for axle in vehicle.axles if axle.position_m is not None]
            groups = axle_groups(positions_m, config.site.country)
            first = vehicle.axles[0]
            proposal = proposal or watch.add(
                loads_kg, groups, left_kg=first.left_kg, right_kg=first.right_kg, clean=not vehicle.flags
            )
        taken = watch.count
        proposal = proposal or watch.close()
        if proposal is None:
            notes.append(f"lane {lane.id}: nothing to propose from {taken} of {len(mine)} vehicles")
            continue
        notes.append(f"lane {lane.id}: {proposal.text}")
        if proposal.about.caution is not None:
            notes.append(f"{proposal.about.caution}. {proposal.about.note}")
        for sensor in lane.wim.sensor:
            if sensor.type != "loop" and sensor.gain_n is not None:
                new = float(f"{sensor.gain_n * proposal.factor:.6g}")
                changes.append(Change(lane.id, sensor.name, "gain_n", sensor.gain_n, new, proposal.text))
    return notes, changes


def changed(text: str, changes: Sequence[Change]) -> str:
    """The configuration's text with the changes; comments and layout stay."""
    document = tomlkit.parse(text)
    for change in changes:
        lane = _named(document["lane"], "id", change.lane)
        _named(lane["wim"]["sensor"], "name", change.sensor)[change.key] = change.new
    return tomlkit.dumps(document)


def _named(tables: Any, key: str, name: str) -> Any:
    return next(table for table in tables if table[key] == name)


def _replace(path: Path, text: str) -> None:
    """Write the file so that at any moment it is the old or the new one, and nothing between."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as new:
        new.write(text)
        new.flush()
        os.fsync(new.fileno())
    as_it_was = path.stat()
    os.chmod(new.name, as_it_was.st_mode & 0o7777)
    with contextlib.suppress(PermissionError):  # who is not root owns what it writes
        os.chown(new.name, as_it_was.st_uid, as_it_was.st_gid)
    os.replace(new.name, path)
