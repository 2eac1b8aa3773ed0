"""The shipped schemas: they are what the types say, they accept real messages, and they let unknown keys pass."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import jsonschema
import msgspec
import pytest

from edge import schema
from edge.alarm_codes import ALARM_CODES
from edge.alarms import Condition
from edge.messages import (
    KINDS,
    ActiveAlarm,
    Alarm,
    Axle,
    Backlog,
    Bottleneck,
    DeviceStatus,
    Distribution,
    Evidence,
    Experienced,
    Flag,
    Flow,
    Head,
    Identifier,
    Identity,
    Message,
    ReplayRequest,
    Sighting,
    Site,
    Status,
    Vehicle,
    VehicleClass,
    Violation,
    Wait,
    encode,
    kind_of,
    stamped,
    topic_of,
)
from edge.schema_text import COMMON, FLAGS, MEANINGS

HEAD: dict[str, Any] = {
    "time": "2026-11-24T05:22:17.123456Z",
    "site": Site(country="CA", port="0453"),
    "lane": "C03",
    "source": "edge-1",
}
EXAMPLES: list[Message] = [
    Vehicle(
        **HEAD,
        config="0a1b2c3d",
        calibration="4e5f6071",
        speed_mps=None,
        length_m=21.4,
        wheelbase_m=15.55,
        gross_kg=36287.4,
        gross_sigma_kg=240.0,
        axles=(Axle(position_m=0.0, load_kg=5400.0, sigma_kg=60.0, left_kg=2700.0, dual_tyres=False, group=0),),
        class_=VehicleClass(scheme="fhwa", code="9", confidence=0.99),
        flags=("speed_change",),
        identities=(Identity(medium="rfid", pseudonym="ab" * 16),),
        violations=(Violation(rule="gross", limit_kg=36000.0, value_kg=36287.4, probability=0.88),),
        esal=1.9,
    ),
    Sighting(**HEAD, point="approach", medium="plate", pseudonym="cd" * 16, confidence=0.93),
    Wait(
        **HEAD,
        direction="inbound",
        traffic="commercial",
        program=None,
        from_point="approach",
        to_point="booth",
        interval_s=60,
        experienced=Experienced(count=0, median_s=None, p10_s=None, p90_s=None, p95_s=None),
        expected_s=1200.0,
        low_s=900.0,
        high_s=1500.0,
        queue_vehicles=23.0,
        throughput_per_h=66.0,
        lower_bound=False,
        method="fused",
        match_rate=0.8,
        reference_s=1500.0,
        change=-0.2,
        bottleneck=Bottleneck(from_point="approach", to_point="wim", delay_s=700.0, share=0.6),
    ),
    Flow(
        **HEAD,
        interval_s=300,
        point="wim",
        count=12,
        count_by_class={"9": 10, "5": 2},
        speed_mps=Distribution(mean=3.0, sd=None, p15=2.0, p50=3.0, p85=4.0),
        headway_s=None,
        gross_kg_by_class={"9": 310000.0},
        occupancy=0.4,
        identified_share=None,
    ),
    Alarm(**HEAD, code="device_silent", state="begin", severity="warning", text="no data for 5 s", device="daq"),
    Status(
        **HEAD,
        online=True,
        since="2026-11-24T05:00:00.000000Z",
        version="0.1.0",
        devices={"daq": DeviceStatus(state="online", since="2026-11-24T05:00:01.000000Z", rejected={"crc": 2})},
        backlog={"national-ca": Backlog(messages=0, oldest=None)},
        alarms=(
            ActiveAlarm(
                code="device_down",
                severity="critical",
                since="2026-11-24T05:00:01.000000Z",
                lane="C03",
                device="daq",
                sensor="line1-left",
                text="no link",
                args={"reason": "refused", "count": 3, "share": 0.5},
            ),
        ),
    ),
    Evidence(**HEAD, heads=(Head(topic="t", epoch="e", seq=7, link="ab" * 32),), key="cd" * 16, signature="ef" * 64),
    Identifier(**HEAD, point="wim", medium="plate", pseudonym="ab" * 16, key="cd" * 16, sealed="AAAA"),
]


def shipped(name: str) -> dict[str, Any]:
    document = json.loads((schema.SCHEMA_DIR / f"{name}.json").read_text())
    assert isinstance(document, dict)
    return document


def validator(kind: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(shipped(kind), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


@pytest.mark.parametrize("path", list(schema.files()), ids=lambda path: path.name)
def test_generated_files_are_what_the_types_say(path: Any) -> None:
    assert path.read_text() == schema.files()[path], "run `python -m edge.schema`"


def test_every_kind_has_an_example_here() -> None:
    assert [kind_of(example) for example in EXAMPLES] == list(KINDS)


@pytest.mark.parametrize("example", EXAMPLES, ids=kind_of)
def test_messages_fit_their_schema_with_and_without_what_the_journal_gives(example: Message) -> None:
    check = validator(kind_of(example))
    check.check_schema(check.schema)
    for message in (example, stamped(example, id="0193", epoch="7f", seq=3)):
        wire = json.loads(encode(message))
        assert list(check.iter_errors(wire)) == []
        assert list(check.iter_errors({**wire, "added_later": 1})) == []
        assert msgspec.json.decode(json.dumps({**wire, "added_later": 1}), type=type(example)) == message


@pytest.mark.parametrize("example", EXAMPLES, ids=kind_of)
def test_schema_refuses_what_is_no_such_message(example: Message) -> None:
    check = validator(kind_of(example))
    wire = json.loads(encode(example))
    for key in ("schema", "time", "site"):
        assert list(check.iter_errors({k: v for k, v in wire.items() if k != key})), key
    assert list(check.iter_errors({**wire, "schema": "borderflow/other/1"}))
    assert list(check.iter_errors({**wire, "seq": "3"}))


def test_every_key_of_every_type_has_its_meaning() -> None:
    types = [*KINDS.values(), ReplayRequest]
    _, components = msgspec.json.schema_components(types)
    for name, component in components.items():
        own = set(component["properties"]) - (set(COMMON) if "schema" in component["properties"] else set())
        assert own == set(MEANINGS[name]), name


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        here = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return here + [ref for value in node.values() for ref in references(value)]
    return [ref for item in node for ref in references(item)] if isinstance(node, list) else []


def test_asyncapi_document_holds_together() -> None:
    document = shipped("asyncapi")
    assert document["asyncapi"] == "3.0.0"
    for ref in references(document):
        node: Any = document
        for part in ref.removeprefix("#/").split("/"):
            node = node[part]
    for name, channel in document["channels"].items():
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel["parameters"]), name
    operations = document["operations"]
    assert all(operation["bindings"]["mqtt"]["qos"] == 1 for operation in operations.values())
    assert [name for name, item in operations.items() if item["bindings"]["mqtt"].get("retain")] == ["publish_status"]
    assert operations["receive_replay"]["action"] == "receive"
    assert document["servers"]["collector"]["bindings"]["mqtt"]["lastWill"]["retain"] is True


@pytest.mark.parametrize("example", EXAMPLES, ids=kind_of)
def test_channels_are_the_topics_that_are_published(example: Message) -> None:
    address = shipped("asyncapi")["channels"][kind_of(example)]["address"]
    pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(address))
    lane = "_" if kind_of(example) == "status" else "C03"
    assert re.fullmatch(pattern, topic_of(msgspec.structs.replace(example, lane=lane)))


def test_an_alarm_has_a_code_with_a_meaning_and_each_meaning_a_code() -> None:
    with pytest.raises(ValueError, match="no_such_thing"):
        Condition("no_such_thing")
    package = Path(schema.__file__).parent
    sources = "".join(p.read_text() for p in package.rglob("*.py") if p.name != "alarm_codes.py")
    assert [code for code in ALARM_CODES if f'"{code}"' not in sources] == []
    assert set(FLAGS) == set(get_args(Flag))
    assert "`journal_dropped`" in schema.messages_page()
