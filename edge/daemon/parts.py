"""The parts of a configuration, and what a changed one changes: which parts of the daemon end and begin.

Called by the daemon at its start and when it is told to reload. A part is what the daemon runs as a task of its own, or
a table that one of these uses; it stays as long as its table and the contents of the files that the table names are the
same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from drivers.secrets import credential_file
from edge import config as cfg

RESTARTS = ("site", "store", "identity")  # tables that a new process alone takes
EXCHANGE, EVIDENCE = "site exchange", "evidence"


def device_part(name: str) -> str:
    return f"device {name}"


def collector_part(name: str) -> str:
    return f"collector {name}"


Parts = Mapping[str, object]  # by name of the part: equal while the part is the same


def parts_of(config: cfg.Config, source: str) -> Parts:
    """The parts that a configuration makes, with the files as they are now; `source` names the publishing computer."""
    found: dict[str, cfg.Table | None] = {name: getattr(config, name) for name in RESTARTS}
    found["site"] = msgspec.structs.replace(config.site, source=source)
    found |= {f"lane {lane.id}": lane for lane in config.lane}
    found |= {f"point {point.name}": point for point in config.point}
    found |= {device_part(device.name): device for device in config.device}
    found |= {collector_part(collector.name): collector for collector in config.collector}
    found |= {EXCHANGE: config.site_exchange, EVIDENCE: config.evidence, "wait": config.wait}
    return {name: (table, _contents(msgspec.to_builtins(table))) for name, table in found.items() if table is not None}


def _contents(values: Any) -> tuple[tuple[str, str], ...]:
    """What is in the files that a table names: keys and certificates are renewed under the same name."""
    if not isinstance(values, dict):
        return ()
    found = [item for value in values.values() for item in _contents(value)]
    for key, value in values.items():
        if key.endswith("_file") and isinstance(value, str):
            try:
                found.append((key, hashlib.sha256(credential_file(value).read_bytes()).hexdigest()))
            except OSError:
                found.append((key, ""))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Change:
    """Names of parts."""

    ended: tuple[str, ...]
    begun: tuple[str, ...]

    @property
    def restarts(self) -> tuple[str, ...]:
        """Tables of the file that need a new process."""
        return tuple(name for name in RESTARTS if name in (*self.ended, *self.begun))

    @property
    def said(self) -> list[str]:
        """In words, a line each."""
        lines = [f"{name}: {'changed' if name in self.begun else 'gone'}" for name in self.ended]
        return lines + [f"{name}: new" for name in self.begun if name not in self.ended] or ["nothing has changed"]


def change(before: Parts, after: Parts) -> Change:
    """A part that is otherwise now both ends and begins."""
    return Change(
        ended=tuple(name for name, what in before.items() if after.get(name) != what),
        begun=tuple(name for name, what in after.items() if before.get(name) != what),
    )
