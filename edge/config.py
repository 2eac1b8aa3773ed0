"""The configuration: a TOML file in, typed immutable tables out, or every fault with its file, key and remedy.

Each table below is a type; its fields are the allowed keys. `load` reports all faults of a file at once, because the
integrator who mends them one at a time stands in the wind.
"""

from __future__ import annotations

import difflib
import hashlib
import tomllib
import types
import typing
from collections import Counter
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Struct

from edge.messages import Program, Traffic

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h

Kind = Literal["vehicle", "sighting", "wait", "flow", "status", "alarm"]


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file: its fields are the only keys allowed in it."""


class Site(Table):
    country: str
    port: str
    name: str = ""
    timezone: str = "UTC"
    source: str | None = None  # name of this computer; without it the common name of the first client certificate


class Sensor(Table):
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


class Wim(Table):
    device: str | None = None
    sample_rate_hz: float
    mode: Literal["loop", "gap"] = "gap"
    temperature_c: float = 20.0
    temperature_device: str | None = None
    sensor: tuple[Sensor, ...]


class Lane(Table):
    id: str
    traffic: Traffic
    program: Program = "standard"
    direction: str = "inbound"
    booths: int = 1  # booths that serve this lane when all are open
    wim: Wim | None = None


class Device(Table):
    name: str
    driver: str
    url: str
    lane: str | None = None
    point: str | None = None
    options: dict[str, Any] = {}


class Point(Table):
    name: str
    x_m: float | None = None


class Waits(Table):
    interval_s: int = 60
    baseline: dict[str, float] = {}


class Identity(Table):
    key_file: str
    rotation: str = "24h"


class Collector(Table):
    name: str
    url: str
    protocol: Literal[5, 4] = 5
    share: tuple[Kind, ...] = ("wait", "flow", "status", "alarm")
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    username: str | None = None
    password_file: str | None = None


class Store(Table):
    path: str = "/var/lib/borderflow"
    max_bytes: int = 8_000_000_000


class Config(Table):
    site: Site
    lane: tuple[Lane, ...]
    device: tuple[Device, ...] = ()
    point: tuple[Point, ...] = ()
    wait: Waits = Waits()
    identity: Identity | None = None
    collector: tuple[Collector, ...] = ()
    store: Store = Store()
