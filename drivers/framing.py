"""The loop that all frame codecs share: hunt for a frame in a bounded buffer, count what is thrown away.

A codec derives from `FrameCodec` and says with `scan` what stands at the head of the buffer. Bytes and their time
come in through `feed`, records go out; there is no I/O and no clock. A run of garbage is a `Rejected` for every
`GARBAGE_BYTES` that it has begun, however it was cut into chunks: the result does not depend on the cutting, and a line
of pure garbage goes on being counted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from drivers.events import Rejected

Record = TypeVar("Record")

GARBAGE_BYTES = 64  # about what a frame would have held


@dataclass(frozen=True, slots=True)
class Frame(Generic[Record]):
    """`used` bytes at the head are a frame and mean `records`, which may be none."""

    used: int
    records: tuple[Record | Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    """`used` bytes at the head are no part of a valid frame. Without a reason they are padding: nothing is counted."""

    used: int
    reason: str = ""


class FrameCodec(ABC, Generic[Record]):
    """Cuts a byte stream into frames. `limit` bounds the buffer and must exceed the longest frame."""

    limit = 4096

    def __init__(self, device: str) -> None:
        self.device = device
        self._buffer = bytearray()
        self._taken = 0  # bytes of the stream before the buffer
        self._marks: deque[tuple[int, int]] = deque()  # (position in the stream, time_ns) where each chunk begins
        self._garbage = ""  # the reason of the run of garbage under way
        self._garbage_bytes = 0  # of it so far

    @abstractmethod
    def scan(self, buffer: bytearray, time_ns: int) -> Frame[Record] | Skip | None:
        """What stands at the head of the buffer (never empty); None asks for more bytes. Raises nothing.

        `time_ns` is when the first byte of the buffer was read.
        """

    def feed(self, data: bytes, time_ns: int) -> list[Record | Rejected]:
        """Take bytes that were read at `time_ns`; the records they complete, and what was rejected."""
        out: list[Record | Rejected] = []
        for start in range(0, len(data), self.limit):
            piece = data[start : start + self.limit]
            self._marks.append((self._taken + len(self._buffer), time_ns))
            self._buffer += piece
            self._hunt(out)
        return out

    def reset(self) -> None:
        """Forget a half-received frame, for example after the link was opened anew."""
        self._drop(len(self._buffer))
        self._end_garbage()

    def _hunt(self, out: list[Record | Rejected]) -> None:
        while self._buffer:
            time_ns = self._head_time_ns()
            step = self.scan(self._buffer, time_ns)
            if step is None:
                if len(self._buffer) < self.limit:
                    return
                step = Skip(1, "too_long")
            if isinstance(step, Skip):
                self._skip(step, out)
            else:
                self._end_garbage()
                out.extend(step.records)
            self._drop(step.used)

    def _skip(self, step: Skip, out: list[Record | Rejected]) -> None:
        if not step.reason:
            return  # padding
        self._garbage = self._garbage or step.reason
        before, self._garbage_bytes = self._garbage_bytes, self._garbage_bytes + step.used
        for byte in range(before + -before % GARBAGE_BYTES, self._garbage_bytes, GARBAGE_BYTES):
            out.append(Rejected(self.device, self._time_ns(self._taken + byte - before), self._garbage))

    def _end_garbage(self) -> None:
        self._garbage, self._garbage_bytes = "", 0

    def _time_ns(self, position: int) -> int:
        """When the byte at a position of the stream, which stands in the buffer, was read."""
        return next(time_ns for start, time_ns in reversed(self._marks) if start <= position)

    def _head_time_ns(self) -> int:
        while len(self._marks) > 1 and self._marks[1][0] <= self._taken:
            self._marks.popleft()
        return self._marks[0][1]

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._taken += count
