"""What is under way in one connection: numbers of packets in, the messages that they carry out. No I/O.

Called by `edge.delivery.publisher`. A message is under way until it is acknowledged and its acknowledgement counts;
words from outside the journal take places too.
"""

from __future__ import annotations

from edge.delivery.entry import Entry

LATE_RESERVE = 4  # places that backlog and replay leave to live messages


class Window:
    """Of one connection; `size` is what the server allows."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[int, Entry] = {}  # by number of the packet
        self._words: set[int] = set()
        self._late = 0
        self._unproven: list[Entry] = []  # acknowledged while it is open whether that is worth anything

    def room(self, *, careful: bool = False) -> int:
        """Places that are free; carefully messages go one by one."""
        return (1 if careful else self._size) - len(self._entries) - len(self._words) - len(self._unproven)

    def late_room(self, *, careful: bool = False) -> int:
        """Of these, places for backlog and replay."""
        most = max(1, (1 if careful else self._size) - LATE_RESERVE)
        return min(self.room(careful=careful), most - self._late)

    def add(self, number: int, entry: Entry) -> None:
        self._entries[number] = entry
        self._late += entry.late

    def add_word(self, number: int) -> None:
        self._words.add(number)

    def take_out(self, number: int) -> Entry | None:
        """The message of an acknowledged packet; None for a word."""
        entry = self._entries.pop(number, None)
        if entry is None:
            self._words.discard(number)
        else:
            self._late -= entry.late
        return entry

    def hold(self, entry: Entry) -> None:
        """Acknowledged, and open whether that is worth anything."""
        self._unproven.append(entry)

    def let_go(self) -> list[Entry]:
        """What was held."""
        held, self._unproven = self._unproven, []
        return held

    @property
    def holds(self) -> bool:
        return bool(self._unproven)

    @property
    def is_empty(self) -> bool:
        """Whether every message of the journal that was sent is delivered."""
        return not self._entries and not self._unproven

    @property
    def only(self) -> Entry | None:
        """The message under way, where there is one alone."""
        return next(iter(self._entries.values())) if len(self._entries) == 1 else None
