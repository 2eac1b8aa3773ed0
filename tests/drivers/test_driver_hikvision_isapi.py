"""hikvision_isapi: requests, events, hostile posts, and the driver against clients of the standard library."""

from __future__ import annotations

import asyncio
import http.client
from typing import Any

import pytest
from driver_peers import free_port, running
from hypothesis import given
from hypothesis import strategies as st

from drivers import registry
from drivers.events import DeviceState, LinkState, PlateRead, Rejected
from drivers.hikvision_isapi import Heartbeat, read_event
from drivers.http_posts import Head, Request
from drivers.pushed import KnownEvents

XML = """<?xml version="1.0" encoding="UTF-8"?>
<EventNotificationAlert version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">
<ipAddress>192.0.2.64</ipAddress><dateTime>2026-11-24T08:15:59+02:00</dateTime><eventType>ANPR</eventType>
<ANPR><country>USA</country><licensePlate>AB123CD</licensePlate><confidenceLevel>87</confidenceLevel></ANPR>
</EventNotificationAlert>"""


def body(xml: str = XML) -> bytes:
    head = b'--B\r\nContent-Disposition: form-data; name="anpr.xml"; filename="anpr.xml"\r\n\r\n'
    picture = b'--B\r\nContent-Disposition: form-data; name="licensePlatePicture.jpg"\r\n\r\n\xff\xd8\xff\r\n--B--\r\n'
    return head + xml.encode() + b"\r\n" + picture


def request(data: bytes, kind: str = "multipart/form-data; boundary=B") -> Request:
    return Request(Head("POST", "/plates", {"content-type": kind}), data)


def test_plate_of_a_multipart_post() -> None:
    assert read_event(request(body()), "lpr", 7) == PlateRead("lpr", 7, "AB123CD", "USA", 0.87, 1795500959 * 10**9)
    bad = body(XML.replace("2026-11-24T08:15:59+02:00", "yesterday"))
    assert read_event(request(bad), "lpr", 7) == PlateRead("lpr", 7, "AB123CD", "USA", 0.87)
    assert read_event(request(bad), "lpr", 7, camera_time=True) == Rejected("lpr", 7, "bad_time")


def test_time_of_the_camera() -> None:
    event = read_event(request(body()), "lpr", 7, camera_time=True)
    assert isinstance(event, PlateRead)
    assert event.time_ns == 1795500959 * 10**9


def test_namespaces_and_plain_xml() -> None:
    other = XML.replace("www.isapi.org", "www.hikvision.com")
    none = XML.replace(' xmlns="http://www.isapi.org/ver20/XMLSchema"', "")
    for xml in (other, none):
        assert isinstance(read_event(request(xml.encode(), "application/xml"), "lpr", 0), PlateRead)


@pytest.mark.parametrize(("level", "confidence"), [("0.87", 0.87), ("100", 1.0), ("0", 0.0), ("1", 0.01), ("1.0", 1.0)])
def test_confidence(level: str, confidence: float) -> None:
    event = read_event(request(body(XML.replace(">87<", f">{level}<"))), "lpr", 0)
    assert isinstance(event, PlateRead)
    assert event.confidence == pytest.approx(confidence)


def test_what_is_no_plate_is_a_sign_of_life() -> None:
    assert read_event(request(body(XML.replace(">ANPR<", ">videoloss<"))), "lpr", 0) == Heartbeat()
    assert read_event(request(body(XML.replace("AB123CD", "unknown"))), "lpr", 0) == Heartbeat()


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (request(b"no xml", "text/plain"), "no_xml"),
        (request(b"--B\r\n\r\npicture"), "no_xml"),
        (request(body("<a")), "bad_xml"),
        (request(body('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')), "bad_xml"),
        (request(body(XML.replace("AB123CD", "AB;DROP"))), "bad_plate"),
        (request(body(XML.replace("AB123CD", "A" * 17))), "bad_plate"),
        (request(body(XML.replace(">87<", ">870<"))), "bad_score"),
        (request(body(XML.replace("<ANPR>", "<ABC>").replace("</ANPR>", "</ABC>"))), "no_plate"),
    ],
)
def test_rejected(made: Request, reason: str) -> None:
    assert read_event(made, "lpr", 0) == Rejected("lpr", 0, reason)


@given(st.binary(max_size=2000), st.text(max_size=60))
def test_hostile_bodies_are_rejected_or_harmless(data: bytes, kind: str) -> None:
    for content in (data, body() + data, data + body()):
        for content_type in (kind, "multipart/form-data; boundary=B", "application/xml"):
            assert isinstance(read_event(request(content, content_type), "lpr", 0), PlateRead | Heartbeat | Rejected)


def post(port: int, data: bytes, path: str = "/plates", method: str = "POST") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, data, {"Content-Type": "multipart/form-data; boundary=B"})
        return connection.getresponse().status
    finally:
        connection.close()


def driver(port: int, **options: Any) -> registry.Driver:
    return registry.create("hikvision_isapi", "lpr", f"http://127.0.0.1:{port}/plates", options)


async def test_a_post_is_handed_on_before_it_is_answered() -> None:
    port = free_port()
    async with running(driver(port)) as events:
        await events.until_state(LinkState.ONLINE)
        assert await asyncio.to_thread(post, port, body()) == 200
        assert [read.plate for read in events.of(PlateRead)] == ["AB123CD"]
        assert await asyncio.to_thread(post, port, body(), "/other") == 200
        assert await asyncio.to_thread(post, port, body("<a")) == 200
        await events.until(lambda: {r.reason for r in events.of(Rejected)} == {"foreign_request", "bad_xml"})
    assert "AB123CD" not in repr(events)


def numbered(identity: str) -> bytes:
    return body(XML.replace("</EventNotificationAlert>", f"<UUID>{identity}</UUID></EventNotificationAlert>"))


async def test_a_plate_is_answered_200_only_when_it_is_durable() -> None:
    port = free_port()
    made = driver(port, answer_within_s=0.2)
    answers: list[bool | None] = [None, True, False, True, True]  # None: never in time

    async def stored() -> bool:
        answer = answers.pop(0)
        if answer is None:
            await asyncio.sleep(60)
        return bool(answer)

    made.stored = stored
    async with running(made) as events:
        await events.until_state(LinkState.ONLINE)
        assert await asyncio.to_thread(post, port, numbered("a")) == 503  # waits for the disk
        assert await asyncio.to_thread(post, port, numbered("a")) == 200
        assert len(events.of(PlateRead)) == 1
        assert await asyncio.to_thread(post, port, numbered("b")) == 503  # there was no place for it
        assert await asyncio.to_thread(post, port, numbered("b")) == 200
        assert await asyncio.to_thread(post, port, numbered("b")) == 200
        assert len(events.of(PlateRead)) == 3
        await events.until_count(Rejected, 1)
        assert {event.reason for event in events.of(Rejected)} == {"not_stored_in_time"}


def test_events_that_come_again_are_known_in_a_bounded_number() -> None:
    known = KnownEvents()
    assert [known.is_new(identity) for identity in ("a", "a", "", "")] == [True, False, True, True]
    known.forget("a")
    assert known.is_new("a")
    for number in range(1000):
        assert known.is_new(str(number))
    assert known.is_new("a")  # long ago


async def test_only_known_cameras_may_post() -> None:
    port = free_port()
    async with running(driver(port, cameras=["192.0.2.64"])) as events:
        await events.until_state(LinkState.ONLINE)
        with pytest.raises((OSError, http.client.HTTPException)):
            await asyncio.to_thread(post, port, body())
        await events.until_count(Rejected, 1)
        assert events.of(Rejected)[0].reason == "foreign_host"
        assert events.of(PlateRead) == []


async def test_a_port_that_is_taken() -> None:
    port = free_port()
    async with running(driver(port)) as first, running(driver(port)) as second:
        await first.until_state(LinkState.ONLINE)
        await second.until(lambda: LinkState.DOWN in second.states + first.states)
        texts = [event.text for event in [*first.of(DeviceState), *second.of(DeviceState)]]
    assert any("cannot listen there" in text for text in texts)


async def test_a_url_without_a_path_takes_every_path() -> None:
    port = free_port()
    made = registry.create("hikvision_isapi", "lpr", f"http://127.0.0.1:{port}", {})
    async with running(made) as events:
        await events.until_state(LinkState.ONLINE)
        assert await asyncio.to_thread(post, port, body(), "/any") == 200
        assert len(events.of(PlateRead)) == 1
