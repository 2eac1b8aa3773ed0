"""Hikvision ISAPI cameras that push what they read by HTTP: this driver listens, the camera posts.

    POST /plates HTTP/1.1, Content-Type: multipart/form-data; boundary=B

    --B CR LF  Content-Disposition: form-data; name="anpr.xml"; ...  CR LF CR LF  <EventNotificationAlert> ..  CR LF
    --B ..     pictures                                              --B--

What the XML (or JSON) says is read by drivers/hikvision_alerts.py, also where a field at the side is odd. Other events
(heartbeats) and vehicles without a plate are signs of life. Pictures are thrown away.

An event is answered 200 only when what follows from it is durable, so that a camera that sends again what was not
taken loses nothing: no answer (this computer fell) or 503 (its disk does not take it within `answer_within_s`) means
that it was not. An event that comes again is known by its UUID and counts once, but after a restart in between. Many
cameras post once and never again, whatever they are answered; no plate in clear is kept on disk for them. Where cameras
do send again, set `camera_time`: the time of arrival is then not that of the passage. What makes no sense is answered
200: it would not make more sense the second time.

A URL with a path takes what is posted to it, one without takes every path. The address in the XML is never
used; `cameras` names the hosts that may post. Silence is no alarm unless `silent_after_s` is given, for cameras that
send heartbeats.

Sources: ISAPI examples in public code; hikvision_next issue 117 (bare LF between parts, Connection: close). Unconfirmed
on hardware: which firmware sends again, and that an event keeps its UUID then; how long a camera waits for an answer
(`answer_within_s`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, ClassVar

from msgspec import Meta

from drivers.base import Driver, Emit, Offer, Options, ProtocolError
from drivers.events import Rejected
from drivers.hikvision_alerts import Alert, is_alert, read_alert
from drivers.http_listener import listening
from drivers.http_posts import Request
from drivers.plates import NoPlate, Plates
from drivers.pushed import KnownEvents, durable, guard_of
from drivers.secrets import check_account


class HikvisionOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cameras: Annotated[tuple[str, ...], Meta(description="IP addresses that may post; empty: any")] = ()
    username: Annotated[str, Meta(description="that a camera must give, Basic or Digest; empty: none")] = ""
    password_file: Annotated[str, Meta(description="a file with its password alone")] = ""
    camera_time: Annotated[bool, Meta(description="use the camera's dateTime (it must keep time by NTP)")] = False
    no_plate: NoPlate = ()
    silent_after_s: Annotated[float, Meta(ge=0, description="silence that is an alarm; 0: never")] = 0.0
    answer_within_s: Annotated[
        float, Meta(gt=0, le=25, description="a plate that is not durable by then is answered 503 (unconfirmed)")
    ] = 5.0

    def __post_init__(self) -> None:
        check_account(self.username, self.password_file)


def read_post(request: Request, device: str, time_ns: int, plates: Plates, *, camera_time: bool = False) -> Alert:
    """What a request says. Raises ProtocolError where it is no alert that can be read."""
    for document in request.documents:
        if is_alert(document):
            return read_alert(document, device, time_ns, plates, camera_time=camera_time)
    raise ProtocolError("no_xml", "no part of the request is XML")


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
        known, plates = KnownEvents(), Plates(options.no_plate)

        async def take(request: Request, time_ns: int) -> bool:
            try:
                alert = read_post(request, self.name, time_ns, plates, camera_time=options.camera_time)
            except ProtocolError as error:
                rejected(error.reason)
                return await durable(self, options.answer_within_s, lambda: None)
            alive()
            if alert.read is not None and known.is_new(alert.identity):
                for reason in alert.odd:
                    rejected(reason)
                emit(alert.read)
            if await durable(self, options.answer_within_s, lambda: known.forget(alert.identity)):
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
