"""A document that is no JSON, because of something at its side: what a preset asks for, where it stands there once.

A quote in the name of a channel, a comma too many, an end that is missing cost no plate. A key that stands there with
two values is nothing that one could rely on. Called by drivers/json_events.py
and drivers/camera_stream.py.
"""

from __future__ import annotations

import re
from typing import Any

from drivers.json_presets import Preset

_SIMPLE = re.compile(
    r'"([\w .-]{1,40})"\s{0,9}:\s{0,9}(?:"([^"\\\r\n]{0,64})"|(-?\d{1,20}(?:\.\d{1,12})?))(?=\s{0,9}(?:[,}\]\r\n]|\Z))'
)


def mended(text: str, preset: Preset) -> dict[str, Any]:
    """A document that the preset can read, made of what could be found; empty where that is nothing."""
    found: dict[str, set[str]] = {}
    for key, value, number in _SIMPLE.findall(text):
        found.setdefault(key, set()).add(value or number)
    once = {key: values.pop() for key, values in found.items() if len(values) == 1}
    document: dict[str, Any] = {}
    entry: dict[str, Any] = {} if preset.each else document
    for path in _paths(preset):
        keys = path.removeprefix("base64:").removeprefix("/").split(".")
        if keys[-1] in once:
            _put(document if path.startswith("/") else entry, keys, once[keys[-1]])
    if preset.each and entry:
        _put(document, preset.each.split("."), [entry])
    return document


def _paths(preset: Preset) -> list[str]:
    fields = (preset.plate, preset.tag, preset.country, preset.confidence, preset.time, preset.identity)
    others = (preset.antenna, preset.rssi, preset.car, preset.state, (preset.only[0],) if preset.only else ())
    return [path for paths in (*fields, *others) for path in paths]


def _put(table: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = table.setdefault(key, {})
        if not isinstance(inner, dict):
            return
        table = inner
    table.setdefault(keys[-1], value)
