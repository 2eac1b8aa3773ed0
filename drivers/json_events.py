"""Readers that say in JSON what they read: cameras and tag readers, by HTTP POST, by MQTT, or as a stream of lines.

    url = "http://0.0.0.0:8080/plates"                    this computer listens, the reader posts
    url = "mqtts://192.0.2.5:8883"                        a broker; `topic` is what the reader publishes to
    url = "http-stream://192.0.2.20/api/v1/data/stream"   this computer asks, the reader answers with lines without end

    {"plateText": "..", "plateConfidence": "0.72", "carState": "new", "carID": "102"}        one document
    [{..}, {..}]   {..}{..}   {..} line end {..}   part `json` of a multipart post           or several of them

Where what stands is said by `preset` (drivers/json_presets.py: each with its source and what is unconfirmed of it);
`fields` names other paths, `preset = "custom"` none but those. Encoded pictures are cut out before the document is
parsed.

A post is answered 200, and a message acknowledged, only when what it says is durable; 503, or nothing, means that it
is not. An event that comes again with the same identity counts once. Where several events are about one vehicle (Axis:
new, update, lost) the last one counts, at the time of the first: they are kept until the last one, or until none came
for `vehicle_gone_s`. The earlier ones are answered before they are durable: the last one says all again.

`camera_time` takes the reader's time for that of the read, where it has a zone or counts seconds; it must be kept by
NTP. A reader may rightly say nothing: silence is no alarm unless `silent_after_s` is given. A document without the
field of plate or tag is counted as `no_field`: `fields` or the reader's template are wrong. One that is no JSON,
because of a quote in a name or an end that is missing, is read where plate or tag stand there once, and counted as
`odd_json`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import json
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from drivers.base import Clock, DeviceError, Driver, Emit, Offer, Options, ProtocolError
from drivers.events import PlateRead, Rejected, TagRead
from drivers.framing import Frame, FrameCodec, Skip
from drivers.http_listener import listening
from drivers.http_posts import Request
from drivers.http_stream import asked
from drivers.json_mending import mended
from drivers.json_presets import PRESETS, Preset
from drivers.mqtt_link import Account, Message, subscribed
from drivers.plates import NoPlate, Plates
from drivers.pushed import KnownEvents, durable, guard_of
from drivers.secrets import check_account, password
from drivers.urls import parse_url

_MOST_JSON_BYTES = 262_144  # without pictures
_MOST_DOCUMENTS = 1000  # in one post
_LONGEST_LINE = 65_536
_PICTURE = re.compile(rb'"[A-Za-z0-9+/=\\:;,_-]{2048,}"')
_TAG = re.compile(r"[\x21-\x7e]{1,128}")
_COMPACT_TIME = re.compile(r"(\d{8}) (\d{6})(\d{0,6})")  # Axis: 20190123 154156000
_DECODER = json.JSONDecoder(strict=False)
_FIELDS = ("each", "plate", "tag", "country", "confidence", "time", "identity", "antenna", "rssi", "car", "state")
_TICK_S = 0.5


class JsonOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    preset: Annotated[
        Literal[
            "axis_lpv", "milesight", "platerecognizer_stream", "rekor", "vaxtor", "hikvision",
            "impinj_r700", "zebra_iotc", "custom",
        ],
        Meta(description="whose way to write JSON"),
    ]  # fmt: skip
    fields: Annotated[
        dict[str, str],
        Meta(
            description="paths in place of the preset's: each, plate, tag, country, confidence, time, identity, "
            "antenna, rssi, car, state"
        ),
    ] = msgspec.field(default_factory=dict)
    confidence_full: Annotated[float, Meta(ge=0, description="what means certain; 0: as the preset says")] = 0.0
    cameras: Annotated[tuple[str, ...], Meta(description="IP addresses that may post; empty: any")] = ()
    topic: Annotated[str, Meta(description="mqtt: what the reader publishes to, with + and # as in MQTT")] = ""
    protocol: Annotated[Literal[5, 4], Meta(description="mqtt: 4 is MQTT 3.1.1")] = 5
    client_id: Annotated[str, Meta(description="mqtt: by which the broker knows us; empty: from the device's name")] = (
        ""
    )
    ca_file: Annotated[
        str,
        Meta(description="mqtts, https-stream: certificate of the other side or its authority; empty: the system's"),
    ] = ""
    username: Annotated[str, Meta(description="at the broker or the reader; for posts: that it must give")] = ""
    password_file: Annotated[str, Meta(description="a file with the password alone")] = ""
    camera_time: Annotated[bool, Meta(description="use the reader's time (it must keep time by NTP)")] = False
    no_plate: NoPlate = ()
    vehicle_gone_s: Annotated[
        float, Meta(gt=0, le=600, description="so long without an event of a vehicle, and its last one counts")
    ] = 30.0
    silent_after_s: Annotated[float, Meta(ge=0, description="silence that is an alarm; 0: never")] = 0.0
    answer_within_s: Annotated[
        float, Meta(gt=0, le=25, description="what is not durable by then is answered 503 (unconfirmed)")
    ] = 5.0

    def __post_init__(self) -> None:
        check_account(self.username, self.password_file)
        for name in self.fields:
            if name not in _FIELDS:
                raise ValueError(f"fields: there is no {name!r}; there are {', '.join(_FIELDS)}")
        chosen = chosen_preset(self)
        if not chosen.plate and not chosen.tag:
            raise ValueError('fields: say where the plate or the tag stands, for example { plate = "data.plate" }')


def chosen_preset(options: JsonOptions) -> Preset:
    """The preset with what `fields` says in place of its own."""
    own: dict[str, Any] = {key: (path,) for key, path in options.fields.items() if key != "each"}
    if "each" in options.fields:
        own["each"] = options.fields["each"]
    if options.confidence_full:
        own["confidence_full"] = options.confidence_full
    return replace(PRESETS[options.preset], **own)


@dataclass(frozen=True, slots=True)
class Sign:
    """A document that is a sign of life and no read."""


@dataclass(frozen=True, slots=True)
class Read:
    """A read, the identity of its event (empty: none), and of which vehicle it is one of several events."""

    event: PlateRead | TagRead | None  # None: of a vehicle whose plate it does not say
    identity: str = ""
    car: str = ""
    is_first: bool = False
    is_last: bool = False


_Get = Callable[[tuple[str, ...]], Any]
Record = Read | Sign | Rejected


def readable(body: bytes) -> str:
    """The text of a body without its pictures."""
    return _PICTURE.sub(b'""', body).decode("utf-8", "replace").lstrip("\ufeff")


def parse(body: bytes) -> list[Any]:
    """The documents of a body. Raises ProtocolError."""
    found, rest = _begun(readable(body))
    if rest:
        raise ProtocolError("bad_json", "the JSON cannot be parsed")
    return found


def _begun(text: str) -> tuple[list[Any], str]:
    """The documents that a text begins with, and what of it is none. Raises ProtocolError."""
    if len(text) > _MOST_JSON_BYTES:
        raise ProtocolError("json_too_long", "what is no picture is longer than reads are")
    found: list[Any] = []
    at = 0
    while (at := _next(text, at)) < len(text):
        try:
            document, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        found += document if isinstance(document, list) else [document]
    if len(found) > _MOST_DOCUMENTS:
        raise ProtocolError("json_too_many", "more documents than reads come at once")
    return found, text[at:]


def _next(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n\0,\x1e":
        at += 1
    return at


class JsonReader:
    """Documents to reads by a preset. No I/O and no clock; raises nothing."""

    def __init__(self, device: str, options: JsonOptions) -> None:
        self._device = device
        self._preset = chosen_preset(options)
        self._camera_time = options.camera_time
        self._plates = Plates(options.no_plate)
        self._instead = self._preset.instead  # None where documents of the first kind come

    def read_all(self, body: bytes, time_ns: int) -> list[Record]:
        """What a body says."""
        try:
            found, rest = _begun(readable(body))
        except ProtocolError as error:
            return [self._rejected(time_ns, error.reason)]
        records = [record for document in found for record in self.read(document, time_ns)]
        return records + (self._mended(rest, time_ns) if rest else [])

    def _mended(self, text: str, time_ns: int) -> list[Record]:
        """What a text says that cannot be parsed: a read all the same, or nothing."""
        records = self.read(mended(text, self._preset), time_ns)
        if any(isinstance(record, Read) and record.event is not None for record in records):
            return [self._rejected(time_ns, "odd_json"), *records]
        return [self._rejected(time_ns, "bad_json")]

    def read(self, document: Any, time_ns: int) -> list[Record]:
        """What a document says."""
        if not isinstance(document, dict):
            return [self._rejected(time_ns, "no_object")]
        if _fits(document, self._preset):
            self._instead = None
            return self._reads(document, self._preset, time_ns)
        if self._instead is not None and _fits(document, self._instead):
            return self._reads(document, self._instead, time_ns)
        return [Sign()]

    def _reads(self, document: dict[str, Any], preset: Preset, time_ns: int) -> list[Record]:
        if not preset.each:
            return self._one(document, document, preset, time_ns)
        each = _at(document, preset.each.split("."))
        if not isinstance(each, list):
            return [self._rejected(time_ns, "no_field")]
        if not each:
            return [Sign()]
        return [record for entry in each[:_MOST_DOCUMENTS] for record in self._one(document, entry, preset, time_ns)]

    def _one(self, document: Any, entry: Any, preset: Preset, time_ns: int) -> list[Record]:
        """What an entry says: what is odd about it, and at last the read."""
        odd: list[str] = []

        def get(paths: tuple[str, ...]) -> Any:
            return _first(document, entry, paths)

        reader_ns, zoned = None, False
        if (stamp := get(preset.time)) is not None:
            try:
                reader_ns, zoned = time_of(stamp)
            except (ValueError, OverflowError):  # of a year that no clock shows
                odd.append("odd_time")
        at_ns = reader_ns if self._camera_time and zoned and reader_ns is not None else time_ns
        try:
            if preset.plate:
                none = get(preset.plate) is None and _says_none(document, entry, preset.plate)
                event: PlateRead | TagRead | None = None if none else self._plate(get, preset, at_ns, reader_ns, odd)
            else:
                event = self._tag(get, preset, at_ns)
            car, state = _text(get(preset.car))[:64], _text(get(preset.state)).lower()
            if event is None and not car:
                last: Record = Sign()
            else:
                last = Read(event, _text(get(preset.identity))[:64], car, state in preset.first, state in preset.last)
        except ProtocolError as error:
            last = self._rejected(time_ns, error.reason)
        return [*(self._rejected(time_ns, reason) for reason in odd), last]

    def _plate(self, get: _Get, preset: Preset, at_ns: int, reader_ns: int | None, odd: list[str]) -> PlateRead | None:
        """None where it says that there is no plate."""
        written = get(preset.plate)
        if written is None and get(preset.car) is None:
            raise ProtocolError("no_field", "there is no plate where one is due")
        plate = self._plates.read(_text(written))
        if plate is None:
            return None
        confidence, score = None, get(preset.confidence)
        if score not in (None, ""):
            confidence = _share(score, preset.confidence_full)
            if confidence is None:
                odd.append("odd_score")
        return PlateRead(self._device, at_ns, plate, _text(get(preset.country))[:8] or None, confidence, reader_ns)

    def _tag(self, get: _Get, preset: Preset, at_ns: int) -> TagRead:
        written = get(preset.tag)
        if written is None:
            raise ProtocolError("no_field", "there is no tag where one is due")
        tag = _text(written)
        if not _TAG.fullmatch(tag):
            raise ProtocolError("bad_tag", "what stands there is no tag")
        antenna, rssi = _number(get(preset.antenna)), _number(get(preset.rssi))
        rssi_dbm = None if rssi is None else rssi * preset.rssi_unit_db
        return TagRead(self._device, at_ns, tag.upper(), None if antenna is None else int(antenna), rssi_dbm)

    def _rejected(self, time_ns: int, reason: str) -> Rejected:
        return Rejected(self._device, time_ns, reason)


def _fits(document: Any, preset: Preset) -> bool:
    """Whether it is a document that the preset reads."""
    return preset.only is None or _text(_first(document, document, (preset.only[0],))) in preset.only[1]


def _says_none(document: Any, entry: Any, paths: tuple[str, ...]) -> bool:
    """Whether null stands at one of the paths: a vehicle without a plate, and no other template."""
    for path in paths:
        *parents, key = path.removeprefix("/").split(".")
        table = _at(document if path.startswith("/") else entry, parents)
        if isinstance(table, dict) and key in table and table[key] is None:
            return True
    return False


def _first(document: Any, entry: Any, paths: tuple[str, ...]) -> Any:
    """What stands at the first of the paths at which there is something."""
    for path in paths:
        coding, colon, rest = path.partition("base64:")
        path = rest if colon and not coding else path
        value = _at(document, path[1:].split(".")) if path.startswith("/") else _at(entry, path.split("."))
        if value is None or isinstance(value, dict | list):
            continue
        if colon and not coding:
            value = _hex_of(value)
        if value is not None:
            return value
    return None


def _at(value: Any, keys: list[str]) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isascii() and key.isdecimal() and int(key[:6]) < len(value):
            value = value[int(key[:6])]
        else:
            return None
    return value


def _hex_of(value: Any) -> str | None:
    try:
        return base64.b64decode(str(value).replace("-", "+").replace("_", "/"), validate=True).hex().upper() or None
    except (binascii.Error, ValueError):
        return None


def _text(value: Any) -> str:
    """Text, or a number as text; empty for all else."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value.strip().rstrip("%"))
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e20 else None


def _share(value: Any, full: float) -> float | None:
    number = _number(value)
    return None if number is None or not 0.0 <= number <= full else number / full


def time_of(value: Any) -> tuple[int, bool]:
    """A time as readers write it, in nanoseconds UTC, and whether it says of which zone it is. Raises ValueError.

    ISO 8601 with any number of decimals, or the same without a zone (then it is taken for UTC); seconds, milli-,
    micro- or nanoseconds since 1970, which of them by their size.
    """
    if isinstance(value, str) and not re.fullmatch(r"\d{9,19}(\.\d+)?", value.strip()):
        text = value.strip()
        if match := _COMPACT_TIME.fullmatch(text):
            text = f"{match[1]}T{match[2]}.{match[3] or 0}"
        text = re.sub(r"(\.\d{6})\d+", r"\1", text)  # datetime knows no nanoseconds
        stamp = datetime.fromisoformat(text)
        zoned = stamp.tzinfo is not None
        stamp = stamp if zoned else stamp.replace(tzinfo=UTC)
        return round(stamp.timestamp() * 1e6) * 1000, zoned
    number = _number(value)
    if number is None or not 1e8 <= number < 1e20:
        raise ValueError("no time")
    unit = next(unit for unit, most in ((1e9, 1e11), (1e6, 1e14), (1e3, 1e17), (1.0, 1e20)) if number < most)
    return round(number * unit / 1000) * 1000, True


@dataclass(slots=True)
class _Vehicle:
    """What is said of a vehicle so far."""

    event: PlateRead | TagRead | None = None
    last_ns: int = 0
    told: PlateRead | TagRead | None = None  # handed on, because nothing came for so long


class Vehicles:
    """Of several events of one vehicle the last counts, at the time of the first.

    One of which nothing came for `gone_ns` counts then. What is said of it later counts only where it is another plate.
    """

    def __init__(self, gone_ns: int) -> None:
        self._gone_ns = gone_ns
        self._here: OrderedDict[str, _Vehicle] = OrderedDict()  # the one that was heard of last comes last

    def take(self, read: Read, time_ns: int) -> list[PlateRead | TagRead]:
        """The reads that are final with this one."""
        if not read.car:
            return [] if read.event is None else [read.event]
        out: list[PlateRead | TagRead] = []
        vehicle = self._here.pop(read.car, _Vehicle())
        if read.is_first and (vehicle.told is not None or not _same(vehicle.event, read.event)):
            out += _reads(vehicle)  # the reader counts from the beginning again: this is another one
            vehicle = _Vehicle()
        vehicle.event = _together(vehicle.event, read.event)
        vehicle.last_ns = time_ns
        if read.is_last:
            out += _reads(vehicle)
        else:
            self._here[read.car] = vehicle
            if len(self._here) > _MOST_DOCUMENTS:
                out += _reads(self._here.popitem(last=False)[1])
        return out + self.due(time_ns)

    def due(self, time_ns: int) -> list[PlateRead | TagRead]:
        """Those of whom nothing came for long enough."""
        out: list[PlateRead | TagRead] = []
        for vehicle in self._here.values():
            if vehicle.told is None and not 0 <= time_ns - vehicle.last_ns < self._gone_ns:
                out += _reads(vehicle)
                vehicle.told = vehicle.event
        return out

    def all(self) -> list[PlateRead | TagRead]:
        """Those that are kept."""
        out = [event for vehicle in self._here.values() for event in _reads(vehicle)]
        self._here.clear()
        return out


def _reads(vehicle: _Vehicle) -> list[PlateRead | TagRead]:
    """What is to be handed on of a vehicle: nothing where that was done."""
    return [] if vehicle.event is None or _same(vehicle.event, vehicle.told) else [vehicle.event]


def _same(one: PlateRead | TagRead | None, other: PlateRead | TagRead | None) -> bool:
    return isinstance(one, PlateRead) and isinstance(other, PlateRead) and one.plate == other.plate


def _together(before: PlateRead | TagRead | None, event: PlateRead | TagRead | None) -> PlateRead | TagRead | None:
    """The later of two events, at the time of the earlier."""
    if event is None or before is None:
        return event or before
    if isinstance(event, PlateRead) and isinstance(before, PlateRead):
        return replace(event, time_ns=before.time_ns, reader_ns=before.reader_ns)
    return replace(event, time_ns=before.time_ns)


class LineCodec(FrameCodec[Record]):
    """Bytes of a stream of lines to reads; an empty line is a sign of life."""

    limit = 2 * _LONGEST_LINE

    def __init__(self, device: str, reader: JsonReader) -> None:
        super().__init__(device)
        self._reader = reader

    def scan(self, buffer: bytearray, time_ns: int) -> Frame[Record] | Skip | None:
        end = buffer.find(b"\n", 0, _LONGEST_LINE)
        if end < 0:
            return Skip(_LONGEST_LINE, "too_long") if len(buffer) >= _LONGEST_LINE else None
        line = bytes(buffer[:end]).strip().removeprefix(b"data:")  # as server-sent events have it
        return Frame(end + 1, tuple(self._reader.read_all(line, time_ns)) if line else (Sign(),))


class JsonEvents(Driver):
    Options: ClassVar[type[Options]] = JsonOptions
    summary = "plates and tags as JSON by HTTP POST, MQTT or a stream: Axis, Milesight, Rekor, Impinj, Zebra and others"
    schemes = ("http", "mqtt", "mqtts", "http-stream", "https-stream")
    reads_identifiers = True
    options: JsonOptions

    def __init__(self, name: str, url: str, options: Any, clock: Clock = time.time_ns) -> None:
        super().__init__(name, url, options, clock)
        if parse_url(url, self.schemes).scheme.startswith("mqtt") and not self.options.topic:
            raise ValueError(f"{url}: the option `topic` is missing: what the reader publishes to")

    def offer(self) -> Offer:
        return Offer(channels=0, inputs=frozenset(), temperatures=frozenset())

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        options = self.options
        self.silent_after_s = options.silent_after_s or math.inf
        talk = _Talk(self, emit, alive)
        address = parse_url(self.url, self.schemes)
        waiting = asyncio.create_task(talk.watch())
        try:
            if address.scheme == "http":
                guard = guard_of(self, options.username, options.password_file)
                async with listening(self, options.cameras, talk.post, talk.rejected, guard) as fault:
                    talk.stands()
                    await fault
            elif address.scheme in ("http-stream", "https-stream"):
                codec = LineCodec(self.name, talk.reader)
                account = (options.username, password(self.url, options.password_file))
                target = address.path if address.path != "/" else PRESETS[options.preset].stream
                async with asked(self, target, account, options.ca_file) as answer:
                    talk.stands()
                    while True:
                        data, time_ns = await answer.read()
                        for record in codec.feed(data, time_ns):
                            talk.hand_on(record, time_ns)
            else:
                account_there = Account(
                    client_id=options.client_id or f"borderflow-{self.name}",
                    protocol=options.protocol,
                    username=options.username,
                    password=password(self.url, options.password_file),
                    ca_file=options.ca_file,
                )
                async with subscribed(address, options.topic, account_there) as subscription:
                    talk.stands()
                    while True:
                        messages = await subscription.next()
                        await talk.messages(messages)
                        for message in messages:
                            subscription.acknowledge(message)
        finally:
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            talk.end()


class _Talk:
    """What one session knows: vehicles that are still here, events that were handed on."""

    def __init__(self, driver: JsonEvents, emit: Emit, alive: Callable[[], None]) -> None:
        self._driver = driver
        self._emit = emit
        self._alive = alive
        self._known = KnownEvents()
        self._vehicles = Vehicles(round(driver.options.vehicle_gone_s * 1e9))
        self.reader = JsonReader(driver.name, driver.options)

    def stands(self) -> None:
        """The connection stands, or this computer listens: all that can be known where silence is normal."""
        if not self._driver.options.silent_after_s:
            self._alive()

    async def post(self, request: Request, time_ns: int) -> bool:
        """A post; whether what it says is durable."""
        bodies = [body for body in request.documents if body.strip()[:1] in (b"{", b"[", b"\xef")]
        if not bodies:
            self.rejected("no_json")
            return True
        return await self._taken(bodies, time_ns)

    async def messages(self, messages: list[Message]) -> None:
        """What a broker brought; returns when it is durable. Raises DeviceError where it cannot be."""
        time_ns = self._driver.clock()
        bodies, digests = [], []
        for message in messages:
            if self._driver.tap is not None:
                self._driver.tap("rx", message.payload, time_ns)
            digest = hashlib.sha256(message.payload).hexdigest()
            if self._known.is_new(digest):
                digests.append(digest)
            elif message.again:
                continue
            bodies.append(message.payload)
        if bodies and not await self._taken(bodies, time_ns):
            for digest in digests:
                self._known.forget(digest)
            raise DeviceError(f"{self._driver.url}: what it says cannot be stored; the broker sends it again")

    async def _taken(self, bodies: list[bytes], time_ns: int) -> bool:
        new: list[str] = []
        for body in bodies:
            for record in self.reader.read_all(body, time_ns):
                new += self.hand_on(record, time_ns)

        def forget() -> None:
            for identity in new:
                self._known.forget(identity)

        if await durable(self._driver, self._driver.options.answer_within_s, forget):
            return True
        self.rejected("not_stored_in_time")
        return False

    def hand_on(self, record: Record, time_ns: int) -> list[str]:
        """Emit what is final; the identity of the event where it has one and is new."""
        if isinstance(record, Rejected):
            self._emit(record)
            return []
        self._alive()
        if isinstance(record, Sign) or not self._known.is_new(record.identity):
            return []
        for event in self._vehicles.take(record, time_ns):
            self._emit(event)
        return [record.identity]

    async def watch(self) -> None:
        """Emit vehicles that are gone, for ever."""
        while True:
            await asyncio.sleep(_TICK_S)
            for event in self._vehicles.due(self._driver.clock()):
                self._emit(event)

    def end(self) -> None:
        """The session ends: what is known of vehicles that are still here counts."""
        for event in self._vehicles.all():
            self._emit(event)

    def rejected(self, reason: str) -> None:
        self._emit(Rejected(self._driver.name, self._driver.clock(), reason))
