"""A TOML file in, a scenario out; every fault names its file and key. Called by `record` and `serve`.

`load` takes a file or the name of a scenario shipped in `scenarios/`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from firmware_sim.scenario import Lane, Scenario, ScenarioError, layout_sensors
from firmware_sim.scenario.rules import problems

SHIPPED = Path(__file__).parents[1] / "scenarios"


def shipped() -> list[str]:
    """Names of the scenarios that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def load(name_or_path: str | Path) -> Scenario:
    """Read a scenario by file or by shipped name. Raises ScenarioError."""
    path = Path(name_or_path)
    if not path.is_file():
        inside = SHIPPED / f"{name_or_path}.toml"
        if not inside.is_file():
            raise ScenarioError(
                f"{name_or_path}: no such file, and no shipped scenario; there are: {', '.join(shipped())}"
            )
        path = inside
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read: {error}") from error
    return parse(text, str(path), name=path.stem)


def parse(text: str, source: str = "scenario", name: str = "unnamed") -> Scenario:
    """The scenario in a TOML text; `source` names it in errors. Raises ScenarioError."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{source}: not valid TOML: {error}") from error
    data.setdefault("name", name)
    if isinstance(data.get("fault"), list):
        data["fault"] = [_gather_options(row) for row in data["fault"]]
    try:
        scenario = msgspec.convert(data, Scenario)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `")
        key = where.rstrip("`").removeprefix("$").removeprefix(".") or "top level"
        raise ScenarioError(f"{source}: {key}: {what}") from error
    scenario = msgspec.structs.replace(scenario, lane=tuple(_expanded(lane) for lane in scenario.lane))
    faults = problems(scenario)
    if faults:
        raise ScenarioError("\n".join(f"{source}: {fault}" for fault in faults))
    return scenario


def _gather_options(row: Any) -> Any:
    """A fault table with its further keys moved into `options`."""
    if not isinstance(row, dict) or "options" in row:
        return row
    known = {key: row[key] for key in ("at_s", "for_s", "kind", "device") if key in row}
    return known | {"options": {key: value for key, value in row.items() if key not in known}}


def _expanded(lane: Lane) -> Lane:
    """The lane with the sensors of its layout written out."""
    if lane.wim is None or lane.wim.layout is None or lane.wim.sensor:
        return lane
    sensors = layout_sensors(lane.wim.layout, lane.width_m)
    return msgspec.structs.replace(lane, wim=msgspec.structs.replace(lane.wim, sensor=sensors))
