"""A process that appends as fast as it can and says what is durable; a test kills it. Arguments: journal, collector."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from samples import mixed

from edge.delivery.journal import Journal


def main() -> None:
    journal = Journal(Path(sys.argv[1]), 50_000_000, time.time_ns)
    journal.register(sys.argv[2], ("vehicle", "sighting", "flow"))
    noise = random.Random(sys.argv[3])
    while True:
        for entry in journal.append(mixed(noise.randint(1, 30))):
            sys.stdout.write(f"made {entry.id} {entry.topic} {entry.seq}\n")
        sys.stdout.flush()
        for entry in journal.next(sys.argv[2], noise.randint(0, 20)):
            sys.stdout.write(f"acknowledged {entry.id}\n")
            sys.stdout.flush()  # the broker has it before the cursor moves
            journal.acknowledge(sys.argv[2], entry)
        if noise.random() < 0.2:
            journal.flush()


main()
