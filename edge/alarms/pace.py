"""When the next `status` is due: at once where an alarm began or ended, soon where a device changed, else now and then.

In: the time at each tick of the daemon, and what has changed; out: whether to publish. A device that comes and goes
must not fill a metered link.
"""

from __future__ import annotations

EVERY_S = 30.0
_SETTLE_S = 1.0  # after a device changed others may follow, as at a start: one status tells of them all
_BURST = 2.0  # changes of devices that are told at once; then one in so long
_REFILL_S = 15.0


class StatusPace:
    """Called by the daemon alone."""

    def __init__(self) -> None:
        self._published_s: float | None = None
        self._alarm_changes = 0
        self._changed_s: float | None = None
        self._room, self._looked_s = _BURST, 0.0

    def due(self, now_s: float, *, alarm_changes: int, devices_changed: bool) -> bool:
        """Whether a status is to be published now, `now_s` on a monotonic clock; it counts as published then.

        `alarm_changes`: how many alarms began or ended so far; `devices_changed`: since the last status.
        """
        self._room = min(_BURST, self._room + (now_s - self._looked_s) / _REFILL_S)
        self._looked_s = now_s
        if not devices_changed:
            self._changed_s = None
        elif self._changed_s is None:
            self._changed_s = now_s
        settled = self._changed_s is not None and now_s - self._changed_s >= _SETTLE_S
        overdue = self._published_s is None or now_s - self._published_s >= EVERY_S
        if not (overdue or alarm_changes != self._alarm_changes or (settled and self._room >= 1.0)):
            return False
        self._changed_s = None
        self._published_s, self._alarm_changes = now_s, alarm_changes
        self._room = max(0.0, self._room - 1.0)
        return True
