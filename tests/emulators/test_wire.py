"""Faults of a wire do what they say, the same for the same seed, and leave nothing behind."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.emulators.base import Send
from firmware_sim.emulators.lpr_frame import LprFrame
from firmware_sim.emulators.transcore_encompass import TransCoreEncompass
from firmware_sim.scenario import Fault
from firmware_sim.serve import Unit
from firmware_sim.wires.faults import WIRE_FAULTS, Timeline, Wire, fault_problem

from .bench import clock

FRAMES = [Send(b"#TAG %04d\r\n" % number) for number in range(200)]


def passed(kind: str, seed: int = 1, **options: float) -> list[bytes]:
    wire = Wire(Random(seed))
    wire.begin(kind, options)
    out = [send.data for number, frame in enumerate(FRAMES) for send in wire.to_host(frame, number / 10)]
    wire.end(kind)
    return out + [send.data for send in wire.tick(20.0)]


SENT = [frame.data for frame in FRAMES]


@pytest.mark.parametrize("kind", ["silent", "tx_dead", "half_open", "reboot", "unplugged"])
def test_a_mute_device_says_nothing(kind: str) -> None:
    assert passed(kind) == []


def test_deafness_is_one_direction() -> None:
    wire = Wire(Random(1))
    wire.begin("rx_dead", {})
    assert wire.to_device(b"#01\r") == b""
    assert wire.to_host(FRAMES[0], 0.0) == [FRAMES[0]]
    wire.end("rx_dead")
    assert wire.to_device(b"#01\r") == b"#01\r"


def test_lost_doubled_merged_and_cut_frames() -> None:
    lost = passed("lost_frames")
    assert set(lost) < set(SENT)
    assert 100 < len(lost) < 180
    doubled = passed("doubled_frames")
    assert len(doubled) == 200
    assert 30 < sum(data == 2 * sent for data, sent in zip(doubled, SENT, strict=True)) < 100
    merged = passed("merged_frames")
    assert len(merged) < 200
    assert b"".join(merged) == b"".join(SENT)
    cut = passed("cut_frames")
    assert all(any(sent.startswith(data) for sent in SENT) for data in cut)
    assert sum(data not in SENT for data in cut) > 30


def test_bit_flips_wrong_baud_and_garbage() -> None:
    flipped = passed("bit_flips", rate=0.05)
    bits = sum(
        (a ^ b).bit_count() for got, sent in zip(flipped, SENT, strict=True) for a, b in zip(got, sent, strict=True)
    )
    assert 60 < bits < 180  # of 2200 bytes, 5 %
    assert all(got != sent and len(got) == len(sent) for got, sent in zip(passed("wrong_baud"), SENT, strict=True))
    wire = Wire(Random(1))
    wire.begin("garbage", {"bytes": 5, "every_s": 1.0})
    noise = [send.data for tick in range(1000) for send in wire.tick(tick / 10)]
    assert 60 < len(noise) < 140
    assert {len(data) for data in noise} == {5}


def test_slow_frames_come_late_and_in_order() -> None:
    wire = Wire(Random(1))
    wire.begin("slow", {"delay_s": 2.0})
    assert wire.to_host(FRAMES[0], 0.0) + wire.to_host(FRAMES[1], 1.0) == []
    assert wire.tick(1.9) == []
    assert wire.tick(2.0) == [FRAMES[0]]
    wire.end("slow")
    assert wire.tick(2.1) == [FRAMES[1]]


def test_fragments_come_in_order_and_whole() -> None:
    wire = Wire(Random(1))
    wire.begin("fragmented", {})
    assert wire.to_host(FRAMES[0], 0.0) + wire.to_host(FRAMES[1], 0.0) == []
    pieces = [send.data for tick in range(20) for send in wire.tick(tick / 50)]
    assert len(pieces) > 2
    assert b"".join(pieces) == SENT[0] + SENT[1]


@pytest.mark.parametrize("kind", sorted(WIRE_FAULTS))
def test_same_seed_same_bytes_and_nothing_is_left(kind: str) -> None:
    assert passed(kind, 5) == passed(kind, 5)
    wire = Wire(Random(1))
    wire.begin(kind, {})
    wire.to_host(FRAMES[0], 0.0)
    wire.end(kind)
    wire.tick(9.0)
    assert wire.to_host(FRAMES[1], 9.0) == [FRAMES[1]]
    assert wire.to_device(b"x") == b"x"
    assert wire.tick(10.0) == []


class Sent:
    """An endpoint that keeps what is written to it."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, port: str, peer: int, data: bytes) -> None:
        self.data += data


def test_a_line_that_echoes_gives_back_what_the_host_sends_before_the_answer() -> None:
    endpoint, wire = Sent(), Wire(Random(1))
    unit = Unit(TransCoreEncompass(clock), endpoint, wire, lambda: 1.0)  # type: ignore[arg-type]
    unit.received("main", 0, b"#01\r")
    assert endpoint.data == b"#Done\r\n"
    wire.begin("echo", {})
    unit.received("main", 0, b"#00\r")
    assert endpoint.data == b"#Done\r\n#00\r#Done\r\n"


def test_timeline_gives_each_turn_once_in_order() -> None:
    timeline = Timeline(
        (Fault(at_s=5, for_s=2, kind="silent", device="a"), Fault(at_s=1, for_s=10, kind="slow", device="b"))
    )
    assert timeline.due(0.9) == []
    turns = [(turn.at_s, turn.fault.kind, turn.begins) for turn in timeline.due(6)]
    assert turns == [(1, "slow", True), (5, "silent", True)]
    timeline.add(Fault(at_s=6.5, for_s=0, kind="reboot", device="a"))
    assert [turn.fault.kind for turn in timeline.due(8)] == ["reboot", "reboot", "silent"]
    assert [turn.fault.kind for turn in timeline.due(99)] == ["slow"]


def test_faults_that_a_device_cannot_have_are_named() -> None:
    emulators = {"lpr": LprFrame(clock)}
    assert fault_problem("stuck_plate", "lpr", emulators) is None
    assert fault_problem("dead_channel", "lpr", emulators) is None
    assert "overrun" in (fault_problem("overrun", "lpr", emulators) or "")
    assert "'lpr'" not in (fault_problem("silent", "io", emulators) or "")
    assert "there are lpr" in (fault_problem("silent", "io", emulators) or "")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"rate": 2}, "rate"),
        ({"rate": "often"}, "rate"),
        ({"bytes": 10**12}, "bytes"),
        ({"every_s": 0}, "every_s"),
        ({"delay_s": float("nan")}, "delay_s"),
        ({"ppm": None}, "ppm"),
    ],
)
def test_impossible_options_are_named(options: dict[str, object], word: str) -> None:
    assert word in (fault_problem("garbage", "lpr", {"lpr": LprFrame(clock)}, options) or "")
    assert "nobody" in (fault_problem("duplicate_tag", "lpr", {"lpr": LprFrame(clock)}, {"to": "nobody"}) or "")


@given(st.lists(st.tuples(st.sampled_from(sorted(WIRE_FAULTS)), st.booleans(), st.binary(max_size=30)), max_size=40))
def test_any_mixture_of_faults(steps: list[tuple[str, bool, bytes]]) -> None:
    wire = Wire(Random(3))
    for number, (kind, begins, data) in enumerate(steps):
        (wire.begin(kind, {}) if begins else wire.end(kind))
        wire.to_host(Send(data), float(number))
        wire.to_device(data)
        wire.tick(float(number))
