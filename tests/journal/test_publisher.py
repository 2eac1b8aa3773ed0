"""The publisher against a real mosquitto: both protocols, TLS, outages, replay, births and wills."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from certificates import Authority
from collecting import CollectingClient, wait_until
from mosquitto import Mosquitto
from paho.mqtt.client import MQTTMessage
from samples import ROOT, SOURCE, flow, mixed, sighting, status, vehicle

from edge.config import Collector
from edge.delivery.journal import Journal
from edge.delivery.publisher import Publisher
from edge.messages import KINDS

ALL = tuple(KINDS)
PROTOCOLS = pytest.mark.parametrize("protocol", [5, 4])


@dataclass
class Watched:
    """A running publisher with the alarms that it raised."""

    publisher: Publisher
    task: asyncio.Task[None]
    alarms: list[tuple[str, str, str]] = field(default_factory=list)  # code, state, text

    def begun(self) -> list[str]:
        return [code for code, state, _ in self.alarms if state == "begin"]

    def text_of(self, code: str) -> str:
        return next(text for begun, state, text in self.alarms if (begun, state) == (code, "begin"))


@asynccontextmanager
async def publishing(journal: Journal, url: str, **options: object) -> AsyncIterator[Watched]:
    values = {"name": "national", "url": url, "share": ALL} | options
    alarms: list[tuple[str, str, str]] = []
    publisher = Publisher(
        Collector(**values),  # type: ignore[arg-type]
        journal,
        status,
        lambda name, code, state, severity, text: alarms.append((code, state, text)),
    )
    task = asyncio.create_task(publisher.run())
    try:
        yield Watched(publisher, task, alarms)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], timeout_s: float = 12.0) -> bool:
    return await asyncio.to_thread(wait_until, condition, timeout_s)


def plain(broker: Mosquitto) -> str:
    return f"mqtt://127.0.0.1:{broker.port}"


def tls(broker: Mosquitto, authority: Authority, name: str = SOURCE) -> dict[str, object]:
    mine = authority.issue(name)
    return {
        "url": f"mqtts://127.0.0.1:{broker.port}",
        "ca_file": str(authority.ca_file),
        "cert_file": str(mine.cert_file),
        "key_file": str(mine.key_file),
    }


@PROTOCOLS
async def test_every_message_arrives_once_and_in_order(broker: Mosquitto, journal: Journal, protocol: int) -> None:
    collector = CollectingClient(broker.port)
    async with publishing(journal, plain(broker), protocol=protocol) as watched:
        made = []
        for _ in range(20):
            made += await asyncio.to_thread(journal.append, mixed(15))
        assert await until(lambda: watched.publisher.backlog().messages == 0)
        assert await until(lambda: len(collector.messages) >= len(made) + 1)
    assert sorted(m.payload for m in collector.messages if not m.topic.endswith("status")) == sorted(
        e.body for e in made
    )
    for topic, seqs in collector.seqs().items():
        assert seqs == list(range(1, len(seqs) + 1)), topic
    collector.close()


async def test_mqtt5_carries_id_schema_content_type_and_expiry(broker: Mosquitto, journal: Journal) -> None:
    collector = CollectingClient(broker.port)
    async with publishing(journal, plain(broker)):
        journal.append([vehicle(), flow()])
        assert await until(lambda: len(collector.messages) >= 3)
    by_kind: dict[str, MQTTMessage] = {m.topic.rsplit("/", 1)[1]: m for m in collector.messages[:3]}
    for kind, message in by_kind.items():
        body = json.loads(message.payload)
        properties = message.properties
        assert properties is not None
        assert properties.ContentType == "application/json"
        assert properties.PayloadFormatIndicator == 1
        assert dict(properties.UserProperty) == {
            "specversion": "1.0", "id": body["id"], "source": "borderflow/v1/CA/0453/edge-1",
            "type": f"borderflow/{kind}/1", "schema": f"borderflow/{kind}/1",
        }  # fmt: skip
        assert message.qos == 1
        assert message.retain is (kind == "status")
    assert 0 < by_kind["flow"].properties.MessageExpiryInterval <= 7 * 86_400  # type: ignore[union-attr]
    assert not hasattr(by_kind["vehicle"].properties, "MessageExpiryInterval")
    collector.close()


@PROTOCOLS
async def test_birth_will_and_clean_end(broker: Mosquitto, journal: Journal, protocol: int) -> None:
    collector = CollectingClient(broker.port)

    def states() -> list[tuple[bool, str | None]]:
        return [(body["online"], body["cause"]) for body in collector.bodies("status")]

    async with publishing(journal, plain(broker), protocol=protocol) as watched:
        assert await until(lambda: states() == [(True, None)])
        assert watched.publisher.state == "connected"
        assert await until(lambda: watched.publisher.backlog().messages == 0)  # with 3.1.1: it came back too
    assert await until(lambda: states()[1:] == [(False, "connection lost")])  # cancelled: the will speaks
    will = collector.bodies("status")[-1]
    assert will["seq"] == 0  # outside the count
    assert will["epoch"] == journal.epoch

    async with publishing(journal, plain(broker), protocol=protocol) as watched:
        assert await until(lambda: len(states()) == 3)
        journal.append([status(False, "shutdown")])
        await watched.publisher.stop()
        await watched.task
        assert watched.publisher.state == "stopped"
    assert await until(lambda: len(states()) == 4)
    await asyncio.sleep(0.3)
    assert states()[2:] == [(True, None), (False, "shutdown")]  # no will after a clean end
    late = CollectingClient(broker.port, topic=f"{ROOT}/_/status")
    assert await until(lambda: len(late.messages) == 1)
    assert late.bodies()[0]["cause"] == "shutdown"
    assert collector.seqs()[f"{ROOT}/_/status"] == [1, 2, 3]
    late.close()
    collector.close()


@PROTOCOLS
@pytest.mark.parametrize("emptied", [False, True], ids=["as it was", "emptied"])
async def test_a_broker_that_is_killed_and_comes_back(
    broker: Mosquitto, journal: Journal, protocol: int, emptied: bool
) -> None:
    """Live traffic goes on; nothing is lost, and the short outage is caught up in order. Emptied, it has forgotten what
    it acknowledged and who subscribed."""
    collector = CollectingClient(broker.port)
    made: list[bytes] = []
    async with publishing(journal, plain(broker), protocol=protocol) as watched:
        for round in range(3):
            for _ in range(20):
                made += [entry.body for entry in await asyncio.to_thread(journal.append, mixed(4))]
                await asyncio.sleep(0.01)
            if round < 2:
                await asyncio.sleep(1.5)  # mosquitto saves what it acknowledged once a second
                await asyncio.to_thread(broker.kill)
                await asyncio.to_thread(journal.append, mixed(4))
                await asyncio.sleep(0.3)
                if emptied:
                    broker.empty()
                await asyncio.to_thread(broker.start)
        assert await until(lambda: watched.publisher.backlog().messages == 0)
        assert watched.publisher.counts.connections >= 2
        missing = set(made)

        def all_there() -> bool:
            return not missing - {message.payload for message in list(collector.messages)}

        await until(all_there, 5)
        for topic, seqs in collector.seqs().items():  # what the broker acknowledged and lost is asked for again
            last = journal.heads()[topic][1]
            for seq in set(range(1, last + 1)) - set(seqs):
                request = {"topic": topic, "epoch": journal.epoch, "from_seq": seq, "to_seq": seq}
                await asyncio.to_thread(collector.publish, f"{ROOT}/_/replay", json.dumps(request).encode())
        assert await until(all_there)
    assert all(set(seqs) == set(range(1, len(seqs) + 1)) for seqs in collector.seqs().values())
    collector.close()


async def test_a_paused_broker_is_noticed_and_nothing_is_lost(
    broker: Mosquitto, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.delivery.mqtt.PUBACK_TIMEOUT_S", 1.0)
    monkeypatch.setattr("edge.delivery.mqtt.CONNECT_TIMEOUT_S", 1.0)
    monkeypatch.setattr("edge.delivery.attempts.UNREACHABLE_AFTER_S", 1.0)
    collector = CollectingClient(broker.port)
    async with publishing(journal, plain(broker)) as watched:
        assert await until(lambda: watched.publisher.state == "connected")
        broker.pause()
        made = [entry.body for entry in await asyncio.to_thread(journal.append, mixed(40))]
        assert await until(lambda: "collector_unreachable" in watched.begun())
        assert "did not" in watched.text_of("collector_unreachable")
        broker.go_on()
        assert await until(lambda: watched.publisher.backlog().messages == 0)
        assert await until(lambda: watched.alarms[-1][:2] == ("collector_unreachable", "end"))
        assert await until(lambda: set(made) <= {message.payload for message in list(collector.messages)})
    collector.close()


async def test_after_a_long_outage_live_messages_are_not_kept_waiting(broker: Mosquitto, journal: Journal) -> None:
    collector = CollectingClient(broker.port)
    journal.register("national", ALL)
    journal.append(mixed(1500))
    async with publishing(journal, plain(broker)):
        assert await until(lambda: len(collector.messages) > 20)
        (live,) = await asyncio.to_thread(journal.append, [vehicle("C09")])
        assert await until(lambda: any(message.payload == live.body for message in list(collector.messages)))
        position = [message.payload for message in collector.messages].index(live.body)
        assert position < 1400
        assert await until(lambda: len(collector.messages) >= 1502, 60)
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in collector.seqs().values())
    collector.close()


async def test_collectors_do_not_wait_for_each_other(broker: Mosquitto, journal: Journal) -> None:
    collector = CollectingClient(broker.port)
    async with (
        publishing(journal, "mqtt://127.0.0.1:1", name="dead", share=("vehicle",)) as dead,
        publishing(journal, plain(broker), name="alive", share=("vehicle", "flow")) as alive,
    ):
        await asyncio.to_thread(journal.append, mixed(40))
        assert await until(lambda: len(collector.messages) == 20)
        assert await until(lambda: alive.publisher.backlog().messages == 0)
        assert dead.publisher.backlog().messages == 10
        assert dead.publisher.backlog().oldest is not None
        assert "cannot be reached" in dead.publisher.text
    assert {message.topic.rsplit("/", 1)[1] for message in collector.messages} == {"vehicle", "flow"}
    collector.close()


@PROTOCOLS
async def test_mutual_tls(tls_broker: Mosquitto, journal: Journal, authority: Authority, protocol: int) -> None:
    reader = authority.issue("collector")
    files = (str(authority.ca_file), str(reader.cert_file), str(reader.key_file))
    collector = CollectingClient(tls_broker.port, tls=files)
    async with publishing(journal, protocol=protocol, **tls(tls_broker, authority)) as watched:  # type: ignore[arg-type]
        made = await asyncio.to_thread(journal.append, mixed(100))
        assert await until(lambda: watched.publisher.backlog().messages == 0)
        assert await until(lambda: len(collector.messages) == len(made) + 1)
    collector.close()


async def test_the_certificate_is_renewed_while_running(
    tls_broker: Mosquitto, journal: Journal, authority: Authority
) -> None:
    """An expired one is an alarm that names the file; once the file is new, the next attempt connects."""
    expired = authority.issue(SOURCE, valid_s=-60.0, file="renewed")
    options = tls(tls_broker, authority) | {"cert_file": str(expired.cert_file), "key_file": str(expired.key_file)}
    async with publishing(journal, **options) as watched:  # type: ignore[arg-type]
        assert await until(lambda: "collector_certificate" in watched.begun())
        text = watched.text_of("collector_certificate")
        assert "refuses our certificate" in text
        assert str(expired.cert_file) in text
        authority.issue(SOURCE, file="renewed")
        watched.publisher.retry_now()
        assert await until(lambda: watched.publisher.state == "connected")
        assert await until(lambda: watched.alarms[-1][:2] == ("collector_certificate", "end"))


async def test_an_expired_certificate_is_named_every_time(
    tls_broker: Mosquitto, journal: Journal, authority: Authority
) -> None:
    """Under TLS 1.3 the server looks at it after the handshake: its alert comes while CONNECT is being written."""
    expired = authority.issue(SOURCE, valid_s=-60.0, file="expired")
    files = tls(tls_broker, authority) | {"cert_file": str(expired.cert_file), "key_file": str(expired.key_file)}
    texts = []
    async with publishing(journal, **files) as watched:  # type: ignore[arg-type]
        for _ in range(12):
            assert await until(lambda: watched.publisher.state == "waiting")
            texts.append(watched.publisher.text)
            watched.publisher.state = "connecting"
            watched.publisher.retry_now()
    assert all("expired" in text for text in texts), texts
    assert len(texts) == 12


async def test_both_certificates_expire_under_traffic_and_are_renewed(
    tls_broker: Mosquitto, journal: Journal, authority: Authority
) -> None:
    """A link that stands goes on; the next one is refused with an alarm; each end gets new files; nothing is lost."""
    mine = authority.issue(SOURCE, valid_s=6.0, file="short")
    server = authority.issue("broker", valid_s=6.0)
    tls_broker.kill()
    tls_broker.start()
    expires_s = time.monotonic() + 6.5
    options = tls(tls_broker, authority) | {"cert_file": str(mine.cert_file), "key_file": str(mine.key_file)}
    async with publishing(journal, **options) as watched:  # type: ignore[arg-type]
        made = await asyncio.to_thread(journal.append, mixed(20))
        assert await until(lambda: watched.publisher.backlog().messages == 0)
        await asyncio.sleep(max(0.0, expires_s - time.monotonic()))
        made += await asyncio.to_thread(journal.append, mixed(20))
        assert await until(lambda: watched.publisher.backlog().messages == 0)
        await asyncio.to_thread(tls_broker.kill)
        await asyncio.to_thread(tls_broker.start)
        made += await asyncio.to_thread(journal.append, mixed(20))
        assert await until(lambda: "collector_certificate" in watched.begun())
        assert "expired" in watched.text_of("collector_certificate")
        authority.issue("broker")
        await asyncio.to_thread(tls_broker.kill)
        await asyncio.to_thread(tls_broker.start)
        authority.issue(SOURCE, file="short")
        watched.publisher.retry_now()
        assert await until(lambda: watched.publisher.state == "connected")
        assert await until(lambda: watched.publisher.backlog().messages == 0)
        assert watched.publisher.counts.delivered >= len(made)
    assert server.cert_file.exists()


async def test_a_server_of_another_authority_is_not_trusted(
    tls_broker: Mosquitto, journal: Journal, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other", "another authority")
    async with publishing(journal, **tls(tls_broker, authority) | {"ca_file": str(other.ca_file)}) as watched:  # type: ignore[arg-type]
        assert await until(lambda: "collector_certificate" in watched.begun())
        text = watched.text_of("collector_certificate")
        assert "is not trusted" in text
        assert str(other.ca_file) in text
        assert watched.publisher.state == "waiting"


async def test_a_client_without_certificate_is_told_what_is_missing(
    tls_broker: Mosquitto, journal: Journal, authority: Authority
) -> None:
    url = f"mqtts://127.0.0.1:{tls_broker.port}"
    async with publishing(journal, url, ca_file=str(authority.ca_file)) as watched:
        # A reset of the connection can overtake the words of the server: then the text says what it may want.
        assert await until(
            lambda: any("client certificate (cert_file, key_file)" in text for _, _, text in watched.alarms), 20
        )
        assert watched.begun()[0] in ("collector_certificate", "collector_unreachable")


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        ({"cert_file": "/none/client.pem"}, "cert_file /none/client.pem does not exist"),
        ({"key_file": "other.key"}, "does not belong to cert_file"),
        ({"ca_file": "/none/ca.pem"}, "ca_file /none/ca.pem cannot be used"),
        ({"ca_file": "text"}, "cannot be used"),
    ],
)
async def test_files_that_do_not_fit_are_named(
    journal: Journal, authority: Authority, tmp_path: Path, change: dict[str, str], pattern: str
) -> None:
    mine = authority.issue(SOURCE)
    other = authority.issue("someone")
    (tmp_path / "text").write_text("no certificate")
    change = {
        key: str(other.key_file) if value == "other.key" else str(tmp_path / value) if value == "text" else value
        for key, value in change.items()
    }
    files = {
        "ca_file": str(authority.ca_file), "cert_file": str(mine.cert_file), "key_file": str(mine.key_file)
    } | change  # fmt: skip
    async with publishing(journal, "mqtts://127.0.0.1:1", **files) as watched:
        assert await until(lambda: "collector_configuration" in watched.begun())
        assert pattern in watched.text_of("collector_configuration")


async def test_a_server_that_speaks_no_tls_is_told_apart(
    broker: Mosquitto, journal: Journal, authority: Authority
) -> None:
    async with publishing(journal, f"mqtts://127.0.0.1:{broker.port}", ca_file=str(authority.ca_file)) as watched:
        assert await until(lambda: watched.publisher.state == "waiting")
        assert any(word in watched.publisher.text for word in ("TLS", "broke", "closed", "reached"))


async def test_what_the_rights_of_the_broker_forbid_waits_and_the_rest_goes_on(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mosquitto 2.0.11 closes the connection after such a refusal; what it said must be understood all the same."""
    monkeypatch.setattr("edge.delivery.parked.PARK_S", 3.0)
    monkeypatch.setattr("edge.delivery.attempts.WAIT_EARLY_S", 1.0)
    acl = tmp_path / "rights"
    acl.write_text(f"topic read borderflow/#\ntopic write {ROOT}/+/vehicle\ntopic write {ROOT}/_/status\n")
    broker = Mosquitto(tmp_path, f"allow_anonymous true\nacl_file {acl}")
    broker.start()
    try:
        collector = CollectingClient(broker.port)
        async with publishing(journal, plain(broker)) as watched:
            made = await asyncio.to_thread(journal.append, [vehicle(), sighting(), vehicle(), sighting(), vehicle()])
            assert await until(lambda: len(collector.bodies("vehicle")) == 3)
            assert await until(lambda: "collector_refused" in watched.begun())
            assert f"refuses {ROOT}/C03/sighting: Not authorized (0x87)" in watched.text_of("collector_refused")
            assert await until(lambda: watched.publisher.backlog().messages == 2)  # they wait
            acl.write_text("topic readwrite #\n")
            broker.reload()
            assert await until(lambda: len(collector.bodies("sighting")) == 2)
            assert await until(lambda: watched.publisher.backlog().messages == 0)
        assert collector.seqs()[made[1].topic] == [1, 2]
        collector.close()
    finally:
        broker.kill()


async def test_another_client_of_the_same_name_is_not_fought(
    broker: Mosquitto, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mosquitto 2.0.11 closes the older connection without a reason; after a few of these one of the two gives way."""
    monkeypatch.setattr("edge.delivery.attempts.WAIT_FIRST_S", 0.1)
    monkeypatch.setattr("edge.delivery.attempts.WAIT_EARLY_S", 0.3)
    other = Journal(journal.path.with_name("other.db"), 10_000_000, time.time_ns)
    async with publishing(journal, plain(broker)) as first, publishing(other, plain(broker)) as second:
        assert await until(lambda: "duplicate_identity" in first.begun() + second.begun())
        gave_way = first if first.begun() else second
        stays = second if first.begun() else first
        assert "two computers use one certificate or name" in gave_way.text_of("duplicate_identity")
        assert await until(lambda: stays.publisher.state == "connected")
        before = first.publisher.counts.connections + second.publisher.counts.connections
        await asyncio.sleep(2.0)
        assert first.publisher.counts.connections + second.publisher.counts.connections == before
        assert stays.publisher.state == "connected"
    other.close()


async def test_replay_on_request(broker: Mosquitto, journal: Journal) -> None:
    collector = CollectingClient(broker.port)
    async with publishing(journal, plain(broker), share=("vehicle", "status")) as watched:
        made = await asyncio.to_thread(journal.append, [vehicle() for _ in range(300)])
        hidden = await asyncio.to_thread(journal.append, [sighting()])
        assert await until(lambda: len(collector.messages) == 301)
        before = len(collector.messages)

        async def ask(**request: object) -> None:
            await asyncio.to_thread(collector.publish, f"{ROOT}/_/replay", json.dumps(request).encode())

        await ask(topic=made[0].topic, epoch=journal.epoch, from_seq=40, to_seq=190)
        await ask(topic=hidden[0].topic, epoch=journal.epoch, from_seq=1, to_seq=1)  # not in its share
        await ask(topic=made[0].topic, epoch="another", from_seq=1, to_seq=10)

        def again() -> list[bytes]:
            return [m.payload for m in list(collector.messages)[before:] if m.topic.endswith("/vehicle")]

        assert await until(lambda: len(again()) == 151)
        assert again() == [entry.body for entry in made[39:190]]
        assert watched.publisher.counts.replayed == 151
        assert watched.publisher.counts.ignored == 1
        assert watched.publisher.backlog().messages == 0
    collector.close()
