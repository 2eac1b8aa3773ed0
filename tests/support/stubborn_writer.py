"""A process that appends and tries again what the journal refuses. Argument: journal. Ends when its input ends."""

from __future__ import annotations

import select
import sys
import time
from pathlib import Path

from samples import mixed

from edge.delivery.entry import JournalError
from edge.delivery.journal import Journal


def main() -> None:
    journal = Journal(Path(sys.argv[1]), 50_000_000, time.time_ns)
    journal.register("national", ("vehicle", "sighting", "flow"))
    size = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        size = size % 20 + 1
        messages = mixed(size)
        while True:
            try:
                entries = journal.append(messages)
                break
            except JournalError as error:
                print(f"refused {error}", flush=True)
                time.sleep(0.02)
        print("".join(f"made {entry.id} {entry.topic} {entry.seq}\n" for entry in entries), end="", flush=True)
        for entry in journal.next("national", 10):
            journal.acknowledge("national", entry)
        time.sleep(0.001)
    journal.close()


main()
