"""What input modules on Modbus have in common: connections, levels and counters of inputs, faults.

A module derives from `InputModule` and adds its address map; `moxa_e1200.py` and `adam_6000.py` do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firmware_sim.emulators.base import MAIN, Emulator, Hangup, Output, Send
from firmware_sim.emulators.modbus import DEVICE_FAILURE, MbapStream, RtuLine, Unit, mbap
from firmware_sim.world.events import InputChanged, WorldEvent


class InputModule(Emulator, Unit):
    """`inputs` are the names of the wired inputs from DI0 on; `swapped` exchanges the words of 32-bit values.

    A module with `rtu_address` has a serial line of that address instead of Modbus TCP.
    """

    faults = frozenset({"exception", "wrong_word_order"})

    def __init__(self, inputs: tuple[str, ...], count: int, model: str, rtu_address: int | None = None) -> None:
        if len(inputs) > count:
            raise ValueError(f"{model} has {count} inputs, {len(inputs)} are wired")
        self._place = {name: place for place, name in enumerate(inputs)}
        self._level = [False] * count
        self._counter = [0] * count
        self._swapped = False
        self._peers: dict[int, MbapStream] = {}
        self._line = RtuLine(rtu_address) if rtu_address is not None else None
        self._now_s = 0.0

    def power_up(self) -> None:
        """Volatile state, as when power comes."""
        self._counter = [0] * len(self._level)

    def counts(self, place: int) -> bool:
        """Whether the counter of an input runs."""
        return True

    def reboot(self, now_s: float) -> Output:
        self.power_up()
        self._peers.clear()
        return [Hangup(MAIN)]

    def connected(self, port: str, peer: int, now_s: float) -> Output:
        self._peers[peer] = MbapStream()
        return []

    def disconnected(self, port: str, peer: int, now_s: float) -> None:
        self._peers.pop(peer, None)

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        self._now_s = max(now_s, self._now_s)
        if self._line is not None:
            return [Send(self._line.frame(self.answer(pdu)), MAIN, peer) for pdu in self._line.feed(data)]
        stream = self._peers.get(peer)
        if stream is None:
            return []
        output: Output = []
        for transaction, unit, pdu in stream.feed(data):
            output.append(Send(mbap(transaction, unit, self.answer(pdu)), MAIN, peer))
        if stream.broken:
            output.append(Hangup(MAIN, peer))
        return output

    def happened(self, event: WorldEvent, now_s: float) -> Output:
        if isinstance(event, InputChanged) and event.input in self._place:
            place = self._place[event.input]
            if event.on and not self._level[place] and self.counts(place):
                self._counter[place] = self._counter[place] + 1 & 0xFFFFFFFF
            self._level[place] = event.on
        return []

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        if kind == "exception":
            self.exception = int(options.get("code", DEVICE_FAILURE)) if active else None
        elif kind == "wrong_word_order":
            self._swapped = active
        return []

    def counter_word(self, place: int, *, high: bool) -> int:
        """One of the two registers of a counter."""
        return self._counter[place] >> 16 if high != self._swapped else self._counter[place] & 0xFFFF


def word(bits: list[bool]) -> int:
    """Inputs or outputs as a register: the first in bit 0."""
    return sum(1 << place for place, bit in enumerate(bits) if bit)
