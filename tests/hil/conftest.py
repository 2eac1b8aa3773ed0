"""A bench with a mosquitto that asks for certificates, a collector, the simulator and the daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import Authority
from mosquitto import MOSQUITTO, Mosquitto
from tls_broker import tls_mosquitto


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def broker(tmp_path: Path, authority: Authority) -> Iterator[Mosquitto]:
    """Mutual TLS; each computer may publish on its own branch only."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    made = tls_mosquitto(tmp_path, authority)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def plain_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Beside the other one: without certificates."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    (tmp_path / "plain").mkdir()
    made = Mosquitto(tmp_path / "plain")
    made.start()
    yield made
    made.kill()
