"""Readers that speak JSON and cameras that are asked: what the emulators say, to curl and to our own drivers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from driver_peers import free_port, running
from mosquitto import MOSQUITTO, Mosquitto

from drivers import registry
from drivers.events import LinkState, PlateRead, TagRead
from firmware_sim.emulators.base import Emulator, Output, Send
from firmware_sim.emulators.camera_stream import CameraStream
from firmware_sim.emulators.json_events import PRESETS, JsonEvents, JsonStream
from firmware_sim.serve import Unit
from firmware_sim.wires.endpoints import EndpointError, PushEndpoint, TcpEndpoint, endpoint_at
from firmware_sim.wires.faults import Wire
from firmware_sim.world.events import PlatePassed, TagPassed, WorldEvent

from .bench import clock

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
SEEN = PlatePassed(0.0, "C01", "booth", "cam", "FB63424", "CAN", 0.93, 17)
TAG = TagPassed(0.0, "C01", "booth", "reader", "E2801190A5021F80055817CA", 17)


def event_of(preset: str) -> WorldEvent:
    return TAG if preset in ("impinj_r700", "zebra_iotc") else SEEN


def posted(output: Output) -> Iterable[Any]:
    for send in output:
        assert isinstance(send, Send)
        head, _, body = send.data.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}\r\n".encode() in head
        yield json.loads(body)


@contextlib.asynccontextmanager
async def listening(emulator: Emulator) -> AsyncIterator[Unit]:
    endpoint = TcpEndpoint(emulator.ports, scheme=emulator.scheme)
    unit = Unit(emulator, endpoint, Wire(Random(1)), lambda: 1.0)
    await endpoint.open(unit)
    try:
        yield unit
    finally:
        await endpoint.close()


def test_an_axis_camera_says_three_times_what_became_of_a_car() -> None:
    camera = JsonEvents(clock, preset="axis_lpv", misread_first=1.0)
    (new,) = posted(camera.happened(SEEN, 0.0))
    (update,) = posted(camera.tick(0.3))
    assert list(posted(camera.tick(9.9))) == []
    (lost,) = posted(camera.tick(10.0))
    assert [one["carState"] for one in (new, update, lost)] == ["new", "update", "lost"]
    assert [one["plateText"] for one in (new, update, lost)] == ["FB6342", "FB63424", "FB63424"]
    assert {one["carID"] for one in (new, update, lost)} == {"17"}
    assert new["datetime"].startswith("20261124 130000")
    camera.fault("unknown_plates", True, {}, 11.0)
    (unknown,) = posted(camera.happened(SEEN, 12.0))
    assert unknown["plateText"].startswith("unknow")
    camera.reboot(13.0)
    assert camera.tick(30.0) == []


@pytest.mark.parametrize("preset", PRESETS)
async def test_our_driver_reads_what_each_preset_posts(preset: str) -> None:
    port = free_port()
    made = registry.create("json_events", "d", f"http://127.0.0.1:{port}/plates", {"preset": preset})
    emulator = JsonEvents(clock, preset=preset, gone_s=0.5)
    endpoint = PushEndpoint(f"http://127.0.0.1:{port}", "127.0.0.1", port)
    unit = Unit(emulator, endpoint, Wire(Random(1)), lambda: 0.0)
    await endpoint.open(unit)
    try:
        async with running(made) as events:
            await events.until_state(LinkState.ONLINE)
            for step, happened in ((0.1, [event_of(preset)]), (0.4, []), (1.0, [])):
                unit.step(happened, step)
                await asyncio.sleep(0.1)
            if event_of(preset) is TAG:
                await events.until_count(TagRead, 1)
                assert events.of(TagRead)[0].tag == TAG.tag
            else:
                await events.until_count(PlateRead, 1)
                (read,) = events.of(PlateRead)
                assert read.plate.upper() == SEEN.plate
                assert read.confidence == pytest.approx(0.93, abs=0.01)
    finally:
        await endpoint.close()


@pytest.mark.parametrize(
    ("maker", "quirks"),
    [
        ("dahua", {}),
        ("dahua", {"no_length": True}),
        ("dahua", {"chunked": True, "username": "admin", "password": "geheim"}),
        ("hikvision", {}),
        ("hikvision", {"username": "admin", "password": "geheim", "digest": False}),
    ],
)
async def test_our_driver_reads_the_stream_of_each_camera(maker: Any, quirks: dict[str, Any], tmp_path: Path) -> None:
    options: dict[str, Any] = {"maker": maker}
    if "username" in quirks:
        (tmp_path / "password").write_text("geheim\n")
        options |= {"username": "admin", "password_file": str(tmp_path / "password")}
    async with listening(CameraStream(clock, maker=maker, **quirks)) as unit:
        made = registry.create("camera_stream", "d", unit.endpoint.url, options)
        async with running(made) as events:
            await events.until_state(LinkState.ONLINE)
            unit.step([], 5.0)
            unit.step([SEEN], 6.0)
            await events.until_count(PlateRead, 1)
            unit.emulator.fault("unknown_plates", True, {}, 6.5)
            unit.step([SEEN], 7.0)
            unit.step([], 11.0)
            await asyncio.sleep(0.6)
            (read,) = events.of(PlateRead)
            assert (read.plate, read.country, read.confidence) == ("FB63424", "CAN", 0.93)
            assert read.reader_ns == 1795525206 * 10**9


async def test_our_driver_reads_the_stream_of_a_tag_reader(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("impinj")
    async with listening(JsonStream(clock, username="root", password="impinj")) as unit:
        options = {"preset": "impinj_r700", "username": "root", "password_file": str(tmp_path / "password")}
        made = registry.create("json_events", "d", unit.endpoint.url, options)
        async with running(made) as events:
            await events.until_state(LinkState.ONLINE)
            unit.step([TAG], 1.0)
            unit.step([], 11.0)
            await events.until_count(TagRead, 1)
            assert events.of(TagRead)[0] == TagRead("d", events.of(TagRead)[0].time_ns, TAG.tag, 1, -53.25)


@needs_curl
async def test_curl_gets_in_with_the_password_only() -> None:
    camera = CameraStream(clock, username="admin", password="geheim")
    async with listening(camera) as unit:
        port = unit.endpoint.url.rpartition(":")[2]
        url = f"http://127.0.0.1:{port}/cgi-bin/eventManager.cgi?action=attach"

        async def curl(*arguments: str, seconds: str = "0.7") -> tuple[str, bytes]:
            words = ["curl", "-s", "-N", "-g", "-m", seconds, "-w", "%{stderr}%{http_code}", *arguments]
            process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            while process.returncode is None and camera._listening == set():
                await asyncio.sleep(0.01)
            unit.step([SEEN], 2.0)
            body, status = await process.communicate()
            return status.decode(), body

        status, body = await curl("--digest", "-u", "admin:geheim", url)
        assert status == "200"
        assert body.startswith(b"--myboundary\r\nContent-Type: text/plain\r\n")
        assert b'"PlateNumber": "FB63424"' in body
        assert (await curl("--digest", "-u", "admin:falsch", url))[0] == "401"
        assert (await curl(url))[0] == "401"
        assert (await curl("--digest", "-u", "admin:geheim", url.replace("event", "snap")))[0] == "404"


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
@pytest.mark.parametrize("preset", ["zebra_iotc", "impinj_r700"])
async def test_our_driver_reads_what_is_published_to_a_broker(preset: str, tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    await asyncio.to_thread(broker.start)
    target = f"mqtt://127.0.0.1:{broker.port}/readers/booth"
    endpoint = endpoint_at(target, ("main",), link=Path("unused"), baud=9600, random=Random(1), pushes=True)
    unit = Unit(JsonEvents(clock, preset=preset, bare=True), endpoint, Wire(Random(1)), lambda: 0.0)
    made = registry.create("json_events", "d", endpoint.url, {"preset": preset, **endpoint.options})
    try:
        await endpoint.open(unit)
        async with running(made) as events:
            await events.until_state(LinkState.ONLINE)
            unit.step([TAG], 0.1)
            await events.until_count(TagRead, 1)
            await endpoint.unplug()
            unit.step([TAG], 0.2)
            await endpoint.plug()
            unit.step([TAG], 0.3)
            await events.until_count(TagRead, 2)
        assert [read.tag for read in events.of(TagRead)] == [TAG.tag, TAG.tag]
    finally:
        await endpoint.close()
        await asyncio.to_thread(broker.kill)


async def test_a_broker_that_is_not_there_is_named() -> None:
    target = f"mqtt://127.0.0.1:{free_port()}/readers"
    endpoint = endpoint_at(target, ("main",), link=Path("unused"), baud=9600, random=Random(1), pushes=True)
    with pytest.raises(EndpointError, match="mqtt://"):
        await endpoint.plug()
    with pytest.raises(EndpointError, match="TOPIC"):
        endpoint_at("mqtt://host", ("main",), link=Path("unused"), baud=9600, random=Random(1), pushes=True)
