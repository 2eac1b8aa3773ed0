"""The publisher and a real mosquitto over a line that loses packets, is slow, or goes silent: real TCP, usual times."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bad_network import BadNetwork, reason_for_none
from certificates import Authority
from collecting import CollectingClient, wait_until
from mosquitto import MOSQUITTO, Mosquitto
from samples import SOURCE, mixed, status, vehicle

from edge.config import Collector
from edge.delivery.entry import Entry
from edge.delivery.journal import Journal
from edge.delivery.publisher import Publisher
from edge.messages import KINDS

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(240),
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
]
PROTOCOLS = pytest.mark.parametrize("protocol", [5, 4])


@pytest.fixture
def network() -> Iterator[BadNetwork]:
    why_not = reason_for_none()
    if why_not is not None:
        pytest.skip(why_not)
    with BadNetwork() as made:
        yield made


@pytest.fixture
def far_broker(network: BadNetwork, tmp_path: Path, authority: Authority) -> Iterator[Mosquitto]:
    """With mutual TLS on the port over the bad way, and a plain listener for the collector."""
    server = authority.issue("far", address=network.bad)
    made = Mosquitto(tmp_path, within=network.inside, address=network.good)
    made.configure(
        f"per_listener_settings true\nlistener {made.port} {network.good}\nallow_anonymous true\n"
        f"listener {made.port} {network.bad}\ncafile {authority.ca_file}\ncertfile {server.cert_file}\n"
        f"keyfile {server.key_file}\nrequire_certificate true\nuse_identity_as_username true\n"
        "max_queued_messages 0\n"
    )
    made.start()
    yield made
    made.kill()


class Site:
    """A publisher on the bad way, and a collector on the good one."""

    def __init__(self, journal: Journal, network: BadNetwork, broker: Mosquitto, authority: Authority, protocol: int):
        mine = authority.issue(SOURCE)
        self.alarms: list[tuple[str, str, str]] = []
        self.collector = CollectingClient(broker.port, host=network.good)
        self.publisher = Publisher(
            Collector(
                name="far",
                url=f"mqtts://{network.bad}:{broker.port}",
                protocol=protocol,  # type: ignore[arg-type]
                ca_file=str(authority.ca_file),
                cert_file=str(mine.cert_file),
                key_file=str(mine.key_file),
                share=tuple(KINDS),
            ),
            journal,
            status,
            lambda name, code, state, severity, text: self.alarms.append((code, state, text)),
        )

    async def __aenter__(self) -> Site:
        self._task = asyncio.create_task(self.publisher.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.collector.close()

    async def until(self, condition: Callable[[], bool], within_s: float) -> None:
        assert await asyncio.to_thread(wait_until, condition, within_s), (self.publisher.text, self.alarms)

    def has(self, made: list[Entry]) -> bool:
        return {entry.body for entry in made} <= {message.payload for message in list(self.collector.messages)}

    def all_in_order(self) -> None:
        for topic, seqs in self.collector.seqs().items():
            assert seqs == list(range(1, len(seqs) + 1)), topic


@PROTOCOLS
@pytest.mark.parametrize(
    ("loss", "delay_s", "count"), [(0.3, 0.02, 300), (0.0, 2.0, 40)], ids=["30 % lost", "2 s late"]
)
async def test_a_bad_line_loses_nothing(
    journal: Journal, network: BadNetwork, far_broker: Mosquitto, authority: Authority,
    loss: float, delay_s: float, count: int, protocol: int,
) -> None:  # fmt: skip
    network.loss, network.delay_s = loss, delay_s
    async with Site(journal, network, far_broker, authority, protocol) as site:
        made = await asyncio.to_thread(journal.append, mixed(count))
        await site.until(lambda: site.publisher.backlog().messages == 0, 200)
        await site.until(lambda: site.has(made), 5)
        site.all_in_order()
        assert (network.lost > 0) is (loss > 0)


@PROTOCOLS
@pytest.mark.parametrize("under_way", [False, True], ids=["idle", "under load"])
async def test_a_line_that_goes_silent_is_given_up_within_20_s_and_taken_up_again(
    journal: Journal, network: BadNetwork, far_broker: Mosquitto, authority: Authority, under_way: bool, protocol: int
) -> None:
    """Half-open: no packet says that it ended. Then 30 s of darkness, and all comes, the newest soon."""
    async with Site(journal, network, far_broker, authority, protocol) as site:
        await site.until(lambda: site.publisher.counts.delivered > 0, 20)
        await asyncio.sleep(2.0)
        network.cut = True
        cut_at = time.monotonic()
        made = []
        if under_way:
            made = await asyncio.to_thread(journal.append, mixed(40))
        await site.until(lambda: site.publisher.state != "connected", 21)
        found_s = time.monotonic() - cut_at
        assert found_s <= 20.5
        await site.until(lambda: ("collector_unreachable", "begin") in [alarm[:2] for alarm in site.alarms], 30)
        made += await asyncio.to_thread(journal.append, mixed(40))
        network.cut = False
        await site.until(lambda: site.publisher.backlog().messages == 0, 40)
        await site.until(lambda: site.has(made), 5)
        site.all_in_order()
        await site.until(lambda: site.alarms[-1][:2] == ("collector_unreachable", "end"), 10)


async def test_a_plug_that_is_pulled(
    journal: Journal, network: BadNetwork, far_broker: Mosquitto, authority: Authority
) -> None:
    async with Site(journal, network, far_broker, authority, 5) as site:
        await site.until(lambda: site.publisher.counts.delivered > 0, 20)
        await asyncio.to_thread(network.plug, connected=False)
        made = await asyncio.to_thread(journal.append, [vehicle() for _ in range(600)])
        await site.until(lambda: "collector_unreachable" in [alarm[0] for alarm in site.alarms], 60)
        await asyncio.to_thread(network.plug, connected=True)
        (live,) = await asyncio.to_thread(journal.append, [vehicle()])
        await site.until(lambda: site.publisher.backlog().messages == 0, 90)
        await site.until(lambda: site.has([*made, live]), 5)
        numbers = [json.loads(m.payload)["seq"] for m in site.collector.messages if m.topic == live.topic]
        assert sorted(numbers) == list(range(1, 602))
