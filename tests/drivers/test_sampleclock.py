"""sampleclock: sample times out of packets that come late, bunched, and by a clock that jumps."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import DeviceError
from drivers.sampleclock import SampleClock, ToldRate

NOMINAL_HZ = 5000.0
PACKET = 100  # scans
BEGIN_NS = 1_790_000_000_000_000_000


@dataclass
class Device:
    """A digitiser with a crystal `ppm` off, behind a network; times are those of the scan itself."""

    ppm: float
    rng: random.Random
    jitter_s: float = 0.0005  # mean of an exponential delay
    bunch_s: float = 0.0  # packets are handed over together, this often (no multiple of a packet's length: then
    #                       nobody can know how late they are)
    hiccup: float = 0.0  # share of packets that a busy host holds back up to 0.3 s

    @property
    def rate_hz(self) -> float:
        return NOMINAL_HZ * (1.0 + self.ppm * 1e-6)

    def taken_ns(self, scan: int) -> int:
        return BEGIN_NS + round(scan / self.rate_hz * 1e9)

    def arrivals(self, seconds: float) -> list[tuple[int, int]]:
        out: list[tuple[int, int]] = []
        last_ns = 0
        for scans in range(PACKET, int(seconds * self.rate_hz), PACKET):
            delay_s = self.rng.expovariate(1.0 / self.jitter_s) + (
                self.rng.uniform(0.0, 0.3) if self.rng.random() < self.hiccup else 0.0
            )
            at_ns = self.taken_ns(scans) + round(delay_s * 1e9)
            if self.bunch_s:
                bunch_ns = round(self.bunch_s * 1e9)
                at_ns = -(-at_ns // bunch_ns) * bunch_ns
            last_ns = max(last_ns, at_ns)  # TCP keeps the order
            out.append((scans, last_ns))
        return out


def run(clock: SampleClock, arrivals: list[tuple[int, int]]) -> None:
    for scans, at_ns in arrivals:
        clock.note(scans, at_ns)


@settings(max_examples=25, deadline=None)
@given(st.floats(-200, 200), st.integers(0, 2**32), st.sampled_from([0.0, 0.013, 0.087]))
def test_rate_and_time_within_bounds(ppm: float, seed: int, bunch_s: float) -> None:
    device = Device(ppm, random.Random(seed), bunch_s=bunch_s, hiccup=0.02)
    clock = SampleClock(NOMINAL_HZ)
    arrivals = device.arrivals(60.0)
    run(clock, arrivals)
    worst_delay_s = 0.001 + bunch_s / 10
    assert abs(clock.rate_hz / device.rate_hz - 1.0) < 2.0 * worst_delay_s / 60.0 + 2e-6
    for scan in (arrivals[-1][0], arrivals[-1][0] - 5000):
        assert -worst_delay_s < (clock.time_ns(scan) - device.taken_ns(scan)) * 1e-9 < 2.0 * worst_delay_s
    assert clock.steps <= 20  # hiccups at the very start look like steps back, and do no harm


@given(st.floats(-200, 200), st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_good_from_the_first_second(ppm: float, seed: int) -> None:
    device = Device(ppm, random.Random(seed))
    clock = SampleClock(NOMINAL_HZ)
    for scans, at_ns in device.arrivals(20.0):
        clock.note(scans, at_ns)
        if scans > NOMINAL_HZ:
            assert abs(clock.time_ns(scans) - device.taken_ns(scans)) < 3_000_000


def test_exact_arrivals_give_the_exact_line() -> None:
    device = Device(123.0, random.Random(1))
    clock = SampleClock(NOMINAL_HZ)
    run(clock, [(scans, device.taken_ns(scans)) for scans in range(100, 300_000, 100)])
    assert clock.rate_hz == pytest.approx(device.rate_hz, rel=1e-9)
    assert abs(clock.time_ns(150_000) - device.taken_ns(150_000)) < 1000


@pytest.mark.parametrize("step_s", [-3600.0, -0.5, -0.05, 0.05, 0.5, 3600.0])
def test_a_step_of_the_host_clock_is_followed(step_s: float) -> None:
    device = Device(80.0, random.Random(2))
    clock = SampleClock(NOMINAL_HZ)
    arrivals = device.arrivals(60.0)
    step_ns = round(step_s * 1e9)
    half = len(arrivals) // 2
    run(clock, arrivals[:half])
    rate_before_hz = clock.rate_hz
    run(clock, [(scans, at_ns + step_ns) for scans, at_ns in arrivals[half : half + 250]])  # five seconds
    scan = arrivals[half + 249][0]
    assert abs(clock.time_ns(scan) - device.taken_ns(scan) - step_ns) < 3_000_000
    assert clock.steps == 1
    assert clock.rate_hz == pytest.approx(rate_before_hz, rel=1e-4)


def test_a_stall_of_seconds_is_no_step() -> None:
    """A network that stands still for four seconds and then hands everything over changes nothing."""
    device = Device(50.0, random.Random(3))
    clock = SampleClock(NOMINAL_HZ)
    arrivals = device.arrivals(40.0)
    released_ns = device.taken_ns(int(34 * NOMINAL_HZ))
    late = [(scans, max(at_ns, released_ns) if scans > 30 * NOMINAL_HZ else at_ns) for scans, at_ns in arrivals]
    run(clock, late)
    scan = late[-1][0]
    assert abs(clock.time_ns(scan) - device.taken_ns(scan)) < 2_000_000


def test_lost_scans_that_nobody_counted_are_found_as_a_step() -> None:
    device = Device(0.0, random.Random(4))
    clock = SampleClock(NOMINAL_HZ)
    arrivals = device.arrivals(40.0)
    half = len(arrivals) // 2
    run(clock, [*arrivals[:half], *((scans - 1000, at_ns) for scans, at_ns in arrivals[half:])])
    assert clock.steps == 1
    scans, at_ns = arrivals[-1]
    assert abs(clock.time_ns(scans - 1000) - at_ns) < 5_000_000


def test_a_stream_that_begins_anew() -> None:
    clock = SampleClock(NOMINAL_HZ)
    run(clock, Device(0.0, random.Random(5)).arrivals(10.0))
    again = [(scans, at_ns + 20_000_000_000) for scans, at_ns in Device(0.0, random.Random(6)).arrivals(10.0)]
    run(clock, again)
    assert abs(clock.time_ns(again[-1][0]) - again[-1][1]) < 5_000_000


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**62)), max_size=300))
def test_nonsense_breaks_nothing(points: list[tuple[int, int]]) -> None:
    clock = SampleClock(NOMINAL_HZ)
    for scans, at_ns in points:
        clock.note(scans, at_ns)
        assert NOMINAL_HZ * 0.9996 < clock.rate_hz < NOMINAL_HZ * 1.0004
        clock.time_ns(scans)


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, float("nan")])
def test_a_stream_needs_a_rate(rate_hz: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        SampleClock(rate_hz)


# the rate that was told, against the rate at which scans come


def fed(clock: SampleClock, true_hz: float, seconds: float, late_s: Callable[[float], float] = lambda t: 0.0) -> None:
    """Packets of a twentieth of a second at `true_hz`, each arriving late by `late_s` of its time."""
    for count in range(1, int(seconds * 20)):
        time_s = count / 20
        clock.note(round(time_s * true_hz), round((1000.0 + time_s + late_s(time_s)) * 1e9))


@pytest.mark.parametrize(("told_hz", "true_hz"), [(500.0, 1000.0), (5000.0, 2500.0), (10.0, 18.0), (1000.0, 1030.0)])
def test_scans_at_another_rate_than_was_told(told_hz: float, true_hz: float) -> None:
    clock = SampleClock(told_hz)
    fed(clock, true_hz, 75.0)
    assert clock.true_hz == pytest.approx(true_hz, rel=0.01)


@pytest.mark.parametrize("true_hz", [1009.0, 1004.0, 1000.6, 999.4, 998.9, 997.0, 992.0])
def test_a_crystal_that_is_further_off_than_most_is_found(true_hz: float) -> None:
    clock = SampleClock(1000.0)
    fed(clock, true_hz, 150.0)
    assert clock.rate_hz == pytest.approx(true_hz, rel=1e-5)
    assert clock.true_hz is None
    steps = clock.steps
    for count in range(3000, 6000):
        clock.note(round(count / 20 * true_hz), round((1000.0 + count / 20) * 1e9))
    assert clock.steps == steps
    assert clock.time_ns(300 * true_hz) == pytest.approx(1300e9, abs=2e6)


@pytest.mark.parametrize("true_hz", [1000.0, 1000.2, 999.8])
@pytest.mark.parametrize(
    "late_s",
    [
        lambda t: 0.0,
        lambda t: 0.4 * (t % 1.3),  # bunched by the network
        lambda t: max(0.0, 2.0 - (t - 20.0)) if t > 20.0 else 0.0,  # the host was busy for two seconds, then caught up
        lambda t: 3600.0 if t > 30.0 else 0.0,  # its clock was set ahead
    ],
)
def test_a_device_in_order_is_never_doubted(true_hz: float, late_s: Callable[[float], float]) -> None:
    clock = SampleClock(1000.0)
    fed(clock, true_hz, 120.0, late_s)
    assert clock.true_hz is None
    assert clock.nominal_hz == 1000.0


def test_a_rate_that_was_counted_is_refined() -> None:
    rate = ToldRate()
    fed(rate.begin(500.0), 1000.2, 10.0)
    with pytest.raises(DeviceError, match=r"sends 1000\.2 scans a second, not the 500"):
        rate.check("tcp://x")
    clock = rate.begin(500.0)
    fed(clock, 1000.2, 60.0)
    assert clock.rate_hz == pytest.approx(1000.2, rel=1e-6)
    assert clock.true_hz is None
    rate.check("tcp://x")
    assert rate.begin(750.0).nominal_hz == 750.0, "told something else it may obey"
