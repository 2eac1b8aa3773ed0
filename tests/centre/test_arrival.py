"""Only what a computer of the project could have made becomes a row; everything else is kept with a reason."""

from __future__ import annotations

import json

import lane_messages as messages
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.centre.arrival import BODY_MAX, Rejected, Row, read

NOW_NS = messages.START_NS + 86_400 * 1_000_000_000
TOPIC, BODY = messages.sent(messages.vehicle(0), 7)


def changed(**keys: object) -> bytes:
    return json.dumps({**json.loads(BODY), **keys}).encode()


def test_a_message_is_a_row_byte_for_byte() -> None:
    row = read(TOPIC, BODY, NOW_NS)
    assert isinstance(row, Row)
    assert (row.kind, row.topic, row.epoch, row.seq, row.body) == ("vehicle", TOPIC, "e1", 7, BODY.decode())


def test_keys_of_a_later_version_are_no_fault() -> None:
    assert isinstance(read(TOPIC, changed(colour="blue"), NOW_NS), Row)


def test_a_backslash_in_a_text_is_no_fault() -> None:
    assert isinstance(read(TOPIC, changed(x="\\u0000"), NOW_NS), Row)


def test_a_last_will_has_no_number_and_is_a_row() -> None:
    assert isinstance(read(*messages.sent(messages.status(0, online=False), 0), NOW_NS), Row)


def test_an_alarm_said_past_a_full_disk_has_no_number_and_is_no_stranger() -> None:
    assert isinstance(read(*messages.sent(messages.alarm(0), 0), NOW_NS), Row)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "schema"),
        (b"\xff\xfe", "schema"),
        (b"[" * 100_000, "schema"),
        (b'{"a": NaN}', "schema"),
        (changed(gross_kg="20900"), "schema"),
        (changed(gross_kg=None), "schema"),
        (changed(axles=5), "schema"),
        (changed(x=2**63), "number"),
        (changed(x=[[-(2**80)]]), "number"),
        (changed(seq=0), "number"),
        (changed(seq=-1), "number"),
        (changed(seq=2**70), "number"),
        (changed(seq=2**40 + 1), "number"),
        (changed(epoch=""), "number"),
        (changed(source="edge-2"), "topic"),
        (changed(lane="C04"), "topic"),
        (changed(x="a\0b"), "text"),
        (changed(**{"a\0b": 1}), "text"),
        (changed(time="9999-12-31T23:59:59.000000Z"), "time"),
        (changed(time="0001-01-01T00:00:00+14:00"), "time"),
        (changed(time="2026-09-21T14:13:20"), "time"),
        (changed(time="yesterday"), "time"),
        (b" " * (BODY_MAX + 1), "size"),
    ],
)  # fmt: skip
def test_what_is_no_message_has_a_reason(body: bytes, reason: str) -> None:
    refused = read(TOPIC, body, NOW_NS)
    assert isinstance(refused, Rejected)
    assert refused.reason == reason


@pytest.mark.parametrize("topic", ["", "a", TOPIC + "/x", TOPIC.replace("v1", "v2"), "borderflow/v1/vehicle", "$SYS/x"])
def test_another_topic_is_refused(topic: str) -> None:
    refused = read(topic, BODY, NOW_NS)
    assert isinstance(refused, Rejected)
    assert refused.reason == "topic"


@given(st.text(), st.binary())
def test_anything_gives_a_row_or_a_reason(topic: str, body: bytes) -> None:
    for name in (topic, TOPIC):
        assert isinstance(read(name, body, NOW_NS), Row | Rejected)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists))
def test_any_value_in_any_place_gives_a_row_or_a_reason(value: object) -> None:
    for key in json.loads(BODY):
        assert isinstance(read(TOPIC, changed(**{key: value}), NOW_NS), Row | Rejected)
