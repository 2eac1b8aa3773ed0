"""Property tests try the same examples in each run, so that red means a change; BORDERFLOW_RANDOM=1 tries new ones."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None)
settings.load_profile("random" if os.environ.get("BORDERFLOW_RANDOM") else "repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side every worker begins with its share of what takes longest: real devices and brokers in real time."""
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if item.path.parent.name == "hil"]
    rest = [item for item in items if item.path.parent.name != "hil"]
    size = -(-len(rest) // count)
    shares = [slow[n::count] + rest[n * size : (n + 1) * size] for n in range(count)]
    items[:] = [item for share in shares for item in share]
