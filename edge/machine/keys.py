"""Whether the keys and certificates of a configuration can be used: files in, faults with their lines out.

Called by `borderflow check` on the computer where the files are. The daemon finds the same when it uses them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from drivers.secrets import credential_file
from edge.config import Collector, Config, Faults, SiteExchange
from edge.delivery.endpoint import Endpoint, LinkError, tls_context
from edge.delivery.evidence import Signer
from edge.delivery.identity import IdentityError, read_secret
from edge.delivery.sealing import Sealer
from edge.machine.name import source_name

_RENEW_BEFORE = timedelta(days=30)


def check_keys(config: Config, faults: Faults) -> None:
    """Add a fault for each file that its user would refuse, and a doubt for a connection that cannot come about."""
    _try(lambda: source_name(config), "site", faults)
    if config.identity is not None:
        key_file = Path(config.identity.key_file)
        _try(lambda: read_secret(key_file), "identity.key_file", faults)
    if config.evidence is not None:
        evidence_file = config.evidence.key_file
        _try(lambda: Signer(evidence_file), "evidence.key_file", faults)
    for collector in config.collector:
        _check_identifier_key(collector, faults)
        _check_connection(collector, f"collector[{collector.name}]", faults)
    if config.site_exchange is not None:
        _check_connection(config.site_exchange, "site_exchange", faults)


def _try(use: Callable[[], object], key: str, faults: Faults) -> None:
    try:
        use()
    except IdentityError as error:
        faults.add(key, str(error))


def _check_identifier_key(collector: Collector, faults: Faults) -> None:
    file = collector.identifier_key_file
    if file is not None:
        _try(lambda: Sealer(file), f"collector[{collector.name}].identifier_key_file", faults)


def _check_connection(broker: Collector | SiteExchange, key: str, faults: Faults) -> None:
    end = Endpoint.configured(broker, "check")
    if not end.tls:
        if broker.ca_file is not None or broker.cert_file is not None:
            faults.doubt(f"{key}.url", "is mqtt://, which uses no certificates; write mqtts:// (usually port 8883)")
        return
    if end.port == 1883:
        faults.note(f"{key}.url", "mqtts:// on port 1883, where brokers speak without TLS; is it 8883?")
    try:
        tls_context(end)
    except LinkError as error:
        faults.doubt(key, str(error))
        return
    if broker.cert_file is not None:
        _check_dates(credential_file(broker.cert_file), f"{key}.cert_file", faults)


def _check_dates(file: Path, key: str, faults: Faults) -> None:
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    begins, ends, now = certificate.not_valid_before_utc, certificate.not_valid_after_utc, datetime.now(UTC)
    if now < begins:
        faults.doubt(key, f"{file} is valid from {begins:%Y-%m-%d %H:%M} UTC; is this computer's clock right?")
    elif now > ends:
        faults.doubt(key, f"{file} expired on {ends:%Y-%m-%d}; have a new one issued")
    elif ends - now < _RENEW_BEFORE:
        faults.note(key, f"{file} expires on {ends:%Y-%m-%d}; have a new one issued in time")
