"""Serial lines: foreign Modbus RTU masters on a pty, baud rates that do not fit, and a real port from the other end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import termios
import tty
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import minimalmodbus
import pytest
import serial
from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient

from firmware_sim.emulators.adam_6000 import Adam6000
from firmware_sim.emulators.base import Emulator, Output, Send
from firmware_sim.emulators.hbm_aed import HbmAed
from firmware_sim.emulators.laumas_tlb import LaumasTlb
from firmware_sim.emulators.scaime_enod4 import ScaimeEnod4
from firmware_sim.emulators.transcore_encompass import TransCoreEncompass
from firmware_sim.serve import Unit
from firmware_sim.wires.endpoints import EndpointError, PtyEndpoint, SerialEndpoint, endpoint_at
from firmware_sim.wires.faults import Wire
from firmware_sim.world.events import InputChanged

from .bench import clock
from .test_transmitters import Plate, settle


@contextlib.asynccontextmanager
async def on_pty(emulator: Emulator, folder: Path) -> AsyncIterator[Path]:
    """The emulator on a pty; where it is found."""
    assert emulator.baud is not None
    link = folder / "device"
    endpoint = PtyEndpoint(link, emulator.baud, Random(1))
    await endpoint.open(Unit(emulator, endpoint, Wire(Random(1)), lambda: 2.0))
    try:
        yield link
    finally:
        await endpoint.close()


def instrument(link: Path, baud: int, stop_bits: int = 1) -> minimalmodbus.Instrument:
    made = minimalmodbus.Instrument(str(link), 1)
    made.serial.baudrate, made.serial.stopbits, made.serial.timeout = baud, stop_bits, 1.0
    return made


async def test_minimalmodbus_reads_the_laumas(tmp_path: Path) -> None:
    scale = LaumasTlb(Plate(18250))
    settle(scale, 2.0)
    async with on_pty(scale, tmp_path) as link:

        def talk() -> None:
            master = instrument(link, 9600)
            assert master.read_long(7) == 18250
            assert master.read_register(6) == 0x0800
            master.write_registers(5, [7])
            assert master.read_long(9) == 0
            with pytest.raises(minimalmodbus.IllegalRequestError):
                master.write_register(5, 8, functioncode=6)
            master.serial.close()

        await asyncio.to_thread(talk)


async def test_minimalmodbus_reads_the_enod4(tmp_path: Path) -> None:
    transmitter = ScaimeEnod4(Plate(-321), protocol="modbus")
    settle(transmitter, 2.0)
    async with on_pty(transmitter, tmp_path) as link:

        def talk() -> None:
            master = instrument(link, 115_200, stop_bits=2)
            assert master.read_long(0x007E, signed=True) == -321
            assert master.read_register(0x0000) >> 12 == 6
            master.write_register(0x0090, 0, functioncode=6)
            master.write_register(0x0090, 0xD4, functioncode=6)
            assert master.read_register(0x0091) == 2
            assert master.read_long(0x0082, signed=True) == 0
            master.serial.close()

        await asyncio.to_thread(talk)


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed")
async def test_mbpoll_reads_the_laumas(tmp_path: Path) -> None:
    scale = LaumasTlb(Plate(18250))
    settle(scale, 2.0)
    async with on_pty(scale, tmp_path) as link:
        command = ["mbpoll", "-m", "rtu", "-a", "1", "-b", "9600", "-P", "none", "-0", "-1", "-q"]
        command += ["-t", "4:int", "-B", "-r", "7", "-c", "2", str(link)]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=20)
        assert "[7]: 18250 [9]: 18250" in " ".join(done.stdout.split())


async def test_another_baud_rate_is_rubbish_both_ways(tmp_path: Path) -> None:
    async with on_pty(TransCoreEncompass(clock), tmp_path) as link:

        def ask(baud: int) -> bytes:
            with serial.Serial(str(link), baud, timeout=0.5) as line:
                line.write(b"#01\r")
                return bytes(line.read(7))

        assert await asyncio.to_thread(ask, 9600) == b"#Done\r\n"
        assert b"#Done" not in await asyncio.to_thread(ask, 19200)
        assert await asyncio.to_thread(ask, 9600) == b"#Done\r\n"


class Chatter(Emulator):
    """Says back what it hears."""

    baud = 0

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        return [Send(data)]


async def test_a_real_port_is_used_from_the_other_end() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)
    device = HbmAed(Plate(0))
    endpoint = endpoint_at(f"{name}", ("main",), link=Path("unused"), baud=9600, random=Random(1))
    assert isinstance(endpoint, SerialEndpoint)
    assert endpoint.url == f"serial://{name}?baud=9600"
    await endpoint.open(Unit(device, endpoint, Wire(Random(1)), lambda: 0.0))
    try:
        assert termios.tcgetattr(slave)[5] == termios.B9600
        os.write(master, b"IDN?;")
        assert (await asyncio.to_thread(os.read, master, 100)).startswith(b"HBM")
        os.write(master, b"BDR 38400,1;")
        await asyncio.to_thread(os.read, master, 100)
        assert termios.tcgetattr(slave)[5] == termios.B38400
    finally:
        await endpoint.close()
        os.close(master)
        os.close(slave)


async def test_a_host_that_does_not_read_gets_everything_later(tmp_path: Path) -> None:
    link = tmp_path / "cdc"
    endpoint = PtyEndpoint(link, 0, Random(1))
    assert endpoint.url == f"serial://{link}"
    await endpoint.open(Unit(Chatter(), endpoint, Wire(Random(1)), lambda: 0.0))
    sent = Random(2).randbytes(30_000)
    line = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        await asyncio.sleep(0.1)
        endpoint.write("main", None, sent)
        await asyncio.sleep(0.1)
        got = b""
        for _ in range(500):
            with contextlib.suppress(BlockingIOError):
                got += os.read(line, 4096)
            if len(got) == len(sent):
                break
            await asyncio.sleep(0.01)
        assert got == sent
    finally:
        os.close(line)
        await endpoint.close()


def test_ports_that_cannot_be_are_named() -> None:
    def made(target: str) -> object:
        return endpoint_at(target, ("main",), link=Path("unused"), baud=9600, random=Random(1))

    with pytest.raises(EndpointError, match="tcp://HOST:PORT"):
        made("telnet://x")
    with pytest.raises(EndpointError, match="Port out of range"):
        made("tcp://host:99999")
    missing = made("/dev/no-such-port")
    assert isinstance(missing, SerialEndpoint)
    with pytest.raises(EndpointError, match="no-such-port"):
        asyncio.run(missing.open(Unit(Chatter(), missing, Wire(Random(1)), lambda: 0.0)))


async def test_pymodbus_reads_the_laumas_and_an_input_module_through_a_serial_server() -> None:
    scale = LaumasTlb(Plate(18250))
    settle(scale, 2.0)
    module = Adam6000(("loop",), rtu_address=7)
    module.happened(InputChanged(0.0, "adam", "loop", True), 0.0)
    for emulator, unit, read in ((scale, 1, "read_holding_registers"), (module, 7, "read_coils")):
        endpoint = endpoint_at("rtu+tcp", ("main",), link=Path("unused"), baud=9600, random=Random(1))
        await endpoint.open(Unit(emulator, endpoint, Wire(Random(1)), lambda: 2.0))
        try:
            assert endpoint.url.startswith("rtu+tcp://127.0.0.1:")
            number = int(endpoint.url.rpartition(":")[2])
            async with AsyncModbusTcpClient("127.0.0.1", port=number, framer=FramerType.RTU) as client:
                reply = await getattr(client, read)(7 if emulator is scale else 0, count=2, device_id=unit)
            assert reply.registers == [0, 18250] if emulator is scale else reply.bits[:2] == [True, False]
        finally:
            await endpoint.close()
