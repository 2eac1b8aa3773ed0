"""Which configurations this computer takes: any, or only what is signed and not older than what ran before.

Called by the daemon at its start and at a reload, and by `borderflow check`.
"""

from __future__ import annotations

from pathlib import Path

from edge.config import Config, Faults
from edge.config.file import load_trusted
from edge.config.signature import Highest, Trust


class Admission:
    """For the configuration at `path`; `trust`: see `Trust.of`."""

    def __init__(self, path: Path, trust: Path | None) -> None:
        self.path, self._trust_file = path, trust
        self.found = Faults(path)  # doubts and notes about the loaded configuration
        self.version: int | None = None  # that the loaded configuration was signed as; None where that is not required

    def load(self) -> Config:
        """The configuration as it is now; ConfigError where it has faults or is not admitted."""
        config, self.version, self.found = load_trusted(self.path, Trust.of(self.path, self._trust_file))
        if self.version is not None:
            Highest(Path(config.store.path)).check(self.path, self.version)
        return config

    def keep(self, config: Config) -> None:
        """It runs: from now on nothing older is taken."""
        if self.version is not None:
            Highest(Path(config.store.path)).keep(self.version)
