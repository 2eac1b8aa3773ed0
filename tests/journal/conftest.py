"""Fixtures: a journal in a temporary directory, certificates, brokers, publishers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import Authority
from mosquitto import MOSQUITTO, Mosquitto
from tls_broker import tls_mosquitto

from edge.delivery.journal import Journal
from edge.messages import KINDS


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal.db", 1_000_000_000, time.time_ns)
    yield made
    made.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    made = Mosquitto(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def tls_broker(tmp_path: Path, authority: Authority) -> Iterator[Mosquitto]:
    """Mutual TLS; the common name of the client is its user name, and it may publish on its own branch only."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    made = tls_mosquitto(tmp_path, authority)
    made.start()
    yield made
    made.kill()


ALL = tuple(KINDS)
