"""What parts of this process say of their own troubles: texts in, conditions of alarms out.

The journal, the outbox, the publishers and the site exchange call; `set_alarm` is the daemon's. What comes from other
threads waits until the clock's task takes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from edge.alarms import Condition
from edge.delivery.sealing import Sealer
from edge.messages import Args, Severity

SetAlarm = Callable[[Condition, bool, Severity, Args], None]


class Troubles:
    """One door for each part that may be in trouble."""

    def __init__(self, set_alarm: SetAlarm) -> None:
        self._set = set_alarm
        self._later: deque[tuple[Condition, bool, Severity, Args]] = deque()

    def take(self) -> None:
        """What came from other threads, or before there were alarms."""
        while self._later:
            self._set(*self._later.popleft())

    def of_outbox(self, code: str, holds: bool, text: str) -> None:
        self._set(Condition(code), holds, "critical", _said(holds, text))

    def of_collector(self, collector: str, code: str, state: str, severity: Severity, text: str) -> None:
        self._of_link(Condition(code, collector), {"collector": collector}, state, severity, text)

    def of_broker(self, url: str, code: str, state: str, severity: Severity, text: str) -> None:
        """The site's own, of the site exchange."""
        self._of_link(Condition(code, "site_exchange"), {"broker": url}, state, severity, text)

    def of_journal(self, code: str, state: str, severity: Severity, text: str) -> None:
        """Comes from the thread that writes."""
        self._later.append((Condition(code), state == "begin", severity, _said(state == "begin", text)))

    def _of_link(self, condition: Condition, other: Args, state: str, severity: Severity, text: str) -> None:
        begins = state == "begin"
        self._set(condition, begins, severity, {**other, **_said(begins, text)})

    def disclosed(self, sealers: Mapping[str, Sealer]) -> None:
        """No trouble, but told to everybody: an authority gets plates and tags."""
        for collector, sealer in sealers.items():
            said: Args = {"collector": collector, "key": sealer.key_id}
            self._later.append((Condition("identifiers_disclosed", collector), True, "info", said))


def _said(begins: bool, text: str) -> Args:
    """What somebody says of a trouble, or of its end."""
    return {"reason" if begins else "ended": text}
