"""gpsd and chrony: reports and columns, scripted peers, and the real programs where they are installed."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from driver_peers import free_port, in_chunks, pty, running, tcp_peer
from hypothesis import given
from hypothesis import strategies as st

from drivers import registry
from drivers.base import ProtocolError
from drivers.chrony import Tracking, parse
from drivers.events import DeviceState, InputChange, LinkState, Measurement, Rejected
from drivers.gpsd import GpsdCodec, Other, Pps, Tpv

TPV = b'{"class":"TPV","device":"/dev/ttyS0","mode":3,"time":"2026-11-24T05:22:17.000Z","lat":1.0}\r\n'
PPS = (
    b'{"class":"PPS","device":"/dev/ttyS0","real_sec":1795520000,"real_nsec":0,'
    b'"clock_sec":1795519999,"clock_nsec":999998500,"precision":-20}\r\n'
)
SENTENCE = b"GPRMC,052217.00,A,4218.6000,N,08304.5000,W,0.0,0.0,241126,,,A"


def test_reports() -> None:
    records = GpsdCodec("gps").feed(TPV + PPS + b'{"class":"SKY"}\n', 0)
    assert records == [Tpv(3), Pps(1795520000, 0, 1795519999, 999998500), Other("SKY")]
    assert isinstance(records[1], Pps)
    assert records[1].offset_s == pytest.approx(-1.5e-6)


@pytest.mark.parametrize("line", [b"hi\n", b'{"class":"TPV","mode":"x"}\n', b'{"class":"PPS"}\n', b"\xff\n", b"[1]\n"])
def test_rejected(line: bytes) -> None:
    assert GpsdCodec("gps").feed(line, 3) == [Rejected("gps", 3, "bad_json")]


@given(st.lists(st.integers(1, 40)), st.lists(st.sampled_from([TPV, PPS, b"noise\n", b"x"])))
def test_cutting_does_not_matter(sizes: list[int], pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert in_chunks(GpsdCodec("gps"), data, sizes) == GpsdCodec("gps").feed(data, 0)


@given(st.binary(max_size=3000))
def test_back_in_step_after_garbage(garbage: bytes) -> None:
    codec = GpsdCodec("gps")
    codec.feed(garbage, 0)
    assert Tpv(3) in codec.feed(TPV + TPV, 0)
    assert len(codec._buffer) < codec.limit


async def test_gpsd() -> None:
    asked = b""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked = await reader.readline()
        writer.write(TPV + PPS + TPV.replace(b'"mode":3', b'"mode":1'))
        await reader.read()

    async with tcp_peer(talk) as port, running(registry.create("gpsd", "gps", f"tcp://127.0.0.1:{port}", {})) as events:
        await events.until_count(InputChange, 2)
    assert asked == b'?WATCH={"enable":true,"json":true,"pps":true};\n'
    assert [(c.name, c.on) for c in events.of(InputChange)] == [("gps_fix", True), ("gps_fix", False)]
    (offset,) = events.of(Measurement)
    assert (offset.name, offset.unit) == ("clock_offset", "_s")
    assert offset.value == pytest.approx(-1.5e-6)


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


async def test_a_real_gpsd() -> None:
    program = _program("gpsd")
    check = 0
    for byte in SENTENCE:
        check ^= byte
    with pty() as line:
        os.chmod(line.path, 0o666)  # gpsd gives up root
        port = free_port()
        gpsd = subprocess.Popen([program, "-N", "-n", "-S", str(port), line.path], stderr=subprocess.DEVNULL)
        try:
            made = registry.create("gpsd", "gps", f"tcp://127.0.0.1:{port}", {})
            async with running(made) as events:
                async with asyncio.timeout(40):
                    while not any(c.on for c in events.of(InputChange)):
                        line.send(b"$%s*%02X\r\n" % (SENTENCE, check))
                        await asyncio.sleep(0.2)
        finally:
            gpsd.terminate()
            gpsd.wait()


GOOD = "C0000201,192.0.2.1,3,1795522422.8,0.0000001,-0.000200000,0.0001,1.0,0.1,0.2,0.010000000,0.002000000,64.0,Normal"


def test_columns() -> None:
    assert parse(GOOD) == Tracking(True, -0.0002, pytest.approx(0.007))
    unset = "00000000,,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised"
    assert not parse(unset).synchronised


@given(st.text())
def test_anything_else_is_a_named_error(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse(text)


def _fake_chronyc(place: Path, script: str) -> dict[str, Any]:
    program = place / "chronyc"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"command": str(program)}


async def test_chrony(tmp_path: Path) -> None:
    made = registry.create("chrony", "clock", "chrony://localhost", _fake_chronyc(tmp_path, f"echo '{GOOD}'"))
    async with running(made) as events:
        await events.until_count(Measurement, 2)
    assert [(m.name, m.unit) for m in events.of(Measurement)[:2]] == [("clock_offset", "_s"), ("clock_error", "_s")]
    assert [(c.name, c.on) for c in events.of(InputChange)] == [("clock_synchronised", True)]


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("echo '506 Cannot talk to daemon'; exit 1", "is chronyd running"),
        ("echo something else", "columns"),
        ("exec sleep 60", "does not answer"),
    ],
)
async def test_chrony_that_fails(tmp_path: Path, script: str, text: str) -> None:
    made = registry.create("chrony", "clock", "chrony://localhost", _fake_chronyc(tmp_path, script))
    async with running(made) as events:
        await events.until_state(LinkState.DOWN)
    assert text in events.of(DeviceState)[-1].text


async def test_chrony_that_is_not_installed() -> None:
    made = registry.create("chrony", "clock", "chrony://localhost", {"command": "/nowhere/chronyc"})
    async with running(made) as events:
        await events.until_state(LinkState.DOWN)
    assert "install chrony" in events.of(DeviceState)[-1].text


async def test_a_real_chronyd(tmp_path: Path) -> None:
    daemon, client = _program("chronyd"), _program("chronyc")
    if os.geteuid() != 0:
        pytest.skip("chronyd wants to be started by root")
    port = free_port()
    settings = tmp_path / "chrony.conf"
    settings.write_text(
        f"local stratum 10\nport 0\nuser root\ncmdport {port}\nbindcmdaddress /\npidfile {tmp_path}/pid\n"
    )
    chronyd = subprocess.Popen([daemon, "-x", "-d", "-f", str(settings)], stderr=subprocess.DEVNULL)
    try:
        options = _fake_chronyc(tmp_path, f'exec {client} -p {port} "$@"')
        async with running(registry.create("chrony", "clock", "chrony://127.0.0.1", options)) as events:
            await events.until(lambda: any(change.on for change in events.of(InputChange)), 60)
    finally:
        chronyd.terminate()
        chronyd.wait()
    assert {m.name for m in events.of(Measurement)} == {"clock_offset", "clock_error"}
