"""Moxa ioLogik E1200: digital inputs and temperatures of the world in, Modbus TCP replies out; driven by `serve.py`.

Models differ by a table; the Modbus addresses are the vendor's default map. Inputs are DI0, DI1, ... in the order in
which the scenario lists them. What the manual does not say is marked ASSUMED.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from firmware_sim.emulators.base import Output
from firmware_sim.emulators.input_module import InputModule, word
from firmware_sim.emulators.modbus import ILLEGAL_ADDRESS, ILLEGAL_VALUE, ModbusError

PULSE_S = 1.0  # ASSUMED: a pulse output is set up for one pulse of this length
MAC = (0x0090, 0xE800, 0x1214)


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    inputs: int
    outputs: int
    rtds: int = 0


MODELS = {
    "E1210": Model("E1210", 16, 0),
    "E1211": Model("E1211", 0, 16),
    "E1212": Model("E1212", 8, 8),
    "E1213": Model("E1213", 8, 4),
    "E1214": Model("E1214", 6, 6),
    "E1260": Model("E1260", 0, 0, rtds=6),
}


class MoxaE1200(InputModule):
    """The device core. `inputs` are the names of the wired inputs, `temperature_c` is what the RTDs measure."""

    def __init__(
        self,
        inputs: tuple[str, ...] = (),
        *,
        model: str = "E1214",
        rtu_address: int | None = None,
        temperature_c: Callable[[float], float] = lambda now_s: 20.0,
    ) -> None:
        if model not in MODELS:
            raise ValueError(f"model {model!r}: give one of {', '.join(MODELS)}")
        self._model = MODELS[model]
        super().__init__(inputs, self._model.inputs, model, rtu_address)
        self._temperature_c = temperature_c
        self.power_up()

    def power_up(self) -> None:
        super().power_up()
        self._counting = [False] * self._model.inputs  # ASSUMED: counters stand until they are started
        self._relay = [False] * self._model.outputs
        self._pulse_until: list[float | None] = [None] * self._model.outputs

    def counts(self, place: int) -> bool:
        return self._counting[place]

    def received(self, port: str, peer: int, data: bytes, now_s: float) -> Output:
        self._end_pulses(now_s)
        return super().received(port, peer, data, now_s)

    def _end_pulses(self, now_s: float) -> None:
        for place, until_s in enumerate(self._pulse_until):
            if until_s is not None and now_s >= until_s:
                self._pulse_until[place], self._relay[place] = None, False

    # --- the map

    def read_coils(self, address: int, count: int) -> list[bool]:
        return [self._coil(place) for place in range(address, address + count)]

    def _coil(self, address: int) -> bool:
        inputs, outputs = self._model.inputs, self._model.outputs
        if address < outputs:
            return self._relay[address]
        if 0x0010 <= address < 0x0010 + outputs:
            return self._pulse_until[address - 0x0010] is not None
        if 0x0100 <= address < 0x0100 + inputs:
            return self._counting[address - 0x0100]
        if 0x0110 <= address < 0x0110 + inputs or 0x1020 <= address < 0x1020 + outputs or address == 0x1030:
            return False
        raise ModbusError(ILLEGAL_ADDRESS)

    def write_coils(self, address: int, values: list[bool]) -> None:
        inputs, outputs = self._model.inputs, self._model.outputs
        for place in range(address, address + len(values)):
            self._coil(place)  # all or nothing
        for place, value in enumerate(values, start=address):
            if place < outputs:
                self._relay[place], self._pulse_until[place] = value, None
            elif 0x0010 <= place < 0x0010 + outputs:
                self._relay[place - 0x0010] = value
                self._pulse_until[place - 0x0010] = self._now_s + PULSE_S if value else None
            elif 0x0100 <= place < 0x0100 + inputs:
                self._counting[place - 0x0100] = value
            elif 0x0110 <= place < 0x0110 + inputs:
                if not value:
                    raise ModbusError(ILLEGAL_VALUE)
                self._counter[place - 0x0110] = 0

    def read_inputs(self, address: int, count: int) -> list[bool]:
        if address + count > self._model.inputs:
            raise ModbusError(ILLEGAL_ADDRESS)
        return self._level[address : address + count]

    def read_input_registers(self, address: int, count: int) -> list[int]:
        return [self._input_register(place) for place in range(address, address + count)]

    def _input_register(self, address: int) -> int:
        if 0x0010 <= address < 0x0010 + 2 * self._model.inputs:
            place, low = divmod(address - 0x0010, 2)
            return self.counter_word(place, high=not low)
        if address == 0x0030 and self._model.inputs:
            return word(self._level)
        if 5000 <= address < 5010:
            text = self._model.name.encode().ljust(20, b"\0")
            return int.from_bytes(text[2 * (address - 5000) :][:2], "big")
        if 5024 <= address < 5027:
            return MAC[address - 5024]
        if 0x0600 <= address < 0x0600 + self._model.rtds:
            return round(self._temperature_c(self._now_s) * 10) & 0xFFFF
        raise ModbusError(ILLEGAL_ADDRESS)

    def read_holding(self, address: int, count: int) -> list[int]:
        if address != 0x0020 or count != 1 or not self._model.outputs:
            raise ModbusError(ILLEGAL_ADDRESS)
        return [word(self._relay)]

    def write_holding(self, address: int, values: list[int]) -> None:
        self.read_holding(address, len(values))
        for place in range(self._model.outputs):
            self._relay[place], self._pulse_until[place] = bool(values[0] >> place & 1), None
