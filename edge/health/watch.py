"""What all watches have in common: asked at a time, they give the text of a condition that holds, or None."""

from __future__ import annotations

from typing import ClassVar, Protocol

from edge.messages import Severity

SECOND_NS = 1_000_000_000


class Watch(Protocol):
    """`code` is that of the alarm; `judge` says where it is and what to do, for a person at 3 a.m."""

    code: ClassVar[str]
    severity: ClassVar[Severity]

    def judge(self, now_ns: int) -> str | None: ...
