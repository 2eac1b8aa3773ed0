"""The tables of the centre: which key of a message stands in which column.

One list for both databases; `sql/` holds the tables themselves, and a test holds them against this list. A column that
a message does not have is null. Keys inside a key are joined by `_`; lists and maps are kept as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# in every table, in this order, before the columns of the kind; `body` is the message as it came, byte for byte
COMMON = (
    "topic", "epoch", "seq", "id", "time", "country", "port", "source", "lane", "config", "calibration", "received",
    "body",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """`path` leads to the value inside the message; `json` values are written as JSON text."""

    name: str
    path: tuple[str, ...]
    json: bool = False

    def of(self, message: dict[str, Any]) -> Any:
        value = message.get(self.path[0])
        for key in self.path[1:]:
            value = value.get(key) if type(value) is dict else None
        return value


def _plain(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, (name,)) for name in names)


def _json(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, (name,), json=True) for name in names)


def _inside(key: str, *names: str) -> tuple[Column, ...]:
    return tuple(Column(f"{key}_{name}", (key, name)) for name in names)


def _distribution(key: str, unit: str) -> tuple[Column, ...]:
    return tuple(
        Column(f"{key}_{name}_{unit}", (f"{key}_{unit}", name)) for name in ("mean", "sd", "p15", "p50", "p85")
    )


KIND_COLUMNS: dict[str, tuple[Column, ...]] = {
    "vehicle": (
        *_plain("direction", "speed_mps", "length_m", "wheelbase_m", "height_m", "lateral_m"),
        *_plain("gross_kg", "gross_sigma_kg"),
        *_inside("class", "scheme", "code", "confidence"),
        *_json("flags", "identities", "violations"),
        *_plain("esal"),
    ),
    "sighting": _plain("point", "medium", "pseudonym", "confidence"),
    "wait": (
        *_plain("direction", "traffic", "program", "from_point", "to_point", "interval_s"),
        *_inside("experienced", "count", "median_s", "p10_s", "p90_s", "p95_s"),
        *_plain("expected_s", "low_s", "high_s", "queue_vehicles", "throughput_per_h", "lower_bound", "method"),
        *_plain("match_rate", "reference_s", "change"),
        *_inside("bottleneck", "from_point", "to_point", "delay_s", "share"),
        *_plain("booths_open", "one_more_booth_s", "planning_time_s", "planning_time_index", "buffer_index", "gain_s"),
    ),
    "flow": (
        *_plain("direction", "interval_s", "point", "count"),
        *_json("count_by_class"),
        *_distribution("speed", "mps"),
        *_distribution("headway", "s"),
        *_json("gross_kg_by_class"),
        *_plain("occupancy", "identified_share"),
    ),
    "alarm": (
        *_plain("code", "state", "severity", "text", "device", "sensor"),
        *_json("args"),
        *_inside("gap", "topic", "epoch", "from_seq", "to_seq"),
    ),
    "status": (
        *_plain("online", "since", "version", "cause"),
        *_json("devices", "backlog", "alarms"),
    ),
    "evidence": (*_plain("key", "signature"), *_json("heads")),
    "identifier": _plain("point", "medium", "pseudonym", "key", "sealed"),
}  # fmt: skip

# a row for each axle of a vehicle, named by (topic, epoch, seq) of its message and n, its place from the front
AXLE_KEY = ("topic", "epoch", "seq", "n", "time")
AXLE_COLUMNS = (
    *_plain("position_m", "position_sigma_m", "load_kg", "sigma_kg", "left_kg", "right_kg", "dual_tyres"),
    Column("axle_group", ("group",)),
)
