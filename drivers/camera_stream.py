"""Cameras that are asked, not told: this computer opens their event stream and reads plates from it.

    maker = "dahua"      GET /cgi-bin/eventManager.cgi?action=attach&codes=[TrafficJunction]&heartbeat=5

        --myboundary  Content-Type: text/plain  Content-Length: N
        Heartbeat                                                       every `heartbeat_s`
        Code=TrafficJunction;action=Pulse;index=0;data={                action Start or Pulse; Stop says it again
            "Object": {"ObjectType": "Plate", "Text": "..", "Confidence": 95},
            "TrafficCar": {"PlateNumber": "..", "Country": ".."}, "UTC": seconds, "UTCMS": milliseconds }
        Events[0].TrafficCar.PlateNumber=..                             snapManager.cgi writes lines instead of JSON

    maker = "hikvision"  GET /ISAPI/Event/notification/alertStream

        --boundary  Content-Type: application/xml  Content-Length: N
        <EventNotificationAlert> as in drivers/hikvision_alerts.py, or the same as JSON; other events are heartbeats

`target` asks for something else, for example snapManager.cgi of older Dahua firmware. Pictures between the parts are
thrown away. A part without a true Content-Length (an ITC237 says 0) counts when the stream rests for a moment and what
came makes sense, else when the next one begins. What passes while the connection is down is lost: such a camera sends
nothing again.

A camera that says videoloss inactive in between, as Hikvision's did every 0.3 to 10 s, is missed when it stops; newer
ones do not say it, and then only TCP tells that a camera is gone.

Sources: Dahua HTTP API 2.8, 4.9.17, as plate loggers and emulators in public code read it (2024 to 2026); ISAPI
examples in public code; heartbeats: mezz64/pyHik issues 1 and 14, home-assistant/core issue 82767,
node-red-contrib-hikvision-ultimate issue 80. Unconfirmed on hardware: Confidence of Dahua (taken for per cent; above
100 for a share of 255); that UTC is UTC on all firmware, so that `camera_time` needs a look first.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from drivers.base import Driver, Emit, Offer, Options, ProtocolError
from drivers.events import PlateRead, Rejected
from drivers.hikvision_alerts import read_alert
from drivers.http_stream import asked
from drivers.json_events import Sign, parse
from drivers.json_mending import mended
from drivers.json_presets import Preset
from drivers.multipart import MultipartReader, Part, boundary_of
from drivers.plates import NoPlate, Plates
from drivers.secrets import check_account, password
from drivers.urls import parse_url

_QUIET_S = 0.3  # a camera writes a part in one go
_EVENT = re.compile(r"Code=([^;\s]+)\s*;\s*action=([^;\s]+)\s*(?:;\s*index=[^;]*)?(?:;\s*data=(.*))?", re.DOTALL | re.I)
_LINE = re.compile(r"^(?:Return)?Events\[0\]\.([\w.\[\]]+)\s*=\s*(.*?)\s*$", re.MULTILINE)
_MOST_LINES = 1000
_USUAL_BOUNDARY = {"dahua": "myboundary", "hikvision": "boundary"}
_WHERE_THE_PLATE_IS = Preset(
    source="as above",
    plate=("TrafficCar.PlateNumber", "Object.Text"),
    identity=("Object.ObjectType",),
    confidence=("Object.Confidence",),
    country=("TrafficCar.Country",),
    time=("UTC", "UTCMS"),
)
_BEATS_MISSED = {"dahua": 3.0, "hikvision": 12.0}  # times `heartbeat_s`: that is silence


@dataclass(frozen=True, slots=True)
class Beat(Sign):
    """A sign of life that comes by the clock."""


Record = PlateRead | Sign | Rejected


class CameraOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    maker: Annotated[Literal["dahua", "hikvision"], Meta(description="whose stream it is")]
    username: Annotated[str, Meta(description="at the camera")] = ""
    password_file: Annotated[str, Meta(description="a file with the password alone")] = ""
    ca_file: Annotated[
        str, Meta(description="https: the camera's certificate or its authority's; empty: the system's")
    ] = ""
    target: Annotated[str, Meta(description="path and query to ask for; empty: the maker's usual one")] = ""
    heartbeat_s: Annotated[int, Meta(ge=1, le=60, description="how often a Dahua camera is to say that it lives")] = 5
    camera_time: Annotated[bool, Meta(description="use the camera's time (it must keep time by NTP)")] = False
    no_plate: NoPlate = ()
    silent_after_s: Annotated[
        float,
        Meta(ge=0, description="silence that is an alarm; 0: 3 heartbeats (dahua), 12 where there are any (hikvision)"),
    ] = 0.0

    def __post_init__(self) -> None:
        check_account(self.username, self.password_file)


def usual_target(options: CameraOptions) -> str:
    """What to ask for."""
    if options.target:
        return options.target
    if options.maker == "hikvision":
        return "/ISAPI/Event/notification/alertStream"
    codes = "%5BTrafficJunction%5D"
    return f"/cgi-bin/eventManager.cgi?action=attach&codes={codes}&heartbeat={options.heartbeat_s}"


class CameraCodec:
    """Bytes of the stream's body to plates. No I/O and no clock; raises nothing."""

    def __init__(self, device: str, options: CameraOptions, boundary: str | None = None) -> None:
        self._device = device
        self._options = options
        self._reader = MultipartReader(boundary or _USUAL_BOUNDARY[options.maker])
        self._plates = Plates(options.no_plate)

    def feed(self, data: bytes, time_ns: int) -> list[Record]:
        """The records that are complete with `data`."""
        out = [record for part in self._reader.feed(data) for record in self._read(part, time_ns)]
        return out + self._early(self._reader.pending(), time_ns)

    def quiet(self, time_ns: int) -> list[Record]:
        """The stream rests: what came of the part under way may be all of it."""
        part = self._reader.pending(quiet=True)
        whole = part is not None and part.headers.get("content-length") == str(len(part.body))
        ends = part is not None and (whole or part.body.endswith(b"\n"))
        return self._early(part if ends else None, time_ns, whole=whole)

    def _early(self, part: Part | None, time_ns: int, *, whole: bool = False) -> list[Record]:
        """A part whose end did not come yet, where it makes sense already; `whole`: as far as can be known it has."""
        records = [] if part is None else self._read(part, time_ns)
        if not records or isinstance(records[-1], Rejected) or (not whole and any(map(_cut, records))):
            return []
        self._reader.take()
        return records

    def _read(self, part: Part, time_ns: int) -> list[Record]:
        if part.fault:
            return [Rejected(self._device, time_ns, part.fault)]
        try:
            if self._options.maker == "dahua":
                return self._dahua(part.body.decode("utf-8", "replace").strip(" \r\n\0"), time_ns)
            return self._hikvision(part, time_ns)
        except ProtocolError as error:
            return [Rejected(self._device, time_ns, error.reason)]

    def _hikvision(self, part: Part, time_ns: int) -> list[Record]:
        alert = read_alert(part.body, self._device, time_ns, self._plates, camera_time=self._options.camera_time)
        if alert.read is None:
            return [Beat() if b"videoloss" in part.body else Sign()]
        return [*(Rejected(self._device, time_ns, reason) for reason in alert.odd), alert.read]

    def _dahua(self, text: str, time_ns: int) -> list[Record]:
        match = _EVENT.match(text)
        if match is not None:
            if match[1] != "TrafficJunction" or match[2].lower() == "stop" or not match[3]:
                return [Sign()]
            try:
                documents = parse(match[3].encode())
            except ProtocolError as error:
                return self._mended(match[3], time_ns, error)
            data = documents[0] if documents and isinstance(documents[0], dict) else {}
        else:
            lines = dict(_LINE.findall(text)[:_MOST_LINES])
            if not lines:
                if text.lower().startswith("heartbeat"):
                    return [Sign()]
                raise ProtocolError("bad_event", "neither an event nor a heartbeat")
            if lines.get("EventBaseInfo.Code", lines.get("Code", "TrafficJunction")) != "TrafficJunction":
                return [Sign()]
            data = _nested(lines)
        return [self._plate(data, time_ns)]

    def _mended(self, text: str, time_ns: int, error: ProtocolError) -> list[Record]:
        """What a text says that is no JSON, because of something at its side; raises the error where nothing is."""
        record = self._plate(mended(text, _WHERE_THE_PLATE_IS), time_ns)
        if not isinstance(record, PlateRead):
            raise error
        return [Rejected(self._device, time_ns, "odd_json"), record]

    def _plate(self, data: dict[str, Any], time_ns: int) -> Record:
        thing, car = _table(data, "Object"), _table(data, "TrafficCar")
        is_plate = thing.get("ObjectType") == "Plate"  # else its text is the make of the vehicle
        written = (thing.get("Text") if is_plate else None) or car.get("PlateNumber") or ""
        plate = self._plates.read(str(written) if isinstance(written, str | int) else "")
        if plate is None:
            return Sign()
        confidence = None
        score = _number(thing.get("Confidence")) if is_plate else None
        if score is not None and 0.0 <= score <= 255.0:
            confidence = score / (100.0 if score <= 100.0 else 255.0)
        seconds, milliseconds = _number(data.get("UTC")), _number(data.get("UTCMS")) or 0.0
        reader_ns = None
        if seconds is not None and 1e8 < seconds < 1e11 and 0.0 <= milliseconds < 1000.0:
            reader_ns = round(seconds) * 1_000_000_000 + round(milliseconds) * 1_000_000
        at_ns = reader_ns if self._options.camera_time and reader_ns is not None else time_ns
        country = car.get("Country")
        shown = country.strip()[:8] if isinstance(country, str) else ""
        return PlateRead(self._device, at_ns, plate, shown or None, confidence, reader_ns)


def _cut(record: Record) -> bool:
    """It was put together from what could be found: more of the document may still come."""
    return isinstance(record, Rejected) and record.reason in ("odd_xml", "odd_json")


def _table(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None
    return number if number is not None and abs(number) < 1e15 else None


def _nested(lines: dict[str, str]) -> dict[str, Any]:
    """Lines `A.B=value` as tables; deeper ones are of no use here."""
    out: dict[str, Any] = {}
    for path, value in lines.items():
        table, dot, key = path.partition(".")
        if not dot:
            out.setdefault(path, value)
        elif isinstance(inner := out.setdefault(table, {}), dict):
            inner[key] = value
    return out


class CameraStream(Driver):
    Options: ClassVar[type[Options]] = CameraOptions
    summary = "licence-plate cameras that are asked for their event stream: Dahua eventManager, Hikvision alertStream"
    schemes = ("http", "https")
    port = 80
    reads_identifiers = True
    options: CameraOptions

    def offer(self) -> Offer:
        return Offer(channels=0, inputs=frozenset(), temperatures=frozenset())

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        options = self.options
        missed_s = options.silent_after_s or _BEATS_MISSED[options.maker] * options.heartbeat_s
        # a Dahua camera was asked for heartbeats; a Hikvision one has them or not
        self.silent_after_s = missed_s if options.silent_after_s or options.maker == "dahua" else math.inf
        account = (options.username, password(self.url, options.password_file))
        path = parse_url(self.url, self.schemes, port=self.port).path
        target = path if path != "/" and not options.target else usual_target(options)
        async with asked(self, target, account, options.ca_file) as answer:
            alive()
            kind = next(iter(answer.all("content-type")), "")
            codec = CameraCodec(self.name, options, boundary_of(kind))
            rests = True
            while True:
                try:
                    async with asyncio.timeout(None if rests else _QUIET_S):
                        data, time_ns = await answer.read()
                    records, rests = codec.feed(data, time_ns), False
                except TimeoutError:
                    records, rests = codec.quiet(self.clock()), True
                for record in records:
                    if isinstance(record, Beat):
                        self.silent_after_s = missed_s
                    if not isinstance(record, Rejected):
                        alive()
                    if not isinstance(record, Sign):
                        emit(record)
