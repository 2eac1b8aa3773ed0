"""Advantech ADAM-6000: digital inputs of the world in, Modbus TCP replies out.

Inputs are read as coils, counters are 32-bit with the LOW word first: the opposite of the Moxa modules. What the manual
does not say is marked ASSUMED.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware_sim.emulators.input_module import InputModule, word
from firmware_sim.emulators.modbus import ILLEGAL_ADDRESS, ModbusError

FIRST_OUTPUT = 16
OUTPUT_WORD, INPUT_WORD = 300, 302  # RECALLED: 40301 and 40303


@dataclass(frozen=True, slots=True)
class Model:
    inputs: int
    outputs: int
    output_coils: bool = True


MODELS = {"6050": Model(12, 6), "6051": Model(12, 2, output_coils=False), "6060": Model(6, 6)}


class Adam6000(InputModule):
    """The device core. `inputs` are the names of the wired inputs from DI0 on."""

    def __init__(self, inputs: tuple[str, ...] = (), *, model: str = "6050", rtu_address: int | None = None) -> None:
        if model not in MODELS:
            raise ValueError(f"model {model!r}: give one of {', '.join(MODELS)}")
        self._model = MODELS[model]
        super().__init__(inputs, self._model.inputs, model, rtu_address)
        self.power_up()

    def power_up(self) -> None:
        super().power_up()
        self._output = [False] * self._model.outputs

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
            return self.counter_word(place, high=bool(high))
        if address == INPUT_WORD:
            return word(self._level)
        if address == OUTPUT_WORD:
            return word(self._output)
        raise ModbusError(ILLEGAL_ADDRESS)

    def write_holding(self, address: int, values: list[int]) -> None:
        if address != OUTPUT_WORD or len(values) != 1:
            raise ModbusError(ILLEGAL_ADDRESS)
        self._output = [bool(values[0] >> place & 1) for place in range(self._model.outputs)]
