"""A NATS cluster of three nodes with JetStream and MQTT: a node is killed under load, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from national import National, until
from nats_cluster import NATS, Balancer, Cluster
from samples import SOURCE, mixed, status

from edge.config import Collector
from edge.delivery.journal import Journal
from edge.delivery.publisher import Publisher

pytestmark = [pytest.mark.skipif(NATS is None, reason="nats-server is not installed"), pytest.mark.timeout(170)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    for node in range(3):
        made.start(node)
    try:
        made.wait_for_leader()
        yield made
    finally:
        for node in range(3):
            made.kill(node)


async def test_a_node_is_killed_under_load(cluster: Cluster, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", 100_000_000, time.time_ns)
    national = National(cluster.mqtt_ports[2], cluster.files("national-collector"))
    async with Balancer(cluster.mqtt_ports) as balancer:
        ca_file, cert_file, key_file = cluster.files(SOURCE)
        collector = Collector(
            name="national", url=f"mqtts://127.0.0.1:{balancer.port}", protocol=4,
            ca_file=ca_file, cert_file=cert_file, key_file=key_file,
            share=("vehicle", "sighting", "flow", "status"),
        )  # fmt: skip
        publisher = Publisher(collector, journal, status)
        task = asyncio.create_task(publisher.run())
        try:
            assert await until(lambda: publisher.counts.delivered > 0, 40), publisher.text
            made: list[bytes] = []
            for second in range(8):
                made += [entry.body for entry in await asyncio.to_thread(journal.append, mixed(40))]
                if second == 3:
                    cluster.kill(0)
                await asyncio.sleep(0.5)
            assert await until(lambda: publisher.backlog().messages == 0, 60), publisher.text
            assert publisher.counts.connections >= 2
            await national.get_all(made)
        finally:
            await publisher.stop()
            await task
    national.close()
    journal.close()
