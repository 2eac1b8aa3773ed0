"""The publisher against a broker that fails on purpose: whatever it does, every message arrives at least once."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest
from fault_broker import Fault, FaultBroker
from hypothesis import given
from hypothesis import strategies as st
from publishing import publishing, until
from samples import ROOT, alarm, mixed, status, vehicle

from edge.config import Collector
from edge.delivery.journal import Journal
from edge.delivery.publisher import Publisher
from edge.messages import KINDS

PROTOCOLS = pytest.mark.parametrize("protocol", [5, 4])


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("edge.delivery.mqtt.PUBACK_TIMEOUT_S", 0.6),
        ("edge.delivery.mqtt.CONNECT_TIMEOUT_S", 0.6),
        ("edge.delivery.attempts.WAIT_FIRST_S", 0.02),
        ("edge.delivery.attempts.WAIT_EARLY_S", 0.1),
        ("edge.delivery.publisher.SETTLED_S", 0.2),
        ("edge.delivery.attempts.UNREACHABLE_AFTER_S", 0.3),
        ("edge.delivery.parked.PARK_S", 0.5),
        (
            "edge.delivery.attempts.LONG_WAIT_S",
            {"duplicate": 1.5, "refused": 1.5, "certificate": 1.5, "configuration": 1.5},
        ),
    ):
        monkeypatch.setattr(name, value)


def arrived(broker: FaultBroker) -> set[bytes]:
    return {publish.payload for publish in broker.delivered()}


FAULTS = {
    "closes after three": [Fault(close_after=3), Fault(close_after=3), Fault()],
    "closes inside a PUBACK": [Fault(close_after=4, close_inside=True), Fault()],
    "never acknowledges the second": [Fault(puback=lambda n, topic: None if n == 2 else 0), Fault()],
    "never acknowledges anything": [Fault(puback=lambda n, topic: None), Fault()],
    "is deaf after five": [Fault(deaf_after=5), Fault()],
    "never answers CONNECT": [Fault(connack=None), Fault()],
    "acknowledges in disorder": [Fault(shuffle=4)],
    "acknowledges late": [Fault(puback_delay_s=0.01)],
    "sends noise": [Fault(noise_after=3), Fault(noise_after=6), Fault()],
    "takes one at a time": [Fault(receive_maximum=1)],
}


@PROTOCOLS
@pytest.mark.parametrize("name", FAULTS)
async def test_every_message_arrives_whatever_the_broker_does(journal: Journal, name: str, protocol: int) -> None:
    async with FaultBroker(*FAULTS[name]) as broker, publishing(journal, broker, protocol=protocol) as running:
        made = journal.append(mixed(40))
        assert await until(lambda: running.publisher.backlog().messages == 0)
        assert {entry.body for entry in made} <= arrived(broker)
        assert max(connection.most_unacknowledged for connection in broker.connections) <= 20
        seqs: dict[str, list[int]] = {}
        for publish in broker.delivered():
            seqs.setdefault(publish.topic, []).append(json.loads(publish.payload)["seq"])
        for topic, numbers in seqs.items():  # in order after removal of repeats
            assert list(dict.fromkeys(numbers)) == list(range(1, max(numbers) + 1)), topic


@PROTOCOLS
async def test_the_window_of_the_server_is_kept_at_every_connection(journal: Journal, protocol: int) -> None:
    """A client that floods after a reconnect would show here: the backlog is large and nothing is acknowledged."""
    journal.register("national", tuple(KINDS))
    journal.append(mixed(1000))
    limit = 5 if protocol == 5 else None
    silent = Fault(receive_maximum=limit, puback=lambda n, topic: None)
    async with FaultBroker(silent) as broker, publishing(journal, broker, protocol=protocol):
        assert await until(lambda: len(broker.connections) >= 3)
        await asyncio.sleep(0.3)
        assert max(len(connection.publishes) for connection in broker.connections) <= (limit or 20)


async def test_a_dead_link_is_found_when_nothing_is_sent(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is in flight, nobody answers the ping: with the usual times it takes 20 s."""
    monkeypatch.setattr("edge.delivery.mqtt.KEEPALIVE_S", 1)
    monkeypatch.setattr("edge.delivery.mqtt.PUBACK_TIMEOUT_S", 1000.0)
    async with FaultBroker(Fault(deaf_after=1), Fault()) as broker, publishing(journal, broker) as running:
        assert await until(lambda: running.publisher.counts.delivered == 1)
        assert await until(lambda: broker.attempts == 2)
        assert await until(lambda: running.publisher.state == "connected")


async def test_only_a_success_code_moves_the_cursor(journal: Journal) -> None:
    """Quota exceeded for vehicles, for a while: they wait, an alarm names the code, everything else goes on."""
    full = [True]

    def answer(number: int, topic: str) -> int:
        return 0x97 if full[0] and topic.endswith("vehicle") else 0

    async with FaultBroker(Fault(puback=answer)) as broker, publishing(journal, broker) as running:
        made = journal.append(mixed(40))
        vehicles = [entry for entry in made if entry.kind == "vehicle"]
        assert await until(lambda: running.publisher.backlog().messages == len(vehicles))
        assert "Quota exceeded (0x97)" in running.text_of("collector_quota")
        full[0] = False
        assert await until(lambda: running.publisher.backlog().messages == 0)
        assert await until(lambda: ("collector_quota", "end") in [alarm[:2] for alarm in running.alarms])
        assert len(broker.connections) == 1


async def test_no_matching_subscribers_is_counted(journal: Journal) -> None:
    async with (
        FaultBroker(Fault(puback=lambda n, topic: 0x10)) as broker,
        publishing(journal, broker, share=("vehicle",)) as running,
    ):
        journal.append([vehicle(), vehicle()])
        assert await until(lambda: running.publisher.backlog().messages == 0)
        assert running.publisher.counts.unheard == 2


async def test_a_message_above_the_limit_of_the_server_holds_its_kind_back_until_the_limit_allows_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others go on meanwhile; once a connection takes it, it goes at once and in order, and the alarm ends."""
    monkeypatch.setattr("edge.delivery.parked.PARK_S", 60.0)
    faults = [Fault(maximum_packet=2000, close_after=10), Fault()]
    async with FaultBroker(*faults) as broker, publishing(journal, broker) as running:
        large = journal.append([alarm("x" * 3000)])
        small = journal.append([alarm("small")])
        other = journal.append(mixed(6))
        assert await until(lambda: {entry.body for entry in other} <= arrived(broker))
        assert not {large[0].body, small[0].body} & arrived(broker)
        assert running.publisher.backlog().messages == 2
        text = running.text_of("collector_size")
        assert "takes packets of 2000 bytes" in text
        assert f"{large[0].topic} seq 1" in text
        journal.append(mixed(4))
        assert await until(lambda: running.publisher.backlog().messages == 0)
        order = [publish.payload for publish in broker.delivered() if publish.topic == large[0].topic]
        assert order == [large[0].body, small[0].body]
        assert await until(lambda: ("collector_size", "end") in [alarm[:2] for alarm in running.alarms])


async def test_a_limit_of_a_few_bytes_in_one_connection_loses_nothing(journal: Journal) -> None:
    async with FaultBroker(Fault(maximum_packet=16), Fault()) as broker, publishing(journal, broker) as running:
        made = journal.append(mixed(8))
        assert await until(lambda: running.text_of("collector_size") != "")
        await broker.cut()
        assert await until(lambda: {entry.body for entry in made} <= arrived(broker))
        assert await until(lambda: running.publisher.backlog().messages == 0)


async def test_a_broker_that_cuts_a_connect_of_mqtt_5_is_told_by_what_it_answers(journal: Journal) -> None:
    async with FaultBroker(Fault(only_mqtt_3=True)) as broker, publishing(journal, broker) as running:
        assert await until(lambda: "collector_refused" in [alarm[0] for alarm in running.alarms])
        text = running.text_of("collector_refused")
        assert "does not speak MQTT 5" in text
        assert "write protocol = 4" in text
    async with FaultBroker(Fault(only_mqtt_3=True)) as broker, publishing(journal, broker, protocol=4) as running:
        assert await until(lambda: running.publisher.state == "connected")
        assert running.alarms == []


async def test_a_broker_that_cuts_every_connect_is_not_said_to_lack_mqtt_5(journal: Journal) -> None:
    async with FaultBroker(Fault(cut_connect=True)) as broker, publishing(journal, broker) as running:
        assert await until(lambda: running.text_of("collector_unreachable") != "")
        assert "before it answered CONNECT" in running.text_of("collector_unreachable")
        assert running.text_of("collector_refused") == ""


@pytest.mark.parametrize(
    ("code", "alarm_code", "words"),
    [
        (0x86, "collector_refused", "Bad user name or password (0x86)"),
        (0x87, "collector_refused", "Not authorized (0x87)"),
        (0x84, "collector_refused", "write protocol = 4"),
        (0x8A, "collector_refused", "Banned (0x8A)"),
        (0x97, "collector_quota", "is busy: Quota exceeded (0x97)"),
        (0x89, "collector_quota", "is busy: Server busy (0x89)"),
    ],
)
async def test_a_refusal_is_an_alarm_with_its_reason_and_ends_when_it_ends(
    journal: Journal, code: int, alarm_code: str, words: str
) -> None:
    async with FaultBroker(Fault(connack=code), Fault()) as broker, publishing(journal, broker) as running:
        journal.append(mixed(8))
        assert await until(lambda: words in running.text_of(alarm_code))
        if alarm_code == "collector_refused":
            await asyncio.sleep(0.5)
            assert broker.attempts == 1  # it does not hammer
        assert await until(lambda: running.publisher.backlog().messages == 0)
        assert await until(lambda: (alarm_code, "end") in [alarm[:2] for alarm in running.alarms])


async def test_a_refusal_in_mqtt_3(journal: Journal) -> None:
    async with FaultBroker(Fault(connack=5)) as broker, publishing(journal, broker, protocol=4) as running:
        assert await until(lambda: "Not authorized" in running.text_of("collector_refused"))


async def test_a_session_that_was_taken_over_is_not_fought_for(journal: Journal) -> None:
    taken = Fault(close_after=1, disconnect=0x8E)
    async with FaultBroker(taken, Fault()) as broker, publishing(journal, broker) as running:
        assert await until(lambda: "Session taken over (0x8E)" in running.text_of("duplicate_identity"))
        await asyncio.sleep(0.6)
        assert broker.attempts == 1
        assert await until(lambda: broker.attempts == 2)


@pytest.mark.parametrize(
    ("code", "alarm_code"), [(0x97, "collector_quota"), (0x98, "collector_refused"), (0x8B, "collector_unreachable")]
)
async def test_a_disconnect_with_a_reason_is_understood(journal: Journal, code: int, alarm_code: str) -> None:
    ends = Fault(close_after=2, disconnect=code)
    faults = [ends, Fault(connack=None), Fault(connack=None), Fault()]
    async with FaultBroker(*faults) as broker, publishing(journal, broker) as running:
        journal.append(mixed(8))
        assert await until(lambda: running.text_of(alarm_code) != "")
        assert await until(lambda: running.publisher.backlog().messages == 0)


async def test_connections_that_end_soon_for_no_reason_look_like_a_double(journal: Journal) -> None:
    """In 3.1.1 a server cannot say that a session was taken over."""
    async with FaultBroker(Fault(close_after=1)) as broker, publishing(journal, broker, protocol=4) as running:
        assert await until(lambda: "two computers use one certificate" in running.text_of("duplicate_identity"))
        assert broker.attempts == 4


async def test_a_broker_that_is_started_anew_now_and_then_is_no_double(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connections last longer than those of two that fight for a name, and it costs no pause of minutes."""
    monkeypatch.setattr("edge.delivery.attempts.QUICK_S", 0.0)
    faults = [*[Fault(close_after=6)] * 6, Fault()]
    async with FaultBroker(*faults) as broker, publishing(journal, broker, protocol=4) as running:
        journal.append(mixed(40))
        assert await until(lambda: running.publisher.backlog().messages == 0)
        assert broker.attempts == 7
        assert running.text_of("duplicate_identity") == ""


@PROTOCOLS
@pytest.mark.parametrize("kind", ["sighting", "status"])
async def test_a_right_that_is_refused_by_closing_is_not_taken_for_a_double(
    journal: Journal, kind: str, protocol: int
) -> None:
    """RabbitMQ with 3.1.1 does so: the kind waits, the others go on, and the alarm names the topic."""
    fault = Fault(close_at=f"/{kind}")
    async with (
        FaultBroker(*[fault] * 8, Fault()) as broker,
        publishing(journal, broker, protocol=protocol) as running,
    ):
        made = journal.append(mixed(40))
        assert await until(lambda: f"/{kind}: it closes the connection" in running.text_of("collector_refused"))
        assert running.text_of("duplicate_identity") == ""
        assert await until(lambda: {entry.body for entry in made} <= arrived(broker))
        assert await until(lambda: running.publisher.backlog().messages == 0)  # once its time is over


async def test_a_slow_collector_slows_nobody(journal: Journal) -> None:
    slow = Fault(puback_delay_s=0.2)
    async with (
        FaultBroker(slow) as first,
        FaultBroker() as second,
        publishing(journal, first, name="slow") as slowed,
        publishing(journal, second, name="fast") as quick,
    ):
        assert await until(lambda: quick.publisher.state == slowed.publisher.state == "connected")
        journal.append(mixed(300))
        assert await until(lambda: quick.publisher.backlog().messages == 0)
        assert slowed.publisher.backlog().messages > 200


async def test_a_stalled_subscription_does_not_grow_memory_and_a_large_packet_ends_the_link(journal: Journal) -> None:
    """In 3.1.1 nothing limits what a broker may send; more than a request needs is refused before it is read."""
    async with FaultBroker() as broker, publishing(journal, broker, protocol=4) as running:
        assert await until(lambda: running.publisher.state == "connected")
        with suppress(ConnectionError):
            await broker.send(f"{ROOT}/_/replay", b"x" * 30_000_000)
        assert await until(lambda: broker.attempts == 2)
        assert running.publisher.counts.ignored == 0
        assert "more than 65536 bytes" in running.text_of("collector_protocol")


HOSTILE = [
    b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"topic": 1}', b"[" * 1000, b"x" * 5000,
    json.dumps({"topic": f"{ROOT}/C03/vehicle", "epoch": "e", "from_seq": 9, "to_seq": 1}).encode(),
    json.dumps({"topic": f"{ROOT}/C03/vehicle", "epoch": "e", "from_seq": -1, "to_seq": 1}).encode(),
    json.dumps({"topic": f"{ROOT}/C03/vehicle", "epoch": "e", "from_seq": 1.5, "to_seq": 2}).encode(),
    json.dumps({"topic": f"{ROOT}/C03/vehicle", "epoch": "e", "from_seq": 1, "to_seq": 1 << 70}).encode(),
    json.dumps({"topic": "borderflow/v1/US/1/other/C03/vehicle", "epoch": "e", "from_seq": 1, "to_seq": 2}).encode(),
    json.dumps({"topic": f"{ROOT}/../x/vehicle", "epoch": "e\x00", "from_seq": 1, "to_seq": 2}).encode()[:-1],
]  # fmt: skip


async def test_hostile_requests_are_counted_and_forgotten(journal: Journal) -> None:
    async with FaultBroker() as broker, publishing(journal, broker) as running:
        assert await until(lambda: running.publisher.state == "connected")
        (entry,) = journal.append([vehicle()])
        good = json.dumps({"topic": entry.topic, "epoch": entry.epoch, "from_seq": 1, "to_seq": 1}).encode()
        for payload in HOSTILE:
            await broker.send(f"{ROOT}/_/replay", payload)
        await broker.send(f"{ROOT}/_/replay", good, retain=True)  # would come back at every connection
        assert await until(lambda: running.publisher.counts.ignored == len(HOSTILE) + 1)
        assert running.publisher.counts.replayed == 0
        await broker.send(f"{ROOT}/_/replay", good)
        assert await until(lambda: [p.payload for p in broker.delivered()].count(entry.body) == 2)


async def test_a_flood_of_requests_is_bounded(journal: Journal) -> None:
    async with FaultBroker() as broker, publishing(journal, broker) as running:
        assert await until(lambda: running.publisher.state == "connected")
        made = journal.append([vehicle() for _ in range(200)])
        good = json.dumps({"topic": made[0].topic, "epoch": made[0].epoch, "from_seq": 1, "to_seq": 200}).encode()
        for _ in range(400):
            await broker.send(f"{ROOT}/_/replay", good)
        assert await until(lambda: running.publisher.counts.ignored > 100)
        (live,) = journal.append([alarm("live")])
        assert await until(lambda: live.body in arrived(broker), 2.0)  # not behind 50,000 repeats
        assert running.publisher.counts.replayed < 2000


@given(payload=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_payload_is_a_request_or_nothing(tmp_path_factory: pytest.TempPathFactory, payload: bytes) -> None:
    global _PUBLISHER
    if _PUBLISHER is None:
        journal = Journal(tmp_path_factory.mktemp("requests") / "journal.db", 10_000_000, lambda: 0)
        _PUBLISHER = Publisher(Collector(name="n", url="mqtt://h", share=("vehicle",)), journal, status)
    before = _PUBLISHER.counts.ignored
    _PUBLISHER._received(f"{ROOT}/_/replay", payload, False)
    assert _PUBLISHER.counts.ignored == before + 1


_PUBLISHER: Publisher | None = None
