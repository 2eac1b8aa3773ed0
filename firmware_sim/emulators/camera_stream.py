"""Cameras whose event stream is asked for: plates that pass in, parts of a multipart answer out; driven by `serve.py`.

`maker` is `dahua` (eventManager.cgi: text with JSON, heartbeats) or `hikvision` (alertStream: XML). Parts say their
length, or with `no_length` a wrong one (0) between bare line feeds, as an ITC237 does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal
from xml.sax.saxutils import escape

from firmware_sim.emulators.base import Output
from firmware_sim.emulators.http_asked import AskedByHttp
from firmware_sim.world.events import PlatePassed, WorldEvent

PICTURE = bytes.fromhex("FFD8FFE000104A46494600010100000100010000") + bytes(1500) + b"\xff\xd9"  # no picture in it
PATHS = {"dahua": "/cgi-bin/eventManager.cgi", "hikvision": "/ISAPI/Event/notification/alertStream"}
BOUNDARIES = {"dahua": "myboundary", "hikvision": "boundary"}
EVENT = (
    '<EventNotificationAlert version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema">\n<channelID>1</channelID>\n'
    "<dateTime>{time}</dateTime>\n<activePostCount>1</activePostCount>\n<eventType>{kind}</eventType>\n"
    "<eventState>{state}</eventState>\n{more}</EventNotificationAlert>\n"
)


class CameraStream(AskedByHttp):
    """The device core. `clock` gives the time that the camera's clock shows."""

    faults = frozenset({"clock_step", "unknown_plates"})

    def __init__(
        self,
        clock: Callable[[float], datetime],
        *,
        maker: Literal["dahua", "hikvision"] = "dahua",
        heartbeat_s: float = 5.0,
        no_length: bool = False,
        **http: Any,
    ) -> None:
        if maker not in PATHS:
            raise ValueError(f"maker {maker!r}: give one of {', '.join(PATHS)}")
        super().__init__(**http)
        self.path = PATHS[maker]
        kind = "multipart/x-mixed-replace" if maker == "dahua" else "multipart/mixed"
        self.content_type = f"{kind}; boundary={BOUNDARIES[maker]}"
        self._clock = clock
        self._maker = maker
        self._heartbeat_s = heartbeat_s
        self._next_s = heartbeat_s
        self._no_length = no_length
        self._unknown = False
        self._step_s = 0.0

    def happened(self, event: WorldEvent, now_s: float) -> Output:
        if not isinstance(event, PlatePassed):
            return []
        if self._maker == "hikvision":
            return self.tell(self._part("application/xml", self._xml(event, now_s)) + self._part("image/jpeg", PICTURE))
        parts = [self._part("text/plain", self._text(event, now_s, action)) for action in ("Start", "Stop")]
        return self.tell(parts[0] + self._part("image/jpeg", PICTURE)) + self.tell(parts[1])

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        if now_s < self._next_s:
            return []
        self._next_s = now_s + self._heartbeat_s
        if self._maker == "dahua":
            return self.tell(self._part("text/plain", b"Heartbeat"))
        idle = EVENT.format(time=self._time(now_s).isoformat(), kind="videoloss", state="inactive", more="")
        return self.tell(self._part("application/xml", idle.encode()))

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        if kind == "clock_step":
            self._step_s = float(options.get("step_s", 3600.0)) if active else 0.0
        elif kind == "unknown_plates":
            self._unknown = active
        return []

    def _time(self, now_s: float) -> datetime:
        return (self._clock(now_s) + timedelta(seconds=self._step_s)).replace(microsecond=0)

    def _plate(self, event: PlatePassed) -> str:
        return ("" if self._maker == "dahua" else "unknown") if self._unknown else event.plate

    def _text(self, event: PlatePassed, now_s: float, action: str) -> bytes:
        at = self._clock(now_s) + timedelta(seconds=self._step_s)
        plate = self._plate(event)
        data = {
            "Class": "Traffic",
            "CountInGroup": 1,
            "Lane": 0,
            "Object": {"ObjectID": event.vehicle, "ObjectType": "Plate", "Text": plate, "Confidence": _score(event)},
            "TrafficCar": {"PlateNumber": plate, "Country": event.country, "PlateType": "Unknown"},
            "UTC": int(at.timestamp()),
            "UTCMS": at.microsecond // 1000,
        }
        return f"Code=TrafficJunction;action={action};index=0;data={json.dumps(data, indent=3)}\n".encode()

    def _xml(self, event: PlatePassed, now_s: float) -> bytes:
        anpr = (
            f"<ANPR>\n<country>{escape(event.country)}</country>\n<licensePlate>{escape(self._plate(event))}</licensePlate>\n"
            f"<confidenceLevel>{_score(event)}</confidenceLevel>\n</ANPR>\n"
        )
        return EVENT.format(time=self._time(now_s).isoformat(), kind="ANPR", state="active", more=anpr).encode()

    def _part(self, kind: str, body: bytes) -> bytes:
        end = "\n" if self._no_length else "\r\n"
        length = 0 if self._no_length else len(body)
        head = end.join([f"--{BOUNDARIES[self._maker]}", f"Content-Type: {kind}", f"Content-Length:{length}", "", ""])
        return head.encode() + body + 2 * end.encode()


def _score(event: PlatePassed) -> int:
    return max(0, min(100, round(event.confidence * 100)))
