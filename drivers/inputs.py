"""Turns states that are read again and again into changes; drivers with digital inputs or status bits call it."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.events import InputChange, Rejected

_FASTEST_HZ = 1000.0  # no input of these modules counts faster
_MARGIN = 100  # pulses beyond that
_BELIEVED_NS = 60_000_000_000  # what is said for so long is a new count, however it came about


class InputWatch:
    """Remembers the inputs of one session: the first look is a change for every input.

    A counter that ran ahead by more than any input can pulse is no count (words in the wrong order, a register of
    something else): it is rejected as `counter_jump`, and the last good one stands.
    """

    def __init__(self, device: str, names: Sequence[str], inverted: Sequence[str] = ()) -> None:
        self._device = device
        self._names = tuple(names)
        self._inverted = frozenset(inverted)
        self._last: dict[str, tuple[bool, int | None]] = {}
        self._counted_ns: dict[str, int] = {}

    def look(self, states: Sequence[bool], counts: Sequence[int] | None, time_ns: int) -> list[InputChange | Rejected]:
        """What changed against the look before; a counter that moved is a change as well. Empty names are left out."""
        changes: list[InputChange | Rejected] = []
        for index, name in enumerate(self._names):
            if not name:
                continue
            count = counts[index] if counts is not None else None
            if count is not None and not self._possible(name, count, time_ns):
                changes.append(Rejected(self._device, time_ns, "counter_jump"))
                count = self._last[name][1]
            now = (states[index] != (name in self._inverted), count)
            if self._last.get(name) != now:
                self._last[name] = now
                changes.append(InputChange(self._device, time_ns, name, *now))
        return changes

    def _possible(self, name: str, count: int, time_ns: int) -> bool:
        before, since_ns = self._last.get(name, (False, None))[1], self._counted_ns.get(name, time_ns)
        if before is not None and 0 < time_ns - since_ns < _BELIEVED_NS:
            most = before + _MARGIN + _FASTEST_HZ * (time_ns - since_ns) / 1e9
            if count > most:
                return False
        self._counted_ns[name] = time_ns
        return True
