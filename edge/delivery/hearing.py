"""Whether what this computer publishes is heard, where the protocol does not say so. No I/O, no clock.

MQTT 5 answers a publish without the right to it with a code. In MQTT 3.1.1 there is none: mosquitto acknowledges such a
message and throws it away. So with 3.1.1 the computer listens to its own status: what comes back was taken. Called by
`edge.delivery.publisher`, which counts nothing as delivered while the answer is open.
"""

from __future__ import annotations

from typing import Literal

Verdict = Literal["by_code", "proven", "not_proven", "unheard"]

WITHIN_S = 15.0  # a status that did not come back after this is not heard
NO_READER_S, NO_READER_COUNT = 60.0, 3  # so long and so many messages without a reader are worth a word


class Hearing:
    """One connection. `verdict` is None while it is open; `why` says what stands against a proof."""

    def __init__(self, *, by_code: bool = True) -> None:
        self.verdict: Verdict | None = "by_code" if by_code else None
        self.why = ""
        self._wanted: bytes | None = None
        self._since_s = 0.0

    @property
    def counts(self) -> bool:
        """Whether an acknowledgement is worth what it says."""
        return self.verdict is not None and self.verdict != "unheard"

    def said(self, body: bytes, now_s: float) -> None:
        """This status went out and should come back."""
        if self.verdict in (None, "proven") and self._wanted is None:
            self._wanted, self._since_s = body, now_s

    def came(self, body: bytes) -> bool:
        """A status came back; true where it was the one that was waited for."""
        if body != self._wanted:
            return False
        self._wanted = None
        self.verdict = "proven"
        return True

    def is_overdue(self, now_s: float) -> bool:
        return self._wanted is not None and now_s - self._since_s > WITHIN_S

    def cannot_be_proven(self, why: str) -> None:
        """Nothing will come back, for a reason that says nothing of what was sent."""
        if self.verdict != "by_code":
            self.verdict, self.why, self._wanted = "not_proven", why, None


class Readers:
    """Whether somebody reads. A broker that answers every message with "no matching subscribers" (0x10, MQTT 5) has
    forgotten all of them.
    """

    def __init__(self) -> None:
        self._nobody_since: float | None = None  # monotonic time since which no message found a reader
        self._count = 0

    def took(self, *, nobody: bool, now_s: float) -> bool | None:
        """Whether there are readers, after one more message; None where it is too early to say."""
        if not nobody:
            self._nobody_since, self._count = None, 0
            return True
        self._count += 1
        if self._nobody_since is None:
            self._nobody_since = now_s
        return False if self._count >= NO_READER_COUNT and now_s - self._nobody_since >= NO_READER_S else None
