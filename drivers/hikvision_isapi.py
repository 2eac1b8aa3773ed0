"""Hikvision ISAPI cameras that push what they read by HTTP: this driver listens, the camera posts.

    POST /plates HTTP/1.1, Content-Type: multipart/form-data; boundary=B

    --B CR LF  Content-Disposition: form-data; name="anpr.xml"; ...  CR LF CR LF  <EventNotificationAlert> ..  CR LF
    --B ..     pictures                                              --B--

Of the XML, in whatever namespace, are read: eventType (ANPR), ANPR/licensePlate, ANPR/country, ANPR/confidenceLevel
(0..100, with some firmware 0..1), dateTime. Other events (heartbeats) are signs of life. Pictures are thrown away.

An event is answered 200 only when what follows from it is durable, so that a camera that sends again what was not
taken loses nothing: no answer (this computer fell) or 503 (its disk does not take it within `answer_within_s`) means
that it was not. An event that comes again is known by its UUID and counts once, but after a restart in between. Many
cameras post once and never again, whatever they are answered; no plate in clear is kept on disk for them. Where cameras
do send again, set `camera_time`: the time of arrival is then not that of the passage. What makes no sense is answered
200: it would not make more sense the second time.

A URL with a path takes what is posted to it, one without takes every path. The address in the XML is never
used; `cameras` names the hosts that may post. Silence is no alarm unless `silent_after_s` is given, for cameras that
send heartbeats.

Sources: ISAPI examples in public code. Unconfirmed on hardware: confidence in 0..1 (taken for that where it has a
decimal point and is at most 1); which firmware sends again, and that an event keeps its UUID then; how long a camera
waits for an answer (`answer_within_s`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar
from xml.etree import ElementTree

from msgspec import Meta

from drivers.base import Driver, Emit, Offer, Options, ProtocolError
from drivers.events import PlateRead, Rejected
from drivers.http_listener import listening
from drivers.http_posts import Request
from drivers.pushed import KnownEvents, documents, durable, guard_of

_MOST_XML = 65_536
_PLATE = re.compile(r"[^\W_][^\W_ .·-]*([ .·-][^\W_ .·-]+)*")


class HikvisionOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cameras: Annotated[tuple[str, ...], Meta(description="IP addresses that may post; empty: any")] = ()
    username: Annotated[str, Meta(description="that a camera must give, Basic or Digest; empty: none")] = ""
    password_file: Annotated[str, Meta(description="a file with its password alone")] = ""
    camera_time: Annotated[bool, Meta(description="use the camera's dateTime (it must keep time by NTP)")] = False
    silent_after_s: Annotated[float, Meta(ge=0, description="silence that is an alarm; 0: never")] = 0.0
    answer_within_s: Annotated[
        float, Meta(gt=0, le=25, description="a plate that is not durable by then is answered 503 (unconfirmed)")
    ] = 5.0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """An event of the camera that is no plate."""


HikvisionRecord = PlateRead | Heartbeat | Rejected


def read_event(request: Request, device: str, time_ns: int, *, camera_time: bool = False) -> HikvisionRecord:
    """What a request says. Raises nothing."""
    return read_known_event(request, device, time_ns, camera_time=camera_time)[0]


def read_known_event(
    request: Request, device: str, time_ns: int, *, camera_time: bool = False
) -> tuple[HikvisionRecord, str]:
    """What a request says, and the event's UUID, empty where it has none. Raises nothing."""
    try:
        root = _root(_xml(request))
        return _event(root, device, time_ns, camera_time), _text(root, "UUID")[:64]
    except ProtocolError as error:
        return Rejected(device, time_ns, error.reason), ""


def _xml(request: Request) -> bytes:
    """The document that is the XML."""
    for body in documents(request):
        if body.lstrip(b"\xef\xbb\xbf\r\n\t ").startswith(b"<"):
            return body
    raise ProtocolError("no_xml", "no part of the request is XML")


def _root(xml: bytes) -> ElementTree.Element:
    if len(xml) > _MOST_XML or b"<!" in xml:  # no document type, so no entities that grow
        raise ProtocolError("bad_xml", "the XML is too long or has a document type")
    try:
        return ElementTree.fromstring(xml.strip(b"\r\n\0 "))
    except (ElementTree.ParseError, ValueError, LookupError):
        raise ProtocolError("bad_xml", "the XML cannot be parsed") from None


def _event(root: ElementTree.Element, device: str, time_ns: int, camera_time: bool) -> HikvisionRecord:
    if _text(root, "eventType").upper() != "ANPR":
        return Heartbeat()
    anpr = _child(root, "ANPR")
    if anpr is None:
        raise ProtocolError("no_plate", "no ANPR part")
    plate = _text(anpr, "licensePlate")
    if plate.lower() == "unknown":
        return Heartbeat()
    if len(plate) > 16 or not _PLATE.fullmatch(plate):
        raise ProtocolError("bad_plate", "what stands there is no plate")
    try:
        reader_ns = _time_ns(_text(root, "dateTime"))
    except ProtocolError:
        if camera_time:
            raise
        reader_ns = None
    if camera_time and reader_ns is not None:
        time_ns = reader_ns
    confidence = _confidence(_text(anpr, "confidenceLevel"))
    return PlateRead(device, time_ns, plate, _text(anpr, "country") or None, confidence, reader_ns)


def _child(element: ElementTree.Element, name: str) -> ElementTree.Element | None:
    return next((child for child in element if child.tag.rpartition("}")[2] == name), None)


def _text(element: ElementTree.Element, name: str) -> str:
    child = _child(element, name)
    return (child.text or "").strip() if child is not None else ""


def _time_ns(text: str) -> int:
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        raise ProtocolError("bad_time", "dateTime is no ISO 8601 time") from None
    if stamp.tzinfo is None:
        raise ProtocolError("bad_time", "dateTime has no offset")
    return round(stamp.timestamp() * 1e6) * 1000


def _confidence(text: str) -> float | None:
    if not text:
        return None
    if not re.fullmatch(r"\d{1,3}(\.\d{1,12})?", text):
        raise ProtocolError("bad_score", "confidenceLevel is no number")
    value = float(text)
    value = value if "." in text and value <= 1.0 else value / 100.0
    if value > 1.0:
        raise ProtocolError("bad_score", "confidenceLevel is above 100")
    return value


class HikvisionIsapi(Driver):
    Options: ClassVar[type[Options]] = HikvisionOptions
    summary = "Hikvision licence-plate cameras that push events by HTTP (ISAPI); this computer listens"
    schemes = ("http",)
    reads_identifiers = True
    options: HikvisionOptions

    def offer(self) -> Offer:
        return Offer(channels=0, inputs=frozenset(), temperatures=frozenset())

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        options = self.options
        self.silent_after_s = options.silent_after_s or math.inf
        known = KnownEvents()

        async def take(request: Request, time_ns: int) -> bool:
            event, identity = read_known_event(request, self.name, time_ns, camera_time=options.camera_time)
            if not isinstance(event, Rejected):
                alive()
            if not isinstance(event, Heartbeat) and known.is_new(identity):
                emit(event)
            if await durable(self, options.answer_within_s, lambda: known.forget(identity)):
                return True
            rejected("not_stored_in_time")
            return False

        def rejected(reason: str) -> None:
            emit(Rejected(self.name, self.clock(), reason))

        guard = guard_of(self, options.username, options.password_file)
        async with listening(self, options.cameras, take, rejected, guard) as fault:
            if not options.silent_after_s:
                alive()  # that it listens is all that can be known
            await fault
