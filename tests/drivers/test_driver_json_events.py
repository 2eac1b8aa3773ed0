"""json_events: what makers write, several events of one vehicle, hostile JSON; the driver by HTTP, MQTT and stream."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from driver_peers import free_port, running, tcp_peer
from hypothesis import given
from hypothesis import strategies as st
from mosquitto import MOSQUITTO, Mosquitto

from drivers import registry
from drivers.base import ProtocolError
from drivers.events import LinkState, PlateRead, Rejected, TagRead
from drivers.json_events import JsonOptions, JsonReader, LineCodec, Read, Sign, Vehicles, parse, time_of
from drivers.json_presets import PRESETS

CURL = shutil.which("curl")
NOW = 1_795_500_960 * 10**9
AXIS = {
    "packetCounter": "67781",
    "datetime": "20261124 061559000",
    "plateText": "AB12CD",
    "plateCountry": "BGR",
    "plateConfidence": "0.727815",
    "carState": "new",
    "carID": "102",
    "imageType": "plate",
    "plateCoordinates": [420, 180, 356, 66],
}
STREAM = {
    "hook": {"target": "http://x", "id": "camera-1", "event": "recognition"},
    "data": {
        "camera_id": "camera-1",
        "timestamp": "2026-11-24T06:15:59.000000Z",
        "results": [
            {"plate": "ab12cd", "region": {"code": "gb", "score": 0.4}, "score": 0.839, "candidates": [{"plate": "x"}]},
            {"plate": "ef34gh", "region": {"code": "us-ca", "score": 0.4}, "score": 0.5},
        ],
    },
}
GROUP = {
    "data_type": "alpr_group",
    "epoch_start": 1795500959000,
    "best_uuid": "u-1",
    "best_plate_number": "AB12CD",
    "best_confidence": 92.07,
    "best_region": "us-ca",
    "best_plate": {"plate": "AB12CD", "candidates": []},
    "vehicle_crop_jpeg": "/9j/" + "A" * 400_000,
}
R700 = {
    "timestamp": "2026-11-24T06:15:59.278427551Z",
    "hostname": "impinj-13-f8-f5",
    "eventType": "tagInventory",
    "tagInventoryEvent": {"epcHex": "E2801190A5021F80055817CA", "antennaPort": 1, "peakRssiCdbm": -2650},
}
ZEBRA = {
    "data": {"eventNum": 1, "format": "epc", "idHex": "e2801190a5021f80055817ca", "antenna": 2, "peakRssi": -55},
    "timestamp": "2026-11-24T06:15:59.000+0000",
    "type": "SIMPLE",
}
MILESIGHT = {
    "device": "Network Camera",
    "time": "2026-11-24 06:15:59",
    "time_msec": "2026-11-24 06:15:59.000",
    "plate": "AB12CD",
    "region": "USA",
    "confidence": "96",
    "plate_image": "A" * 5000,
}
HIKVISION = {
    "eventType": "ANPR",
    "dateTime": "2026-11-24T08:15:59+02:00",
    "UUID": "u-1",
    "ANPR": {"licensePlate": "AB12CD", "confidence": 95, "country": "USA"},
}
VAXTOR = {"plate": "AB12CD", "country": "USA", "confidence": "87.5", "date": "2026-11-24T08:15:59.000+02:00"}
SAMPLES = {
    "axis_lpv": ([AXIS], 0.727815, "BGR"),
    "platerecognizer_stream": ([STREAM], 0.839, "gb"),
    "rekor": ([GROUP], 0.9207, "us-ca"),
    "milesight": ([MILESIGHT], 0.96, "USA"),
    "hikvision": ([HIKVISION], 0.95, "USA"),
    "vaxtor": ([VAXTOR], 0.875, "USA"),
}


def options(preset: str = "axis_lpv", **more: Any) -> JsonOptions:
    return JsonOptions(preset=preset, **more)  # type: ignore[arg-type]


def reads(preset: str, body: Any, **more: Any) -> list[Any]:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return JsonReader("d", options(preset, **more)).read_all(text, NOW)


def first(preset: str, body: Any, **more: Any) -> Any:
    (record, *_) = reads(preset, body, **more)
    assert isinstance(record, Read)
    return record.event


@pytest.mark.parametrize("preset", SAMPLES)
def test_a_plate_as_each_maker_writes_it(preset: str) -> None:
    (body, *_), confidence, country = SAMPLES[preset]
    event = first(preset, body)
    assert isinstance(event, PlateRead)
    assert (event.plate.upper(), event.country, event.time_ns) == ("AB12CD", country, NOW)
    assert event.confidence == pytest.approx(confidence)
    assert event.reader_ns == NOW - 10**9
    assert "AB12CD" not in repr(reads(preset, body)).upper()


def test_tags_as_impinj_and_zebra_write_them() -> None:
    tag = "E2801190A5021F80055817CA"
    assert first("impinj_r700", [R700]) == TagRead("d", NOW, tag, 1, -26.5)
    assert first("impinj_r700", R700, camera_time=True).time_ns == 1795500959278427000
    old = {"timestamp": R700["timestamp"], "tagInventoryEvent": {"epc": "4oARkKUCH4AFWBfK"}}
    assert first("impinj_r700", old) == TagRead("d", NOW, tag)
    assert reads("impinj_r700", [{"eventType": "inventoryStatus"}]) == [Sign()]
    two = json.dumps(ZEBRA).encode() * 2  # with nothing between them
    assert [record.event for record in reads("zebra_iotc", two)] == [TagRead("d", NOW, tag, 2, -55.0)] * 2


def test_several_reads_in_one_document_and_signs_of_life() -> None:
    assert [record.event.plate for record in reads("platerecognizer_stream", STREAM)] == ["ab12cd", "ef34gh"]
    for preset, body in (
        ("rekor", {"data_type": "heartbeat"}),
        ("rekor", {"data_type": "alpr_results", "results": []}),
        ("zebra_iotc", {"component": "RC", "eventType": "heartbeat", "data": {"radio_control": {}}}),
        ("milesight", MILESIGHT | {"plate": None}),
        (
            "platerecognizer_stream",
            {"hook": {"event": "recognition"}, "data": {"results": [{"plate": None, "vehicle": {"score": 0.8}}]}},
        ),
        ("hikvision", {"eventType": "videoloss"}),
        ("platerecognizer_stream", {"hook": {"event": "recognition"}, "data": {"results": []}}),
        ("milesight", MILESIGHT | {"plate": "unknown"}),
    ):
        assert reads(preset, body) == [Sign()]


def test_a_bad_side_field_costs_no_plate() -> None:
    odd = MILESIGHT | {"confidence": "certain", "time_msec": "yesterday", "region": ["x"]}
    *counted, record = reads("milesight", odd)
    assert [rejected.reason for rejected in counted] == ["odd_time", "odd_score"]
    assert record.event == PlateRead("d", NOW, "AB12CD")
    text = json.dumps(MILESIGHT).replace("Network Camera", "Lane 3\n\t\x01").encode().replace(b"Lane", b"\xffLane")
    assert first("milesight", text).plate == "AB12CD"
    assert first("milesight", b"\xef\xbb\xbf" + text).plate == "AB12CD"


@pytest.mark.parametrize(
    ("preset", "document", "old", "new"),
    [
        ("milesight", MILESIGHT, '"Network Camera"', '"the "north" camera"'),
        ("milesight", MILESIGHT, '"region"', ',"region"'),
        ("hikvision", HIKVISION, "}}", ""),
        (
            "platerecognizer_stream",
            STREAM | {"data": {"timestamp": "x", "results": STREAM["data"]["results"][:1]}},
            '"x"',
            "x",
        ),
        ("axis_lpv", AXIS, '"packetCounter": "67781"', '"packetCounter": 0x1'),
        ("rekor", GROUP, '"candidates": []', '"candidates": [,]'),
    ],
)
def test_a_document_that_is_no_json_costs_no_plate(preset: str, document: Any, old: str, new: str) -> None:
    text = json.dumps(document)
    if preset == "platerecognizer_stream":
        text = text.replace(', "candidates": [{"plate": "x"}]', "")
    assert text.count(old) == 1, text
    counted, *_, record = reads(preset, text.replace(old, new).encode())
    assert counted == Rejected("d", NOW, "odd_json")
    assert record.event.plate.upper() == "AB12CD"


def test_what_stands_there_twice_is_not_relied_on() -> None:
    text = b'{"plate": "AB12CD", "before": {"plate": "EF34GH"}, "x": "a"b"}'
    assert reads("milesight", text) == [Rejected("d", NOW, "bad_json")]
    assert reads("hikvision", b'{"eventType": "videoloss", "licensePlate": "AB12CD", x}') == [
        Rejected("d", NOW, "bad_json")
    ]
    good = json.dumps(R700).encode()
    read, rejected = reads("impinj_r700", good + b"{")
    assert (read.event.tag, rejected.reason) == ("E2801190A5021F80055817CA", "bad_json")
    assert [type(record) for record in reads("impinj_r700", good + good[:-2])] == [Read, Rejected, Read]


ALPRD = {"data_type": "alpr_results", "epoch_time": 1476716853320, "results": [{"plate": "EZ0001", "confidence": 95.0}]}


def test_single_results_count_until_a_group_came() -> None:
    reader = JsonReader("d", JsonOptions(preset="rekor"))
    (read,) = reader.read(ALPRD, NOW)
    assert isinstance(read, Read)
    assert read.event == PlateRead("d", NOW, "EZ0001", None, 0.95, 1476716853320 * 1_000_000)
    assert [type(record) for record in reader.read(GROUP, NOW)] == [Read]
    assert reader.read(ALPRD, NOW) == [Sign()]


def test_the_newer_format_of_a_stream_has_its_region_elsewhere() -> None:
    plate = {"score": 0.9, "props": {"plate": [{"value": "ab12cd", "score": 0.9}], "region": [{"value": "us-ca"}]}}
    body = {"hook": {"event": "recognition"}, "data": {"results": [{"plate": plate}]}}
    assert first("platerecognizer_stream", body) == PlateRead("d", NOW, "ab12cd", "us-ca", 0.9)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b'"text"', "no_object"),
        (b"{}", "no_field"),
        (json.dumps({"x": ["y"] * 200_000}).encode(), "json_too_long"),
        (b"[" + b"1," * 2000 + b"1]", "json_too_many"),
        (b'{"plate": "AB;DROP"}', "bad_plate"),
        (b'{"plate": "AAAAAAAAAAAAAAAAA"}', "bad_plate"),
        (b'{"plate": {"a": 1}}', "no_field"),
    ],
)
def test_what_makes_no_sense_is_named(body: bytes, reason: str) -> None:
    assert reads("milesight", body) == [Rejected("d", NOW, reason)]


def test_pictures_are_cut_out_before_the_document_is_parsed() -> None:
    (document,) = parse(json.dumps(GROUP).encode())
    assert document["vehicle_crop_jpeg"] == ""
    assert document["best_plate_number"] == "AB12CD"


@pytest.mark.parametrize(
    ("stamp", "at", "zoned"),
    [
        (1795500959, 1795500959000000000, True),
        (1795500959123, 1795500959123000000, True),
        ("1795500959123456", 1795500959123456000, True),
        (1795500959123456789, 1795500959123457000, True),
        ("2026-11-24T06:15:59Z", 1795500959000000000, True),
        ("2026-11-24T08:15:59.123456789+02:00", 1795500959123456000, True),
        ("2026-11-24T06:15:59.000+0000", 1795500959000000000, True),
        ("2026-11-24 06:15:59.5", 1795500959500000000, False),
        ("20261124 061559000", 1795500959000000000, False),
    ],
)
def test_times_as_readers_write_them(stamp: Any, at: int, zoned: bool) -> None:
    got, is_zoned = time_of(stamp)
    assert abs(got - at) <= 1000
    assert is_zoned == zoned


@pytest.mark.parametrize(
    "stamp", ["", "soon", 5, -1.0, True, None, "9" * 19 + "9", float("nan"), "0000-00-00T00:00:00Z"]
)
def test_what_is_no_time(stamp: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        time_of(stamp)


def test_the_last_event_of_a_vehicle_counts_at_the_time_of_the_first() -> None:
    vehicles, reader = Vehicles(30 * 10**9), JsonReader("d", options())

    def say(at_s: int, **keys: str) -> list[Any]:
        (record,) = reader.read(AXIS | keys, NOW + at_s * 10**9)
        assert isinstance(record, Read)
        return vehicles.take(record, NOW + at_s * 10**9)

    assert say(0, plateText="AB12CO") == []
    assert say(1, carID="103") == []
    assert say(2, carState="update", plateText="AB12CD", datetime="20261124 061601000") == []
    (event,) = say(12, carState="lost", plateText="AB12CD", datetime="20261124 061611000")
    assert (event.plate, event.time_ns, event.reader_ns) == ("AB12CD", NOW, NOW - 10**9)
    assert say(12, carState="lost", plateText="") == []  # nobody knows of whom
    assert say(13, plateText="EF34GH") == []
    (event,) = say(14, carState="lost", plateText="")
    assert event.plate == "EF34GH"
    assert vehicles.due(NOW + 30 * 10**9) == []
    (event,) = vehicles.due(NOW + 31 * 10**9)
    assert (event.plate, event.time_ns) == ("AB12CD", NOW + 10**9)
    assert say(40, carID="103", carState="update") == []
    assert say(50, carID="103", carState="lost") == []  # it was told
    assert say(60, plateText="GH56IJ", carID="104") == []
    (event,) = vehicles.due(NOW + 95 * 10**9)
    assert event.plate == "GH56IJ"
    (event,) = say(99, plateText="GH561J", carID="104", carState="lost")  # the last counts
    assert (event.plate, event.time_ns) == ("GH561J", NOW + 60 * 10**9)
    assert say(120, carID="105") == []
    assert len(vehicles.due(NOW + 155 * 10**9)) == 1
    assert say(160, carID="105") == []  # the camera counts from the beginning again: this is another car
    assert say(161, carID="105") == []  # posted again
    (event,) = say(162, carID="105", plateText="KL78MN")
    assert event.plate == "AB12CD"
    assert [event.plate for event in vehicles.all()] == ["KL78MN"]
    assert vehicles.all() == []


def test_own_fields() -> None:
    fields = {"each": "a.b", "plate": "no", "time": "/when", "antenna": "x", "identity": "id"}
    body = {"a": {"b": [{"no": 123456, "id": 7}]}, "when": 1795500959}
    (record,) = reads("custom", body, fields=fields)
    assert record == Read(PlateRead("d", NOW, "123456", reader_ns=1795500959 * 10**9), "7")
    assert first("custom", {"id": "KING1302"}, fields={"tag": "id"}) == TagRead("d", NOW, "KING1302")
    assert first("milesight", {"p": ["AB12CD"], "confidence": 0.5}, fields={"plate": "p.0"}, confidence_full=1.0) == (
        PlateRead("d", NOW, "AB12CD", confidence=0.5)
    )
    for wrong in ({"plat": "x"}, {"time": "x"}):
        with pytest.raises(ValueError, match="fields"):
            options("custom", fields=wrong)


def test_each_preset_says_where_it_is_known_from() -> None:
    for name, preset in PRESETS.items():
        assert preset.source, name
        assert name == "custom" or preset.plate or preset.tag, name


_KEYS = sorted(
    {
        key
        for preset in PRESETS.values()
        for paths in (preset.plate, preset.tag, preset.time, preset.confidence)
        for path in paths
        for key in path.removeprefix("base64:").strip("/").split(".")
    }
    | {"data", "results", "hook", "event", "data_type", "eventType", "carID", "carState"}
)
_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=6),
    max_leaves=20,
)


@given(_json, st.sampled_from(sorted(set(PRESETS) - {"custom"})), st.booleans())
def test_any_json_is_read_or_named(document: Any, preset: str, camera_time: bool) -> None:
    for record in reads(preset, document, camera_time=camera_time):
        assert isinstance(record, Read | Sign | Rejected)


@given(st.binary(max_size=500), st.integers(0, 400), st.sampled_from(sorted(set(PRESETS) - {"custom"})))
def test_hostile_bodies_are_named(noise: bytes, at: int, preset: str) -> None:
    good = json.dumps(R700).encode()
    for body in (noise, good[:at] + noise + good[at:], good[:at] + good[at + 1 :]):
        for record in reads(preset, body):
            assert isinstance(record, Read | Sign | Rejected)


@given(st.lists(st.integers(1, 60)), st.binary(max_size=80))
def test_cutting_a_stream_does_not_matter(sizes: list[int], noise: bytes) -> None:
    data = json.dumps(R700).encode() + b"\r\n\r\n" + noise + b"\ndata: " + json.dumps(R700).encode() + b"\n"

    def feed(pieces: list[int]) -> list[Any]:
        codec, out, start = LineCodec("d", JsonReader("d", options("impinj_r700"))), [], 0
        for size in [*pieces, len(data)]:
            out += codec.feed(data[start : start + size], 5)
            start += size
        return out

    assert feed(sizes) == feed([])
    assert sum(isinstance(record, Read) for record in feed([])) >= 2


def driver(url: str, preset: str, **more: Any) -> registry.Driver:
    return registry.create("json_events", "lpr", url, {"preset": preset, **more})


async def curl(port: int, *arguments: str, body: Any = None) -> str:
    """The status that curl is answered."""
    words = [CURL or "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *arguments]
    if body is not None:
        words += ["-H", "Content-Type: application/json", "--data-binary", "@-"]
    made = await asyncio.to_thread(
        subprocess.run,
        [*words, f"http://127.0.0.1:{port}/plates"],
        input=json.dumps(body).encode(),
        capture_output=True,
        timeout=20,
        check=False,
    )
    return made.stdout.decode()


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
async def test_posts_of_curl(tmp_path: Path) -> None:
    port = free_port()
    file, secret = tmp_path / "event.json", tmp_path / "password"
    file.write_text(json.dumps(STREAM))
    secret.write_text("geheim\n")
    made = driver(
        f"http://127.0.0.1:{port}/plates", "platerecognizer_stream", username="cam", password_file=str(secret)
    )
    async with running(made) as events:
        await events.until_state(LinkState.ONLINE)
        assert await curl(port, body=STREAM) == "401"
        assert await curl(port, "-u", "cam:falsch", body=STREAM) == "401"
        assert await curl(port, "-u", "cam:geheim", body=STREAM) == "200"
        assert await curl(port, "--digest", "-u", "cam:geheim", body=STREAM) == "200"
        assert (
            await curl(port, "--digest", "-u", "cam:geheim", "-H", "Transfer-Encoding: chunked", body=STREAM) == "200"
        )
        form = ("-F", f"json=<{file}", "-F", f"upload=@{file};filename=a.jpg;type=image/jpeg")
        assert await curl(port, "-u", "cam:geheim", *form) == "200"
        form = ("--data-urlencode", f"json@{file}", "--data-urlencode", "other=1 + 2")
        assert await curl(port, "-u", "cam:geheim", *form) == "200"
        assert await curl(port, "-u", "cam:geheim", "-d", f"@{file}") == "200"  # called a form, and is none
        assert await curl(port, "-X", "PUT", "-u", "cam:geheim", "-d", f"@{file}") == "200"
        assert len(events.of(PlateRead)) == 14
        await events.until_count(Rejected, 1)
        assert {rejected.reason for rejected in events.of(Rejected)} == {"http_wrong_password"}


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
async def test_a_post_that_is_not_stored_is_answered_503_and_counts_once_when_it_comes_again() -> None:
    port = free_port()
    made = driver(f"http://127.0.0.1:{port}/plates", "rekor", answer_within_s=0.2)
    answers = [False, True, True]

    async def stored() -> bool:
        return answers.pop(0)

    made.stored = stored
    async with running(made) as events:
        await events.until_state(LinkState.ONLINE)
        assert [await curl(port, body=GROUP) for _ in range(3)] == ["503", "200", "200"]
        assert len(events.of(PlateRead)) == 2  # the first was lost, and the others are one


async def test_a_vehicle_that_is_still_here_counts_when_the_session_ends() -> None:
    port = free_port()
    made = driver(f"http://127.0.0.1:{port}/plates", "axis_lpv")
    async with running(made) as events:
        await events.until_state(LinkState.ONLINE)
        assert await curl(port, body=AXIS) == "200"
        assert events.of(PlateRead) == []
    assert [read.plate for read in events.of(PlateRead)] == ["AB12CD"]


async def test_a_vehicle_that_is_gone_counts() -> None:
    port = free_port()
    made = driver(f"http://127.0.0.1:{port}/plates", "axis_lpv", vehicle_gone_s=0.1)
    async with running(made) as events:
        await events.until_state(LinkState.ONLINE)
        assert await curl(port, body=AXIS) == "200"
        await events.until_count(PlateRead, 1)


async def test_a_stream_of_lines_from_a_reader_that_wants_a_password(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("impinj")
    asked: list[bytes] = []

    async def reader(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        head = await incoming.readuntil(b"\r\n\r\n")
        asked.append(head)
        if b"Basic cm9vdDppbXBpbmo=" not in head:
            outgoing.write(b'HTTP/1.1 401 no\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n')
            return
        outgoing.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        line = json.dumps(R700).encode() + b"\r\n"
        for piece in (line[:50], line[50:], b"\r\n", line):
            outgoing.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await outgoing.drain()
        await asyncio.sleep(60)

    async with tcp_peer(reader) as port:
        url = f"http-stream://127.0.0.1:{port}/api/v1/data/stream"
        async with running(driver(url, "impinj_r700", username="root", password_file=str(secret))) as events:
            await events.until_count(TagRead, 2)
        async with running(driver(url, "impinj_r700")) as events:
            await events.until_state(LinkState.DOWN)
    assert asked[0].startswith(b"GET /api/v1/data/stream HTTP/1.1\r\n")
    assert b"Authorization" not in asked[0]


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
async def test_messages_of_a_broker_are_acknowledged_when_they_are_durable(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    await asyncio.to_thread(broker.start)

    async def publish(*documents: Any) -> None:
        for document in documents:
            words = [
                "mosquitto_pub",
                "-p",
                str(broker.port),
                "-q",
                "1",
                "-t",
                "readers/booth",
                "-m",
                json.dumps(document),
            ]
            await asyncio.to_thread(subprocess.run, words, check=True, timeout=20)

    def made(protocol: int) -> registry.Driver:
        return driver(f"mqtt://127.0.0.1:{broker.port}", "zebra_iotc", topic="readers/#", protocol=protocol)

    try:
        for protocol in (5, 4):
            first, taken = made(protocol), asyncio.Event()

            async def never(taken: asyncio.Event = taken) -> bool:
                taken.set()
                await asyncio.sleep(60)
                return True

            async with running(first) as events:
                await events.until_state(LinkState.ONLINE)
                await publish(ZEBRA)
                await events.until_count(TagRead, 1)
                first.stored = never  # from now on nothing becomes durable
                await publish(ZEBRA | {"type": "CUSTOM"})
                await taken.wait()
            await publish(ZEBRA | {"type": "while it was away"})
            async with running(made(protocol)) as again:
                await again.until_count(TagRead, 2)  # what was not acknowledged, and what came meanwhile
                await asyncio.sleep(0.1)
                assert len(again.of(TagRead)) == 2
    finally:
        await asyncio.to_thread(broker.kill)


async def test_a_broker_that_cannot_be_reached_or_has_no_topic() -> None:
    async with running(driver(f"mqtt://127.0.0.1:{free_port()}", "zebra_iotc", topic="x")) as events:
        await events.until_state(LinkState.DOWN)
    assert "cannot be reached" in str(events[-1])
    with pytest.raises(ValueError, match="`topic` is missing"):
        driver("mqtt://127.0.0.1:1", "zebra_iotc")
    with pytest.raises(ValueError, match="password_file is missing"):
        driver("http://127.0.0.1:1", "zebra_iotc", username="x")


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("tcp://192.0.2.1:80", "http://"),
        ("mqtt://user:pw@192.0.2.1", "no password"),
        ("http-stream://", "host"),
        ("mqtt://192.0.2.1/topic", "no path"),
    ],
)
def test_urls_that_do_not_fit(url: str, text: str) -> None:
    with pytest.raises(ValueError, match=text) as error:
        driver(url, "milesight")
    assert "pw@" not in str(error.value)


def test_parse_raises_its_one_error() -> None:
    with pytest.raises(ProtocolError):
        parse(b"{]")
