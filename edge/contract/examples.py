"""One message of each kind, as a crossing may send it: shown in docs/messages.md, held against the schemas by a test.

Called by edge/contract/schema.py. Names, pseudonyms and keys are made up.
"""

from __future__ import annotations

from typing import Any, Final

from edge.messages import (
    ActiveAlarm,
    Alarm,
    Axle,
    Backlog,
    Bottleneck,
    CollectorStatus,
    DeviceStatus,
    Distribution,
    Evidence,
    Experienced,
    Flow,
    Head,
    Identifier,
    Identity,
    Message,
    Sighting,
    Site,
    Status,
    Vehicle,
    VehicleClass,
    Violation,
    Wait,
    kind_of,
    stamped,
)

_HEAD: Final[dict[str, Any]] = {
    "time": "2026-11-24T05:22:17.123456Z",
    "site": Site(country="CA", port="0453"),
    "lane": "C03",
    "source": "edge-1",
}
_DIGESTS: Final[dict[str, Any]] = {"config": "0a1b2c3d", "calibration": "4e5f6071"}
_DOWN_SINCE = "2026-11-24T05:21:47.000000Z"
_DOWN: Final[dict[str, Any]] = {
    "code": "device_down",
    "severity": "critical",
    "device": "io",
    "text": "lane C03, device io: Connection refused; check power, cable and address",
    "args": {"lane": "C03", "device": "io", "reason": "Connection refused", "case": "network"},
}


def _axle(position_m: float, load_kg: float, sigma_kg: float, group: int, *, dual: bool = True) -> Axle:
    left_kg = round(load_kg * 0.51)
    return Axle(
        position_m=position_m, position_sigma_m=0.02, load_kg=load_kg, sigma_kg=sigma_kg, left_kg=left_kg,
        right_kg=load_kg - left_kg, dual_tyres=dual, group=group,
    )  # fmt: skip


_ALL: Final[tuple[Message, ...]] = (
    Vehicle(
        **_HEAD,
        **_DIGESTS,
        direction="inbound",
        speed_mps=3.42,
        length_m=21.4,
        wheelbase_m=18.1,
        lateral_m=0.12,
        gross_kg=41_210.0,
        gross_sigma_kg=310.0,
        axles=(
            _axle(0.0, 5350.0, 95.0, 0, dual=False),
            _axle(4.9, 8920.0, 150.0, 1),
            _axle(6.2, 8840.0, 150.0, 1),
            _axle(16.8, 9080.0, 160.0, 2),
            _axle(18.1, 9020.0, 160.0, 2),
        ),
        class_=VehicleClass(scheme="fhwa", code="9", confidence=0.99),
        flags=("speed_change",),
        identities=(Identity(medium="rfid", pseudonym="9f" * 16),),
        violations=(Violation(rule="CA gross 3-S2", limit_kg=39_500.0, value_kg=41_210.0, probability=1.0),),
        esal=3.1,
    ),
    Sighting(**_HEAD, point="approach", medium="plate", pseudonym="c4" * 16, confidence=0.93),
    Wait(
        **_HEAD,
        **_DIGESTS,
        direction="inbound",
        traffic="commercial",
        program="FAST",
        from_point="approach",
        to_point="booth",
        interval_s=60,
        experienced=Experienced(count=2, median_s=1310.0, p10_s=1286.0, p90_s=1334.0, p95_s=1337.0),
        expected_s=1200.0,
        low_s=960.0,
        high_s=1470.0,
        queue_vehicles=23.0,
        throughput_per_h=66.0,
        lower_bound=False,
        method="fused",
        match_rate=0.8,
        reference_s=600.0,
        change=1.0,
        bottleneck=Bottleneck(from_point="approach", to_point="wim", delay_s=700.0, share=0.6),
        booths_open=1,
    ),
    Flow(
        **_HEAD,
        **_DIGESTS,
        direction="inbound",
        traffic="commercial",
        interval_s=300,
        point="wim",
        count=12,
        count_by_class={"9": 10, "5": 2},
        speed_mps=Distribution(mean=3.0, sd=0.7, p15=2.2, p50=3.0, p85=3.8),
        headway_s=Distribution(mean=25.0, sd=9.0, p15=16.0, p50=24.0, p85=34.0),
        gross_kg_by_class={"9": 310_000.0, "5": 15_400.0},
        occupancy=0.4,
        identified_share=0.83,
    ),
    Alarm(**_HEAD, state="begin", **_DOWN),
    Status(
        **(_HEAD | {"lane": "_"}),
        online=True,
        since="2026-11-24T05:00:00.000000Z",
        version="0.1.0",
        devices={
            "daq": DeviceStatus(state="online", since="2026-11-24T05:00:01.000000Z"),
            "io": DeviceStatus(state="down", since=_DOWN_SINCE, text="Connection refused", rejected={"crc": 2}),
        },
        backlog={"national-ca": Backlog(messages=3, oldest="2026-11-24T05:22:16.900000Z")},
        collectors={"national-ca": CollectorStatus(state="connected", heard="proven", replay=True)},
        alarms=(ActiveAlarm(since=_DOWN_SINCE, lane="C03", **_DOWN),),
        timezone="America/Toronto",
        site_name="Ambassador Bridge",
    ),
    Evidence(
        **(_HEAD | {"lane": "_"}),
        heads=(Head(topic="borderflow/v1/CA/0453/edge-1/C03/vehicle", epoch="7f3a", seq=1041, link="ab" * 32),),
        key="cd" * 16,
        signature="ef" * 64,
    ),
    Identifier(**_HEAD, point="wim", medium="plate", pseudonym="c4" * 16, key="cd" * 16, sealed="AAEC…"),
)

EXAMPLES: Final[dict[str, Message]] = {
    kind_of(message): stamped(message, id="019ab1c2-d3e4-7f50-8a61-72b3c4d5e6f7", epoch="7f3a", seq=1042 + number)
    for number, message in enumerate(_ALL)
}
