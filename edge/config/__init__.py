"""The configuration as typed immutable tables: each table is a type, its fields are the allowed keys.

`edge.config.file` reads them, `edge.config.rules` checks what types alone cannot say. All faults of a file are
reported at once, because the integrator who mends them one at a time stands in the wind.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from edge.messages import Program, Traffic

Kind = Literal["vehicle", "sighting", "wait", "flow", "status", "alarm", "evidence", "identifier"]


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file: its fields are the only keys allowed in it."""


class Site(Table, frozen=True, kw_only=True):
    country: str
    port: str
    name: str = ""
    timezone: str = "UTC"
    location: str = ""  # the places on both sides as a public feed writes them, such as "Windsor, ON/Detroit, MI"
    hours: str = ""  # when it is open, in the words of a public feed, such as "24 hrs/day"
    source: str | None = (
        None  # name of this computer; else the common name of the first client certificate; else machine_name
    )


class Sensor(Table, frozen=True, kw_only=True):
    name: str
    type: Literal["strip", "plate", "loop"]
    channel: int
    x_m: float
    y_m: tuple[float, float] | None = None
    width_m: float | None = None
    gain_n: float | None = None
    temp_coeff_per_c: float = 0.0
    reference_temperature_c: float = 20.0
    coupling_tau_s: float = 0.0
    threshold_counts: float | None = None
    angle_deg: float = 0.0  # of the strip against the perpendicular to the lane


class Scanner(Table, frozen=True, kw_only=True):
    """A laser scanner across the lane that tells vehicles apart where no loop lies; `x_m` is its plane."""

    device: str
    x_m: float


class Wim(Table, frozen=True, kw_only=True):
    device: str | None = None
    sample_rate_hz: float
    mode: Literal["loop", "gap", "scanner"] = "gap"
    scanner: Scanner | None = None
    temperature_c: float = 20.0
    temperature_device: str | None = None
    sensor: tuple[Sensor, ...]


class Lane(Table, frozen=True, kw_only=True):
    id: str
    traffic: Traffic
    program: Program = "standard"
    direction: str = "inbound"
    booths: int = 1  # booths that serve this lane when all are open
    wim: Wim | None = None


class Input(Table, frozen=True, kw_only=True):
    """What a digital input of a device means: a loop that counts vehicles at a point, or a lamp that says "open"."""

    name: str
    signal: Literal["loop", "booth_open"] = "loop"
    lane: str | None = None  # the device's lane where not given
    point: str | None = None


class Device(Table, frozen=True, kw_only=True):
    name: str
    driver: str
    url: str
    lane: str | None = None
    point: str | None = None
    input: tuple[Input, ...] = ()
    options: dict[str, Any] = {}


class PlateReader(Table, frozen=True, kw_only=True):
    """How the plate readers at a point err; what is not given is usual, and learned while vehicles are matched."""

    error: float = 0.012  # share of characters misread
    confusion: dict[str, dict[str, float]] = {}  # by character: shares of its errors, such as { "8" = { B = 0.7 } }


class Point(Table, frozen=True, kw_only=True):
    name: str
    x_m: float | None = None
    plates: PlateReader = PlateReader()


class Waits(Table, frozen=True, kw_only=True):
    interval_s: int = 60
    baseline: dict[str, float] = {}


class Identity(Table, frozen=True, kw_only=True):
    key_file: str
    rotation: str = "24h"


class Collector(Table, frozen=True, kw_only=True):
    name: str
    url: str
    protocol: Literal[5, 4] = 5
    share: tuple[Kind, ...] = ("wait", "flow", "status", "alarm")
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    username: str | None = None
    password_file: str | None = None
    # X25519 public key (PEM) of an authority with the legal basis for plates and tags; goes with share "identifier"
    identifier_key_file: str | None = None


class SiteExchange(Table, frozen=True, kw_only=True):
    """Several computers at one crossing: one `match`es, the others `send` it what they read, as tokens."""

    role: Literal["send", "match"]
    url: str  # the site's own broker; never a collector's
    protocol: Literal[5, 4] = 5
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    username: str | None = None
    password_file: str | None = None


class EvidenceKey(Table, frozen=True, kw_only=True):
    """Signed heads of the hash chains, so that a collector can prove its copy (`borderflow verify`)."""

    key_file: str  # Ed25519 private key (PEM) of this computer
    interval_s: int = 3600


class Store(Table, frozen=True, kw_only=True):
    path: str = "/var/lib/borderflow"
    max_bytes: int = 8_000_000_000


class Config(Table, frozen=True, kw_only=True):
    site: Site
    lane: tuple[Lane, ...]
    device: tuple[Device, ...] = ()
    point: tuple[Point, ...] = ()
    wait: Waits = Waits()
    identity: Identity | None = None
    site_exchange: SiteExchange | None = None
    collector: tuple[Collector, ...] = ()
    store: Store = Store()
    evidence: EvidenceKey | None = None


class ConfigError(Exception):
    """The configuration cannot be used; `faults` holds every fault as one line with its file, key and remedy."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Faults:
    """Collects what is wrong with one file, each with its line and key.

    `lines` are faults: with them nothing runs. `doubts` are what works and is surely not meant: `check` refuses it, the
    daemon says it and goes on, since a crossing must not stand still for it. `notes` are what a person should know.
    """

    def __init__(self, path: Path, line_of: Callable[[str], int | None] = lambda _: None) -> None:
        self.path = path
        self._line_of = line_of
        self._lines: list[_Said] = []
        self._doubts: list[_Said] = []
        self._notes: list[_Said] = []
        self._keys: set[str] = set()

    def add(self, key: str, text: str) -> None:
        """A fault; `key` as `lane[C03].wim.sensor[line1].x_m`, or empty for the whole file."""
        self._lines.append(self._at(key, text))
        self._keys.add(key)

    def told_of(self, table: str) -> bool:
        """Whether a fault within `table` was added: what follows from it need not be said."""
        return any(re.match(rf"{re.escape(table)}(\[|\.|$)", key) for key in self._keys)

    def doubt(self, key: str, text: str) -> None:
        """It works, and is surely not meant."""
        self._doubts.append(self._at(key, text))

    def note(self, key: str, text: str) -> None:
        """It may well be meant, and should be known."""
        self._notes.append(self._at(key, text))

    @property
    def lines(self) -> list[str]:
        """The faults in the order of the file."""
        return [text for _, text in sorted(self._lines, key=_place)]

    @property
    def doubts(self) -> list[str]:
        return [text for _, text in sorted(self._doubts, key=_place)]

    @property
    def notes(self) -> list[str]:
        return [text for _, text in sorted(self._notes, key=_place)]

    @property
    def all_wrong(self) -> list[str]:
        """Faults and doubts, in the order of the file."""
        return [text for _, text in sorted([*self._lines, *self._doubts], key=_place)]

    def _at(self, key: str, text: str) -> _Said:
        line = self._line_of(key)
        where = str(self.path) if line is None else f"{self.path}:{line}"
        return line or 0, f"{where}: {key}: {text}" if key else f"{where}: {text}"


_Said = tuple[int, str]  # line of the file, and text


def _place(said: _Said) -> int:
    return said[0]


def digest(table: Any) -> str:
    """Short digest of a configuration or a part of it: eight hex digits that change when its meaning changes."""
    return hashlib.sha256(msgspec.json.encode(table, order="sorted")).hexdigest()[:8]


def named(items: tuple[Any, ...], name: str) -> Any:
    """The item of that name among tables with a `name` or an `id`, or None."""
    return next((item for item in items if getattr(item, "name", getattr(item, "id", None)) == name), None)
