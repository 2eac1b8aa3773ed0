"""One end of a lane between two points: which of its readers work, and whether its loop does.

In: complete passages; out: readers found dead, and the share of vehicles that is seen at all. Called by
`edge.waiting.segment`.
"""

from __future__ import annotations

from collections import deque

from edge import core
from edge.waiting.alive import Alive
from edge.waiting.evidence import KINDS, Entry
from edge.waiting.passages import Passage

_RECENT = 64  # passages of a lane of which it may turn out that their reader was dead already
_MEMORY = 200.0


class End:
    """What one lane has at one point."""

    def __init__(self) -> None:
        self.readers = (Alive(), Alive(), Alive())
        self.loop = Alive()
        self.dead = sum(KINDS)  # bits of the readers that do not work, as far as is known
        self.read_share = 0.0  # of the vehicles that the loop counts, those of which an identity is read
        self.recent: deque[Entry] = deque(maxlen=_RECENT)  # upstream, as far as they are complete
        self.fresh: deque[Entry] = deque()  # upstream, not complete yet
        self.gap = False  # nothing was seen here while vehicles came: so it is not known who is before the next one
        self._n = 0.0

    def note(self, passage: Passage) -> tuple[list[tuple[int, int]], bool]:
        """A complete passage. Readers found dead by it, as (bit, passages missed), and whether the loop has changed."""
        died: list[tuple[int, int]] = []
        mask, dead = passage.mask, self.dead
        for bit, reader in zip(KINDS, self.readers, strict=True):
            if mask & bit or not dead & bit:
                if reader.note(bool(mask & bit)):
                    self.dead = self.dead & ~bit if reader.works else self.dead | bit
                    if not reader.works:
                        died.append((bit, reader.misses))
            else:
                reader.misses += 1  # it is dead, and goes on being so
        if passage.looped:
            self._n = min(_MEMORY, self._n + 1.0)
            self.read_share += ((1.0 if mask else 0.0) - self.read_share) / self._n
        return died, self.loop.note(passage.looped)

    @property
    def seen(self) -> float:
        """Share of the vehicles that make a passage here."""
        return 1.0 if self.loop.works or self._n == 0.0 else min(0.98, max(0.02, self.read_share))

    @property
    def unknown(self) -> int:
        """Bits, as the core takes them, of what no reader looked for."""
        return self.dead << core.DEAD_SHIFT
