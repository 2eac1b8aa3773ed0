"""modbus: frames, the one master of a bus, late and dead units, exceptions. Peers: pyModbusTCP and scripted lines."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import ClassVar

import pytest
import serial
from driver_peers import free_port, pty, tcp_peer
from hypothesis import given
from hypothesis import strategies as st
from modbus_tk import defines as modbus_defines
from modbus_tk import modbus_rtu
from pymodbus.framer import FramerRTU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest
from pyModbusTCP.server import DataBank, ModbusServer

from drivers import modbus
from drivers.base import Driver, Emit, Options, ProtocolError
from drivers.links import LinkLost
from drivers.modbus import ModbusPort, ModbusRefused, NoReply, RtuFrames, open_port


class Probe(Driver):
    schemes: ClassVar[tuple[str, ...]] = ("serial", "tcp", "rtu+tcp")
    port = 502

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        raise NotImplementedError


@contextlib.asynccontextmanager
async def opened(url: str, *units: int, timeout_s: float = 0.15) -> AsyncIterator[list[ModbusPort]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(open_port(Probe(f"d{unit}", url, Options()), unit, timeout_s=timeout_s))
            for unit in units
        ]
    assert not modbus._buses


def rtu(unit: int, pdu: bytes) -> bytes:
    frame = bytes((unit,)) + pdu
    return frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big")


def reading(unit: int, *registers: int) -> bytes:
    return rtu(unit, struct.pack(f">BB{len(registers)}H", 3, 2 * len(registers), *registers))


# frames


def test_examples_of_the_data_sheets() -> None:
    frames = RtuFrames()
    request = ReadHoldingRegistersRequest(dev_id=1, address=0x7D, count=3)
    assert frames.encode(request) == bytes.fromhex("0103007D000395D3")
    reply = bytearray.fromhex("01030600100000474A52B1")
    assert frames.take(reply, request) == bytes.fromhex("030600100000474A")
    request = ReadHoldingRegistersRequest(dev_id=1, address=6, count=8)
    assert frames.encode(request) == bytes.fromhex("010300060008A40D")
    reply = bytearray.fromhex("01031008000000474A0000474A0000477C0003580D")
    assert frames.take(reply, request) == bytes(reply[:0]) + bytes.fromhex("031008000000474A0000474A0000477C0003")


@given(st.binary(max_size=600), st.lists(st.integers(1, 60)), st.lists(st.integers(0, 65535), min_size=1, max_size=60))
def test_a_reply_is_found_behind_noise_however_it_is_cut(noise: bytes, sizes: list[int], registers: list[int]) -> None:
    frames = RtuFrames()
    request = ReadHoldingRegistersRequest(dev_id=7, address=0, count=len(registers))
    data = noise + reading(7, *registers)
    buffer = bytearray()
    found = []
    for size in [*sizes, len(data)]:
        buffer += data[:size]
        data = data[size:]
        if (pdu := frames.take(buffer, request)) is not None:
            found.append(pdu)
        assert len(buffer) <= 512
    assert reading(7, *registers)[1:-2] in found


@given(st.binary(max_size=400))
def test_hostile_bytes_are_no_reply_or_a_named_error(data: bytes) -> None:
    request = ReadHoldingRegistersRequest(dev_id=1, address=0, count=2)
    for frames in (RtuFrames(), modbus.TcpFrames()):
        frames.encode(request)
        with contextlib.suppress(ProtocolError):
            frames.take(bytearray(data), request)


def test_words() -> None:
    assert modbus.u32([0x0001, 0x0002]) == 0x10002
    assert modbus.u32([0x0001, 0x0002], low_word_first=True) == 0x20001
    assert modbus.i32([0xFFFF, 0xFFFB]) == -5
    assert modbus.i16(0xFFC7) == -57
    assert modbus.f32([0x40E0, 0]) == 7.0
    assert modbus.from_f32(7.0) == [0x40E0, 0]
    assert modbus.from_u32(0xFFFE0001) == [0xFFFE, 1]


# TCP, against a server that nobody here wrote


@pytest.fixture
def server() -> contextlib.AbstractContextManager[tuple[DataBank, int]]:
    @contextlib.contextmanager
    def run():  # type: ignore[no-untyped-def]
        bank = DataBank(h_regs_size=200, coils_size=200, d_inputs_size=200, i_regs_size=200)
        port = free_port()
        made = ModbusServer("127.0.0.1", port, no_block=True, data_bank=bank)
        made.start()
        try:
            yield bank, port
        finally:
            made.stop()

    return run()


async def test_every_function_over_tcp(server: contextlib.AbstractContextManager[tuple[DataBank, int]]) -> None:
    with server as (bank, number):
        bank.set_discrete_inputs(0, [True, False, True, False, False, False])
        bank.set_input_registers(16, [0, 5, 1, 0])
        async with opened(f"tcp://127.0.0.1:{number}", 1, timeout_s=1.0) as (port,):
            assert await port.read_discrete(0, 6) == [True, False, True, False, False, False]
            assert await port.read_input(16, 4) == [0, 5, 1, 0]
            await port.write_coil(3, True)
            await port.write_coils(5, [True, False, True])
            assert await port.read_coils(0, 9) == [False, False, False, True, False, True, False, True, False]
            await port.write_register(7, 77)
            await port.write_registers(8, [88, 99])
            assert await port.read_holding(6, 4) == [0, 77, 88, 99]
            with pytest.raises(ModbusRefused, match="illegal data address") as refused:
                await port.read_holding(199, 4)
            assert (refused.value.function, refused.value.code) == (3, 2)
            assert await port.read_holding(7, 1) == [77], "the link goes on after a refusal"


async def test_tcp_late_and_foreign_replies_are_never_taken() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        late = b""
        while True:
            head = await reader.readexactly(12)
            value = head[9]
            reply = head[:4] + b"\x00\x05\x01\x03\x02\x00" + bytes((value,))
            if value == 1:
                late = reply  # the first one is answered with the second
                continue
            other = struct.pack(">HHHB", 999, 0, 5, 1) + b"\x03\x02\xff\xff"
            writer.write(late + other + reply)
            late = b""

    async with tcp_peer(talk) as number, opened(f"tcp://127.0.0.1:{number}", 1) as (port,):
        with pytest.raises(NoReply):
            await port._call(ReadHoldingRegistersRequest(dev_id=1, address=1, count=1))
        assert await port.read_holding(2, 1) == [2]
        assert await port.read_holding(3, 1) == [3]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"\x00\x00\x00\x05\x01\x03\x04\x00\x01", "modbus_length"),
        (b"\x00\x00\x00\x05\x01\x04\x02\x00\x01", "modbus_function"),
        (b"\x00\x00\x00\x03\x01\x03\x02", "modbus_length"),
        (b"\x00\x01\x00\x05\x01\x03\x02\x00\x01", "modbus_header"),
        (b"\x00\x00\xff\x05\x01\x03\x02\x00\x01", "modbus_header"),
    ],
)
async def test_tcp_a_malformed_reply_is_a_named_error(reply: bytes, reason: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(12)
        writer.write(head[:2] + reply)
        await reader.read()

    async with tcp_peer(talk) as number, opened(f"tcp://127.0.0.1:{number}", 1) as (port,):
        with pytest.raises(ProtocolError) as error:
            await port.read_holding(0, 1)
    assert error.value.reason == reason


async def test_tcp_a_closed_connection_is_a_lost_link() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(12)

    async with tcp_peer(talk) as number, opened(f"tcp://127.0.0.1:{number}", 1, timeout_s=2.0) as (port,):
        with pytest.raises(LinkLost, match="closed by the device"):
            await port.read_holding(0, 1)


# RTU on a shared line


class Units:
    """Units on a line that answer a read of register `a` with `100 * unit + a`, each as late as it is told."""

    def __init__(self) -> None:
        self.delays_s: dict[int, float | None] = {1: 0.0, 2: 0.0, 3: 0.0}
        self.asked: list[int] = []

    def attach(self, line: object) -> None:
        loop = asyncio.get_running_loop()
        buffer = bytearray()

        def answer(data: bytes) -> bytes:
            buffer.extend(data)
            while len(buffer) >= 8:
                request, buffer[:8] = bytes(buffer[:8]), b""
                unit, address = request[0], request[3]
                self.asked.append(unit)
                delay_s = self.delays_s.get(unit)
                if delay_s is not None:
                    loop.call_later(delay_s, line.send, reading(unit, 100 * unit + address))  # type: ignore[attr-defined]
            return b""

        line.on_data(answer)  # type: ignore[attr-defined]


async def test_rtu_units_share_one_master() -> None:
    units = Units()
    with pty() as line:
        units.attach(line)
        async with opened(line.path, 1, 2, 3) as ports:
            results = await asyncio.gather(*(port.read_holding(5, 1) for port in ports * 5))
    assert results == [[105], [205], [305]] * 5


async def test_rtu_against_a_server_that_nobody_here_wrote(tmp_path: Path) -> None:
    """modbus-tk with two units at the other end of a socat line."""
    socat = shutil.which("socat")
    if socat is None:
        pytest.skip("socat is not installed")
    ends = [str(tmp_path / name) for name in ("here", "there")]
    line = subprocess.Popen([socat, *(f"pty,raw,echo=0,link={end}" for end in ends)])
    try:
        async with asyncio.timeout(10):
            while not all(os.path.exists(end) for end in ends):
                await asyncio.sleep(0.02)
        server = modbus_rtu.RtuServer(serial.Serial(ends[1], 19200, timeout=0.05))
        for number in (1, 5):
            unit = server.add_slave(number)
            unit.add_block("h", modbus_defines.HOLDING_REGISTERS, 0, 100)
            unit.add_block("d", modbus_defines.DISCRETE_INPUTS, 0, 16)
            unit.set_values("h", 10, [number, 2, 3])
            unit.set_values("d", 0, [1, 0, 1])
        server.start()
        try:
            async with opened(ends[0], 1, 5, 9, timeout_s=1.0) as (one, five, nobody):
                assert await one.read_holding(10, 3) == [1, 2, 3]
                assert await five.read_holding(10, 3) == [5, 2, 3]
                assert await one.read_discrete(0, 3) == [True, False, True]
                await five.write_registers(20, [7, 8])
                await one.write_register(20, 9)
                assert [await five.read_holding(20, 2), await one.read_holding(20, 1)] == [[7, 8], [9]]
                with pytest.raises(ModbusRefused, match="illegal data address"):
                    await one.read_holding(98, 5)
                with pytest.raises(NoReply, match="unit 9 does not answer"):
                    await nobody.write_register(0, 1)
                assert await five.read_holding(20, 2) == [7, 8]
        finally:
            await asyncio.to_thread(server.stop)
    finally:
        line.terminate()
        line.wait()


async def test_rtu_a_dead_unit_does_not_stall_the_others() -> None:
    units = Units()
    units.delays_s[2] = None
    with pty() as line:
        units.attach(line)
        async with opened(line.path, 1, 2, timeout_s=0.1) as (one, two):
            stop = asyncio.Event()

            async def bother() -> None:
                while not stop.is_set():
                    with contextlib.suppress(NoReply):
                        await two.read_holding(0, 1)

            bothering = asyncio.create_task(bother())
            longest_s = 0.0
            for address in range(40):
                began_s = time.monotonic()
                assert await one.read_holding(address, 1) == [100 + address]
                longest_s = max(longest_s, time.monotonic() - began_s)
            stop.set()
            await bothering
    assert longest_s < 5 * 0.1, "one wait for the dead unit may stand before each request, not more"


async def test_rtu_late_replies_are_never_taken_for_the_next_request() -> None:
    units = Units()
    with pty() as line:
        units.attach(line)
        async with opened(line.path, 1, timeout_s=0.1) as (port,):
            answered = 0
            assert await port.read_holding(0, 1) == [100]
            for address, delay_s in enumerate([0.12, 0.31, 0.55, 0.0, 0.14, 0.0, 0.0], start=1):
                units.delays_s[1] = delay_s
                with contextlib.suppress(NoReply):
                    assert await port.read_holding(address, 1) == [100 + address]
                    answered += 1
            assert answered >= 3
            units.delays_s[1] = 0.0
            await asyncio.sleep(0.3)
            assert await port.read_holding(9, 1) == [109]


async def test_rtu_a_cancelled_request_leaves_no_reply_for_the_next() -> None:
    units = Units()
    units.delays_s[1] = 0.05
    with pty() as line:
        units.attach(line)
        async with opened(line.path, 1, timeout_s=0.2) as (port,):
            task = asyncio.create_task(port.read_holding(1, 1))
            await line.until_received(b"\x01\x03\x00\x01")
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert await port.read_holding(2, 1) == [102]


async def test_rtu_a_lost_reply_is_asked_for_again() -> None:
    with pty() as line:
        count = 0

        def answer(data: bytes) -> bytes:
            nonlocal count
            count += 1
            return reading(1, 7)[:-1] + b"\x00" if count == 1 else reading(1, 7)

        line.on_data(answer)
        async with opened(line.path, 1) as (port,):
            assert await port.read_holding(0, 1) == [7]
    assert count == 2


async def test_rtu_exception() -> None:
    with pty() as line:
        line.on_data(lambda data: rtu(1, b"\x83\x02"))
        async with opened(line.path, 1) as (port,):
            with pytest.raises(ModbusRefused, match="illegal data address"):
                await port.read_holding(0, 1)


# refusals that pass, units that are deaf at first


def tcp_unit(answer: Callable[[int, int, bytes], bytes]) -> contextlib.AbstractAsyncContextManager[int]:
    """A unit of Modbus TCP: `answer(transaction, unit, pdu)` is the whole reply."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readexactly(7)
            pdu = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
            writer.write(answer(int.from_bytes(head[:2], "big"), head[6], pdu))

    return tcp_peer(talk)


@contextlib.asynccontextmanager
async def answered(answer: Callable[[int, int, bytes], bytes]) -> AsyncIterator[ModbusPort]:
    async with tcp_unit(answer) as number, opened(f"tcp://127.0.0.1:{number}", 1) as (port,):
        yield port


def tcp(transaction: int, unit: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


def value_of(pdu: bytes) -> bytes:
    """The reply to a reading of one register: its address."""
    return b"\x03\x02" + pdu[1:3]


@pytest.mark.parametrize("code", [4, 5, 6, 10, 11])
async def test_a_refusal_that_passes_is_asked_again(code: int) -> None:
    asked = 0

    def answer(transaction: int, unit: int, pdu: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return tcp(transaction, unit, bytes((0x83, code)) if asked < 4 else value_of(pdu))

    async with answered(answer) as port:
        assert await port.read_holding(7, 1) == [7]
    assert asked == 4


@pytest.mark.parametrize("code", [1, 2, 3, 8])
async def test_a_fault_is_told_at_once(code: int) -> None:
    asked = 0

    def answer(transaction: int, unit: int, pdu: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return tcp(transaction, unit, bytes((0x83, code)))

    async with answered(answer) as port:
        with pytest.raises(ModbusRefused):
            await port.read_holding(7, 1)
    assert asked == 1


async def test_a_refusal_that_does_not_pass_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(modbus._PASSING_S, 6, 0.2)
    lives = 0

    def alive() -> None:
        nonlocal lives
        lives += 1

    async with tcp_unit(lambda transaction, unit, pdu: tcp(transaction, unit, b"\x83\x06")) as number:
        made = Probe("d", f"tcp://127.0.0.1:{number}", Options())
        async with open_port(made, 1, alive=alive) as port:
            with pytest.raises(ModbusRefused, match="device busy"):
                await port.read_holding(7, 1)
    assert lives, "who says that it is busy lives"


@pytest.mark.parametrize(("code", "requests"), [(6, 2), (5, 1)])
async def test_a_writing_that_is_refused_for_now(code: int, requests: int) -> None:
    asked = 0

    def answer(transaction: int, unit: int, pdu: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return tcp(transaction, unit, bytes((0x86, code)) if asked == 1 else pdu)

    async with answered(answer) as port:
        await port.write_register(7, 1)
    assert asked == requests, "5 says that it is being done"


async def test_a_writing_that_fails_is_not_repeated() -> None:
    async with answered(lambda transaction, unit, pdu: tcp(transaction, unit, b"\x86\x04")) as port:
        with pytest.raises(ModbusRefused, match="device failure or not ready"):
            await port.write_register(7, 1)


async def test_a_unit_that_is_deaf_at_first_gets_its_seconds() -> None:
    began_s = time.monotonic()

    def answer(transaction: int, unit: int, pdu: bytes) -> bytes:
        return tcp(transaction, unit, value_of(pdu)) if time.monotonic() - began_s > 1.0 else b""

    async with answered(answer) as port:
        assert await port.read_holding(7, 1) == [7]


# Modbus TCP units that do not copy what they should


@pytest.mark.parametrize(
    "number_of",
    [lambda t: 0, lambda t: t + 1, lambda t: t << 8 & 0xFF00 | t >> 8, lambda t: 1],
    ids=["zero", "its own count", "bytes swapped", "always one"],
)
async def test_a_unit_that_does_not_copy_the_transaction(number_of: Callable[[int], int]) -> None:
    async with answered(lambda transaction, unit, pdu: tcp(number_of(transaction), unit, value_of(pdu))) as port:
        for address in range(5):
            assert await port.read_holding(address, 1) == [address]


async def test_a_unit_that_says_all_twice_is_no_late_one() -> None:
    async with answered(lambda transaction, unit, pdu: 2 * tcp(transaction, unit, value_of(pdu))) as port:
        for address in range(5):
            assert await port.read_holding(address, 1) == [address]


async def test_a_late_reply_without_a_number_is_not_taken_for_the_next() -> None:
    loop = asyncio.get_running_loop()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for count in range(100):
            request = await reader.readexactly(12)
            reply = tcp(0, 1, value_of(request[7:]))
            loop.call_later(0.25 if count == 2 else 0.0, writer.write, reply)

    async with tcp_peer(talk) as number, opened(f"tcp://127.0.0.1:{number}", 1) as (port,):
        for address in range(6):
            assert await port.read_holding(address, 1) == [address]


@pytest.mark.parametrize("answers", [0, 255, 9])
async def test_another_unit_in_the_right_transaction(answers: int) -> None:
    async with answered(lambda transaction, unit, pdu: tcp(transaction, answers, value_of(pdu))) as port:
        assert await port.read_holding(5, 1) == [5]


async def test_another_unit_without_the_transaction_is_named() -> None:
    async with answered(lambda transaction, unit, pdu: tcp(0, 9, value_of(pdu))) as port:
        with pytest.raises(NoReply, match="unit 9 answered; set unit_id = 9"):
            await port.read_holding(5, 1)


async def test_rtu_another_unit_is_named() -> None:
    with pty() as line:
        line.on_data(lambda data: reading(9, 7))
        async with opened(line.path, 1) as (port,):
            with pytest.raises(NoReply, match="unit 9 answered; set unit_id = 9"):
                await port.read_holding(5, 1)


async def test_rtu_a_line_that_gives_requests_back() -> None:
    with pty() as line:
        line.on_data(lambda data: data)
        line.on_data(
            lambda data: reading(1, 7) if data[1] == 3 else rtu(1, data[1:6]) if data[3] == 1 else b"",
        )
        async with opened(line.path, 1) as (port,):
            assert await port.read_holding(0, 1) == [7]
            await port.write_register(1, 5)
            with pytest.raises(NoReply):
                await port.write_register(2, 5)  # nobody answers: the echo, which looks the same, is no answer
    with pty() as line:
        line.on_data(lambda data: data)
        async with opened(line.path, 1) as (port,):
            with pytest.raises(NoReply, match="only our own request back"):
                await port.read_holding(0, 1)


async def test_rtu_unplugged() -> None:
    with pty() as line:
        async with opened(line.path, 1, 2, timeout_s=2.0) as (one, two):
            reads = [asyncio.create_task(port.read_holding(0, 1)) for port in (one, two)]
            await line.until_received(b"\x03")
            line.unplug()
            for result in await asyncio.gather(*reads, return_exceptions=True):
                assert isinstance(result, LinkLost)


async def test_no_line() -> None:
    with pytest.raises(LinkLost, match="cannot be opened"):
        async with opened("/dev/does-not-exist", 1):
            pass
    assert not modbus._buses


# RTU through a serial server


async def raw_rtu(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Unit 1 behind a serial server in raw mode: what is no RTU request for it gets no answer."""
    while data := await reader.read(256):
        if data == rtu(1, bytes.fromhex("03 0006 0002")):
            writer.write(reading(1, 0, 18250))


async def test_rtu_over_tcp() -> None:
    async with tcp_peer(raw_rtu) as number, opened(f"rtu+tcp://127.0.0.1:{number}", 1) as (port,):
        assert await port.read_holding(6, 2) == [0, 18250]


async def test_a_serial_server_that_was_named_tcp_is_found_out(caplog: pytest.LogCaptureFixture) -> None:
    async with tcp_peer(raw_rtu) as number, opened(f"tcp://127.0.0.1:{number}", 1) as (port,):
        assert await port.read_holding(6, 2) == [0, 18250]
        assert await port.read_holding(6, 2) == [0, 18250]
    assert [record.getMessage() for record in caplog.records] == [
        f"tcp://127.0.0.1:{number}: answers in RTU frames, as serial servers do; write rtu+tcp://127.0.0.1:{number}"
    ]


async def test_a_deaf_modbus_tcp_server_is_asked_in_rtu_once_and_then_as_before() -> None:
    heard: list[bytes] = []

    async def deaf_at_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(256):
            heard.append(data)
            if len(heard) > 4 and data[2:4] == b"\0\0":
                writer.write(data[:4] + bytes((0, 5, 1, 3, 2)) + (7).to_bytes(2, "big"))

    async with tcp_peer(deaf_at_first) as number, opened(f"tcp://127.0.0.1:{number}", 1) as (port,):
        for _ in range(2):
            with contextlib.suppress(NoReply):
                await port.read_holding(6, 1)
        assert await port.read_holding(6, 1) == [7]
    assert sum(data[2:4] != b"\0\0" for data in heard) == 1


async def test_no_write_is_repeated_in_another_frame() -> None:
    heard: list[bytes] = []

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(256):
            heard.append(data)

    async with tcp_peer(deaf) as number, opened(f"tcp://127.0.0.1:{number}", 1) as (port,):
        with pytest.raises(NoReply):
            await port.write_register(5, 1)
    assert len(heard) == 1
