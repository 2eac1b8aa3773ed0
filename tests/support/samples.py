"""Messages to put into a journal."""

from __future__ import annotations

from edge.messages import Alarm, Axle, Flow, Message, Sighting, Site, Status, Vehicle, VehicleClass, utc_text

SITE = Site("CA", "0453")
SOURCE = "edge-1"
TIME_NS = 1_795_000_000_000_000_000
ROOT = f"borderflow/v1/CA/0453/{SOURCE}"
_AXLES = tuple(
    Axle(position_m=1.3 * i, load_kg=5000.0 + i, sigma_kg=120.0, left_kg=2500.0, right_kg=2500.0, group=i // 2)
    for i in range(5)
)


def vehicle(lane: str = "C03", time_ns: int = TIME_NS) -> Vehicle:
    return Vehicle(
        time=utc_text(time_ns), site=SITE, lane=lane, source=SOURCE, speed_mps=3.2, length_m=16.4, wheelbase_m=12.9,
        gross_kg=25_010.0, gross_sigma_kg=310.0, axles=_AXLES,
        class_=VehicleClass(scheme="fhwa", code="9", confidence=0.97),
    )  # fmt: skip


def sighting(lane: str = "C03", time_ns: int = TIME_NS) -> Sighting:
    return Sighting(
        time=utc_text(time_ns), site=SITE, lane=lane, source=SOURCE, point="wim", medium="rfid",
        pseudonym="00" * 16, confidence=0.9,
    )  # fmt: skip


def flow(lane: str = "C03", time_ns: int = TIME_NS) -> Flow:
    return Flow(
        time=utc_text(time_ns), site=SITE, lane=lane, source=SOURCE, interval_s=60, point="wim", count=3,
        count_by_class={"9": 3}, speed_mps=None, headway_s=None, gross_kg_by_class={}, occupancy=0.1,
        identified_share=None,
    )  # fmt: skip


def alarm(text: str = "device is silent", time_ns: int = TIME_NS) -> Alarm:
    return Alarm(
        time=utc_text(time_ns), site=SITE, lane="_", source=SOURCE, code="device_silent", state="begin",
        severity="warning", text=text, device="daq",
    )  # fmt: skip


def status(online: bool, cause: str | None = None) -> Status:
    return Status(
        time=utc_text(TIME_NS), site=SITE, lane="_", source=SOURCE, online=online, since=utc_text(TIME_NS),
        version="0", devices={}, backlog={}, cause=cause,
    )  # fmt: skip


def mixed(count: int) -> list[Message]:
    """Vehicles, sightings and flows on two lanes."""
    makers = (vehicle, sighting, sighting, flow)
    return [makers[i % 4](lane=("C01", "C02")[i // 4 % 2]) for i in range(count)]
