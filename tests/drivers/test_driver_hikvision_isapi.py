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
from drivers.base import ProtocolError
from drivers.events import DeviceState, LinkState, PlateRead, Rejected
from drivers.hikvision_alerts import Alert, read_alert, stamp_ns
from drivers.hikvision_isapi import read_post
from drivers.http_body import documents_of
from drivers.http_posts import Head, Request
from drivers.plates import Plates
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
    return Request(Head("POST", "/plates", {"content-type": kind}), documents_of(kind, data))


ARRIVED_NS = 1795500960 * 10**9  # a second after the event
READ = PlateRead("lpr", ARRIVED_NS, "AB123CD", "USA", 0.87, 1795500959 * 10**9)


def read(made: Request, *, camera_time: bool = False) -> Alert:
    return read_post(made, "lpr", ARRIVED_NS, Plates(), camera_time=camera_time)


def plate_of(xml: str | bytes, kind: str = "application/xml") -> tuple[str | None, tuple[str, ...]]:
    """The plate of a document, and what was odd."""
    alert = read(request(xml.encode() if isinstance(xml, str) else xml, kind))
    return alert.read.plate if alert.read is not None else None, alert.odd


def test_plate_of_a_multipart_post() -> None:
    assert read(request(body())) == Alert(READ, "")


def test_time_of_the_camera() -> None:
    alert = read(request(body()), camera_time=True)
    assert alert.read is not None
    assert alert.read.time_ns == 1795500959 * 10**9


def test_namespaces_and_plain_xml() -> None:
    other = XML.replace("www.isapi.org", "www.hikvision.com")
    none = XML.replace(' xmlns="http://www.isapi.org/ver20/XMLSchema"', "")
    prefixed = none.replace("<EventNotificationAlert", '<n:EventNotificationAlert xmlns:n="urn:x"')
    for xml in (other, none, prefixed.replace("</EventN", "</n:EventN")):
        assert plate_of(xml) == ("AB123CD", ())


@pytest.mark.parametrize(
    ("level", "confidence", "odd"),
    [
        ("0.87", 0.87, ()), ("100", 1.0, ()), ("0", 0.0, ()), ("1", 0.01, ()), ("1.0", 1.0, ()), ("97%", 0.97, ()),
        ("0,97", 0.97, ()), ("", None, ()), ("870", None, ("odd_score",)), ("high", None, ("odd_score",)),
        ("-1", None, ("odd_score",)),
    ],
)  # fmt: skip
def test_confidence(level: str, confidence: float | None, odd: tuple[str, ...]) -> None:
    alert = read(request(body(XML.replace(">87<", f">{level}<"))))
    assert alert.read is not None
    assert (alert.read.confidence, alert.odd) == (confidence and pytest.approx(confidence), odd)


def test_what_is_no_plate_is_a_sign_of_life() -> None:
    assert plate_of(XML.replace(">ANPR<", ">videoloss<").replace("ANPR>", "Other>")) == (None, ())
    for word in ("unknown", "无车牌", "noPlate", "--", ""):
        assert plate_of(XML.replace("AB123CD", word)) == (None, ())


CHANNEL = XML.replace("<eventType>", "<channelName>{}</channelName><eventType>")


@pytest.mark.parametrize(
    ("xml", "odd"),
    [
        (CHANNEL.format("Lane 3 & 4"), ("odd_xml",)),
        (CHANNEL.format("A&B;C &nbsp; D"), ("odd_xml",)),
        (CHANNEL.format("R&amp;D &#39; &#x27;"), ()),
        (CHANNEL.format("in < out"), ("odd_xml",)),
        (CHANNEL.format("<3>"), ("odd_xml",)),
        (CHANNEL.format("<b>not closed"), ("odd_xml",)),
        (CHANNEL.format("bell \x07 \x00"), ("odd_xml",)),
        (CHANNEL.format("<![CDATA[Lane & <3>]]><!-- a note -->"), ()),
        (XML[: XML.index("</ANPR>")], ("odd_xml",)),  # cut short behind the plate
        ("HTTP noise " + XML + "--trailing", ()),
        (XML.replace('encoding="UTF-8"', 'encoding="no-such-thing"'), ("odd_bytes",)),
        ("\ufeff\r\n" + XML + "\0\0", ()),
    ],
)
def test_a_side_field_never_costs_the_plate(xml: str, odd: tuple[str, ...]) -> None:
    assert plate_of(xml) == ("AB123CD", odd)


def test_bytes_that_are_not_of_the_encoding() -> None:
    latin = CHANNEL.format("Zufahrt S\xfcd").encode("latin-1")
    assert plate_of(latin) == ("AB123CD", ("odd_bytes",))
    chinese = CHANNEL.format("车道三").replace("UTF-8", "GB2312").encode("gb2312")
    assert plate_of(chinese) == ("AB123CD", ())


@pytest.mark.parametrize(
    ("said", "seconds", "zoned"),
    [
        ("2026-11-24T08:15:59+02:00", 0, True),
        ("2026-11-24T08:15:59+0200", 0, True),
        ("2026-11-24T08:15:59+2:00", 0, True),
        ("2026-11-24T01:15:59-5:00", 0, True),
        ("2026-11-24T06:15:59Z", 0, True),
        ("20261124T081559+0200", 0, True),
        ("2026-11-24 06:15:59", 0, False),
        ("2026-11-24T08:15:59 02:00", 7200, False),  # a "+" that somebody took for a blank
        ("2026-11-24T08:15:5902:00", 7200, False),
        ("2026-11-24T08:15:59", 7200, False),
    ],
)
def test_times_as_cameras_write_them(said: str, seconds: int, zoned: bool) -> None:
    assert stamp_ns(said) == ((1795500959 + seconds) * 10**9, zoned)


def test_a_fraction_of_a_second() -> None:
    assert stamp_ns("2026-11-24T08:15:59.25+02:00") == (1795500959 * 10**9 + 250_000_000, True)


@pytest.mark.parametrize("said", ["yesterday", "2026-13-24T08:15:59+02:00", "2026-11-24T08:15:59 02:00", "2026-11-24T"])
def test_a_time_that_makes_no_sense_costs_nothing(said: str) -> None:
    for camera_time in (False, True):
        alert = read(request(body(XML.replace("2026-11-24T08:15:59+02:00", said))), camera_time=camera_time)
        assert alert.odd == ("odd_time",)
        assert alert.read is not None
        assert (alert.read.plate, alert.read.time_ns) == ("AB123CD", ARRIVED_NS)


@pytest.mark.parametrize("said", ["1970-01-01T00:03:12+02:00", "2027-01-01T00:00:00+02:00"])
def test_a_clock_that_was_never_set_gives_no_time(said: str) -> None:
    alert = read(request(body(XML.replace("2026-11-24T08:15:59+02:00", said))), camera_time=True)
    assert alert.read is not None
    assert (alert.read.time_ns, alert.odd) == (ARRIVED_NS, ("odd_time",))


JSON = (
    '{"ipAddress": "192.0.2.64", "dateTime": "2026-11-24T08:15:59+02:00", "eventType": "ANPR", "UUID": "u1",'
    ' "ANPR": {"country": "USA", "licensePlate": "AB123CD", "confidenceLevel": 87}}'
)


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        (JSON, ()),
        (f'{{"EventNotificationAlert": {JSON}}}', ()),
        (JSON.replace("USA", "U\nA"), ()),  # a control character in a string
        (JSON[:-1], ("odd_json",)),
        (JSON.replace('"192.0.2.64"', "192.0.2.64"), ("odd_json",)),
    ],
)
def test_json_in_place_of_xml(text: str, odd: tuple[str, ...]) -> None:
    for kind in ("application/json", "text/plain", ""):
        assert plate_of(text, kind) == ("AB123CD", odd)
    part = '--B\r\nContent-Disposition: form-data; name="event"\r\nContent-Type: application/json\r\n\r\n'
    assert plate_of(f"{part}{text}\r\n--B--\r\n", "multipart/form-data; boundary=B") == ("AB123CD", odd)


def test_bare_line_feeds_between_parts() -> None:
    assert read(request(body().replace(b"\r\n", b"\n"))).read == READ


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (request(b"no xml", "text/plain"), "no_xml"),
        (request(b"--B\r\n\r\npicture"), "no_xml"),
        (request(body("<a")), "bad_xml"),
        (request(body('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')), "bad_xml"),
        (request(body(XML + " " * 300_000)), "bad_xml"),
        (request(b"{", "application/json"), "bad_json"),
        (request(b"[" * 100_000, "application/json"), "no_xml"),
        (request(b'{"a":' * 50_000, "application/json"), "bad_json"),
        (request(body(XML.replace("AB123CD", "AB;DROP"))), "bad_plate"),
        (request(body(XML.replace("AB123CD", "A" * 17))), "bad_plate"),
        (request(body(XML.replace("<ANPR>", "<ABC>").replace("</ANPR>", "</ABC>"))), "no_plate"),
    ],
)
def test_rejected(made: Request, reason: str) -> None:
    with pytest.raises(ProtocolError) as error:
        read(made)
    assert error.value.reason == reason


@given(st.binary(max_size=2000), st.text(max_size=60))
def test_hostile_bodies_are_rejected_or_harmless(data: bytes, kind: str) -> None:
    middle = body()[:250] + data + body()[250:]
    for content in (data, body() + data, data + body(), middle):
        for content_type in (kind, "multipart/form-data; boundary=B", "application/xml"):
            try:
                assert isinstance(read(request(content, content_type)), Alert)
            except ProtocolError:
                continue


@given(st.binary(max_size=60))
def test_whatever_a_channel_is_called_the_plate_is_read(name: bytes) -> None:
    xml = CHANNEL.encode().replace(b"{}", name.replace(b"<!", b"").replace(b"]]>", b""))
    alert = read_alert(xml, "lpr", ARRIVED_NS, Plates())
    assert alert.read is not None
    assert alert.read.plate == "AB123CD"


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
        assert await asyncio.to_thread(post, port, body(CHANNEL.format("Lane 3 & 4"))) == 200
        assert len(events.of(PlateRead)) == 2
        reasons = {"foreign_request", "bad_xml", "odd_xml"}
        await events.until(lambda: {r.reason for r in events.of(Rejected)} == reasons)
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
