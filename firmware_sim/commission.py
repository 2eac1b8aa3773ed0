"""A scenario in, the text of the daemon's configuration (TOML) out; called by `record`, by `serve` and by tests.

This is what an engineer would write on site: what is known of the crossing, and nothing of the truth (gain errors,
clock errors and weather stay in the simulator).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from firmware_sim.scenario import Scenario


def configuration(
    scenario: Scenario,
    *,
    endpoints: Mapping[str, tuple[str, Mapping[str, Any]]] | None = None,
    collectors: tuple[Mapping[str, Any], ...] = (),
    identity_key_file: Path | None = None,
    store_path: Path | None = None,
) -> str:
    """TOML text of a configuration for `scenario`.

    `endpoints` maps a device's name to (url, options of its driver); a device that is not in it is left out, and
    without it all are (that is what `replay` and `wait` need).
    """
    raise NotImplementedError
