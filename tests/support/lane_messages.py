"""Messages as computers at the lanes would send them, for the tests of the centre."""

from __future__ import annotations

import msgspec

from edge.messages import (
    Alarm,
    Axle,
    Experienced,
    Flow,
    Gap,
    Message,
    Site,
    Status,
    Vehicle,
    VehicleClass,
    Wait,
    encode,
    stamped,
    topic_of,
    utc_text,
)

START_NS = 1_790_000_000 * 1_000_000_000  # in September 2026
SITE = Site(country="CA", port="0453")


def vehicle(n: int, lane: str = "C03", source: str = "edge-1") -> Vehicle:
    axles = tuple(
        Axle(position_m=place, load_kg=load, sigma_kg=80.0, group=group)
        for place, load, group in ((0.0, 5200.0, 0), (3.8, 7900.0, 1), (5.1, 7800.0, 1))
    )
    return Vehicle(
        time=utc_text(START_NS + n * 30_000_000_000), site=SITE, lane=lane, source=source, speed_mps=8.5, length_m=9.0,
        wheelbase_m=5.1, gross_kg=20_900.0 + n, gross_sigma_kg=140.0, axles=axles,
        class_=VehicleClass(scheme="fhwa", code="6", confidence=0.98), flags=("speed_change",),
    )  # fmt: skip


def wait(n: int, lane: str = "C03", source: str = "edge-1") -> Wait:
    return Wait(
        time=utc_text(START_NS + n * 60_000_000_000), site=SITE, lane=lane, source=source, traffic="commercial",
        program="standard", from_point="approach", to_point="booth", interval_s=60,
        experienced=Experienced(count=0, median_s=None, p10_s=None, p90_s=None, p95_s=None), expected_s=600.0,
        low_s=500.0, high_s=720.0, queue_vehicles=12.0, throughput_per_h=70.0, lower_bound=False, method="fused",
        match_rate=0.6, reference_s=None, change=None, bottleneck=None,
    )  # fmt: skip


def flow(end_ns: int, count: int, lane: str = "C03", interval_s: int = 60, source: str = "edge-1") -> Flow:
    return Flow(
        time=utc_text(end_ns), site=SITE, lane=lane, source=source, interval_s=interval_s, point="wim", count=count,
        count_by_class={"9": count} if count else {}, speed_mps=None, headway_s=None, gross_kg_by_class={},
        occupancy=0.1, identified_share=None,
    )  # fmt: skip


def alarm(n: int, code: str = "device_down", source: str = "edge-1") -> Alarm:
    return Alarm(
        time=utc_text(START_NS + n * 1_000_000_000), site=SITE, lane="_", source=source, code=code, state="begin",
        severity="critical", text="the scale does not answer", device="daq",
    )  # fmt: skip


def dropped(topic: str, epoch: str, first: int, last: int, source: str = "edge-1") -> Alarm:
    """The journal of `source` says that it dropped these numbers."""
    gap = Gap(topic=topic, epoch=epoch, from_seq=first, to_seq=last, count=last - first + 1)
    return msgspec.structs.replace(alarm(0, "journal_dropped", source), gap=gap)


def status(n: int, online: bool = True, source: str = "edge-1") -> Status:
    at = utc_text(START_NS + n * 1_000_000_000)
    return Status(
        time=at, site=SITE, lane="_", source=source, online=online, since=at, version="0.2.0", devices={}, backlog={}
    )


def sent(message: Message, seq: int, epoch: str = "e1") -> tuple[str, bytes]:
    """Topic and payload of a message with its number."""
    return topic_of(message), encode(stamped(message, id=f"{epoch}-{seq}", epoch=epoch, seq=seq))
