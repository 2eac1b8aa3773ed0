"""A bench with a mosquitto that asks for certificates, a collector, the simulator and the daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import Authority
from mosquitto import MOSQUITTO, Mosquitto


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def broker(tmp_path: Path, authority: Authority) -> Iterator[Mosquitto]:
    """Mutual TLS; each computer may publish on its own branch only."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    server = authority.issue("broker")
    acl = tmp_path / "acl"
    acl.write_text(
        "user collector\ntopic read borderflow/#\ntopic write borderflow/v1/+/+/+/_/replay\n"
        "pattern write borderflow/v1/+/+/%u/#\npattern read borderflow/v1/+/+/%u/_/replay\n"
    )
    made = Mosquitto(
        tmp_path,
        f"cafile {authority.ca_file}\ncertfile {server.cert_file}\nkeyfile {server.key_file}\n"
        f"require_certificate true\nuse_identity_as_username true\nacl_file {acl}",
    )
    made.start()
    yield made
    made.kill()
