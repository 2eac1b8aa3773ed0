"""What borderflow publishes: one type for each kind of message, and nothing else.

The wire form, the JSON Schemas and the AsyncAPI document are all derived from these types. Units stand in names.
`None` is written as null and means "not known"; `UNSET` leaves a key out. Unknown keys are ignored on reading, so
that a reader of version 1 survives a later version 1.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

TOPIC_ROOT = "borderflow/v1"

Medium = Literal["rfid", "plate", "axles"]
Traffic = Literal["commercial", "passenger", "bus"]
Program = Literal["standard", "FAST", "NEXUS", "SENTRI", "READY"]
Flag = Literal[
    "stopped_on_sensor",
    "reversed",
    "partial",
    "off_lane",
    "unequal_lines",
    "saturated",
    "sensor_fault",
    "speed_change",
    "tailgating",
    "cut_uncertain",
    "spacing_uncertain",
]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_text(time_ns: int) -> str:
    """RFC 3339 in UTC with microseconds, `2026-11-24T05:22:17.123456Z`; `time_ns` counts from 1970."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{rest // 1000:06d}Z"


def parse_utc(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time with an offset; ValueError says what is wrong with it."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"time {text!r} has no offset from UTC; write it with a trailing Z")
    delta = when - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1000


class Site(Struct, frozen=True):
    country: str
    port: str


class Message(Struct, frozen=True, kw_only=True):
    """Keys of every message. `id`, `epoch` and `seq` are given by the journal."""

    schema: str
    id: str | UnsetType = UNSET
    epoch: str | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    time: str
    site: Site
    lane: str
    source: str
    config: str | UnsetType = UNSET
    calibration: str | UnsetType = UNSET


class Axle(Struct, frozen=True, kw_only=True):
    """One axle, in the order of arrival; `position_m` counts from the first axle, backwards along the vehicle."""

    position_m: float
    position_sigma_m: float | None = None
    load_kg: float
    sigma_kg: float
    left_kg: float | None = None
    right_kg: float | None = None
    dual_tyres: bool | None = None
    group: int


class VehicleClass(Struct, frozen=True, kw_only=True):
    scheme: str
    code: str
    confidence: float


class Identity(Struct, frozen=True, kw_only=True):
    """A pseudonym read together with a vehicle."""

    medium: Medium
    pseudonym: str


class Violation(Struct, frozen=True, kw_only=True):
    """A limit that was exceeded; `probability` is how sure that is, given the sigma of the measured load."""

    rule: str
    limit_kg: float
    value_kg: float
    probability: float


class Vehicle(Message, frozen=True, kw_only=True):
    """A vehicle has left the WIM array; `time` is when its first axle's centre crossed x = 0."""

    schema: Literal["borderflow/vehicle/1"] = "borderflow/vehicle/1"
    direction: str | None = None
    speed_mps: float | None
    length_m: float | None
    wheelbase_m: float
    lateral_m: float | None = None
    height_m: float | UnsetType | None = UNSET
    gross_kg: float
    gross_sigma_kg: float
    axles: tuple[Axle, ...]
    class_: VehicleClass = field(name="class")
    flags: tuple[Flag, ...] | UnsetType = UNSET
    identities: tuple[Identity, ...] = ()
    violations: tuple[Violation, ...] = ()
    esal: float | None = None


class Sighting(Message, frozen=True, kw_only=True):
    """An identity was read at a point."""

    schema: Literal["borderflow/sighting/1"] = "borderflow/sighting/1"
    point: str
    medium: Medium
    pseudonym: str
    confidence: float | None


WaitMethod = Literal["matched", "counted", "fused", "no_point", "one_point", "side_road"]
"""What a forecast stands on; the last three: why there can be none at this place."""


class Experienced(Struct, frozen=True, kw_only=True):
    """Waits of the vehicles that arrived at `to_point` in the interval; null where none did."""

    count: int
    median_s: float | None
    p10_s: float | None
    p90_s: float | None
    p95_s: float | None


class Bottleneck(Struct, frozen=True, kw_only=True):
    """The pair of points with the largest delay, and its share of the whole delay."""

    from_point: str
    to_point: str
    delay_s: float
    share: float


class Wait(Message, frozen=True, kw_only=True):
    """What vehicles waited and what the next one is going to wait; `time` is the end of the interval.

    Of one direction and one kind of traffic, also for a program or the crossing (lane `_`).
    """

    schema: Literal["borderflow/wait/1"] = "borderflow/wait/1"
    direction: str | None = None
    traffic: Traffic | None
    program: Program | None
    from_point: str
    to_point: str
    interval_s: int
    experienced: Experienced
    expected_s: float | None
    low_s: float | None
    high_s: float | None
    queue_vehicles: float | None
    throughput_per_h: float | None
    lower_bound: bool
    method: WaitMethod | None
    match_rate: float | None
    reference_s: float | None
    change: float | None
    bottleneck: Bottleneck | None
    booths_open: int | None = None
    one_more_booth_s: float | None = None
    planning_time_s: float | None = None
    planning_time_index: float | None = None
    buffer_index: float | None = None
    gain_s: float | None = None


class Distribution(Struct, frozen=True, kw_only=True):
    mean: float
    sd: float | None
    p15: float
    p50: float
    p85: float


class Flow(Message, frozen=True, kw_only=True):
    """Traffic over one interval that ended at `time`, on an exact clock boundary."""

    schema: Literal["borderflow/flow/1"] = "borderflow/flow/1"
    direction: str | None = None
    traffic: Traffic | None = None
    interval_s: int
    point: str
    count: int
    count_by_class: dict[str, int]
    speed_mps: Distribution | None
    headway_s: Distribution | None
    gross_kg_by_class: dict[str, float]
    occupancy: float | None
    identified_share: float | None


class Gap(Struct, frozen=True, kw_only=True):
    """Messages that are gone: `count` of a topic, between two numbers that are both included."""

    topic: str
    epoch: str
    from_seq: int
    to_seq: int
    count: int
    link_before: str | UnsetType = UNSET
    link_after: str | UnsetType = UNSET


Severity = Literal["info", "warning", "critical"]
Args = dict[str, str | int | float]


class Alarm(Message, frozen=True, kw_only=True):
    """A condition of a device, sensor, clock, disk or lane begins or ends; `journal_dropped` and
    `journal_damaged` explain a gap."""

    schema: Literal["borderflow/alarm/1"] = "borderflow/alarm/1"
    code: str
    state: Literal["begin", "end"]
    severity: Severity
    text: str
    args: Args = {}
    device: str | None
    gap: Gap | UnsetType = UNSET
    sensor: str | UnsetType = UNSET


class ActiveAlarm(Struct, frozen=True, kw_only=True):
    """A condition that holds, as the `alarm` that began it said it."""

    code: str
    severity: Severity
    since: str
    lane: str
    device: str | None
    sensor: str | UnsetType = UNSET
    text: str
    args: Args = {}


class DeviceStatus(Struct, frozen=True, kw_only=True):
    state: Literal["connecting", "online", "silent", "down"]
    since: str
    text: str = ""
    rejected: dict[str, int] = {}


class Backlog(Struct, frozen=True, kw_only=True):
    """What a collector has not acknowledged yet."""

    messages: int
    oldest: str | None


class CollectorStatus(Struct, frozen=True, kw_only=True):
    """The connection to one collector, and whether what it acknowledges is known to be heard."""

    state: Literal["connecting", "connected", "waiting", "stopped"]
    text: str = ""
    heard: Literal["by_code", "proven", "not_proven", "unheard"] | None = None
    replay: bool | None = None


class Status(Message, frozen=True, kw_only=True):
    """Retained state of one computer; its last will is the same message with `online` false."""

    schema: Literal["borderflow/status/1"] = "borderflow/status/1"
    online: bool
    since: str
    version: str
    devices: dict[str, DeviceStatus]
    backlog: dict[str, Backlog]
    collectors: dict[str, CollectorStatus] | UnsetType = UNSET
    alarms: tuple[ActiveAlarm, ...] | UnsetType = UNSET
    cause: str | None = None
    timezone: str | UnsetType = UNSET
    site_name: str | UnsetType = UNSET
    replay_from: dict[str, int] | UnsetType = UNSET


class Identifier(Message, frozen=True, kw_only=True):
    """A plate or tag for an authority with the legal basis, encrypted to its public key (edge/delivery/sealing.py)."""

    schema: Literal["borderflow/identifier/1"] = "borderflow/identifier/1"
    point: str
    medium: Medium
    pseudonym: str
    key: str
    sealed: str


class Head(Struct, frozen=True, kw_only=True):
    """The end of the hash chain of a topic: `link` covers every message up to `seq`."""

    topic: str
    epoch: str
    seq: int
    link: str


class Evidence(Message, frozen=True, kw_only=True):
    """The heads of all hash chains of a computer, signed with its Ed25519 key; `borderflow verify` checks them."""

    schema: Literal["borderflow/evidence/1"] = "borderflow/evidence/1"
    heads: tuple[Head, ...]
    key: str
    signature: str


class ReplayRequest(Struct, frozen=True, kw_only=True):
    """What a collector asks for when it misses messages of a topic: those from `from_seq` up to and with `to_seq`."""

    topic: str
    epoch: str
    from_seq: int
    to_seq: int


KINDS: dict[str, type[Message]] = {
    "vehicle": Vehicle,
    "sighting": Sighting,
    "wait": Wait,
    "flow": Flow,
    "alarm": Alarm,
    "status": Status,
    "evidence": Evidence,
    "identifier": Identifier,
}


def kind_of(message: Message) -> str:
    """`vehicle` of `borderflow/vehicle/1`."""
    return message.schema.split("/")[1]


def topic_of(message: Message) -> str:
    """Topic of a message: `borderflow/v1/{country}/{port}/{source}/{lane}/{kind}`."""
    site = message.site
    return f"{TOPIC_ROOT}/{site.country}/{site.port}/{message.source}/{message.lane}/{kind_of(message)}"


_encoder = msgspec.json.Encoder()


def encode(message: Message) -> bytes:
    """The message as it goes onto the wire: UTF-8 JSON on one line."""
    return _encoder.encode(message)


def stamped(message: Message, *, id: str, epoch: str, seq: int) -> Message:
    """The same message with what the journal gives it."""
    return msgspec.structs.replace(message, id=id, epoch=epoch, seq=seq)
