"""The locks are what pyproject.toml asks for: pinned, with hashes, and without the name of a package index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-3.12.lock")  # Python 3.11, and later ones
ENTRY = re.compile(r"([a-z0-9-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_a_pinned_release_with_hashes(lock: str) -> None:
    assert ENTRY.sub("", (ROOT / lock).read_text()) == ""


@pytest.mark.parametrize("lock", LOCKS)
def test_what_is_asked_for_is_in_it(lock: str) -> None:
    pinned = {name: version for name, version, _ in ENTRY.findall((ROOT / lock).read_text())}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in (*project["dependencies"], *project["optional-dependencies"]["pages"]):
        wanted = Requirement(text)
        assert wanted.specifier.contains(pinned[wanted.name]), f"{text}: run `make lock`"
