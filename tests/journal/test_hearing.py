"""What a broker acknowledges and nobody has: MQTT 3.1.1 without rights, no readers, no right to hear requests."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path

import pytest
from collecting import CollectingClient
from fault_broker import Fault, FaultBroker
from mosquitto import MOSQUITTO, Mosquitto
from publishing import publishing, until
from samples import ROOT, mixed, status, vehicle

from edge.delivery.hearing import Hearing
from edge.delivery.journal import Journal

pytestmark = pytest.mark.usefixtures("_short_times")


@pytest.fixture
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("edge.delivery.hearing.WITHIN_S", 0.8),
        ("edge.delivery.publisher.SETTLED_S", 0.2),
        ("edge.delivery.hearing.NO_READER_S", 0.3),
        ("edge.delivery.attempts.LONG_WAIT_S", {"unheard": 0.5}),
    ):
        monkeypatch.setattr(name, value)


class Plain:
    """A mosquitto where anybody may enter, with these rights."""

    def __init__(self, directory: Path, rights: str, most_queued: int = 1000) -> None:
        if MOSQUITTO is None:
            pytest.skip("mosquitto is not installed")
        self.acl = directory / "rights"
        self.acl.write_text(rights)
        self.broker = Mosquitto(directory, f"allow_anonymous true\nacl_file {self.acl}", most_queued=most_queued)
        self.port = self.broker.port

    def __enter__(self) -> Plain:
        self.broker.start()
        return self

    def __exit__(self, *rest: object) -> None:
        self.broker.kill()


@pytest.mark.parametrize(
    "rights", ["topic read borderflow/#\n", "topic readwrite elsewhere/#\n"], ids=["may read only", "may nothing"]
)
async def test_what_mosquitto_throws_away_in_silence_is_not_delivered(
    tmp_path: Path, journal: Journal, rights: str
) -> None:
    """It answers PUBACK: nothing counts, all stays; once the rights are mended everything goes, and the alarm ends."""
    with Plain(tmp_path, rights) as there:
        async with publishing(journal, there, protocol=4) as running:
            made = await asyncio.to_thread(journal.append, mixed(40))
            assert await until(lambda: running.text_of("collector_unheard") != "")
            text = running.text_of("collector_unheard")
            assert f"{ROOT}/_/status" in text
            assert "rights" in text
            assert running.publisher.counts.delivered == 0
            assert running.publisher.backlog().messages >= len(made)
            there.acl.write_text("topic readwrite #\n")
            there.broker.reload()
            assert await until(lambda: running.publisher.backlog().messages == 0, 20)
            assert running.publisher.state_of_link().heard == "proven"
            assert await until(lambda: ("collector_unheard", "end") in [alarm[:2] for alarm in running.alarms])


async def test_a_right_that_is_withdrawn_is_noticed_with_the_next_status(tmp_path: Path, journal: Journal) -> None:
    with Plain(tmp_path, "topic readwrite #\n") as there:
        async with publishing(journal, there, protocol=4) as running:
            await asyncio.to_thread(journal.append, mixed(8))
            assert await until(lambda: running.publisher.backlog().messages == 0)
            there.acl.write_text("topic read #\n")
            there.broker.reload()
            await asyncio.sleep(0.3)
            await asyncio.to_thread(journal.append, [status(True)])
            assert await until(lambda: running.text_of("collector_unheard") != "")
            before = running.publisher.counts.delivered
            await asyncio.to_thread(journal.append, mixed(8))
            await asyncio.sleep(1.0)
            assert running.publisher.counts.delivered == before
            assert running.publisher.backlog().messages >= 8


async def test_a_broker_that_closes_after_throwing_away_is_not_taken_for_a_double(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mosquitto 2.0.11 with `max_queued_messages 0` acknowledges what it denies, and ends the connection."""
    monkeypatch.setattr("edge.delivery.attempts.WAIT_FIRST_S", 0.1)
    monkeypatch.setattr("edge.delivery.attempts.WAIT_EARLY_S", 0.2)
    with Plain(tmp_path, "topic read borderflow/#\n", most_queued=0) as there:
        async with publishing(journal, there, protocol=4) as running:
            await asyncio.to_thread(journal.append, mixed(8))
            assert await until(lambda: running.text_of("collector_unheard") != "", 20)
            assert running.text_of("duplicate_identity") == ""
            assert running.publisher.counts.delivered == 0


async def test_a_collector_that_lets_nothing_be_read_is_not_proven_and_says_so(
    tmp_path: Path, journal: Journal
) -> None:
    """mosquitto grants the subscription and sends nothing; that it takes the message is asked in MQTT 5."""
    with Plain(tmp_path, "topic write borderflow/#\n") as there:
        async with publishing(journal, there, protocol=4) as running:
            await asyncio.to_thread(journal.append, mixed(40))
            assert await until(lambda: running.publisher.backlog().messages == 0)
            link = running.publisher.state_of_link()
            assert link.heard == "not_proven"
            assert "does not come back" in link.text
            assert running.alarms == []


@pytest.mark.parametrize(("protocol", "heard"), [(4, "proven"), (5, "by_code")])
async def test_a_broker_with_the_rights_as_documented_raises_nothing(
    broker: Mosquitto, journal: Journal, protocol: int, heard: str
) -> None:
    collector = CollectingClient(broker.port)
    async with publishing(journal, broker, protocol=protocol) as running:
        for _ in range(5):  # statuses of a running computer come back too
            await asyncio.to_thread(journal.append, [*mixed(10), status(True)])
            await asyncio.sleep(0.3)
        assert await until(lambda: running.publisher.backlog().messages == 0)
        link = running.publisher.state_of_link()
        assert (link.state, link.heard, link.replay, link.text) == ("connected", heard, True, "")
        assert running.alarms == []
    collector.close()


async def test_without_mqtt_5_to_ask_silence_is_not_taken_for_delivery(journal: Journal) -> None:
    fault = Fault(only_mqtt_3=True, deaf_reader=True)
    async with FaultBroker(fault) as broker, publishing(journal, broker, protocol=4) as running:
        journal.append(mixed(8))
        assert await until(lambda: running.text_of("collector_unheard") != "")
        assert running.publisher.counts.delivered == 0
        assert max(len(connection.publishes) for connection in broker.connections) <= 20


async def test_a_refused_subscription_to_the_own_status_is_not_proven(journal: Journal) -> None:
    async with (
        FaultBroker(Fault(deny_read="/status")) as broker,
        publishing(journal, broker, protocol=4) as running,
    ):
        journal.append(mixed(8))
        assert await until(lambda: running.publisher.backlog().messages == 0)
        assert running.publisher.state_of_link().heard == "not_proven"
        assert running.alarms == []


async def test_a_share_without_status_cannot_be_proven(journal: Journal) -> None:
    async with FaultBroker() as broker, publishing(journal, broker, protocol=4, share=("vehicle",)) as running:
        journal.append([vehicle()])
        assert await until(lambda: running.publisher.backlog().messages == 0)
        assert running.publisher.state_of_link().heard == "not_proven"


@pytest.mark.parametrize("protocol", [5, 4])
async def test_a_broker_that_denies_requests_for_replay_is_told(journal: Journal, protocol: int) -> None:
    async with (
        FaultBroker(Fault(deny_read="/replay", close_after=4), Fault()) as broker,
        publishing(journal, broker, protocol=protocol) as running,
    ):
        assert await until(lambda: f"{ROOT}/_/replay" in running.text_of("collector_no_replay"))
        assert running.publisher.state_of_link().replay is False
        assert ("collector_no_replay", "end") not in [alarm[:2] for alarm in running.alarms]
        journal.append(mixed(8))  # it goes on all the same
        assert await until(lambda: running.publisher.backlog().messages == 0)
        assert await until(lambda: ("collector_no_replay", "end") in [alarm[:2] for alarm in running.alarms])


async def test_a_broker_without_any_reader_leaves_a_word(journal: Journal) -> None:
    nobody = [True]
    async with (
        FaultBroker(Fault(puback=lambda n, topic: 0x10 if nobody[0] else 0)) as broker,
        publishing(journal, broker, share=("vehicle",)) as running,
    ):
        for _ in range(6):
            await asyncio.to_thread(journal.append, [vehicle()])
            await asyncio.sleep(0.1)
        assert await until(lambda: "0x10" in running.text_of("collector_no_reader"))
        assert running.publisher.backlog().messages == 0  # the broker has taken them
        nobody[0] = False
        await asyncio.to_thread(journal.append, [vehicle()])
        assert await until(lambda: ("collector_no_reader", "end") in [alarm[:2] for alarm in running.alarms])


async def test_a_reader_that_is_there_now_and_then_is_no_alarm(journal: Journal) -> None:
    async with (
        FaultBroker(Fault(puback=lambda n, topic: 0 if n % 3 == 0 else 0x10)) as broker,
        publishing(journal, broker, share=("vehicle",)) as running,
    ):
        for _ in range(9):
            await asyncio.to_thread(journal.append, [vehicle()])
            await asyncio.sleep(0.05)
        assert await until(lambda: running.publisher.backlog().messages == 0)
        assert running.alarms == []


def test_only_the_status_that_was_sent_proves_anything() -> None:
    hearing = Hearing(by_code=False)
    assert not hearing.counts
    hearing.said(b"mine", 0.0)
    assert not hearing.came(b"an older one, retained")
    assert not hearing.counts
    assert not hearing.is_overdue(0.5)
    assert hearing.is_overdue(1000.0)
    assert hearing.came(b"mine")
    assert hearing.counts
    assert not hearing.is_overdue(1000.0)


async def test_an_unreachable_collector_is_logged_at_growing_intervals(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With attempts every few hundredths of a second for as long as 60 x the first interval: a handful of lines."""
    monkeypatch.setattr("edge.delivery.attempts.WAIT_FIRST_S", 0.01)
    monkeypatch.setattr("edge.delivery.attempts.WAIT_EARLY_S", 0.02)
    monkeypatch.setattr("edge.delivery.attempts._LOG_AGAIN_S", 0.05)
    with caplog.at_level(logging.WARNING, "collector"):
        async with FaultBroker(Fault(cut_connect=True)) as broker, publishing(journal, broker, protocol=4):
            assert await until(lambda: broker.attempts > 60, 20)
            attempts = broker.attempts
    lines = [record.getMessage() for record in caplog.records if "next attempt" in record.getMessage()]
    assert 2 <= len(lines) <= 10
    assert "before it answered CONNECT" in lines[0]
    unsaid = [int(count) for line in lines for count in re.findall(r"\((\d+) attempts since", line)]
    told = sum(unsaid) + len(lines)
    assert told <= attempts + 1
