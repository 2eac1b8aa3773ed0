"""A mosquitto as a collector runs it: mutual TLS, each computer on its own branch."""

from __future__ import annotations

from pathlib import Path

from certificates import Authority
from mosquitto import Mosquitto

_RIGHTS = """\
user collector
topic read borderflow/#
topic write borderflow/v1/+/+/+/_/replay
pattern write borderflow/v1/+/+/%u/#
pattern read borderflow/v1/+/+/%u/_/replay
pattern read borderflow/v1/+/+/%u/_/status
"""


def tls_mosquitto(directory: Path, authority: Authority) -> Mosquitto:
    """The common name of a client's certificate is its user name; not started yet."""
    server = authority.issue("broker")
    acl = directory / "acl"
    acl.write_text(_RIGHTS)
    return Mosquitto(
        directory,
        f"cafile {authority.ca_file}\ncertfile {server.cert_file}\nkeyfile {server.key_file}\n"
        f"require_certificate true\nuse_identity_as_username true\nacl_file {acl}",
    )
