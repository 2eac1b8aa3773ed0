"""Hikvision camera that pushes plates by HTTP (ISAPI): plates that pass in, POST requests out.

The camera is the client here, the daemon listens. It posts each event once, with an XML part and pictures, and does not
care what it is answered.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any
from xml.sax.saxutils import escape

from firmware_sim.emulators.base import Emulator, Output, Send
from firmware_sim.world.events import PlatePassed, WorldEvent

BOUNDARY = "boundary"
NAMESPACES = ("http://www.isapi.org/ver20/XMLSchema", "http://www.hikvision.com/ver20/XMLSchema")
PICTURE = bytes.fromhex("FFD8FFE000104A46494600010100000100010000") + bytes(2000) + b"\xff\xd9"  # no picture in it


def event_xml(event_type: str, at: datetime, number: int, identity: str, namespace: str, anpr: str = "") -> bytes:
    time = at.isoformat(timespec="seconds")
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<EventNotificationAlert version="2.0" xmlns="{namespace}">\n'
        "<ipAddress>192.0.2.64</ipAddress>\n<portNo>80</portNo>\n<protocol>HTTP</protocol>\n"
        "<macAddress>44:19:b6:00:00:01</macAddress>\n<channelID>1</channelID>\n"
        f"<dateTime>{time}</dateTime>\n<activePostCount>{number}</activePostCount>\n"
        f"<eventType>{event_type}</eventType>\n<eventState>active</eventState>\n"
        f"<eventDescription>{event_type}</eventDescription>\n{anpr}<UUID>{identity}</UUID>\n</EventNotificationAlert>\n"
    ).encode()


def anpr_xml(plate: str, country: str, confidence: str) -> str:
    return (
        f"<ANPR>\n<country>{escape(country)}</country>\n<licensePlate>{escape(plate)}</licensePlate>\n<line>1</line>\n"
        f"<direction>forward</direction>\n<confidenceLevel>{confidence}</confidenceLevel>\n"
        "<plateType>unknown</plateType>\n<vehicleType>truck</vehicleType>\n</ANPR>\n"
    )


def post(path: str, host: str, xml: bytes, pictures: Mapping[str, bytes]) -> bytes:
    """A multipart request."""
    parts = [("anpr.xml", "text/xml", xml)] + [(name, "image/jpeg", data) for name, data in pictures.items()]
    body = b""
    for name, kind, data in parts:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
        head += f"Content-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
        body += head.encode() + data + b"\r\n"
    body += f"--{BOUNDARY}--\r\n".encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    return (head + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode() + body


class HikvisionIsapi(Emulator):
    """The device core. `clock` gives the time that the camera's clock shows; `seed` makes its UUIDs repeatable."""

    faults = frozenset({"clock_step", "stuck_plate", "unknown_plates"})
    pushes = True

    def __init__(
        self,
        clock: Callable[[float], datetime],
        *,
        path: str = "/plates",
        old_firmware: bool = False,
        heartbeat_s: float = 0.0,
        seed: int = 1,
    ) -> None:
        self._clock = clock
        self._path = path
        self._namespace = NAMESPACES[old_firmware]
        self._share = old_firmware  # the confidence as 0..1 instead of per cent
        self._heartbeat_s = heartbeat_s
        self._random = Random(seed)
        self._step_s = 0.0
        self._is_stuck = self._unknown = False
        self._stuck: PlatePassed | None = None  # what it goes on to read
        self._last: PlatePassed | None = None
        self._number = 0
        self._next_s = heartbeat_s
        self._again_s = 0.0

    def reboot(self, now_s: float) -> Output:
        self._number, self._last = 0, None
        return []

    def happened(self, event: WorldEvent, now_s: float) -> Output:
        if not isinstance(event, PlatePassed):
            return []
        self._last, self._again_s = event, now_s + 1.0
        return self._report(event, now_s)

    def _report(self, event: PlatePassed, now_s: float) -> Output:
        plate = "unknown" if self._unknown else event.plate
        confidence = f"{event.confidence:.2f}" if self._share else str(round(event.confidence * 100))
        xml = self._xml("ANPR", now_s, anpr_xml(plate, event.country, confidence))
        return [self._post(xml, {"licensePlatePicture.jpg": PICTURE, "detectionPicture.jpg": PICTURE})]

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        output: Output = []
        if self._heartbeat_s and now_s >= self._next_s:
            self._next_s = now_s + self._heartbeat_s
            output.append(self._post(self._xml("heartBeat", now_s), {}))
        if self._is_stuck:
            self._stuck = self._stuck or self._last
        if self._stuck is not None and now_s >= self._again_s:
            self._again_s = now_s + 1.0
            output += self._report(self._stuck, now_s)
        return output

    def _xml(self, event_type: str, now_s: float, anpr: str = "") -> bytes:
        self._number += 1
        identity = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        at = self._clock(now_s) + timedelta(seconds=self._step_s)
        return event_xml(event_type, at, self._number, identity, self._namespace, anpr)

    def _post(self, xml: bytes, pictures: Mapping[str, bytes]) -> Send:
        return Send(post(self._path, "192.0.2.1", xml, pictures))

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        match kind:
            case "clock_step":
                self._step_s = float(options.get("step_s", 3600.0)) if active else 0.0
            case "stuck_plate":
                self._is_stuck, self._stuck = active, None
            case "unknown_plates":
                self._unknown = active
        return []
