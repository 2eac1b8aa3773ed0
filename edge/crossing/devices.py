"""The devices of the configuration and how each is: what drivers say of them in; states, alarms and counted pulses out.

Called by `edge.crossing`, which knows what an input means; this knows what a device has said so far.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from drivers import registry
from drivers.events import DeviceState, InputChange, LinkState, Rejected
from edge import config as cfg
from edge.alarms import Condition
from edge.health.crossing import Found
from edge.messages import Args, DeviceStatus, Severity, utc_text

_MOST_PULSES = 20  # between two looks at an input; more is a counter that was cleared, or wrapped


@dataclass(frozen=True, slots=True)
class _Reported:
    """What a device says of itself, as an alarm: its code and the state that is bad."""

    code: str
    bad: bool
    severity: Severity


_REPORTED: Final = {
    "clock_synchronised": _Reported("clock_unsynchronised", False, "warning"),
    "gps_fix": _Reported("gps_lost", False, "warning"),
    "overload": _Reported("scale_overloaded", True, "warning"),
    "fault": _Reported("scale_fault", True, "critical"),
    "too_hot": _Reported("reader_hot", True, "warning"),
    "antenna_fault": _Reported("antenna_fault", True, "critical"),
}


@dataclass(slots=True)
class KnownDevice:
    """A device of the configuration and what it said last."""

    config: cfg.Device
    reports: frozenset[str] = frozenset()  # inputs by which it tells how it is itself
    state: LinkState = LinkState.CONNECTING
    since_ns: int = 0
    text: str = ""
    rejected: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, bool] = field(default_factory=dict)
    pulses: dict[str, tuple[int, int]] = field(default_factory=dict)  # counter at the first look, counted since

    @property
    def lane(self) -> str:
        return self.config.lane or "_"

    @property
    def at_point(self) -> Args:
        return {"point": self.config.point} if self.config.point else {}

    def new_pulses(self, change: InputChange) -> int:
        """Times that an input came on since its last change; the device's counter knows those between polls too."""
        before = self.inputs.get(change.name)
        self.inputs[change.name] = change.on
        rising = int(change.on and before is False)
        if change.count is None:
            return rising
        first, counted = self.pulses.get(change.name, (change.count, 0))
        ahead = change.count - first - counted
        if before is None or not 0 <= ahead + 1 <= _MOST_PULSES:  # first look, or the counter began anew
            self.pulses[change.name] = (change.count, 0)
            return rising
        new = max(rising, ahead)
        self.pulses[change.name] = (first, counted + new)
        return new

    def reported(self, change: InputChange) -> Found:
        """What it says of itself by one of its `reports`."""
        said = _REPORTED[change.name]
        condition = Condition(said.code, change.device, self.lane)
        return Found(condition, change.on is said.bad, said.severity, self.at_point)

    def is_now(self, state: DeviceState) -> list[Found]:
        """Its link has another state."""
        self.state, self.since_ns, self.text = state.state, state.time_ns, state.text
        if state.state is LinkState.CONNECTING:
            return []  # neither good nor bad yet
        args: Args = {**self.at_point, "driver": self.config.driver, "case": state.remedy}
        args["reason"] = state.reason or state.text
        severity: Severity = "critical" if self.lane != "_" else "warning"
        return [
            Found(Condition(code, state.device, self.lane), state.state is bad, severity, args)
            for code, bad in (("device_down", LinkState.DOWN), ("device_silent", LinkState.SILENT))
            # A device that went from one trouble to the other is in order in neither way: what it says ends both.
            if state.state in (bad, LinkState.ONLINE)
        ]


class Devices:
    """By name. A device whose table is the same keeps what it said when the configuration changes."""

    def __init__(self) -> None:
        self._known: dict[str, KnownDevice] = {}

    def take(self, configured: Iterable[cfg.Device]) -> None:
        before = self._known
        self._known = {
            device.name: before[device.name]
            if device.name in before and before[device.name].config == device
            else KnownDevice(device, registry.find(device.driver).reports & _REPORTED.keys())
            for device in configured
        }

    def __getitem__(self, name: str) -> KnownDevice:
        return self._known[name]

    def rejected(self, rejected: Rejected) -> None:
        counts = self._known[rejected.device].rejected
        counts[rejected.reason] = counts.get(rejected.reason, 0) + rejected.count

    def statuses(self) -> dict[str, DeviceStatus]:
        """For `status`."""
        return {
            name: DeviceStatus(
                state=device.state.value,
                since=utc_text(device.since_ns),
                text=device.text,
                rejected=dict(device.rejected),
            )
            for name, device in self._known.items()
        }
