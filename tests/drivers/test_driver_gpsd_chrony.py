"""gpsd and chrony: reports and columns, scripted peers, and the real programs where they are installed."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from driver_peers import free_port, in_chunks, pty, running, tcp_peer
from hypothesis import given
from hypothesis import strategies as st

from drivers import registry
from drivers.base import ProtocolError
from drivers.chrony import ChronyOptions, Tracking, parse
from drivers.events import DeviceState, InputChange, LinkState, Measurement, Rejected
from drivers.gpsd import ClockJudge, Fixes, GpsdCodec, Held, Other, Pps, Toff, Tpv

TPV = b'{"class":"TPV","device":"/dev/ttyS0","mode":3,"time":"2026-11-24T05:22:17.000Z","lat":1.0}\r\n'
PPS = (
    b'{"class":"PPS","device":"/dev/ttyS0","real_sec":1795520000,"real_nsec":0,'
    b'"clock_sec":1795519999,"clock_nsec":999998500,"precision":-20}\r\n'
)
SENTENCE = b"GPRMC,052217.00,A,4218.6000,N,08304.5000,W,0.0,0.0,241126,,,A"


def test_reports() -> None:
    records = GpsdCodec("gps").feed(TPV + PPS + b'{"class":"SKY"}\n', 0)
    assert records == [
        Tpv(3, "/dev/ttyS0", "2026-11-24T05:22:17.000Z"),
        Pps(1795520000, 0, 1795519999, 999998500, "/dev/ttyS0"),
        Other("SKY"),
    ]
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
    assert Tpv(3, "/dev/ttyS0", "2026-11-24T05:22:17.000Z") in codec.feed(TPV + TPV, 0)
    assert len(codec._buffer) < codec.limit


async def test_gpsd() -> None:
    asked = b""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked = await reader.readline()
        writer.write(TPV + PPS)
        while True:
            await asyncio.sleep(0.05)
            writer.write(TPV.replace(b'"mode":3', b'"mode":1'))

    async with tcp_peer(talk) as port:
        made = registry.create("gpsd", "gps", f"tcp://127.0.0.1:{port}", {"hold_s": 0.2})
        async with running(made) as events:
            await events.until(lambda: [c.on for c in events.of(InputChange) if c.name == "gps_fix"] == [True, False])
    assert asked == b'?WATCH={"enable":true,"json":true,"pps":true};\n'
    assert [c.on for c in events.of(InputChange) if c.name == "clock_synchronised"] == [True]
    (offset,) = events.of(Measurement)
    assert (offset.name, offset.unit) == ("clock_offset", "_s")
    assert offset.value == pytest.approx(-1.5e-6)


S = 1_000_000_000
START = 1_795_520_000  # 2026-11-24T11:33:20Z


def at(second: int, device: str = "/dev/ttyS0", mode: int = 3) -> Tpv:
    """A report of a receiver in order."""
    return Tpv(mode, device, datetime.fromtimestamp(second, UTC).isoformat() if mode > 1 else "")


def test_an_odd_field_does_not_cost_the_fix() -> None:
    (report,) = GpsdCodec("gps").feed(b'{"class":"TPV","device":7,"mode":3,"time":null}\n', 0)
    assert isinstance(report, Tpv)
    assert Fixes().look(report, 0)
    assert ClockJudge(0.005).look(report, 0) is None


def test_one_of_several_receivers_has_a_fix() -> None:
    fixes, held, told = Fixes(), Held(3.0), []
    for second in range(START, START + 30):
        told.append(held.look(fixes.look(at(second), second * S), second * S))
        told.append(held.look(fixes.look(at(second, "/dev/ttyS1", mode=1), second * S), second * S))
    assert [on for on in told if on is not None] == [True]


def test_single_reports_without_a_fix_are_none_lost() -> None:
    fixes, held, told = Fixes(), Held(3.0), []
    for second in range(START, START + 60):
        told.append(held.look(fixes.look(at(second, mode=1 if second % 5 == 0 else 3), second * S), second * S))
    for second in range(START + 60, START + 66):
        told.append(held.look(fixes.look(at(second, mode=1), second * S), second * S))
    assert [on for on in told if on is not None] == [True, False]


def test_a_receiver_whose_time_stands_still_has_no_fix() -> None:
    fixes = Fixes()
    assert [fixes.look(at(START), second * S) for second in (START, START + 4, START + 8)] == [True, True, False]


def test_a_receiver_that_is_silent_while_the_other_has_no_fix() -> None:
    fixes = Fixes()
    fixes.look(at(START), START * S)
    later = [fixes.look(at(START + s, "/dev/ttyS1", mode=1), (START + s) * S) for s in (1, 9, 11)]
    assert later == [True, True, False]


WEEKS_S = 1024 * 7 * 86400


@pytest.mark.parametrize(
    ("report", "good"),
    [
        (Pps(START, 0, START, 4_000_000), True),
        (Pps(START, 0, START, 6_000_000), False),
        (Pps(START - WEEKS_S, 0, START, 0), False),
        (Toff(START, 0, START, 600_000_000), True),
        (Toff(START - WEEKS_S, 0, START, 600_000_000), False),
        (at(START - 1), True),
        (at(START - WEEKS_S), False),
        (at(START, mode=1), None),
        (Tpv(3, "", "yesterday"), None),
    ],
)
def test_the_clock_is_judged_by_whatever_there_is(report: Tpv | Pps | Toff, good: bool | None) -> None:
    assert ClockJudge(0.005).look(report, START * S) is good


def test_what_is_no_noise_is_told_at_once() -> None:
    judge, held = ClockJudge(0.005), Held(3.0)
    told = []
    for report in (Pps(START, 0, START, 0), Pps(START, 0, START, 8_000_000), Pps(START - WEEKS_S, 0, START, 0)):
        good = judge.look(report, START * S)
        assert good is not None
        told.append(held.look(good, START * S, certain=judge.certain))
    assert told == [True, None, False]


def test_the_best_source_of_late_judges() -> None:
    judge = ClockJudge(0.005)
    assert judge.look(Toff(START, 0, START, 0), START * S)
    assert judge.look(Pps(START, 0, START, 0), START * S)
    assert judge.look(Toff(START, 0, START + 9, 0), START * S) is None
    assert judge.look(Toff(START + 11, 0, START + 20, 0), (START + 11) * S) is False


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


GOOD = "C0000201,192.0.2.1,3,{at},0.0000001,-0.000200000,0.0001,1.0,0.1,0.2,0.010000000,0.002000000,64.0,Normal"
ITSELF = "7F7F0101,,10,{at},0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,60.8,Normal"


def line(text: str = GOOD, age_s: float = 10.0, **columns: str) -> str:
    """A line of chronyc whose clock was set `age_s` ago, with some columns (`c11="0.5"`) replaced."""
    parts = text.format(at=START - age_s).split(",")
    for name, value in columns.items():
        parts[int(name[1:])] = value
    return ",".join(parts)


def test_columns() -> None:
    assert parse(line()) == Tracking(True, -0.0002, 1e-7, pytest.approx(0.0070001), START - 10.0, 64.0)
    unset = "00000000,,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised"
    assert not parse(unset).followed


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (line(), True),
        (line(age_s=500.0), True),
        (line(age_s=700.0), False),  # its only source is gone
        (line(age_s=4000.0, c12="1036.5"), True),  # a source that is asked every 17 minutes
        (line(age_s=6000.0, c12="1036.5"), False),
        (line(age_s=-300.0), False),
        (line(c11="3849.691650391", c12="1.1", c9="1000000.000"), False),
        (line(c10="0.7"), False),  # half of it is the error
        (line(c10="0.04", c11="0.03"), True),  # a server far away
        (line(c4="0.120790844"), False),  # chronyd is still at it
        (line(c5="0.006"), False),
        (line(c13="Not synchronised"), False),
        (line(ITSELF), False),
        (line(c2="16"), False),
        (line(c0="7F7F0103"), False),
        (line(c0="50505300", c1="PPS", c2="1", c12="16.0"), True),
    ],
)
def test_a_clock_is_synchronised_when_it_was_set_lately_by_something_else(text: str, good: bool) -> None:
    assert parse(text).synchronised(START, ChronyOptions()) is good


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
    made = registry.create(
        "chrony", "clock", "chrony://localhost", _fake_chronyc(tmp_path, f"echo '{GOOD.format(at=time.time())}'")
    )
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
            await events.until_count(InputChange, 1)
            assert [change.on for change in events.of(InputChange)] == [False], "it follows itself: `local`"
    finally:
        chronyd.terminate()
        chronyd.wait()
    assert {m.name for m in events.of(Measurement)} == {"clock_offset", "clock_error"}
