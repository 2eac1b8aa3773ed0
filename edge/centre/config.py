"""What `borderflow collect` is told: a file of TOML or the words of its command line, checked. Called by the command.

into = "postgresql://centre@db.example/borderflow"    # or a file, for SQLite
metrics = "127.0.0.1:9101"                            # /metrics for Prometheus; without it none
keep_months = 36                                      # PostgreSQL: older months go; without it they stay

[[broker]]
url = "mqtts://broker.example:8883"                   # or the nodes of a NATS cluster, a table each: nats://…
protocol = 5                                          # 5 | 4 (MQTT 3.1.1)
client_id = "centre-1"                                # name of the session; without it that of the database
share = "centre"                                      # shared by all collectors that say so; each has its own client_id
ca_file = "…"; cert_file = "…"; key_file = "…"

[[site]]                                              # where a crossing does not say its time zone itself
country = "CA"
port = "0453"
timezone = "America/Toronto"
name = "Ambassador Bridge"
"""

from __future__ import annotations

import hashlib
import socket
import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from edge.centre.local_day import zone_of


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Broker(_Table, frozen=True, kw_only=True):
    """One MQTT broker, or one node of a NATS cluster."""

    url: str
    protocol: Literal[5, 4] = 5
    client_id: str | None = None
    share: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    username: str | None = None
    password_file: str | None = None

    def __post_init__(self) -> None:
        if not self.url.startswith(("mqtt://", "mqtts://", "nats://", "tls://")):
            raise ValueError(
                f"url {self.url!r} is no broker; write mqtts://host:8883, mqtt://host:1883 or nats://host:4222"
            )
        if self.share is not None:
            if self.is_nats:
                raise ValueError("share is for MQTT; collectors of a NATS cluster share its messages without it")
            if not self.share or set(self.share) & set("/+#"):
                raise ValueError(f"share {self.share!r} is no name; write letters and digits, without / + #")
            if self.protocol != 5 or self.client_id is None:
                raise ValueError("share needs protocol = 5 and a client_id that no other collector has")

    @property
    def is_nats(self) -> bool:
        return self.url.startswith(("nats://", "tls://"))


class NamedSite(_Table, frozen=True, kw_only=True):
    """A crossing, as the operator of the centre names it."""

    country: str
    port: str
    timezone: str
    name: str = ""

    def __post_init__(self) -> None:
        zone_of(self.timezone)


class CollectConfig(_Table, frozen=True, kw_only=True):
    """See the head of this file."""

    into: str
    broker: tuple[Broker, ...]
    metrics: str | None = None
    keep_months: int | None = None
    site: tuple[NamedSite, ...] = ()

    def __post_init__(self) -> None:
        if not self.broker:
            raise ValueError("names no [[broker]]; give at least one")
        if self.keep_months is not None and self.keep_months < 1:
            raise ValueError("keep_months is at least 1")

    @property
    def zones(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Time zone and name by (country, port)."""
        return {(site.country, site.port): (site.timezone, site.name) for site in self.site}

    @property
    def client_id(self) -> str:
        """Of sessions without a name: the same at each start with this database on this machine."""
        place = f"{socket.gethostname()} {Path(self.into).resolve()}"
        return f"borderflow-collect-{hashlib.sha256(place.encode()).hexdigest()[:12]}"


def read_config(path: Path) -> CollectConfig:
    """ValueError says what is wrong with the file, and where."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), CollectConfig)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); name an existing file with --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"{path}: {error}") from None
