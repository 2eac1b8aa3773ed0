"""Whether a reader or a loop of one lane at one point still works, judged by the vehicles that pass it.

In: for each passage whether the reader saw it. Out: `works`. A reader that sees nine of ten vehicles is thought dead
after three or four misses in a row, one that sees one of ten after some forty; it works again with the first reading.
That something was not read then says nothing of the vehicle. Called by `edge.waiting.ends`.
"""

from __future__ import annotations

_HAZARD = 0.003  # chance that it dies at a passage
_MEMORY = 60.0  # passages


class Alive:
    """`share` is the share of passages that it sees while it works; `misses` in a row."""

    __slots__ = ("_n", "_odds", "misses", "share", "works")

    def __init__(self) -> None:
        self.works = False  # nobody has seen it work yet
        self.share = 0.5
        self.misses = 0
        self._odds = 0.0  # that it is dead
        self._n = 2.0

    def note(self, seen: bool) -> bool:
        """One more passage; True when `works` has changed by it."""
        before = self.works
        if seen:
            if before:
                self._learn(True, self.misses)
            self.works, self.misses, self._odds = True, 0, 0.0
            return not before
        self.misses += 1
        if before:
            self._odds = (self._odds + _HAZARD) / max(0.02, 1.0 - self.share)
            self.works = self._odds < 1.0
        return before and not self.works

    def _learn(self, seen: bool, misses: int) -> None:
        """Misses count once a reading has shown that it was alive meanwhile."""
        self._n = min(_MEMORY, self._n + 1.0 + misses)
        self.share += ((1.0 if seen else 0.0) - self.share * (1.0 + misses)) / self._n
        self.share = min(0.999, max(0.002, self.share))
