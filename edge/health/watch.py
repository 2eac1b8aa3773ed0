"""What all watches have in common: asked at a time, they give the args of a condition that holds, or None.

A watch holds until good data came: that nothing bad is heard any more says nothing, the device may have died. It may
come and go: edge/alarms/__init__.py makes one alarm of that.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from edge.messages import Args, Severity

SECOND_NS = 1_000_000_000


class Latch:
    """Bad until something good comes, but for one look at least: both may come between two looks."""

    def __init__(self) -> None:
        self.bad = self._unseen = False

    def note(self, bad: bool) -> None:
        """Something bad came, or something good."""
        self.bad = bad
        self._unseen = self._unseen or bad

    def look(self) -> bool:
        """Whether it is bad, or was since the last look."""
        seen, self._unseen = self.bad or self._unseen, False
        return seen


class Watch(Protocol):
    """`code` is that of the alarm; `judge` says where it is and what to do, as args of its text."""

    code: ClassVar[str]
    severity: ClassVar[Severity]

    def judge(self, now_ns: int) -> Args | None: ...
