"""Advantech ADAM-6050, 6051, 6060: loops, lamps and barrier like the Moxa modules, but with the other word order.

Modbus TCP, port 502, unit 1:

    FC 1   0000 + n   digital input n (read as a coil), 1 = on
    FC 3   0000 + 2n  counter of input n, two registers, LEAST significant first
    FC 1/5 0010 + n   output n (a 6051 has none there)

Sources: ADAM-6000 manual, appendix B; field code. Unconfirmed on hardware: that a counter runs without being started
(the module's own set-up decides what the registers hold: set the inputs to "counter" there, or leave `counters` off).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, ClassVar

from msgspec import Meta

from drivers.base import DeviceError, Driver, Emit, Offer, Options
from drivers.inputs import InputWatch
from drivers.modbus import DEAF_S, ModbusPort, open_port, u32

_INPUTS, _COUNTERS, _OUTPUTS = 0x0000, 0x0000, 0x0010


class AdamOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    inputs: Annotated[
        tuple[str, ...], Meta(max_length=12, description="names of the inputs from DI0 on; an empty name is not used")
    ] = ()
    normally_closed: Annotated[tuple[str, ...], Meta(description="inputs whose open contact means on")] = ()
    counters: Annotated[bool, Meta(description="the inputs are set up as counters: read these too")] = False
    outputs: Annotated[
        tuple[str, ...], Meta(max_length=6, description="names of the outputs from DO0 on, read back as inputs")
    ] = ()
    poll_hz: Annotated[float, Meta(gt=0, le=100, description="how often the module is read")] = 20.0
    unit_id: Annotated[int, Meta(ge=0, le=255, description="Modbus unit")] = 1

    def __post_init__(self) -> None:
        if not (self.inputs or self.outputs):
            raise ValueError("inputs, outputs: both are empty, so there is nothing to read")
        named = [name for name in (*self.inputs, *self.outputs) if name]
        if len(set(named)) < len(named):
            raise ValueError("inputs, outputs: a name is used twice")
        if unknown := set(self.normally_closed) - set(self.inputs):
            raise ValueError(f"normally_closed: {sorted(unknown)[0]!r} is not among the inputs")


class Adam6000(Driver):
    Options: ClassVar[type[Options]] = AdamOptions
    summary = "Advantech ADAM-6050 / 6051 / 6060 inputs and outputs (Modbus TCP)"
    schemes = ("tcp", "rtu+tcp")
    port = 502
    deaf_s = DEAF_S
    options: AdamOptions

    _open_port: ModbusPort | None = None

    def offer(self) -> Offer:
        options = self.options
        return Offer(
            channels=0,
            inputs=frozenset(filter(None, (*options.inputs, *options.outputs))),
            temperatures=frozenset(),
            bus_unit=options.unit_id,
        )

    async def session(self, emit: Emit, alive: Callable[[], None]) -> None:
        options = self.options
        inputs = InputWatch(self.name, options.inputs, options.normally_closed)
        outputs = InputWatch(self.name, options.outputs)
        loop = asyncio.get_running_loop()
        async with open_port(self, options.unit_id, alive=alive) as port:
            self._open_port = port
            try:
                next_s = loop.time()
                while True:
                    if options.inputs:
                        states = await port.read_coils(_INPUTS, len(options.inputs))
                        time_ns = self.clock()
                        counts = await self._counts(port) if options.counters else None
                        for change in inputs.look(states, counts, time_ns):
                            emit(change)
                    if options.outputs:
                        states = await port.read_coils(_OUTPUTS, len(options.outputs))
                        for change in outputs.look(states, None, self.clock()):
                            emit(change)
                    alive()
                    next_s = max(next_s + 1.0 / options.poll_hz, loop.time())
                    await asyncio.sleep(next_s - loop.time())
            finally:
                self._open_port = None

    async def set_output(self, output: str, on: bool) -> None:
        """Switch an output by its name. Raises DeviceError when the module does not answer, ValueError for the name."""
        if not output or output not in self.options.outputs:
            known = ", ".join(self.options.outputs)
            raise ValueError(f"{self.name}: there is no output {output!r}; there are {known}")
        if self._open_port is None:
            raise DeviceError(f"{self.url}: not connected, so no output can be switched")
        await self._open_port.write_coil(_OUTPUTS + self.options.outputs.index(output), on)

    async def _counts(self, port: ModbusPort) -> list[int]:
        count = len(self.options.inputs)
        registers = await port.read_holding(_COUNTERS, 2 * count)
        return [u32(registers[2 * index : 2 * index + 2], low_word_first=True) for index in range(count)]
