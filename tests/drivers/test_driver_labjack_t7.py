"""labjack_t7: packets of the stream socket, and the driver against a Modbus server that nobody here wrote."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from driver_peers import Events, free_port, in_chunks, running, tcp_peer, without_rejects
from hypothesis import given
from hypothesis import strategies as st
from pyModbusTCP.server import DataBank, ModbusServer

from drivers import registry
from drivers.events import DeviceState, LinkState, Rejected, SampleBlock
from drivers.labjack_t7 import ScanList, Scans, StreamCodec, StreamEnd
from drivers.links import open_link
from drivers.urls import parse_url

SHEET_PACKET = bytes.fromhex("00000000001A014C10000000000000008 2F3834082F3827882F483A482F38277".replace(" ", ""))


def packet(transaction: int, values: list[int], status: int = 0, info: int = 0, backlog: int = 0) -> bytes:
    head = struct.pack(">HHHBBBBHHH", transaction, 0, 10 + 2 * len(values), 1, 76, 16, 0, backlog, status, info)
    return head + struct.pack(f">{len(values)}H", *values)


def codec(*names: str, scans: int = 2) -> StreamCodec:
    return StreamCodec("daq", ScanList(names or ("AIN0", "AIN1")), scans)


def described(records: list[object]) -> list[object]:
    """Records as plain values, adjacent scans joined, so that they can be compared."""
    out: list[object] = []
    for record in records:
        if isinstance(record, Scans):
            out += [(record.first_scan + i, record.lost_scans if not i else 0, tuple(row))
                    for i, row in enumerate(record.samples.tolist())]  # fmt: skip
        else:
            out.append(record)
    return out


def test_packet_of_the_data_sheet() -> None:
    (scans,) = codec("AIN0", "AIN1", "AIN2", "AIN3").feed(SHEET_PACKET, 5)
    assert isinstance(scans, Scans)
    assert (scans.first_scan, scans.lost_scans, scans.time_ns) == (0, 0, 5)
    raw = np.array([[0x82F3, 0x8340, 0x82F3, 0x8278], [0x82F4, 0x83A4, 0x82F3, 0x8277]])
    assert scans.samples.dtype == np.int16
    assert scans.samples.flags.c_contiguous
    assert (scans.samples == raw - 32768).all()


def test_full_scale_becomes_full_scale() -> None:
    (scans,) = codec("AIN0", scans=3).feed(packet(0, [0, 0x8000, 0xFFFF]), 0)
    assert scans.samples[:, 0].tolist() == [-32768, 0, 32767]


def test_lines_come_out_of_the_one_word() -> None:
    names = ("FIO0", "AIN3", "EIO7", "AIN1", "FIO2")
    scan_list = ScanList(names)
    assert scan_list.addresses == [6, 2, 2580]
    (scans,) = codec(*names).feed(packet(0, [0x8001, 0x8002, 0x8004, 0x8003, 0x8004, 0x0001]), 0)
    assert scans.samples.tolist() == [[0, 1, 1, 2, 1], [1, 3, 0, 4, 0]]


def test_a_gap_in_the_transactions_is_lost_scans() -> None:
    made = codec()
    made.feed(packet(0, [1, 2, 3, 4]), 0)
    (scans,) = made.feed(packet(3, [5, 6, 7, 8]), 0)
    assert (scans.first_scan, scans.lost_scans) == (6, 4)
    (scans,) = made.feed(packet(4, [5, 6]), 0)
    assert (scans.first_scan, scans.lost_scans) == (8, 0)


def test_transactions_wrap() -> None:
    made = codec("AIN0", scans=1)
    for transaction in range(65536):
        made.feed(packet(transaction, [7]), 0)
    (scans,) = made.feed(packet(0, [9]), 0)
    assert (scans.first_scan, scans.lost_scans) == (65536, 0)


def test_an_old_packet_is_rejected() -> None:
    made = codec()
    made.feed(packet(0, [1, 2]), 0)
    assert made.feed(packet(0, [1, 2]), 3) == [Rejected("daq", 3, "old_packet")]


def test_overflow_and_recovery_count_the_skipped_scans() -> None:
    made = codec(scans=3)
    first = made.feed(packet(0, [1, 2, 3, 4], status=2940), 0)
    second = made.feed(packet(1, [5, 6, 0xFFFF, 0xFFFF, 7, 8], status=2941, info=100), 0)
    third = made.feed(packet(2, [9, 9]), 0)
    assert [(s.first_scan, s.lost_scans, len(s.samples)) for s in [*first, *second, *third]] == [
        (0, 0, 2),
        (2, 0, 1),
        (103, 100, 1),
        (104, 0, 1),
    ]


def test_recovery_without_a_mark_skips_before_the_packet() -> None:
    made = codec()
    made.feed(packet(0, [1, 2]), 0)
    (scans,) = made.feed(packet(1, [5, 6, 7, 8], status=2941, info=10), 0)
    assert (scans.first_scan, scans.lost_scans) == (11, 10)


def test_all_ones_are_data_where_nothing_overflowed() -> None:
    (scans,) = codec("AIN0").feed(packet(0, [0xFFFF, 0xFFFF]), 0)
    assert len(scans.samples) == 2


@pytest.mark.parametrize("status", [2942, 2943, 2945])
def test_a_stream_that_cannot_go_on_ends(status: int) -> None:
    (end,) = codec().feed(packet(0, [1, 2], status=status), 0)
    assert isinstance(end, StreamEnd)
    assert str(status) in end.text


def test_a_scan_cut_by_a_packet_is_rejected_and_counted_as_lost() -> None:
    made = codec(scans=2)
    assert made.feed(packet(0, [1, 2, 3]), 0) == [Rejected("daq", 0, "part_of_scan")]
    (scans,) = made.feed(packet(1, [1, 2]), 0)
    assert scans.lost_scans == 2


@given(st.lists(st.integers(1, 40)), st.lists(st.tuples(st.sampled_from([0, 0, 2940, 2941]), st.integers(0, 5))))
def test_cutting_does_not_matter(sizes: list[int], statuses: list[tuple[int, int]]) -> None:
    data = b"".join(packet(i, [i, i + 1, 0xFFFF, 0xFFFF], status, info) for i, (status, info) in enumerate(statuses))
    data = b"\x01garbage" + data + b"\x00\x00" + packet(len(statuses), [1, 2])
    assert described(in_chunks(codec(), data, sizes)) == described(codec().feed(data, 0))


@given(st.binary(max_size=3000))
def test_back_in_step_after_garbage(garbage: bytes) -> None:
    made = codec(scans=16)
    before = len(without_rejects(made.feed(garbage, 0)))
    assert before <= len(garbage) // 16
    made.feed(packet(0x1001, [1, 2] * 16) + packet(0x1002, [1, 2] * 16), 0)
    (scans,) = made.feed(packet(0x1003, [1, 2] * 16), 0)
    assert isinstance(scans, Scans)
    assert scans.lost_scans == 0
    assert len(made._buffer) < made.limit


class T7:
    """Registers by pyModbusTCP, the stream socket by asyncio."""

    def __init__(self) -> None:
        self.bank = DataBank(h_regs_size=65536)
        self.modbus_port = free_port()
        self.server = ModbusServer("127.0.0.1", self.modbus_port, no_block=True, data_bank=self.bank)
        self.send = b""
        self.streams = 0
        self.set_u32(55100, 0x00112233)
        self.set_f32(60000, 7.0)
        self.set_f32(4494, 1000.5)

    def set_u32(self, address: int, value: int) -> None:
        self.bank.set_holding_registers(address, [value >> 16, value & 0xFFFF])

    def set_f32(self, address: int, value: float) -> None:
        self.set_u32(address, int.from_bytes(struct.pack(">f", value), "big"))

    def u32(self, address: int) -> int:
        high, low = self.bank.get_holding_registers(address, 2)
        return high << 16 | low

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self.u32(4990) == 0, "the stream socket must stand before the stream is enabled"
        self.streams += 1
        while self.u32(4990) != 1:
            await asyncio.sleep(0.01)
        transaction = 0
        while self.u32(4990) == 1:
            writer.write(packet(transaction, [100, 200, 3]))
            transaction = (transaction + 1) & 0xFFFF
            await writer.drain()
            await asyncio.sleep(0.001)


@pytest.fixture
def t7() -> Iterator[T7]:
    device = T7()
    device.server.start()
    yield device
    device.server.stop()


def driver(t7: T7, stream_port: int, **options: object) -> registry.Driver:
    wanted = {"scan_list": ["AIN0", "AIN2", "FIO1"], "scan_rate_hz": 1000.0, "stream_port": stream_port, **options}
    return registry.create("labjack_t7", "daq", f"tcp://127.0.0.1:{t7.modbus_port}", wanted)


async def test_streams_and_stops(t7: T7) -> None:
    async with tcp_peer(t7.talk) as stream_port, running(driver(t7, stream_port)) as events:
        await events.until_count(SampleBlock, 5)
        assert t7.u32(4990) == 1
        assert t7.bank.get_holding_registers(4100, 6) == [0, 0, 0, 4, 2580 >> 16, 2580 & 0xFFFF]
        assert t7.u32(4004) == 3
        assert t7.u32(4006) == 150  # 50 ms of scans
        assert t7.bank.get_holding_registers(41000, 3) == [199, 0, 199]
        assert t7.u32(40004) == 0x41200000  # 10 V
        assert events.states == [LinkState.CONNECTING, LinkState.ONLINE]
    blocks = events.of(SampleBlock)
    assert [block.first_scan for block in blocks[:5]] == [0, 1, 2, 3, 4]
    assert {block.stream for block in blocks} == {1}
    assert {block.rate_hz for block in blocks} == {1000.5}
    assert blocks[0].samples.tolist() == [[100 - 32768, 200 - 32768, 1]]
    assert t7.u32(4990) == 0, "the device is left without a stream"


async def test_what_another_program_left_is_set_anew(t7: T7) -> None:
    for address, value in ((4014, 2), (4022, 50), (4024, 2000), (4028, 1), (4008, 1), (4010, 8), (4018, 3), (4020, 99)):
        t7.set_u32(address, value)
    async with tcp_peer(t7.talk) as stream_port, running(driver(t7, stream_port)) as events:
        await events.until_count(SampleBlock, 1)
    assert [t7.u32(address) for address in (4014, 4022, 4024, 4028, 4008, 4010, 4018, 4020)] == [0, 1, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("product", "range_v", "written_v", "negative"),
    [(7.0, 1.0, 1.0, 199), (8.0, 10.0, 11.0, 0), (8.0, 0.1, 0.15, 0), (8.0, 4.8, 4.8, 0), (4.0, 10.0, 10.0, 0)],
)
async def test_each_model_gets_what_it_has(
    t7: T7, product: float, range_v: float, written_v: float, negative: int
) -> None:
    t7.set_f32(60000, product)
    async with tcp_peer(t7.talk) as stream_port, running(driver(t7, stream_port, range_v=range_v)) as events:
        await events.until_count(SampleBlock, 1)
    assert t7.u32(40000) == int.from_bytes(struct.pack(">f", written_v), "big")
    assert t7.bank.get_holding_registers(41000, 1) == [negative]


async def test_a_range_that_the_model_does_not_have(t7: T7) -> None:
    async with running(driver(t7, free_port(), range_v=4.8)) as events:
        await events.until_state(LinkState.DOWN)
    assert "a T7 has no range of 4.8 V; set range_v to 10, 1, 0.1, 0.01" in events.of(DeviceState)[-1].text


async def test_a_new_stream_after_the_socket_was_reset(t7: T7) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if t7.streams == 0:
            t7.streams += 1
            writer.write(packet(0, [1, 2, 3]))
            await writer.drain()
            writer.transport.abort()
        else:
            await t7.talk(reader, writer)

    async with tcp_peer(talk) as stream_port, running(driver(t7, stream_port)) as events:
        await events.until(lambda: any(block.stream == 2 for block in events.of(SampleBlock)))
    assert events.states == [LinkState.CONNECTING, LinkState.ONLINE, LinkState.DOWN, LinkState.ONLINE]


async def test_a_stalled_stream_is_silence(t7: T7) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(packet(0, [1, 2, 3]))
        await asyncio.sleep(60)

    async with tcp_peer(talk) as stream_port:
        made = driver(t7, stream_port)
        made.silent_after_s = 0.5
        async with running(made) as events:
            await events.until_state(LinkState.SILENT)
    assert "no sign of life" in events.of(DeviceState)[-1].text


async def test_another_device_is_told_apart(t7: T7) -> None:
    t7.set_u32(55100, 0x22330011)
    async with running(driver(t7, free_port())) as events:
        await events.until_state(LinkState.DOWN)
    assert "TEST reads 0x22330011" in events.of(DeviceState)[-1].text


async def test_no_device(t7: T7) -> None:
    t7.server.stop()
    async with running(driver(t7, free_port())) as events:
        await events.until_state(LinkState.DOWN)
    assert isinstance(events, Events)
    assert "check power, cable and address" in events.of(DeviceState)[-1].text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"scan_list": ["AIN0", "AIN0"]}, "twice"),
        ({"scan_list": ["AIN0", "CIO1"]}, "CIO1"),
        ({"scan_list": ["FIO8"]}, "FIO8"),
        ({"scan_list": []}, "scan_list"),
        ({"range_v": 5.0}, "range_v"),
        ({"scan_rate_hz": 0.0}, "scan_rate_hz"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_options_are_named(t7: T7, options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        driver(t7, 702, **options)


def test_packets_in_order_are_one_block_however_many_come() -> None:
    data = b"".join(packet(i & 0xFFFF, [i & 1, 1, 7, 1]) for i in range(65530, 65540))
    made = codec()
    made._transaction = 65530
    (scans,) = made.feed(data, 9)
    assert isinstance(scans, Scans)
    assert (scans.first_scan, scans.lost_scans, scans.time_ns, len(scans.samples)) == (0, 0, 9, 20)
    assert scans.samples.flags.c_contiguous


@pytest.mark.parametrize("odd", [packet(2, [1, 2, 3, 4], status=2940), packet(3, [1, 2, 3, 4]), packet(2, [1, 2])])
def test_what_is_amiss_among_many_packets_is_seen(odd: bytes) -> None:
    good = [packet(i, [i, 0, i, 0]) for i in range(5)]
    data = b"".join([*good[:2], odd, *good[3:]])
    at_once, one_by_one = codec(), codec()
    slowly = [record for start in range(len(data)) for record in one_by_one.feed(data[start : start + 1], 0)]
    assert described(at_once.feed(data, 0)) == described(slowly)


async def test_packets_are_gathered_while_nothing_waits_for_them() -> None:
    """Ten small packets a gathering; what is left over at the end comes too."""

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for i in range(25):
            writer.write(packet(i, [i, 0, i, 0]))
            await asyncio.sleep(0.002)
        await reader.read()

    async with tcp_peer(stream) as port:
        link = await open_link(parse_url(f"tcp://127.0.0.1:{port}"))
        sizes: list[int] = []
        link.gather(240)
        async with asyncio.timeout(10):
            while sum(sizes) < 25 * 24:
                sizes.append(len((await link.read())[0]))
        assert len(sizes) <= 4
        assert all(size >= 240 for size in sizes[:-1])
        await link.close()
