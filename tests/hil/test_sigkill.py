"""SIGKILL of the whole daemon at random moments, under load: what it ever stored arrives, once numbered, without a gap.

`make soak-kill` does it 200 times and prints how long it takes until the daemon publishes again.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from statistics import median

import pytest
from bench import Daemon, wait_for
from busy_reader import BusyReader, busy_configuration
from certificates import Authority
from collector import Collector
from mosquitto import Mosquitto

from edge.delivery.journal import Journal
from edge.messages import parse_utc

pytestmark = pytest.mark.long

ROUNDS = int(os.environ.get("BORDERFLOW_KILL_ROUNDS", "4"))
READS_PER_S = 50.0


@pytest.mark.hil
@pytest.mark.timeout(120 + 20 * ROUNDS)
def test_sigkill_at_random_moments_under_load(tmp_path: Path, authority: Authority, broker: Mosquitto) -> None:
    lane, centre = authority.issue("lane-1"), authority.issue("collector")
    readers = {point: BusyReader(READS_PER_S) for point in ("approach", "booth")}
    config = busy_configuration(
        tmp_path,
        readers,
        f'url = "mqtts://127.0.0.1:{broker.port}"\nca_file = "{authority.ca_file}"\n'
        f'cert_file = "{lane.cert_file}"\nkey_file = "{lane.key_file}"',
    )
    daemon = Daemon(config)
    noise = random.Random(20261124)
    dark_s: list[float] = []  # from SIGKILL to the first message at the collector that was made after it
    files = {"ca_file": str(authority.ca_file), "cert_file": str(centre.cert_file), "key_file": str(centre.key_file)}
    try:
        with Collector(broker.port, **files) as collector:
            daemon.start()
            wait_for("sightings", lambda: collector.of_kind("sighting"), 60)
            kills = 0
            while kills < ROUNDS:
                time.sleep(noise.uniform(0.0, 0.8))
                killed_s = time.time()
                daemon.kill()
                daemon.start()
                kills += 1
                if kills % 5 == 4:  # in the middle of its start, too
                    time.sleep(noise.uniform(0.0, 1.5))
                    killed_s = time.time()
                    daemon.kill()
                    daemon.start()
                    kills += 1
                wait_for("a message made after the kill", lambda since=killed_s: first_after(collector, since), 60)
                dark_s.append(first_after(collector, killed_s) - killed_s)
            for reader in readers.values():
                reader.close()
            # What was acknowledged in the last second of each life is sent again, behind live messages: let it drain.
            wait_for("nothing waits", lambda: backlog(collector) == 0, 120)
            for _ in range(20):
                if not collector.gaps():
                    break
                collector.ask_again()
                time.sleep(0.5)
            assert daemon.stop() == 0, daemon.log()
            wait_for("the last words", lambda: not collector.of_kind("status")[-1]["online"], 20)
    finally:
        for reader in readers.values():
            reader.close()
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()

    arrived = {message["id"] for message in collector.messages if message["seq"] > 0}
    assert not collector.gaps()
    assert len({message["epoch"] for message in collector.messages if message["seq"] > 0}) == 1
    places = {(message["topic"], message["seq"]) for message in collector.messages if message["seq"] > 0}
    assert len(places) == len(arrived)  # no number was given twice
    # In order within its topic, once repeats are removed; but the status of a connection goes before what waits, and
    # more than 500 that wait come behind what is new.
    waited = max(
        status["backlog"]["national"]["messages"] for status in collector.of_kind("status") if status["backlog"]
    )
    for topic in {topic for topic, _ in places if not topic.endswith("/status")} if waited <= 400 else ():
        seqs = [m["seq"] for m in collector.messages if m["topic"] == topic and m["seq"] > 0]
        assert seqs == sorted(seqs), topic
    alarms: list[str] = []
    path = tmp_path / "store" / "journal.db"
    journal = Journal(path, 1_000_000_000, time.time_ns, on_alarm=lambda *alarm: alarms.append(alarm[0]))
    stored = {
        entry.id
        for topic, (epoch, last, _) in journal.heads().items()
        for entry in journal.replay(topic, epoch, 1, last, limit=10_000_000)
    }
    journal.close()
    assert alarms == []
    assert len(stored) > 20 * ROUNDS
    assert stored == arrived
    dark_s.sort()
    print(
        f"\n{kills} times SIGKILL, {len(stored)} messages stored, {len(stored - arrived)} lost, "
        f"{collector.repeats} repeats; from SIGKILL to a new message at the collector: "
        f"median {median(dark_s):.2f} s, p99 {dark_s[len(dark_s) * 99 // 100]:.2f} s, at most {dark_s[-1]:.2f} s "
        f"(machine load {os.getloadavg()[0]:.1f})"
    )


def backlog(collector: Collector) -> int:
    """What the last status says that waits, but for that status itself and what was on its way with it."""
    return max(0, int(collector.of_kind("status")[-1]["backlog"]["national"]["messages"]) - 3)


def first_after(collector: Collector, since_s: float) -> float | None:
    """When the first message arrived that was made after `since_s`; last wills (seq 0) do not count."""
    recent = collector.messages[-200:]
    times = [collector.arrived[m["id"]] for m in recent if m["seq"] > 0 and parse_utc(m["time"]) / 1e9 > since_s + 1e-3]
    return min(times, default=None)
