"""The camera that pushes: its requests as an HTTP server of the standard library takes them."""

from __future__ import annotations

import asyncio
import email
import threading
import xml.etree.ElementTree as ElementTree
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.emulators.base import Output, Send
from firmware_sim.emulators.hikvision_isapi import HikvisionIsapi
from firmware_sim.serve import Unit
from firmware_sim.wires.endpoints import EndpointError, PushEndpoint, endpoint_at
from firmware_sim.wires.faults import Wire
from firmware_sim.world.events import PlatePassed

from .bench import clock


def seen(plate: str = "FB63424") -> PlatePassed:
    return PlatePassed(0.0, "C01", "booth", "hik", plate, "CAN", 0.93, 1)


def parts(output: Output) -> dict[str, bytes]:
    """The parts of the only request in `output`, by name, as the standard library reads them."""
    (send,) = output
    assert isinstance(send, Send)
    head, _, body = send.data.partition(b"\r\n\r\n")
    _, _, fields = head.partition(b"\r\n")
    assert f"Content-Length: {len(body)}".encode() in fields
    whole = email.message_from_bytes(fields + b"\r\n\r\n" + body)
    assert whole.is_multipart()
    return {str(part.get_filename()): bytes(part.get_payload(decode=True)) for part in whole.get_payload()}


def test_a_plate_as_multipart_xml_and_pictures() -> None:
    camera = HikvisionIsapi(clock)
    sent = parts(camera.happened(seen(), 0.0))
    assert set(sent) == {"anpr.xml", "licensePlatePicture.jpg", "detectionPicture.jpg"}
    root = ElementTree.fromstring(sent["anpr.xml"])
    space = "{http://www.isapi.org/ver20/XMLSchema}"
    assert root.tag == space + "EventNotificationAlert"
    texts = {element.tag.removeprefix(space): element.text for element in root.iter()}
    assert (texts["eventType"], texts["licensePlate"], texts["confidenceLevel"]) == ("ANPR", "FB63424", "93")
    assert texts["dateTime"] == "2026-11-24T13:00:00+00:00"
    old = parts(HikvisionIsapi(clock, old_firmware=True).happened(seen(), 0.0))["anpr.xml"]
    assert b"www.hikvision.com/ver20" in old
    assert b"<confidenceLevel>0.93<" in old


def test_faults_and_heartbeats() -> None:
    camera = HikvisionIsapi(clock, heartbeat_s=10.0)
    assert camera.tick(9.9) == []
    assert b"heartBeat" in parts(camera.tick(10.0))["anpr.xml"]
    camera.fault("unknown_plates", True, {}, 10.0)
    assert b">unknown</licensePlate>" in parts(camera.happened(seen(), 10.0))["anpr.xml"]
    camera.fault("stuck_plate", True, {}, 10.0)
    assert b"ANPR" in parts(camera.tick(11.0))["anpr.xml"]
    camera.fault("stuck_plate", False, {}, 11.0)
    assert camera.tick(13.0) == []


@given(st.text(max_size=20))
def test_any_plate_is_valid_xml(plate: str) -> None:
    plate = "".join(letter for letter in plate if letter.isprintable())
    root = ElementTree.fromstring(parts(HikvisionIsapi(clock).happened(seen(plate), 0.0))["anpr.xml"])
    assert any((element.text or "") == plate for element in root.iter() if element.tag.endswith("licensePlate"))


async def test_each_message_is_one_connection() -> None:
    bodies: list[bytes] = []
    two = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(503)
            self.end_headers()
            if len(bodies) == 2:
                two.set()

        def log_message(self, format: str, *args: object) -> None:
            """Not into the output of the tests."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    endpoint = endpoint_at(url, ("main",), link=Path("unused"), baud=9600, random=Random(1), pushes=True)
    assert isinstance(endpoint, PushEndpoint)
    assert endpoint.url == url
    unit = Unit(HikvisionIsapi(clock), endpoint, Wire(Random(1)), lambda: 0.0)
    await endpoint.open(unit)
    try:
        unit.step([seen("ONE")], 0.1)
        unit.step([seen("TWO")], 0.2)
        assert await asyncio.to_thread(two.wait, 10)
        assert sorted(b"ONE" in body for body in bodies) == [False, True]
        await endpoint.unplug()
        unit.step([seen("LOST")], 0.3)
        await endpoint.plug()
        await asyncio.sleep(0.05)
        assert len(bodies) == 2
    finally:
        await endpoint.close()
        server.shutdown()
        server.server_close()


def test_targets_of_a_device_that_pushes() -> None:
    for target in ("pty", "/dev/ttyS0", "http://", "http://host:port"):
        with pytest.raises(EndpointError, match=r"http|port"):
            endpoint_at(target, ("main",), link=Path("unused"), baud=9600, random=Random(1), pushes=True)
