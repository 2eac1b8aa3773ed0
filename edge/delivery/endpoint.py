"""A broker as the configuration names it, and what is needed to get in: TLS and a password from their files.

In: a table of the configuration, or a URL; out: an `Endpoint`, or a `LinkError` that names the unusable file.
Called by all that speak MQTT: `edge.delivery.mqtt`, the collector's feed, `watch`, and `check`, which only tries.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from drivers.secrets import credential_file
from edge.config import Collector, SiteExchange

Trouble = Literal[
    "configuration",
    "unreachable",
    "certificate",
    "refused",
    "duplicate",
    "quota",
    "protocol",
    "silent",
    "lost",
    "unheard",
]


class LinkError(Exception):
    """The connection failed or ended; `trouble` is the class of the reason, the text names it and the remedy."""

    def __init__(self, trouble: Trouble, text: str) -> None:
        super().__init__(text)
        self.trouble: Trouble = trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to connect and as whom."""

    host: str
    port: int
    tls: bool
    client_id: str
    protocol: Literal[5, 4] = 5
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    username: str | None = None
    password_file: str | None = None

    @staticmethod
    def of(url: str, client_id: str, **options: Any) -> Endpoint:
        """From `mqtt://host:port` or `mqtts://host:port`; ValueError says what does not fit."""
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError(f"{url!r} does not fit; write mqtts://host:8883 or mqtt://host:1883")
        tls = parts.scheme == "mqtts"
        port = parts.port or (8883 if tls else 1883)
        return Endpoint(host=parts.hostname, port=port, tls=tls, client_id=client_id, **options)

    @staticmethod
    def configured(table: Collector | SiteExchange, client_id: str) -> Endpoint:
        """From a table of the configuration, files as systemd hands them over; ValueError says what does not fit."""

        def handed(file: str | None) -> str | None:
            return None if file is None else str(credential_file(file))

        return Endpoint.of(
            table.url,
            client_id,
            protocol=table.protocol,
            ca_file=handed(table.ca_file),
            cert_file=handed(table.cert_file),
            key_file=handed(table.key_file),
            username=table.username,
            password_file=handed(table.password_file),
        )

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


def password_of(end: Endpoint) -> str | None:
    """What is in the password file; LinkError where it cannot be used."""
    if end.password_file is None:
        return None
    try:
        return Path(end.password_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _file_error("password_file", end.password_file, error, "a text file with the password alone") from None


def tls_context(end: Endpoint) -> ssl.SSLContext:
    """TLS 1.2 or better with the files of the endpoint; LinkError names the file that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=end.ca_file)
    except OSError as error:
        raise _file_error("ca_file", end.ca_file, error, "a PEM file with the certificate authority") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if end.cert_file is not None:
        for name, file in (("cert_file", end.cert_file), ("key_file", end.key_file)):
            if file is not None and not Path(file).is_file():
                raise LinkError("configuration", f"{name} {file} does not exist; put it there or correct {name}")
        try:
            context.load_cert_chain(end.cert_file, end.key_file, password=lambda: "")
        except ssl.SSLError as error:
            text = (
                f"key_file {end.key_file} does not belong to cert_file {end.cert_file}; give a matching pair"
                if "MISMATCH" in str(error)
                else f"cert_file {end.cert_file} with key_file {end.key_file} cannot be used ({error}); "
                "give a PEM certificate and its PEM key without a password"
            )
            raise LinkError("configuration", text) from None
        except OSError as error:
            raise _file_error("key_file", end.key_file or end.cert_file, error, "the PEM key") from None
    return context


def _file_error(key: str, file: str | None, error: Exception, what: str) -> LinkError:
    reason = getattr(error, "strerror", None) or str(error)
    return LinkError("configuration", f"{key} {file} cannot be used ({reason}); give {what}")
