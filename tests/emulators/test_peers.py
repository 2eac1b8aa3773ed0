"""Clients that nobody here wrote, against the emulators: mbpoll and pyModbusTCP."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator
from random import Random

import pytest
from pyModbusTCP.client import ModbusClient
from pyModbusTCP.utils import decode_ieee, word_list_to_long

from firmware_sim.emulators.base import Emulator
from firmware_sim.emulators.labjack_t7 import LabJackT7
from firmware_sim.emulators.moxa_e1200 import MoxaE1200
from firmware_sim.serve import Unit
from firmware_sim.wires.endpoints import TcpEndpoint
from firmware_sim.wires.faults import Wire
from firmware_sim.world.events import InputChanged

from .bench import Ramp

needs_mbpoll = pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed")


@contextlib.asynccontextmanager
async def on_tcp(emulator: Emulator) -> AsyncIterator[int]:
    """The emulator on a loopback port; its number."""
    endpoint = TcpEndpoint(emulator.ports)
    await endpoint.open(Unit(emulator, endpoint, Wire(Random(1)), lambda: 1.0))
    try:
        yield int(endpoint.url.rpartition(":")[2])
    finally:
        await endpoint.close()


async def mbpoll(port: int, *arguments: str) -> str:
    command = ["mbpoll", "-m", "tcp", "-p", str(port), "-a", "1", "-0", "-1", "-q", *arguments]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=20)
    return " ".join((done.stdout + done.stderr).split())


def wired_moxa() -> MoxaE1200:
    moxa = MoxaE1200(("a", "b", "c"))
    for name in ("a", "c"):
        moxa.happened(InputChanged(0.0, "io", name, True), 0.0)
    return moxa


async def test_pymodbustcp_reads_and_writes_the_moxa() -> None:
    async with on_tcp(wired_moxa()) as port:
        client = ModbusClient("127.0.0.1", port, timeout=5)

        def talk() -> None:
            assert client.read_discrete_inputs(0, 6) == [True, False, True, False, False, False]
            assert client.write_multiple_coils(0, [True, False, True, False, False, True])
            assert client.read_coils(0, 6) == [True, False, True, False, False, True]
            assert client.read_holding_registers(0x20, 1) == [0b100101]
            assert client.read_input_registers(0x0700, 1) is None
            assert client.last_except == 2

        await asyncio.to_thread(talk)
        await asyncio.to_thread(client.close)


async def test_pymodbustcp_sets_up_the_t7() -> None:
    lane = Ramp()
    lane.now_s = 1.0
    async with on_tcp(LabJackT7(lane, 3)) as port:
        client = ModbusClient("127.0.0.1", port, timeout=5)

        def talk() -> None:
            assert word_list_to_long(client.read_holding_registers(55100, 2)) == [0x00112233]
            assert decode_ieee(word_list_to_long(client.read_input_registers(60000, 2))[0]) == 7.0
            assert client.write_multiple_registers(4100, [0, 0, 0, 2])
            assert word_list_to_long(client.read_holding_registers(4100, 4)) == [0, 2]
            assert not client.write_multiple_registers(4990, [0, 1])
            assert client.read_holding_registers(55000, 1) == [2600]

        await asyncio.to_thread(talk)
        await asyncio.to_thread(client.close)


@needs_mbpoll
async def test_mbpoll_reads_the_moxa() -> None:
    moxa = wired_moxa()
    async with on_tcp(moxa) as port:
        assert "[0]: 1 [1]: 0 [2]: 1 [3]: 0" in await mbpoll(port, "-t", "1", "-r", "0", "-c", "6", "127.0.0.1")
        assert "Written" in await mbpoll(port, "-t", "0", "-r", "256", "127.0.0.1", "1")
        for on in (False, True, False, True):
            moxa.happened(InputChanged(1.0, "io", "a", on), 1.0)
        counter = await mbpoll(port, "-t", "3:int", "-B", "-r", "16", "-c", "1", "127.0.0.1")
        assert "[16]: 2" in counter
        assert "[48]: 5" in await mbpoll(port, "-t", "3", "-r", "48", "-c", "1", "127.0.0.1")
        assert "Illegal data address" in await mbpoll(port, "-t", "3", "-r", "1536", "-c", "1", "127.0.0.1")


@needs_mbpoll
async def test_mbpoll_reads_the_t7() -> None:
    async with on_tcp(LabJackT7(Ramp(), 3)) as port:
        assert "[55100]: 0x00112233" in (
            await mbpoll(port, "-t", "4:hex", "-r", "55100", "-c", "2", "127.0.0.1")
        ).replace("[55100]: 0x0011 [55101]: 0x2233", "[55100]: 0x00112233")
        assert "[60000]: 7" in await mbpoll(port, "-t", "4:float", "-B", "-r", "60000", "-c", "1", "127.0.0.1")
