"""The set-up of deploy/national: three NATS nodes, two collectors, PostgreSQL; each is killed in turn under load."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
from centre_world import Centre, Computer, Database, kill_in_turn, load, until
from nats_cluster import DEPLOY, NATS, Balancer, Cluster
from postgres import BIN, Postgres
from samples import SOURCE

from edge.centre.nats_feed import DURABLE, STREAM

pytestmark = [
    pytest.mark.skipif(NATS is None or BIN is None, reason="needs nats-server and PostgreSQL"),
    pytest.mark.timeout(400),
]
SECONDS, EVERY_S = 50.0, 8.0


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


@pytest.fixture
def server() -> Iterator[Postgres]:
    made = Postgres()
    made.start()
    yield made
    made.remove()


def configuration(cluster: Cluster, database: str, directory: Path) -> Path:
    """collect.toml with the places of this test."""
    ca_file, cert_file, key_file = cluster.files("national-collector")
    text = (DEPLOY / "collect.toml").read_text()
    for pattern, value in (
        (r'into = ".*"', f'into = "{database}"'),
        (r'metrics = ".*"\n', ""),
        (r'ca_file = ".*"', f'ca_file = "{ca_file}"'),
        (r'cert_file = ".*"', f'cert_file = "{cert_file}"'),
        (r'key_file = ".*"', f'key_file = "{key_file}"'),
        *((rf"tls://node{n}:4222", f"tls://127.0.0.1:{port}") for n, port in enumerate(cluster.client_ports)),
    ):
        text, changed = re.subn(pattern, value, text)
        assert changed, pattern
    file = directory / "collect.toml"
    file.write_text(text)
    return file


async def replicas(cluster: Cluster) -> int:
    """On how many nodes the consumer of the collectors is."""
    ca_file, cert_file, key_file = cluster.files("national-collector")
    tls = ssl.create_default_context(cafile=ca_file)
    tls.load_cert_chain(cert_file, key_file)
    client = await nats.connect(f"tls://127.0.0.1:{cluster.client_ports[2]}", tls=tls)
    try:
        info = await client.jetstream().consumer_info(STREAM, DURABLE)
        assert info.cluster is not None
        return 1 + len(info.cluster.replicas or ())
    finally:
        await client.close()


async def test_a_node_a_collector_and_the_database_are_killed_in_turn(
    cluster: Cluster, server: Postgres, tmp_path: Path
) -> None:
    database = Database(server.new_database())
    config = configuration(cluster, database.url, tmp_path)
    centres = [Centre(tmp_path, name, ["--config", str(config)]) for name in ("one", "other")]
    async with Balancer(cluster.mqtt_ports) as balancer:
        ca_file, cert_file, key_file = cluster.files(SOURCE)
        url = f"mqtts://127.0.0.1:{balancer.port}"
        computer = Computer(tmp_path, SOURCE, url, protocol=4, ca_file=ca_file, cert_file=cert_file, key_file=key_file)
        for centre in centres:
            centre.start()
        computer.start()
        try:
            for centre in centres:
                assert await until(centre.connected, 60) is not None, centre.log.read_text()
            assert await replicas(cluster) == 3
            victims = [
                (lambda: cluster.kill(0), lambda: cluster.start(0)),
                (centres[0].kill, centres[0].start),
                (server.kill, server.start),
                (lambda: cluster.kill(1), lambda: cluster.start(1)),
                (centres[1].kill, centres[1].start),
            ]
            kills, _ = await asyncio.gather(kill_in_turn(victims, SECONDS, EVERY_S), load([computer], SECONDS, 40.0))
            assert kills >= 5
            for centre in centres:
                if not centre.is_alive():  # a start while the database was down: systemd would start it again
                    centre.start()
            made = await asyncio.to_thread(computer.holds)
            settled_s = await until(lambda: database.rows() >= len(made) and database.open_gaps() == 0, 120)
            have, rows = database.holds(), database.rows()
            made = await asyncio.to_thread(computer.holds)
            print(
                f"\n{kills} kills: in the journal {len(made)}, rows {rows}, lost {len(made.keys() - have.keys())}, "
                f"doubled {rows - len(have)}, whole {settled_s} s after the load ended; "
                f"gaps {database.ask('SELECT state, count(*) FROM gap GROUP BY 1')}"
            )
            assert settled_s is not None, centres[0].log.read_text() + centres[1].log.read_text()
            assert rows == len(have)
            assert made == have
            assert [centre.end() for centre in centres] == [0, 0]
        finally:
            for centre in centres:
                centre.kill()
            await computer.end()
