"""requirements.lock is what pyproject.toml asks for: pinned, with hashes, and without the name of a package index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
ENTRY = re.compile(r"([a-z0-9-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")


def test_every_line_is_a_pinned_release_with_hashes() -> None:
    assert ENTRY.sub("", LOCK) == ""


def test_what_is_asked_for_is_in_it() -> None:
    pinned = {name: version for name, version, _ in ENTRY.findall(LOCK)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in project["dependencies"]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(pinned[wanted.name]), f"{text}: run `make lock`"
