"""These start whole brokers and take a minute: `make test-brokers` sets BORDERFLOW_BROKERS."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get("BORDERFLOW_BROKERS"):
        for item in items:
            if item.path.parent.name == "brokers":
                item.add_marker(pytest.mark.skip(reason="run by make test-brokers"))
