"""Conditions that begin and end: each becomes one `alarm` message, and one line of the log, when it begins and when it
ends.

Called by the crossing and the daemon, for everything that can be at fault on this computer. A condition begins at once;
it ends when it has been in order for `HEALTHY_NS`, so that trouble that comes and goes stays one alarm.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from msgspec import UNSET

from edge.alarms.codes import ALARM_CODES
from edge.alarms.texts import text_of
from edge.messages import ActiveAlarm, Alarm, Args, Severity, Site, parse_utc, utc_text

log = logging.getLogger("alarm")

HEALTHY_NS: Final = 30_000_000_000
_LEVELS: Final[dict[Severity, int]] = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.CRITICAL}


@dataclass(frozen=True, slots=True)
class Condition:
    """What makes a condition the same one: its code, the device or collector, the lane (`_`: all), the sensor."""

    code: str
    device: str | None = None
    lane: str = "_"
    sensor: str | None = None

    def __post_init__(self) -> None:
        if self.code not in ALARM_CODES:
            raise ValueError(f"alarm code {self.code!r} has no meaning in edge/alarms/codes.py; give it one")

    def args(self, more: Args) -> Args:
        """Where it is, as args, and `more`."""
        where: Args = {} if self.lane == "_" else {"lane": self.lane}
        if self.device is not None and not more.keys() & {"collector", "broker"}:
            where["device"] = self.device
        if self.sensor is not None:
            where["sensor"] = self.sensor
        return {**where, **more}


@dataclass(slots=True)
class _Active:
    since_ns: int
    severity: Severity
    args: Args
    healthy_ns: int | None = None  # since when it is in order
    ended: Args = field(default_factory=dict)  # what was said of the end


class Alarms:
    """The conditions that hold now. `changes` counts what began and ended."""

    def __init__(self, site: Site, source: str) -> None:
        self._site, self._source = site, source
        self._active: dict[Condition, _Active] = {}
        self.changes = 0

    def resume(self, held: Iterable[ActiveAlarm], now_ns: int) -> None:
        """Take up what held when the process ended, so that it does not begin again, and ends if it has gone.

        It counts as in order from now on until somebody says that it still holds: what lasts is found again sooner than
        that makes an end.
        """
        for alarm in held:
            sensor = alarm.sensor if isinstance(alarm.sensor, str) else None
            if alarm.code in ALARM_CODES:
                condition = Condition(alarm.code, alarm.device, alarm.lane, sensor)
                self._active[condition] = _Active(parse_utc(alarm.since), alarm.severity, alarm.args, now_ns)

    def set(
        self,
        condition: Condition,
        holds: bool,
        time_ns: int,
        *,
        severity: Severity = "warning",
        args: Args | None = None,
    ) -> list[Alarm]:
        """The condition holds, or is in order; gives the message where it begins. The end comes with `advance`.

        `args` is what the text of edge/alarms/texts.py needs beside the condition itself; where the condition is in
        order, `ended` in it may say how that came.
        """
        active = self._active.get(condition)
        if not holds:
            if active is not None and active.healthy_ns is None:
                active.healthy_ns, active.ended = time_ns, args or {}
            return []
        args = condition.args(args or {})
        if active is not None:
            active.healthy_ns, active.args = None, args
            return []
        self._active[condition] = active = _Active(time_ns, severity, args)
        return [self._alarm(condition, active, "begin", time_ns, args)]

    def advance(self, now_ns: int) -> list[Alarm]:
        """The clock has come to `now_ns`: the messages of what has been in order for long enough."""
        messages = []
        for condition, active in list(self._active.items()):
            if active.healthy_ns is None or now_ns - active.healthy_ns < HEALTHY_NS:
                continue
            del self._active[condition]
            held_s = max(0, round((active.healthy_ns - active.since_ns) / 1e9))
            args: Args = {**active.args, **active.ended, "held_s": held_s}
            messages.append(self._alarm(condition, active, "end", now_ns, args))
        return messages

    def let_go(self, of: Callable[[Condition], bool], time_ns: int) -> None:
        """The configuration no longer has these, or has them otherwise: they end, unless they are found again."""
        for condition, active in self._active.items():
            if active.healthy_ns is None and of(condition):
                active.healthy_ns, active.ended = time_ns, {"ended": "the configuration changed"}

    def clock_stepped(self, by_ns: int) -> None:
        """The clock leapt: nothing is in order for longer because of that."""
        for active in self._active.values():
            if active.healthy_ns is not None:
                active.healthy_ns += by_ns

    def holding(self) -> tuple[ActiveAlarm, ...]:
        """Every condition that holds, for `status`; with what is known of it by now."""
        return tuple(
            ActiveAlarm(
                code=condition.code,
                severity=active.severity,
                since=utc_text(active.since_ns),
                lane=condition.lane,
                device=condition.device,
                sensor=UNSET if condition.sensor is None else condition.sensor,
                text=text_of(condition.code, active.args),
                args=active.args,
            )
            for condition, active in self._active.items()
        )

    def _alarm(
        self, condition: Condition, active: _Active, state: Literal["begin", "end"], time_ns: int, args: Args
    ) -> Alarm:
        self.changes += 1
        text = text_of(condition.code, args)
        log.log(
            _LEVELS[active.severity] if state == "begin" else logging.INFO, "%s %ss: %s", condition.code, state, text
        )
        return Alarm(
            time=utc_text(time_ns),
            site=self._site,
            lane=condition.lane,
            source=self._source,
            code=condition.code,
            state=state,
            severity=active.severity,
            text=text,
            args=args,
            device=condition.device,
            sensor=UNSET if condition.sensor is None else condition.sensor,
        )
