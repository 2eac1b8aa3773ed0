"""The T7 emulator against the bytes of the vendor's sample code and the documented stream packet."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.emulators.base import Hangup, Send
from firmware_sim.emulators.labjack_stream import stream_packet
from firmware_sim.emulators.labjack_t7 import STREAM, LabJackT7

from .bench import Ramp


def x(text: str) -> bytes:
    return bytes.fromhex(text.replace("|", ""))


class Bench:
    """A T7 with one host on each port."""

    def __init__(self, **lane: object) -> None:
        self.lane = Ramp(**lane)  # type: ignore[arg-type]
        digital = frozenset() if self.lane.contact is None else frozenset({self.lane.contact})
        self.t7 = LabJackT7(self.lane, self.lane.channels, digital)
        self.t7.connected("main", 1, 0.0)
        self.number = 0

    def raw(self, data: bytes) -> bytes:
        return b"".join(
            item.data for item in self.t7.received("main", 1, data, self.lane.now_s) if isinstance(item, Send)
        )

    def pdu(self, pdu: bytes) -> bytes:
        self.number = self.number % 60000 + 1
        reply = self.raw(struct.pack(">HHHB", self.number, 0, len(pdu) + 1, 1) + pdu)
        assert reply[:7] == struct.pack(">HHHB", self.number, 0, len(reply) - 6, 1)
        return reply[7:]

    def write(self, address: int, *values: int | float) -> bytes:
        data = b"".join(struct.pack(">f" if isinstance(value, float) else ">I", value) for value in values)
        return self.pdu(struct.pack(">BHHB", 16, address, len(data) // 2, len(data)) + data)

    def u32(self, address: int) -> int:
        return struct.unpack(">I", self.pdu(struct.pack(">BHH", 3, address, 2))[2:])[0]

    def detail(self) -> int:
        return struct.unpack(">H", self.pdu(struct.pack(">BHH", 3, 55000, 1))[2:])[0]

    def configure(self, addresses: list[int], *, rate_hz: float = 1000.0, per_packet: int = 30, **more: int) -> None:
        self.write(4002, rate_hz, len(addresses), per_packet, 0.0, 0, more.get("buffer", 32768))
        self.write(4016, more.get("target", 1), 0, more.get("scans", 0))
        for place, address in enumerate(addresses):
            self.write(4100 + 2 * place, address)

    def start(self) -> bytes:
        self.t7.connected(STREAM, 2, self.lane.now_s)
        return self.write(4990, 1)

    def packets(self, until_s: float, **kwargs: frozenset[str]) -> list[bytes]:
        self.lane.now_s = until_s
        sends = self.t7.tick(until_s, **kwargs)
        assert all(isinstance(send, Send) and send.port == STREAM and send.peer is None for send in sends)
        return [send.data for send in sends if isinstance(send, Send)]


def head(packet: bytes) -> tuple[int, ...]:
    """Transaction, backlog, status, additional information."""
    fields = struct.unpack(">HHHBBBBHHH", packet[:16])
    assert fields[1:7] == (0, len(packet) - 6, 1, 76, 16, 0)
    return fields[0], *fields[7:]


def samples(packet: bytes) -> list[int]:
    return list(struct.unpack(f">{(len(packet) - 16) // 2}H", packet[16:]))


def test_answers_the_vendors_start_sequence_to_the_byte() -> None:
    bench = Bench()
    assert bench.raw(x("0001 0000 0006 01 03 EA60 0002")) == x("0001 0000 0007 01 03 04 40E00000")
    assert bench.raw(x("0002 0000 0006 01 03 D73C 0002")) == x("0002 0000 0007 01 03 04 00112233")
    scan_list = x("0004 0000 0017 01 10 1004 0008 10 00000000 00000002 00000004 00000006")
    assert bench.raw(scan_list) == x("0004 0000 0006 01 10 1004 0008")
    feedback = x(
        "0003 0000 004A 01 4C 01 0FA2 02 44FA0000 01 0FA4 02 00000004 01 0FA6 02 00000200 01 0FA8 02 00000000"
        "01 0FAA 02 00000000 01 0FAC 02 00008000 01 0FB0 02 00000001 01 0FB4 02 00000000 01 0FB2 02 00000000"
    )
    assert bench.raw(feedback) == x("0003 0000 0002 01 4C")
    assert bench.raw(x("0005 0000 000B 01 10 137E 0002 04 00000001")) == x("0005 0000 0006 01 10 137E 0002")
    assert bench.u32(4990) == 1
    assert struct.unpack(">f", struct.pack(">I", bench.u32(4494)))[0] == 2000.0


def test_the_documented_stream_packet() -> None:
    data = x("82F3 8340 82F3 8278 82F4 83A4 82F3 8277")
    assert stream_packet(0, 0, 0, 0, data) == x("0000 0000 001A 01 4C 10 00 0000 0000 0000") + data


def test_streams_what_the_lane_shows_with_lines_and_open_inputs() -> None:
    bench = Bench(channels=3, contact=2)
    bench.configure([2, 0, 2580, 8])  # AIN1, AIN0, the lines, and AIN4, to which nothing is wired
    bench.lane.now_s = 0.1
    bench.start()
    first, *_ = bench.packets(0.2)
    transaction, _, status, info = head(first)
    assert (transaction, status, info) == (0, 0, 0)
    got = samples(first)[:8]
    assert got == [1001 + 32768, 1000 + 32768, 0xFFFE, 33523, 1011 + 32768, 1010 + 32768, 0xFFFF, 33523]


def test_every_scan_arrives_once_whatever_the_ticks() -> None:
    streams = []
    for step in (1, 7, 250):
        bench = Bench(channels=3)
        bench.configure([0, 2, 4], per_packet=512)
        bench.start()
        data, numbers = b"", []
        for tick in range(step, 2101, step):
            for packet in bench.packets(tick / 1000):
                numbers.append(head(packet)[0])
                data += packet[16:]
        assert numbers == list(range(len(numbers)))
        streams.append(data[: 11 * 1024])
    assert streams[0] == streams[1] == streams[2]
    wire = np.frombuffer(streams[0], ">u2").astype(int)
    scan, channel = np.divmod(np.arange(len(wire)), 3)
    assert np.array_equal(wire, (scan * 10 + channel) % 20000 + 32768)


def test_an_analogue_input_never_reads_all_ones() -> None:
    class Full(Ramp):
        def take(self, first: int, count: int) -> np.ndarray:
            return np.full((count, 1), 32767, np.int16)

    bench = Bench(channels=1)
    bench.lane = Full(channels=1)
    bench.t7 = LabJackT7(bench.lane, 1)
    bench.t7.connected("main", 1, 0.0)
    bench.configure([0])
    bench.start()
    assert set(samples(bench.packets(0.03)[0])) == {0xFFFE}


def test_a_rate_that_the_clock_cannot_make_is_told() -> None:
    bench = Bench(channels=1)
    bench.configure([0], rate_hz=3000.0)
    bench.start()
    actual = struct.unpack(">f", struct.pack(">I", bench.u32(4494)))[0]
    assert actual == pytest.approx(10e6 / 3333)
    total = sum(len(samples(packet)) for packet in bench.packets(10.0))
    assert abs(total - actual * 10) <= 31


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        ({4004: 0}, 2600),
        ({4002: 200000.0}, 2608),
        ({4002: 0.0}, 2608),
        ({4006: 513}, 2618),
        ({4006: 0}, 2618),
        ({4008: 9e9}, 2621),
        ({4010: 9}, 2606),
        ({4012: 5000}, 2615),
        ({4012: 65536}, 2615),
        ({4016: 0}, 2612),
        ({4018: 1}, 2611),
        ({4100: 1}, 2625),
        ({4100: 3000}, 2625),
    ],
)
def test_refuses_a_stream_that_cannot_be(spoil: dict[int, int | float], code: int) -> None:
    bench = Bench()
    bench.configure([0])
    for address, value in spoil.items():
        bench.write(address, value)
    assert bench.start() == x("90 04")
    assert bench.detail() == code
    assert bench.u32(4990) == 0


def test_errors_of_a_running_and_of_a_missing_stream() -> None:
    bench = Bench()
    assert bench.write(4990, 0) == x("90 04")
    assert bench.detail() == 2620
    bench.configure([0])
    bench.start()
    assert bench.write(4990, 1) == x("90 04")
    assert bench.detail() == 2605
    assert bench.write(4002, 10.0) == x("90 04")
    assert bench.write(4990, 0) == x("10 137E 0002")


def test_addresses_that_are_not_there_and_halves_of_registers() -> None:
    bench = Bench()
    assert bench.pdu(x("03 0FA0 0002")) == x("83 02")
    assert bench.detail() == 1202
    assert bench.pdu(x("03 D73C 0001")) == x("83 03")
    assert bench.detail() == 2315
    assert bench.pdu(x("03 D73D 0001")) == x("83 02")
    assert bench.pdu(x("06 EA60 0001")) == x("86 02")  # read only
    assert bench.pdu(x("01 0000 0001")) == x("81 01")
    assert bench.write(40000, 3.0) == x("90 03")
    assert bench.detail() == 2370


def test_a_header_that_is_none_closes_the_connection() -> None:
    bench = Bench()
    assert bench.t7.received("main", 1, b"GET / HTTP/1.1\r\n", 0.0) == [Hangup("main", 1)]


def test_a_stalled_host_costs_scans_and_is_told_how_many() -> None:
    bench = Bench(channels=2)
    bench.configure([0, 2], per_packet=20, buffer=256)  # 64 scans
    bench.start()
    assert bench.packets(0.010) != []
    bench.t7.fault("overrun", True, {}, 0.01)
    assert bench.packets(0.3) == []
    bench.t7.fault("overrun", False, {}, 0.3)
    old = bench.packets(0.301)
    assert [head(packet)[2] for packet in old] == [2940] * len(old)
    after = bench.packets(0.4)
    assert head(after[0])[2] == 2941
    got = [sample for packet in old + after for sample in samples(packet)]
    mark = next(place for place in range(0, len(got), 2) if got[place : place + 2] == [0xFFFF, 0xFFFF])
    before, resumed = got[mark - 2] - 32768, got[mark + 2] - 32768
    assert (resumed - before) // 10 - 1 == head(after[0])[3]
    assert [head(packet)[2] for packet in after[1:]] == [0] * (len(after) - 1)


def test_overrun_for_too_long_ends_the_stream() -> None:
    bench = Bench(channels=1)
    bench.configure([0])
    bench.start()
    bench.packets(90.0, congested=frozenset({STREAM}))
    ends = [head(packet)[2] for packet in bench.packets(90.01)]
    assert ends[-1] == 2943
    assert bench.u32(4990) == 0


def test_scan_overlap_and_skipped_packets() -> None:
    bench = Bench(channels=1)
    bench.configure([0])
    bench.start()
    bench.t7.fault("skip_packets", True, {"count": 2}, 0.0)
    assert [head(packet)[0] for packet in bench.packets(0.12)] == [2, 3]
    bench.t7.fault("scan_overlap", True, {}, 0.12)
    assert head(bench.packets(0.2)[-1])[2] == 2942
    assert bench.packets(0.5) == []


def test_wrong_word_order_shows_in_the_test_register() -> None:
    bench = Bench()
    bench.t7.fault("wrong_word_order", True, {}, 0.0)
    assert bench.u32(55100) == 0x22330011
    bench.t7.fault("wrong_word_order", False, {}, 0.0)
    assert bench.u32(55100) == 0x00112233


def test_burst_ends_by_itself() -> None:
    bench = Bench(channels=1)
    bench.configure([0], scans=100)
    bench.start()
    packets = bench.packets(1.0)
    assert [head(packet)[2:] for packet in packets] == [(0, 0), (0, 0), (0, 0), (2944, 10)]


def test_command_response_stream() -> None:
    bench = Bench(channels=2)
    bench.configure([0, 2], target=16)
    bench.start()
    assert bench.packets(0.05) == []
    words = struct.unpack(">24H", bench.pdu(x("4C 00 1194 18"))[1:])
    assert words[:4] == (20, 2 * (100 - 20), 0, 0)
    assert words[4:8] == (32768, 32769, 32778, 32779)
    bench.write(4990, 0)
    bench.configure([0, 2])
    bench.start()
    assert bench.pdu(x("4C 00 1194 18")) == x("CC 04")
    assert bench.detail() == 2603


def test_reading_calibration_and_inputs() -> None:
    bench = Bench(channels=2, contact=1)
    bench.lane.now_s = 1.0
    bench.write(61810, 0x003C4000)
    words = bench.pdu(x("03 F174 0052"))[2:]
    slope, _, centre, offset = struct.unpack(">4f", words[:16])
    assert (centre, offset) == (33523.0, pytest.approx(-10.586956522))
    assert slope == pytest.approx(0.00031580578)
    volts = struct.unpack(">f", bench.pdu(x("03 0000 0002"))[2:])[0]
    assert volts == pytest.approx((9990 + 32768 - 33523) * 0.00031580578, rel=1e-6)
    assert bench.pdu(x("03 0A14 0001"))[2:] == x("FFFF")  # FIO0 is on in odd scans


def test_core_timer_in_the_scan_list() -> None:
    bench = Bench(channels=1)
    bench.configure([61520, 4899])
    bench.lane.now_s = 2.0
    bench.start()
    got = np.array(samples(bench.packets(2.05)[0])).reshape(-1, 2)
    ticks = got[:, 0] + 65536 * got[:, 1]
    assert ticks[0] == bench.u32(4026) == 80_000_000
    assert set(np.diff(ticks)) == {40_000}


@given(st.lists(st.binary(max_size=80), max_size=20))
@settings(max_examples=200, deadline=None)
def test_hostile_bytes(pieces: list[bytes]) -> None:
    bench = Bench()
    for number, piece in enumerate(pieces):
        bench.t7.received("main", 1, piece, number / 10)
        bench.t7.connected("main", 1, number / 10)
        bench.t7.received("main", 1, struct.pack(">HHHB", 1, 0, len(piece) + 2, 1) + b"\x4c" + piece, number / 10)
        bench.lane.now_s = number / 10
        bench.t7.tick(number / 10)
    assert bench.u32(55100) == 0x00112233


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 255), st.binary(max_size=20)), max_size=20))
@settings(max_examples=200, deadline=None)
def test_hostile_requests(requests: list[tuple[int, int, bytes]]) -> None:
    bench = Bench()
    for address, count, data in requests:
        for function in (3, 4, 6, 16, 76):
            bench.pdu(struct.pack(">BHH", function, address, count) + bytes([len(data)]) + data)
        bench.pdu(struct.pack(">BBHB", 76, 0, address, count))
        bench.pdu(struct.pack(">BBHB", 76, 1, address, len(data) // 2) + data[: len(data) // 2 * 2])
    assert bench.u32(55100) == 0x00112233


class Counted(Ramp):
    """A lane of two channels that together say the number of the scan."""

    def take(self, first: int, count: int) -> np.ndarray:
        assert first + count <= self.ready()
        scans = np.arange(first, first + count)
        return np.stack((scans & 0x3FFF, scans >> 14), axis=1).astype(np.int16)


@given(
    st.lists(st.tuples(st.floats(0.001, 3.0), st.sampled_from(["run", "stall", "congest"])), min_size=1, max_size=40),
    st.sampled_from([20, 30, 512]),
)
@settings(max_examples=300, deadline=None)
def test_a_host_can_always_count_the_scans(steps: list[tuple[float, str]], per_packet: int) -> None:
    """Whatever stalls, packet numbers and skipped scans give every scan its true number."""
    bench = Bench(channels=2)
    bench.lane = Counted(channels=2)
    bench.t7 = LabJackT7(bench.lane, 2)
    bench.t7.connected("main", 1, 0.0)
    bench.configure([0, 2], per_packet=per_packet, buffer=4096)
    bench.start()
    now_s, expected, next_packet = 0.0, 0, 0
    for step_s, what in [*steps, (1.0, "run"), (1.0, "run")]:
        now_s += step_s
        bench.t7.fault("overrun", what == "stall", {}, now_s)
        for packet in bench.packets(now_s, congested=frozenset({STREAM} if what == "congest" else ())):
            transaction, _, code, info = head(packet)
            expected += (transaction - next_packet) % 0x10000 * (per_packet // 2)
            next_packet = transaction + 1
            wire = np.array(samples(packet)).reshape(-1, 2)
            for low, high in wire:
                if (low, high) == (0xFFFF, 0xFFFF):
                    assert code == 2941
                    expected += info
                    continue
                assert low - 32768 | high - 32768 << 14 == expected
                expected += 1
