"""Certificates for a trial: an authority of one's own, a server and the computers, and the rights of a mosquitto.

For a trial alone: the authority's key lies beside the rest. In service an authority of the agency issues them.
"""

from __future__ import annotations

import datetime as dt
import getpass
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAYS = 90

_ACL = """\
# Rights of a trial: each computer its own branch, the collector all.
pattern write borderflow/v1/+/+/%u/#
pattern read borderflow/v1/+/+/%u/_/replay
pattern read borderflow/v1/+/+/%u/_/status

user collector
topic read borderflow/v1/#
topic write borderflow/v1/+/+/+/_/replay
"""
_MOSQUITTO = """\
# mosquitto -c {folder}/mosquitto.conf
# as root it would become the user mosquitto, who may not read these files; other users it leaves as they are
user {user}
listener 8883
cafile {folder}/ca.pem
certfile {folder}/server.pem
keyfile {folder}/server.key
require_certificate true
use_identity_as_username true
allow_anonymous false
acl_file {folder}/acl
"""


def make(folder: Path, computer: str, hosts: Sequence[str] = ("localhost", "127.0.0.1")) -> dict[str, str]:
    """Writes ca, server, `computer` and collector into `folder`, with acl and mosquitto.conf; gives the files of the
    computer, by their keys in a [[collector]]. FileExistsError where an authority is there already."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("borderflow trial")
    _write_key(folder / "ca.key", key)
    authority = _builder(name, name, key.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), True
    )
    (folder / "ca.pem").write_bytes(_pem(authority.sign(key, hashes.SHA256())))
    for who, names in (("server", hosts), (computer, ()), ("collector", ())):
        own = ec.generate_private_key(ec.SECP256R1())
        _write_key(folder / f"{who}.key", own)
        subject = "server" if who == "server" else who
        builder = _builder(_name(subject), name, own.public_key())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(host) for host in names]), False)
        (folder / f"{who}.pem").write_bytes(_pem(builder.sign(key, hashes.SHA256())))
    (folder / "acl").write_text(_ACL)
    (folder / "mosquitto.conf").write_text(_MOSQUITTO.format(folder=folder, user=getpass.getuser()))
    files = {"ca_file": "ca.pem", "cert_file": f"{computer}.pem", "key_file": f"{computer}.key"}
    return {key: str(folder / file) for key, file in files.items()}


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=DAYS))
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    data = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
