"""camera_stream: events of both makers, lengths that lie, hostile bytes, and the driver against scripted cameras."""

from __future__ import annotations

import asyncio
import json
import math
import random
import ssl
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from driver_peers import eventually, running, tcp_peer
from hypothesis import given
from hypothesis import strategies as st

from drivers import registry
from drivers.camera_stream import Beat, CameraCodec, CameraOptions
from drivers.events import DeviceState, LinkState, PlateRead, Rejected
from drivers.json_events import Sign

PULSE: dict[str, Any] = {
    "Object": {"ObjectID": 1, "ObjectType": "Plate", "Text": "AB12CD", "Confidence": 95},
    "TrafficCar": {"PlateNumber": "AB12CD", "Country": "SE"},
    "UTC": 1795500959,
    "UTCMS": 250,
}
READ = PlateRead("d", 7, "AB12CD", "SE", 0.95, 1795500959250000000)
LINES = """Events[0].EventBaseInfo.Code=TrafficJunction\r
Events[0].TrafficCar.PlateNumber=AB12CD\r
Events[0].TrafficCar.Country=SE\r
Events[0].PTS= 42949485818.0\r
"""
XML = """<EventNotificationAlert version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema">
<dateTime>2026-11-24T08:15:59+02:00</dateTime><eventType>{kind}</eventType>
<ANPR><country>SE</country><licensePlate>AB12CD</licensePlate><confidenceLevel>95</confidenceLevel></ANPR>
</EventNotificationAlert>
"""


def event(data: dict[str, Any] | None = None, code: str = "TrafficJunction", action: str = "Pulse") -> bytes:
    text = json.dumps(PULSE if data is None else data, indent=3)
    return f"Code={code};action={action};index=0;data={text}\n".encode()


def part(body: bytes, kind: str = "text/plain", length: int | None = None, boundary: str = "myboundary") -> bytes:
    size = len(body) if length is None else length
    return f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode() + body + b"\r\n\r\n"


def codec(maker: str = "dahua", **more: Any) -> CameraCodec:
    return CameraCodec("d", CameraOptions(maker=maker, **more))  # type: ignore[arg-type]


def test_an_event_counts_as_soon_as_it_is_there_and_once() -> None:
    made = codec()
    assert made.feed(part(b"Heartbeat"), 7) == [Sign()]
    assert made.feed(part(event()), 7) == [READ]
    assert made.quiet(7) == []
    jpeg = part(b"\xff\xd8\xff" + bytes(5000), "image/jpeg")
    assert made.feed(jpeg + part(event(action="Stop")) + part(event(), length=0), 7) == [Sign()]
    assert made.quiet(7) == [READ]
    assert made.feed(part(b"Heartbeat"), 7) == [Sign()]


def test_a_length_of_nothing_between_bare_line_feeds() -> None:
    made = codec()
    body = b"--myboundary\nContent-Type: text/plain\nContent-Length:0\n\n" + event() + b"\n"
    assert made.feed(body[:100], 7) == []
    assert made.quiet(7) == []  # it is not whole
    assert made.feed(body[100:], 7) == []
    assert made.quiet(8) == [PlateRead("d", 8, "AB12CD", "SE", 0.95, READ.reader_ns)]
    assert made.feed(body + body, 7) == [READ]


@pytest.mark.parametrize(
    ("data", "record"),
    [
        (PULSE | {"Object": {"ObjectType": "Vehicle", "Text": "Toyota"}}, PlateRead("d", 7, "AB12CD", "SE", None, 0)),
        (PULSE | {"TrafficCar": {}}, PlateRead("d", 7, "AB12CD", None, 0.95, 0)),
        (PULSE | {"Object": {}, "TrafficCar": {"PlateNumber": ""}}, Sign()),
        (PULSE | {"Object": {}, "TrafficCar": {"PlateNumber": "unlicensed"}}, Sign()),
        (PULSE | {"TrafficCar": {"PlateNumber": "A;DROP"}, "Object": None}, Rejected("d", 7, "bad_plate")),
        (PULSE | {"UTC": "soon", "Object": {"ObjectType": "Plate", "Text": "AB12CD", "Confidence": 255}}, None),
    ],
)
def test_what_a_dahua_event_says(data: dict[str, Any], record: Any) -> None:
    (got,) = codec().feed(part(event(data)) + b"--myboundary\r\n", 7)
    if record is None:
        record = PlateRead("d", 7, "AB12CD", "SE", 1.0)
    elif isinstance(record, PlateRead):
        record = PlateRead("d", 7, record.plate, record.country, record.confidence, READ.reader_ns)
    assert got == record


def test_lines_in_place_of_json_and_other_events() -> None:
    assert codec().feed(part(LINES.encode()), 7) == [PlateRead("d", 7, "AB12CD", "SE")]
    assert codec().feed(part(LINES.replace("TrafficJunction", "AccessControl").encode()), 7) == [Sign()]
    assert codec().feed(part(event(code="VideoMotion")), 7) == [Sign()]
    assert codec().feed(part(b"Code=TrafficJunction;action=Pulse;index=0"), 7) == [Sign()]
    assert codec(camera_time=True).feed(part(event()), 7)[0].time_ns == READ.reader_ns  # type: ignore[union-attr]


NO_PLATE = b'Code=TrafficJunction;action=Pulse;index=0;data={"Lane": [}\n'


@pytest.mark.parametrize(("body", "reason"), [(NO_PLATE, "bad_json"), (b"nonsense\n", "bad_event")])
def test_what_makes_no_sense_is_named_when_its_end_is_there(body: bytes, reason: str) -> None:
    made = codec()
    assert made.feed(part(body), 7) == []
    assert made.quiet(7) == []
    assert made.feed(part(event()), 7) == [Rejected("d", 7, reason), READ]


@pytest.mark.parametrize(
    "body",
    [event()[:-20], event().replace(b'"SE"', b'"S"E"'), event() + b"more", event().replace(b"250", b"250,")],
    ids=["cut", "quote", "more", "comma"],
)
def test_a_plate_is_read_out_of_what_is_no_json(body: bytes) -> None:
    made = codec()
    assert made.feed(part(body), 7) == []
    rejected, read = made.quiet(7)  # it is as long as its head says
    assert rejected == Rejected("d", 7, "odd_json")
    assert isinstance(read, PlateRead)
    assert (read.plate, read.confidence) == ("AB12CD", 0.95)
    assert made.feed(part(b"Heartbeat"), 7) == [Sign()]


def test_an_odd_document_counts_when_it_is_whole_and_the_stream_rests() -> None:
    made, body = (
        codec("hikvision"),
        XML.format(kind="ANPR").replace("<dateTime>", "<channelName>A & B</channelName><dateTime>"),
    )
    assert made.feed(part(body.encode(), "application/xml", boundary="boundary"), 7) == []
    assert made.quiet(7) == [Rejected("d", 7, "odd_xml"), PlateRead("d", 7, "AB12CD", "SE", 0.95, 1795500959 * 10**9)]
    half = part(body.encode(), "application/xml", boundary="boundary")[:-60]
    assert made.feed(half, 7) == []
    assert made.quiet(7) == [], "more is to come"


def test_the_stream_of_a_hikvision_camera() -> None:
    made = codec("hikvision")

    def said(body: str, kind: str = "application/xml") -> list[Any]:
        return made.feed(part(body.encode(), kind, boundary="boundary"), 7)

    assert said(XML.format(kind="videoloss")) == [Beat()]
    assert said(XML.format(kind="VMD")) == [Sign()]
    assert said(XML.format(kind="ANPR")) == [PlateRead("d", 7, "AB12CD", "SE", 0.95, 1795500959 * 10**9)]
    document = {"eventType": "ANPR", "dateTime": "2026-11-24T08:15:59+02:00", "ANPR": {"licensePlate": "AB12CD"}}
    (event_,) = said(json.dumps(document), "application/json")
    assert event_ == PlateRead("d", 7, "AB12CD", reader_ns=1795500959 * 10**9)
    assert said(json.dumps({"eventType": "videoloss"}), "application/json") == [Beat()]


@given(st.lists(st.integers(1, 120)), st.lists(st.sampled_from([b"Heartbeat", event(), LINES.encode()]), max_size=4))
def test_cutting_does_not_matter(sizes: list[int], bodies: list[bytes]) -> None:
    data = b"".join(part(body) for body in bodies)
    made, out, start = codec(), [], 0
    for size in [*sizes, len(data) + 1]:
        out += made.feed(data[start : start + size], 7)
        start += size
    assert len(out) == len(bodies)
    assert not any(isinstance(record, Rejected) for record in out)


@given(st.binary(max_size=2000), st.integers(0, 2**32), st.sampled_from(["dahua", "hikvision"]))
def test_hostile_bytes_end_in_step(noise: bytes, seed: int, maker: str) -> None:
    rng = random.Random(seed)
    boundary = "myboundary" if maker == "dahua" else "boundary"
    body = event() if maker == "dahua" else XML.format(kind="ANPR").encode()
    good = part(body, boundary=boundary)
    broken = bytearray(good * 2)
    for _ in range(rng.randrange(8)):
        broken[rng.randrange(len(broken))] = rng.randrange(256)
    made = codec(maker)
    for piece in (bytes(broken), noise, b"\n"):
        for record in [*made.feed(piece, 7), *made.quiet(7)]:
            assert isinstance(record, PlateRead | Sign | Rejected)
    made.feed(b"\r\n" + good, 7)
    assert any(isinstance(record, PlateRead) for record in [*made.feed(good, 7), *made.feed(good, 7)])


def scripted(*answers: bytes) -> tuple[list[bytes], Any]:
    """A camera that answers each connection with the next of `answers` and keeps the last one open."""
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answers[min(len(asked), len(answers)) - 1])
        await writer.drain()
        await asyncio.sleep(60)

    return asked, talk


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=myboundary\r\n\r\n"


def driver(port: int, **options: Any) -> registry.Driver:
    return registry.create("camera_stream", "lpr", f"http://127.0.0.1:{port}", {"maker": "dahua", **options})


async def test_a_camera_that_says_no_length_is_read_when_it_rests() -> None:
    asked, talk = scripted(HEAD + part(event(), length=0))
    async with tcp_peer(talk) as port, running(driver(port)) as events:
        await events.until_count(PlateRead, 1)
        assert events.states == [LinkState.CONNECTING, LinkState.ONLINE]
    assert asked[0].startswith(b"GET /cgi-bin/eventManager.cgi?action=attach&codes=%5BTrafficJunction%5D&heartbeat=5 ")
    assert "AB12CD" not in repr(events)


async def test_who_has_no_password_and_what_is_no_camera_is_told() -> None:
    refused = b'HTTP/1.1 401 no\r\nWWW-Authenticate: Digest realm="x", nonce="n"\r\nContent-Length: 0\r\n\r\n'
    for answer, text in (
        (refused, "refuses username"),
        (b"HTTP/1.1 404 no\r\nContent-Length: 0\r\n\r\n", "no such path"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "is this the right device"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "ended its answer"),
    ):
        _, talk = scripted(answer)
        async with tcp_peer(talk) as port, running(driver(port)) as events:
            await events.until_state(LinkState.DOWN)
        assert text in events.of(DeviceState)[-1].text


async def test_silence_is_noticed_by_the_heartbeats() -> None:
    _, talk = scripted(HEAD + part(b"Heartbeat"))
    async with tcp_peer(talk) as port, running(driver(port, silent_after_s=0.3)) as events:
        await events.until(lambda: LinkState.SILENT in events.states)


async def test_a_hikvision_camera_is_missed_only_where_it_had_heartbeats() -> None:
    head = HEAD.replace(b"myboundary", b"boundary")
    for kind, silent_after_s in (("VMD", math.inf), ("videoloss", 12.0)):
        _, talk = scripted(head + part(XML.format(kind=kind).encode(), boundary="boundary"))
        async with tcp_peer(talk) as port:
            made = driver(port, maker="hikvision", heartbeat_s=1)
            async with running(made) as events:
                await events.until_state(LinkState.ONLINE)
                await eventually(lambda made=made, wanted=silent_after_s: made.silent_after_s == wanted)


async def test_a_password_that_cannot_be_read(tmp_path: Path) -> None:
    async with running(driver(9, username="u", password_file=str(tmp_path / "none"))) as events:
        await events.until_state(LinkState.DOWN)
    assert "password_file" in str(events[-1])


async def test_a_camera_over_tls_is_known_by_its_certificate(tmp_path: Path) -> None:
    ours, others = Authority(tmp_path / "a"), Authority(tmp_path / "b")
    identity = ours.issue("factory-name", address="192.0.2.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.cert_file, identity.key_file)
    _, talk = scripted(HEAD + part(event()))
    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]

    def made(ca_file: Path | None) -> registry.Driver:
        options = {"maker": "dahua"} | ({"ca_file": str(ca_file)} if ca_file is not None else {})
        return registry.create("camera_stream", "lpr", f"https://127.0.0.1:{port}", options)

    try:
        async with running(made(ours.ca_file)) as events:
            await events.until_count(PlateRead, 1)
        for ca_file, text in ((others.ca_file, "not trusted"), (None, "not trusted"), (tmp_path / "no", "ca_file")):
            async with running(made(ca_file)) as events:
                await events.until_state(LinkState.DOWN)
            assert text in events.of(DeviceState)[-1].text
    finally:
        server.close()
