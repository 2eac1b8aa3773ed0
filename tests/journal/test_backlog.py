"""A backlog of a week drains while live traffic goes on: all of it arrives, in order, and nothing new waits for it.

BORDERFLOW_BACKLOG=1000000 for a whole week; memory does not grow with it.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from collecting import CollectingClient
from mosquitto import MOSQUITTO, Mosquitto
from samples import mixed, status, vehicle
from seq_counter import SeqCounter

from edge.config import Collector
from edge.delivery.journal import Journal
from edge.delivery.publisher import Publisher
from edge.messages import KINDS

BACKLOG = int(os.environ.get("BORDERFLOW_BACKLOG", "100000"))
LATE_S = 5.0


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Without a log of each packet and without a file of its own."""
    made = Mosquitto(tmp_path, persistent=False)
    made.quiet()
    made.start()
    yield made
    made.kill()


@pytest.mark.long
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
@pytest.mark.timeout(240 + BACKLOG // 250)
async def test_a_backlog_drains_behind_live_traffic(broker: Mosquitto, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", 20_000_000_000, time.time_ns)
    journal.register("national", tuple(KINDS))
    batch = mixed(1000)
    for _ in range(BACKLOG // 1000):
        await asyncio.to_thread(journal.append, batch)
    url = f"mqtt://127.0.0.1:{broker.port}"
    publisher = Publisher(Collector(name="national", url=url, share=tuple(KINDS)), journal, status)
    before_mb = most_mb = resident_mb()
    live = CollectingClient(broker.port, topic="borderflow/v1/+/+/+/C09/vehicle")
    with SeqCounter(broker.port) as everything:
        task = asyncio.create_task(publisher.run())
        began_s = time.monotonic()
        made: dict[bytes, float] = {}
        late: dict[bytes, float] = {}
        while publisher.backlog().messages or len(late) < len(made):
            (entry,) = await asyncio.to_thread(journal.append, [vehicle("C09")])
            made[entry.body] = time.monotonic()
            await asyncio.sleep(0.2)
            for message in list(live.messages)[len(late) :]:
                late[message.payload] = time.monotonic() - made[message.payload]
            most_mb = max(most_mb, resident_mb())
        took_s = time.monotonic() - began_s
        seqs = everything.finish(60 + BACKLOG / 1000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    live.close()
    counted = {topic: last for topic, (_, last, _) in journal.heads().items()}
    journal.close()
    assert {topic: found.different for topic, found in seqs.items()} == counted
    print(
        f"\n{BACKLOG} messages in {took_s:.0f} s with a subscriber beside, {len(made)} live ones, "
        f"the latest after {max(late.values()):.2f} s; {before_mb:.0f} MB before, at most {most_mb:.0f} MB"
    )
    assert max(late.values()) < LATE_S
    assert all(found.late_first == 0 for found in seqs.values())  # in order, once repeats are removed
    assert most_mb - before_mb < 60.0
