"""Turns states that are read again and again into changes; drivers with digital inputs or status bits call it."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.events import InputChange


class InputWatch:
    """Remembers the inputs of one session: the first look is a change for every input."""

    def __init__(self, device: str, names: Sequence[str], inverted: Sequence[str] = ()) -> None:
        self._device = device
        self._names = tuple(names)
        self._inverted = frozenset(inverted)
        self._last: dict[str, tuple[bool, int | None]] = {}

    def look(self, states: Sequence[bool], counts: Sequence[int] | None, time_ns: int) -> list[InputChange]:
        """What changed against the look before; a counter that moved is a change as well. Empty names are left out."""
        changes = []
        for index, name in enumerate(self._names):
            if not name:
                continue
            now = (states[index] != (name in self._inverted), counts[index] if counts is not None else None)
            if self._last.get(name) != now:
                self._last[name] = now
                changes.append(InputChange(self._device, time_ns, name, *now))
        return changes
