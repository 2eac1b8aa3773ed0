"""Readers that say in JSON what they read: plates and tags that pass in, posts or lines of a stream out.

`preset` says whose way to write it is. A post is a connection of its own; of an Axis camera three say what became of a
car: new, update (its first reading may be wrong), and lost when it was not seen for some time. `JsonStream` is an
Impinj reader that is asked and answers with a line for each tag.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from random import Random
from typing import Any

from firmware_sim.emulators.base import Emulator, Output, Send
from firmware_sim.emulators.epc import epc_of
from firmware_sim.emulators.http_asked import AskedByHttp
from firmware_sim.world.events import PlatePassed, TagPassed, WorldEvent

PICTURE = base64.b64encode(bytes(3000)).decode()  # no picture in it
UPDATED_S = 0.3
KEEP_ALIVE_S = 10.0


def milesight(event: PlatePassed, at: datetime, number: int) -> dict[str, Any]:
    return {
        "device": "Network Camera",
        "time": f"{at:%Y-%m-%d %H:%M:%S}",
        "time_msec": f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}",
        "plate": event.plate,
        "type": "Visitor",
        "direction": "Approach",
        "detection_region": "1",
        "region": event.country,
        "confidence": f"{event.confidence * 100:.0f}",
        "plate_image": PICTURE,
    }


def platerecognizer_stream(event: PlatePassed, at: datetime, number: int) -> dict[str, Any]:
    result = {
        "box": {"xmin": 460, "ymin": 57, "xmax": 557, "ymax": 82},
        "plate": event.plate.lower(),
        "region": {"code": event.country.lower(), "score": 0.4},
        "score": round(event.confidence, 3),
        "candidates": [{"plate": event.plate.lower(), "score": round(event.confidence, 3)}],
        "vehicle": {"score": 0.7, "type": "Big Truck"},
    }
    return {
        "hook": {"target": "http://192.0.2.1/plates", "id": "camera-1", "event": "recognition"},
        "data": {"camera_id": "camera-1", "timestamp": at.isoformat().replace("+00:00", "Z"), "results": [result]},
    }


def rekor(event: PlatePassed, at: datetime, number: int) -> dict[str, Any]:
    ms = int(at.timestamp() * 1000)
    return {
        "version": 2,
        "data_type": "alpr_group",
        "epoch_start": ms,
        "epoch_end": ms + 500,
        "best_plate": {"plate": event.plate, "confidence": event.confidence * 100.0},
        "best_confidence": event.confidence * 100.0,
        "best_uuid": f"agent-{ms}-{number}",
        "best_plate_number": event.plate,
        "best_region": event.country.lower(),
        "vehicle_crop_jpeg": PICTURE,
    }


def vaxtor(event: PlatePassed, at: datetime, number: int) -> dict[str, Any]:
    """As a template with the maker's variables writes it, all as text."""
    score = f"{event.confidence * 100:.1f}"
    return {"date": at.isoformat(), "plateutf8": event.plate, "country": event.country, "confidence": score}


def hikvision(event: PlatePassed, at: datetime, number: int) -> dict[str, Any]:
    anpr = {"licensePlate": event.plate, "country": event.country, "confidenceLevel": round(event.confidence * 100)}
    when = at.isoformat(timespec="seconds")
    return {"ipAddress": "192.0.2.64", "dateTime": when, "eventType": "ANPR", "UUID": f"json-{number}", "ANPR": anpr}


def axis(event: PlatePassed, at: datetime, number: int, state: str, plate: str) -> dict[str, Any]:
    return {
        "packetCounter": str(number),
        "datetime": f"{at:%Y%m%d %H%M%S}{at.microsecond // 1000:03}000",
        "capture_timestamp": str(int(at.timestamp() * 1000)),
        "plateText": plate,
        "plateCountry": event.country,
        "plateConfidence": f"{event.confidence:.6f}",
        "carState": state,
        "carID": str(event.vehicle),
        "carMoveDirection": "unknown" if state == "new" else "in",
    }


def impinj(event: TagPassed, at: datetime) -> dict[str, Any]:
    epc = epc_of(event.tag)
    tag = {
        "epc": base64.urlsafe_b64encode(epc).decode(),
        "epcHex": epc.hex().upper(),
        "antennaPort": 1,
        "peakRssiCdbm": -5325,
    }
    stamp = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06}123Z"
    return {"timestamp": stamp, "hostname": "impinj-13-f8-f5", "eventType": "tagInventory", "tagInventoryEvent": tag}


def zebra(event: TagPassed, at: datetime) -> dict[str, Any]:
    data = {"eventNum": 1, "format": "epc", "idHex": epc_of(event.tag).hex(), "antenna": 1, "peakRssi": -55}
    return {"data": data, "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}+0000", "type": "SIMPLE"}


PLATES = {
    "milesight": milesight,
    "platerecognizer_stream": platerecognizer_stream,
    "rekor": rekor,
    "vaxtor": vaxtor,
    "hikvision": hikvision,
}
PRESETS = (*PLATES, "axis_lpv", "impinj_r700", "zebra_iotc")


class JsonEvents(Emulator):
    """A reader that posts. `clock` gives the time that its clock shows."""

    pushes = True
    faults = frozenset({"unknown_plates"})

    def __init__(
        self,
        clock: Callable[[float], datetime],
        *,
        preset: str,
        path: str = "/plates",
        bare: bool = False,
        gone_s: float = 10.0,
        misread_first: float = 0.3,
        seed: int = 1,
    ) -> None:
        if preset not in PRESETS:
            raise ValueError(f"preset {preset!r}: give one of {', '.join(PRESETS)}")
        self._clock = clock
        self._preset = preset
        self._path = path
        self._bare = bare  # documents alone, for an endpoint that is a broker
        self._gone_s = gone_s
        self._misread_first = misread_first
        self._random = Random(seed)
        self._unknown = False
        self._number = 0
        self._later: list[tuple[float, str, PlatePassed]] = []  # when, state, of whom

    def reboot(self, now_s: float) -> Output:
        self._later.clear()
        return []

    def happened(self, event: WorldEvent, now_s: float) -> Output:
        at = self._clock(now_s)
        self._number += 1
        if isinstance(event, TagPassed):
            return [self._post([impinj(event, at)] if self._preset == "impinj_r700" else zebra(event, at))]
        if not isinstance(event, PlatePassed):
            return []
        if self._unknown:
            event = PlatePassed(
                event.time_s, event.lane, event.point, event.device, "unknown", event.country, 0.1, event.vehicle
            )
        if self._preset != "axis_lpv":
            return [self._post(PLATES[self._preset](event, at, self._number))]
        wrong = self._random.random() < self._misread_first
        self._later += [(now_s + UPDATED_S, "update", event), (now_s + self._gone_s, "lost", event)]
        return [self._post(axis(event, at, self._number, "new", event.plate[:-1] if wrong else event.plate))]

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        due = [entry for entry in self._later if entry[0] <= now_s]
        self._later = [entry for entry in self._later if entry[0] > now_s]
        output: Output = []
        for _, state, event in sorted(due, key=lambda entry: entry[0]):
            self._number += 1
            output.append(self._post(axis(event, self._clock(now_s), self._number, state, event.plate)))
        return output

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        self._unknown = active
        return []

    def _post(self, document: Any) -> Send:
        body = json.dumps(document).encode()
        if self._bare:
            return Send(body)
        head = f"POST {self._path} HTTP/1.1\r\nHost: 192.0.2.1\r\nContent-Type: application/json\r\n"
        return Send((head + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode() + body)


class JsonStream(AskedByHttp):
    """An Impinj R700 whose data stream is asked for."""

    scheme = "http-stream"
    path = "/api/v1/data/stream"
    content_type = "application/json"

    def __init__(self, clock: Callable[[float], datetime], *, username: str = "", password: str = "") -> None:
        super().__init__(username=username, password=password, digest=False, chunked=True)
        self._clock = clock
        self._next_s = KEEP_ALIVE_S

    def happened(self, event: WorldEvent, now_s: float) -> Output:
        if not isinstance(event, TagPassed):
            return []
        return self.tell(json.dumps(impinj(event, self._clock(now_s))).encode() + b"\r\n")

    def tick(self, now_s: float, congested: frozenset[str] = frozenset()) -> Output:
        if now_s < self._next_s:
            return []
        self._next_s = now_s + KEEP_ALIVE_S
        return self.tell(b"\r\n")
