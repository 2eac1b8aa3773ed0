"""Takes our own bytes out of what a line gives back: two-wire RS-485 and terminal servers with local echo. No I/O.

In come the bytes that were sent and those that came; `Link` (drivers/links.py) calls it once an echo was found. An echo
comes in the order of what was sent, perhaps cut into pieces, perhaps behind bytes of the device. One that does not come
within a second (a collision garbled it) is given up, so that nothing is held back for ever.
"""

from __future__ import annotations

_GIVEN_UP_S = 1.0
_MOST_OWED = 4096


class EchoFilter:
    """What the line still owes us of our own bytes. `held` is what came and may be the beginning of them."""

    def __init__(self) -> None:
        self._owed: list[bytes] = []  # messages sent, whose echo is to come
        self._since_s = 0.0
        self.held = b""

    def sent(self, data: bytes, now_s: float) -> None:
        """A message goes out."""
        if now_s - self._since_s > _GIVEN_UP_S or sum(map(len, self._owed)) > _MOST_OWED:
            self._owed.clear()
        self._owed.append(data)
        self._since_s = now_s

    def strip(self, data: bytes, now_s: float) -> bytes:
        """Bytes came: those of them that are the device's."""
        data = self.held + data
        self.held = b""
        if now_s - self._since_s > _GIVEN_UP_S:
            self._owed.clear()
        out = b""
        while self._owed:
            before, found, after = data.partition(self._owed[0])
            if found:
                out += before
                data = after
                del self._owed[0]
                continue
            size = _begun(data, self._owed[0])
            self.held = data[len(data) - size :]
            data = data[: len(data) - size]
            break
        return out + data

    def release(self) -> bytes:
        """Give up waiting for the rest of an echo: what was held back is the device's after all."""
        held, self.held = self.held, b""
        self._owed.clear()
        return held


def _begun(data: bytes, echo: bytes) -> int:
    """How many of the last bytes of `data` are the beginning of `echo`."""
    return next((n for n in range(min(len(data), len(echo) - 1), 0, -1) if echo.startswith(data[-n:])), 0)
