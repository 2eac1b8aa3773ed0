"""Advantech ADAM-6000: digital inputs of the world in, Modbus TCP replies out.

Inputs are read as coils, counters are 32-bit with the LOW word first: the opposite of the Moxa modules. What the manual
does not say is marked ASSUMED.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from firmware_sim.emulators.base import MAIN, Emulator, Hangup, Output, Send
from firmware_sim.emulators.modbus import DEVICE_FAILURE, ILLEGAL_ADDRESS, MbapStream, ModbusError, Unit, mbap
from firmware_sim.events import InputChanged, WorldEvent

FIRST_OUTPUT = 16
OUTPUT_WORD, INPUT_WORD = 300, 302  # RECALLED: 40301 and 40303


@dataclass(frozen=True, slots=True)
class Model:
    inputs: int
    outputs: int
    output_coils: bool = True


MODELS = {"6050": Model(12, 6), "6051": Model(12, 2, output_coils=False), "6060": Model(6, 6)}


class Adam6000(Emulator, Unit):
    """The device core. `inputs` are the names of the wired inputs from DI0 on."""

    functions = frozenset({1, 2, 3, 4, 5, 6, 15, 16})
    faults = frozenset({"exception", "wrong_word_order"})

    def __init__(self, inputs: tuple[str, ...] = (), *, model: str = "6050") -> None:
        if model not in MODELS:
            raise ValueError(f"model {model!r}: give one of {', '.join(MODELS)}")
        self._model = MODELS[model]
        if len(inputs) > self._model.inputs:
            raise ValueError(f"{model} has {self._model.inputs} inputs, {len(inputs)} are wired")
        self._place = {name: place for place, name in enumerate(inputs)}
        self._level = [False] * self._model.inputs
        self._exception: int | None = None
        self._high_first = False
        self._peers: dict[int, MbapStream] = {}
        self._power_up()

    def _power_up(self) -> None:
        self._counter = [0] * self._model.inputs
        self._output = [False] * self._model.outputs

    def reboot(self, now_s: float) -> Output:
        self._power_up()
        self._peers.clear()
        return [Hangup(MAIN)]

    def connected(self, port: str, peer: int, now_s: float) -> Output:
        self._peers[peer] = MbapStream()
        return []

    def disconnected(self, port: str, peer: int, now_s: float) -> None:
        self._peers.pop(peer, None)

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        stream = self._peers.get(peer)
        if stream is None:
            return []
        output: Output = []
        for transaction, unit, pdu in stream.feed(data):
            output.append(Send(mbap(transaction, unit, self.answer(pdu)), MAIN, peer))
        if stream.broken:
            output.append(Hangup(MAIN, peer))
        return output

    def answer(self, pdu: bytes) -> bytes:
        if self._exception is not None:
            return bytes([pdu[0] | 0x80, self._exception])
        return super().answer(pdu)

    def happened(self, event: WorldEvent, now_s: float) -> Output:
        if isinstance(event, InputChanged) and event.input in self._place:
            place = self._place[event.input]
            if event.on and not self._level[place]:
                self._counter[place] = self._counter[place] + 1 & 0xFFFFFFFF
            self._level[place] = event.on
        return []

    def fault(self, kind: str, active: bool, options: Mapping[str, Any], now_s: float) -> Output:
        if kind == "exception":
            self._exception = int(options.get("code", DEVICE_FAILURE)) if active else None
        elif kind == "wrong_word_order":
            self._high_first = active
        return []

    # --- the map; ASSUMED: inputs answer to function 2 as to function 1, registers to 4 as to 3

    def read_coils(self, address: int, count: int) -> list[bool]:
        return [self._coil(place) for place in range(address, address + count)]

    read_inputs = read_coils

    def _coil(self, address: int) -> bool:
        if address < self._model.inputs:
            return self._level[address]
        if self._model.output_coils and 0 <= address - FIRST_OUTPUT < self._model.outputs:
            return self._output[address - FIRST_OUTPUT]
        raise ModbusError(ILLEGAL_ADDRESS)

    def write_coils(self, address: int, values: list[bool]) -> None:
        last = address + len(values)
        if not (self._model.output_coils and address >= FIRST_OUTPUT and last <= FIRST_OUTPUT + self._model.outputs):
            raise ModbusError(ILLEGAL_ADDRESS)
        self._output[address - FIRST_OUTPUT : last - FIRST_OUTPUT] = values

    def read_holding(self, address: int, count: int) -> list[int]:
        return [self._register(place) for place in range(address, address + count)]

    read_input_registers = read_holding

    def _register(self, address: int) -> int:
        if address < 2 * self._model.inputs:
            place, high = divmod(address, 2)
            high ^= self._high_first
            return self._counter[place] >> 16 if high else self._counter[place] & 0xFFFF
        if address == INPUT_WORD:
            return sum(1 << place for place, on in enumerate(self._level) if on)
        if address == OUTPUT_WORD:
            return sum(1 << place for place, on in enumerate(self._output) if on)
        raise ModbusError(ILLEGAL_ADDRESS)

    def write_holding(self, address: int, values: list[int]) -> None:
        if address != OUTPUT_WORD or len(values) != 1:
            raise ModbusError(ILLEGAL_ADDRESS)
        self._output = [bool(values[0] >> place & 1) for place in range(self._model.outputs)]
